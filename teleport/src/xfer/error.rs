use std::{borrow::Cow, error::Error, fmt};

/// What went wrong with a transfer filter.
///
/// The text names the filter, its id, and the sizes and limits in question.
pub struct FilterError(Box<Inner>);

struct Inner {
    kind: FilterErrorKind,
    text: Cow<'static, str>,
}

/// The kinds of [`FilterError`].
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum FilterErrorKind {
    /// No filter with that id or name is registered.
    Unknown,
    /// The bytes are damaged, or the filter could not work on them.
    Failed,
    /// The filters would make more bytes than the limit allows.
    TooLarge,
    /// The pipe has more filters than the wire or the limit allows.
    TooMany,
    /// The id or the name is registered already.
    Taken,
}

impl FilterError {
    #[cold]
    pub(crate) fn new(kind: FilterErrorKind, text: impl Into<Cow<'static, str>>) -> Self {
        Self(Box::new(Inner {
            kind,
            text: text.into(),
        }))
    }

    /// An error of the kind [`Failed`](FilterErrorKind::Failed), for a filter of one's own.
    #[must_use]
    pub fn failed(text: impl Into<Cow<'static, str>>) -> Self {
        Self::new(FilterErrorKind::Failed, text)
    }

    /// An error of the kind [`TooLarge`](FilterErrorKind::TooLarge): the bytes would become more
    /// than `limit`.
    #[must_use]
    pub fn too_large(limit: usize) -> Self {
        Self::new(
            FilterErrorKind::TooLarge,
            format!("the data unpacks to more than the limit of {limit} bytes"),
        )
    }

    #[cold]
    pub(crate) fn unknown(id: u8) -> Self {
        Self::new(
            FilterErrorKind::Unknown,
            format!("unsupported transfer filter id: {id}"),
        )
    }

    /// Says which filter of a pipe the error is from.
    #[cold]
    pub(crate) fn by(self, name: &str, id: u8) -> Self {
        let Inner { kind, text } = *self.0;
        Self::new(kind, format!("transfer filter {name} (id {id}): {text}"))
    }

    /// Returns the kind of the error.
    #[must_use]
    pub fn kind(&self) -> FilterErrorKind {
        self.0.kind
    }
}

impl fmt::Display for FilterError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0.text)
    }
}

impl fmt::Debug for FilterError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("FilterError")
            .field("kind", &self.0.kind)
            .field("text", &self.0.text)
            .finish()
    }
}

impl Error for FilterError {}
