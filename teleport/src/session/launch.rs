//! Getting a call under way: at once if nothing stands in the way, else by way of the plugins that
//! have a say, or when there is room.

use std::borrow::Cow;
use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::task::Waker;
use std::time::Duration;

use bytes::{Bytes, BytesMut};
use tokio::time::Instant;

use super::Session;
use super::calls::NotTaken;
use super::inner::{Inner, LOOK_STATE, Payload};
use super::log::{self, Kind, Record};
use super::options::Options;
use super::outbound::When;
use super::waiting::Waiting;
use crate::codec::{Codecs, ToBody};
use crate::context::{Asked, WriteCtx, bound};
use crate::error::{Error, ErrorKind};
use crate::message::{Header, Meta, Mtype, Seq, meta};
use crate::plugin::Hooks;
use crate::router::handler::BoxFuture;

/// With more calls in flight than this the next is written with others, a turn later: their
/// replies come in bursts, and so do the calls that follow them.
const CROWD: usize = 32;

/// How a call got under way.
pub(super) enum Launch {
    Done(Result<Waiting, Error>),
    /// A plugin has a say, or there is no room; the body is encoded already.
    Slow(BoxFuture<'static, Result<Waiting, Error>>),
}

/// The sequence text of a call or push: the one set by hand, else the session's next.
#[inline]
pub(super) fn seq_of(inner: &Inner, by_hand: Option<Seq>) -> Seq {
    numbered(inner, by_hand).0
}

/// The sequence text of a call or push, and the count that it stands for.
#[inline]
fn numbered(inner: &Inner, by_hand: Option<Seq>) -> (Seq, Option<u64>) {
    match by_hand {
        None => {
            let counter = inner.next_counter();
            (Seq::from_counter(counter), Some(counter))
        }
        Some(seq) => {
            inner.went_by_hand.fetch_add(1, Ordering::Relaxed);
            let counter = seq.counter();
            (seq, counter)
        }
    }
}

/// Makes a call as far as it goes without waiting.
pub(super) fn launch<A: ToBody>(
    session: &Session,
    options: &Options<'_>,
    body: &A,
    waker: Option<Waker>,
) -> Launch {
    let inner = &session.0;
    if !inner.is_open() {
        return launch_elsewhere(session, options, body, waker);
    }
    let limit = match limit(options.timeout) {
        Ok(limit) => limit,
        Err(error) => return Launch::Done(Err(error)),
    };
    let (seq, counter) = numbered(inner, options.seq.clone());
    let hooked = inner
        .shared
        .router()
        .load()
        .hooks
        .any(Hooks::PRE_WRITE_CALL.union(Hooks::POST_WRITE_CALL));
    if hooked || inner.out.is_full() || log::enabled() {
        return match slow_parts(session, options, body, seq) {
            Ok((header, body)) if inner.line().is_some() => {
                let again = Again::new(header, body, options, limit);
                Launch::Slow(Box::pin(again.launch(session.clone())))
            }
            Ok((header, body)) => {
                let session = session.clone();
                Launch::Slow(Box::pin(async move {
                    launch_slow(&session, header, body, limit).await
                }))
            }
            Err(error) => Launch::Done(Err(error)),
        };
    }
    let launched = launch_now(session, options, body, (&seq, counter), waker, limit);
    match launched {
        // The connection broke, and nobody has noticed yet.
        Err(error) if error.is_closed() && inner.line().is_some() => {
            launch_later(session, options, body)
        }
        launched => Launch::Done(launched),
    }
}

/// The connection that the session's handle was made with takes no calls: there may be another.
#[cold]
fn launch_elsewhere<A: ToBody>(
    session: &Session,
    options: &Options<'_>,
    body: &A,
    waker: Option<Waker>,
) -> Launch {
    let Some(line) = session.0.line() else {
        return Launch::Done(Err(session.closed_error().not_run()));
    };
    match line.up() {
        Some(inner) if inner.number != session.0.number => {
            if options.seq.is_some() {
                inner.note_hand_set();
            }
            launch(&Session(inner), options, body, waker)
        }
        _ => launch_later(session, options, body),
    }
}

/// Makes a call as soon as there is a connection.
#[cold]
pub(super) fn launch_later<A: ToBody>(
    session: &Session,
    options: &Options<'_>,
    body: &A,
) -> Launch {
    match Again::of(session, options, body) {
        Ok(again) => Launch::Slow(Box::pin(again.launch(session.clone()))),
        Err(error) => Launch::Done(Err(error)),
    }
}

/// All that it takes to make a call, also a second time.
#[derive(Clone)]
pub(super) struct Again {
    header: Header,
    body: Bytes,
    /// The sequence text was set by hand.
    hand_set: bool,
    pub(super) is_idempotent: bool,
    limit: Limit,
}

impl Again {
    pub(super) fn of<A: ToBody>(
        session: &Session,
        options: &Options<'_>,
        body: &A,
    ) -> Result<Self, Error> {
        let seq = options.seq.clone().unwrap_or_default();
        let (header, body) = slow_parts(session, options, body, seq)?;
        Ok(Self::new(header, body, options, limit(options.timeout)?))
    }

