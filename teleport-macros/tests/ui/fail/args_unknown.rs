use teleport::{Rerror, controller};

struct Math;

#[controller(prefxi = "/v1", retries = 3)]
impl Math {
    #[route(spwan)]
    async fn add(&self, arg: Vec<i64>) -> Result<i64, Rerror> {
        Ok(arg.iter().sum())
    }

    #[route(block)]
    async fn sub(&self) {}
}

fn registers<T: teleport::__private::CallController>() {}

fn main() {
    registers::<Math>();
}
