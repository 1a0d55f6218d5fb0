//! Passes on text that is JSON already.

use serde::ser;

use super::super::super::fail::Fail;
use super::super::super::number::Sink as _;
use super::super::super::shapes::{refuse_to_write, write_wrapped};
use super::super::escape::put_escaped;
use super::super::out::Out;

/// Writes the one string of a value that is JSON already, escaped as Go escapes it.
pub(super) struct ReadyText<'a, 'b> {
    pub(super) dst: &'a mut Out<'b>,
}

impl ser::Serializer for ReadyText<'_, '_> {
    type Ok = ();
    type Error = Fail;

    write_wrapped!();
    refuse_to_write! { Fail::other("raw JSON must be a string") =>
        scalars bytes nothing lists maps structs unit_variants full_variants
    }

    fn serialize_str(self, value: &str) -> Result<(), Fail> {
        let mut in_string = false;
        let mut escaped = false;
        let mut rest = value;
        while let Some(letter) = rest.chars().next() {
            let (head, tail) = rest.split_at(letter.len_utf8());
            rest = tail;
            if !in_string && letter.is_ascii_whitespace() {
                continue;
            }
            if in_string && matches!(letter, '<' | '>' | '&' | '\u{2028}' | '\u{2029}') {
                put_escaped(self.dst, head);
            } else {
                self.dst.put(head.as_bytes());
            }
            if letter == '"' && !escaped {
                in_string = !in_string;
            }
            escaped = letter == '\\' && !escaped;
        }
        Ok(())
    }
}
