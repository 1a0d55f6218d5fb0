//! The JSON text of an error: written byte for byte as other peers do, read from almost anything.
//!
//! The reader never fails. It takes raw control characters and bytes that are not UTF-8, unknown
//! fields, values of another type, and texts that are cut off, and keeps what it could read.

use std::borrow::Cow;
use std::fmt::Write;

use super::Parts;
use crate::message::text::unicode_escape;

/// How much of a text that cannot be read is shown in the reason.
const SHOWN: usize = 128;

pub(super) fn write(error: &Parts) -> String {
    let mut out = String::with_capacity(48 + error.message.len() + error.reason.len());
    // Writing to a string cannot fail.
    let _ = write!(out, "{{\"code\":{}", error.code);
    for (name, text) in [("message", &error.message), ("reason", &error.reason)] {
        if !text.is_empty() {
            let _ = write!(out, ",\"{name}\":\"");
            write_escaped(text, &mut out);
            out.push('"');
        }
    }
    out.push('}');
    out
}

fn write_escaped(text: &str, out: &mut String) {
    let escaped = |c: char| c < ' ' || matches!(c, '"' | '\\' | '\u{2028}' | '\u{2029}');
    let mut rest = text;
    while let Some(at) = rest.find(escaped) {
        let (plain, tail) = rest.split_at(at);
        out.push_str(plain);
        let mut chars = tail.chars();
        match chars.next() {
            Some(c @ ('"' | '\\')) => out.extend(['\\', c]),
            Some('\n') => out.push_str("\\n"),
            Some('\r') => out.push_str("\\r"),
            Some('\t') => out.push_str("\\t"),
            Some(c) => {
                let _ = write!(out, "\\u{:04x}", u32::from(c));
            }
            None => {}
        }
        rest = chars.as_str();
    }
    out.push_str(rest);
}

pub(super) fn read(text: &[u8]) -> Parts {
    let mut fields = Fields::default();
    // Junk before the object is passed over, a list has no fields.
    match text.iter().position(|b| matches!(b, b'{' | b'[')) {
        Some(at) if text.get(at) == Some(&b'{') => {
            fields.read(Scanner {
                rest: text.get(at + 1..).unwrap_or_default(),
            });
        }
        _ => {}
    }
    if fields.code.is_none() && fields.message.is_none() && fields.reason.is_none() {
        let (start, more) = match text.get(..SHOWN) {
            Some(start) if text.len() > SHOWN => (start, ".."),
            _ => (text, ""),
        };
        let reason = format!("unreadable error: {}{more}", String::from_utf8_lossy(start));
        return Parts {
            reason: reason.into(),
            ..Parts::default()
        };
    }
    let message = fields.message.unwrap_or_default().into();
    let reason = Cow::Owned(fields.reason.unwrap_or_default());
    match fields.code {
        None => Parts {
            code: 0,
            message,
            reason,
        },
        Some(Code::Read(code)) => Parts {
            code,
            message,
            reason,
        },
        Some(Code::Unreadable(code)) => {
            let note = format!("unreadable error code {code}");
            let reason = if reason.is_empty() {
                note
            } else {
                format!("{reason} ({note})")
            };
            Parts {
                code: 0,
                message,
                reason: reason.into(),
            }
        }
    }
}

enum Code {
    Read(i32),
    /// The start of what stands in its place.
    Unreadable(String),
}

/// The fields found so far; of a field that comes again the first counts.
#[derive(Default)]
struct Fields {
    code: Option<Code>,
    message: Option<String>,
    reason: Option<String>,
}

impl Fields {
    fn read(&mut self, mut scanner: Scanner<'_>) {
        while let Some((name, value)) = scanner.field() {
            match &*name {
                b"code" if self.code.is_none() => self.code = code(value),
                b"message" if self.message.is_none() => self.message = value.into_text(),
                b"reason" if self.reason.is_none() => self.reason = value.into_text(),
                _ => {}
            }
        }
    }
}

