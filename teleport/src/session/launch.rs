//! Getting a call under way: at once if nothing stands in the way, else by way of the plugins that
//! have a say, or when there is room.

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
use crate::context::WriteCtx;
use crate::error::{Error, ErrorKind};
use crate::message::{Header, Mtype, Seq};
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
    match by_hand {
        None => Seq::from_counter(inner.next_counter()),
        Some(seq) => {
            inner.went_by_hand.fetch_add(1, Ordering::Relaxed);
            seq
        }
    }
}

/// Makes a call as far as it goes without waiting.
pub(super) fn launch<A: ToBody>(
    session: &Session,
    options: &Options<'_>,
    body: &A,
    seq: &Seq,
    waker: Option<Waker>,
) -> Launch {
    let inner = &session.0;
    if !inner.is_open() {
        return Launch::Done(Err(session.closed_error().not_run()));
    }
    let hooked = inner
        .shared
        .router()
        .load()
        .hooks
        .any(Hooks::PRE_WRITE_CALL.union(Hooks::POST_WRITE_CALL));
    if hooked || inner.out.is_full() || log::enabled() {
        return match slow_parts(session, options, body, seq) {
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
    seq: &Seq,
    waker: Option<Waker>,
) -> Result<Waiting, Error> {
    let inner = &session.0;
    let deadline = deadline(options.timeout);
    let (waiting, in_flight) = take_in(inner, seq, waker, options.timeout, deadline)?;
    let when = if in_flight > CROWD {
        When::Soon
    } else {
        When::Now
    };
    let meta = options.meta.encoded();
    let head = options.head(Mtype::CALL, seq, &meta);
    match body.as_bytes() {
        Some(bytes) => inner.send(&head, Payload::Bytes(bytes), when)?,
        None => {
            let codecs = &inner.env().codecs;
            let mut encode = |dst: &mut BytesMut| body.encode_body(codecs, options.codec, dst);
            inner.send(&head, Payload::Encode(&mut encode), when)?
        }
    };
    Ok(waiting)
}

/// When a call is past its time; a time beyond all clocks is none.
fn deadline(timeout: Option<Duration>) -> Option<Instant> {
    Instant::now().checked_add(timeout?)
}

/// Takes a place for a reply.
fn take_in(
    inner: &Arc<Inner>,
    seq: &Seq,
    waker: Option<Waker>,
    timeout: Option<Duration>,
    deadline: Option<Instant>,
) -> Result<(Waiting, usize), Error> {
    let key = match seq.counter() {
        Some(counter) => inner.calls.insert(counter, waker, deadline),
        None => inner.calls.insert_text(seq.clone(), waker, deadline),
    };
    let (key, in_flight) = key.map_err(|why| not_taken(inner, seq, why))?;
    let waiting = Waiting {
        inner: Arc::clone(inner),
        key: Some(key),
        timeout,
        record: None,
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
    let deadline = deadline(timeout);
    let inner = &session.0;
    let tables = inner.shared.router().tables();
    let hooks = &tables.hooks;
    let mut write = WriteCtx::new(session.clone(), header, body);
    // Room comes first: what a hook made of the message is to leave at once.
    let ready = async {
        wait_for_room(inner).await?;
        let run = hooks.run(Hooks::PRE_WRITE_CALL, &mut write, |p, c| {
            p.pre_write_call(c)
        });
        run.await.map_err(Error::refused)
    };
    match deadline {
        None => ready.await?,
        Some(deadline) => tokio::time::timeout_at(deadline, ready)
            .await
            .unwrap_or_else(|_| Err(not_sent(timeout)))?,
    }
    let (header, body) = write.parts();
    let (mut waiting, _) = take_in(inner, &header.seq, None, timeout, deadline)?;
    if let (Some(key), Some(swap)) = (&waiting.key, write.own_swap()) {
        inner.calls.keep_swap(key, swap.clone());
    }
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

#[cold]
fn not_sent(timeout: Option<Duration>) -> Error {
    let timeout = timeout.unwrap_or_default();
    let text = format!("the call could not be sent within {timeout:?}; nothing was sent");
    Error::new(ErrorKind::Timeout, text)
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
