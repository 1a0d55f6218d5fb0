use teleport::controller;

struct Math;

#[controller]
impl Math {
    async fn add(&self) -> Result<i64, String> {
        Ok(1)
    }
}

fn main() {}
