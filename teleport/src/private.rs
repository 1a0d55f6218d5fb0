//! What macro output may name. No part of it is for use by hand, and all of it may change.

pub use crate::codec::probe::ReplyBody;
pub use crate::codec::{BodyRef, CodecError, Codecs};
pub use crate::rerror::Rerror;
pub use crate::{
    __tp_decode_arg as decode_arg, __tp_outcome as outcome, __tp_push_outcome as push_outcome,
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
