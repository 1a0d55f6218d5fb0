//! The framework as its users meet it, one module per behaviour.

mod bad_frames;
mod bad_messages;
mod calls;
mod cancellation;
mod closing;
mod context_age;
mod cost;
mod deadlines;
mod deaf_ends;
mod dropped_calls;
mod encode_panics;
mod floors;
mod handshake;
mod hook_order;
mod hub;
mod idle;
mod log_lines;
mod plugin_sets;
mod progress;
mod reply_hooks;
mod routes;
mod session_age;
mod socket;
mod writes;
