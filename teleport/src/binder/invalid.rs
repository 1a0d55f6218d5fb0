//! Which parameter is wrong, and why.

use std::borrow::Cow;
use std::fmt::{self, Write as _};

use crate::context::Received;
use crate::rerror::{Rerror, code};

/// Which parameter is wrong, and why.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Invalid {
    param: Cow<'static, str>,
    reason: String,
    code: Option<i32>,
    message: Option<&'static str>,
}

impl Invalid {
    /// Says that a parameter is wrong.
    #[must_use]
    pub fn new(param: impl Into<Cow<'static, str>>, reason: impl Into<String>) -> Self {
        Self {
            param: param.into(),
            reason: reason.into(),
            code: None,
            message: None,
        }
    }

    /// The name of the parameter.
    #[must_use]
    pub fn param(&self) -> &str {
        &self.param
    }

    /// Why it is wrong.
    #[must_use]
    pub fn reason(&self) -> &str {
        &self.reason
    }

    /// Sets the code that the error gets.
    #[must_use]
    pub fn with_code(mut self, code: i32) -> Self {
        self.code = Some(code);
        self
    }

    /// Sets the message that the error gets.
    #[must_use]
    pub fn with_message(mut self, message: &'static str) -> Self {
        self.message = Some(message);
        self
    }

    /// Says that the parameter is that of a value inside a value: `x` within `list[3]` is
    /// `list[3].x`.
    #[must_use]
    pub fn within(mut self, outer: &str) -> Self {
        let dot = if self.param.starts_with('[') || self.param.is_empty() {
            ""
        } else {
            "."
        };
        self.param = format!("{outer}{dot}{}", self.param).into();
        self
    }

    /// The error that the handler at the path answers with.
    #[must_use]
    pub fn to_rerror(&self, handler: &str) -> Rerror {
        self.to_rerror_by(handler, default_error)
    }

    /// The error that a message is answered with: as the type makes it, else as the peer does.
    #[cold]
    pub(super) fn told(
        &self,
        message: &Received,
        of_type: fn(&str, &str, &str) -> Option<Rerror>,
    ) -> Rerror {
        let of_peer = message.session().peer().config().bind_error;
        let of_peer = of_peer.unwrap_or(default_error);
        self.to_rerror_by(message.path(), |handler, param, reason| {
            of_type(handler, param, reason).unwrap_or_else(|| of_peer(handler, param, reason))
        })
    }

    fn to_rerror_by(&self, handler: &str, make: impl FnOnce(&str, &str, &str) -> Rerror) -> Rerror {
        let made = make(handler, &self.param, &self.reason);
        if self.code.is_none() && self.message.is_none() {
            return made;
        }
        let message = match self.message {
            Some(message) => Cow::Borrowed(message),
            None => Cow::Owned(made.message().to_owned()),
        };
        let reason = made.reason().to_owned();
        Rerror::new(self.code.unwrap_or_else(|| made.code()), message, reason)
    }
}

impl fmt::Display for Invalid {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "invalid parameter {}: {}", self.param, self.reason)
    }
}

impl std::error::Error for Invalid {}

/// The error of a value that was checked by hand: it names no handler.
impl From<Invalid> for Rerror {
    fn from(invalid: Invalid) -> Self {
        invalid.to_rerror("")
    }
}

/// The error as the original has it. Its reason looks like JSON, but is quoted as Go quotes.
#[cold]
pub(super) fn default_error(handler: &str, param: &str, reason: &str) -> Rerror {
    let mut text = String::from("{\"handler\": ");
    quote(handler, &mut text);
    text.push_str(", \"param\": ");
    quote(param, &mut text);
    text.push_str(", \"reason\": ");
    quote(reason, &mut text);
    text.push('}');
    Rerror::new(code::BAD_MESSAGE, "Invalid Parameter", text)
}

/// Quotes as Go's `%q` does: what cannot be printed is escaped, as is `"` and `\`.
pub(super) fn quote(text: &str, out: &mut String) {
    out.push('"');
    for c in text.chars() {
        match c {
            '"' | '\\' => out.extend(['\\', c]),
            '\x07' => out.push_str("\\a"),
            '\x08' => out.push_str("\\b"),
            '\x0c' => out.push_str("\\f"),
            '\n' => out.push_str("\\n"),
            '\r' => out.push_str("\\r"),
            '\t' => out.push_str("\\t"),
            '\x0b' => out.push_str("\\v"),
            ' '..='~' => out.push(c),
            // Writing into a string does not fail.
            '\0'..='\x7f' => drop(write!(out, "\\x{:02x}", u32::from(c))),
            _ if is_printable(c) => out.push(c),
            '\u{80}'..='\u{ffff}' => drop(write!(out, "\\u{:04x}", u32::from(c))),
            _ => drop(write!(out, "\\U{:08x}", u32::from(c))),
        }
    }
    out.push('"');
}

/// Whether a character has a shape of its own. The standard library keeps that table to itself,
/// but for its escapes, which leave a mark alone when it stands behind a letter.
fn is_printable(c: char) -> bool {
    String::from_iter(['a', c]).escape_debug().nth(2).is_none()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn quoted(text: &str) -> String {
        let mut out = String::new();
        quote(text, &mut out);
        out
    }

    #[test]
    fn texts_are_quoted_as_go_quotes_them() {
        for (text, go) in [
            ("plain", r#""plain""#),
            (r#"a"b\d"#, r#""a\"b\\d""#),
            (
                "\x07\x08\x0c\n\r\t\x0b\0\x1f\x7f",
                r#""\a\b\f\n\r\t\v\x00\x1f\x7f""#,
            ),
            ("ü 漢 e\u{301} 😀", "\"ü 漢 e\u{301} 😀\""),
            (
                "\u{a0}\u{200b}\u{feff}\u{e000}",
                r#""\u00a0\u200b\ufeff\ue000""#,
            ),
            ("\u{10ffff}\u{e0001}", r#""\U0010ffff\U000e0001""#),
        ] {
            assert_eq!(quoted(text), go);
        }
    }

    #[test]
    fn names_of_inner_parameters_say_where_they_are() {
        let invalid = Invalid::new("x", "zero value").within("[3]").within("list");
        assert_eq!(invalid.param(), "list[3].x");
        assert_eq!(
            Invalid::new("", "r").within("[a]").within("m").param(),
            "m[a]"
        );
    }

    #[test]
    fn code_and_message_of_a_parameter_replace_those_of_the_error() {
        let invalid = Invalid::new("y", "zero value");
        let reason = r#"{"handler": "/a", "param": "y", "reason": "zero value"}"#;
        assert_eq!(
            invalid.to_rerror("/a"),
            Rerror::new(400, "Invalid Parameter", reason)
        );
        assert_eq!(
            invalid.clone().with_code(7).to_rerror("/a"),
            Rerror::new(7, "Invalid Parameter", reason)
        );
        assert_eq!(
            invalid.with_message("Empty").to_rerror("/a"),
            Rerror::new(400, "Empty", reason)
        );
    }
}
