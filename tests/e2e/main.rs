//! The framework as its users meet it, one module per behaviour.

mod dropped_calls;
mod encode_panics;
mod floors;
mod idle;
mod progress;
mod socket;
mod writes;
