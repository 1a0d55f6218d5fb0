//! What the tests share.

pub mod fuzz;
pub mod vectors;
