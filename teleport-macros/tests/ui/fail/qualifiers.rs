use teleport::controller;

struct Math;

#[controller]
impl Math {
    async unsafe fn add(&self) {}

    extern "C" fn sub(&self) {}
}

fn registers<T: teleport::__private::CallController>() {}

fn main() {
    registers::<Math>();
}
