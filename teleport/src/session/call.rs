//! Calls of this side: what can be said about one, and waiting for its reply.

use std::fmt;
use std::future::{Future, IntoFuture, poll_fn};
use std::marker::PhantomData;
use std::pin::Pin;
use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::task::{Context, Poll, Waker, ready};
use std::time::Duration;

use bytes::{Bytes, BytesMut};
use tokio::time::Instant;

use super::Session;
use super::caller::Request;
use super::calls::{Ended, Key, NotTaken, ReplyIn};
use super::inner::{Inner, LOOK_STATE, Payload};
use super::log::{self, Kind, Record};
use super::outbound::When;
use crate::codec::{BodyRef, Codecs, FromBody, ToBody};
use crate::context::WriteCtx;
use crate::error::{Error, ErrorKind};
use crate::message::{Head, Header, Meta, Mtype, Seq, Uri, meta};
use crate::plugin::Hooks;
use crate::rerror::Rerror;
use crate::router::handler::BoxFuture;
use crate::xfer::XferPipe;

/// What is said about a message before it is sent; calls and pushes share it.
#[derive(Debug, Default)]
pub(super) struct Options<'a> {
    uri: UriText<'a>,
    pub(super) meta: Meta,
    pub(super) codec: u8,
    pub(super) xfer: Vec<u8>,
    pub(super) seq: Option<Seq>,
    pub(super) timeout: Option<Duration>,
}

/// A uri as it was given, until something is changed in it.
#[derive(Debug)]
enum UriText<'a> {
    Given(&'a [u8]),
    Changed(Uri),
}

impl Default for UriText<'_> {
    fn default() -> Self {
        Self::Given(b"")
    }
}

impl<'a> Options<'a> {
    pub(super) fn new(session: &Session, uri: &'a [u8]) -> Self {
        let settings = session.0.shared.call_defaults();
        Self {
            uri: UriText::Given(uri),
            codec: settings.codec,
            timeout: settings.timeout,
            ..Self::default()
        }
    }

    pub(super) fn of_request(session: &Session, request: &'a Request) -> Self {
        let mut options = Self::new(session, request.uri.as_bytes());
        options.meta = request.meta.clone();
        if request.body_codec != crate::codec::NONE {
            options.codec = request.body_codec;
        }
        options.xfer.clone_from(&request.xfer);
        options.seq.clone_from(&request.seq);
        if request.seq.is_some() {
            session.0.hand_set.store(true, Ordering::Relaxed);
        }
        options.timeout = request.timeout.or(options.timeout);
        options
    }

    pub(super) fn uri(&self) -> &[u8] {
        match &self.uri {
            UriText::Given(uri) => uri,
            UriText::Changed(uri) => uri.as_bytes(),
        }
    }

    pub(super) fn add_query(&mut self, key: &str, value: &str) {
        let mut uri = Uri::new(self.uri());
        uri.add_query(key, value);
        self.uri = UriText::Changed(uri);
    }

    pub(super) fn head<'b>(&'b self, mtype: Mtype, seq: &'b Seq, meta: &'b [u8]) -> Head<'b> {
        Head {
            seq: seq.as_bytes(),
            mtype,
            uri: self.uri(),
            meta,
            body_codec: self.codec,
            xfer: &self.xfer,
        }
    }

    pub(super) fn header(&self, mtype: Mtype, seq: Seq) -> Result<Header, Error> {
        let xfer = XferPipe::from_ids(&self.xfer)
            .map_err(|e| Error::config("the transfer filters do not fit").with_source(e))?;
        Ok(Header {
            seq,
            mtype,
            uri: Uri::new(self.uri()),
            meta: self.meta.clone(),
            body_codec: self.codec,
            xfer,
        })
    }
}

/// A call that is not made yet: what can be said about it, in a chain, and then awaited.
///
/// Awaited it gives the body of the reply. [`send`](Self::send) gives a [`CallCmd`] instead, so
/// that many calls can be under way at once, and the reply's metadata, codec and cost be seen.
///
/// # Errors
///
/// Of what it is awaited to: [`ErrorKind::Remote`] with the other peer's error;
/// [`ErrorKind::Closed`], [`ErrorKind::Timeout`], [`ErrorKind::Busy`], [`ErrorKind::Encode`],
/// [`ErrorKind::Decode`], and [`ErrorKind::Refused`] by a plugin.
#[must_use = "a call is made when it is awaited or sent"]
pub struct Call<'a, R, A> {
    session: &'a Session,
    body: A,
    options: Options<'a>,
    reply: PhantomData<fn() -> R>,
}

