//! The error that a reply carries: a code, its text, and a reason.

mod json;

use std::borrow::Cow;
use std::fmt;

use crate::message::meta::{self, Meta};
use crate::message::text::shown;

/// The codes that have a meaning of their own. Any other number is the application's.
pub mod code {
    /// An error that names no other code.
    pub const UNKNOWN: i32 = -1;
    /// The connection was lost during a call, or was closed when the call was made. Local.
    pub const CONN_CLOSED: i32 = 102;
    /// A message could not be written. Local.
    pub const WRITE_FAILED: i32 = 104;
    /// No connection could be made. Local.
    pub const DIAL_FAILED: i32 = 105;
    /// The body or the uri could not be read.
    pub const BAD_MESSAGE: i32 = 400;
    /// The first message did not prove who the peer is.
    pub const UNAUTHORIZED: i32 = 401;
    /// There is no handler for the path.
    pub const NOT_FOUND: i32 = 404;
    /// A message has a type that its receiver does not take. Local.
    pub const MTYPE_NOT_ALLOWED: i32 = 405;
    /// The time to handle a message was over.
    pub const HANDLE_TIMEOUT: i32 = 408;
    /// A handler panicked, or its result could not be encoded.
    pub const INTERNAL: i32 = 500;
    /// A proxy could not reach the peer behind it.
    pub const BAD_GATEWAY: i32 = 502;
    /// The peer takes no further work at present.
    pub const SERVICE_UNAVAILABLE: i32 = 503;

    /// The text of a code; `Unknown Error` for one that has no meaning of its own.
    #[must_use]
    pub const fn text(code: i32) -> &'static str {
        match code {
            CONN_CLOSED => "Connection Closed",
            WRITE_FAILED => "Write Failed",
            DIAL_FAILED => "Dial Failed",
            BAD_MESSAGE => "Bad Message",
            UNAUTHORIZED => "Unauthorized",
            NOT_FOUND => "Not Found",
            MTYPE_NOT_ALLOWED => "Message Type Not Allowed",
            HANDLE_TIMEOUT => "Handle Timeout",
            INTERNAL => "Internal Server Error",
            BAD_GATEWAY => "Bad Gateway",
            SERVICE_UNAVAILABLE => "Service Unavailable",
            _ => "Unknown Error",
        }
    }
}

/// The error of a call, as it travels in the metadata of the reply.
///
/// # Examples
///
/// ```
/// use teleport::rerror::{Rerror, code};
///
/// let error = Rerror::from_code(code::NOT_FOUND).with_reason("no such user");
/// assert_eq!(error.to_json(), r#"{"code":404,"message":"Not Found","reason":"no such user"}"#);
/// assert_eq!(error.to_string(), "404 Not Found: no such user");
/// ```
#[derive(Clone, PartialEq, Eq)]
pub struct Rerror(Box<Parts>);

#[derive(Clone, Default, PartialEq, Eq)]
struct Parts {
    code: i32,
    message: Cow<'static, str>,
    reason: Cow<'static, str>,
}

impl Rerror {
    /// Makes an error of its three parts.
    #[must_use]
    pub fn new(
        code: i32,
        message: impl Into<Cow<'static, str>>,
        reason: impl Into<Cow<'static, str>>,
    ) -> Self {
        Self(Box::new(Parts {
            code,
            message: message.into(),
            reason: reason.into(),
        }))
    }

    /// Makes an error of a code and its text, without a reason.
    #[must_use]
    pub fn from_code(code: i32) -> Self {
        Self::new(code, code::text(code), "")
    }

    /// Makes the error of a body or uri that cannot be read.
    #[must_use]
    pub fn bad_message(reason: impl Into<Cow<'static, str>>) -> Self {
        Self::from_code(code::BAD_MESSAGE).with_reason(reason)
    }

    /// Makes the error of a peer that may not come in.
    #[must_use]
    pub fn unauthorized(reason: impl Into<Cow<'static, str>>) -> Self {
        Self::from_code(code::UNAUTHORIZED).with_reason(reason)
    }

    /// Makes the error of a path without a handler.
    #[must_use]
    pub fn not_found() -> Self {
        Self::from_code(code::NOT_FOUND)
    }

    /// Makes the error of a message type that is not taken here.
    #[must_use]
    pub fn mtype_not_allowed(reason: impl Into<Cow<'static, str>>) -> Self {
        Self::from_code(code::MTYPE_NOT_ALLOWED).with_reason(reason)
    }

    /// Makes the error of work that took too long.
    #[must_use]
    pub fn timeout(reason: impl Into<Cow<'static, str>>) -> Self {
        Self::from_code(code::HANDLE_TIMEOUT).with_reason(reason)
    }

    /// Makes the error of a handler that failed in itself.
    #[must_use]
    pub fn internal(reason: impl Into<Cow<'static, str>>) -> Self {
        Self::from_code(code::INTERNAL).with_reason(reason)
    }

    /// Makes the error of a proxy that cannot reach the peer behind it.
    #[must_use]
    pub fn bad_gateway(reason: impl Into<Cow<'static, str>>) -> Self {
        Self::from_code(code::BAD_GATEWAY).with_reason(reason)
    }

