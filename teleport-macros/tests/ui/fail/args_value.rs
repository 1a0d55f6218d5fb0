use teleport::controller;

struct Math;

#[controller(name, prefix = 1, underscores = "kep")]
impl Math {
    #[route(skip = true)]
    async fn add(&self) {}

    #[route(name("sub"))]
    async fn sub(&self) {}

    #[route = "/mul"]
    async fn mul(&self) {}

    #[route(7)]
    async fn div(&self) {}
}

struct Other;

#[controller(crate = 4)]
impl Other {
    async fn add(&self) {}
}

fn registers<T: teleport::__private::CallController>() {}

fn main() {
    registers::<Math>();
}
