//! Teleport: a socket framework in which two peers share one long-lived connection and either
//! side may call the other, reply, or push.
#![cfg_attr(docsrs, feature(doc_cfg))]

#[doc(hidden)]
#[path = "private.rs"]
pub mod __private;
pub mod codec;
pub mod message;
pub mod proto;
pub mod rerror;
pub mod router;
pub mod socket;
pub mod swap;
pub mod xfer;
