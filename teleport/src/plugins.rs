//! Plugins that come with the framework.

mod ignore_case;

pub use ignore_case::IgnoreCase;
