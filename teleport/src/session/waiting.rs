//! A call that was sent, until its reply is there.

use std::sync::{Arc, Weak};
use std::task::{Context, Poll, ready};
use std::time::Duration;

use tokio::time::Instant;

use super::Session;
use super::calls::{Ended, Key, ReplyIn};
use super::inner::{Inner, LOOK_STATE};
use super::log::Record;
use crate::error::{Error, ErrorKind};
use crate::message::{Seq, meta};
use crate::rerror::Rerror;

/// A call that was sent and waits for its reply. Dropping it frees its place.
pub(super) struct Waiting {
    pub(super) inner: Arc<Inner>,
    pub(super) key: Option<Key>,
    pub(super) timeout: Option<Duration>,
    pub(super) deadline: Option<Instant>,
    /// Where the call ends among all bytes that are written to the connection.
    pub(super) end: u64,
    pub(super) record: Option<Box<Record>>,
    /// The other end is told when the call is given up.
    pub(super) attended: bool,
}

impl Waiting {
    pub(super) fn poll(&mut self, cx: &Context<'_>) -> Poll<Result<ReplyIn, Error>> {
        let mut reply = None;
        ready!(self.poll_into(cx, &mut reply))?;
        Poll::Ready(reply.ok_or_else(awaited_again))
    }

    /// Waits for the reply, and puts it where there is room for it.
    pub(super) fn poll_into(
        &mut self,
        cx: &Context<'_>,
        reply: &mut Option<ReplyIn>,
    ) -> Poll<Result<(), Error>> {
        let Some(key) = &self.key else {
            return Poll::Ready(Err(awaited_again()));
        };
        let result = ready!(self.inner.calls.poll(key, cx, reply));
        self.key = None;
        self.inner.call_is_over();
        let result = result.map_err(|ended| self.ended(ended));
        if let Some(record) = self.record.take() {
            self.log(*record, reply.as_ref(), result.as_ref().err());
        }
        Poll::Ready(result)
    }

    /// Whether a call that came to this end may be made again on the next connection: it was not
    /// run, or was lost and its caller said that it may be done twice.
    #[cold]
    pub(super) fn may_go_again(
        &self,
        result: Result<&ReplyIn, &Error>,
        is_idempotent: bool,
    ) -> bool {
        let was_not_run = match result {
            Ok(reply) => reply.meta.get(meta::NOT_RUN).is_some(),
            Err(error) => error.is_closed() && (is_idempotent || error.is_not_run()),
        };
        was_not_run && self.inner.line().is_some_and(|line| line.goes_on())
    }

    /// Where it can be found.
    pub(super) fn place(&self) -> CallPlace {
        CallPlace {
            inner: Arc::downgrade(&self.inner),
            key: self.key.clone(),
        }
    }

    /// The sequence text of the call.
    pub(super) fn seq(&self) -> Seq {
        self.key.as_ref().map_or_else(Seq::new, Key::seq)
    }

    #[cold]
    fn ended(&self, ended: Ended) -> Error {
        match ended {
            Ended::Closed => {
                let error = Session(Arc::clone(&self.inner)).closed_error();
                let is_unwritten = self.inner.out.is_unwritten(self.end);
                if is_unwritten { error.not_run() } else { error }
            }
            Ended::NotRun => {
                let remote = &self.inner.remote;
                let why = self.inner.close_reason().unwrap_or_default();
                Error::closed(format!("{remote} did not run the call: {why}"))
                    .with_meta(self.inner.refusal())
                    .not_run()
            }
            Ended::Cancelled => Error::new(ErrorKind::Cancelled, "the call was cancelled"),
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
    fn log(&self, mut record: Record, reply: Option<&ReplyIn>, error: Option<&Error>) {
        match (reply, error) {
            (Some(reply), _) => {
                record.set_received(reply.size);
                record.set_ended(reply.arrived);
                record.add_parts("recv", &reply.meta, reply.body.as_slice());
                let rerror = reply
                    .refused
                    .clone()
                    .or_else(|| Rerror::from_meta(&reply.meta));
                record.write(&self.inner.remote, rerror.as_ref());
            }
            (None, error) => {
                let text = error.map(ToString::to_string).unwrap_or_default();
                let rerror = Rerror::new(-1, text, "");
                record.write(&self.inner.remote, Some(&rerror));
            }
        }
    }
}

#[cold]
pub(super) fn awaited_again() -> Error {
    Error::closed("the call was awaited after its end")
}

/// Where a call waits.
#[derive(Clone, Debug)]
pub(super) struct CallPlace {
    inner: Weak<Inner>,
    key: Option<Key>,
}

impl CallPlace {
    /// Ends the call, unless its reply is there.
    pub(super) fn cancel(&self) {
        if let (Some(inner), Some(key)) = (self.inner.upgrade(), &self.key)
            && inner.calls.cancel(key)
            && inner.propagates()
        {
            inner.tell_cancel(&key.seq());
        }
    }
}

impl Drop for Waiting {
    fn drop(&mut self) {
        if let Some(key) = self.key.take() {
            if self.inner.calls.remove(&key) && self.attended {
                self.inner.tell_cancel(&key.seq());
            }
            self.inner.call_is_over();
            if let Some(record) = self.record.take() {
                let rerror = Rerror::new(-1, "the call was dropped before its reply came", "");
                record.write(&self.inner.remote, Some(&rerror));
            }
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
