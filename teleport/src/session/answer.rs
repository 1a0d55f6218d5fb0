//! Replies: what becomes of the outcome of a call's handler.
//!
//! What a reply needs to find its call lives here, outside of the handler's future, so that a
//! handler that panics or is cancelled is answered for.

use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::Arc;
use std::sync::atomic::Ordering;

use bytes::{Bytes, BytesMut};

use super::inner::{Inner, Payload, Running};
use super::log::Record;
use super::outbound::When;
use super::slow;
use crate::codec;
use crate::context::{Answered, CallCtx};
use crate::error::{Error, ErrorKind};
use crate::message::{Head, Meta, Mtype, Seq, Uri, meta};
use crate::plugin::FlatHooks;
use crate::private::ReplyBody;
use crate::rerror::Rerror;
use crate::router::handler::CallOutcome;
use crate::xfer::XferPipe;

/// What a reply needs to find its call.
#[derive(Debug)]
pub(super) struct Answer {
    seq: Seq,
    xfer: XferPipe,
    record: Option<Box<Record>>,
    /// Whether the reply is queued beyond the hard mark too.
    past_mark: bool,
    /// The call was not run, because the session is closing.
    for_good: bool,
}

/// A reply that is ready but for its bytes.
struct Draft<'a> {
    meta: Option<&'a Meta>,
    codec: u8,
    added: &'a [u8],
}

impl Answer {
    #[inline]
    pub(super) fn new(head: &Head<'_>, record: Option<Box<Record>>) -> Self {
        Self {
            seq: Seq::from(head.seq),
            xfer: XferPipe::from_wire(head.xfer),
            record,
            past_mark: false,
            for_good: false,
        }
    }

    pub(super) fn seq(&self) -> &Seq {
        &self.seq
    }

    pub(super) fn record(&mut self) -> Option<&mut Record> {
        self.record.as_deref_mut()
    }

    /// The filters of the reply: those of the call, then those that the handler added.
    pub(super) fn pipe(&self, added: &[u8]) -> XferPipe {
        if added.is_empty() {
            return self.xfer.clone();
        }
        let ids: Vec<u8> = self.xfer.ids().iter().chain(added).copied().collect();
        XferPipe::from_wire(&ids)
    }

    /// Sends the outcome of a handler.
    pub(super) fn send(
        mut self,
        inner: &Arc<Inner>,
        ctx: Option<&CallCtx>,
        result: Result<&mut dyn ReplyBody, &Rerror>,
    ) {
        let failed;
        let error = match result {
            Ok(body) => {
                failed = self.send_body(inner, ctx, body).err();
                failed.as_ref()
            }
            Err(rerror) => Some(rerror),
        };
        if let Some(rerror) = error {
            self.send_error(inner, ctx, rerror);
        }
        self.log(inner, error);
    }

    /// Sends an error that no handler was asked about.
    pub(super) fn refuse(mut self, inner: &Arc<Inner>, rerror: &Rerror) {
        self.send_error(inner, None, rerror);
        self.log(inner, Some(rerror));
    }

    /// [`refuse`](Self::refuse)s for lack of room: the refusal takes its place in the queue
    /// whatever is in it, for a task that waits would take more. The read loop sees to a bound.
    /// `for_good` tells the caller that it may call elsewhere.
    pub(super) fn turn_away(mut self, inner: &Arc<Inner>, rerror: &Rerror, for_good: bool) {
        self.set_turned_away(for_good);
        self.refuse(inner, rerror);
    }

    pub(super) fn set_turned_away(&mut self, for_good: bool) {
        self.past_mark = true;
        self.for_good = for_good;
    }

    /// Whether the reply is queued beyond the hard mark too.
    pub(super) fn is_past_mark(&self) -> bool {
        self.past_mark
    }

    /// Puts an error into the metadata of this reply.
    pub(super) fn set_error(&self, rerror: &Rerror, meta: &mut Meta) {
        rerror.set_meta(meta);
        if self.for_good {
            meta.add(meta::NOT_RUN, "true");
        }
    }

    pub(super) fn log(&mut self, inner: &Inner, error: Option<&Rerror>) {
        if let Some(record) = self.record.take() {
            record.write(&inner.remote, error);
        }
    }

