//! The command as a black box: it is run against itself, and against what misbehaves.
#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::indexing_slicing,
    missing_docs,
    reason = "tests"
)]

mod auth;
mod call;
mod faults;
mod listen;
mod push;
mod readme;
mod secure;
mod serve;
mod support;
mod tls;
mod usage;
