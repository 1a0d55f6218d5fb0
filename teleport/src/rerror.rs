//! The error that travels.

use std::borrow::Cow;
use std::fmt;

/// The error of a reply.
#[derive(Clone, PartialEq, Eq)]
pub struct Rerror(i32, Cow<'static, str>, Cow<'static, str>);

impl Rerror {
    /// Makes an error.
    #[must_use]
    pub fn new(
        code: i32,
        message: impl Into<Cow<'static, str>>,
        reason: impl Into<Cow<'static, str>>,
    ) -> Self {
        Self(code, message.into(), reason.into())
    }

    /// The code.
    #[must_use]
    pub fn code(&self) -> i32 {
        self.0
    }
}

impl fmt::Debug for Rerror {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} {}: {}", self.0, self.1, self.2)
    }
}
