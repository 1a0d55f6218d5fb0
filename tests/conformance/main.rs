//! The golden vectors: what the original reads and writes, and what a good peer does where the
//! original is wrong.

mod ages;
mod args;
mod codec;
mod crowd;
mod decode;
mod frames;
mod program;
mod protos;
mod rerror;
mod secure;
mod seq;
mod standard;
mod transcripts;
mod uri;
