//! The attribute macros of teleport.
