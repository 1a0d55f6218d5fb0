//! Who is there: a text that proves it, before anything else is said.
//!
//! [`Launch`] is for the side that dials, [`Verify`] for the side that accepts; a peer that does
//! both may have both. The dialled connection starts with a CALL to [`URI`] that carries the text;
//! until it is accepted no other message is, whatever its type. On the wire this is, byte for byte,
//! the auth plugin of Go's Teleport v4.
//!
//! All of it has to be over within the peer's
//! [`handshake_timeout`](crate::PeerConfig::handshake_timeout), 5 s unless it is set, and the text
//! has to fit into its [`handshake_message_limit`](crate::PeerConfig::handshake_message_limit).
//! The text is not encrypted: whoever can listen on the wire can read it, unless TLS or the plugin
//! `secure::Sealed` hides it.
//!
//! Neither plugin keeps anything of a connection: what a verifier learns goes into the session's
//! [id](PreSession::set_id) and [swap](PreSession::swap_mut).

use std::fmt;
use std::future::{Future, poll_fn};
use std::marker::PhantomData;
use std::panic::{AssertUnwindSafe, catch_unwind, resume_unwind};
use std::pin::{Pin, pin};
use std::task::Poll;

use crate::codec::{self, BodyRef, FromBody};
use crate::message::{Message, Mtype, Seq, Uri};
use crate::plugin::{Hook, Hooks, Plugin};
use crate::rerror::code;
use crate::router::{ContextFn, ViaFunction};
use crate::{ErrorKind, PreSession, Rerror};

/// The uri of the CALL that carries the text.
pub const URI: &str = "/auth/verify";

/// How many characters of the uri of a wrong first message are said back.
const SHOWN_URI: usize = 256;

type BoxFuture<'a, T> = Pin<Box<dyn Future<Output = T> + Send + 'a>>;

/// Says which text a dialled connection starts with. See [`Launch::by`].
///
/// Implemented by every `async fn(&mut PreSession) -> Result<String, E>`; a type that needs data
/// of its own implements [`text`](Self::text).
#[diagnostic::on_unimplemented(
    message = "`{Self}` cannot say what a connection starts with",
    label = "write `async fn(session: &mut PreSession) -> Result<String, Rerror>`"
)]
pub trait Launcher<Marker = ()>: Send + Sync + 'static {
    /// The text for this connection. An error fails the dial.
    fn text<'a>(
        &'a self,
        session: &'a mut PreSession,
    ) -> impl Future<Output = Result<String, Rerror>> + Send + 'a;
}

impl<F, E> Launcher<(ViaFunction, E)> for F
where
    F: for<'a> ContextFn<'a, PreSession, Output = Result<String, E>> + 'static,
    E: Into<Rerror> + 'static,
{
    async fn text<'a>(&'a self, session: &'a mut PreSession) -> Result<String, Rerror> {
        self.call(session).await.map_err(Into::into)
    }
}

/// Says whether the other end of an accepted connection may come in. See [`Verify::by`].
///
/// Implemented by every `async fn(&mut PreSession, &str) -> Result<(), E>`; a type that needs data
/// of its own implements [`verify`](Self::verify).
#[diagnostic::on_unimplemented(
    message = "`{Self}` cannot verify connections",
    label = "write `async fn(session: &mut PreSession, text: &str) -> Result<(), Rerror>`"
)]
pub trait Verifier<Marker = ()>: Send + Sync + 'static {
    /// Looks at the text. It may name the session, and put data into its swap; an error refuses
    /// the connection, and is what the other side's dial fails with.
    fn verify<'a>(
        &'a self,
        session: &'a mut PreSession,
        text: &'a str,
    ) -> impl Future<Output = Result<(), Rerror>> + Send + 'a;
}

impl<F, E> Verifier<(ViaFunction, E)> for F
where
    F: for<'a> VerifyFn<'a, Error = E> + 'static,
    E: Into<Rerror> + 'static,
{
    async fn verify<'a>(
        &'a self,
        session: &'a mut PreSession,
        text: &'a str,
    ) -> Result<(), Rerror> {
        self.call(session, text).await.map_err(Into::into)
    }
}

