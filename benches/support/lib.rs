//! What the load generator and the micro-benchmarks share.

pub mod message;

pub use message::BenchmarkMessage;
