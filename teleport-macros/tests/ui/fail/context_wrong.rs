use teleport::{CallCtx, PushCtx, UnknownCallCtx, controller};

struct Math;

#[controller]
impl Math {
    async fn add(&self, _ctx: &mut PushCtx) {}

    async fn sub(&self, _ctx: CallCtx) {}

    async fn mul(&self, _ctx: &mut UnknownCallCtx) {}
}

fn registers<T: teleport::__private::CallController>() {}

fn main() {
    registers::<Math>();
}
