//! Prints the messages that arrive.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use teleport::message::Message;
use teleport::plugins::secure::Legacy;
use teleport::{Caller, Hook, Hooks, Plugin, ReadCtx};
use tokio::sync::Notify;

use crate::output::Lines;
use crate::show::{self, Arrival, Failed};

/// A plugin that prints what arrives before anybody else sees it, whether it has a route or not.
#[derive(Debug)]
pub(crate) struct Tap {
    lines: Lines,
    calls: bool,
    count: Option<Arc<Count>>,
    secure: Option<(Arc<Legacy>, Lines)>,
}

/// How many messages are wanted.
#[derive(Debug)]
pub(crate) struct Count {
    wanted: u64,
    begun: AtomicU64,
    printed: AtomicU64,
    done: Notify,
}

impl Count {
    pub(crate) fn new(wanted: u64) -> Arc<Self> {
        let count = Self {
            wanted,
            begun: AtomicU64::new(0),
            printed: AtomicU64::new(0),
            done: Notify::new(),
        };
        if wanted == 0 {
            count.done.notify_one();
        }
        Arc::new(count)
    }

    /// Waits until all that are wanted are on their way to be written.
    pub(crate) async fn done(&self) {
        self.done.notified().await;
    }

    pub(crate) fn printed(&self) -> u64 {
        self.printed.load(Ordering::Relaxed)
    }

    /// Whether one more is wanted.
    fn begin(&self) -> bool {
        self.begun.fetch_add(1, Ordering::Relaxed) < self.wanted
    }

    fn end(&self) {
        if self.printed.fetch_add(1, Ordering::Relaxed) + 1 == self.wanted {
            self.done.notify_one();
        }
    }
}

impl Tap {
    /// Prints pushes, `count` of them if it is given.
    pub(crate) fn pushes(lines: Lines, count: Option<Arc<Count>>) -> Self {
        Self {
            lines,
            calls: false,
            count,
            secure: None,
        }
    }

    /// Prints calls and pushes.
    pub(crate) fn everything(lines: Lines) -> Self {
        Self {
            lines,
            calls: true,
            count: None,
            secure: None,
        }
    }

    /// Prints what was encrypted as it was before; why something does not decrypt goes to
    /// `errors`, and the message is not printed.
    pub(crate) fn secure(mut self, secure: Option<Arc<Legacy>>, errors: &Lines) -> Self {
        self.secure = secure.map(|secure| (secure, errors.clone()));
        self
    }

    /// A message as it is shown; the plugin that decrypts it for all others comes later.
    fn opened(&self, ctx: &ReadCtx) -> Option<Message> {
        let (secure, errors) = self.secure.as_ref()?;
        let mut message = Message::new(ctx.mtype(), ctx.uri().clone(), ctx.body().clone())
            .with_body_codec(ctx.body_codec());
        message.header.meta = ctx.meta().clone();
        match secure.decrypt_message(&ctx.session().codecs(), &mut message) {
            Ok(()) => Some(message),
            Err(error) => {
                errors.say(show::line(&Failed(&error)));
                None
            }
        }
    }

    fn print(&self, kind: &'static str, ctx: &ReadCtx) -> Hook<'static> {
        let opened = self.opened(ctx);
        if self.secure.is_some() && opened.is_none() {
            return Hook::OK;
        }
        let (uri, body) = match &opened {
            Some(message) => (&message.header.uri, &message.body),
            None => (ctx.uri(), ctx.body()),
        };
        if self.count.as_ref().is_some_and(|count| !count.begin()) {
            return Hook::OK;
        }
        let line = show::line(&Arrival {
            kind,
            uri: uri.as_bytes(),
            seq: ctx.seq().as_bytes(),
            codec: ctx.body_codec(),
            meta: ctx.meta(),
            xfer: ctx.xfer().ids(),
            body,
        });
        let count = self.count.clone();
        let end = move || count.iter().for_each(|count| count.end());
        match self.lines.put(line) {
            None => {
                end();
                Hook::OK
            }
            Some(room) => Hook::wait(async move {
                room.await;
                end();
                Ok(())
            }),
        }
    }
}

impl Plugin for Tap {
    fn name(&self) -> &'static str {
        "tap"
    }

    fn hooks(&self) -> Hooks {
        if self.calls {
            Hooks::POST_READ_CALL_HEADER.union(Hooks::POST_READ_PUSH_HEADER)
        } else {
            Hooks::POST_READ_PUSH_HEADER
        }
    }

    fn post_read_call_header<'a>(&'a self, ctx: &'a mut ReadCtx) -> Hook<'a> {
        self.print("call", ctx)
    }

    fn post_read_push_header<'a>(&'a self, ctx: &'a mut ReadCtx) -> Hook<'a> {
        self.print("push", ctx)
    }
}
