//! The rules of a parameter, and those that cannot hold.

use syn::{GenericArgument, PathArguments, Type};

use super::ends::{End, Ends, Number, check_len, check_type, ends};
use super::pattern;
use crate::parse::{Args, Problems};

/// The rules of a parameter, each at most once.
#[derive(Debug, Default)]
pub(crate) struct Rules {
    pub(crate) len: Option<Ends>,
    pub(crate) range: Option<Ends>,
    pub(crate) nonzero: bool,
    pub(crate) required: bool,
    /// The pattern as it is written, and as the regex crate takes it.
    pub(crate) regex: Option<(String, String)>,
    /// All of them, as they are written.
    pub(crate) text: String,
}

impl Rules {
    pub(super) fn check(args: &Args, ty: &Type, problems: &mut Problems) -> Self {
        let before = problems.count();
        let range = args
            .tokens("range")
            .and_then(|tokens| ends(tokens, "range", problems));
        if let (Some(range), Some(tokens)) = (&range, args.tokens("range")) {
            check_type(range, tokens, ty, problems);
        }
        let len = args
            .tokens("len")
            .and_then(|tokens| ends(tokens, "len", problems))
            .filter(|len| check_len(len, args.tokens("len"), problems));
        let regex = args.text("regex").and_then(|text| {
            let written = text.value();
            match pattern::as_in_go(&written) {
                Ok(meant) => Some((written, meant)),
                Err(why) => {
                    problems.at(text, format!("the pattern does not compile: {why}"));
                    None
                }
            }
        });
        let rules = Self {
            nonzero: args.flag("nonzero").is_some(),
            required: args.flag("required").is_some(),
            text: written(args),
            range,
            len,
            regex,
        };
        if problems.count() == before {
            rules.check_each_other(args, problems);
        }
        rules
    }

    /// Whether there is a rule at all.
    pub(crate) fn is_empty(&self) -> bool {
        self.len.is_none()
            && self.range.is_none()
            && self.regex.is_none()
            && !self.nonzero
            && !self.required
    }

    fn check_each_other(&self, args: &Args, problems: &mut Problems) {
        let is_zero = |end: &Option<End>| {
            end.as_ref()
                .is_some_and(|end| matches!(end.number, Number::Int(0)))
        };
        if let Some(flag) = args.flag("nonzero").or_else(|| args.flag("required"))
            && self.len.as_ref().is_some_and(|len| is_zero(&len.max))
        {
            problems.at(
                flag,
                format!(
                    "cannot hold: `len` lets nothing but the empty pass; remove `{flag}` or `len`"
                ),
            );
        }
        if let Some(flag) = args.flag("nonzero") {
            let only_zero = |range: &Ends| is_zero(&range.min) && is_zero(&range.max);
            if self.range.as_ref().is_some_and(only_zero) {
                problems.at(
                    flag,
                    "cannot hold: `range` lets nothing but 0 pass; remove `nonzero` or `range`",
                );
            }
        }
    }
}

/// The rules as they are written, for the table of parameters.
fn written(args: &Args) -> String {
    let mut rules = Vec::new();
    for name in ["len", "range"] {
        if let Some(tokens) = args.tokens(name) {
            rules.push(format!("{name}({})", super::type_text(tokens)));
        }
    }
    for name in ["nonzero", "required", "nested"] {
        if args.flag(name).is_some() {
            rules.push(name.to_owned());
        }
    }
    if let Some(pattern) = args.text("regex") {
        rules.push(format!("regex {}", pattern.value()));
    }
    rules.join(", ")
}

/// What is between the angle brackets of a type that is written with this name.
pub(super) fn inner_of<'a>(ty: &'a Type, outer: &str) -> Option<&'a Type> {
    let Type::Path(path) = ty else { return None };
    let last = path.path.segments.last()?;
    let PathArguments::AngleBracketed(args) = &last.arguments else {
        return None;
    };
    match args.args.first()? {
        GenericArgument::Type(inner) if last.ident == outer && args.args.len() == 1 => Some(inner),
        _ => None,
    }
}
