//! What one peer of this kind tells another beside the messages of the wire.
//!
//! A REPLY that nobody waits for is ignored by every peer that speaks the protocol, so a notice
//! travels as one: its sequence text is one that no counter makes, and the metadata says the rest.
//! A peer that does not know notices loses nothing by them.

use std::str::FromStr;
use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::Duration;

use bytes::Bytes;

use super::Session;
use super::cancels::GivenUp;
use super::inner::{Inner, Payload};
use super::outbound::When;
use crate::codec::BodyRef;
use crate::error::Error;
use crate::message::{Head, Message, Meta, Mtype, Seq, meta};
use crate::rerror::Rerror;
use crate::xfer::XferPipe;

/// The sequence text of all notices.
const SEQ: &[u8] = b"~notice";

/// What is told.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Notice<'a> {
    /// Nobody waits any more for the reply to the call of this sequence text.
    Cancel(&'a [u8]),
    /// This end stops taking calls soon: new ones are better made on another connection. Whoever
    /// understands it makes no more of them here, and closes when those that it made are done. All who
    /// are told had better not dial again at once, but spread over so many milliseconds.
    GoingAway { spread_ms: Option<u64> },
    /// The last message of an end that shut down: all calls that it ran are answered, and what has
    /// no reply it did not run. So many pushes it did not handle, though they came.
    Gone { pushes_dropped: usize },
}

const CANCEL: &[u8] = b"cancel";
const GOING_AWAY: &[u8] = b"going-away";
const GONE: &[u8] = b"gone";

/// The message that refuses a connection which is no session yet. It carries its error, so that
/// a handshake of the other end, whatever it waits for, fails with it.
pub(super) fn refusal(rerror: &Rerror, mut pairs: Meta) -> Message {
    pairs.set(meta::NOTICE, GONE);
    rerror.set_meta(&mut pairs);
    let mut message = Message::new(Mtype::REPLY, "", "").with_seq(SEQ);
    message.header.meta = pairs;
    message
}

/// What a message says, if it refuses the connection.
pub(super) fn refusal_of(message: &Message) -> Option<Meta> {
    let header = &message.header;
    let is_notice = header.mtype == Mtype::REPLY && header.seq.as_bytes() == SEQ;
    let is_refusal = is_notice && Rerror::from_meta(&header.meta).is_some();
    is_refusal.then(|| header.meta.clone())
}

impl Inner {
    /// Whether the other end is told about deadlines, and calls that are given up.
    #[inline]
    pub(super) fn propagates(&self) -> bool {
        self.shared.call_defaults().propagate
    }

    /// Tells the other end that nobody waits any more for the reply to a call. It is a favour: it
    /// is not done when the connection is over, or too much is queued for it.
    #[cold]
    pub(super) fn tell_cancel(&self, seq: &Seq) {
        if self.out.queued() < self.bounds().hard_queue {
            let _ = self.tell(Notice::Cancel(seq.as_bytes()));
        }
    }

    /// Tells the other end something.
    pub(super) fn tell(&self, notice: Notice<'_>) -> Result<(), Error> {
        let mut pairs = Meta::new();
        match notice {
            Notice::Cancel(seq) => {
                pairs.add(meta::NOTICE, CANCEL);
                pairs.add(meta::NOTICE_SEQ, seq);
            }
            Notice::GoingAway { spread_ms } => {
                pairs.add(meta::NOTICE, GOING_AWAY);
                if let Some(spread_ms) = spread_ms {
                    pairs.add(meta::NOTICE_SPREAD, spread_ms.to_string());
                }
            }
            Notice::Gone { pushes_dropped } => {
                pairs.add(meta::NOTICE, GONE);
                if pushes_dropped > 0 {
                    pairs.add(meta::NOTICE_PUSHES, pushes_dropped.to_string());
                }
            }
        }
        let mut message = Message::new(Mtype::REPLY, "", "").with_seq(SEQ);
        message.header.meta = pairs;
        if let Some(guard) = &self.guard {
            guard.seal(&mut message).map_err(Error::refused)?;
        }
        let body = &message.body;
        let send = |head: &Head<'_>| self.send(head, Payload::Bytes(body), When::Soon);
        message.header.with_head(send).map(drop)
    }
}