/// A function of a connection and a text to a future that may borrow both.
pub trait VerifyFn<'a>: Send + Sync {
    /// What it refuses with.
    type Error;
    /// The future.
    type Future: Future<Output = Result<(), Self::Error>> + Send + 'a;

    /// Calls the function.
    fn call(&self, session: &'a mut PreSession, text: &'a str) -> Self::Future;
}

impl<'a, F, Fut, E> VerifyFn<'a> for F
where
    F: Fn(&'a mut PreSession, &'a str) -> Fut + Send + Sync,
    Fut: Future<Output = Result<(), E>> + Send + 'a,
{
    type Error = E;
    type Future = Fut;

    fn call(&self, session: &'a mut PreSession, text: &'a str) -> Fut {
        self(session, text)
    }
}

/// Starts each dialled connection with a text that proves who this side is.
///
/// A dial that is refused fails with [`ErrorKind::Refused`], and the
/// other side's error is in [`Error::rerror`](crate::Error::rerror).
///
/// # Examples
///
/// ```
/// use teleport::plugins::auth;
/// use teleport::{ErrorKind, Peer, PreSession, Rerror};
///
/// // A text that is made for each connection; `Launch::new` has the same each time.
/// async fn fresh(session: &mut PreSession) -> Result<String, Rerror> {
///     Ok(format!("token for {}", session.remote_address()))
/// }
///
/// # #[tokio::main(flavor = "current_thread")]
/// # async fn main() -> Result<(), teleport::Error> {
/// let (near, far) = tokio::io::duplex(1024);
/// let verify = auth::Verify::new(|_, text| match auth::constant_time_eq(text, "secret") {
///     true => Ok(()),
///     false => Err(Rerror::new(403, "auth fail", "wrong token")),
/// });
/// let server = Peer::builder().plugin(verify).build()?;
/// let client = Peer::builder().plugin(auth::Launch::by(fresh)).build()?;
/// let (there, here) = tokio::join!(server.serve_conn(far), client.dial_conn(near));
/// assert!(there.is_err());
/// let error = here.unwrap_err();
/// assert_eq!(error.kind(), ErrorKind::Refused);
/// assert_eq!(error.rerror().map(Rerror::code), Some(403));
/// # Ok(())
/// # }
/// ```
pub struct Launch(Box<dyn AnyLauncher>);

impl Launch {
    /// Starts every connection with the same text.
    pub fn new(text: impl Into<String>) -> Self {
        Self(Box::new(Same(text.into())))
    }

    /// Asks for the text each time, so that it may be a token that runs out.
    pub fn by<M: 'static>(launcher: impl Launcher<M>) -> Self {
        Self(Box::new(By(launcher, PhantomData)))
    }
}

impl fmt::Debug for Launch {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        // The text is nobody's business.
        f.debug_struct("Launch").finish_non_exhaustive()
    }
}

impl Plugin for Launch {
    fn name(&self) -> &'static str {
        "auth_launch"
    }

    fn hooks(&self) -> Hooks {
        Hooks::POST_DIAL
    }

    fn post_dial<'a>(&'a self, session: &'a mut PreSession) -> Hook<'a> {
        Hook::wait(async move {
            let text = self.0.any_text(session).await?;
            let seq = session.next_seq();
            // A side that takes no connections at all may say so, and close, before it has read
            // anything.
            let sent = session.send(proof(text, seq.clone())).await;
            if sent.as_ref().is_err_and(|e| e.kind() != ErrorKind::Io) {
                return sent.map_err(Into::into);
            }
            match session.receive().await {
                Ok(answer) => verdict(&answer, &seq),
                Err(error) => Err(sent.err().unwrap_or(error).into()),
            }
        })
    }
}