/// Reads a code, `None` for `null`. Fractions are cut off, strings and booleans count as numbers.
fn code(value: Value<'_>) -> Option<Code> {
    let text = match value {
        Value::Text(text) => String::from_utf8_lossy(&text).into_owned(),
        Value::Bare(b"null") => return None,
        Value::Bare(b"true") => return Some(Code::Read(1)),
        Value::Bare(b"false") => return Some(Code::Read(0)),
        Value::Bare(text) => String::from_utf8_lossy(text).into_owned(),
    };
    if let Ok(code) = text.parse::<i32>() {
        return Some(Code::Read(code));
    }
    // Only what looks like a number: the parser also takes names such as `inf`.
    let number = text.starts_with(|c: char| c.is_ascii_digit() || c == '-');
    let whole = number
        .then(|| text.parse::<f64>().ok())
        .flatten()
        .map(f64::trunc);
    match whole {
        Some(whole) if whole >= f64::from(i32::MIN) && whole <= f64::from(i32::MAX) =>
        {
            #[expect(clippy::cast_possible_truncation, reason = "the range was checked")]
            Some(Code::Read(whole as i32))
        }
        _ => Some(Code::Unreadable(text.chars().take(SHOWN).collect())),
    }
}

enum Value<'a> {
    /// A string, decoded.
    Text(Vec<u8>),
    /// Anything else, as it stands.
    Bare(&'a [u8]),
}

impl Value<'_> {
    /// The text of a string, or of any other value but `null` as it stands.
    fn into_text(self) -> Option<String> {
        match self {
            Self::Text(text) => Some(match String::from_utf8(text) {
                Ok(text) => text,
                Err(error) => String::from_utf8_lossy(error.as_bytes()).into_owned(),
            }),
            Self::Bare(b"null") => None,
            Self::Bare(text) => Some(String::from_utf8_lossy(text).into_owned()),
        }
    }
}

/// Goes through the inside of an object.
struct Scanner<'a> {
    rest: &'a [u8],
}

impl<'a> Scanner<'a> {
    /// The next name and value, `None` at the end of the object or of what can be read.
    fn field(&mut self) -> Option<(Vec<u8>, Value<'a>)> {
        self.skip(|b| b.is_ascii_whitespace() || b == b',');
        self.rest = self.rest.strip_prefix(b"\"")?;
        let name = self.string()?;
        self.skip(|b| b.is_ascii_whitespace());
        self.rest = self.rest.strip_prefix(b":")?;
        self.skip(|b| b.is_ascii_whitespace());
        let value = match self.rest {
            [b'"', tail @ ..] => {
                self.rest = tail;
                Value::Text(self.string()?)
            }
            [b'{' | b'[', ..] => Value::Bare(self.nested()),
            _ => Value::Bare(self.bare()?),
        };
        Some((name, value))
    }

    fn skip(&mut self, skipped: impl Fn(u8) -> bool) {
        let end = self
            .rest
            .iter()
            .position(|b| !skipped(*b))
            .unwrap_or(self.rest.len());
        self.take(end);
    }

