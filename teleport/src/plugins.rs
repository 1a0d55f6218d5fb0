//! Plugins that come with the framework.

pub mod auth;
pub mod heartbeat;
mod ignore_case;

pub use ignore_case::IgnoreCase;
