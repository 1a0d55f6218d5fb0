use teleport::controller;

struct Math;

#[controller(prefix = "/v1?x", name = "a/b")]
impl Math {
    #[route("")]
    async fn a(&self) {}

    #[route("/a//b/")]
    async fn b(&self) {}

    #[route("/a?x=1")]
    async fn c(&self) {}

    #[route("/a%20b")]
    async fn d(&self) {}

    #[route("/e ")]
    async fn e(&self) {}

    #[route("/f", name = "g")]
    async fn f(&self) {}
}

fn registers<T: teleport::__private::CallController>() {}

fn main() {
    registers::<Math>();
}
