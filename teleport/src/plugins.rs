//! Plugins that come with the framework.

pub mod auth;
mod ignore_case;

pub use ignore_case::IgnoreCase;
