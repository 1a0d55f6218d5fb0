//! The error inside the codecs, before it is known which type it was about.

use std::borrow::Cow;
use std::fmt;

/// Why a value could not be written or read.
#[derive(Debug)]
pub(super) struct Fail {
    kind: FailKind,
    text: Cow<'static, str>,
}

#[derive(Debug, PartialEq, Eq)]
enum FailKind {
    Other,
    Unsupported,
    MissingField,
}

impl Fail {
    /// The codec cannot carry such a type at all.
    #[cold]
    pub(super) fn unsupported(text: &'static str) -> Self {
        Self {
            kind: FailKind::Unsupported,
            text: Cow::Borrowed(text),
        }
    }

    /// This one value does not fit.
    #[cold]
    pub(super) fn other(text: impl Into<Cow<'static, str>>) -> Self {
        Self {
            kind: FailKind::Other,
            text: text.into(),
        }
    }

    pub(super) fn is_unsupported(&self) -> bool {
        self.kind == FailKind::Unsupported
    }

    #[cfg(feature = "form")]
    pub(super) fn is_missing_field(&self) -> bool {
        self.kind == FailKind::MissingField
    }

    pub(super) fn text(&self) -> &str {
        &self.text
    }
}

impl fmt::Display for Fail {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.text)
    }
}

impl std::error::Error for Fail {}

impl serde::ser::Error for Fail {
    #[cold]
    fn custom<T: fmt::Display>(text: T) -> Self {
        Self::other(text.to_string())
    }
}

impl serde::de::Error for Fail {
    #[cold]
    fn custom<T: fmt::Display>(text: T) -> Self {
        Self::other(text.to_string())
    }

    #[cold]
    fn missing_field(field: &'static str) -> Self {
        Self {
            kind: FailKind::MissingField,
            text: format!("missing field `{field}`").into(),
        }
    }
}
