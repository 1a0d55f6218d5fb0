//! Ending in good order: shutdown and reboot by signals or by call, and sockets that one process
//! leaves to the next.
//!
//! [`Peer::shutdown`](crate::Peer::shutdown) does the work for one peer. Here is what a whole program
//! needs beside it: a [`Graceful`] waits for the signals, shuts all peers down within a deadline, or
//! starts a new process that goes on with the same listeners before it does. It never ends the
//! process; it tells `main` what happened.
//!
//! ```no_run
//! use std::time::Duration;
//! use teleport::{Peer, graceful::Graceful};
//!
//! #[tokio::main]
//! async fn main() -> Result<(), teleport::Error> {
//!     let server = Peer::builder().build()?;
//!     server.listen_on("127.0.0.1:9090").await?;
//!     let ending = Graceful::builder()
//!         .peer(&server)
//!         .deadline(Duration::from_secs(20))
//!         .run()
//!         .await?;
//!     println!("{ending}");
//!     Ok(())
//! }
//! ```
//!
//! # Signals
//!
//! | signal | what it does |
//! |---|---|
//! | `SIGINT`, `SIGTERM` | a shutdown; a second one cuts off at once what is left, further ones change nothing |
//! | `SIGUSR2` | a reboot; while one is under way, or a shutdown, it is ignored with a log line |
//!
//! # Reboot
//!
//! The new process is started with the same arguments, and gets the listeners of the peers over a
//! socket in a private folder that the environment variable `TELEPORT_INHERIT` names. Its peers
//! listen as ever: [`listen_on`](crate::Peer::listen_on) takes a listener that was left for the
//! address, in the text in which the old process was asked for it, rather than bind a new one. When
//! it has taken all of them, or says so by [`ready`], the old process shuts down. Connections that
//! nobody has taken yet stay in the listener, so none is refused. A new process that cannot be
//! started, ends, or is not ready in time changes nothing: the old one goes on, and the reboot is an
//! error.
//!
//! Listeners that came by systemd's socket activation (`LISTEN_FDS`, `LISTEN_PID`) are taken by
//! their addresses in the same way, and `NOTIFY_SOCKET` is told `READY=1`, `STOPPING=1` and, after a
//! reboot, `MAINPID`.
//!
//! Listeners of other kinds, given to [`serve_listener`](crate::Peer::serve_listener), stay behind.

mod builder;
mod conductor;
mod ending;
mod handover;
mod inherit;
mod notify;
mod reboot;
mod signals;

pub use builder::{Graceful, GracefulBuilder};
pub use ending::{Cause, Ending};
pub(crate) use inherit::{claim, serves};

use crate::error::Error;
use crate::peer::Peer;

/// Says that this process is ready: listeners that were left to it and not taken are closed, and the
/// process that it replaces, or the service manager, is told.
///
/// Only a process that does not take all the listeners of its predecessor has to say so, or one that
/// listens on nothing; one that takes them is ready with the last of them, and one that has listeners
/// of its own when it has added them, whether a [`Graceful`] was started before or after.
///
/// # Cancel safety
///
/// Dropped early it may have said nothing.
pub async fn ready() {
    inherit::ready().await;
}

/// Waits for a signal and does what it says, with all defaults; see [`Graceful::builder`].
///
/// It is what the original calls `GraceSignal`.
///
/// # Errors
///
/// As of [`GracefulBuilder::start`].
///
/// # Cancel safety
///
/// Dropping the future does not stop it: the signals are still waited for.
///
/// # Examples
///
/// ```no_run
/// # async fn run(server: teleport::Peer) -> Result<(), teleport::Error> {
/// tokio::spawn({
///     let server = server.clone();
///     async move { teleport::graceful::on_signal(&server).await }
/// });
/// server.listen_and_serve().await
/// # }
/// ```
#[doc(alias = "GraceSignal")]
pub async fn on_signal(peer: &Peer) -> Result<Ending, Error> {
    Graceful::builder().peer(peer).run().await
}