impl<'a, R, A: ToBody> Call<'a, R, A> {
    pub(super) fn new(session: &'a Session, uri: &'a str, body: A) -> Self {
        let options = Options::new(session, uri.as_bytes());
        Self {
            session,
            body,
            options,
            reply: PhantomData,
        }
    }

    pub(super) fn with_request(session: &'a Session, request: &'a Request, body: A) -> Self {
        let options = Options::of_request(session, request);
        Self {
            session,
            body,
            options,
            reply: PhantomData,
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

    /// Sets the codec of the body; the peer's default codec, if it is not set.
    pub fn body_codec(mut self, codec: u8) -> Self {
        self.options.codec = codec;
        self
    }

    /// Asks for a reply in this codec. Without it the reply comes in the codec of the call.
    pub fn accept_codec(mut self, codec: u8) -> Self {
        self.options
            .meta
            .set(meta::ACCEPT_BODY_CODEC, codec.to_string());
        self
    }

    /// Sets the transfer filters, outermost first. The reply comes through the same.
    pub fn xfer(mut self, ids: &[u8]) -> Self {
        self.options.xfer = ids.to_vec();
        self
    }

    /// Sets the sequence text by hand; it takes no number of the session's counter.
    pub fn seq(mut self, seq: impl Into<Seq>) -> Self {
        self.options.seq = Some(seq.into());
        self.session.0.hand_set.store(true, Ordering::Relaxed);
        self
    }

    /// Fails the call when no reply came in time. Looked at about every 10 ms.
    pub fn timeout(mut self, timeout: Duration) -> Self {
        self.options.timeout = Some(timeout);
        self
    }

    /// Makes the call and does not wait for the reply.
    ///
    /// # Errors
    ///
    /// The call could not be made; see [`Call`].
    ///
    /// # Cancel safety
    ///
    /// As of [`Session::call`].
    pub async fn send(self) -> Result<CallCmd<R>, Error> {
        let started = Instant::now();
        let session = self.session;
        let seq = self
            .options
            .seq
            .clone()
            .unwrap_or_else(|| next_seq(&session.0));
        let launched = launch(session, &self.options, &self.body, seq.clone(), None);
        let waiting = match launched {
            Launch::Done(result) => result?,
            Launch::Slow(future) => future.await?,
        };
        Ok(CallCmd {
            waiting,
            seq,
            started,
            reply: PhantomData,
        })
    }
}

impl<R, A> fmt::Debug for Call<'_, R, A> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Call")
            .field("options", &self.options)
            .finish_non_exhaustive()
    }
}

impl<'a, R: FromBody, A: ToBody> IntoFuture for Call<'a, R, A> {
    type Output = Result<R, Error>;
    type IntoFuture = CallFuture<'a, R, A>;

    fn into_future(self) -> CallFuture<'a, R, A> {
        CallFuture {
            state: State::New(self),
        }
    }
}

/// The future of a [`Call`]: gives the decoded body of the reply.
pub struct CallFuture<'a, R, A> {
    state: State<'a, R, A>,
}

enum State<'a, R, A> {
    New(Call<'a, R, A>),
    Launching(BoxFuture<'static, Result<Waiting, Error>>),
    Waiting(Waiting),
    Done,
}

// Nothing in it is ever pinned: what is polled is boxed, or polled by its key.
impl<R, A> Unpin for CallFuture<'_, R, A> {}

impl<R: FromBody, A: ToBody> Future for CallFuture<'_, R, A> {
    type Output = Result<R, Error>;

    fn poll(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Self::Output> {
        loop {
            match &mut self.state {
                State::New(call) => {
                    let seq = call.options.seq.take();
                    let seq = seq.unwrap_or_else(|| next_seq(&call.session.0));
                    let waker = Some(cx.waker().clone());
                    match launch(call.session, &call.options, &call.body, seq, waker) {
                        Launch::Done(Ok(waiting)) => {
                            self.state = State::Waiting(waiting);
                            return Poll::Pending;
                        }
                        Launch::Done(Err(error)) => {
                            self.state = State::Done;
                            return Poll::Ready(Err(error));
                        }
                        Launch::Slow(future) => self.state = State::Launching(future),
                    }
                }
                State::Launching(future) => match ready!(future.as_mut().poll(cx)) {
                    Ok(waiting) => self.state = State::Waiting(waiting),
                    Err(error) => {
                        self.state = State::Done;
                        return Poll::Ready(Err(error));
                    }
                },
                State::Waiting(waiting) => {
                    let reply = ready!(waiting.poll(cx));
                    let result = reply.and_then(|reply| {
                        let result = decode(&waiting.inner, &reply);
                        reply.body.recycle();
                        result
                    });
                    self.state = State::Done;
                    return Poll::Ready(result);
                }
                State::Done => {
                    return Poll::Ready(Err(Error::closed("the call was awaited after its end")));
                }
            }
        }
    }
}

impl<R, A> fmt::Debug for CallFuture<'_, R, A> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self.state {
            State::New(_) => "CallFuture(new)",
            State::Launching(_) => "CallFuture(launching)",
            State::Waiting(_) => "CallFuture(waiting)",
            State::Done => "CallFuture(done)",
        })
    }
}

