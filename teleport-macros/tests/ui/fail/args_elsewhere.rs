use teleport::controller;

struct Math;

#[controller("/math", spawn)]
impl Math {
    #[route(prefix = "/v1")]
    async fn add(&self) {}

    #[route(path = "/sub")]
    async fn sub(&self) {}
}

fn registers<T: teleport::__private::CallController>() {}

fn main() {
    registers::<Math>();
}
