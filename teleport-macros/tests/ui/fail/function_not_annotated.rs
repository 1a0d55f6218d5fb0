use teleport::controller;

#[controller]
async fn right(arg: i64) -> i64 {
    arg
}

async fn add(arg: i64) -> i64 {
    arg
}

fn registers<F: teleport::__private::RoutedFn<A, M>, A, M: teleport::__private::CallFunction>(_: F) {}

fn main() {
    registers(right);
    registers(add);
}
