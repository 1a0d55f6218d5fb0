//! The teleport command.
fn main() {}
