//! The framework as its users meet it, one module per behaviour.

mod closing;
mod cost;
mod dropped_calls;
mod encode_panics;
mod floors;
mod hub;
mod idle;
mod progress;
mod reply_hooks;
mod socket;
mod writes;
