//! Shared support.

pub mod fuzz;
