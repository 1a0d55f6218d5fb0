use teleport::{CallCtx, controller};

#[controller]
fn add(arg: Vec<i64>) -> i64 {
    arg.iter().sum()
}

#[controller]
async fn sub(_arg: &str, _ctx: &mut CallCtx, _more: u8) {}

#[controller]
const fn mul() {}

#[controller]
#[route(skip)]
async fn div() {}

#[controller(spawn, name = "rest")]
async fn rem() {}

#[controller]
async fn pow() -> impl Sized {}

struct Math;

impl Math {
    #[controller]
    async fn neg(&self) {}
}

fn registers<F: teleport::__private::RoutedFn<A, M>, A, M: teleport::__private::CallFunction>(_: F) {}

fn main() {
    registers(add);
    registers(sub);
    registers(mul);
    registers(div);
    registers(rem);
    registers(pow);
    drop(Math.neg());
}
