//! From a frame to its handler, the direct way: no plugin has a say before the reply.
//!
//! A message goes straight from the read buffer into its handler, which is polled where the
//! message stands. Whatever has to wait, and whatever a plugin looks at, moves on elsewhere
//! ([`super::slow`]); the read loop goes on with the next message.

mod fates;
mod push;
mod wakers;

use std::sync::Arc;

use bytes::Bytes;
use tokio::time::Instant;

pub(super) use self::fates::{invalid_uri, no_codec, not_found, push_done, stray, undecoded};
pub(super) use self::wakers::Wakers;
use super::Session;
use super::answer::{Answer, Owed};
use super::calls::{ReplyBytes, ReplyIn};
use super::control;
use super::cuts;
use super::inner::Inner;
use super::limited;
use super::log::{Kind, Record};
use super::slow;
use crate::codec::BodyRef;
use crate::context::{CallCtx, Received};
use crate::message::{Frame, Head, Meta, Mtype, uri};
use crate::plugin::Hooks;
use crate::rerror::{Rerror, code};
use crate::router::handler::{CallHandler, Started};
use crate::router::{Entry, Tables};
use crate::xfer::XferPipe;

/// A body from this size on is handed to whoever keeps it as a part of what was read.
pub(super) const SHARE_FROM: usize = 4 * 1024;

/// The least room for refusals beyond the hard mark, in bytes: those of some thousand calls.
const LEAST_REFUSALS: usize = 1024 * 1024;

const EARLY_CALL: Hooks = Hooks::PRE_READ_HEADER.union(Hooks::POST_READ_CALL_HEADER);
const EARLY_PUSH: Hooks = Hooks::PRE_READ_HEADER.union(Hooks::POST_READ_PUSH_HEADER);
const ANY_REPLY: Hooks = Hooks::PRE_READ_HEADER
    .union(Hooks::POST_READ_REPLY_HEADER)
    .union(Hooks::PRE_READ_REPLY_BODY)
    .union(Hooks::POST_READ_REPLY_BODY);

/// Why reading has to end.
pub(super) struct Stop(pub(super) String);

/// Why a message is not handled.
struct TurnedAway {
    rerror: Rerror,
    /// The session is closing: another will have to be asked.
    for_good: bool,
}

impl TurnedAway {
    #[cold]
    fn because(reason: &'static str) -> Self {
        Self {
            rerror: Rerror::from_code(code::SERVICE_UNAVAILABLE).with_reason(reason),
            for_good: false,
        }
    }
}

/// Works through the frames of one read.
pub(super) struct Dispatch<'a> {
    pub(super) inner: &'a Arc<Inner>,
    pub(super) tables: &'a Arc<Tables>,
    pub(super) logging: bool,
    /// The callers whose replies came in this batch.
    pub(super) wakers: Wakers<'a>,
    /// When the first reply of this batch was read; the others came with it.
    pub(super) arrived: Option<Instant>,
    /// How many of the messages were no replies.
    pub(super) came: u64,
}