    fn send_body(
        &mut self,
        inner: &Arc<Inner>,
        ctx: Option<&CallCtx>,
        body: &mut dyn ReplyBody,
    ) -> Result<(), Rerror> {
        let codec = ctx.map_or(codec::NONE, CallCtx::reply_body_codec);
        let draft = Draft {
            meta: ctx.map(CallCtx::reply_meta).filter(|meta| !meta.is_empty()),
            codec,
            added: ctx.map_or(&[], |ctx| ctx.added_xfer().ids()),
        };
        let sent = match body.take_bytes() {
            Some(bytes) => self.write(inner, &draft, Payload::Bytes(&bytes)),
            None => {
                let codecs = &inner.env().codecs;
                let mut encode = |dst: &mut BytesMut| body.encode(codecs, codec, dst);
                self.write(inner, &draft, Payload::Encode(&mut encode))
            }
        };
        match sent {
            Ok(()) => Ok(()),
            Err(error) if error.kind() == ErrorKind::Closed => {
                lost(inner, &self.seq);
                Ok(())
            }
            Err(error) => Err(unencodable(&error)),
        }
    }

    fn send_error(&mut self, inner: &Arc<Inner>, ctx: Option<&CallCtx>, rerror: &Rerror) {
        let mut meta = ctx.map(|ctx| ctx.reply_meta().clone()).unwrap_or_default();
        self.set_error(rerror, &mut meta);
        let draft = Draft {
            meta: Some(&meta),
            codec: codec::NONE,
            added: ctx.map_or(&[], |ctx| ctx.added_xfer().ids()),
        };
        if let Err(error) = self.write(inner, &draft, Payload::Bytes(&Bytes::new())) {
            if error.kind() == ErrorKind::Closed {
                lost(inner, &self.seq);
                return;
            }
            // The error itself does not fit, by its text or by the metadata beside it.
            let without_reason = Rerror::new(rerror.code(), rerror.message().to_owned(), "");
            let bare = Rerror::from_code(rerror.code());
            let mut failed = None;
            for shorter in [without_reason, bare] {
                let mut meta = Meta::new();
                shorter.set_meta(&mut meta);
                let draft = Draft {
                    meta: Some(&meta),
                    codec: codec::NONE,
                    added: &[],
                };
                match self.write(inner, &draft, Payload::Bytes(&Bytes::new())) {
                    Ok(()) => return,
                    Err(error) => failed = Some(error),
                }
            }
            let why = failed.map(|error| error.chain()).unwrap_or_default();
            inner.fail(format!("a reply cannot be sent: {why}"));
        }
    }

    fn write(
        &mut self,
        inner: &Arc<Inner>,
        draft: &Draft<'_>,
        payload: Payload<'_>,
    ) -> Result<(), Error> {
        let meta = draft.meta.map(Meta::encoded).unwrap_or_default();
        let pipe;
        let xfer = if draft.added.is_empty() {
            self.xfer.ids()
        } else {
            pipe = self.pipe(draft.added);
            pipe.ids()
        };
        let head = Head {
            seq: self.seq.as_bytes(),
            mtype: Mtype::REPLY,
            uri: &[],
            meta: &meta,
            body_codec: draft.codec,
            xfer,
        };
        let past_mark = self.past_mark;
        let detailed = self
            .record
            .as_deref_mut()
            .filter(|record| record.is_detailed());
        let size = match detailed {
            None => deliver(inner, &head, payload, past_mark)?,
            Some(record) => {
                // The line shows the body, so it is made apart.
                let mut bytes = BytesMut::new();
                let body = match payload {
                    Payload::Bytes(bytes) => bytes.clone(),
                    Payload::Encode(encode) => {
                        caught(|| encode(&mut bytes).map_err(Error::encode))?;
                        bytes.freeze()
                    }
                };
                record.add_detail("send", &head, &body);
                deliver(inner, &head, Payload::Bytes(&body), past_mark)?
            }
        };
        if let Some(record) = self.record.as_deref_mut() {
            record.set_sent(size);
        }
        Ok(())
    }
}