/// Lets nobody in whose first message does not prove who is there.
///
/// The first message has to be a CALL to [`URI`] with a text that the verifier accepts. If it is
/// not, the error goes out as the answer and the connection is closed; nothing else that came by
/// it is looked at. A verifier that panics refuses with error 500. Frames that are broken, or too large, and a side that says nothing in time
/// are closed without an answer. A second CALL to [`URI`] on an accepted connection is a call like
/// any other, without a route.
///
/// Among plugins that talk to the other side in [`post_accept`](Plugin::post_accept) it comes first,
/// for it takes the first message there is.
///
/// # Examples
///
/// ```
/// use teleport::plugins::auth::{Verifier, Verify};
/// use teleport::{Peer, PreSession, Rerror};
///
/// struct Accounts; // a database, say
///
/// impl Verifier for Accounts {
///     async fn verify(&self, session: &mut PreSession, text: &str) -> Result<(), Rerror> {
///         let user = text.strip_prefix("token of ");
///         let user = user.ok_or_else(|| Rerror::new(403, "auth fail", "no such token"))?;
///         session.set_id(user);
///         session.swap_mut().insert("user", user.to_owned());
///         Ok(())
///     }
/// }
///
/// # fn main() -> Result<(), teleport::Error> {
/// let server = Peer::builder().plugin(Verify::by(Accounts)).build()?;
/// # drop(server);
/// # Ok(())
/// # }
/// ```
pub struct Verify(Box<dyn AnyVerifier>);

impl Verify {
    /// Asks a closure that knows at once.
    pub fn new<F>(verify: F) -> Self
    where
        F: Fn(&mut PreSession, &str) -> Result<(), Rerror> + Send + Sync + 'static,
    {
        Self(Box::new(AtOnce(verify)))
    }

    /// Asks somebody who may have to wait for the answer.
    pub fn by<M: 'static>(verifier: impl Verifier<M>) -> Self {
        Self(Box::new(By(verifier, PhantomData)))
    }
}

impl fmt::Debug for Verify {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Verify").finish_non_exhaustive()
    }
}

impl Plugin for Verify {
    fn name(&self) -> &'static str {
        "auth_verify"
    }

    fn hooks(&self) -> Hooks {
        Hooks::POST_ACCEPT
    }

    fn post_accept<'a>(&'a self, session: &'a mut PreSession) -> Hook<'a> {
        Hook::wait(async move {
            let first = session.receive().await?;
            let verified = match text(session, &first) {
                Ok(text) => or_panicked(async { self.0.any_verify(session, &text).await }).await,
                Err(rerror) => Ok(Err(rerror)),
            };
            // Whatever came first, the original answers by a REPLY; one that belongs to no call is
            // ignored by everybody.
            let mut reply = Message::new(Mtype::REPLY, URI, "")
                .with_seq(first.header.seq)
                .with_body_codec(codec::JSON);
            match &verified {
                Ok(Ok(())) => {}
                Ok(Err(rerror)) => rerror.set_meta(&mut reply.header.meta),
                // A stranger need not know why.
                Err(_) => Rerror::from_code(code::INTERNAL).set_meta(&mut reply.header.meta),
            }
            let sent = session.send(reply).await;
            match verified {
                Ok(verified) => sent.map_err(Into::into).and(verified),
                // The connection is refused, and the log says why.
                Err(panic) => resume_unwind(panic),
            }
        })
    }
}

/// The message that proves who is there, for a [`Socket`](crate::socket::Socket) without a peer.
#[must_use]
pub fn proof(text: impl Into<String>, seq: impl Into<Seq>) -> Message {
    Message::new(Mtype::CALL, URI, text.into())
        .with_seq(seq)
        .with_body_codec(codec::PLAIN)
}

/// What the answer to a [`proof`] of this sequence text says.
///
/// # Errors
///
/// The other side's error, or error 401 when it is no answer at all.
pub fn verdict(answer: &Message, seq: &Seq) -> Result<(), Rerror> {
    let header = &answer.header;
    // An error refuses whatever it belongs to.
    if let Some(rerror) = Rerror::from_meta(&header.meta) {
        return Err(rerror);
    }
    let is_answer = header.seq == *seq || header.uri.as_bytes() == URI.as_bytes();
    if header.mtype == Mtype::REPLY && is_answer {
        return Ok(());
    }
    Err(Rerror::unauthorized(format!(
        "the answer to CALL {URI} is due, but {} {} came",
        header.mtype,
        shown(&header.uri)
    )))
}

