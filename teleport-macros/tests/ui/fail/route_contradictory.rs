use teleport::controller;

struct Math;

#[controller]
impl Math {
    #[route]
    async fn a(&self) {}

    #[route()]
    async fn b(&self) {}

    #[route(skip, spawn)]
    async fn c(&self) {}

    #[route(spawn, blocking)]
    async fn d(&self) {}

    #[cfg_attr(unix, route("/unix"))]
    async fn e(&self) {}
}

fn registers<T: teleport::__private::CallController>() {}

fn main() {
    registers::<Math>();
}
