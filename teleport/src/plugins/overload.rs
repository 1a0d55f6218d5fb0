//! Limits of what a peer, a source address or a route takes at once.
//!
//! [`Overload`] turns away what is too much before it costs anything: sessions, calls per second,
//! calls that run. A call is answered by error 503, with a hint in the metadata
//! [`X-Retry-After-Ms`](RETRY_AFTER_MS) when to try again, which callers find by
//! [`Error::retry_after`](crate::Error::retry_after); its session lives on. A push is never
//! answered: one that is too much is dropped, and logged. A connection is told, and closed.
//!
//! Limits can be [changed](Overload::change_in_all) while they count, and what was counted can be
//! [read](Overload::stats).
//!
//! On a peer the plugin counts every message, those without a route included; on a group or a
//! handler it counts what is routed there. Clones count together, by the same limits.

mod load;
mod meter;
mod sources;

use std::borrow::Cow;
use std::fmt;
use std::net::IpAddr;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, AtomicUsize, Ordering};
use std::time::Duration;

use load::Limits;
pub use load::Load;
use meter::{Meter, Permit, Refusal, Seat};
use sources::Sources;

use crate::message::Mtype;
use crate::message::meta::RETRY_AFTER_MS;
use crate::plugin::{Hook, Hooks, Plugin, PluginContainer, Scope};
use crate::router::HandlerInfo;
use crate::{Error, ErrorKind, Meta, PeerConfig, PreSession, ReadCtx, Rerror, Session, WriteCtx};

/// Refuses sessions and messages that are too much.
///
/// # Examples
///
/// ```
/// use teleport::plugins::overload::{Load, Overload};
/// use teleport::{Peer, controller};
///
/// #[controller]
/// async fn report(year: u32) -> String {
///     format!("all of {year}")
/// }
///
/// # #[tokio::main(flavor = "current_thread")]
/// # async fn main() -> Result<(), teleport::Error> {
/// let overload = Overload::new()
///     .in_all(Load::new().sessions(10_000).running(2_000))
///     .per_source(Load::new().sessions(100).per_second(500).burst(1_000));
/// let server = Peer::builder().plugin(overload.clone()).build()?;
/// // One route may take less.
/// let one = Overload::new().in_all(Load::new().running(1));
/// server.with(one).route_call_fn(report)?;
/// assert_eq!(overload.stats().refused_calls(), 0);
/// # Ok(())
/// # }
/// ```
#[derive(Clone)]
pub struct Overload {
    name: String,
    /// What was limited at first, which decides on the hooks.
    in_all: Load,
    per_source: Load,
    hint: Duration,
    shared: Arc<Shared>,
}

/// What clones count together.
struct Shared {
    in_all: Limits,
    per_source: Limits,
    all: Arc<Meter>,
    sources: Sources,
    refused_sessions: AtomicU64,
    refused_by_rate: AtomicU64,
    refused_by_running: AtomicU64,
    dropped_pushes: AtomicU64,
}

/// What an [`Overload`] and its clones have counted; see [`Overload::stats`].
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
#[non_exhaustive]
pub struct Stats {
    /// The sessions there are now, with the connections that are in their handshake. Only counted
    /// where they are limited [in all](Overload::in_all).
    pub sessions: usize,
    /// The calls and pushes that run now. Only counted where they are limited
    /// [in all](Overload::in_all).
    pub running: usize,
    /// The source addresses that are remembered now.
    pub sources: usize,
    /// The connections that were refused.
    pub refused_sessions: u64,
    /// The calls that were refused for coming too fast.
    pub refused_by_rate: u64,
    /// The calls that were refused because too many ran.
    pub refused_by_running: u64,
    /// The pushes that were dropped, for either reason.
    pub dropped_pushes: u64,
}

impl Stats {
    /// The calls that were refused, for whatever reason.
    #[must_use]
    pub const fn refused_calls(&self) -> u64 {
        self.refused_by_rate + self.refused_by_running
    }
}

impl Default for Overload {
    fn default() -> Self {
        Self::new()
    }
}