/// Tells whether two texts are the same, in a time that says nothing about where they differ; only
/// the lengths show in it. For secrets: `==` stops at the first byte that differs, and so tells
/// whoever measures how much of a guess was right.
///
/// ```
/// use teleport::plugins::auth::constant_time_eq;
///
/// assert!(constant_time_eq("secret", "secret"));
/// assert!(!constant_time_eq("secret", b"Secret"));
/// ```
#[must_use]
pub fn constant_time_eq(a: impl AsRef<[u8]>, b: impl AsRef<[u8]>) -> bool {
    let (a, b) = (a.as_ref(), b.as_ref());
    if a.len() != b.len() {
        return false;
    }
    // The black box keeps the compiler from leaving the loop as soon as the result is known.
    let differ = a
        .iter()
        .zip(b)
        .fold(0, |differ, (a, b)| std::hint::black_box(differ | (a ^ b)));
    differ == 0
}

/// What a future gives, or what it panicked with.
async fn or_panicked<T>(future: impl Future<Output = T>) -> std::thread::Result<T> {
    let mut future = pin!(future);
    poll_fn(
        |cx| match catch_unwind(AssertUnwindSafe(|| future.as_mut().poll(cx))) {
            Ok(poll) => poll.map(Ok),
            Err(panic) => Poll::Ready(Err(panic)),
        },
    )
    .await
}

/// The text in the first message of a connection.
fn text(session: &PreSession, first: &Message) -> Result<String, Rerror> {
    let header = &first.header;
    if header.mtype != Mtype::CALL || header.uri.as_bytes() != URI.as_bytes() {
        return Err(Rerror::unauthorized(format!(
            "the 1th package want: CALL {URI}, but have: {} {}",
            header.mtype,
            shown(&header.uri)
        )));
    }
    if header.body_codec != codec::PLAIN {
        let body = BodyRef::shared(&first.body);
        return String::from_body(session.peer().codecs(), header.body_codec, body)
            .map_err(|error| Rerror::bad_message(error.to_string()));
    }
    String::from_utf8(first.body.to_vec()).map_err(|_| Rerror::bad_message("the text is not UTF-8"))
}

/// A uri as somebody else wrote it, cut so that its escapes fit into an answer.
fn shown(uri: &Uri) -> String {
    let text = String::from_utf8_lossy(uri.as_bytes());
    match text.char_indices().nth(SHOWN_URI) {
        Some((end, _)) => text.get(..end).unwrap_or_default().to_owned() + "...",
        None => text.into_owned(),
    }
}

trait AnyLauncher: Send + Sync {
    fn any_text<'a>(&'a self, session: &'a mut PreSession)
    -> BoxFuture<'a, Result<String, Rerror>>;
}

trait AnyVerifier: Send + Sync {
    fn any_verify<'a>(
        &'a self,
        session: &'a mut PreSession,
        text: &'a str,
    ) -> BoxFuture<'a, Result<(), Rerror>>;
}

struct Same(String);

impl AnyLauncher for Same {
    fn any_text<'a>(&'a self, _: &'a mut PreSession) -> BoxFuture<'a, Result<String, Rerror>> {
        Box::pin(std::future::ready(Ok(self.0.clone())))
    }
}

struct AtOnce<F>(F);

impl<F> AnyVerifier for AtOnce<F>
where
    F: Fn(&mut PreSession, &str) -> Result<(), Rerror> + Send + Sync,
{
    fn any_verify<'a>(
        &'a self,
        session: &'a mut PreSession,
        text: &'a str,
    ) -> BoxFuture<'a, Result<(), Rerror>> {
        Box::pin(std::future::ready((self.0)(session, text)))
    }
}

/// A launcher or a verifier by what the marker says.
struct By<T, M>(T, PhantomData<fn() -> M>);

impl<T: Launcher<M>, M: 'static> AnyLauncher for By<T, M> {
    fn any_text<'a>(
        &'a self,
        session: &'a mut PreSession,
    ) -> BoxFuture<'a, Result<String, Rerror>> {
        Box::pin(self.0.text(session))
    }
}

impl<T: Verifier<M>, M: 'static> AnyVerifier for By<T, M> {
    fn any_verify<'a>(
        &'a self,
        session: &'a mut PreSession,
        text: &'a str,
    ) -> BoxFuture<'a, Result<(), Rerror>> {
        Box::pin(self.0.verify(session, text))
    }
}
