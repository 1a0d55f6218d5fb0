//! The ends of ranges and lengths: numbers, and constants whose numbers rustc knows.

use std::cmp::Ordering;

use proc_macro2::{TokenStream, TokenTree};
use quote::ToTokens as _;
use syn::{Expr, ExprLit, ExprUnary, Lit, RangeLimits, Type, UnOp};

use super::rules::inner_of;
use crate::model::text::type_text;
use crate::parse::Problems;

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
    /// What rustc knows: a constant, or something to work out.
    Const(Const),
}

/// An expression whose number is known when the struct is compiled.
#[derive(Clone, Debug)]
pub(crate) struct Const {
    pub(crate) expr: TokenStream,
    /// The type that its literals have, when there is nothing else in it.
    pub(crate) of_literals: Option<&'static str>,
}

impl Ends {
    pub(crate) fn has_const(&self) -> bool {
        let mut ends = [&self.min, &self.max].into_iter().flatten();
        ends.any(|end| matches!(end.number, Number::Const(_)))
    }
}

impl Number {
    /// Without separators and suffix.
    pub(crate) fn text(&self) -> String {
        match self {
            Self::Int(number) => number.to_string(),
            Self::Float(_, text) => text.clone(),
            Self::Const(constant) => type_text(&constant.expr),
        }
    }

    /// How it stands to another; None while one of the two is not known.
    #[allow(clippy::cast_precision_loss, reason = "to compare with a float")]
    fn compare(&self, other: &Self) -> Option<Ordering> {
        match (self, other) {
            (Self::Int(a), Self::Int(b)) => Some(a.cmp(b)),
            (Self::Int(a), Self::Float(b, _)) => (*a as f64).partial_cmp(b),
            (Self::Float(a, _), Self::Int(b)) => a.partial_cmp(&(*b as f64)),
            (Self::Float(a, _), Self::Float(b, _)) => a.partial_cmp(b),
            (Self::Const(_), _) | (_, Self::Const(_)) => None,
        }
    }
}

/// Reads a range, and says what is wrong with it.
pub(super) fn ends(tokens: &TokenStream, rule: &str, problems: &mut Problems) -> Option<Ends> {
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
        let is_empty = match min.number.compare(&max.number) {
            Some(Ordering::Greater) => true,
            Some(Ordering::Equal) => max.excluded,
            Some(Ordering::Less) | None => false,
        };
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

/// A number with or without a sign, or a constant; None for what can be neither.
fn number(expr: &Expr) -> Option<Number> {
    match expr {
        Expr::Lit(ExprLit { lit, .. }) => literal(lit, ""),
        Expr::Unary(ExprUnary {
            op: UnOp::Neg(_),
            expr: inner,
            ..
        }) => match &**inner {
            Expr::Lit(ExprLit { lit, .. }) => literal(lit, "-"),
            _ => constant(expr),
        },
        Expr::Paren(paren) => number(&paren.expr),
        Expr::Group(group) => number(&group.expr),
        _ => constant(expr),
    }
}

/// An expression that may be a number.
fn constant(expr: &Expr) -> Option<Number> {
    let is_possible = matches!(
        expr,
        Expr::Path(_)
            | Expr::Unary(_)
            | Expr::Binary(_)
            | Expr::Cast(_)
            | Expr::Call(_)
            | Expr::MethodCall(_)
            | Expr::Field(_)
            | Expr::Index(_)
            | Expr::If(_)
            | Expr::Match(_)
            | Expr::Block(_)
            | Expr::Const(_)
            | Expr::Macro(_)
    );
    is_possible.then(|| {
        let expr = expr.to_token_stream();
        let of_literals = match literals(expr.clone()) {
            Literals::None | Literals::WithOthers => None,
            Literals::Ints => Some("i128"),
            Literals::Floats => Some("f64"),
        };
        Number::Const(Const { expr, of_literals })
    })
}

/// The literals in an expression.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
enum Literals {
    None,
    Ints,
    Floats,
    /// Beside names, or with types of their own.
    WithOthers,
}

fn literals(tokens: TokenStream) -> Literals {
    let kind = |token| match token {
        TokenTree::Group(group) => literals(group.stream()),
        TokenTree::Ident(_) => Literals::WithOthers,
        TokenTree::Punct(_) => Literals::None,
        TokenTree::Literal(literal) => match Lit::new(literal) {
            Lit::Int(int) if int.suffix().is_empty() => Literals::Ints,
            Lit::Float(float) if float.suffix().is_empty() => Literals::Floats,
            _ => Literals::WithOthers,
        },
    };
    tokens.into_iter().map(kind).max().unwrap_or(Literals::None)
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

pub(super) fn check_len(len: &Ends, tokens: Option<&TokenStream>, problems: &mut Problems) -> bool {
    let ends = [&len.min, &len.max];
    for end in ends.into_iter().flatten() {
        let advice = match end.number {
            Number::Float(..) => "a length is a whole number; write `len(3..=6)`",
            Number::Int(number) if number < 0 => "a length is never below 0; write `len(3..=6)`",
            Number::Int(number) if usize::try_from(number).is_err() => "nothing is that long",
            Number::Int(_) | Number::Const(_) => continue,
        };
        problems.at(tokens, advice);
        return false;
    }
    true
}

/// Says when no value of a type that is known by name can be in the range.
pub(super) fn check_type(range: &Ends, tokens: &TokenStream, ty: &Type, problems: &mut Problems) {
    let Some((name, lowest, highest)) = limits(ty) else {
        return;
    };
    let order = |end: &Option<End>, number| end.as_ref()?.number.compare(&Number::Int(number));
    let is_excluded = range.max.as_ref().is_some_and(|end| end.excluded);
    let is_above = order(&range.min, highest) == Some(Ordering::Greater);
    let is_below = match order(&range.max, lowest) {
        Some(Ordering::Less) => true,
        Some(Ordering::Equal) => is_excluded,
        Some(Ordering::Greater) | None => false,
    };
    if is_above || is_below {
        problems.at(
            tokens,
            format!("cannot hold: `{name}` goes from {lowest} to {highest}; write a range within"),
        );
    }
}

/// The numbers that a type has, when it is known by name, or that what it holds has.
pub(crate) fn limits(ty: &Type) -> Option<(&'static str, i128, i128)> {
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
