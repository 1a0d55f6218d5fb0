use std::cell::Cell;

use teleport::controller;

struct Counter(Cell<u8>);

#[controller]
impl Counter {
    async fn add(&self) {
        self.0.set(1);
    }
}

fn main() {}
