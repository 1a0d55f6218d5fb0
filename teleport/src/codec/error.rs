//! The errors of the codecs and of their registry.

use std::error::Error;
use std::fmt;

use super::fail::Fail;

/// What went wrong between a value and a body.
///
/// Its text is fit to be the reason of an error that is sent to the other end.
#[derive(Clone, PartialEq, Eq)]
pub struct CodecError(Box<Inner>);

#[derive(Clone, PartialEq, Eq)]
struct Inner {
    kind: CodecErrorKind,
    text: String,
}

/// The kinds of [`CodecError`].
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum CodecErrorKind {
    /// No codec has the id.
    UnsupportedCodec,
    /// The codec cannot carry the type at all.
    UnsupportedType,
    /// This value cannot be written.
    Encode,
    /// These bytes cannot be read.
    Decode,
    /// The body is empty and the type has no zero value.
    EmptyBody,
}

impl CodecError {
    #[cold]
    fn new(kind: CodecErrorKind, text: String) -> Self {
        Self(Box::new(Inner { kind, text }))
    }

    /// Makes the error of a value that cannot be written.
    #[cold]
    #[must_use]
    pub fn encode(reason: impl fmt::Display) -> Self {
        Self::new(CodecErrorKind::Encode, reason.to_string())
    }

    /// Makes the error of bytes that cannot be read.
    #[cold]
    #[must_use]
    pub fn decode(reason: impl fmt::Display) -> Self {
        Self::new(CodecErrorKind::Decode, reason.to_string())
    }

    #[cold]
    pub(crate) fn unsupported_codec(id: u8) -> Self {
        Self::new(
            CodecErrorKind::UnsupportedCodec,
            format!("unsupported codec id: {id}"),
        )
    }

    #[cold]
    pub(crate) fn unsupported_type<T: ?Sized>(codec: &str, why: &str) -> Self {
        let name = short_type_name(std::any::type_name::<T>());
        Self::new(
            CodecErrorKind::UnsupportedType,
            format!("{codec} codec: unsupported type {name}: {why}"),
        )
    }

    #[cold]
    pub(crate) fn empty_body<T: ?Sized>() -> Self {
        let name = short_type_name(std::any::type_name::<T>());
        Self::new(
            CodecErrorKind::EmptyBody,
            format!("empty body: {name} has no zero value"),
        )
    }

    #[cold]
    pub(super) fn encode_failed<T: ?Sized>(codec: &str, fail: &Fail) -> Self {
        if fail.is_unsupported() {
            return Self::unsupported_type::<T>(codec, fail.text());
        }
        Self::new(
            CodecErrorKind::Encode,
            format!("{codec} codec: {}", fail.text()),
        )
    }

    #[cold]
    pub(super) fn decode_failed<T: ?Sized>(codec: &str, fail: &Fail) -> Self {
        if fail.is_unsupported() {
            return Self::unsupported_type::<T>(codec, fail.text());
        }
        Self::new(
            CodecErrorKind::Decode,
            format!("{codec} codec: {}", fail.text()),
        )
    }

    /// The kind of the error.
    #[must_use]
    pub fn kind(&self) -> CodecErrorKind {
        self.0.kind
    }
}

impl fmt::Display for CodecError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0.text)
    }
}

impl fmt::Debug for CodecError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "CodecError({:?}: {})", self.0.kind, self.0.text)
    }
}

impl Error for CodecError {}

/// A codec that cannot be registered.
#[derive(Clone, PartialEq, Eq)]
pub struct RegisterError(Box<str>);

impl RegisterError {
    #[cold]
    pub(super) fn new(text: String) -> Self {
        Self(text.into_boxed_str())
    }
}

impl fmt::Display for RegisterError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

impl fmt::Debug for RegisterError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "RegisterError({})", self.0)
    }
}

impl Error for RegisterError {}

/// Leaves the module paths out of a type's name: nobody far away has use for them.
fn short_type_name(full: &str) -> String {
    let mut short = String::with_capacity(full.len());
    let mut rest = full;
    while let Some(at) = rest.find(|c: char| !(c.is_alphanumeric() || c == '_' || c == ':')) {
        let (path, tail) = rest.split_at(at);
        short.push_str(last_segment(path));
        let mut chars = tail.chars();
        short.extend(chars.next());
        rest = chars.as_str();
    }
    short.push_str(last_segment(rest));
    short
}

fn last_segment(path: &str) -> &str {
    path.rsplit("::").next().unwrap_or(path)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn type_names_lose_their_paths() {
        for (full, short) in [
            ("i64", "i64"),
            ("alloc::vec::Vec<alloc::string::String>", "Vec<String>"),
            ("(a::B, [c::D; 3])", "(B, [D; 3])"),
            ("&[u8]", "&[u8]"),
            (
                "std::collections::HashMap<&str, x::Y<z::Z>>",
                "HashMap<&str, Y<Z>>",
            ),
        ] {
            assert_eq!(short_type_name(full), short);
        }
    }

    #[test]
    fn errors_are_one_word_and_can_travel() {
        fn travels<T: Send + Sync + Error + 'static>() {
            assert!(size_of::<T>() <= 2 * size_of::<usize>());
        }
        travels::<CodecError>();
        travels::<RegisterError>();
        assert_eq!(size_of::<CodecError>(), size_of::<usize>());
    }

    #[test]
    fn the_texts_name_codec_and_type() {
        assert_eq!(
            CodecError::unsupported_codec(200).to_string(),
            "unsupported codec id: 200"
        );
        let error = CodecError::unsupported_type::<Vec<String>>("plain", "no lists");
        assert_eq!(
            error.to_string(),
            "plain codec: unsupported type Vec<String>: no lists"
        );
        assert_eq!(error.kind(), CodecErrorKind::UnsupportedType);
    }
}
