//! Whatever can call and push: a session, a pool, a forwarder, a mock.

use std::pin::Pin;
use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;

use super::Session;
use super::call::{Call, Reply};
use super::launch::encode_with;
use crate::codec::{self, BodyRef, Codecs, FromBody, Raw, ToBody};
use crate::error::Error;
use crate::message::{Meta, Seq, Uri};
use crate::rerror::Rerror;
use crate::xfer::XferPipe;

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

impl RawReply {
    /// A reply with a body and nothing else said, for a [`Caller`] that answers by itself.
    #[must_use]
    pub fn new(body_codec: u8, body: impl Into<Bytes>) -> Self {
        Self {
            seq: Seq::default(),
            body: body.into(),
            meta: Meta::new(),
            body_codec,
            xfer: XferPipe::default(),
            size: 0,
            cost: Duration::ZERO,
        }
    }

    /// A reply that is an error of the other peer, for a [`Caller`] that answers by itself.
    #[must_use]
    pub fn of_error(rerror: &Rerror) -> Self {
        let mut reply = Self::new(codec::NONE, Bytes::new());
        rerror.set_meta(&mut reply.meta);
        reply
    }
}

/// What a [`Caller`] does, boxed.
pub type Calling<'a, T> = Pin<Box<dyn Future<Output = Result<T, Error>> + Send + 'a>>;

/// Whatever can call and push. Object safe; see [`CallerExt`] for calls with types.
///
/// A [`Session`] is one. Implement it for a pool, for what dials when it is needed, or for a stand-in
/// in tests.
///
/// # Examples
///
/// Two backends, turn and turn about:
///
/// ```
/// use std::sync::atomic::{AtomicUsize, Ordering};
///
/// use teleport::session::{Calling, RawReply, Request};
/// use teleport::{Caller, CallerExt, Error, Rerror, codec};
///
/// struct InTurn<C>([C; 2], AtomicUsize);
///
/// impl<C: Caller> InTurn<C> {
///     fn next(&self) -> &C {
///         let [even, odd] = &self.0;
///         match self.1.fetch_add(1, Ordering::Relaxed) % 2 {
///             0 => even,
///             _ => odd,
///         }
///     }
/// }
///
/// impl<C: Caller> Caller for InTurn<C> {
///     fn call_raw(&self, request: Request) -> Calling<'_, RawReply> {
///         self.next().call_raw(request)
///     }
///
///     fn push_raw(&self, request: Request) -> Calling<'_, ()> {
///         self.next().push_raw(request)
///     }
/// }
///
/// /// Answers by itself, for a test that needs no connection.
/// struct Always(&'static str);
///
/// impl Caller for Always {
///     fn call_raw(&self, request: Request) -> Calling<'_, RawReply> {
///         let reply = match request.uri.path() {
///             "/name" => RawReply::new(codec::JSON, self.0),
///             _ => RawReply::of_error(&Rerror::not_found()),
///         };
///         Box::pin(async { Ok(reply) })
///     }
///
///     fn push_raw(&self, _: Request) -> Calling<'_, ()> {
///         Box::pin(async { Ok(()) })
///     }
/// }
///
/// # #[tokio::main(flavor = "current_thread")]
/// # async fn main() -> Result<(), Error> {
/// let backends = InTurn([Always("\"one\""), Always("\"two\"")], AtomicUsize::new(0));
/// let name = || backends.call_as::<String>("/name", ());
/// assert_eq!((name().await?, name().await?), ("one".into(), "two".into()));
///
/// let error = backends.call_as::<String>("/else", ()).await.unwrap_err();
/// assert_eq!(error.rerror(), Some(&Rerror::not_found()));
/// # Ok(())
/// # }
/// ```
pub trait Caller: Send + Sync {
    /// Calls, and gives the reply whatever it says.
    ///
    /// # Errors
    ///
    /// No reply came.
    ///
    /// # Cancel safety
    ///
    /// Whoever drops the future is not interested in the reply any more. It should be given up then,
    /// as a session does.
    fn call_raw(&self, request: Request) -> Calling<'_, RawReply>;

    /// Pushes.
    ///
    /// # Errors
    ///
    /// The message was not sent.
    fn push_raw(&self, request: Request) -> Calling<'_, ()>;

    /// The codecs that bodies are encoded and decoded by. Default: those of this crate.
    fn codecs(&self) -> Codecs {
        Codecs::default()
    }

    /// The codec that bodies are encoded in. Default: json.
    fn default_codec(&self) -> u8 {
        codec::JSON
    }
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

/// Whoever shares a caller calls by it.
impl<C: Caller + ?Sized> Caller for Arc<C> {
    fn call_raw(&self, request: Request) -> Calling<'_, RawReply> {
        (**self).call_raw(request)
    }

    fn push_raw(&self, request: Request) -> Calling<'_, ()> {
        (**self).push_raw(request)
    }

    fn codecs(&self) -> Codecs {
        (**self).codecs()
    }

    fn default_codec(&self) -> u8 {
        (**self).default_codec()
    }
}

impl Caller for Session {
    fn call_raw(&self, request: Request) -> Calling<'_, RawReply> {
        Box::pin(async move {
            let call: Call<'_, Raw<Bytes>, _> =
                Call::with_request(self, &request, Raw(request.body.clone()));
            call.send().await?.raw_reply().await
        })
    }

    fn push_raw(&self, request: Request) -> Calling<'_, ()> {
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
