//! Sessions: connections that are being read, and on which either side calls and pushes.
//!
//! A session is one task, which reads, runs handlers where their messages stand, and looks after
//! the outbound queue, and one shared block of state, which [`Session`] is a handle to.

use std::fmt;
use std::sync::Arc;
use std::sync::{RwLockReadGuard, RwLockWriteGuard};
use std::time::Duration;

use crate::codec::ToBody;
use crate::error::Error;
use crate::peer::Peer;
use crate::read_lock;
use crate::socket::Address;
use crate::swap::Swap;
use crate::write_lock;

mod again;
mod answer;
mod batch;
mod call;
mod caller;
mod calls;
mod cancels;
mod control;
mod cuts;
mod dispatch;
mod drain;
mod events;
mod guard;
mod hub;
mod inner;
mod launch;
mod limited;
mod line;
mod log;
mod options;
mod outbound;
mod pre;
mod push;
mod redial;
mod scratch;
mod slow;
mod sweep;
mod task;
mod traffic;
mod unwritten;
mod waiting;

pub use call::{Call, CallCanceller, CallCmd, CallFuture, Reply};
pub use caller::{Caller, CallerExt, Calling, RawReply, Request};
pub(crate) use drain::Tally;
pub(crate) use events::Events;
pub use events::{EventsError, SessionEvent, SessionEventKind, SessionEvents};
pub use guard::Guard;
pub(crate) use hub::Hub;
pub use hub::{Broadcast, Sessions};
pub(crate) use inner::{Bounds, Inner};
pub(crate) use line::Line;
pub(crate) use log::Style as LogStyle;
pub use pre::PreSession;
pub use push::{Push, PushFuture};
pub use redial::{Backoff, Redial};
pub(crate) use sweep::Sweeper;
pub use traffic::{Traffic, WeakSession};

/// A connection on which either side calls and pushes. A cheap handle: clones are the same
/// session.
///
/// Dropping the last handle does not close the connection; [`close`](Self::close) does, or the
/// other end, or the closing of the peer.
///
/// # Sessions that dial again
///
/// A session that was dialled may dial again when its connection is lost; see
/// [`Dial::redial`](crate::peer::Dial::redial). It stays the same session, with its name, its data
/// and the count of its sequence, and goes on until it is closed on this side, gives up, or its
/// peer closes. Meanwhile calls and pushes wait, within bounds. What was under way:
///
/// - a call that was not written whole, or that the other end says it did not run, is made again by
///   itself, within its own timeout;
/// - so is one that is marked [`idempotent`](Call::idempotent);
/// - any other fails with [`Closed`](crate::ErrorKind::Closed), because the other peer may have
///   handled it;
/// - a push that was queued, and not written whole, goes out on the next connection, before all
///   others; one that was written is not sent again.
///
/// A reply of a handler that ran goes the way of its own connection, and is lost with it.
///
/// # Examples
///
/// ```no_run
/// # async fn run(cli: teleport::Peer) -> Result<(), teleport::Error> {
/// let session = cli.dial("127.0.0.1:9090").await?;
/// let sum: i64 = session.call("/math/add", [1, 2, 3]).await?;
/// session.push("/push/status", "added").await?;
/// session.close().await;
/// # Ok(())
/// # }
/// ```
#[derive(Clone)]
pub struct Session(pub(crate) Arc<Inner>);

impl Session {
    /// The peer that this session belongs to.
    #[must_use]
    pub fn peer(&self) -> Peer {
        self.0.peer()
    }

    /// The name of the session on its peer: the address of the other end for a session that was
    /// accepted, the local address for one that was dialled, until it is set.
    #[must_use]
    pub fn id(&self) -> Arc<str> {
        self.0.id()
    }

    /// Gives the session another name, under which its peer finds it. A session that has the name
    /// already is closed, as when somebody logs in a second time.
    pub fn set_id(&self, id: impl AsRef<str>) {
        self.0.set_id(id.as_ref());
    }

    /// The local address, of the connection that this handle was made with; see
    /// [`current`](Self::current).
    #[must_use]
    pub fn local_address(&self) -> &Address {
        &self.0.local
    }

    /// A handle whose addresses are those of the newest connection of the session. Calls and pushes
    /// by an older one go there too, by a small detour.
    #[must_use]
    pub fn current(&self) -> Self {
        Self(self.0.newest())
    }

    /// The address of the other end, of the connection that this handle was made with.
    #[must_use]
    pub fn remote_address(&self) -> &Address {
        &self.0.remote
    }

    /// What was agreed on with the other end, its certificates among it, if the connection is
    /// encrypted.
    #[cfg(feature = "tls")]
    #[cfg_attr(docsrs, doc(cfg(feature = "tls")))]
    #[must_use]
    pub fn tls(&self) -> Option<Arc<crate::socket::tls::TlsInfo>> {
        self.0.tls.clone()
    }