impl Overload {
    /// A plugin without limits, to be given some.
    #[must_use]
    pub fn new() -> Self {
        // Two plugins of one name cannot act on the same route, and several of these may.
        static NUMBERS: AtomicUsize = AtomicUsize::new(1);
        let number = NUMBERS.fetch_add(1, Ordering::Relaxed);
        Self {
            name: format!("overload#{number}"),
            in_all: Load::new(),
            per_source: Load::new(),
            hint: Duration::from_secs(1),
            shared: Arc::new(Shared {
                in_all: Limits::default(),
                per_source: Limits::default(),
                all: Arc::new(Meter::default()),
                sources: Sources::default(),
                refused_sessions: AtomicU64::new(0),
                refused_by_rate: AtomicU64::new(0),
                refused_by_running: AtomicU64::new(0),
                dropped_pushes: AtomicU64::new(0),
            }),
        }
    }

    /// Gives the plugin a name of its own. Default: `overload#` and a number.
    #[must_use]
    pub fn named(mut self, name: impl Into<String>) -> Self {
        self.name = name.into();
        self
    }

    /// Limits what comes from everybody together. Default: nothing.
    #[must_use]
    pub fn in_all(mut self, load: Load) -> Self {
        self.shared.in_all.set(&load);
        self.in_all = load;
        self
    }

    /// Limits what comes from each source: an IPv4 address, or a network of 64 bits of IPv6, which
    /// is what one customer has. Default: nothing.
    ///
    /// Connections without an internet address are not limited by this. Metadata that names
    /// another address is not believed. 65536 sources are remembered, by about 200 bytes each;
    /// while all of these are busy, the others count together as one.
    #[must_use]
    pub fn per_source(mut self, load: Load) -> Self {
        self.shared.per_source.set(&load);
        self.per_source = load;
        self
    }

    /// Sets how long to wait, as refusals say it, for a session to end or a running call to be
    /// done. Where a rate is the limit, the time is known. Default: 1 s.
    #[must_use]
    pub fn retry_hint(mut self, hint: Duration) -> Self {
        self.hint = hint;
        self
    }

    /// Changes what [`in_all`](Self::in_all) set, for all clones and at once. What is over a new
    /// limit already stays: nothing that was let in is thrown out. A rate begins anew, with its
    /// whole burst.
    ///
    /// The hooks are those of the limits at first, so a limit of sessions can be changed or taken
    /// away only where sessions were limited at first, and limits of messages only where one of
    /// those was set. One that is as good as none is `usize::MAX`.
    ///
    /// # Errors
    ///
    /// A limit is 0, or there is no hook for it; nothing is changed then.
    ///
    /// # Examples
    ///
    /// ```
    /// use teleport::plugins::overload::{Load, Overload};
    ///
    /// let overload = Overload::new().in_all(Load::new().running(usize::MAX));
    /// overload.change_in_all(&Load::new().running(100).per_second(1_000))?;
    /// assert!(overload.change_in_all(&Load::new().sessions(5)).is_err());
    /// # Ok::<(), teleport::Error>(())
    /// ```
    pub fn change_in_all(&self, load: &Load) -> Result<(), Error> {
        self.check_change(load, "in all")?;
        self.shared.in_all.set(load);
        self.shared.all.forgive();
        Ok(())
    }

    /// Changes what [`per_source`](Self::per_source) set; see
    /// [`change_in_all`](Self::change_in_all).
    ///
    /// # Errors
    ///
    /// As there.
    pub fn change_per_source(&self, load: &Load) -> Result<(), Error> {
        self.check_change(load, "per source")?;
        self.shared.per_source.set(load);
        self.shared.sources.forgive();
        Ok(())
    }

    /// What was counted so far, and what is there now.
    #[must_use]
    pub fn stats(&self) -> Stats {
        let shared = &self.shared;
        let (sessions, running) = shared.all.counts();
        Stats {
            sessions,
            running,
            sources: shared.sources.len(),
            refused_sessions: shared.refused_sessions.load(Ordering::Relaxed),
            refused_by_rate: shared.refused_by_rate.load(Ordering::Relaxed),
            refused_by_running: shared.refused_by_running.load(Ordering::Relaxed),
            dropped_pushes: shared.dropped_pushes.load(Ordering::Relaxed),
        }
    }

