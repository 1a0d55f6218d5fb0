//! Encrypted connections: what they carry, whom they let in, and what they say when they do not.

mod clients;
mod ends;
mod files;
mod handshakes;
mod refusals;
mod sessions;
mod support;
