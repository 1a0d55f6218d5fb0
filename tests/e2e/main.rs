//! The framework as its users meet it, one module per behaviour.

mod auth;
mod bad_frames;
mod bad_messages;
mod calls;
mod closing;
mod cost;
mod deaf_ends;
mod dropped_calls;
mod encode_panics;
mod floors;
mod handshake;
mod heartbeat;
mod hook_order;
mod hub;
mod idle;
mod log_lines;
mod networks;
mod plugin_sets;
mod progress;
mod reply_hooks;
mod routes;
mod sealed;
mod shutdown;
mod socket;
mod writes;
