//! What the tests share.

pub mod fuzz;
pub mod standard;
pub mod vectors;
