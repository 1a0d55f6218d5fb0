use teleport::{Rerror, controller};

struct Opaque;

struct Math;

#[controller]
impl Math {
    async fn add(&self) -> Result<Opaque, Rerror> {
        Ok(Opaque)
    }
}

fn main() {}
