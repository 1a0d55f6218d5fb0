//! Teleport: a socket framework in which two peers share one long-lived connection and either
//! side may call the other, reply, or push.
//!
//! A [`Peer`] listens, dials, or both. A connection between two peers is a [`Session`] on either
//! end, and both ends have the same methods: [`call`](Session::call) waits for a reply,
//! [`push`](Session::push) does not. What arrives goes to handlers: methods of an impl block
//! under [`#[controller]`](controller) for calls, or [`#[push_handler]`](push_handler) for
//! pushes, whose names become paths.
//!
//! ```
//! use teleport::{CallCtx, Peer, Rerror, controller};
//!
//! struct Math;
//!
//! #[controller]
//! impl Math {
//!     /// Adds the numbers up.
//!     async fn add(&self, _ctx: &mut CallCtx, arg: Vec<i64>) -> Result<i64, Rerror> {
//!         Ok(arg.iter().sum())
//!     }
//! }
//!
//! #[tokio::main]
//! async fn main() -> Result<(), teleport::Error> {
//!     let server = Peer::builder().build()?;
//!     server.route_call(Math)?; // registers /math/add
//!     let address = server.listen_on("127.0.0.1:0").await?;
//!
//!     let client = Peer::builder().build()?;
//!     let session = client.dial(&address).await?;
//!     let sum: i64 = session.call("/math/add", [1, 2, 3]).await?;
//!     assert_eq!(sum, 6);
//!     Ok(())
//! }
//! ```
//!
//! # The floors
//!
//! | floor | modules | what |
//! |---|---|---|
//! | 0 | [`message`], [`codec`], [`xfer`], [`rerror`], [`swap`] | plain data and pure functions |
//! | 1 | [`proto`] | messages from and to bytes, without I/O |
//! | 2 | [`socket`] | streams of messages, usable alone |
//! | 3 | [`router`], [`context`], [`plugin`](mod@plugin), `binder` | handlers, and what they see |
//! | 4 | [`session`] | the life of a connection |
//! | 5 | [`peer`], `graceful` | configuration, listening, dialling; signals, shutdown, reboot |
//! | 6 | [`plugins`] | whole features on top |
//!
//! # Features
//!
//! | feature | what | default |
//! |---|---|---|
//! | `macros` | [`controller`], [`push_handler`], [`plugin`](macro@plugin) | yes |
//! | `json`, `protobuf`, `plain`, `form` | body codecs | yes |
//! | `gzip`, `md5` | transfer filters | yes |
//! | `binder` | `#[derive(Bind)]`: rules for the arguments of handlers | no |
//! | `graceful` | shutdown and reboot by signals; Unix | no |
//! | `secure` | plugins that encrypt messages | no |
//! | `tls` | encrypted connections, by rustls | no |
//! | `tls-native-roots` | trust in the authorities that the system trusts | no |
//! | `unixpacket` | unix sockets that keep packets apart; Linux | no |
//! | `full` | all of these | no |
//!
//! They only add: none changes what the rest does.
//!
//! # Cancel safety
//!
//! A dropped call frees its place, and its reply finds nobody; a message is queued as a whole or
//! not at all. Each async function says what else there is to know.
#![cfg_attr(docsrs, feature(doc_cfg))]

// So that macro output, which names `::teleport`, works in this crate's own tests.
extern crate self as teleport;

#[cfg(feature = "binder")]
#[cfg_attr(docsrs, doc(cfg(feature = "binder")))]
pub mod binder;
pub mod codec;
pub mod context;
mod error;
#[cfg(all(unix, feature = "graceful"))]
#[cfg_attr(docsrs, doc(cfg(all(unix, feature = "graceful"))))]
pub mod graceful;
pub mod message;
mod panics;
pub mod peer;
pub mod plugin;
pub mod plugins;
pub mod proto;
pub mod rerror;
pub mod router;
pub mod session;
mod settings;
pub mod socket;
pub mod swap;
pub mod xfer;

#[doc(hidden)]
#[path = "private.rs"]
pub mod __private;
use __private as private;
use panics::{lock, panic_text, read_lock, write_lock};

#[cfg(feature = "binder")]
#[cfg_attr(docsrs, doc(cfg(feature = "binder")))]
pub use binder::Bind;
#[cfg(feature = "protobuf")]
#[cfg_attr(docsrs, doc(cfg(feature = "protobuf")))]
pub use codec::Protobuf;
pub use codec::Raw;
pub use context::{
    CallCtx, DialCtx, OnCancel, PreCtx, PushCtx, ReadCtx, UnknownCallCtx, UnknownPushCtx, WriteCtx,
};
pub use error::{Error, ErrorKind};
pub use message::{Message, Meta};
pub use peer::{Peer, PeerBuilder, PeerConfig, ShutdownReport};
pub use plugin::{Hook, Hooks, Plugin, PluginContainer};
pub use rerror::Rerror;
pub use router::HandlerInfo;
pub use session::{CallCmd, Caller, CallerExt, PreSession, Reply, Session};
pub use socket::Address;
#[cfg(feature = "tls")]
#[cfg_attr(docsrs, doc(cfg(feature = "tls")))]
pub use socket::tls;
// Without the feature the derive is there to say so.
#[cfg(feature = "macros")]
#[cfg_attr(docsrs, doc(cfg(feature = "binder")))]
pub use teleport_macros::Bind;
#[cfg(feature = "macros")]
#[cfg_attr(docsrs, doc(cfg(feature = "macros")))]
pub use teleport_macros::{controller, plugin, push_handler, route};
