//! What one peer of this kind tells another beside the messages of the wire.
//!
//! A REPLY that nobody waits for is ignored by every peer that speaks the protocol, so a notice
//! travels as one: its sequence text is one that no counter makes, and the metadata says the rest.
//! A peer that does not know notices loses nothing by them.

use std::sync::Arc;

use bytes::Bytes;

use super::cancels::GivenUp;
use super::inner::{Inner, Payload};
use super::outbound::When;
use crate::codec;
use crate::error::Error;
use crate::message::{Head, Message, Meta, Mtype, Seq, meta};
use crate::rerror::Rerror;

/// The sequence text of all notices.
const SEQ: &[u8] = b"~notice";

/// What is told.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Notice<'a> {
    /// Nobody waits any more for the reply to the call of this sequence text.
    Cancel(&'a [u8]),
    /// This end stops taking calls soon: new ones are better made on another connection. Whoever
    /// understands it makes no more of them here, and closes when those that it made are done.
    GoingAway,
    /// The last message of an end that shut down: all calls that it ran are answered, and what has
    /// no reply it did not run.
    Gone,
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
        if self.out.queued() < self.bounds.hard_queue {
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
            Notice::GoingAway => pairs.add(meta::NOTICE, GOING_AWAY),
            Notice::Gone => pairs.add(meta::NOTICE, GONE),
        }
        let encoded = pairs.encoded();
        let head = Head {
            seq: SEQ,
            mtype: Mtype::REPLY,
            uri: &[],
            meta: &encoded,
            body_codec: codec::NONE,
            xfer: &[],
        };
        let body = Bytes::new();
        self.send(&head, Payload::Bytes(&body), When::Soon)
            .map(drop)
    }
}

/// Whether a REPLY that nobody waits for is a notice; if so it is taken.
#[cold]
pub(super) fn take(inner: &Arc<Inner>, head: &Head<'_>) -> bool {
    if head.seq != SEQ {
        return false;
    }
    let pairs = Meta::from_encoded(Bytes::copy_from_slice(head.meta));
    match read(&pairs) {
        Some(notice) => {
            tracing::debug!(remote = %inner.remote, ?notice, "the other end gave notice");
            match notice {
                Notice::Cancel(seq) => given_up(inner, seq),
                Notice::GoingAway => inner.leave("the other end is going away"),
                Notice::Gone => {
                    // With an error it is a connection that was refused.
                    match Rerror::from_meta(&pairs) {
                        Some(rerror) => {
                            let reason = format!("refused by the other end: {rerror}");
                            inner.set_refusal(pairs.clone());
                            inner.leave(&reason);
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

fn read(pairs: &Meta) -> Option<Notice<'_>> {
    match pairs.get_bytes(meta::NOTICE)? {
        CANCEL => pairs.get_bytes(meta::NOTICE_SEQ).map(Notice::Cancel),
        GOING_AWAY => Some(Notice::GoingAway),
        GONE => Some(Notice::Gone),
        _ => None,
    }
}
