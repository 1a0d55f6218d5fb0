//! Whatever can call and push: a session, a pool, a forwarder, a mock.

use std::time::Duration;

use bytes::Bytes;

use super::Session;
use super::call::{Call, Reply};
use super::launch::encode_with;
use crate::codec::{BodyRef, Codecs, FromBody, Raw, ToBody};
use crate::error::Error;
use crate::message::{Meta, Seq, Uri};
use crate::router::handler::BoxFuture;

/// A call or a push whose body is encoded already.
#[derive(Clone, Debug, Default)]
#[non_exhaustive]
pub struct Request {
    /// Path and query.
    pub uri: Uri,
    /// The metadata.
    pub meta: Meta,
    /// The codec that the body is in; 0: the caller's default.
    pub body_codec: u8,
    /// The body.
    pub body: Bytes,
    /// The transfer filters, outermost first.
    pub xfer: Vec<u8>,
    /// The sequence text; the caller's next without one.
    pub seq: Option<Seq>,
    /// How long to wait for the reply; the caller's default without one. A push has none.
    pub timeout: Option<Duration>,
    /// Whether the other peer may do it twice; see [`Call::idempotent`]. A push has none.
    pub idempotent: bool,
}

impl Request {
    /// A request with a body and nothing else said.
    #[must_use]
    pub fn new(uri: impl Into<Uri>, body_codec: u8, body: impl Into<Bytes>) -> Self {
        Self {
            uri: uri.into(),
            body_codec,
            body: body.into(),
            ..Self::default()
        }
    }
}

/// A reply as it came: an error of the other peer stands in its metadata, see
/// [`Reply::rerror`].
pub type RawReply = Reply<Bytes>;

/// Whatever can call and push. Object safe; see [`CallerExt`] for calls with types.
pub trait Caller: Send + Sync {
    /// Calls, and gives the reply whatever it says.
    ///
    /// # Errors
    ///
    /// No reply came.
    fn call_raw(&self, request: Request) -> BoxFuture<'_, Result<RawReply, Error>>;

    /// Pushes.
    ///
    /// # Errors
    ///
    /// The message was not sent.
    fn push_raw(&self, request: Request) -> BoxFuture<'_, Result<(), Error>>;

    /// The codecs that bodies are encoded and decoded by.
    fn codecs(&self) -> Codecs;

    /// The codec that bodies are encoded in.
    fn default_codec(&self) -> u8;
}

/// Calls and pushes with types, on any [`Caller`].
pub trait CallerExt: Caller {
    /// Calls and decodes the reply.
    ///
    /// # Errors
    ///
    /// As of [`Call`].
    fn call_as<R: FromBody>(
        &self,
        uri: &str,
        body: impl ToBody,
    ) -> impl Future<Output = Result<R, Error>> + Send {
        let codecs = self.codecs();
        let codec = self.default_codec();
        let uri = Uri::new(uri);
        async move {
            let body = encode_with(&codecs, codec, &body)?;
            let reply = self.call_raw(Request::new(uri, codec, body)).await?;
            if let Some(rerror) = reply.rerror() {
                return Err(Error::remote(rerror, reply.meta));
            }
            R::from_body(&codecs, reply.body_codec, BodyRef::shared(&reply.body))
                .map_err(Error::decode)
        }
    }

    /// Encodes and pushes.
    ///
    /// # Errors
    ///
    /// As of [`Push`](super::Push).
    fn push_as(
        &self,
        uri: &str,
        body: impl ToBody,
    ) -> impl Future<Output = Result<(), Error>> + Send {
        let codecs = self.codecs();
        let codec = self.default_codec();
        let uri = Uri::new(uri);
        async move {
            let body = encode_with(&codecs, codec, &body)?;
            self.push_raw(Request::new(uri, codec, body)).await
        }
    }
}

impl<C: Caller + ?Sized> CallerExt for C {}

impl Caller for Session {
    fn call_raw(&self, request: Request) -> BoxFuture<'_, Result<RawReply, Error>> {
        Box::pin(async move {
            let call: Call<'_, Raw<Bytes>, _> =
                Call::with_request(self, &request, Raw(request.body.clone()));
            call.send().await?.raw_reply().await
        })
    }

    fn push_raw(&self, request: Request) -> BoxFuture<'_, Result<(), Error>> {
        Box::pin(async move {
            super::Push::with_request(self, &request, Raw(request.body.clone())).await
        })
    }

    fn codecs(&self) -> Codecs {
        self.0.env().codecs.clone()
    }

    fn default_codec(&self) -> u8 {
        self.0.shared.call_defaults().codec
    }
}
