//! What the tests share.

pub mod alloc;
pub mod counting;
pub mod frames;
pub mod fuzz;
pub mod logs;
pub mod pair;
pub mod vectors;
