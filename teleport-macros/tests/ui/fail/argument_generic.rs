use teleport::controller;

struct Math;

#[controller]
impl Math {
    async fn add<T: Send>(&self, _arg: Vec<T>) {}

    async fn sub<const N: usize>(&self, _arg: [u8; N]) {}

    async fn mul(&self, _arg: impl Into<String>) {}
}

fn registers<T: teleport::__private::CallController>() {}

fn main() {
    registers::<Math>();
}
