//! Handlers of calls and pushes that no route takes.

use std::future::Future;
use std::sync::Arc;

use bytes::{Bytes, BytesMut};

use super::handler::{CallHandler, PushHandler, call_handler, push_handler};
use crate::codec::{BodyRef, CodecError, Codecs, ToBody};
use crate::context::{CallCtx, PushCtx, UnknownCallCtx, UnknownPushCtx};
use crate::private::ReplyBody;
use crate::rerror::Rerror;

/// Handles calls that no route takes.
///
/// Implemented by every `async fn(&mut UnknownCallCtx) -> Result<T, E>`; a type that needs data of
/// its own implements [`handle`](Self::handle). `T` is what a body can be made from: a serde
/// value, [`Raw`](crate::codec::Raw) bytes, or [`Protobuf`](crate::codec::Protobuf) messages.
#[diagnostic::on_unimplemented(
    message = "`{Self}` cannot handle unknown calls",
    label = "write `async fn(ctx: &mut UnknownCallCtx) -> Result<T, Rerror>`"
)]
pub trait UnknownCallHandler<Marker = ()>: Send + Sync + 'static {
    /// What it answers with.
    type Reply: ToBody + 'static;

    /// Handles one call.
    fn handle<'a>(
        &'a self,
        ctx: &'a mut UnknownCallCtx,
    ) -> impl Future<Output = Result<Self::Reply, Rerror>> + Send + 'a;
}

/// Handles pushes that no route takes.
///
/// Implemented by every `async fn(&mut UnknownPushCtx) -> Result<(), E>`; a type that needs data
/// of its own implements [`handle`](Self::handle).
#[diagnostic::on_unimplemented(
    message = "`{Self}` cannot handle unknown pushes",
    label = "write `async fn(ctx: &mut UnknownPushCtx) -> Result<(), Rerror>`"
)]
pub trait UnknownPushHandler<Marker = ()>: Send + Sync + 'static {
    /// Handles one push.
    fn handle<'a>(
        &'a self,
        ctx: &'a mut UnknownPushCtx,
    ) -> impl Future<Output = Result<(), Rerror>> + Send + 'a;
}

/// Marks the handlers that are functions.
#[derive(Debug)]
pub struct ViaFunction;

/// A function from a context, borrowed for `'a`, to a future that may borrow it too.
pub trait ContextFn<'a, C: 'a>: Send + Sync {
    /// What the future gives.
    type Output;
    /// The future.
    type Future: Future<Output = Self::Output> + Send + 'a;

    /// Calls the function.
    fn call(&self, ctx: &'a mut C) -> Self::Future;
}

impl<'a, C: 'a, F, Fut> ContextFn<'a, C> for F
where
    F: Fn(&'a mut C) -> Fut + Send + Sync,
    Fut: Future + Send + 'a,
{
    type Output = Fut::Output;
    type Future = Fut;

    fn call(&self, ctx: &'a mut C) -> Fut {
        self(ctx)
    }
}

impl<F, T, E> UnknownCallHandler<(ViaFunction, E)> for F
where
    F: for<'a> ContextFn<'a, UnknownCallCtx, Output = Result<T, E>> + 'static,
    T: ToBody + 'static,
    E: Into<Rerror> + 'static,
{
    type Reply = T;

    async fn handle<'a>(&'a self, ctx: &'a mut UnknownCallCtx) -> Result<T, Rerror> {
        self.call(ctx).await.map_err(Into::into)
    }
}

impl<F, E> UnknownPushHandler<(ViaFunction, E)> for F
where
    F: for<'a> ContextFn<'a, UnknownPushCtx, Output = Result<(), E>> + 'static,
    E: Into<Rerror> + 'static,
{
    async fn handle<'a>(&'a self, ctx: &'a mut UnknownPushCtx) -> Result<(), Rerror> {
        self.call(ctx).await.map_err(Into::into)
    }
}

fn untouched(_: &Codecs, _: u8, body: BodyRef<'_>) -> Result<Bytes, CodecError> {
    Ok(body.to_bytes())
}

/// What a generic value is as a reply.
struct GenericReply<T>(T);

impl<T: ToBody> ReplyBody for GenericReply<T> {
    fn encode(&self, codecs: &Codecs, codec: u8, dst: &mut BytesMut) -> Result<(), CodecError> {
        self.0.encode_body(codecs, codec, dst)
    }

    fn take_bytes(&mut self) -> Option<Bytes> {
        self.0.as_bytes().cloned()
    }
}

pub(crate) fn erase_unknown_call<H, M>(handler: H) -> Arc<dyn CallHandler>
where
    H: UnknownCallHandler<M>,
{
    let handler = Arc::new(handler);
    let erased = call_handler(untouched, move |call: CallCtx, body: Bytes| {
        let handler = Arc::clone(&handler);
        async move {
            let mut ctx = UnknownCallCtx { call, body };
            let result = handler.handle(&mut ctx).await;
            (ctx.call, result.map(GenericReply))
        }
    });
    erased.0
}

pub(crate) fn erase_unknown_push<H, M>(handler: H) -> Arc<dyn PushHandler>
where
    H: UnknownPushHandler<M>,
{
    let handler = Arc::new(handler);
    let erased = push_handler(untouched, move |push: PushCtx, body: Bytes| {
        let handler = Arc::clone(&handler);
        async move {
            let mut ctx = UnknownPushCtx { push, body };
            let result = handler.handle(&mut ctx).await;
            (ctx.push, result)
        }
    });
    erased.0
}