    fn take(&mut self, len: usize) -> &'a [u8] {
        let (front, rest) = self.rest.split_at_checked(len).unwrap_or((self.rest, &[]));
        self.rest = rest;
        front
    }

    /// Reads a string behind its opening quote, `None` when it is cut off.
    fn string(&mut self) -> Option<Vec<u8>> {
        let mut out = Vec::new();
        loop {
            let at = self.rest.iter().position(|b| matches!(b, b'"' | b'\\'))?;
            out.extend_from_slice(self.take(at));
            if let [b'"', tail @ ..] = self.rest {
                self.rest = tail;
                return Some(out);
            }
            self.take(1);
            let (escape, tail) = self.rest.split_first()?;
            self.rest = tail;
            match escape {
                b'n' => out.push(b'\n'),
                b'r' => out.push(b'\r'),
                b't' => out.push(b'\t'),
                b'b' => out.push(8),
                b'f' => out.push(12),
                b'u' => self.unicode(&mut out),
                b'"' | b'\\' | b'/' => out.push(*escape),
                // An escape that JSON does not know stays.
                _ => out.extend_from_slice(&[b'\\', *escape]),
            }
        }
    }

    /// Reads what stands behind `\u`.
    fn unicode(&mut self, out: &mut Vec<u8>) {
        let Some((letter, used)) = unicode_escape(self.rest) else {
            return out.extend_from_slice(b"\\u");
        };
        self.take(used);
        out.extend_from_slice(letter.encode_utf8(&mut [0; 4]).as_bytes());
    }

    /// Passes over an object or a list, to the end when it is not closed.
    fn nested(&mut self) -> &'a [u8] {
        let (mut depth, mut in_string, mut escaped) = (0_usize, false, false);
        let end = self.rest.iter().position(|byte| {
            match byte {
                _ if escaped => escaped = false,
                b'\\' if in_string => escaped = true,
                b'"' => in_string = !in_string,
                b'{' | b'[' if !in_string => depth += 1,
                b'}' | b']' if !in_string => depth -= 1,
                _ => {}
            }
            depth == 0
        });
        self.take(end.map_or(self.rest.len(), |end| end + 1))
    }

    /// Reads a number or a word.
    fn bare(&mut self) -> Option<&'a [u8]> {
        let ends = |b: &u8| b.is_ascii_whitespace() || matches!(b, b',' | b'}' | b']' | b'"');
        let end = self.rest.iter().position(ends).unwrap_or(self.rest.len());
        (end > 0).then(|| self.take(end))
    }
}

#[cfg(test)]
mod tests {
    use crate::rerror::Rerror;

    #[track_caller]
    fn check(text: &str, code: i32, message: &str, reason: &str) {
        let error = Rerror::from_json(text.as_bytes());
        assert_eq!(
            (error.code(), error.message(), error.reason()),
            (code, message, reason)
        );
    }

    #[test]
    fn values_of_another_type_are_read_as_far_as_they_go() {
        check(r#"{"code":"404"}"#, 404, "", "");
        check(
            r#"{"code":1e2,"message":12,"reason":true}"#,
            100,
            "12",
            "true",
        );
        check(r#"{"code":null,"message":null,"reason":"r"}"#, 0, "", "r");
        check(r#"{"code":true,"message":[1,"]"]}"#, 1, "[1,\"]\"]", "");
        check(r#"x{"code":1}"#, 1, "", "");
        check(r#"{"code":1,"message":{"a":1"#, 1, "{\"a\":1", "");
        check(
            "{\"code\":1,\"message\":\"a\nb\\q\\u12\"}",
            1,
            "a\nb\\q\\u12",
            "",
        );
        check(
            r#"{"code":1,"message":"\ud83d\ude80\ud83d!\udc00"}"#,
            1,
            "\u{1f680}\u{fffd}!\u{fffd}",
            "",
        );
    }

    #[test]
    fn what_cannot_be_read_is_named_in_the_reason() {
        check("not json", 0, "", "unreadable error: not json");
        check("{}", 0, "", "unreadable error: {}");
        check(
            r#"{"code":99999999999}"#,
            0,
            "",
            "unreadable error code 99999999999",
        );
        check(
            r#"{"code":-1e99,"reason":"r"}"#,
            0,
            "",
            "r (unreadable error code -1e99)",
        );
        check(
            r#"{"code":"inf","message":"m"}"#,
            0,
            "m",
            "unreadable error code inf",
        );
        let long = Rerror::from_json(&[b'x'; 1000]);
        assert!(long.reason().len() < 160 && long.reason().ends_with("xx.."));
        assert!(
            Rerror::from_json(b"\xff\xfe")
                .reason()
                .ends_with("\u{fffd}\u{fffd}")
        );
    }
}
