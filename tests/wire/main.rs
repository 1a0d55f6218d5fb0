//! Protocols and filters as black boxes: what goes in comes out, however it is cut, and nothing
//! from the network makes them panic.

mod corpus;
mod protos;
