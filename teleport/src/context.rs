//! What handlers and plugins see of a message.
//!
//! Every context of a received message derefs to [`Received`], which has what all of them share.

mod call;
mod hook;
mod life;
mod push;
mod received;

pub use call::{CallCtx, UnknownCallCtx};
pub(crate) use hook::Answered;
pub use hook::{DialCtx, PreCtx, ReadCtx, WriteCtx};
pub use life::OnCancel;
pub(crate) use life::{Asked, Life, Limits, bound};
pub use push::{PushCtx, UnknownPushCtx};
pub use received::Received;
