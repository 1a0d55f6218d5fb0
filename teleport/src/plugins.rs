//! Plugins that come with the framework.

pub mod auth;
pub mod heartbeat;
mod ignore_case;
pub mod overload;
pub mod proxy;
#[cfg(feature = "secure")]
#[cfg_attr(docsrs, doc(cfg(feature = "secure")))]
pub mod secure;

pub use ignore_case::IgnoreCase;
