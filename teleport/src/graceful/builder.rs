//! What can be said about the end of a program, before it is waited for.

use std::ffi::OsString;
use std::fmt;
use std::future::Future;
use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use tokio::runtime::Handle;
use tokio::sync::{mpsc, oneshot, watch};

use super::conductor::{self, Order, Step};
use super::ending::Ending;
use super::reboot::Successor;
use super::signals::Signals;
use crate::error::{Error, ErrorKind};
use crate::peer::Peer;

/// How long a shutdown may take, unless it is said.
const DEADLINE: Duration = Duration::from_secs(30);

/// How many orders may wait.
const ORDERS: usize = 16;

/// What can be said about the end of a program; see [`Graceful`].
#[must_use = "nothing is waited for until `start` or `run` is called"]
pub struct GracefulBuilder {
    pub(super) peers: Vec<Peer>,
    pub(super) deadline: Duration,
    pub(super) before: Vec<Step>,
    pub(super) after: Vec<Step>,
    signals: bool,
    successor: Option<Successor>,
    arguments: Option<Vec<OsString>>,
    environment: Vec<(OsString, OsString)>,
    ready_timeout: Duration,
}

impl GracefulBuilder {
    fn new() -> Self {
        Self {
            peers: Vec::new(),
            deadline: DEADLINE,
            before: Vec::new(),
            after: Vec::new(),
            signals: true,
            successor: None,
            arguments: None,
            environment: Vec::new(),
            ready_timeout: Duration::from_secs(30),
        }
    }

    /// Adds a peer to be shut down. All are shut down at the same time, and a reboot hands over the
    /// listeners of all of them.
    pub fn peer(mut self, peer: &Peer) -> Self {
        self.peers.push(peer.clone());
        self
    }

    /// How long the shutdown may take, the steps before it included. Default: 30 s. Whoever stops
    /// the program should wait some seconds longer than this.
    pub fn deadline(mut self, deadline: Duration) -> Self {
        self.deadline = deadline;
        self
    }