/// Whether a REPLY that nobody waits for is a notice; if so it is taken.
///
/// On a connection with a guard one that the guard does not take closes the session: somebody wants
/// work to be stopped, or done twice.
#[cold]
pub(super) fn take(inner: &Arc<Inner>, head: &Head<'_>, body: BodyRef<'_>) -> bool {
    if head.seq != SEQ {
        return false;
    }
    let mut pairs = Meta::from_encoded(Bytes::copy_from_slice(head.meta));
    if let Some(guard) = &inner.guard {
        let mut message = Message::new(head.mtype, head.uri, body.to_bytes())
            .with_seq(SEQ)
            .with_body_codec(head.body_codec);
        message.header.meta = pairs;
        message.header.xfer = XferPipe::from_wire(head.xfer);
        if let Err(rerror) = guard.open(&mut message) {
            Session(Arc::clone(inner)).abort_with(format!("a notice: {}", rerror.reason()));
            return true;
        }
        pairs = message.header.meta;
    }
    match read(&pairs) {
        Some(notice) => {
            tracing::debug!(remote = %inner.remote, ?notice, "the other end gave notice");
            match notice {
                Notice::Cancel(seq) => given_up(inner, seq),
                Notice::GoingAway { spread_ms } => {
                    if let (Some(link), Some(ms)) = (&inner.link, spread_ms) {
                        link.spread_over(Duration::from_millis(ms));
                    }
                    inner.leave("the other end is going away");
                }
                Notice::Gone { pushes_dropped } => {
                    lost_pushes(inner, pushes_dropped);
                    // With an error it is a connection that was refused.
                    match Rerror::from_meta(&pairs) {
                        Some(rerror) => {
                            if let Some(link) = &inner.link {
                                link.note_refused();
                            }
                            inner.set_refusal(pairs.clone());
                            inner.leave(&format!("refused by the other end: {rerror}"));
                        }
                        None => inner.leave("the other end is gone"),
                    }
                    inner.calls.none_was_run();
                }
            }
        }
        None => tracing::debug!(remote = %inner.remote, "an unknown notice came"),
    }
    true
}

/// A caller gave up. One that gives up on what is done already, or twice, changes nothing.
fn given_up(inner: &Inner, seq: &[u8]) {
    let remote = &inner.remote;
    match inner.cancels.give_up(seq) {
        GivenUp::Told => tracing::debug!(%remote, seq = %Seq::from(seq), "a caller gave up"),
        GivenUp::TooMany { first: true } => tracing::warn!(
            %remote,
            "the other end gives up on too many calls; their handlers go on"
        ),
        GivenUp::Unknown | GivenUp::TooMany { first: false } => {}
    }
}

/// Pushes of this side were not handled, though they were written.
fn lost_pushes(inner: &Inner, count: usize) {
    if count == 0 {
        return;
    }
    let remote = &inner.remote;
    tracing::warn!(%remote, pushes_lost = count, "the other end shut down before it handled them");
    match inner.line() {
        Some(line) => line.lost_pushes(count),
        None => {
            let add = |lost: usize| Some(lost.saturating_add(count));
            let _ = inner
                .pushes_lost
                .fetch_update(Ordering::Relaxed, Ordering::Relaxed, add);
        }
    }
}

/// A number that a notice says something by, if it is one.
fn number<T: FromStr>(pairs: &Meta, key: &str) -> Option<T> {
    pairs.get(key)?.parse().ok()
}

fn read(pairs: &Meta) -> Option<Notice<'_>> {
    match pairs.get_bytes(meta::NOTICE)? {
        CANCEL => pairs.get_bytes(meta::NOTICE_SEQ).map(Notice::Cancel),
        GOING_AWAY => Some(Notice::GoingAway {
            spread_ms: number(pairs, meta::NOTICE_SPREAD),
        }),
        GONE => {
            let pushes_dropped = number(pairs, meta::NOTICE_PUSHES).unwrap_or(0);
            Some(Notice::Gone { pushes_dropped })
        }
        _ => None,
    }
}
