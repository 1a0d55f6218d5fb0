use teleport::controller;

struct Opaque;

struct Math;

#[controller]
impl Math {
    async fn add(&self, arg: Opaque) -> i64 {
        drop(arg);
        1
    }
}

fn main() {}