    /// Adds something to be done before the peers are shut down, while they still take connections:
    /// leaving a registry, say. Steps run one after the other. One that takes longer than the
    /// deadline is dropped.
    pub fn before<F>(mut self, step: impl FnOnce() -> F + Send + 'static) -> Self
    where
        F: Future<Output = ()> + Send + 'static,
    {
        self.before.push(Step::new(step));
        self
    }

    /// Adds something to be done after the peers are shut down. Steps run one after the other. They
    /// have 5 s, whatever is left of the deadline.
    pub fn after<F>(mut self, step: impl FnOnce() -> F + Send + 'static) -> Self
    where
        F: Future<Output = ()> + Send + 'static,
    {
        self.after.push(Step::new(step));
        self
    }

    /// Whether to wait for signals. Default: yes. Without them the program ends by
    /// [`Graceful::shutdown`] and [`Graceful::reboot`] alone.
    pub fn signals(mut self, signals: bool) -> Self {
        self.signals = signals;
        self
    }

    /// The program that a reboot starts. Default: this one, by the path that it was started with.
    pub fn program(mut self, program: impl Into<PathBuf>) -> Self {
        self.successor = Some(Successor {
            program: program.into(),
            arguments: Vec::new(),
            environment: Vec::new(),
            ready_timeout: self.ready_timeout,
        });
        self
    }

    /// The arguments of the program that a reboot starts. Default: those of this process.
    pub fn arguments<A: Into<OsString>>(mut self, arguments: impl IntoIterator<Item = A>) -> Self {
        self.arguments = Some(arguments.into_iter().map(Into::into).collect());
        self
    }

    /// Adds to the environment of the program that a reboot starts, which is otherwise that of this
    /// process.
    pub fn environment(mut self, key: impl Into<OsString>, value: impl Into<OsString>) -> Self {
        self.environment.push((key.into(), value.into()));
        self
    }

    /// How long the new process of a reboot may take until it is ready. Default: 30 s. Then it is
    /// killed, and this one goes on.
    pub fn ready_timeout(mut self, timeout: Duration) -> Self {
        self.ready_timeout = timeout;
        self
    }

    /// Begins to wait for signals and calls, in the background.
    ///
    /// A service manager that waits to be told (`Type=notify`) is told that the program is ready now,
    /// if a peer listens already; else when 100 ms have gone by since the last of the first listeners
    /// was added. Say it by [`ready`](super::ready) if that is too early, or if nothing is listened
    /// on.
    ///
    /// # Errors
    ///
    /// [`Config`](crate::ErrorKind::Config) outside of a runtime,
    /// [`Io`](crate::ErrorKind::Io) when the signals cannot be waited for, or this program is not to
    /// be found.
    pub fn start(self) -> Result<Graceful, Error> {
        let runtime = Handle::try_current().map_err(|e| {
            Error::config("the waiting for signals is started outside of a tokio runtime")
                .with_source(e)
        })?;
        let same = Successor::same().map_err(|e| {
            Error::new(ErrorKind::Io, "this program cannot be found").with_source(e)
        })?;
        let mut successor = match &self.successor {
            Some(successor) => Successor {
                arguments: same.arguments,
                ..successor.clone()
            },
            None => same,
        };
        if let Some(arguments) = self.arguments.clone() {
            successor.arguments = arguments;
        }
        successor.environment = self.environment.clone();
        successor.ready_timeout = self.ready_timeout;
        let signals = match self.signals {
            true => Signals::install()?,
            false => Signals::none(),
        };
        // Looked at now: what is listened on from here on has a moment to be complete.
        let is_listening = self.peers.iter().any(|peer| !peer.listeners().is_empty());
        let (orders, inbox) = mpsc::channel(ORDERS);
        let ending = Arc::new(watch::Sender::new(None));
        let graceful = Graceful {
            orders,
            ending: ending.subscribe(),
        };
        runtime.spawn(async move {
            let outcome = conductor::conduct(self, successor, signals, inbox, is_listening).await;
            ending.send_replace(Some(outcome));
        });
        Ok(graceful)
    }

    /// [`start`](Self::start)s, and waits until the program has ended.
    ///
    /// # Errors
    ///
    /// As of [`start`](Self::start).
    ///
    /// # Cancel safety
    ///
    /// Dropping the future does not stop what has been started.
    pub async fn run(self) -> Result<Ending, Error> {
        self.start()?.ended().await
    }
}

impl fmt::Debug for GracefulBuilder {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("GracefulBuilder")
            .field("peers", &self.peers)
            .field("deadline", &self.deadline)
            .finish_non_exhaustive()
    }
}

/// Ends a program in good order, or has another process go on in its place: by signals, and by
/// calls of this handle. Clones are the same.
///
/// # Examples
///
/// ```
/// # #[tokio::main]
/// # async fn main() -> Result<(), teleport::Error> {
/// use teleport::{Peer, graceful::{Cause, Graceful}};
///
/// let server = Peer::builder().build()?;
/// server.listen_on("127.0.0.1:0").await?;
/// let graceful = Graceful::builder().peer(&server).start()?;
/// // From wherever the program finds out that it should end:
/// graceful.shutdown();
///
/// let ending = graceful.ended().await?;
/// assert_eq!(ending.cause, Cause::Call);
/// assert!(ending.is_complete(), "{ending}");
/// # Ok(())
/// # }
/// ```
#[derive(Clone, Debug)]
pub struct Graceful {
    orders: mpsc::Sender<Order>,
    ending: watch::Receiver<Option<Ending>>,
}

impl Graceful {
    /// Starts the building.
    pub fn builder() -> GracefulBuilder {
        GracefulBuilder::new()
    }

    /// Ends the program, as `SIGTERM` does; while it ends, cuts off at once what is left.
    pub fn shutdown(&self) {
        // More orders than there is room for say the same.
        let _ = self.orders.try_send(Order::Shutdown);
    }

    /// Has another process go on, as `SIGUSR2` does, and returns its number when it has taken over.
    /// This one then shuts down; wait for [`ended`](Self::ended).
    ///
    /// # Errors
    ///
    /// Why there was no reboot; then this process goes on as before. [`Io`](crate::ErrorKind::Io) when
    /// the new process cannot be started, or ended too early,
    /// [`Timeout`](crate::ErrorKind::Timeout) when it was not ready in time,
    /// [`Busy`](crate::ErrorKind::Busy) while another reboot is under way, and
    /// [`Closed`](crate::ErrorKind::Closed) while this process shuts down.
    ///
    /// # Cancel safety
    ///
    /// The reboot goes on when the future is dropped.
    pub async fn reboot(&self) -> Result<u32, Error> {
        let (told, outcome) = oneshot::channel();
        let gone = || Error::closed("the program has ended; it cannot be rebooted");
        let sent = self.orders.send(Order::Reboot(told)).await;
        sent.map_err(|_| gone())?;
        outcome.await.map_err(|_| gone())?
    }

    /// Waits until the peers are shut down.
    ///
    /// # Errors
    ///
    /// [`Closed`](crate::ErrorKind::Closed) when the runtime in which this was started is gone.
    ///
    /// # Cancel safety
    ///
    /// It changes nothing.
    pub async fn ended(&self) -> Result<Ending, Error> {
        let mut ending = self.ending.clone();
        let ended = ending.wait_for(Option::is_some).await;
        ended
            .ok()
            .and_then(|ending| ending.clone())
            .ok_or_else(|| Error::closed("the runtime ended before the program did"))
    }
}
