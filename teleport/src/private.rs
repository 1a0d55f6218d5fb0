//! What macro output may name. No part of it is for use by hand, and all of it may change.

pub use crate::codec::probe::ReplyBody;
pub use crate::codec::{BodyRef, CodecError, Codecs};
pub use crate::rerror::Rerror;
pub use crate::{
    __tp_bind_arg as bind_arg, __tp_decode_arg as decode_arg, __tp_outcome as outcome,
    __tp_push_outcome as push_outcome,
};

/// How types become bodies; named by the macros above only.
pub mod body {
    pub use core::result::Result;

    pub use crate::codec::probe::{
        ArgAs, ArgProbe, Argument, Enc, Fallible, Infallible, IntoRerror, OutcomeProbe, PickArg,
        PickOutcome, PickReply, ReplyAs, ReplyProbe, ResultBody, Serde, Unsupported, Untouched,
        Wrapped,
    };
    #[cfg(feature = "protobuf")]
    pub use crate::codec::probe::{Both, Message, WrappedMessage};
}

/// What `#[derive(Bind)]` writes its checks with.
#[cfg(feature = "binder")]
pub mod binder {
    pub use core::result::Result;

    pub use core::primitive;

    pub use crate::binder::ends::{
        Bound, RangeEnd, assert_holds, below, in_order, is_number, lengths_in_order,
    };
    pub use crate::binder::pattern::Pattern;
    pub use crate::binder::rules::{length, nonzero, range, regex, required};
    pub use crate::binder::shown::{PickShow, Show};
    pub use crate::binder::{
        Bind, HasLength, HasRange, HasText, HasZero, Invalid, MayBeMissing, Number, Param, Source,
    };
    pub use crate::router::bound::{BindProbe, PickBind};
}

pub use core::clone::Clone;
pub use core::fmt::Debug;
pub use core::future::{Future, pending};
pub use core::marker::Send;
pub use core::option::Option::{self, None, Some};
pub use core::primitive::str;
pub use core::result::Result::{Err, Ok};
pub use core::time::Duration;
pub use std::sync::Arc;

pub use crate::context::{CallCtx, OnCancel, PushCtx};
pub use crate::plugin::{Hook, Hooks};
pub use crate::router::handler::{CallFn, PushFn, call_handler, push_handler};
pub use crate::router::registrar::{
    CallController, CallFunction, PushController, PushFunction, Registrar, RouteInfo,
};
pub use crate::router::routed::{Routed, RoutedFn};
