//! The framework as its users meet it, one module per behaviour.

#[cfg(unix)]
mod accepting;
mod auth;
mod bad_frames;
mod bad_messages;
mod binder;
mod binder_errors;
mod binder_rules;
mod calls;
mod cancellation;
mod closing;
mod context_age;
mod cost;
mod deadlines;
mod deaf_ends;
mod documents;
mod dropped_calls;
mod encode_panics;
mod floors;
mod handshake;
mod heartbeat;
mod hook_order;
mod hostile_ports;
mod hub;
mod idle;
mod log_lines;
mod narrow;
#[cfg(target_os = "linux")]
mod networks;
mod overload;
mod overload_told;
mod plugin_sets;
mod progress;
mod protocols;
mod proxy;
mod redial;
mod reply_hooks;
mod routes;
mod runtimes;
mod sealed;
mod secure_legacy;
mod session_age;
mod shutdown;
mod socket;
#[cfg(unix)]
mod socket_options;
mod threads;
mod tls;
mod writes;
mod wrong_protocol;
