use teleport::controller;

struct Math;

#[controller]
impl Math {
    fn new() -> Self {
        Self
    }

    async fn add(&self) {}

    #[route(skip)]
    fn right() -> Self {
        Self
    }
}

fn registers<T: teleport::__private::CallController>() {}

fn main() {
    registers::<Math>();
}