/// Hands a reply to the batch or the queue. When the queue is at its hard mark the reply waits
/// for room in a task of its own, and counts as a handler that runs; the read loop goes on.
///
/// A panic of an encoder or a filter is an error of the kind [`ErrorKind::Encode`].
pub(super) fn deliver(
    inner: &Arc<Inner>,
    head: &Head<'_>,
    payload: Payload<'_>,
    past_mark: bool,
) -> Result<usize, Error> {
    if inner.out.is_full() {
        // Should the other end never read again, somebody has to notice.
        inner.shared.sweeper().watch(inner, None);
    }
    if past_mark || inner.out.queued() < inner.bounds().hard_queue {
        return caught(|| inner.send_reply(head, payload));
    }
    let mut buffer = BytesMut::new();
    let body = caught(|| {
        inner
            .pack(head, payload, &mut buffer)
            .map_err(super::inner::pack_error)
    })?;
    let size = buffer.len() + body.as_ref().map_or(0, Bytes::len);
    let parked = Parked::new(inner.count_running(), size);
    inner.runtime.spawn(async move {
        let session = parked.running.session();
        session.0.out.wait_for_room().await;
        if session.0.put(&buffer, body.as_ref(), When::Soon).is_err() {
            session.0.count_lost_reply();
            tracing::debug!(remote = %session.0.remote, "a reply was lost with its connection");
        }
        drop(parked);
    });
    Ok(size)
}

/// Counts a reply that waits for room, as long as it lives. The bytes are the last to go: without
/// them nothing is counted any more.
struct Parked {
    running: Running,
    _bytes: ParkedBytes,
}

struct ParkedBytes {
    inner: Arc<Inner>,
    size: usize,
}

impl Parked {
    fn new(running: Running, size: usize) -> Self {
        let inner = running.session().0;
        inner.parked.fetch_add(size, Ordering::SeqCst);
        Self {
            running,
            _bytes: ParkedBytes { inner, size },
        }
    }
}

impl Drop for ParkedBytes {
    fn drop(&mut self) {
        self.inner.parked.fetch_sub(self.size, Ordering::SeqCst);
        self.inner.look_again_if_cut();
    }
}

/// Makes an error of a panic in code of the user's.
fn caught<T>(work: impl FnOnce() -> Result<T, Error>) -> Result<T, Error> {
    catch_unwind(AssertUnwindSafe(work)).unwrap_or_else(|panic| {
        let text = crate::panic_text(&*panic);
        Err(Error::new(ErrorKind::Encode, text))
    })
}

#[cold]
pub(super) fn lost(inner: &Inner, seq: &Seq) {
    inner.count_lost_reply();
    tracing::warn!(remote = %inner.remote, %seq, "a reply was lost: the connection is closed");
}

/// A result that cannot be encoded is error 500 with the encoder's text.
#[cold]
fn unencodable(error: &Error) -> Rerror {
    use std::error::Error as _;
    let text = error
        .source()
        .map_or_else(|| error.to_string(), ToString::to_string);
    Rerror::internal(text)
}

/// Answers for a handler that waits: whatever becomes of its future, the caller is told.
#[derive(Debug)]
pub(super) struct Owed {
    running: Running,
    answer: Option<Answer>,
    /// The reply hooks, and the uri of the call, for an end that nobody planned.
    hooks: Option<(FlatHooks, Uri)>,
}

impl Owed {
    pub(super) fn new(running: Running, answer: Answer) -> Self {
        Self {
            running,
            answer: Some(answer),
            hooks: None,
        }
    }

    /// Sees to it that the reply hooks of the call see the reply whatever becomes of it.
    pub(super) fn tell(&mut self, hooks: &FlatHooks, uri: &Uri) {
        self.hooks = hooks
            .any(slow::REPLY_HOOKS)
            .then(|| (hooks.clone(), uri.clone()));
    }

    pub(super) fn settle(mut self, (ctx, result): CallOutcome) {
        if let Some(answer) = self.answer.take() {
            let inner = &self.running.session().0;
            match result {
                Ok(mut body) => answer.send(inner, ctx.as_ref(), Ok(&mut *body)),
                Err(rerror) => answer.send(inner, ctx.as_ref(), Err(&rerror)),
            }
        }
    }

    pub(super) fn seq(&self) -> Option<Seq> {
        self.answer.as_ref().map(|answer| answer.seq.clone())
    }

    pub(super) fn answer(&mut self) -> Option<Answer> {
        self.answer.take()
    }
}

impl Drop for Owed {
    fn drop(&mut self) {
        if let Some(answer) = self.answer.take() {
            let rerror = Rerror::internal("the handler was cancelled before it was done");
            let inner = &self.running.session().0;
            if inner.cuts.is_cut() {
                // Its connection is cut off as well.
                let mut answer = answer;
                return answer.log(inner, Some(&rerror));
            }
            match self.hooks.take() {
                None => answer.refuse(inner, &rerror),
                Some((hooks, uri)) => {
                    slow::refuse(inner, &hooks, answer, Answered::lost(uri), &rerror);
                }
            }
        }
    }
}
