//! What becomes of the sessions of a peer, for applications that want to know.

use std::fmt;
use std::sync::OnceLock;
use std::time::Duration;

use tokio::sync::broadcast::{
    self,
    error::{RecvError, TryRecvError},
};

use super::Session;

/// How many events a receiver may be behind.
const BEHIND: usize = 1024;

/// Something that became of a session.
#[derive(Clone, Debug)]
#[non_exhaustive]
pub struct SessionEvent {
    /// The session.
    pub session: Session,
    /// What became of it.
    pub kind: SessionEventKind,
}

/// What became of a session.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum SessionEventKind {
    /// It is there: a connection was dialled or accepted, and no plugin refused it.
    Connected,
    /// Its connection is no more, and it dials again.
    #[non_exhaustive]
    Lost {
        /// Why.
        reason: String,
    },
    /// It is about to dial again.
    #[non_exhaustive]
    Redialling {
        /// Which attempt this is, from 1 on.
        attempt: u32,
        /// The pause before it.
        delay: Duration,
    },
    /// It has a connection again.
    #[non_exhaustive]
    Restored {
        /// How many attempts it took.
        attempts: u32,
        /// For how long there was no connection to call and push on.
        outage: Duration,
    },
    /// It is over.
    #[non_exhaustive]
    Closed {
        /// Why.
        reason: String,
        /// How many pushes were lost, though they were reported as queued: those of a session that
        /// gave up dialling, those that a plugin refused the second time, and those of which the other
        /// end said, when it shut down, that they came too late.
        pushes_lost: usize,
    },
}

/// Who tells of the sessions of a peer. Costs nothing while nobody listens.
#[derive(Debug, Default)]
pub(crate) struct Events(OnceLock<broadcast::Sender<SessionEvent>>);

impl Events {
    pub(crate) fn subscribe(&self) -> SessionEvents {
        let sender = self.0.get_or_init(|| broadcast::channel(BEHIND).0);
        SessionEvents {
            receiver: sender.subscribe(),
            only: None,
        }
    }

    /// Tells, if anybody listens.
    pub(super) fn tell(&self, make: impl FnOnce() -> (Session, SessionEventKind)) {
        if let Some(sender) = self.0.get().filter(|sender| sender.receiver_count() > 0) {
            let (session, kind) = make();
            // The last one who listened may just have gone.
            let _ = sender.send(SessionEvent { session, kind });
        }
    }
}

/// Receives what becomes of sessions, from the moment it was made on; see
/// [`Peer::session_events`](crate::Peer::session_events) and [`Session::events`].
///
/// It keeps up to 1024 events. One that is not received from for longer misses the oldest, and is
/// told so.
pub struct SessionEvents {
    receiver: broadcast::Receiver<SessionEvent>,
    /// The one session that is of interest.
    only: Option<Session>,
}

/// Why there is no event.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum EventsError {
    /// So many events were missed, of any session of the peer, because they were not received in
    /// time. The next ones are there.
    #[error("{0} session events were missed")]
    Missed(u64),
    /// There will be no more: the session is closed, or the peer is gone.
    #[error("there are no more session events")]
    Over,
}

impl SessionEvents {
    pub(super) fn only(self, session: Session) -> Self {
        Self {
            only: Some(session),
            ..self
        }
    }

    /// Waits for the next event.
    ///
    /// # Errors
    ///
    /// [`Missed`](EventsError::Missed) once, where events were missed; [`Over`](EventsError::Over)
    /// at the end.
    ///
    /// # Cancel safety
    ///
    /// Nothing is lost.
    ///
    /// # Examples
    ///
    /// ```
    /// use teleport::Peer;
    /// use teleport::session::SessionEventKind;
    ///
    /// # #[tokio::main(flavor = "current_thread")]
    /// # async fn main() -> Result<(), Box<dyn std::error::Error>> {
    /// let peer = Peer::builder().build()?;
    /// let mut events = peer.session_events();
    /// let (near, far) = tokio::io::duplex(1024);
    /// let session = peer.dial_conn(near).await?;
    /// assert_eq!(events.recv().await?.kind, SessionEventKind::Connected);
    /// drop(far);
    /// assert!(matches!(events.recv().await?.kind, SessionEventKind::Closed { .. }));
    /// # Ok(())
    /// # }
    /// ```
    pub async fn recv(&mut self) -> Result<SessionEvent, EventsError> {
        let Some(session) = self.only.clone() else {
            return self.receiver.recv().await.map_err(EventsError::from);
        };
        loop {
            let event = tokio::select! {
                biased;
                event = self.receiver.recv() => event?,
                // Its last event was received, or missed.
                () = session.closed() => match self.receiver.try_recv() {
                    Ok(event) => event,
                    Err(TryRecvError::Lagged(missed)) => return Err(EventsError::Missed(missed)),
                    Err(_) => return Err(EventsError::Over),
                },
            };
            if session.is_same(&event.session) {
                return Ok(event);
            }
        }
    }
}

impl From<RecvError> for EventsError {
    fn from(error: RecvError) -> Self {
        match error {
            RecvError::Lagged(missed) => Self::Missed(missed),
            RecvError::Closed => Self::Over,
        }
    }
}

impl fmt::Debug for SessionEvents {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("SessionEvents")
            .field("waiting", &self.receiver.len())
            .field("only", &self.only)
            .finish()
    }
}
