//! The receiver of heartbeats.

use std::collections::HashMap;
use std::fmt;
use std::sync::{Arc, Mutex, Weak};
use std::time::Duration;

use bytes::Bytes;
use tokio::sync::Notify;
use tokio::time::{Instant, sleep_until};

use super::{PATH, RATE_KEY, lock, talk};
use crate::codec::{self, Raw};
use crate::plugin::{Hook, Hooks, Plugin};
use crate::rerror::code;
use crate::router::{UnknownCallHandler, UnknownPushHandler};
use crate::session::WeakSession;
use crate::{Error, Peer, Rerror, Session, UnknownCallCtx, UnknownPushCtx};

/// Looks that are due within this time are taken together.
const GRAIN: Duration = Duration::from_secs(1);

/// A session is looked at at least this often, whatever rate its other end says.
const LONGEST_LOOK: Duration = Duration::from_secs(60);

/// Answers heartbeats, and closes the connections on which they stop.
///
/// It registers `/heartbeat` for calls and pushes when the peer is built. The first heartbeat with
/// a rate makes it watch the session: with no CALL or PUSH, either way, for twice that rate the
/// session is aborted. It looks once per rate, so that takes two to three rates.
///
/// A later heartbeat may set another rate; one without a rate, or of rate 0, leaves it. What is no
/// number, or a negative one, is error 400 `Invalid Heartbeat Rate` while no rate is known, and
/// ignored later.
#[derive(Default)]
pub struct Pong {
    watch: Arc<Watch>,
}

impl Pong {
    /// Makes the plugin.
    #[must_use]
    pub fn new() -> Self {
        Self::default()
    }
}

impl fmt::Debug for Pong {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Pong").finish_non_exhaustive()
    }
}

impl Plugin for Pong {
    fn name(&self) -> &'static str {
        "heartbeat_pong"
    }

    fn hooks(&self) -> Hooks {
        Hooks::POST_NEW_PEER.union(Hooks::POST_DISCONNECT)
    }

    fn post_new_peer(&self, peer: &Peer) -> Result<(), Error> {
        peer.route_call_raw(PATH, Answer(Arc::clone(&self.watch)))?;
        peer.route_push_raw(PATH, Answer(Arc::clone(&self.watch)))?;
        Ok(())
    }

    fn post_disconnect<'a>(&'a self, session: &'a Session) -> Hook<'a> {
        lock(&self.watch.state).watched.remove(&session.number());
        Hook::OK
    }
}

/// The handler of heartbeats.
struct Answer(Arc<Watch>);

impl UnknownCallHandler for Answer {
    type Reply = Raw<Bytes>;

    async fn handle<'a>(&'a self, ctx: &'a mut UnknownCallCtx) -> Result<Raw<Bytes>, Rerror> {
        self.0.hear(ctx.session(), ctx.query(RATE_KEY))?;
        // What the original makes of nothing.
        Ok(Raw(match ctx.reply_body_codec() {
            codec::JSON => Bytes::from_static(b"null"),
            _ => Bytes::new(),
        }))
    }
}

impl UnknownPushHandler for Answer {
    async fn handle<'a>(&'a self, ctx: &'a mut UnknownPushCtx) -> Result<(), Rerror> {
        self.0.hear(ctx.session(), ctx.query(RATE_KEY))
    }
}

/// The sessions that sent heartbeats.
#[derive(Default)]
struct Watch {
    state: Mutex<State>,
    sooner: Notify,
}

#[derive(Default)]
struct State {
    /// By the numbers of the sessions.
    watched: HashMap<u64, Watched>,
    /// When the timer looks next, while there is one.
    next: Option<Instant>,
}

struct Watched {
    session: WeakSession,
    rate: Duration,
    /// What was said when it was last looked at, and since when that has not changed.
    said: u64,
    quiet_since: Instant,
    look_at: Instant,
}

