//! The rules of a parameter, and those that cannot hold.

use proc_macro2::{Literal, TokenStream};
use quote::ToTokens as _;
use syn::{Expr, ExprLit, ExprUnary, GenericArgument, Lit, PathArguments, RangeLimits, Type, UnOp};

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

/// The ends of a range.
#[derive(Debug, Default)]
pub(crate) struct Ends {
    pub(crate) min: Option<End>,
    pub(crate) max: Option<End>,
}

/// One end of a range.
#[derive(Clone, Debug)]
pub(crate) struct End {
    pub(crate) number: Number,
    pub(crate) excluded: bool,
}

/// A number as it is written.
#[derive(Clone, Debug)]
pub(crate) enum Number {
    Int(i128),
    Float(f64, String),
}

impl Number {
    /// Without separators and suffix.
    pub(crate) fn text(&self) -> String {
        match self {
            Self::Int(number) => number.to_string(),
            Self::Float(_, text) => text.clone(),
        }
    }

    #[allow(clippy::cast_precision_loss, reason = "to compare with a float")]
    const fn as_float(&self) -> f64 {
        match self {
            Self::Int(number) => *number as f64,
            Self::Float(number, _) => *number,
        }
    }

    fn is_above(&self, other: &Self) -> bool {
        match (self, other) {
            (Self::Int(a), Self::Int(b)) => a > b,
            _ => self.as_float() > other.as_float(),
        }
    }

    /// The variant of the runtime's number.
    pub(crate) const fn kind(&self) -> &'static str {
        match self {
            Self::Int(_) => "Int",
            Self::Float(..) => "Double",
        }
    }

    pub(crate) fn literal(&self) -> TokenStream {
        match self {
            Self::Int(number) => Literal::i128_unsuffixed(*number).to_token_stream(),
            Self::Float(number, _) => Literal::f64_unsuffixed(*number).to_token_stream(),
        }
    }
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

/// Reads a range, and says what is wrong with it.
fn ends(tokens: &TokenStream, rule: &str, problems: &mut Problems) -> Option<Ends> {
    let example = if rule == "len" { "3..=6" } else { "1..=100" };
    let write = format!("write a range of numbers: `{rule}({example})`");
    let Ok(expr) = syn::parse2::<Expr>(tokens.clone()) else {
        problems.at(tokens, write);
        return None;
    };
    let (start, end, excluded) = match &expr {
        Expr::Range(range) => (
            range.start.as_deref(),
            range.end.as_deref(),
            matches!(range.limits, RangeLimits::HalfOpen(_)),
        ),
        other => (Some(other), Some(other), false),
    };
    if start.is_none() && end.is_none() {
        problems.at(tokens, format!("`..` holds always; {write}"));
        return None;
    }
    let mut read = |expr: Option<&Expr>| match expr.map(number) {
        None => Some(None),
        Some(Some(number)) => Some(Some(number)),
        Some(None) => {
            problems.at(expr, format!("no number that can be compared; {write}"));
            None
        }
    };
    let (min, max) = (read(start), read(end));
    let (min, max) = (min?, max?);
    let max = max.map(|number| match number {
        // Below 100 is up to 99 among whole numbers, but only if the other end is one as well.
        Number::Int(number) if excluded && rule == "len" => End {
            number: Number::Int(number.saturating_sub(1)),
            excluded: false,
        },
        number => End { number, excluded },
    });
    let min = min.map(|number| End {
        number,
        excluded: false,
    });
    if let (Some(min), Some(max)) = (&min, &max) {
        let is_empty =
            min.number.is_above(&max.number) || max.excluded && !max.number.is_above(&min.number);
        if is_empty {
            problems.at(
                tokens,
                format!(
                    "cannot hold: nothing is from {} to {}; put the smaller number first",
                    min.number.text(),
                    if max.excluded { "below " } else { "" }.to_owned() + &max.number.text(),
                ),
            );
            return None;
        }
    }
    Some(Ends { min, max })
}

/// A number with or without a sign.
fn number(expr: &Expr) -> Option<Number> {
    match expr {
        Expr::Lit(ExprLit { lit, .. }) => literal(lit, ""),
        Expr::Unary(ExprUnary {
            op: UnOp::Neg(_),
            expr,
            ..
        }) => match &**expr {
            Expr::Lit(ExprLit { lit, .. }) => literal(lit, "-"),
            _ => None,
        },
        Expr::Paren(paren) => number(&paren.expr),
        Expr::Group(group) => number(&group.expr),
        _ => None,
    }
}

fn literal(lit: &Lit, sign: &str) -> Option<Number> {
    match lit {
        Lit::Int(int) => {
            let number: i128 = format!("{sign}{}", int.base10_digits()).parse().ok()?;
            // Larger numbers than any type but one has cannot be told apart.
            (number != i128::MAX).then_some(Number::Int(number))
        }
        Lit::Float(float) => {
            let text = format!("{sign}{}", float.base10_digits());
            let number: f64 = text.parse().ok()?;
            number.is_finite().then_some(Number::Float(number, text))
        }
        _ => None,
    }
}

fn check_len(len: &Ends, tokens: Option<&TokenStream>, problems: &mut Problems) -> bool {
    let ends = [&len.min, &len.max];
    for end in ends.into_iter().flatten() {
        let advice = match end.number {
            Number::Float(..) => "a length is a whole number; write `len(3..=6)`",
            Number::Int(number) if number < 0 => "a length is never below 0; write `len(3..=6)`",
            Number::Int(number) if usize::try_from(number).is_err() => "nothing is that long",
            Number::Int(_) => continue,
        };
        problems.at(tokens, advice);
        return false;
    }
    true
}

/// Says when no value of a type that is known by name can be in the range.
fn check_type(range: &Ends, tokens: &TokenStream, ty: &Type, problems: &mut Problems) {
    let Some((name, lowest, highest)) = limits(ty) else {
        return;
    };
    let above = |a: &Option<End>, b: i128| {
        a.as_ref()
            .is_some_and(|end| end.number.is_above(&Number::Int(b)))
    };
    let below = |a: &Option<End>, b: i128| {
        a.as_ref().is_some_and(|end| {
            Number::Int(b).is_above(&end.number)
                || end.excluded && !end.number.is_above(&Number::Int(b))
        })
    };
    if above(&range.min, highest) || below(&range.max, lowest) {
        problems.at(
            tokens,
            format!("cannot hold: `{name}` goes from {lowest} to {highest}; write a range within"),
        );
    }
}

/// The numbers that a type has, when it is known by name, or that what it holds has.
fn limits(ty: &Type) -> Option<(&'static str, i128, i128)> {
    let Type::Path(path) = innermost(ty) else {
        return None;
    };
    macro_rules! limits_of {
        ($($name:ident)*) => {
            $(if path.path.is_ident(stringify!($name)) {
                return Some((stringify!($name), $name::MIN.into(), $name::MAX.into()));
            })*
        };
    }
    limits_of! { i8 i16 i32 i64 u8 u16 u32 u64 }
    None
}

fn innermost(ty: &Type) -> &Type {
    let inner = ["Option", "Vec", "VecDeque"]
        .iter()
        .find_map(|outer| inner_of(ty, outer));
    match (inner, ty) {
        (Some(inner), _) => innermost(inner),
        (None, Type::Array(array)) => innermost(&array.elem),
        (None, Type::Group(group)) => innermost(&group.elem),
        _ => ty,
    }
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