    /// Lends the descriptor of the connection, to set or to read what is not offered here.
    ///
    /// It is a duplicate, made for this and closed at the end: what is set on it holds for the
    /// connection, and it is never another connection's. Do not read, write or shut it.
    ///
    /// # Errors
    ///
    /// [`Io`](crate::ErrorKind::Io) when the session is closed, its connection is no socket of the
    /// system, or no descriptor is free.
    ///
    /// # Examples
    ///
    /// ```no_run
    /// # fn run(session: teleport::Session) -> Result<(), Box<dyn std::error::Error>> {
    /// // How many hops a packet may take.
    /// session.with_fd(|fd| socket2::SockRef::from(&fd).set_ttl_v4(8))??;
    /// # Ok(())
    /// # }
    /// ```
    #[cfg(unix)]
    pub fn with_fd<T>(
        &self,
        look: impl FnOnce(std::os::fd::BorrowedFd<'_>) -> T,
    ) -> Result<T, Error> {
        use std::os::fd::AsFd as _;
        let descriptor = self
            .0
            .newest()
            .out
            .duplicate()
            .map_err(Error::no_descriptor)?;
        Ok(look(descriptor.as_fd()))
    }

    /// The id and the name of the protocol that is spoken. Where the port speaks [`AnyOf`] several
    /// it is the first of these until somebody has said something.
    ///
    /// [`AnyOf`]: crate::proto::AnyOf
    #[must_use]
    pub fn proto(&self) -> (u8, &'static str) {
        let chosen = self.0.pack.chosen();
        chosen.unwrap_or_else(|| self.0.proto.version())
    }

    /// Data of the session's own, to be read. Holds a lock: do not keep it across an `await`.
    pub fn swap(&self) -> RwLockReadGuard<'_, Swap> {
        read_lock(self.0.swap())
    }