    fn new(header: Header, body: Bytes, options: &Options<'_>, limit: Limit) -> Self {
        Self {
            header,
            body,
            hand_set: options.seq.is_some(),
            is_idempotent: options.idempotent,
            limit,
        }
    }

    /// Sets the deadline that the call had when it was made the first time.
    pub(super) fn until(mut self, deadline: Option<Instant>) -> Self {
        self.limit.deadline = deadline;
        self
    }

    /// Makes the call on the connection in use, or waits for one.
    pub(super) async fn launch(self, session: Session) -> Result<Waiting, Error> {
        let Some(line) = session.0.line() else {
            return Err(session.closed_error().not_run());
        };
        let _waits = line.admit(self.body.len())?;
        loop {
            let session = self.limit.hold(line.ready()).await?;
            let inner = &session.0;
            let header = header_on(inner, &self.header, self.hand_set);
            let body = self.body.clone();
            match launch_slow(&session, header, body, self.limit).await {
                Err(error) if error.is_closed() && error.is_not_run() => note_closed(inner),
                launched => return launched,
            }
        }
    }
}

/// A message's header, with the sequence text that it has on this connection.
pub(super) fn header_on(inner: &Inner, header: &Header, hand_set: bool) -> Header {
    let by_hand = hand_set.then(|| {
        inner.note_hand_set();
        header.seq.clone()
    });
    Header {
        seq: seq_of(inner, by_hand),
        ..header.clone()
    }
}

/// A connection takes no more messages: sees to it that its session knows.
pub(super) fn note_closed(inner: &Inner) {
    if inner.is_open() {
        inner.fail_writing();
    }
}

fn launch_now<A: ToBody>(
    session: &Session,
    options: &Options<'_>,
    body: &A,
    (seq, counter): (&Seq, Option<u64>),
    waker: Option<Waker>,
    limit: Limit,
) -> Result<Waiting, Error> {
    let inner = &session.0;
    let (mut waiting, in_flight) = take_in(inner, (seq, counter), waker, limit)?;
    let when = if in_flight > CROWD {
        When::Soon
    } else {
        When::Now
    };
    let mut meta = options.meta.encoded();
    if inner.propagates() {
        let mut said = options.meta.clone();
        limit.say_in(&mut said);
        meta = Cow::Owned(said.encoded().into_owned());
    }
    let head = options.head(Mtype::CALL, seq, &meta);
    let put = match body.as_bytes() {
        Some(bytes) => inner.send(&head, Payload::Bytes(bytes), when)?,
        None => {
            let codecs = &inner.env().codecs;
            let mut encode = |dst: &mut BytesMut| body.encode_body(codecs, options.codec, dst);
            inner.send(&head, Payload::Encode(&mut encode), when)?
        }
    };
    waiting.end = put.end;
    waiting.attended = inner.propagates();
    Ok(waiting)
}

/// How long a call may take.
#[derive(Clone, Copy, Default)]
struct Limit {
    timeout: Option<Duration>,
    deadline: Option<Instant>,
}

/// How long a call may take: as was said, and no longer than the handler that makes it. A time
/// beyond all clocks is none.
#[inline]
fn limit(timeout: Option<Duration>) -> Result<Limit, Error> {
    let bound = bound();
    if timeout.is_none() && bound.is_none() {
        return Ok(Limit::default());
    }
    let now = Instant::now();
    let deadline = timeout.and_then(|timeout| now.checked_add(timeout));
    match bound {
        Some(bound) if bound <= now => Err(out_of_time()),
        Some(bound) if deadline.is_none_or(|deadline| bound < deadline) => Ok(Limit {
            timeout: Some(bound - now),
            deadline: Some(bound),
        }),
        _ => Ok(Limit { timeout, deadline }),
    }
}

#[cold]
fn out_of_time() -> Error {
    let text = "the time of the handler that makes the call is over; nothing was sent";
    Error::new(ErrorKind::Timeout, text).not_run()
}

impl Limit {
    /// Does something in the time of a call, nothing of which is sent before.
    async fn hold<T>(&self, work: impl Future<Output = Result<T, Error>>) -> Result<T, Error> {
        match self.deadline {
            None => work.await,
            Some(deadline) => tokio::time::timeout_at(deadline, work)
                .await
                .unwrap_or_else(|_| Err(not_sent(self.timeout))),
        }
    }