    fn limits_messages(&self) -> bool {
        self.in_all.limits_messages() || self.per_source.limits_messages()
    }

    fn limits_sessions(&self) -> bool {
        self.in_all.limits_sessions() || self.per_source.limits_sessions()
    }

    fn check_change(&self, load: &Load, whose: &str) -> Result<(), Error> {
        let name = &self.name;
        let text = if let Err(what) = load.check() {
            format!("{name}: {what} {whose}")
        } else if load.limits_sessions() && !self.limits_sessions() {
            format!(
                "{name}: sessions were not limited at first, so there is no hook for it; begin \
                 with `sessions(usize::MAX)`"
            )
        } else if load.limits_messages() && !self.limits_messages() {
            format!(
                "{name}: calls were not limited at first, so there is no hook for it; begin with \
                 `running(usize::MAX)`"
            )
        } else {
            return Ok(());
        };
        Err(Error::new(ErrorKind::Config, text))
    }

    /// Refuses limits that are none.
    fn check(&self, scope: Scope) -> Result<(), Error> {
        for (load, whose) in [(&self.in_all, "in all"), (&self.per_source, "per source")] {
            if let Err(what) = load.check() {
                let text = format!("{}: {what} {whose}", self.name);
                return Err(Error::new(ErrorKind::Config, text));
            }
        }
        if scope != Scope::Peer && self.limits_sessions() {
            let text = format!(
                "{}: sessions are those of a peer, and cannot be limited for a route; add the \
                 plugin to the builder of the peer",
                self.name
            );
            return Err(Error::new(ErrorKind::Config, text));
        }
        Ok(())
    }

    /// The meters that count for what comes from an address, the narrow one first.
    fn meters(
        &self,
        ip: Option<IpAddr>,
        count: impl Fn(&Limits) -> bool,
    ) -> impl Iterator<Item = (Arc<Meter>, &Limits)> {
        let Shared {
            in_all,
            per_source,
            all,
            sources,
            ..
        } = &*self.shared;
        let source = ip.filter(|_| count(per_source));
        let source = source.map(|ip| (sources.get(ip), per_source));
        source
            .into_iter()
            .chain(count(in_all).then(|| (Arc::clone(all), in_all)))
    }

    /// Takes a call or a push in, or says why not.
    fn admit(&self, ctx: &mut ReadCtx) -> Result<(), Rerror> {
        let mut permit = Permit::default();
        let admitted = self
            .meters(ctx.ip(), Limits::limit_messages)
            .try_for_each(|(meter, limits)| permit.take(meter, limits));
        let refusal = match admitted {
            Ok(()) => {
                if !permit.is_empty() {
                    ctx.swap().insert(self.name.clone(), permit);
                }
                return Ok(());
            }
            Err(refusal) => refusal,
        };
        drop(permit);
        let (counter, reason) = match refusal {
            Refusal::Rate(_) => (&self.shared.refused_by_rate, "too many calls a second"),
            Refusal::Running => (
                &self.shared.refused_by_running,
                "too many calls are running",
            ),
        };
        if ctx.mtype() == Mtype::PUSH {
            self.shared.dropped_pushes.fetch_add(1, Ordering::Relaxed);
        } else {
            counter.fetch_add(1, Ordering::Relaxed);
            let wait = match refusal {
                Refusal::Rate(wait) => wait,
                Refusal::Running => self.hint,
            };
            ctx.swap().insert(self.name.clone(), RetryAfter(wait));
        }
        Err(Rerror::unavailable(reason))
    }

    /// Takes a connection in, or says why not.
    fn seat(&self, session: &PreSession) -> Result<Seat, Rerror> {
        let ip = session.remote_address().ip();
        let mut seat = Seat::default();
        for (meter, limits) in self.meters(ip, Limits::limit_sessions) {
            if !seat.take(meter, limits) {
                return Err(Rerror::unavailable("too many sessions"));
            }
        }
        Ok(seat)
    }
}

