//! The framework as its users meet it, one module per behaviour.

mod floors;
mod socket;
