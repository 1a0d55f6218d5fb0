//! Patterns that mean in Rust what they mean in Go.

use regex_syntax::ast::parse::Parser;
use regex_syntax::ast::{Assertion, AssertionKind, Ast, ClassPerl, ClassPerlKind, Visitor, visit};

/// The pattern as the regex crate has to have it, for the same texts to match: in Go the classes
/// of Perl and the borders of words are those of ASCII.
///
/// # Errors
///
/// Says why the pattern does not compile.
pub(super) fn as_in_go(pattern: &str) -> Result<String, String> {
    let ast = Parser::new().parse(pattern).map_err(|error| {
        let at = error.span().start.offset;
        format!("{} at byte {at}", error.kind())
    })?;
    let Ok(mut changes) = visit(&ast, Changes::default());
    changes.sort_unstable_by_key(|(start, ..)| *start);
    let mut meant = String::with_capacity(pattern.len());
    let mut done = 0;
    for (start, end, text) in changes {
        meant.push_str(pattern.get(done..start).unwrap_or_default());
        meant.push_str(text);
        done = end;
    }
    meant.push_str(pattern.get(done..).unwrap_or_default());
    match regex::Regex::new(&meant) {
        Ok(_) => Ok(meant),
        Err(regex::Error::CompiledTooBig(limit)) => Err(format!(
            "it would take more than {limit} bytes; repeat less"
        )),
        Err(error) => {
            let text = error.to_string();
            let last = text.lines().last().unwrap_or_default();
            Err(last.trim_start_matches("error: ").to_owned())
        }
    }
}

/// What to put in the place of which bytes.
#[derive(Default)]
struct Changes(Vec<(usize, usize, &'static str)>);

impl Changes {
    fn class(&mut self, class: &ClassPerl) {
        let text = match (&class.kind, class.negated) {
            (ClassPerlKind::Digit, false) => "[0-9]",
            (ClassPerlKind::Digit, true) => "[^0-9]",
            (ClassPerlKind::Space, false) => r"[\t\n\f\r ]",
            (ClassPerlKind::Space, true) => r"[^\t\n\f\r ]",
            (ClassPerlKind::Word, false) => "[0-9A-Za-z_]",
            (ClassPerlKind::Word, true) => "[^0-9A-Za-z_]",
        };
        self.0
            .push((class.span.start.offset, class.span.end.offset, text));
    }

    fn assertion(&mut self, assertion: &Assertion) {
        if assertion.kind == AssertionKind::WordBoundary {
            let span = assertion.span;
            self.0
                .push((span.start.offset, span.end.offset, r"(?-u:\b)"));
        }
    }
}

impl Visitor for Changes {
    type Output = Vec<(usize, usize, &'static str)>;
    type Err = std::convert::Infallible;

    fn finish(self) -> Result<Self::Output, Self::Err> {
        Ok(self.0)
    }

    fn visit_pre(&mut self, ast: &Ast) -> Result<(), Self::Err> {
        match ast {
            Ast::ClassPerl(class) => self.class(class),
            Ast::Assertion(assertion) => self.assertion(assertion),
            _ => {}
        }
        Ok(())
    }

    fn visit_class_set_item_pre(
        &mut self,
        item: &regex_syntax::ast::ClassSetItem,
    ) -> Result<(), Self::Err> {
        if let regex_syntax::ast::ClassSetItem::Perl(class) = item {
            self.class(class);
        }
        Ok(())
    }
}

#[cfg(test)]
#[allow(clippy::unwrap_used, reason = "tests")]
mod tests {
    use super::*;

    #[test]
    fn classes_and_borders_become_those_of_ascii() {
        for (pattern, meant) in [
            (r"^[1-9]\d*$", "^[1-9][0-9]*$"),
            (r"\D\w", "[^0-9][0-9A-Za-z_]"),
            (r"[\d_\W]+", "[[0-9]_[^0-9A-Za-z_]]+"),
            (r"\bü\s\\d", r"(?-u:\b)ü[\t\n\f\r ]\\d"),
            ("plain", "plain"),
        ] {
            assert_eq!(as_in_go(pattern).unwrap(), meant);
        }
    }

    #[test]
    fn what_does_not_compile_is_explained() {
        for (pattern, why) in [
            ("(a", "unclosed group at byte 0"),
            (r"a\q", "unrecognized escape sequence at byte 1"),
            ("a{9}{99}{999}", "repeat less"),
            (r"(?=a)", "look-around"),
            (r"\pX", "Unicode property not found"),
        ] {
            let found = as_in_go(pattern).unwrap_err();
            assert!(found.contains(why), "{pattern}: {found}");
            assert!(!found.contains('\n'), "{found}");
        }
    }
}