impl Dispatch<'_> {
    /// Takes one message. Parts of a body that is shared may be kept.
    pub(super) fn frame(
        &mut self,
        frame: &Frame<'_>,
        size: usize,
        body: BodyRef<'_>,
    ) -> Result<(), Stop> {
        match frame.head.mtype {
            Mtype::CALL => {
                self.came += 1;
                self.call(&frame.head, size, body)
            }
            Mtype::REPLY => {
                self.reply(&frame.head, size, body);
                Ok(())
            }
            Mtype::PUSH => {
                self.came += 1;
                self.push(&frame.head, size, body)
            }
            Mtype(other) => Err(Stop(format!(
                "a message of type {other} came, which is no CALL, REPLY or PUSH"
            ))),
        }
    }

    fn record(
        &self,
        kind: Kind,
        head: &Head<'_>,
        size: usize,
        body: BodyRef<'_>,
    ) -> Option<Box<Record>> {
        self.logging
            .then(|| {
                Record::new(
                    kind,
                    self.inner.shared.log_style(),
                    head,
                    body.as_slice(),
                    size,
                )
            })
            .map(Box::new)
    }

    fn received(&self, head: &Head<'_>, size: usize) -> Received {
        Received::new(Session(Arc::clone(self.inner)), head, size)
    }

    /// Why a message that needs a handler cannot have one now.
    fn overload(&self) -> Option<TurnedAway> {
        if self.inner.is_overloaded() {
            let reason = "too many calls of this session are running; call again later";
            return Some(TurnedAway::because(reason));
        }
        if !self.inner.is_untroubled() {
            return self.late();
        }
        None
    }

    /// A message that needs a handler came when an end is in sight.
    #[cold]
    fn late(&self) -> Option<TurnedAway> {
        if self.inner.refuses() {
            let mut turned = TurnedAway::because("the session is closing");
            turned.for_good = true;
            return Some(turned);
        }
        self.count_accepted();
        None
    }

    /// A shutdown accounts for everything that begins while it lasts.
    #[cold]
    fn count_accepted(&self) {
        if let Some(drain) = self.inner.drain.get() {
            drain.accept();
        }
    }

    fn call(&self, head: &Head<'_>, size: usize, body: BodyRef<'_>) -> Result<(), Stop> {
        let answer = Answer::new(head, self.record(Kind::CallHandle, head, size, body));
        if let Some(turned) = self.overload() {
            if let Some(drain) = self.inner.drain.get() {
                drain.refuse();
            }
            let bounds = self.inner.bounds();
            let refusals = bounds.hard_queue.max(LEAST_REFUSALS);
            if self.inner.out.queued() >= bounds.hard_queue.saturating_add(refusals) {
                return Err(Stop(
                    "the other end calls, but does not read the replies".to_owned(),
                ));
            }
            if self.tables.hooks.any(EARLY_CALL.union(slow::REPLY_HOOKS)) {
                let job = slow::Job::new(self.received(head, size), body.to_bytes(), self.tables);
                slow::turn_away(job, answer, self.inner, turned.rerror, turned.for_good);
            } else {
                answer.turn_away(self.inner, &turned.rerror, turned.for_good);
            }
            return Ok(());
        }
        if self.tables.hooks.any(EARLY_CALL) {
            let life = limited::life(self.inner, head, None, self.tables.aged);
            let job = slow::Job::new(self.received(head, size), body.to_bytes(), self.tables);
            slow::start(
                self.inner,
                slow::call(job.limited(life), answer, self.inner),
            );
            return Ok(());
        }
        let found = match uri::plain_path(head.uri) {
            Some(path) => self.tables.calls.find(path).map(|entry| (entry, None)),
            None => {
                let received = self.received(head, size);
                let path = received.uri().path_bytes();
                if path.is_empty() {
                    self.unrouted(head, size, body, answer, &invalid_uri());
                    return Ok(());
                }
                self.tables
                    .calls
                    .find(path)
                    .map(|entry| (entry, Some(received)))
            }
        };
        let Some((entry, received)) = found else {
            self.unrouted(head, size, body, answer, &Rerror::not_found());
            return Ok(());
        };
        let received = received.unwrap_or_else(|| self.received(head, size));
        if entry.direct && !limited::is_limited(self.inner, head) {
            return self.run(entry, CallCtx::new(received), answer, body);
        }
        let life = limited::life(self.inner, head, Some(entry.info.limits()), false);
        let job = slow::Job::new(received, body.to_bytes(), self.tables).limited(life);
        let own_task = entry.mode != crate::router::RunMode::Inline;
        let future = slow::routed_call(job, Arc::clone(entry), answer, self.inner);
        if own_task {
            cuts::spawn(self.inner, false, future)
        } else {
            slow::start(self.inner, future)
        }
        Ok(())
    }

    /// Answers a call that has no route. The peer's reply hooks see that answer as any other.
    #[cold]
    fn unrouted(
        &self,
        head: &Head<'_>,
        size: usize,
        body: BodyRef<'_>,
        answer: Answer,
        rerror: &Rerror,
    ) {
        if self.tables.hooks.any(slow::REPLY_HOOKS) {
            let job = slow::Job::new(self.received(head, size), body.to_bytes(), self.tables);
            slow::start(self.inner, slow::call(job, answer, self.inner));
            return;
        }
        if rerror.code() == code::NOT_FOUND {
            not_found(self.inner, self.tables, head.uri);
        }
        answer.refuse(self.inner, rerror);
    }

    fn run(
        &self,
        entry: &Entry<dyn CallHandler>,
        ctx: CallCtx,
        answer: Answer,
        body: BodyRef<'_>,
    ) -> Result<(), Stop> {
        let inner = self.inner;
        let codec = ctx.body_codec();
        let mut answer = Some(answer);
        let started = entry
            .handler
            .start(&inner.env().codecs, ctx, body, &mut |ctx, result| {
                if let Some(answer) = answer.take() {
                    answer.send(inner, ctx, result);
                }
            });
        let Some(answer) = answer else { return Ok(()) };
        match started {
            Started::Answered => {}
            Started::Undecoded(fail) => return undecoded(inner, codec, answer, &fail),
            Started::Pending(future) => {
                let owed = Owed::new(inner.count_running(), answer);
                let finishes = cuts::finishes(inner, entry.info.limits());
                cuts::spawn(inner, finishes, async move { owed.settle(future.await) });
            }
        }
        Ok(())
    }

    fn reply(&mut self, head: &Head<'_>, size: usize, body: BodyRef<'_>) {
        if self.tables.hooks.any(ANY_REPLY) {
            // Only a reply that somebody waits for is worth a task of its own.
            if !self.inner.calls.claim(head.seq) {
                self.unclaimed(head, body);
                return;
            }
            if !self.inner.is_untroubled() {
                self.count_accepted();
            }
            let mut received = self.received(head, size);
            received.set_swap(self.inner.calls.take_swap(head.seq));
            let job = slow::Job::new(received, body.to_bytes(), self.tables);
            slow::start(self.inner, slow::reply(job, self.inner));
            return;
        }
        let arrived = *self.arrived.get_or_insert_with(Instant::now);
        let delivered = self.inner.calls.deliver(head.seq, |buffer| ReplyIn {
            body_codec: head.body_codec,
            meta: if head.meta.is_empty() {
                Meta::new()
            } else {
                Meta::from_encoded(Bytes::copy_from_slice(head.meta))
            },
            xfer: XferPipe::from_wire(head.xfer),
            body: keep(body, buffer),
            size,
            arrived,
            refused: None,
        });
        match delivered {
            Some(Some(waker)) => self.wakers.wake(waker),
            Some(None) => {}
            None => self.unclaimed(head, body),
        }
    }

    /// A reply that no call of this side waits for.
    #[cold]
    fn unclaimed(&self, head: &Head<'_>, body: BodyRef<'_>) {
        if !control::take(self.inner, head, body) {
            stray(self.inner, head.seq);
        }
    }
}

/// Keeps the body of a reply: a small one is copied, so that it does not pin what was read.
fn keep(body: BodyRef<'_>, mut buffer: Vec<u8>) -> ReplyBytes {
    if body.as_slice().len() >= SHARE_FROM {
        return ReplyBytes::Shared(body.to_bytes());
    }
    buffer.clear();
    buffer.extend_from_slice(body.as_slice());
    ReplyBytes::Copied(buffer)
}
