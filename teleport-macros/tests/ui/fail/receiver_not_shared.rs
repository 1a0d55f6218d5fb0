use std::sync::Arc;

use teleport::controller;

struct Math;

#[controller]
impl Math {
    async fn add(&mut self) {}

    async fn sub(self) {}

    async fn mul(self: Arc<Self>) {}

    #[route(skip)]
    fn reset(&mut self) {}
}

fn registers<T: teleport::__private::CallController>() {}

fn main() {
    registers::<Math>();
}
