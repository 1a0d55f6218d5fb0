//! Calls and pushes that no route takes, forwarded to other peers.
//!
//! [`Proxy`] is the plugin: it makes a peer forward whatever it has no route for. [`Forward`] is
//! the handler that does it, to be set by hand on a peer or a group.

use std::fmt;
use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use bytes::Bytes;

use crate::codec::Raw;
use crate::context::{Received, UnknownCallCtx, UnknownPushCtx};
use crate::message::{Meta, Seq, meta};
use crate::plugin::{Hooks, Plugin};
use crate::router::{UnknownCallHandler, UnknownPushHandler};
use crate::session::{Caller, RawReply, Request};
use crate::{Error, Peer, Rerror};

/// How long a caller may have closed its side before its call is given up. One that only closed its
/// sending half still wants its replies, and cannot be told apart.
const GONE_FOR: Duration = Duration::from_secs(1);

/// Forwards calls and pushes to a backend, which is whatever can call: a session, or any other
/// [`Caller`].
///
/// - The uri text, the body bytes, the codec and the metadata go on as they came, in order. Where
///   there is no `X-Real-IP` it is added, with the address of the caller. A call or push in codec 0
///   goes on in the backend's default codec, as the wire wants it.
/// - The sequence text is `<session id>@<sequence text>><program>[<n>]`, where n counts from 0.
/// - The body, the codec and all metadata of the reply come back as they are, and so does its error.
///   An error of code 100 to 199, which is one of a connection, becomes 502 `Bad Gateway` with the
///   same reason.
/// - When no reply comes, because the backend is gone, closed, busy or too slow, the caller is
///   answered 502 with the reason. A reply that comes later is ignored.
/// - What a caller says about [how much time it has](meta::REMAINING) goes on less the time that has
///   passed here.
/// - A caller that gives its call up, or runs out of time, gives up the one to the backend too; the
///   backend is told if its peer [propagates](crate::PeerConfig::propagate). So does one that is gone:
///   at once when that is certain, else after a second.
/// - Filters belong to one hop: the reply goes through those that the call came through, and the
///   backend is called through none.
///
/// A clone is the same forwarder.
///
/// # Examples
///
/// ```
/// use teleport::Peer;
/// use teleport::plugins::proxy::Forward;
/// # use teleport::{Rerror, UnknownCallCtx};
/// # async fn echo(ctx: &mut UnknownCallCtx) -> Result<String, Rerror> { ctx.bind() }
///
/// # #[tokio::main(flavor = "current_thread")]
/// # async fn main() -> Result<(), teleport::Error> {
/// # let server = Peer::builder().build()?;
/// # server.set_unknown_call(echo)?;
/// # let backend_address = server.listen_on("127.0.0.1:0").await?;
/// let backend = Peer::builder().build()?.dial(&backend_address).await?;
///
/// let peer = Peer::builder().build()?;
/// peer.set_unknown_call(Forward::to(backend))?;
/// let address = peer.listen_on("127.0.0.1:0").await?;
///
/// let session = Peer::builder().build()?.dial(&address).await?;
/// assert_eq!(session.call::<String>("/echo", "hello").await?, "hello");
/// # Ok(())
/// # }
/// ```
#[derive(Clone)]
pub struct Forward {
    choose: Arc<Choose>,
    program: Arc<str>,
    count: Arc<AtomicU64>,
    timeout: Option<Duration>,
}

type Choose = dyn Fn(&Received) -> Result<Arc<dyn Caller>, Rerror> + Send + Sync;

impl Forward {
    /// Forwards everything to one backend.
    #[must_use]
    pub fn to(backend: impl Caller + 'static) -> Self {
        let backend: Arc<dyn Caller> = Arc::new(backend);
        Self::by(move |_| Ok(Arc::clone(&backend)))
    }

    /// Forwards each message to the backend that `choose` picks for it, by its session, its metadata,
    /// its path or whatever else there is of it. What `choose` refuses is answered with its error.
    ///
    /// `choose` runs for every message, and must not wait.
    #[must_use]
    pub fn by<F>(choose: F) -> Self
    where
        F: Fn(&Received) -> Result<Arc<dyn Caller>, Rerror> + Send + Sync + 'static,
    {
        Self {
            choose: Arc::new(choose),
            program: program().into(),
            count: Arc::new(AtomicU64::new(0)),
            timeout: None,
        }
    }