/// A call in flight. Await it for the body of the reply, or [`reply`](Self::reply) for all of it.
///
/// Dropping it frees its place; the reply will find nobody.
#[must_use = "the reply comes when this is awaited"]
pub struct CallCmd<R> {
    waiting: Waiting,
    seq: Seq,
    started: Instant,
    reply: PhantomData<fn() -> R>,
}

impl<R: FromBody> CallCmd<R> {
    /// The sequence text of the call.
    #[must_use]
    pub fn seq(&self) -> &Seq {
        &self.seq
    }

    /// Waits for the reply.
    ///
    /// # Errors
    ///
    /// As of [`Call`].
    ///
    /// # Cancel safety
    ///
    /// Dropping the future drops the call.
    pub async fn reply(mut self) -> Result<Reply<R>, Error> {
        let reply = poll_fn(|cx| self.waiting.poll(cx)).await?;
        let body = decode(&self.waiting.inner, &reply)?;
        Ok(self.whole(reply, body))
    }

    fn whole<T>(&self, reply: ReplyIn, body: T) -> Reply<T> {
        Reply {
            body,
            meta: reply.meta,
            body_codec: reply.body_codec,
            xfer: reply.xfer,
            size: reply.size,
            cost: self.started.elapsed(),
        }
    }

    /// Waits for the reply, whatever it says: an error of the other peer stands in its metadata,
    /// and the body is left as it came.
    ///
    /// # Errors
    ///
    /// No reply came.
    ///
    /// # Cancel safety
    ///
    /// Dropping the future drops the call.
    pub async fn raw_reply(mut self) -> Result<Reply<Bytes>, Error> {
        let mut reply = poll_fn(|cx| self.waiting.poll(cx)).await?;
        if let Some(rerror) = reply.refused.take() {
            return Err(Error::refused(rerror));
        }
        let empty = super::calls::ReplyBytes::Shared(Bytes::new());
        let body = std::mem::replace(&mut reply.body, empty).into_bytes();
        Ok(self.whole(reply, body))
    }
}

impl<R: FromBody> Future for CallCmd<R> {
    type Output = Result<R, Error>;

    fn poll(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Self::Output> {
        let reply = ready!(self.waiting.poll(cx))?;
        Poll::Ready(decode(&self.waiting.inner, &reply))
    }
}

impl<R> fmt::Debug for CallCmd<R> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("CallCmd")
            .field("seq", &self.seq)
            .finish_non_exhaustive()
    }
}

/// A reply with all that came with it.
#[derive(Clone, Debug)]
#[non_exhaustive]
pub struct Reply<R> {
    /// The decoded body.
    pub body: R,
    /// The metadata.
    pub meta: Meta,
    /// The codec that the body came in.
    pub body_codec: u8,
    /// The transfer filters that it came through.
    pub xfer: XferPipe,
    /// The size of the frame, in bytes.
    pub size: usize,
    /// The time from the making of the call to now.
    pub cost: Duration,
}

impl<R> Reply<R> {
    /// The error that the other peer answered with, for a reply taken as it came.
    #[must_use]
    pub fn rerror(&self) -> Option<Rerror> {
        if self.meta.is_empty() {
            None
        } else {
            Rerror::from_meta(&self.meta)
        }
    }
}

/// Decodes a reply, or says what error it is.
fn decode<R: FromBody>(inner: &Inner, reply: &ReplyIn) -> Result<R, Error> {
    if let Some(rerror) = &reply.refused {
        return Err(Error::refused(rerror.clone()));
    }
    if !reply.meta.is_empty()
        && let Some(rerror) = Rerror::from_meta(&reply.meta)
    {
        return Err(Error::from(rerror));
    }
    let body = match &reply.body {
        super::calls::ReplyBytes::Copied(bytes) => BodyRef::new(bytes),
        super::calls::ReplyBytes::Shared(bytes) => BodyRef::shared(bytes),
    };
    R::from_body(&inner.env().codecs, reply.body_codec, body).map_err(Error::decode)
}

