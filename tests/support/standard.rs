//! The standard peer: the server and the client that all recorded conversations were held with.
//!
//! The table of its routes stands in [`routes`]. Tests build it once per conversation; the program
//! `conformance-peer` is made of it too.

use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use bytes::Bytes;
use teleport::plugins::auth::{Launch, Verify, constant_time_eq};
use teleport::plugins::heartbeat::{Ping, Pong};
use teleport::{
    Error, Peer, PeerBuilder, Plugin, PreSession, Rerror, Session, UnknownCallCtx, UnknownPushCtx,
    WriteCtx, codec::Raw, plugins::IgnoreCase,
};

mod bind;
pub mod call;
pub mod relay;
pub mod routes;
pub mod secure;
pub mod spoken;
pub mod watch;

/// What the server pushes after a call, if it is to.
pub const BROADCAST: &str = "this is a broadcast, server time: 2018-07-01 12:00:00";

/// What a standard peer is to be, beside its routes.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Options {
    /// The protocol.
    pub proto: spoken::Spoken,
    /// Push [`BROADCAST`] to `/push/status` of every connection, once, after a call.
    pub push_after_call: bool,
    /// Handlers of unknown calls and pushes in place of the routes.
    pub unknown: bool,
    /// Paths in upper and lower case alike.
    pub ignore_case: bool,
    /// The largest message in bytes, if not the usual one.
    pub limit: Option<usize>,
    /// The text that the server wants before anything else, and the client says.
    pub auth: Option<String>,
    /// The age of contexts; zero: none.
    pub context_age: Duration,
    /// The age of sessions; zero: none.
    pub session_age: Duration,
    /// The route whose parameters are checked, in addition.
    pub bind: bool,
    /// The key of the secure plugin in the Go mode, and the routes behind it.
    pub secure: Option<String>,
    /// Answer heartbeats.
    pub pong: bool,
    /// Send heartbeats.
    pub ping: Option<Beats>,
    /// How often a client dials again.
    pub redial: i32,
}

/// The heartbeats that a peer sends.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Beats {
    /// The rate in seconds.
    pub rate: u64,
    /// By call, or by push.
    pub by_call: bool,
}

/// The pushes that the handlers of a standard peer were given, in order. Clones are the same list.
#[derive(Clone, Debug, Default)]
pub struct Notes(Arc<Mutex<Vec<Note>>>);

/// A push as its handler saw it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Note {
    /// The path.
    pub path: String,
    /// The argument: the text, or the body as it came.
    pub text: Bytes,
}

impl Notes {
    /// Notes a push.
    pub fn add(&self, path: &str, text: impl Into<Bytes>) {
        let note = Note {
            path: path.to_owned(),
            text: text.into(),
        };
        self.0
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
            .push(note);
    }

    /// What was noted so far.
    pub fn all(&self) -> Vec<Note> {
        self.0
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
            .clone()
    }
}

/// Builds the standard server.
///
/// # Errors
///
/// The options do not fit together.
pub fn server(options: &Options, notes: &Notes) -> Result<Peer, Error> {
    let peer = guarded(options)?.build()?;
    if options.unknown {
        set_unknown(&peer, notes)?;
    } else {
        routes::serve(&peer, notes)?;
    }
    add_routes(&peer, options, notes)?;
    Ok(peer)
}

/// A server that lets nobody in who does not say the text, if one is set.
fn guarded(options: &Options) -> Result<PeerBuilder, Error> {
    let builder = builder(options)?;
    let Some(wanted) = options.auth.clone() else {
        return Ok(builder);
    };
    let verify = Verify::new(move |_, text| match constant_time_eq(text, &wanted) {
        true => Ok(()),
        false => Err(Rerror::new(403, "auth fail", "auth fail detail")),
    });
    Ok(builder.plugin(verify))
}

/// The routes that come in addition.
fn add_routes(peer: &Peer, options: &Options, notes: &Notes) -> Result<(), Error> {
    if options.bind {
        bind::serve(peer)?;
    }
    if options.secure.is_some() {
        secure::serve(peer, notes)?;
    }
    Ok(())
}

