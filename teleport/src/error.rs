//! What a local operation can fail with.
//!
//! [`Error`] stays in this process; what travels to the other peer is [`Rerror`]. The two convert
//! into each other, so that `?` works in `main` and in handlers alike.

use std::borrow::Cow;
use std::error::Error as StdError;
use std::fmt;
use std::time::Duration;

use crate::codec::CodecError;
use crate::message::meta::{self, Meta};
use crate::rerror::{Rerror, code};

/// A failure of a local operation: one word wide, with a [kind](Error::kind) to match on and a
/// source chain to print.
///
/// # Examples
///
/// ```
/// use teleport::{Error, ErrorKind, Rerror};
///
/// let error = Error::from(Rerror::not_found());
/// assert_eq!(error.kind(), ErrorKind::Remote);
/// assert_eq!(error.rerror().map(Rerror::code), Some(404));
/// ```
pub struct Error(Box<Inner>);

struct Inner {
    kind: ErrorKind,
    text: Cow<'static, str>,
    rerror: Option<Rerror>,
    /// The metadata of the reply that carried it.
    meta: Meta,
    source: Option<Box<dyn StdError + Send + Sync>>,
    /// The other peer did not do what was asked of it, and will not.
    not_run: bool,
}

/// The kinds of [`Error`].
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum ErrorKind {
    /// The other peer answered with an error; [`Error::rerror`] has it.
    Remote,
    /// A plugin of this peer refused the operation; [`Error::rerror`] has its reason.
    Refused,
    /// The session is closed, or its connection was lost.
    Closed,
    /// The time allowed for a call, or for dialling, ran out.
    Timeout,
    /// The call was cancelled on this side.
    Cancelled,
    /// A bound of this peer is reached; nothing was sent.
    Busy,
    /// No connection could be made.
    Dial,
    /// An address could not be listened on.
    Listen,
    /// Reading or writing a stream failed.
    Io,
    /// A value could not be encoded; nothing was sent.
    Encode,
    /// A reply arrived whose body does not decode into the type asked for.
    Decode,
    /// The other side broke the protocol.
    Protocol,
    /// A setting is wrong.
    Config,
    /// A route cannot be registered.
    Route,
    /// A plugin cannot be registered, or stopped the registration of something else.
    Plugin,
}

impl Error {
    /// Makes an error: `kind` says how callers should take it, `text` is what it prints.
    ///
    /// Plugins and transports of your own report failures by it.
    ///
    /// # Examples
    ///
    /// ```
    /// use teleport::{Error, ErrorKind};
    ///
    /// fn read(path: &str) -> Result<String, Error> {
    ///     std::fs::read_to_string(path)
    ///         .map_err(|e| Error::new(ErrorKind::Config, format!("no key in {path}")).with_source(e))
    /// }
    ///
    /// assert_eq!(read("/no/such/file").unwrap_err().kind(), ErrorKind::Config);
    /// ```
    pub fn new(kind: ErrorKind, text: impl Into<Cow<'static, str>>) -> Self {
        Self(Box::new(Inner {
            kind,
            text: text.into(),
            rerror: None,
            meta: Meta::new(),
            source: None,
            not_run: false,
        }))
    }

    /// Adds what it came from, which [`source`](std::error::Error::source) gives.
    #[must_use]
    pub fn with_source(mut self, source: impl Into<Box<dyn StdError + Send + Sync>>) -> Self {
        self.0.source = Some(source.into());
        self
    }

    /// Says that the other peer did not do what was asked of it, and will not.
    #[cold]
    pub(crate) fn not_run(mut self) -> Self {
        self.0.not_run = true;
        self
    }

    pub(crate) fn is_not_run(&self) -> bool {
        self.0.not_run
    }

    #[cold]
    pub(crate) fn closed(why: impl Into<Cow<'static, str>>) -> Self {
        Self::new(ErrorKind::Closed, why)
    }

    #[cold]
    pub(crate) fn config(what: impl Into<Cow<'static, str>>) -> Self {
        Self::new(ErrorKind::Config, what)
    }

    /// What the other peer answered with, and what stood beside it.
    #[cold]
    pub(crate) fn remote(rerror: Rerror, meta: Meta) -> Self {
        let mut error = Self::from(rerror);
        error.0.meta = meta;
        error
    }

    #[cold]
    pub(crate) fn refused(rerror: Rerror) -> Self {
        let mut error = Self::from(rerror);
        error.0.kind = ErrorKind::Refused;
        error
    }

    /// The same error, with what the other end said when it refused the connection.
    pub(crate) fn with_meta(mut self, meta: Option<&Meta>) -> Self {
        if let Some(meta) = meta {
            self.0.meta = meta.clone();
        }
        self
    }

    #[cfg(unix)]
    #[cold]
    pub(crate) fn no_descriptor(error: std::io::Error) -> Self {
        Self::new(ErrorKind::Io, "no descriptor can be lent").with_source(error)
    }

    #[cold]
    pub(crate) fn encode(error: CodecError) -> Self {
        Self::new(ErrorKind::Encode, "the body cannot be encoded").with_source(error)
    }

    #[cold]
    pub(crate) fn decode(error: CodecError) -> Self {
        Self::new(ErrorKind::Decode, "the body of the reply cannot be decoded").with_source(error)
    }

    /// The kind, to match on.
    #[must_use]
    pub fn kind(&self) -> ErrorKind {
        self.0.kind
    }

    /// The error that the other peer answered with, or that a plugin gave.
    #[must_use]
    pub fn rerror(&self) -> Option<&Rerror> {
        self.0.rerror.as_ref()
    }

