use teleport::controller;

struct Math;

#[controller(prefix = "/v1", name = "Calc", prefix = "/v2")]
impl Math {
    #[route(spawn, "/a", spawn, "/b")]
    async fn add(&self) {}

    #[route("/c")]
    #[route(spawn)]
    async fn sub(&self) {}
}

fn registers<T: teleport::__private::CallController>() {}

fn main() {
    registers::<Math>();
}
