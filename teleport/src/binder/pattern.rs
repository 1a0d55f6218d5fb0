//! Patterns that the macro has checked.

use std::fmt;
use std::sync::OnceLock;

use regex::Regex;

/// A pattern, compiled when it is first used. Matching takes time in proportion to the text,
/// whatever the text is.
pub struct Pattern {
    /// As it is written in the source.
    written: &'static str,
    /// As the regex crate takes it to mean the same as Go does.
    meant: &'static str,
    regex: OnceLock<Option<Regex>>,
}

impl Pattern {
    /// A pattern that is known to compile.
    #[must_use]
    pub const fn new(written: &'static str, meant: &'static str) -> Self {
        Self {
            written,
            meant,
            regex: OnceLock::new(),
        }
    }

    pub(super) const fn written(&self) -> &'static str {
        self.written
    }

    /// Whether the pattern is found in the text. One that does not compile is found nowhere.
    pub(super) fn is_match(&self, text: &str) -> bool {
        self.regex
            .get_or_init(|| Regex::new(self.meant).ok())
            .as_ref()
            .is_some_and(|regex| regex.is_match(text))
    }
}

impl fmt::Debug for Pattern {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_tuple("Pattern").field(&self.written).finish()
    }
}
