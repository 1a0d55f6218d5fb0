//! Pushes of this side.

use std::fmt;
use std::future::{Future, IntoFuture};
use std::pin::Pin;
use std::task::{Context, Poll};

use bytes::{Bytes, BytesMut};

use super::Session;
use super::caller::Request;
use super::inner::Payload;
use super::launch::{encode, note_closed, seq_of, wait_for_room};
use super::log::{self, Kind, Record};
use super::options::Options;
use super::outbound::{Put, When};
use super::unwritten::{Fate, PushParts};
use crate::codec::ToBody;
use crate::context::WriteCtx;
use crate::error::{Error, ErrorKind};
use crate::message::{Mtype, Seq};
use crate::plugin::Hooks;
use crate::router::handler::BoxFuture;

/// A push that is not made yet: what can be said about it, in a chain, and then awaited.
///
/// # Errors
///
/// Of what it is awaited to: [`Closed`](crate::ErrorKind::Closed),
/// [`Encode`](crate::ErrorKind::Encode), and [`Refused`](crate::ErrorKind::Refused) by a plugin.
#[must_use = "a push is made when it is awaited"]
pub struct Push<'a, A> {
    session: &'a Session,
    body: A,
    options: Options<'a>,
}

impl<'a, A: ToBody> Push<'a, A> {
    pub(super) fn new(session: &'a Session, uri: &'a str, body: A) -> Self {
        Self {
            session,
            body,
            options: Options::new(session, uri.as_bytes()),
        }
    }

    pub(super) fn with_request(session: &'a Session, request: &'a Request, body: A) -> Self {
        Self {
            session,
            body,
            options: Options::of_request(session, request),
        }
    }

    /// Adds a query parameter. This sorts all parameters by their keys, as the original does.
    pub fn query(mut self, key: &str, value: &str) -> Self {
        self.options.add_query(key, value);
        self
    }

    /// Adds a pair of metadata.
    pub fn meta(mut self, key: impl AsRef<[u8]>, value: impl AsRef<[u8]>) -> Self {
        self.options.meta.add(key, value);
        self
    }

    /// Sets the codec of the body; the peer's default codec, if it is not set or 0.
    pub fn body_codec(mut self, codec: u8) -> Self {
        self.options.set_codec(codec);
        self
    }

    /// Sets the transfer filters, outermost first.
    pub fn xfer(mut self, ids: &[u8]) -> Self {
        self.options.xfer = ids.to_vec();
        self
    }

    /// Sets the sequence text by hand; it takes no number of the session's counter.
    pub fn seq(mut self, seq: impl Into<Seq>) -> Self {
        self.options.seq = Some(seq.into());
        self
    }
}

impl<A> fmt::Debug for Push<'_, A> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Push")
            .field("options", &self.options)
            .finish_non_exhaustive()
    }
}

impl<'a, A: ToBody> IntoFuture for Push<'a, A> {
    type Output = Result<(), Error>;
    type IntoFuture = PushFuture<'a, A>;

    fn into_future(self) -> PushFuture<'a, A> {
        PushFuture {
            state: State::New(self),
        }
    }
}

/// The future of a [`Push`]: done when the message is written, or queued behind others.
#[must_use = "a future does nothing unless it is polled"]
pub struct PushFuture<'a, A> {
    state: State<'a, A>,
}

#[allow(
    clippy::large_enum_variant,
    reason = "boxing the push would cost every one an allocation"
)]
enum State<'a, A> {
    New(Push<'a, A>),
    Slow(BoxFuture<'static, Result<(), Error>>),
    Done,
}

// Nothing in it is ever pinned: what is polled is boxed.
impl<A> Unpin for PushFuture<'_, A> {}

impl<A: ToBody> Future for PushFuture<'_, A> {
    type Output = Result<(), Error>;

    fn poll(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Self::Output> {
        loop {
            match &mut self.state {
                State::New(push) => match start(push.session, &push.options, &push.body) {
                    Started::Done(result) => {
                        self.state = State::Done;
                        return Poll::Ready(result);
                    }
                    Started::Slow(future) => self.state = State::Slow(future),
                },
                State::Slow(future) => return future.as_mut().poll(cx),
                State::Done => {
                    return Poll::Ready(Err(Error::closed("the push was awaited after its end")));
                }
            }
        }
    }
}

impl<A> fmt::Debug for PushFuture<'_, A> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("PushFuture")
    }
}

