//! Calls of this side: what can be said about one, and its reply.

use std::fmt;
use std::future::{Future, IntoFuture, poll_fn};
use std::marker::PhantomData;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll, ready};
use std::time::Duration;

use bytes::Bytes;
use tokio::time::Instant;

use super::Session;
use super::again::{MovingPlace, Relaunch};
use super::caller::Request;
use super::calls::{ReplyBytes, ReplyIn};
use super::inner::Inner;
use super::launch::{Again, Launch, launch};
use super::options::Options;
use super::waiting::{CallPlace, Waiting, awaited_again};
use crate::codec::{BodyRef, FromBody, ToBody};
use crate::error::Error;
use crate::message::{Meta, Seq, meta};
use crate::rerror::Rerror;
use crate::router::handler::BoxFuture;
use crate::xfer::XferPipe;

/// A call that is not made yet: what can be said about it, in a chain, and then awaited.
///
/// Awaited it gives the body of the reply. [`send`](Self::send) gives a [`CallCmd`] instead, so
/// that many calls can be under way at once, and the reply's metadata, codec and cost be seen.
///
/// # Errors
///
/// Of what it is awaited to: [`Remote`](crate::ErrorKind::Remote) with the other peer's error;
/// [`Closed`](crate::ErrorKind::Closed), [`Timeout`](crate::ErrorKind::Timeout), [`Busy`](crate::ErrorKind::Busy), [`Encode`](crate::ErrorKind::Encode),
/// [`Decode`](crate::ErrorKind::Decode), and [`Refused`](crate::ErrorKind::Refused) by a plugin.
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

    /// Sets the codec of the body; the peer's default codec, if it is not set or 0.
    pub fn body_codec(mut self, codec: u8) -> Self {
        self.options.set_codec(codec);
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
        self.session.0.note_hand_set();
        self
    }

    /// Fails the call with [`ErrorKind::Timeout`](crate::ErrorKind::Timeout) when no reply came in
    /// time. Looked at about every 10 ms. Zero is no time, and not "no limit": the call is made all
    /// the same, and fails at the first look.
    ///
    /// It counts in place of the defaults of session and peer, be it shorter or longer. A call made
    /// by a handler has no more time than the handler has left, whatever is said here.
    pub fn timeout(mut self, timeout: Duration) -> Self {
        self.options.timeout = Some(timeout);
        self
    }

    /// Says whether the other peer may do it twice. A call that was written when its connection was
    /// lost fails, unless it may: then it is made again, if the session dials again. Default: no.
    pub fn idempotent(mut self, idempotent: bool) -> Self {
        self.options.idempotent = idempotent;
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
    #[doc(alias = "AsyncCall")]
    pub async fn send(self) -> Result<CallCmd<R>, Error> {
        let started = Instant::now();
        let session = self.session;
        let again = match session.0.line() {
            Some(_) => Some(Again::of(session, &self.options, &self.body)?),
            None => None,
        };
        let waiting = match launch(session, &self.options, &self.body, None) {
            Launch::Done(result) => result?,
            Launch::Slow(future) => future.await?,
        };
        Ok(CallCmd {
            seq: waiting.seq(),
            again: again.map(|again| Box::new(Relaunch::new(session, again, &waiting))),
            waiting,
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
            call: self,
            state: State::New,
        }
    }
}

/// The future of a [`Call`]: gives the decoded body of the reply.
#[must_use = "a future does nothing unless it is polled"]
pub struct CallFuture<'a, R, A> {
    /// Kept until the end: it may have to be made again.
    call: Call<'a, R, A>,
    state: State,
}

enum State {
    New,
    Launching(BoxFuture<'static, Result<Waiting, Error>>),
    Waiting(Waiting),
    Done,
}

// Nothing in it is ever pinned: what is polled is boxed, or polled by its key.
impl<R, A> Unpin for CallFuture<'_, R, A> {}

impl<R: FromBody, A: ToBody> Future for CallFuture<'_, R, A> {
    type Output = Result<R, Error>;

    fn poll(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Self::Output> {
        let Self { call, state } = &mut *self;
        loop {
            match state {
                State::New => {
                    let waker = Some(cx.waker().clone());
                    match launch(call.session, &call.options, &call.body, waker) {
                        Launch::Done(Ok(waiting)) => {
                            *state = State::Waiting(waiting);
                            return Poll::Pending;
                        }
                        Launch::Done(Err(error)) => {
                            *state = State::Done;
                            return Poll::Ready(Err(error));
                        }
                        Launch::Slow(future) => *state = State::Launching(future),
                    }
                }
                State::Launching(future) => match ready!(future.as_mut().poll(cx)) {
                    Ok(waiting) => *state = State::Waiting(waiting),
                    Err(error) => {
                        *state = State::Done;
                        return Poll::Ready(Err(error));
                    }
                },
                State::Waiting(waiting) => {
                    let mut reply = Recycled::default();
                    let ended = ready!(waiting.poll_into(cx, &mut reply.0));
                    let result = match &reply.0 {
                        // Not even the state is touched: the waiting knows that it is over.
                        Some(reply) if reply.meta.is_empty() => {
                            return Poll::Ready(decode(&waiting.inner, reply));
                        }
                        Some(reply) => Ok(reply),
                        None => Err(ended.err().unwrap_or_else(awaited_again)),
                    };
                    if !waiting.may_go_again(result.as_deref(), call.options.idempotent) {
                        return Poll::Ready(result.and_then(|reply| decode(&waiting.inner, reply)));
                    }
                    let again = Again::of(call.session, &call.options, &call.body)?;
                    let again = again.until(waiting.deadline);
                    let launching = again.launch(call.session.clone());
                    *state = State::Launching(Box::pin(launching));
                }
                State::Done => {
                    return Poll::Ready(Err(awaited_again()));
                }
            }
        }
    }
}

/// A reply whose memory goes back to the thread.
#[derive(Default)]
struct Recycled(Option<ReplyIn>);

impl Drop for Recycled {
    #[inline]
    fn drop(&mut self) {
        if let Some(reply) = &mut self.0 {
            reply.recycle();
        }
    }
}

impl<R, A> fmt::Debug for CallFuture<'_, R, A> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self.state {
            State::New => "CallFuture(new)",
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
    /// What it takes to make the call again, if its session dials again.
    again: Option<Box<Relaunch>>,
    reply: PhantomData<fn() -> R>,
}

