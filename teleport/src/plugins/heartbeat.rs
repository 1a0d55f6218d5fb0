//! Signs of life on connections where nothing else is said.
//!
//! [`Ping`] sends a heartbeat whenever a session was silent for its rate; [`Pong`] answers
//! heartbeats, and closes connections on which they stop. Either end, or both, may have either. A
//! heartbeat is a CALL or a PUSH to `/heartbeat?hb_=<rate in seconds>` with an empty body, as
//! that of Go's Teleport v4.
//!
//! Only CALLs and PUSHes count as talk, in both directions: an end that pings stops as soon as
//! anything else is said, and takes up again when that stops.
//!
//! | who | finds out that the other end is gone | and closes |
//! |---|---|---|
//! | `Ping` by call | by a heartbeat that is not answered, though nothing else came either | twice the rate after that heartbeat |
//! | `Ping` by push | not at all by itself; the operating system does, minutes later, because nobody takes the bytes | when it does |
//! | `Pong` | by twice the rate without a CALL or PUSH, once it knows a rate | two to three rates after the last one |
//!
//! Neither has a hook that messages run through: they cost a message nothing. One timer looks
//! after all sessions of a peer.
//!
//! # Examples
//!
//! ```
//! use std::time::Duration;
//! use teleport::Peer;
//! use teleport::plugins::heartbeat::{Ping, Pong};
//!
//! # fn main() -> Result<(), teleport::Error> {
//! let server = Peer::builder().plugin(Pong::new()).build()?;
//! let ping = Ping::by_call(Duration::from_secs(30));
//! let client = Peer::builder().plugin(ping).build()?;
//! # drop((server, client));
//! # Ok(())
//! # }
//! ```

mod ping;
mod pong;

pub use ping::Ping;
pub use pong::Pong;

use std::sync::{Mutex, MutexGuard, PoisonError};

use crate::Session;

/// The path of heartbeats.
pub const PATH: &str = "/heartbeat";

/// The query parameter that has the sender's rate in whole seconds.
pub const RATE_KEY: &str = "hb_";

/// How many CALLs and PUSHes a session has seen, in both directions.
fn talk(session: &Session) -> u64 {
    let traffic = session.traffic();
    traffic.received.wrapping_add(traffic.sent)
}

/// Locks, also when somebody panicked meanwhile: what is behind these locks is whole at all times.
fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}