enum Started {
    Done(Result<(), Error>),
    Slow(BoxFuture<'static, Result<(), Error>>),
}

const HOOKS: Hooks = Hooks::PRE_WRITE_PUSH.union(Hooks::POST_WRITE_PUSH);

/// Sends a push as far as it goes without waiting.
fn start<A: ToBody>(session: &Session, options: &Options<'_>, body: &A) -> Started {
    let inner = &session.0;
    if !inner.is_open() {
        return start_elsewhere(session, options, body);
    }
    let hooked = inner.shared.router().load().hooks.any(HOOKS);
    if hooked || inner.out.is_full() || log::enabled() {
        return start_slow(session, options, body);
    }
    let seq = seq_of(inner, options.seq.clone());
    match send_now(session, options, body, &seq) {
        Ok(put) if !put.is_left => Started::Done(Ok(())),
        Ok(put) => match inner.keep(&put, None, || parts(session, options, body)) {
            Ok(Fate::Queued) => Started::Done(Ok(())),
            Ok(Fate::Unsent) => start_slow(session, options, body),
            Err(error) => Started::Done(Err(error)),
        },
        // The connection broke, and nobody has noticed yet.
        Err(error) if error.is_closed() && inner.line().is_some() => {
            start_slow(session, options, body)
        }
        Err(error) => Started::Done(Err(error)),
    }
}

/// The connection that the session's handle was made with takes no pushes: there may be another.
#[cold]
fn start_elsewhere<A: ToBody>(session: &Session, options: &Options<'_>, body: &A) -> Started {
    let Some(line) = session.0.line() else {
        return Started::Done(Err(session.closed_error().not_run()));
    };
    match line.up() {
        Some(inner) if inner.number != session.0.number => {
            if options.seq.is_some() {
                inner.note_hand_set();
            }
            start(&Session(inner), options, body)
        }
        _ => start_slow(session, options, body),
    }
}

/// Sends a push that has to wait for something: plugins, room, or a connection.
#[cold]
fn start_slow<A: ToBody>(session: &Session, options: &Options<'_>, body: &A) -> Started {
    match parts(session, options, body) {
        Ok(parts) => Started::Slow(Box::pin(send_parts(session.clone(), parts))),
        Err(error) => Started::Done(Err(error)),
    }
}

fn parts<A: ToBody>(
    session: &Session,
    options: &Options<'_>,
    body: &A,
) -> Result<PushParts, Error> {
    let seq = options.seq.clone().unwrap_or_default();
    Ok(PushParts {
        header: options.header(Mtype::PUSH, seq)?,
        body: encode(&session.0, options.codec, body)?,
        hand_set: options.seq.is_some(),
    })
}

fn send_now<A: ToBody>(
    session: &Session,
    options: &Options<'_>,
    body: &A,
    seq: &Seq,
) -> Result<Put, Error> {
    let inner = &session.0;
    let meta = options.meta.encoded();
    let head = options.head(Mtype::PUSH, seq, &meta);
    match body.as_bytes() {
        Some(bytes) => inner.send(&head, Payload::Bytes(bytes), When::Now),
        None => {
            let codecs = &inner.env().codecs;
            let codec = options.codec;
            let mut encode = |dst: &mut BytesMut| body.encode_body(codecs, codec, dst);
            inner.send(&head, Payload::Encode(&mut encode), When::Now)
        }
    }
}

/// Sends a push on the connection in use, or waits for one if the session dials again.
async fn send_parts(session: Session, parts: PushParts) -> Result<(), Error> {
    let Some(line) = session.0.line() else {
        return send_slow(&session, &parts, None).await;
    };
    let _waits = line.admit(parts.body.len())?;
    loop {
        let session = line.ready().await?;
        match send_slow(&session, &parts, None).await {
            Err(error) if error.is_closed() && error.is_not_run() => note_closed(&session.0),
            sent => return sent,
        }
    }
}

/// Sends a push when there is room, by way of the plugins that have a say, with its log line. `nth`
/// is its place among those that were kept, if it was.
pub(super) async fn send_slow(
    session: &Session,
    parts: &PushParts,
    nth: Option<u64>,
) -> Result<(), Error> {
    let inner = &session.0;
    let tables = inner.shared.router().tables();
    let hooks = &tables.hooks;
    let mut write = WriteCtx::new(session.clone(), parts.header_on(inner), parts.body.clone());
    // Room comes first: what a hook made of the message is to leave at once.
    wait_for_room(inner).await?;
    hooks
        .run(Hooks::PRE_WRITE_PUSH, &mut write, |p, c| {
            p.pre_write_push(c)
        })
        .await
        .map_err(Error::refused)?;
    let (header, body) = write.parts();
    let style = inner.shared.log_style();
    let put = header.with_head(|head| {
        let record = log::enabled().then(|| Record::new(Kind::PushLaunch, style, head, body, 0));
        let put = inner.send(head, Payload::Bytes(body), When::Now)?;
        if let Some(mut record) = record {
            record.set_sent(put.size);
            record.write(&inner.remote, None);
        }
        Ok::<_, Error>(put)
    })?;
    if put.is_left && inner.keep(&put, nth, || Ok(parts.clone()))? == Fate::Unsent {
        return Err(session.closed_error().not_run());
    }
    let run = hooks.run(Hooks::POST_WRITE_PUSH, &mut write, |p, c| {
        p.post_write_push(c)
    });
    if let Err(rerror) = run.await {
        tracing::warn!(remote = %inner.remote, error = %rerror, "a plugin failed after a push");
    }
    Ok(())
}

/// Sends a push whose body is ready, without waiting: for broadcasts.
pub(super) async fn send_ready(
    session: &Session,
    uri: &str,
    codec: u8,
    body: &Bytes,
) -> Result<(), Error> {
    let inner = session.0.newest();
    if !inner.is_open() && inner.line().is_some_and(|line| line.goes_on()) {
        let text = format!("there is no connection with {} now", inner.remote);
        return Err(Error::new(ErrorKind::Busy, text));
    }
    if inner.out.is_full() {
        inner.shared.sweeper().watch(&inner, None);
        let text = format!("{} does not read what is queued for it", inner.remote);
        return Err(Error::new(ErrorKind::Busy, text));
    }
    Session(inner)
        .push(uri, crate::codec::Raw(body.clone()))
        .body_codec(codec)
        .await
}