/// A call that was sent and waits for its reply. Dropping it frees its place.
pub(super) struct Waiting {
    inner: Arc<Inner>,
    key: Option<Key>,
    timeout: Option<Duration>,
    record: Option<Box<Record>>,
}

impl Waiting {
    fn poll(&mut self, cx: &mut Context<'_>) -> Poll<Result<ReplyIn, Error>> {
        let Some(key) = &self.key else {
            return Poll::Ready(Err(Error::closed("the call was awaited after its end")));
        };
        let result = ready!(self.inner.calls.poll(key, cx));
        self.key = None;
        self.inner.call_is_over();
        let result = result.map_err(|ended| self.ended(ended));
        if let Some(record) = self.record.take() {
            self.log(*record, &result);
        }
        Poll::Ready(result)
    }

    #[cold]
    fn ended(&self, ended: Ended) -> Error {
        match ended {
            Ended::Closed => Session(Arc::clone(&self.inner)).closed_error(),
            Ended::TimedOut => {
                let timeout = self.timeout.unwrap_or_default();
                Error::new(
                    ErrorKind::Timeout,
                    format!("no reply came within {timeout:?}"),
                )
            }
        }
    }

    #[cold]
    fn log(&self, mut record: Record, result: &Result<ReplyIn, Error>) {
        match result {
            Ok(reply) => {
                record.set_received(reply.size);
                record.add_parts("recv", &reply.meta, reply.body.as_slice());
                let rerror = reply
                    .refused
                    .clone()
                    .or_else(|| Rerror::from_meta(&reply.meta));
                record.write(&self.inner.remote, rerror.as_ref());
            }
            Err(error) => {
                let rerror = Rerror::new(-1, error.to_string(), "");
                record.write(&self.inner.remote, Some(&rerror));
            }
        }
    }
}

impl Drop for Waiting {
    fn drop(&mut self) {
        if let Some(key) = self.key.take() {
            self.inner.calls.remove(&key);
            self.inner.call_is_over();
        }
    }
}

impl Inner {
    /// A closing session waits for its calls.
    fn call_is_over(&self) {
        if !self.is_open() {
            self.look(LOOK_STATE);
        }
    }
}

