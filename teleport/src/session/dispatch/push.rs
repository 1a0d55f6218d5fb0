//! Pushes, the direct way.

use std::sync::Arc;

use super::{Dispatch, EARLY_PUSH, Stop, invalid_uri, no_codec, push_done};
use crate::codec::{self, BodyRef};
use crate::context::PushCtx;
use crate::message::{Head, uri};
use crate::rerror::Rerror;
use crate::router::handler::{PushOutcome, Step};
use crate::session::log::Kind;
use crate::session::{cuts, limited, slow};

impl Dispatch<'_> {
    pub(super) fn push(&self, head: &Head<'_>, size: usize, body: BodyRef<'_>) -> Result<(), Stop> {
        let record = self.record(Kind::PushHandle, head, size, body);
        if let Some(turned) = self.overload() {
            if self.tables.hooks.any(EARLY_PUSH) {
                let job = slow::Job::new(self.received(head, size), body.to_bytes(), self.tables);
                slow::drop_push(job, self.inner);
            }
            self.inner.count_dropped_push();
            push_done(self.inner, record, head.uri, Some(&turned.rerror));
            return Ok(());
        }
        if self.tables.hooks.any(EARLY_PUSH) {
            let life = limited::life(self.inner, head, None, self.tables.aged);
            let job = slow::Job::new(self.received(head, size), body.to_bytes(), self.tables);
            slow::start(
                self.inner,
                slow::push(job.limited(life), record, self.inner),
            );
            return Ok(());
        }
        let found = match uri::plain_path(head.uri) {
            Some(path) => self.tables.pushes.find(path).map(|entry| (entry, None)),
            None => {
                let received = self.received(head, size);
                let path = received.uri().path_bytes();
                if path.is_empty() {
                    push_done(self.inner, record, head.uri, Some(&invalid_uri()));
                    return Ok(());
                }
                self.tables
                    .pushes
                    .find(path)
                    .map(|entry| (entry, Some(received)))
            }
        };
        let Some((entry, received)) = found else {
            push_done(self.inner, record, head.uri, Some(&Rerror::not_found()));
            return Ok(());
        };
        let received = received.unwrap_or_else(|| self.received(head, size));
        if !entry.direct || limited::is_limited(self.inner, head) {
            let life = limited::life(self.inner, head, Some(entry.info.limits()), false);
            let job = slow::Job::new(received, body.to_bytes(), self.tables).limited(life);
            let own_task = entry.mode != crate::router::RunMode::Inline;
            let future = slow::routed_push(job, Arc::clone(entry), record, self.inner);
            if own_task {
                cuts::spawn(self.inner, false, future)
            } else {
                slow::start(self.inner, future)
            }
            return Ok(());
        }
        match entry
            .handler
            .start(&self.inner.env().codecs, PushCtx::new(received), body)
        {
            Ok(Step::Done(result)) => {
                push_done(self.inner, record, head.uri, result.as_ref().err());
            }
            Ok(Step::Pending(future)) => {
                let running = self.inner.count_running();
                let uri: Box<[u8]> = head.uri.into();
                let finishes = cuts::finishes(self.inner, entry.info.limits());
                cuts::spawn(self.inner, finishes, async move {
                    let (_, result): PushOutcome = future.await;
                    push_done(&running.session().0, record, &uri, result.as_ref().err());
                });
            }
            Err(fail) => {
                let rerror = fail.to_rerror();
                push_done(self.inner, record, head.uri, Some(&rerror));
                if head.body_codec == codec::NONE {
                    return Err(no_codec(&rerror));
                }
            }
        }
        Ok(())
    }
}
