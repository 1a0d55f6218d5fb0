//! Encrypted connections: what they carry, whom they let in, and what they say when they do not.

mod attacks;
mod clients;
mod ends;
mod files;
mod handshakes;
mod many;
mod names;
mod refusals;
mod resumption;
mod sessions;
mod support;
