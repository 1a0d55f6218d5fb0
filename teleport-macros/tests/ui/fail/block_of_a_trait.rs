use teleport::controller;

struct Math;

#[controller]
impl Clone for Math {
    fn clone(&self) -> Self {
        Self
    }
}

fn main() {
    let _ = Math.clone();
}