    /// Forwards each message to the backend that `find` has for the label that `label` reads off it.
    /// A label that has no backend is answered 502, with the label in the reason.
    ///
    /// ```
    /// use std::collections::HashMap;
    /// use std::sync::Arc;
    /// use teleport::{Caller, plugins::proxy::Forward};
    ///
    /// # fn forward(eu: Arc<dyn Caller>, us: Arc<dyn Caller>) -> Forward {
    /// let backends = HashMap::from([("eu".to_owned(), eu), ("us".to_owned(), us)]);
    /// Forward::by_label(
    ///     |message| message.meta().get("region").unwrap_or("eu").to_owned(),
    ///     move |label| backends.get(label).cloned(),
    /// )
    /// # }
    /// ```
    #[must_use]
    pub fn by_label<L, F>(label: L, find: F) -> Self
    where
        L: Fn(&Received) -> String + Send + Sync + 'static,
        F: Fn(&str) -> Option<Arc<dyn Caller>> + Send + Sync + 'static,
    {
        Self::by(move |message| {
            let label = label(message);
            let backend = find(&label);
            backend.ok_or_else(|| Rerror::bad_gateway(format!("no backend is labelled {label:?}")))
        })
    }

    /// Sets the program's name in sequence texts. Default: the name that this program was started by.
    #[must_use]
    pub fn program(mut self, name: impl Into<String>) -> Self {
        self.program = name.into().into();
        self
    }

    /// Sets how long to wait for the backend's reply; then the caller is answered 502. Default: what
    /// the backend's peer says of calls, which is no limit unless it is set.
    #[must_use]
    pub fn timeout(mut self, timeout: Duration) -> Self {
        self.timeout = Some(timeout);
        self
    }

    async fn call(&self, ctx: &mut UnknownCallCtx) -> Result<Raw<Bytes>, Rerror> {
        let backend = (self.choose)(ctx)?;
        let request = self.request(ctx, ctx.body().clone());
        let reply = while_wanted(ctx, backend.call_raw(request)).await?;
        let RawReply {
            body,
            meta,
            body_codec,
            ..
        } = reply;
        let error = Rerror::from_meta(&meta);
        for (key, value) in meta.iter() {
            if error.is_none() || key != meta::REPLY_ERROR.as_bytes() {
                ctx.add_meta(key, value);
            }
        }
        if let Some(rerror) = error {
            return Err(gateway(rerror));
        }
        ctx.set_body_codec(body_codec);
        Ok(Raw(body))
    }

    async fn push(&self, ctx: &UnknownPushCtx) -> Result<(), Rerror> {
        let backend = (self.choose)(ctx)?;
        let request = self.request(ctx, ctx.body().clone());
        backend.push_raw(request).await.map_err(|e| failed(&e))
    }

    fn request(&self, message: &Received, body: Bytes) -> Request {
        let mut request = Request::new("", message.body_codec(), body);
        request.uri = message.uri().clone();
        request.meta = metadata(message);
        request.seq = Some(self.seq(message));
        request.timeout = self.timeout;
        request
    }

    fn seq(&self, message: &Received) -> Seq {
        let id = message.session().id();
        let number = self.count.fetch_add(1, Ordering::Relaxed);
        let tail = format!(">{}[{number}]", self.program);
        let parts = [
            id.as_bytes(),
            b"@",
            message.seq().as_bytes(),
            tail.as_bytes(),
        ];
        Seq::from(&*parts.concat())
    }
}

impl fmt::Debug for Forward {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Forward")
            .field("program", &self.program)
            .field("timeout", &self.timeout)
            .finish_non_exhaustive()
    }
}

impl UnknownCallHandler for Forward {
    type Reply = Raw<Bytes>;

    async fn handle<'a>(&'a self, ctx: &'a mut UnknownCallCtx) -> Result<Raw<Bytes>, Rerror> {
        self.call(ctx).await
    }
}