impl fmt::Debug for Overload {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Overload")
            .field("name", &self.name)
            .field("in_all", &self.shared.in_all.load())
            .field("per_source", &self.shared.per_source.load())
            .finish_non_exhaustive()
    }
}

/// What the hook of the refusing reply has to say.
struct RetryAfter(Duration);

/// Puts a time to wait into metadata: whole milliseconds, and never too few.
fn set_hint(meta: &mut Meta, wait: Duration) {
    // What more milliseconds than this would be, no reader can tell.
    let ms = wait.as_nanos().div_ceil(1_000_000).min(u64::MAX.into());
    meta.set(RETRY_AFTER_MS, ms.to_string());
}

const BEFORE_ROUTING: Hooks = Hooks::POST_READ_CALL_HEADER
    .union(Hooks::POST_READ_PUSH_HEADER)
    .union(Hooks::PRE_WRITE_REPLY);

const AFTER_ROUTING: Hooks = Hooks::PRE_READ_CALL_BODY
    .union(Hooks::PRE_READ_PUSH_BODY)
    .union(Hooks::PRE_WRITE_REPLY);

impl Plugin for Overload {
    fn name(&self) -> &str {
        &self.name
    }

    fn hooks(&self) -> Hooks {
        self.hooks_on(Scope::Peer)
    }

    fn hooks_on(&self, scope: Scope) -> Hooks {
        let (mut hooks, messages) = match scope {
            Scope::Peer => (Hooks::PRE_NEW_PEER, BEFORE_ROUTING),
            _ => (Hooks::POST_REG, AFTER_ROUTING),
        };
        if self.limits_messages() {
            hooks = hooks.union(messages);
        }
        if scope == Scope::Peer && self.limits_sessions() {
            hooks = hooks
                .union(Hooks::POST_ACCEPT)
                .union(Hooks::POST_DISCONNECT);
        }
        hooks
    }

    fn pre_new_peer(&self, _: &mut PeerConfig, _: &mut PluginContainer) -> Result<(), Error> {
        self.check(Scope::Peer)
    }

    fn post_reg(&self, _: &mut HandlerInfo) -> Result<(), Error> {
        self.check(Scope::Handler)
    }

    fn post_accept<'a>(&'a self, session: &'a mut PreSession) -> Hook<'a> {
        let rerror = match self.seat(session) {
            Ok(seat) => {
                let name = Cow::Owned(self.name.clone());
                session.swap_mut().insert(name, seat);
                return Hook::OK;
            }
            Err(rerror) => rerror,
        };
        self.shared.refused_sessions.fetch_add(1, Ordering::Relaxed);
        Hook::wait(async move {
            let mut meta = Meta::new();
            set_hint(&mut meta, self.hint);
            session.refuse(&rerror, meta).await?;
            Err(rerror)
        })
    }

    fn post_disconnect<'a>(&'a self, session: &'a Session) -> Hook<'a> {
        // Handles of closed sessions are kept as long as their owners like.
        if let Some(seat) = session.swap().get::<Seat>(&self.name) {
            seat.leave();
        }
        Hook::OK
    }

    fn post_read_call_header<'a>(&'a self, ctx: &'a mut ReadCtx) -> Hook<'a> {
        Hook::ready(self.admit(ctx))
    }

    fn post_read_push_header<'a>(&'a self, ctx: &'a mut ReadCtx) -> Hook<'a> {
        Hook::ready(self.admit(ctx))
    }

    fn pre_read_call_body<'a>(&'a self, ctx: &'a mut ReadCtx) -> Hook<'a> {
        Hook::ready(self.admit(ctx))
    }

    fn pre_read_push_body<'a>(&'a self, ctx: &'a mut ReadCtx) -> Hook<'a> {
        Hook::ready(self.admit(ctx))
    }

    fn pre_write_reply<'a>(&'a self, ctx: &'a mut WriteCtx) -> Hook<'a> {
        let wait = ctx.swap().get(&self.name).map(|RetryAfter(wait)| *wait);
        if let Some(wait) = wait {
            set_hint(&mut ctx.header_mut().meta, wait);
        }
        Hook::OK
    }
}
