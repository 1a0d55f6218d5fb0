//! What the handles, sessions and tasks of a peer have in common.

use std::fmt;
use std::sync::Arc;
use std::time::Duration;

use tokio::sync::Semaphore;
use tokio_util::sync::CancellationToken;
use tokio_util::task::TaskTracker;

use super::PeerConfig;
use super::listening::Listeners;
use super::shutdown::Shutdown;
use crate::context::OnCancel;
use crate::proto::{Env, Proto};
use crate::router::Router;
use crate::session::{Bounds, Events, Hub, Inner, LogStyle, Sweeper, Tally};
use crate::socket::Network;
#[cfg(feature = "tls")]
use crate::socket::tls::{TlsClient, TlsServer};

/// What the handles, sessions and tasks of a peer share.
pub(crate) struct Shared {
    pub(super) config: PeerConfig,
    pub(super) network: Network,
    #[cfg(feature = "tls")]
    pub(super) tls_server: Option<TlsServer>,
    #[cfg(feature = "tls")]
    pub(super) tls_client: Option<TlsClient>,
    pub(super) listeners: Listeners,
    /// The room for accepted connections in their handshakes.
    pub(super) handshakes: Arc<Semaphore>,
    pub(super) env: Arc<Env>,
    pub(super) handshake_env: Arc<Env>,
    pub(super) proto: Arc<dyn Proto>,
    pub(super) router: Router,
    pub(super) hub: Hub,
    pub(super) sweeper: Sweeper,
    pub(super) tasks: TaskTracker,
    pub(super) closing: CancellationToken,
    pub(super) shutdown: Shutdown,
    pub(super) events: Events,
    pub(super) defaults: CallDefaults,
}

/// What a call is unless it says otherwise.
#[derive(Clone, Copy, Debug)]
pub(crate) struct CallDefaults {
    pub(crate) codec: u8,
    pub(crate) timeout: Option<Duration>,
    pub(crate) propagate: bool,
}

impl Shared {
    pub(crate) fn config(&self) -> &PeerConfig {
        &self.config
    }

    pub(crate) fn on_cancel(&self) -> OnCancel {
        self.config.on_cancel
    }

    #[inline]
    pub(crate) fn env(&self) -> &Env {
        &self.env
    }

    #[inline]
    pub(crate) fn router(&self) -> &Router {
        &self.router
    }

    pub(crate) fn hub(&self) -> &Hub {
        &self.hub
    }

    pub(crate) fn events(&self) -> &Events {
        &self.events
    }

    pub(crate) fn sweeper(&self) -> &Sweeper {
        &self.sweeper
    }

    pub(crate) fn tasks(&self) -> &TaskTracker {
        &self.tasks
    }

    pub(crate) fn is_closing(&self) -> bool {
        self.closing.is_cancelled()
    }

    /// Whether the peer shuts down, and sessions are still being made of connections that came
    /// before.
    pub(crate) fn is_draining(&self) -> bool {
        self.shutdown.is_draining()
    }

    /// What the shutdown counts.
    pub(crate) fn tally(&self) -> &Tally {
        self.shutdown.tally()
    }

    /// A connection is at its end while handlers of it run; a shutdown waits for those too.
    pub(crate) fn note_apart(&self, inner: &Arc<Inner>) {
        self.shutdown.note_apart(inner);
    }

    /// Waits until a shutdown does not wait any more for connections that are not sessions yet.
    pub(crate) async fn turns_away(&self) {
        self.shutdown.late().await;
    }

    /// Waits until the shutdown waits for nothing any more.
    pub(crate) async fn over(&self) {
        self.shutdown.over().await;
    }

    #[inline]
    pub(crate) fn call_defaults(&self) -> CallDefaults {
        self.defaults
    }

    pub(crate) fn log_style(&self) -> LogStyle {
        LogStyle {
            count_time: self.config.count_time,
            print_detail: self.config.print_detail,
            slow: self.config.slow_comet_duration,
        }
    }

    #[inline]
    pub(crate) fn bounds(&self) -> Bounds {
        Bounds {
            soft_queue: self.config.queue_limit.max(1),
            hard_queue: self.config.reply_queue_limit.max(1),
            running: self.config.max_running_handlers.max(1),
            in_flight: self.config.max_calls_in_flight.max(1),
            stall: self.config.stall_timeout,
        }
    }
}

impl fmt::Debug for Shared {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Shared")
            .field("config", &self.config)
            .finish_non_exhaustive()
    }
}