    /// Data of the session's own, to be changed. Holds a lock: do not keep it across an `await`.
    pub fn swap_mut(&self) -> RwLockWriteGuard<'_, Swap> {
        write_lock(self.0.swap())
    }

    /// The longest life of the contexts of this session; zero: no limit.
    #[must_use]
    pub fn context_age(&self) -> Duration {
        self.0.newest().context_age()
    }

    /// Sets how long the handling of a message of this session may take, from its first hook to
    /// the writing of its reply, and how long calls of this side wait for theirs unless they say so
    /// themselves; zero: no limit. It holds for messages read and calls made from now on.
    pub fn set_context_age(&self, age: Duration) {
        self.0.newest().set_context_age(age);
    }

    /// The longest life of this session; zero: no limit.
    #[must_use]
    pub fn session_age(&self) -> Duration {
        self.0.newest().session_age()
    }

    /// Sets the longest life of this session, counted from now, and not made longer by messages;
    /// zero: no limit. At its end nothing more is read, calls in flight fail with
    /// [`ErrorKind::Closed`](crate::ErrorKind::Closed), handlers that run finish and reply, and the
    /// connection is closed. Looked at about every 10 ms.
    ///
    /// A session that dials again has the age for each of its connections: at its end another takes
    /// the place of the old one, which stays until all that is under way on it is done.
    pub fn set_session_age(&self, age: Duration) {
        self.0.newest().set_session_age(age);
    }

    /// Whether calls and pushes can be made. So they can while a session dials again.
    #[must_use]
    #[doc(alias = "is_ok")]
    pub fn health(&self) -> bool {
        self.0.is_open() || self.0.line().is_some_and(|line| line.goes_on())
    }

    /// Whether calls and pushes go out now; not while the session dials again.
    #[must_use]
    pub fn is_connected(&self) -> bool {
        self.0.newest().is_open()
    }

    /// How many calls of this side wait for their reply, on any connection of the session.
    #[must_use]
    pub fn calls_in_flight(&self) -> usize {
        self.sum(|inner| inner.calls.in_flight())
    }

    /// How many calls and pushes wait for the session to have a connection again.
    #[must_use]
    pub fn waiting(&self) -> usize {
        self.0.line().map_or(0, |line| line.waiting())
    }

    /// How many handlers of this session are waiting for something, hooks and replies that wait for
    /// room included.
    #[must_use]
    pub fn running_handlers(&self) -> usize {
        self.sum(Inner::running)
    }

    /// How many bytes wait to be written.
    #[must_use]
    pub fn queued_bytes(&self) -> usize {
        self.sum(|inner| inner.out.queued())
    }

    /// The memory that the session holds for bytes to be read, written, or replied, in bytes. An idle
    /// session holds no buffers; one that has called keeps the places of a few calls.
    #[must_use]
    pub fn held_bytes(&self) -> usize {
        self.sum(Inner::held)
    }

    /// A sum over all connections of the session that are not at their end.
    fn sum(&self, count: impl Fn(&Inner) -> usize) -> usize {
        match self.0.line() {
            Some(line) => line.alive().iter().map(|inner| count(inner)).sum(),
            None => count(&self.0),
        }
    }

    /// What becomes of this session from now on.
    ///
    /// # Examples
    ///
    /// ```
    /// use teleport::Peer;
    /// use teleport::session::{EventsError, SessionEventKind};
    ///
    /// # #[tokio::main(flavor = "current_thread")]
    /// # async fn main() -> Result<(), Box<dyn std::error::Error>> {
    /// let (near, _far) = tokio::io::duplex(1024);
    /// let session = Peer::builder().build()?.dial_conn(near).await?;
    /// let mut events = session.events();
    /// session.abort();
    /// assert!(matches!(events.recv().await?.kind, SessionEventKind::Closed { .. }));
    /// assert_eq!(events.recv().await.err(), Some(EventsError::Over));
    /// # Ok(())
    /// # }
    /// ```
    #[must_use]
    pub fn events(&self) -> SessionEvents {
        self.0.shared.events().subscribe().only(self.clone())
    }

    /// Whether both are handles of one session.
    #[must_use]
    pub fn is_same(&self, other: &Self) -> bool {
        match (self.0.line(), other.0.line()) {
            (Some(line), Some(other)) => Arc::ptr_eq(line, other),
            _ => self.0.number == other.0.number,
        }
    }

    /// Calls the other peer.
    ///
    /// Await what this returns for the body of the reply, or set more about the call first; see
    /// [`Call`]. `R` is what the reply's body is decoded into.
    ///
    /// # Cancel safety
    ///
    /// Dropping the future frees the call's place at once; a reply that arrives later finds
    /// nobody. The other peer may have handled the call; it is told to stop under
    /// [`propagate`](crate::PeerConfig::propagate).
    pub fn call<'a, R>(
        &'a self,
        uri: &'a str,
        body: impl ToBody + 'a,
    ) -> Call<'a, R, impl ToBody + 'a> {
        Call::new(self, uri, body)
    }

    /// Pushes to the other peer, which gives no answer.
    ///
    /// Await what this returns, or set more about the push first; see [`Push`]. It is done when
    /// the message is written or queued behind others.
    ///
    /// # Cancel safety
    ///
    /// Dropped before it is done, the message was either queued as a whole or not at all.
    pub fn push<'a>(&'a self, uri: &'a str, body: impl ToBody + 'a) -> Push<'a, impl ToBody + 'a> {
        Push::new(self, uri, body)
    }

    /// Closes the session in good order: no new calls; handlers that run finish and reply, the
    /// calls of this side get their replies; then what is queued is written, and the connection
    /// is shut. Returns when all of this is done.
    ///
    /// The closing begins with the call; the future only waits for its end. A handler that awaited
    /// it for its own session would wait for itself: `drop(session.close())` is for there.
    ///
    /// # Cancel safety
    ///
    /// The closing goes on when the future is dropped.
    pub fn close(&self) -> impl Future<Output = ()> + Send + '_ {
        self.0.begin_close("closed by this side");
        self.closed()
    }

    /// Closes the connection at once. Calls in flight fail, and replies of running handlers are
    /// lost.
    pub fn abort(&self) {
        self.0.abort_session("closed by this side at once");
    }

    /// Does the same as [`abort`](Self::abort), and says why: calls in flight fail with this
    /// reason, and the log has it.
    pub fn abort_with(&self, reason: impl Into<String>) {
        self.0.abort_for(&reason.into());
    }

    /// Waits until nothing more comes from the other end: it closed its side, the connection broke, or
    /// this side closed it at once. Handlers that run may still answer one that only closed its
    /// sending half.
    ///
    /// # Cancel safety
    ///
    /// It changes nothing.
    pub async fn lost(&self) {
        self.0.lost().await;
    }

    /// Gives up the connection that this handle was made with, and says why: for whoever finds out
    /// that nobody is at its other end. A session that dials again goes on with another; any other
    /// is [`abort`](Self::abort)ed.
    pub fn drop_connection(&self, reason: impl Into<String>) {
        self.0.drop_for(&reason.into());
    }

    /// Waits until the session is closed, by whomever; for good, if it dials again.
    ///
    /// # Cancel safety
    ///
    /// It changes nothing.
    pub async fn closed(&self) {
        match self.0.line() {
            Some(line) => line.ended().await,
            None => self.0.closed().await,
        }
    }

    /// Why the session was closed; `None` while it is open.
    #[must_use]
    pub fn close_reason(&self) -> Option<String> {
        match self.0.line() {
            Some(line) => line.close_reason(),
            None => self.0.close_reason(),
        }
    }

    pub(crate) fn inner(&self) -> &Inner {
        &self.0
    }

    #[cold]
    pub(crate) fn closed_error(&self) -> Error {
        let why = self
            .0
            .close_reason()
            .unwrap_or_else(|| "the session is closing".to_owned());
        Error::closed(format!(
            "the session with {} is closed: {why}",
            self.0.remote
        ))
        .with_meta(self.0.refusal())
    }
}

impl fmt::Debug for Session {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Session")
            .field("id", &self.id())
            .field("local", &self.0.local)
            .field("remote", &self.0.remote)
            .field("open", &self.0.is_open())
            .finish()
    }
}