impl UnknownPushHandler for Forward {
    async fn handle<'a>(&'a self, ctx: &'a mut UnknownPushCtx) -> Result<(), Rerror> {
        self.push(ctx).await
    }
}

/// Makes a peer forward the calls and pushes that it has no route for; see [`Forward`].
///
/// # Examples
///
/// ```no_run
/// use teleport::Peer;
/// use teleport::plugins::proxy::{Forward, Proxy};
///
/// # async fn run() -> Result<(), teleport::Error> {
/// let backend = Peer::builder().build()?.dial("10.0.0.7:9090").await?;
/// let forward = Forward::to(backend).program("gateway");
/// let peer = Peer::builder().listen_port(9090).plugin(Proxy::new(forward)).build()?;
/// peer.listen_and_serve().await
/// # }
/// ```
#[derive(Debug)]
pub struct Proxy {
    calls: Option<Forward>,
    pushes: Option<Forward>,
}

impl Proxy {
    /// Forwards calls and pushes.
    #[must_use]
    pub fn new(forward: Forward) -> Self {
        Self {
            calls: Some(forward.clone()),
            pushes: Some(forward),
        }
    }

    /// Forwards calls alone.
    #[must_use]
    pub fn of_calls(forward: Forward) -> Self {
        Self {
            calls: Some(forward),
            pushes: None,
        }
    }

    /// Forwards pushes alone.
    #[must_use]
    pub fn of_pushes(forward: Forward) -> Self {
        Self {
            calls: None,
            pushes: Some(forward),
        }
    }
}

impl Plugin for Proxy {
    fn name(&self) -> &'static str {
        "proxy"
    }

    fn hooks(&self) -> Hooks {
        Hooks::POST_NEW_PEER
    }

    fn post_new_peer(&self, peer: &Peer) -> Result<(), Error> {
        if let Some(forward) = &self.calls {
            peer.set_unknown_call(forward.clone())?;
        }
        if let Some(forward) = &self.pushes {
            peer.set_unknown_push(forward.clone())?;
        }
        Ok(())
    }
}

/// Waits for the reply of a call as long as its caller does.
async fn while_wanted(
    call: &Received,
    reply: impl Future<Output = Result<RawReply, Error>>,
) -> Result<RawReply, Rerror> {
    let caller = call.session();
    // A peer that says how much time it has closes no half of a connection while it waits.
    let may_listen = call.meta().get_bytes(meta::REMAINING).is_none();
    let gone = async {
        caller.lost().await;
        if may_listen {
            tokio::time::sleep(GONE_FOR).await;
        }
    };
    tokio::select! {
        biased;
        reply = reply => reply.map_err(|error| failed(&error)),
        () = call.cancelled() => Err(Rerror::timeout("nobody waits for the reply any more")),
        () = caller.closed() => Err(Rerror::conn_closed("the caller is gone")),
        () = gone => Err(Rerror::conn_closed("the caller is gone")),
    }
}

/// The metadata to send on: with the address that the message first came from, and with the time that
/// is left of what its caller had.
fn metadata(message: &Received) -> Meta {
    let mut meta = message.meta().clone();
    if meta.get_bytes(meta::REAL_IP).is_none_or(<[u8]>::is_empty) {
        meta.add(
            meta::REAL_IP,
            message.session().remote_address().to_string(),
        );
    }
    if let Some(left) = message.remaining()
        && meta.get_bytes(meta::REMAINING).is_some()
    {
        meta.set(meta::REMAINING, left.as_millis().to_string());
    }
    meta
}

/// What a caller sees of an error of the backend.
fn gateway(rerror: Rerror) -> Rerror {
    match rerror.code() {
        100..=199 => Rerror::bad_gateway(rerror.reason().to_owned()),
        _ => rerror,
    }
}

/// What a caller sees when there is no reply.
fn failed(error: &Error) -> Rerror {
    Rerror::bad_gateway(error.chain())
}

fn program() -> String {
    let name = std::env::args_os().next();
    let name = name.as_deref().map(Path::new).and_then(Path::file_name);
    name.map_or_else(
        || "teleport".to_owned(),
        |name| name.to_string_lossy().into_owned(),
    )
}