/// How a call got under way.
enum Launch {
    Done(Result<Waiting, Error>),
    /// A plugin has a say, or there is no room; the body is encoded already.
    Slow(BoxFuture<'static, Result<Waiting, Error>>),
}

pub(super) fn next_seq(inner: &Inner) -> Seq {
    Seq::from_counter(inner.next_counter())
}

/// Makes a call as far as it goes without waiting.
fn launch<A: ToBody>(
    session: &Session,
    options: &Options<'_>,
    body: &A,
    seq: Seq,
    waker: Option<Waker>,
) -> Launch {
    let inner = &session.0;
    if !inner.is_open() {
        return Launch::Done(Err(session.closed_error()));
    }
    let hooked = inner
        .shared
        .router()
        .load()
        .hooks
        .any(Hooks::PRE_WRITE_CALL.union(Hooks::POST_WRITE_CALL));
    if hooked || inner.out.is_full() || log::enabled() {
        return match slow_parts(session, options, body, &seq) {
            Ok((header, body)) => Launch::Slow(Box::pin(launch_slow(
                session.clone(),
                header,
                body,
                options.timeout,
            ))),
            Err(error) => Launch::Done(Err(error)),
        };
    }
    Launch::Done(launch_now(session, options, body, seq, waker))
}

fn launch_now<A: ToBody>(
    session: &Session,
    options: &Options<'_>,
    body: &A,
    seq: Seq,
    waker: Option<Waker>,
) -> Result<Waiting, Error> {
    let inner = &session.0;
    let waiting = take_in(inner, &seq, waker, options.timeout)?;
    let meta = options.meta.encoded();
    let head = options.head(Mtype::CALL, &seq, &meta);
    match body.as_bytes() {
        Some(bytes) => inner.send(&head, Payload::Bytes(bytes), When::Now)?,
        None => {
            let codecs = &inner.env().codecs;
            let mut encode = |dst: &mut BytesMut| body.encode_body(codecs, options.codec, dst);
            inner.send(&head, Payload::Encode(&mut encode), When::Now)?
        }
    };
    Ok(waiting)
}

/// Takes a place for a reply.
fn take_in(
    inner: &Arc<Inner>,
    seq: &Seq,
    waker: Option<Waker>,
    timeout: Option<Duration>,
) -> Result<Waiting, Error> {
    let deadline = timeout.map(|timeout| Instant::now() + timeout);
    let key = match seq.counter() {
        Some(counter) => inner.calls.insert(counter, waker, deadline),
        None => inner.calls.insert_text(seq.clone(), waker, deadline),
    };
    let key = key.map_err(|why| not_taken(inner, seq, why))?;
    let waiting = Waiting {
        inner: Arc::clone(inner),
        key: Some(key),
        timeout,
        record: None,
    };
    if let Some(deadline) = deadline {
        inner.shared.sweeper().watch(inner, Some(deadline));
    }
    if inner.paused.load(Ordering::Acquire) {
        // The reply can only be read if reading goes on.
        inner.look(LOOK_STATE);
    }
    Ok(waiting)
}

#[cold]
fn not_taken(inner: &Arc<Inner>, seq: &Seq, why: NotTaken) -> Error {
    match why {
        NotTaken::Closed => Session(Arc::clone(inner)).closed_error(),
        NotTaken::Full => Error::new(
            ErrorKind::Busy,
            format!(
                "{} calls of this session wait for their replies",
                inner.bounds.in_flight
            ),
        ),
        NotTaken::SeqInFlight => Error::new(
            ErrorKind::Busy,
            format!("a call with the sequence text {seq} is in flight already"),
        ),
    }
}

fn slow_parts<A: ToBody>(
    session: &Session,
    options: &Options<'_>,
    body: &A,
    seq: &Seq,
) -> Result<(Header, Bytes), Error> {
    let header = options.header(Mtype::CALL, seq.clone())?;
    Ok((header, encode(&session.0, options.codec, body)?))
}

/// Encodes a body apart from its message.
pub(super) fn encode<A: ToBody + ?Sized>(
    inner: &Inner,
    codec: u8,
    body: &A,
) -> Result<Bytes, Error> {
    encode_with(&inner.env().codecs, codec, body)
}

pub(super) fn encode_with<A: ToBody + ?Sized>(
    codecs: &Codecs,
    codec: u8,
    body: &A,
) -> Result<Bytes, Error> {
    if let Some(bytes) = body.as_bytes() {
        return Ok(bytes.clone());
    }
    let mut bytes = BytesMut::new();
    body.encode_body(codecs, codec, &mut bytes)
        .map_err(Error::encode)?;
    Ok(bytes.freeze())
}

/// Makes a call when there is room, by way of the plugins that have a say, with its log line.
async fn launch_slow(
    session: Session,
    header: Header,
    body: Bytes,
    timeout: Option<Duration>,
) -> Result<Waiting, Error> {
    let inner = &session.0;
    let tables = inner.shared.router().tables();
    let hooks = &tables.hooks;
    let mut write = WriteCtx::new(session.clone(), header, body);
    hooks
        .run(Hooks::PRE_WRITE_CALL, &mut write, |p, c| {
            p.pre_write_call(c)
        })
        .await
        .map_err(Error::refused)?;
    wait_for_room(inner, timeout).await?;
    let (header, body) = write.parts();
    let mut waiting = take_in(inner, &header.seq, None, timeout)?;
    let style = inner.shared.log_style();
    header.with_head(|head| {
        let mut record =
            log::enabled().then(|| Box::new(Record::new(Kind::CallLaunch, style, head, body, 0)));
        let size = inner.send(head, Payload::Bytes(body), When::Now)?;
        if let Some(record) = &mut record {
            record.set_sent(size);
        }
        waiting.record = record;
        Ok::<_, Error>(())
    })?;
    let run = hooks.run(Hooks::POST_WRITE_CALL, &mut write, |p, c| {
        p.post_write_call(c)
    });
    if let Err(rerror) = run.await {
        tracing::warn!(remote = %inner.remote, error = %rerror, "a plugin failed after a call");
    }
    Ok(waiting)
}

/// Waits until the outbound queue takes more, at most as long as the call may take.
pub(super) async fn wait_for_room(
    inner: &Arc<Inner>,
    timeout: Option<Duration>,
) -> Result<(), Error> {
    if inner.out.is_full() {
        inner.shared.sweeper().watch(inner, None);
        let room = inner.out.wait_for_room();
        match timeout {
            None => room.await,
            Some(timeout) => tokio::time::timeout(timeout, room).await.map_err(|_| {
                let text = format!("the other end read nothing for {timeout:?}; nothing was sent");
                Error::new(ErrorKind::Timeout, text)
            })?,
        }
    }
    if inner.is_open() {
        Ok(())
    } else {
        Err(Session(Arc::clone(inner)).closed_error())
    }
}