impl<R: FromBody> CallCmd<R> {
    /// The sequence text of the call. A new one, when it was made again on another connection.
    #[must_use]
    pub fn seq(&self) -> &Seq {
        &self.seq
    }

    /// A handle that can end the call from elsewhere.
    #[must_use]
    pub fn canceller(&self) -> CallCanceller {
        CallCanceller {
            place: match &self.again {
                Some(again) => Place::Moving(again.place()),
                None => Place::Fixed(self.waiting.place()),
            },
        }
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
        let reply = poll_fn(|cx| self.poll_reply(cx)).await?;
        let body = decode(&self.waiting.inner, &reply)?;
        Ok(self.whole(reply, body))
    }

    fn whole<T>(&self, reply: ReplyIn, body: T) -> Reply<T> {
        Reply {
            seq: self.seq.clone(),
            body,
            meta: reply.meta,
            body_codec: reply.body_codec,
            xfer: reply.xfer,
            size: reply.size,
            cost: reply.arrived.saturating_duration_since(self.started),
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
        let mut reply = poll_fn(|cx| self.poll_reply(cx)).await?;
        if let Some(rerror) = reply.refused.take() {
            return Err(Error::refused(rerror));
        }
        let empty = ReplyBytes::Shared(Bytes::new());
        let body = std::mem::replace(&mut reply.body, empty).into_bytes();
        Ok(self.whole(reply, body))
    }
}

impl<R> CallCmd<R> {
    fn poll_reply(&mut self, cx: &mut Context<'_>) -> Poll<Result<ReplyIn, Error>> {
        let Some(again) = &mut self.again else {
            return self.waiting.poll(cx);
        };
        let result = ready!(again.poll(&mut self.waiting, cx));
        self.seq = again.seq(&self.seq);
        Poll::Ready(result)
    }
}

impl<R: FromBody> Future for CallCmd<R> {
    type Output = Result<R, Error>;

    fn poll(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Self::Output> {
        let reply = ready!(self.poll_reply(cx))?;
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

/// Ends a call from elsewhere than where its reply is waited for.
#[derive(Clone, Debug)]
pub struct CallCanceller {
    place: Place,
}

#[derive(Clone, Debug)]
enum Place {
    Fixed(CallPlace),
    /// Of a call that may be made again on another connection.
    Moving(Arc<MovingPlace>),
}

impl CallCanceller {
    /// Ends the call with [`Cancelled`](crate::ErrorKind::Cancelled), unless its reply is there.
    /// The other peer is told under [`propagate`](crate::PeerConfig::propagate); else it goes on.
    pub fn cancel(&self) {
        match &self.place {
            Place::Fixed(place) => place.cancel(),
            Place::Moving(place) => place.cancel(),
        }
    }
}

/// A reply with all that came with it.
///
/// # Examples
///
/// ```
/// use teleport::{Peer, Rerror, UnknownCallCtx};
///
/// async fn echo(ctx: &mut UnknownCallCtx) -> Result<String, Rerror> {
///     ctx.add_meta("k", "v");
///     ctx.bind()
/// }
///
/// # #[tokio::main(flavor = "current_thread")]
/// # async fn main() -> Result<(), teleport::Error> {
/// let (near, far) = tokio::io::duplex(1024);
/// let server = Peer::builder().build()?;
/// server.set_unknown_call(echo)?;
/// server.serve_conn(far).await?;
///
/// let session = Peer::builder().build()?.dial_conn(near).await?;
/// let command = session.call::<String>("/any", "hello").seq("mine").send().await?;
/// let reply = command.reply().await?;
/// assert_eq!((reply.seq.as_bytes(), &*reply.body), (&b"mine"[..], "hello"));
/// assert_eq!(reply.meta.get("k"), Some("v"));
/// # Ok(())
/// # }
/// ```
#[derive(Clone, Debug)]
#[non_exhaustive]
pub struct Reply<R> {
    /// The sequence text of the call.
    pub seq: Seq,
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
    /// The time from the making of the call to the arrival of the reply, however late it is taken.
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
        return Err(Error::remote(rerror, reply.meta.clone()));
    }
    let body = match &reply.body {
        ReplyBytes::Copied(bytes) => BodyRef::new(bytes),
        ReplyBytes::Shared(bytes) => BodyRef::shared(bytes),
    };
    R::from_body(&inner.env().codecs, reply.body_codec, body).map_err(Error::decode)
}