impl Watch {
    /// Takes a heartbeat.
    fn hear(self: &Arc<Self>, session: &Session, rate: Option<&str>) -> Result<(), Rerror> {
        let text = rate.unwrap_or_default();
        let mut state = lock(&self.state);
        let seconds = match seconds(text) {
            Some(seconds) => seconds,
            None if state.watched.contains_key(&session.number()) => 0,
            None => {
                return Err(Rerror::new(
                    code::BAD_MESSAGE,
                    "Invalid Heartbeat Rate",
                    text.to_owned(),
                ));
            }
        };
        // A session that is closed is not looked after any more, and nobody would forget it.
        if seconds == 0 || !session.health() {
            return Ok(());
        }
        let now = Instant::now();
        let rate = Duration::from_secs(seconds);
        let look_at = now + rate.min(LONGEST_LOOK);
        let watched = Watched {
            session: session.downgrade(),
            rate,
            said: talk(session),
            quiet_since: now,
            look_at,
        };
        state.watched.insert(session.number(), watched);
        match state.next {
            None => {
                state.next = Some(look_at);
                let timer = Timer(Arc::downgrade(self));
                tokio::spawn(async move { timer.run().await });
            }
            Some(next) if look_at < next => {
                state.next = Some(look_at);
                self.sooner.notify_one();
            }
            Some(_) => {}
        }
        Ok(())
    }

    /// Looks at those whose time has come, and says when to look again.
    fn look(&self) -> Option<Instant> {
        let now = Instant::now();
        let mut gone = Vec::new();
        let mut state = lock(&self.state);
        state.watched.retain(|_, watched| {
            if now < watched.look_at {
                return true;
            }
            let Some(session) = watched.session.upgrade() else {
                return false;
            };
            if !watched.is_gone(&session, now) {
                return true;
            }
            gone.push((session, watched.rate));
            false
        });
        let first = state.watched.values().map(|watched| watched.look_at).min();
        state.next = first.map(|at| at.max(now + GRAIN));
        let next = state.next;
        drop(state);
        for (session, rate) in gone {
            session.drop_connection(format!(
                "no heartbeat, CALL or PUSH came or went for twice the rate of {rate:?}"
            ));
        }
        next
    }
}

impl Watched {
    /// Whether nothing was said for too long.
    fn is_gone(&mut self, session: &Session, now: Instant) -> bool {
        let said = talk(session);
        if said != self.said {
            self.said = said;
            self.quiet_since = now;
        }
        self.look_at = now + self.rate.min(LONGEST_LOOK);
        now.saturating_duration_since(self.quiet_since) >= self.rate.saturating_mul(2)
    }
}

/// The seconds of a rate; `None` for what is no number, or a negative one.
fn seconds(text: &str) -> Option<u64> {
    if text.is_empty() {
        return Some(0);
    }
    let number: i64 = text.parse().ok()?;
    number.try_into().ok()
}

/// Looks as long as there are sessions to look at.
struct Timer(Weak<Watch>);

impl Timer {
    async fn run(mut self) {
        loop {
            let Some(watch) = self.0.upgrade() else {
                return;
            };
            let Some(next) = lock(&watch.state).next else {
                return;
            };
            let is_sooner = tokio::select! {
                () = sleep_until(next) => false,
                () = watch.sooner.notified() => true,
            };
            if !is_sooner && watch.look().is_none() {
                // Another one may have been started since.
                self.0 = Weak::new();
                return;
            }
        }
    }
}

/// The next heartbeat starts another timer, should this one end with its runtime.
impl Drop for Timer {
    fn drop(&mut self) {
        if let Some(watch) = self.0.upgrade() {
            lock(&watch.state).next = None;
        }
    }
}

#[cfg(test)]
mod tests {
    use super::seconds;

    #[test]
    fn a_rate_is_a_whole_number_of_seconds() {
        for (text, due) in [
            ("", Some(0)),
            ("0", Some(0)),
            ("-0", Some(0)),
            ("5", Some(5)),
            ("+5", Some(5)),
            ("05", Some(5)),
            ("9223372036854775807", Some(i64::MAX.unsigned_abs())),
            ("9223372036854775808", None),
            ("-1", None),
            ("-4", None),
            ("bad", None),
            ("5s", None),
            (" 5", None),
            ("5.0", None),
            ("1e3", None),
            ("0x5", None),
        ] {
            assert_eq!(seconds(text), due, "{text:?}");
        }
    }
}