    /// Says in the metadata of a call how much of its time is left.
    fn say_in(&self, meta: &mut Meta) {
        let left = |at: Instant| at.saturating_duration_since(Instant::now());
        meta.set(meta::REMAINING, Asked::text(self.deadline.map(left)));
    }
}

/// Takes a place for a reply.
fn take_in(
    inner: &Arc<Inner>,
    (seq, counter): (&Seq, Option<u64>),
    waker: Option<Waker>,
    limit: Limit,
) -> Result<(Waiting, usize), Error> {
    let Limit { timeout, deadline } = limit;
    let key = match counter {
        Some(counter) => inner.calls.insert(counter, waker, deadline),
        None => inner.calls.insert_text(seq.clone(), waker, deadline),
    };
    let (key, in_flight) = key.map_err(|why| not_taken(inner, seq, why))?;
    let waiting = Waiting {
        inner: Arc::clone(inner),
        key: Some(key),
        timeout,
        deadline,
        end: 0,
        record: None,
        attended: false,
    };
    if let Some(deadline) = deadline {
        inner.shared.sweeper().watch(inner, Some(deadline));
    }
    if inner.paused.load(Ordering::SeqCst) {
        // The reply can only be read if reading goes on.
        inner.look(LOOK_STATE);
    }
    Ok((waiting, in_flight))
}

#[cold]
fn not_taken(inner: &Arc<Inner>, seq: &Seq, why: NotTaken) -> Error {
    match why {
        NotTaken::Closed => Session(Arc::clone(inner)).closed_error().not_run(),
        NotTaken::Full => Error::new(
            ErrorKind::Busy,
            format!(
                "{} calls of this session wait for their replies",
                inner.bounds().in_flight
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
    seq: Seq,
) -> Result<(Header, Bytes), Error> {
    let header = options.header(Mtype::CALL, seq)?;
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
    session: &Session,
    header: Header,
    body: Bytes,
    limit: Limit,
) -> Result<Waiting, Error> {
    let inner = &session.0;
    let tables = inner.shared.router().tables();
    let hooks = &tables.hooks;
    let mut write = WriteCtx::new(session.clone(), header, body);
    // Room comes first: what a hook made of the message is to leave at once.
    let ready = async {
        wait_for_room(inner).await?;
        if inner.propagates() && inner.guard.is_some() {
            limit.say_in(&mut write.header_mut().meta);
        }
        let run = hooks.run(Hooks::PRE_WRITE_CALL, &mut write, |p, c| {
            p.pre_write_call(c)
        });
        run.await.map_err(Error::refused)
    };
    limit.hold(ready).await?;
    if inner.propagates() && inner.guard.is_none() {
        limit.say_in(&mut write.header_mut().meta);
    }
    let (header, body) = write.parts();
    let (mut waiting, _) = take_in(inner, (&header.seq, header.seq.counter()), None, limit)?;
    if let (Some(key), Some(swap)) = (&waiting.key, write.own_swap()) {
        inner.calls.keep_swap(key, swap.clone());
    }
    let style = inner.shared.log_style();
    header.with_head(|head| {
        let mut record =
            log::enabled().then(|| Box::new(Record::new(Kind::CallLaunch, style, head, body, 0)));
        let put = inner.send(head, Payload::Bytes(body), When::Now)?;
        waiting.end = put.end;
        if let Some(record) = &mut record {
            record.set_sent(put.size);
        }
        waiting.record = record;
        waiting.attended = inner.propagates();
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

#[cold]
fn not_sent(timeout: Option<Duration>) -> Error {
    let timeout = timeout.unwrap_or_default();
    let text = format!("the call could not be sent within {timeout:?}; nothing was sent");
    Error::new(ErrorKind::Timeout, text).not_run()
}

/// Waits until the outbound queue takes more.
pub(super) async fn wait_for_room(inner: &Arc<Inner>) -> Result<(), Error> {
    if inner.out.is_full() {
        inner.shared.sweeper().watch(inner, None);
        let _counted = inner.out.count_waiter();
        let room = inner.out.wait_for_room();
        if inner.paused.load(Ordering::SeqCst) {
            // The other end may have to be read before it makes room.
            inner.look(LOOK_STATE);
        }
        room.await;
    }
    if inner.is_open() {
        Ok(())
    } else {
        Err(Session(Arc::clone(inner)).closed_error().not_run())
    }
}