    /// The metadata of the reply that carried the error, or that told why the connection was
    /// refused; `None` when it came by no reply.
    ///
    /// ```
    /// # fn ask(error: &teleport::Error) -> Option<&str> {
    /// error.reply_meta()?.get("X-Request-Id")
    /// # }
    /// ```
    #[must_use]
    pub fn reply_meta(&self) -> Option<&Meta> {
        (self.is_remote() || !self.0.meta.is_empty()).then_some(&self.0.meta)
    }

    /// How long the other peer asks to wait before the call is made again, or the session dialled:
    /// what its reply says under [`X-Retry-After-Ms`](crate::message::meta::RETRY_AFTER_MS). See
    /// [`may_retry`](Self::may_retry).
    #[must_use]
    pub fn retry_after(&self) -> Option<Duration> {
        meta::retry_after(self.reply_meta()?)
    }

    /// Whether the time ran out, here or at the other peer.
    #[must_use]
    pub fn is_timeout(&self) -> bool {
        self.0.kind == ErrorKind::Timeout
            || self
                .0
                .rerror
                .as_ref()
                .is_some_and(|r| r.code() == code::HANDLE_TIMEOUT)
    }

    /// Whether the session is closed.
    #[must_use]
    pub fn is_closed(&self) -> bool {
        self.0.kind == ErrorKind::Closed
    }

    /// Whether the other peer answered, with an error.
    #[must_use]
    pub fn is_remote(&self) -> bool {
        self.0.kind == ErrorKind::Remote
    }

    /// Whether the same operation may be tried again without doing its work twice: it did not
    /// leave this peer, or the other peer refused it for lack of room, or said when it shut down
    /// that it had not begun.
    #[must_use]
    pub fn may_retry(&self) -> bool {
        match self.0.kind {
            _ if self.0.not_run => true,
            ErrorKind::Busy | ErrorKind::Dial => true,
            ErrorKind::Remote => self
                .0
                .rerror
                .as_ref()
                .is_some_and(|r| r.code() == code::SERVICE_UNAVAILABLE),
            _ => false,
        }
    }

    /// The text with all its causes, for a log line or the reason of an [`Rerror`].
    ///
    /// # Examples
    ///
    /// ```
    /// # #[tokio::main(flavor = "current_thread")]
    /// # async fn main() -> Result<(), teleport::Error> {
    /// let peer = teleport::Peer::builder().build()?;
    /// let error = peer.dial("127.0.0.1:1").await.unwrap_err();
    /// assert_eq!(error.to_string(), "cannot dial 127.0.0.1:1");
    /// assert!(error.chain().starts_with("cannot dial 127.0.0.1:1: "));
    /// # Ok(())
    /// # }
    /// ```
    #[must_use]
    pub fn chain(&self) -> String {
        let mut text = self.to_string();
        let mut cause = self.source();
        while let Some(next) = cause {
            text.push_str(": ");
            text.push_str(&next.to_string());
            cause = next.source();
        }
        text
    }
}

impl fmt::Display for Error {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match &self.0.rerror {
            Some(rerror) if self.0.text.is_empty() => rerror.fmt(f),
            _ => f.write_str(&self.0.text),
        }
    }
}

/// Prints as a chain, because `main` shows an error by its `Debug` form.
impl fmt::Debug for Error {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{:?}: {}", self.0.kind, self.chain())
    }
}

impl StdError for Error {
    fn source(&self) -> Option<&(dyn StdError + 'static)> {
        match &self.0.source {
            Some(source) => Some(&**source),
            None => None,
        }
    }
}

impl From<Rerror> for Error {
    fn from(rerror: Rerror) -> Self {
        let mut error = Self::new(ErrorKind::Remote, "");
        error.0.rerror = Some(rerror);
        error
    }
}

/// What a failed local operation looks like to the other peer, when a handler passes it on.
impl From<Error> for Rerror {
    fn from(error: Error) -> Self {
        let reason = error.chain();
        if let Some(rerror) = error.0.rerror {
            return rerror;
        }
        let code = match error.0.kind {
            ErrorKind::Closed => code::CONN_CLOSED,
            ErrorKind::Timeout => code::HANDLE_TIMEOUT,
            ErrorKind::Busy => code::SERVICE_UNAVAILABLE,
            ErrorKind::Dial => code::DIAL_FAILED,
            ErrorKind::Io => code::WRITE_FAILED,
            ErrorKind::Decode | ErrorKind::Protocol => code::BAD_MESSAGE,
            ErrorKind::Encode | ErrorKind::Config | ErrorKind::Route | ErrorKind::Plugin => {
                code::INTERNAL
            }
            _ => code::UNKNOWN,
        };
        Self::from_code(code).with_reason(reason)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn is_one_word_wide_and_travels_between_threads() {
        fn check<T: Send + Sync + 'static>() {}
        check::<Error>();
        assert_eq!(size_of::<Error>(), size_of::<usize>());
    }

    #[test]
    fn a_remote_error_comes_back_out_unchanged() {
        let sent = Rerror::new(7, "m", "r");
        assert_eq!(Rerror::from(Error::from(sent.clone())), sent);
    }

    #[test]
    fn a_local_error_keeps_its_causes_as_the_reason() {
        let io = std::io::Error::other("no route to host");
        let error = Error::new(ErrorKind::Dial, "cannot dial 1.2.3.4:5").with_source(io);
        let rerror = Rerror::from(error);
        assert_eq!(rerror.code(), code::DIAL_FAILED);
        assert_eq!(rerror.reason(), "cannot dial 1.2.3.4:5: no route to host");
    }
}
