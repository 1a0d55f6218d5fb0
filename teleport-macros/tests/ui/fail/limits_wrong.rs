use teleport::{controller, push_handler};

struct Math;

#[controller(age = "200", on_cancel = "abrot")]
impl Math {
    #[route(age = "2 days")]
    async fn add(&self) {}

    #[route(age = 200, on_cancel)]
    async fn sub(&self) {}

    #[route(age = "0s")]
    async fn mul(&self) {}

    #[route(skip, age = "1s")]
    fn new() -> Self {
        Self
    }
}

#[push_handler]
#[route(on_cancel = "stop")]
async fn note() {}

fn main() {}
