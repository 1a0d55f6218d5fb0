//! What the tests share.

pub mod fuzz;
pub mod vectors;

/// What the README shows, as documentation tests.
#[cfg(doctest)]
#[doc = include_str!("../../README.md")]
struct ReadmeDoctests;
