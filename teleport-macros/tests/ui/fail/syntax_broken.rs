use teleport::controller;

struct Math;

#[controller]
impl Math {
    async fn add(&self) {
        let x = ;
    }
}

fn registers<T: teleport::__private::CallController>() {}

#[controller]
async fn sub() {
    Math.
}

fn main() {
    registers::<Math>();
}
