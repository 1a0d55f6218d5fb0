//! Encrypted messages: as the Go original does it, and in a way that also proves who wrote them.
//!
//! - [`Sealed`] is for peers of this kind. A handshake proves a shared key on both sides, and from
//!   then on every message of the session is encrypted and authenticated: bodies, metadata and
//!   queries cannot be read, and nothing can be changed, replayed, reflected or left plain.
//! - [`Legacy`] speaks to Go peers with the original's secure plugin. It hides bodies and queries
//!   from somebody who only listens, and no more: equal blocks look equal, nothing tells a forged
//!   message from a true one, and whoever takes the metadata away turns it off.
//!
//! Neither hides who talks to whom, when, how much, or which path is called; for that, and for keys
//! that stay safe when the shared one leaks, put TLS underneath.

mod cipher;
mod envelope;
mod ext;
mod hex;
mod legacy;
mod sealed;

pub use crate::message::meta::{ACCEPT_SECURE, SECURE};
pub use ext::SecureExt;
pub use legacy::Legacy;
#[doc(hidden)]
pub use sealed::__parts;
pub use sealed::{Key, Sealed};
