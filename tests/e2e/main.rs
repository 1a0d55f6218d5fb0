//! The framework as its users meet it, one module per behaviour.

mod floors;
mod reply_hooks;
mod socket;
