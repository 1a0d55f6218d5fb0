use std::borrow::Cow;

use teleport::controller;

struct Ctx;

struct Math;

#[controller]
impl Math {
    async fn a(&self, _arg: &str) {}

    async fn b(&self, _arg: &[i64]) {}

    async fn c(&self, _arg: (u8, Option<&str>)) {}

    async fn d(&self, _arg: Cow<'_, str>) {}

    async fn e(&self, _ctx: &mut Ctx) {}
}

fn registers<T: teleport::__private::CallController>() {}

fn main() {
    registers::<Math>();
}