    /// Makes the error of a peer that takes no further work.
    #[must_use]
    pub fn unavailable(reason: impl Into<Cow<'static, str>>) -> Self {
        Self::from_code(code::SERVICE_UNAVAILABLE).with_reason(reason)
    }

    /// Makes the error of a lost or closed connection.
    #[must_use]
    pub fn conn_closed(reason: impl Into<Cow<'static, str>>) -> Self {
        Self::from_code(code::CONN_CLOSED).with_reason(reason)
    }

    /// Makes the error of a message that could not be written.
    #[must_use]
    pub fn write_failed(reason: impl Into<Cow<'static, str>>) -> Self {
        Self::from_code(code::WRITE_FAILED).with_reason(reason)
    }

    /// Makes the error of a connection that could not be made.
    #[must_use]
    pub fn dial_failed(reason: impl Into<Cow<'static, str>>) -> Self {
        Self::from_code(code::DIAL_FAILED).with_reason(reason)
    }

    /// The number that programs tell errors apart by.
    #[must_use]
    pub const fn code(&self) -> i32 {
        self.0.code
    }

    /// What happened, in a few words; often the text of the code.
    #[must_use]
    pub fn message(&self) -> &str {
        &self.0.message
    }

    /// Why it happened; may be empty.
    #[must_use]
    pub fn reason(&self) -> &str {
        &self.0.reason
    }

    /// Sets another message.
    #[must_use]
    pub fn with_message(mut self, message: impl Into<Cow<'static, str>>) -> Self {
        self.0.message = message.into();
        self
    }

    /// Sets another reason.
    #[must_use]
    pub fn with_reason(mut self, reason: impl Into<Cow<'static, str>>) -> Self {
        self.0.reason = reason.into();
        self
    }

    /// The JSON text of the error, byte for byte as other peers write it.
    #[must_use]
    pub fn to_json(&self) -> String {
        json::write(&self.0)
    }

    /// Reads the JSON text of an error. Whatever the text, the result is an error: a field that
    /// cannot be read is left at zero, and when none can be, the reason says so.
    #[must_use]
    pub fn from_json(text: &[u8]) -> Self {
        Self(Box::new(json::read(text)))
    }

    /// The error that a reply's metadata carries; `None` when it carries none, or an empty one.
    #[must_use]
    pub fn from_meta(meta: &Meta) -> Option<Self> {
        Self::from_value(meta.get_bytes(meta::REPLY_ERROR)?)
    }

    /// Does the same as [`Rerror::from_meta`] on metadata that is still urlencoded.
    #[must_use]
    pub fn from_encoded_meta(text: &[u8]) -> Option<Self> {
        Self::from_value(&meta::find_encoded(text, meta::REPLY_ERROR)?)
    }

    fn from_value(json: &[u8]) -> Option<Self> {
        (!json.is_empty()).then(|| Self::from_json(json))
    }

    /// Puts the error into a reply's metadata.
    pub fn set_meta(&self, meta: &mut Meta) {
        meta.set(meta::REPLY_ERROR, self.to_json());
    }
}

impl fmt::Display for Rerror {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}", self.code())?;
        if !self.message().is_empty() {
            write!(f, " {}", shown(self.message().as_bytes()))?;
        }
        if !self.reason().is_empty() {
            write!(f, ": {}", shown(self.reason().as_bytes()))?;
        }
        Ok(())
    }
}

impl fmt::Debug for Rerror {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Rerror")
            .field("code", &self.code())
            .field("message", &self.message())
            .field("reason", &self.reason())
            .finish()
    }
}

impl std::error::Error for Rerror {}

/// A failure of the system's, in a handler, is error 500 with its text as the reason.
impl From<std::io::Error> for Rerror {
    fn from(error: std::io::Error) -> Self {
        Self::internal(error.to_string())
    }
}

#[cfg(test)]
mod tests {
    use super::{Meta, Rerror, code};

    #[test]
    fn errors_are_one_word_wide_and_cross_threads() {
        fn shared<T: Send + Sync + 'static>() {}
        shared::<Rerror>();
        assert_eq!(size_of::<Option<Rerror>>(), size_of::<usize>());
    }

    #[test]
    fn metadata_carries_an_error_there_and_back() {
        let error = Rerror::new(-7, "a&b=c", "\u{1}\u{2028}\u{7f}\"\\");
        let mut meta = Meta::new();
        meta.add("k", "v");
        error.set_meta(&mut meta);
        assert_eq!(Rerror::from_meta(&meta).as_ref(), Some(&error));
        assert_eq!(Rerror::from_encoded_meta(&meta.encoded()), Some(error));
        assert_eq!(
            Rerror::from_encoded_meta(b"X-Reply-Error=&X-Reply-Error=x"),
            None
        );
    }

    #[test]
    fn display_leaves_empty_parts_out() {
        assert_eq!(Rerror::new(7, "", "").to_string(), "7");
        assert_eq!(Rerror::new(7, "", "why\n").to_string(), "7: why\\n");
        assert_eq!(
            Rerror::from_code(code::UNKNOWN).to_string(),
            "-1 Unknown Error"
        );
    }
}
