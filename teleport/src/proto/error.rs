use std::{borrow::Cow, error::Error, fmt};

use crate::{
    codec::CodecError,
    xfer::{FilterError, FilterErrorKind},
};

/// Why a message could not be packed or unpacked.
///
/// The text names the sizes, ids and limits in question.
pub struct ProtoError(Box<Inner>);

struct Inner {
    kind: ProtoErrorKind,
    cause: Cause,
}

enum Cause {
    Text(Cow<'static, str>),
    Codec(CodecError),
    Filter(FilterError),
}

/// The kinds of [`ProtoError`].
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum ProtoErrorKind {
    /// The bytes end before the frame does.
    Incomplete,
    /// The message is larger than the limit, or its filters would make it so.
    TooLarge,
    /// The frame is of another protocol.
    BadVersion,
    /// A length does not fit the frame, or a text does not fit its length field.
    BadLength,
    /// The frame names a transfer filter that is not registered.
    UnknownFilter,
    /// A transfer filter could not work on the data, or found it damaged.
    FilterFailed,
    /// A field holds what it must not hold.
    BadField,
    /// Bytes are left behind the one frame that there should be.
    Trailing,
    /// The input is no frame of any kind.
    BadInput,
    /// The body could not be encoded.
    Encode,
}

impl ProtoErrorKind {
    /// Returns the name of the kind, in lower case with underscores.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Incomplete => "incomplete",
            Self::TooLarge => "too_large",
            Self::BadVersion => "bad_version",
            Self::BadLength => "bad_length",
            Self::UnknownFilter => "unknown_filter",
            Self::FilterFailed => "filter_failed",
            Self::BadField => "bad_field",
            Self::Trailing => "trailing",
            Self::BadInput => "bad_input",
            Self::Encode => "encode",
        }
    }
}

impl fmt::Display for ProtoErrorKind {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

impl ProtoError {
    /// Creates an error of this kind, for a protocol of one's own.
    #[cold]
    #[must_use]
    pub fn new(kind: ProtoErrorKind, text: impl Into<Cow<'static, str>>) -> Self {
        Self(Box::new(Inner {
            kind,
            cause: Cause::Text(text.into()),
        }))
    }

    /// Returns the kind of the error.
    #[must_use]
    pub fn kind(&self) -> ProtoErrorKind {
        self.0.kind
    }

    /// Returns what the body's codec said, for an error of the kind
    /// [`Encode`](ProtoErrorKind::Encode) that is from one.
    #[must_use]
    pub fn codec_error(&self) -> Option<&CodecError> {
        match &self.0.cause {
            Cause::Codec(error) => Some(error),
            Cause::Text(_) | Cause::Filter(_) => None,
        }
    }

    /// Takes out what the body's codec said.
    ///
    /// # Errors
    ///
    /// Returns the error itself when it is not from a codec.
    pub fn into_codec_error(self) -> Result<CodecError, Self> {
        match *self.0 {
            Inner {
                cause: Cause::Codec(error),
                ..
            } => Ok(error),
            other => Err(Self(Box::new(other))),
        }
    }
}

impl fmt::Display for ProtoError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match &self.0.cause {
            Cause::Text(text) => f.write_str(text),
            Cause::Codec(error) => error.fmt(f),
            Cause::Filter(error) => error.fmt(f),
        }
    }
}

impl fmt::Debug for ProtoError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("ProtoError")
            .field("kind", &self.0.kind)
            .field("text", &self.to_string())
            .finish()
    }
}

impl Error for ProtoError {
    // The text of a codec's or a filter's error is this error's own, so the chain goes on behind
    // it.
    fn source(&self) -> Option<&(dyn Error + 'static)> {
        match &self.0.cause {
            Cause::Text(_) => None,
            Cause::Codec(error) => error.source(),
            Cause::Filter(error) => error.source(),
        }
    }
}

impl From<CodecError> for ProtoError {
    fn from(error: CodecError) -> Self {
        Self(Box::new(Inner {
            kind: ProtoErrorKind::Encode,
            cause: Cause::Codec(error),
        }))
    }
}

impl From<FilterError> for ProtoError {
    fn from(error: FilterError) -> Self {
        let kind = match error.kind() {
            FilterErrorKind::Unknown => ProtoErrorKind::UnknownFilter,
            FilterErrorKind::Failed => ProtoErrorKind::FilterFailed,
            FilterErrorKind::TooLarge => ProtoErrorKind::TooLarge,
            FilterErrorKind::TooMany | FilterErrorKind::Taken => ProtoErrorKind::BadField,
        };
        Self(Box::new(Inner {
            kind,
            cause: Cause::Filter(error),
        }))
    }
}

impl From<ProtoError> for crate::error::Error {
    fn from(error: ProtoError) -> Self {
        let text = "the message cannot be packed or unpacked";
        Self::new(crate::error::ErrorKind::Protocol, text).with_source(error)
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, reason = "tests")]

    use super::*;

    #[test]
    fn errors_are_one_word_wide_and_go_anywhere() {
        fn anywhere<T: Error + Send + Sync + 'static>() -> usize {
            size_of::<T>()
        }
        assert_eq!(anywhere::<ProtoError>(), size_of::<usize>());
        assert_eq!(anywhere::<FilterError>(), size_of::<usize>());
    }

    #[test]
    fn a_filter_error_keeps_its_text_and_has_a_kind() {
        let error = ProtoError::from(FilterError::unknown(7));
        assert_eq!(error.kind(), ProtoErrorKind::UnknownFilter);
        assert_eq!(error.to_string(), "unsupported transfer filter id: 7");
        assert!(error.codec_error().is_none());
        assert_eq!(
            error.into_codec_error().unwrap_err().kind().as_str(),
            "unknown_filter"
        );
        assert_eq!(
            ProtoError::from(FilterError::too_large(1)).kind(),
            ProtoErrorKind::TooLarge
        );
    }
}
