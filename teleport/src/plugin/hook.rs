//! What a hook returns, and the set of hooks that a plugin names.

use std::fmt;
use std::future::Future;
use std::pin::Pin;
use std::task::{Context, Poll};

use crate::rerror::Rerror;

/// What a hook returns: an answer that is there already, or one to wait for.
#[must_use = "a hook does nothing unless it is awaited"]
pub struct Hook<'a>(State<'a>);

enum State<'a> {
    Ready(Option<Result<(), Rerror>>),
    Wait(Pin<Box<dyn Future<Output = Result<(), Rerror>> + Send + 'a>>),
}

impl<'a> Hook<'a> {
    /// Go on.
    pub const OK: Self = Self(State::Ready(Some(Ok(()))));

    /// An answer that is there already; costs no allocation.
    pub const fn ready(result: Result<(), Rerror>) -> Self {
        Self(State::Ready(Some(result)))
    }

    /// An answer to wait for; costs one allocation.
    pub fn wait(future: impl Future<Output = Result<(), Rerror>> + Send + 'a) -> Self {
        Self(State::Wait(Box::pin(future)))
    }
}

impl Future for Hook<'_> {
    type Output = Result<(), Rerror>;

    fn poll(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Self::Output> {
        match &mut self.0 {
            State::Ready(result) => Poll::Ready(result.take().unwrap_or(Ok(()))),
            State::Wait(future) => future.as_mut().poll(cx),
        }
    }
}

impl fmt::Debug for Hook<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self.0 {
            State::Ready(_) => "Hook(ready)",
            State::Wait(_) => "Hook(wait)",
        })
    }
}

/// A set of hooks.
#[derive(Clone, Copy, PartialEq, Eq, Default)]
pub struct Hooks(u32);

macro_rules! hooks {
    ($($bit:literal $name:ident $text:literal;)+) => {
        impl Hooks {
            $(
                #[doc = concat!("[`Plugin::", $text, "`](super::Plugin::", $text, ").")]
                pub const $name: Self = Self(1 << $bit);
            )+

            /// All hooks there are.
            pub const ALL: Self = Self(0 $(| (1 << $bit))+);

            const NAMES: &'static [(Self, &'static str)] = &[$((Self::$name, $text)),+];
        }
    };
}

hooks! {
    0 PRE_NEW_PEER "pre_new_peer";
    1 POST_NEW_PEER "post_new_peer";
    2 POST_REG "post_reg";
    3 POST_LISTEN "post_listen";
    23 PRE_DIAL "pre_dial";
    4 POST_DIAL "post_dial";
    5 POST_ACCEPT "post_accept";
    6 POST_DISCONNECT "post_disconnect";
    7 PRE_WRITE_CALL "pre_write_call";
    8 POST_WRITE_CALL "post_write_call";
    9 PRE_WRITE_REPLY "pre_write_reply";
    10 POST_WRITE_REPLY "post_write_reply";
    11 PRE_WRITE_PUSH "pre_write_push";
    12 POST_WRITE_PUSH "post_write_push";
    13 PRE_READ_HEADER "pre_read_header";
    14 POST_READ_CALL_HEADER "post_read_call_header";
    15 PRE_READ_CALL_BODY "pre_read_call_body";
    16 POST_READ_CALL_BODY "post_read_call_body";
    17 POST_READ_PUSH_HEADER "post_read_push_header";
    18 PRE_READ_PUSH_BODY "pre_read_push_body";
    19 POST_READ_PUSH_BODY "post_read_push_body";
    20 POST_READ_REPLY_HEADER "post_read_reply_header";
    21 PRE_READ_REPLY_BODY "pre_read_reply_body";
    22 POST_READ_REPLY_BODY "post_read_reply_body";
}

impl Hooks {
    /// No hook.
    pub const NONE: Self = Self(0);

    /// The hooks that run after routing, and so make sense on a group or a handler.
    pub const AFTER_ROUTING: Self = Self::POST_REG
        .union(Self::PRE_WRITE_REPLY)
        .union(Self::POST_WRITE_REPLY)
        .union(Self::PRE_READ_CALL_BODY)
        .union(Self::POST_READ_CALL_BODY)
        .union(Self::PRE_READ_PUSH_BODY)
        .union(Self::POST_READ_PUSH_BODY);

    /// The hooks of either set.
    #[must_use]
    pub const fn union(self, other: Self) -> Self {
        Self(self.0 | other.0)
    }

    /// The hooks of this set that are not in the other.
    #[must_use]
    pub const fn without(self, other: Self) -> Self {
        Self(self.0 & !other.0)
    }

    /// Whether all hooks of the other set are in this one.
    #[must_use]
    pub const fn contains(self, other: Self) -> bool {
        self.0 & other.0 == other.0
    }

    /// Whether any hook of the other set is in this one.
    #[must_use]
    pub const fn intersects(self, other: Self) -> bool {
        self.0 & other.0 != 0
    }

    /// Whether no hook is in this set.
    #[must_use]
    pub const fn is_empty(self) -> bool {
        self.0 == 0
    }

    /// The names of the hooks in this set, as the methods of a plugin are called.
    pub fn names(self) -> impl Iterator<Item = &'static str> {
        Self::NAMES
            .iter()
            .filter(move |(hook, _)| self.contains(*hook))
            .map(|(_, name)| *name)
    }
}

impl fmt::Debug for Hooks {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_set().entries(self.names()).finish()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn there_are_the_23_hooks_of_the_original_and_the_one_before_dialling() {
        assert_eq!(Hooks::ALL.without(Hooks::PRE_DIAL).names().count(), 23);
        assert_eq!(Hooks::ALL.names().count(), 24);
    }

    #[test]
    fn a_set_names_its_hooks() {
        let set = Hooks::POST_DIAL.union(Hooks::PRE_WRITE_CALL);
        assert_eq!(
            set.names().collect::<Vec<_>>(),
            ["post_dial", "pre_write_call"]
        );
        assert!(
            set.without(Hooks::POST_DIAL)
                .contains(Hooks::PRE_WRITE_CALL)
        );
    }
}
