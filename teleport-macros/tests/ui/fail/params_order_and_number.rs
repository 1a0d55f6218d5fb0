use teleport::{CallCtx, controller};

struct Math;

#[controller]
impl Math {
    async fn add(&self, a: i64, b: i64, c: i64) -> i64 {
        a + b + c
    }

    async fn sub(&self, a: i64, _ctx: &mut CallCtx) -> i64 {
        a
    }

    async fn mul(&self, _one: &mut CallCtx, _two: &CallCtx) {}
}

fn registers<T: teleport::__private::CallController>() {}

fn main() {
    registers::<Math>();
}
