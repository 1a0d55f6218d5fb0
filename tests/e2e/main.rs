//! The framework as its users meet it, one module per behaviour.

mod calls;
mod closing;
mod dropped_calls;
mod encode_panics;
mod floors;
mod handshake;
mod hub;
mod idle;
mod progress;
mod routes;
mod socket;
mod writes;