/// Builds the standard client; `extend` may add to it before it is built.
///
/// # Errors
///
/// The options do not fit together.
pub fn client(
    options: &Options,
    notes: &Notes,
    extend: impl FnOnce(PeerBuilder) -> PeerBuilder,
) -> Result<Peer, Error> {
    let mut builder = extend(builder(options)?);
    if let Some(text) = &options.auth {
        builder = builder.plugin(Launch::new(text));
    }
    let peer = builder.build()?;
    if options.unknown {
        set_unknown(&peer, notes)?;
    } else {
        routes::attend(&peer, notes)?;
    }
    Ok(peer)
}

fn builder(options: &Options) -> Result<PeerBuilder, Error> {
    let mut builder = Peer::builder()
        .proto(options.proto.proto())
        .redial_times(options.redial)
        .default_context_age(options.context_age)
        .default_session_age(options.session_age);
    if let Some(limit) = options.limit {
        builder = builder.message_limit(limit);
    }
    if options.ignore_case {
        builder = builder.plugin(IgnoreCase::new());
    }
    if let Some(key) = &options.secure {
        builder = builder.plugin(secure::plugin(key)?);
    }
    if options.push_after_call {
        builder = builder.plugin(PushAfterCall::default());
    }
    if options.pong {
        builder = builder.plugin(Pong::new());
    }
    if let Some(Beats { rate, by_call }) = options.ping {
        let rate = Duration::from_secs(rate);
        builder = builder.plugin(match by_call {
            true => Ping::by_call(rate),
            false => Ping::by_push(rate),
        });
    }
    Ok(builder)
}

fn set_unknown(peer: &Peer, notes: &Notes) -> Result<(), Error> {
    peer.set_unknown_call(echo_unknown)?;
    peer.set_unknown_push(NoteUnknown(notes.clone()))
}

async fn echo_unknown(ctx: &mut UnknownCallCtx) -> Result<Raw<Bytes>, Rerror> {
    let path = ctx.path().to_owned();
    ctx.set_meta("path", path);
    Ok(Raw(ctx.body().clone()))
}

struct NoteUnknown(Notes);

impl teleport::router::UnknownPushHandler for NoteUnknown {
    async fn handle<'a>(&'a self, ctx: &'a mut UnknownPushCtx) -> Result<(), Rerror> {
        self.0.add(ctx.path(), ctx.body().clone());
        Ok(())
    }
}

/// Pushes to each connection, once, as soon as the reply of a call is on its way.
#[derive(Default)]
struct PushAfterCall {
    /// How many connections wait for their push, at the most. Mostly none does, and then a call need
    /// not look through all of them.
    due: AtomicUsize,
}

const PUSHED: &str = "conformance: pushed";

#[teleport::plugin]
impl Plugin for PushAfterCall {
    fn name(&self) -> &str {
        "push_after_call"
    }

    fn post_accept(&self, _: &mut PreSession) -> Result<(), Rerror> {
        self.due.fetch_add(1, Ordering::SeqCst);
        Ok(())
    }

    fn post_dial(&self, _: &mut PreSession) -> Result<(), Rerror> {
        self.due.fetch_add(1, Ordering::SeqCst);
        Ok(())
    }

    fn post_disconnect(&self, session: &Session) -> Result<(), Rerror> {
        if is_first(session) {
            self.due.fetch_sub(1, Ordering::SeqCst);
        }
        Ok(())
    }

    async fn post_write_reply(&self, ctx: &mut WriteCtx) -> Result<(), Rerror> {
        if self.due.load(Ordering::SeqCst) == 0 {
            return Ok(());
        }
        for session in ctx.session().peer().sessions().all() {
            if is_first(&session) {
                self.due.fetch_sub(1, Ordering::SeqCst);
                // Who is gone meanwhile is no reason to leave out the others.
                let _ = session.push("/push/status", BROADCAST).await;
            }
        }
        Ok(())
    }
}

fn is_first(session: &Session) -> bool {
    session.swap_mut().insert(PUSHED, ()).is_none()
}
