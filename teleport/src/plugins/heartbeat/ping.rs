//! The sender of heartbeats.

use std::collections::HashMap;
use std::fmt;
use std::sync::{Arc, Mutex, Weak};
use std::time::Duration;

use bytes::Bytes;
use tokio::time::{Instant, MissedTickBehavior, interval_at, timeout};

use super::{PATH, RATE_KEY, lock, talk};
use crate::codec::Raw;
use crate::peer::WeakPeer;
use crate::plugin::{Hook, Hooks, Plugin, PluginContainer};
use crate::{Error, ErrorKind, PeerConfig, PreSession, Session};

/// No end may ask for more heartbeats than one in so many seconds.
const LEAST_RATE: u64 = 3;

/// The receiver reads the rate as a number of seconds.
const LARGEST_RATE: u64 = u32::MAX as u64;

/// Sends heartbeats on the sessions of a peer, those that it dialled and those that it accepted.
///
/// Once per rate it looks at all sessions, and sends a heartbeat where no CALL or PUSH was sent or
/// received since the last look: the first one comes after one to two rates of silence. The rate
/// is at least 3 s, and whole seconds; another one is an error of
/// [`build`](crate::PeerBuilder::build). A longer rate costs less, and finds a dead end later.
///
/// By call the other end has to answer; an error is an answer as well. A session on which a
/// heartbeat has no reply for twice the rate, and nothing else came in that time, is aborted: its
/// calls fail with [`ErrorKind::Closed`]. By push the other end says nothing, and this one learns
/// nothing.
pub struct Ping {
    rate: Duration,
    by_call: bool,
    /// The peers that are looked after.
    peers: Arc<Mutex<Vec<WeakPeer>>>,
}

impl Ping {
    /// Sends heartbeats that are answered.
    #[must_use]
    pub fn by_call(rate: Duration) -> Self {
        Self::new(rate, true)
    }

    /// Sends heartbeats that are not answered: they keep a connection alive for whoever counts them,
    /// and tell this end nothing. To find dead ends, take [`by_call`](Self::by_call).
    #[must_use]
    pub fn by_push(rate: Duration) -> Self {
        Self::new(rate, false)
    }

    fn new(rate: Duration, by_call: bool) -> Self {
        Self {
            rate,
            by_call,
            peers: Arc::default(),
        }
    }

    /// Looks after the peer of a connection from now on, if nobody does yet. Peers are built
    /// outside of runtimes too; a connection is always in one.
    fn look_after(&self, session: &PreSession) {
        let peer = session.peer();
        let mut peers = lock(&self.peers);
        if peers.iter().any(|known| known.is_of(&peer)) {
            return;
        }
        let weak = peer.downgrade();
        peers.push(weak.clone());
        drop(peers);
        let seconds = self.rate.as_secs().clamp(LEAST_RATE, LARGEST_RATE);
        let beat = Beat {
            rate: Duration::from_secs(seconds),
            uri: format!("{PATH}?{RATE_KEY}={seconds}").into(),
            by_call: self.by_call,
        };
        let watch = Watch {
            peer: weak,
            peers: Arc::downgrade(&self.peers),
        };
        tokio::spawn(async move {
            watch.run(&beat).await;
            drop(watch);
        });
    }
}

impl fmt::Debug for Ping {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Ping")
            .field("rate", &self.rate)
            .field("by_call", &self.by_call)
            .finish_non_exhaustive()
    }
}

impl Plugin for Ping {
    fn name(&self) -> &'static str {
        "heartbeat_ping"
    }

    fn hooks(&self) -> Hooks {
        Hooks::PRE_NEW_PEER
            .union(Hooks::POST_DIAL)
            .union(Hooks::POST_ACCEPT)
    }

    fn pre_new_peer(&self, _: &mut PeerConfig, _: &mut PluginContainer) -> Result<(), Error> {
        let rate = self.rate;
        let seconds = rate.as_secs();
        if (LEAST_RATE..=LARGEST_RATE).contains(&seconds) && rate.subsec_nanos() == 0 {
            return Ok(());
        }
        Err(Error::new(
            ErrorKind::Config,
            format!(
                "the rate of heartbeats is {rate:?}; write whole seconds, from {LEAST_RATE} s to \
                 {LARGEST_RATE} s"
            ),
        ))
    }

    fn post_dial<'a>(&'a self, session: &'a mut PreSession) -> Hook<'a> {
        self.look_after(session);
        Hook::OK
    }

    fn post_accept<'a>(&'a self, session: &'a mut PreSession) -> Hook<'a> {
        self.look_after(session);
        Hook::OK
    }
}

/// What is sent, and how often.
#[derive(Clone)]
struct Beat {
    rate: Duration,
    uri: Arc<str>,
    by_call: bool,
}

impl Beat {
    /// Sends one heartbeat, and draws the conclusions.
    async fn send(self, session: Session) {
        if !session.is_connected() {
            return;
        }
        let nothing = || Raw(Bytes::new());
        if !self.by_call {
            // One that waits for room longer than this is overtaken by the next.
            if let Ok(Err(error)) = timeout(self.rate, session.push(&self.uri, nothing())).await {
                tracing::debug!(remote = %session.remote_address(), %error, "no heartbeat was sent");
            }
            return;
        }
        let before = session.traffic().received;
        let patience = self.rate.saturating_mul(2);
        let call = session.call::<Raw<Bytes>>(&self.uri, nothing());
        let Err(error) = call.timeout(patience).await else {
            return;
        };
        if error.kind() == ErrorKind::Timeout && session.traffic().received == before {
            session.drop_connection(format!("no answer to a heartbeat came within {patience:?}"));
        } else if session.health() {
            tracing::debug!(remote = %session.remote_address(), %error, "a heartbeat failed");
        }
    }
}

/// One timer for all sessions of a peer.
struct Watch {
    peer: WeakPeer,
    peers: Weak<Mutex<Vec<WeakPeer>>>,
}

impl Watch {
    /// Looks once per rate, until the peer is closed or forgotten.
    async fn run(&self, beat: &Beat) {
        let mut ticks = interval_at(Instant::now() + beat.rate, beat.rate);
        ticks.set_missed_tick_behavior(MissedTickBehavior::Delay);
        let mut seen = HashMap::new();
        loop {
            tokio::select! {
                biased;
                () = self.peer.closing() => return,
                _ = ticks.tick() => {}
            }
            let Some(peer) = self.peer.upgrade() else {
                return;
            };
            let sessions = peer.sessions().all();
            drop(peer);
            seen = look(beat, sessions, &seen);
        }
    }
}

/// The next connection has its peer looked after again, should this end before its peer: with its
/// runtime.
impl Drop for Watch {
    fn drop(&mut self) {
        if let Some(peers) = self.peers.upgrade() {
            lock(&peers).retain(|known| match self.peer.upgrade() {
                Some(peer) => !known.is_of(&peer),
                None => known.upgrade().is_some(),
            });
        }
    }
}

/// Sends heartbeats where nothing was said since the last look. Gives what was said so far, by the
/// numbers of the sessions.
fn look(beat: &Beat, sessions: Vec<Session>, before: &HashMap<u64, u64>) -> HashMap<u64, u64> {
    let mut seen = HashMap::with_capacity(sessions.len());
    for session in sessions.into_iter().filter(Session::health) {
        let number = session.number();
        let mut said = talk(&session);
        if before.get(&number) == Some(&said) {
            tokio::spawn(beat.clone().send(session));
            // The heartbeat itself.
            said = said.wrapping_add(1);
        }
        seen.insert(number, said);
    }
    seen
}
