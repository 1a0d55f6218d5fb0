//! The grammar of attribute arguments, without their meaning.
//!
//! Every attribute of this crate names its arguments in a [`Grammar`] and reads them through
//! [`Args::parse`], so that a misspelt, doubled or half-written argument is told in the same words
//! everywhere. Problems are gathered, not returned, so that one build shows all of them.

use std::fmt::Display;

use proc_macro2::{Span, TokenStream, TokenTree};
use quote::ToTokens;
use syn::ext::IdentExt as _;
use syn::parse::{ParseStream, Parser as _};
use syn::{Ident, LitStr, Path, Token};

/// All that is wrong with one item.
#[derive(Debug, Default)]
pub(crate) struct Problems(Option<syn::Error>);

impl Problems {
    /// Notes a problem at the given tokens.
    pub(crate) fn at(&mut self, tokens: impl ToTokens, message: impl Display) {
        self.add(syn::Error::new_spanned(tokens, message));
    }

    /// Notes a problem at a span.
    pub(crate) fn at_span(&mut self, span: Span, message: impl Display) {
        self.add(syn::Error::new(span, message));
    }

    /// Notes a problem.
    pub(crate) fn add(&mut self, error: syn::Error) {
        match &mut self.0 {
            Some(all) => all.combine(error),
            None => self.0 = Some(error),
        }
    }

    /// How many problems there are.
    pub(crate) fn count(&self) -> usize {
        self.0.iter().flatten().count()
    }

    /// The problems as tokens that make rustc report each of them.
    pub(crate) fn to_compile_error(&self) -> TokenStream {
        self.0
            .as_ref()
            .map(syn::Error::to_compile_error)
            .unwrap_or_default()
    }
}

/// What follows the name of an argument.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Takes {
    /// Nothing: `skip`.
    Nothing,
    /// A string: `name = "Calc"`.
    Text,
    /// A path, bare or in a string: `crate = my::teleport`.
    Path,
    /// A string, or nothing: `query`, `query = "key"`.
    #[cfg(feature = "binder")]
    TextOrNothing,
    /// A string behind an equals sign or in parentheses: `regex = ".."`, `regex("..")`.
    #[cfg(feature = "binder")]
    TextEitherWay,
    /// Something in parentheses: `range(1..=100)`.
    #[cfg(feature = "binder")]
    Group,
    /// A number or a constant: `code = 400`, `code = codes::EMPTY`.
    #[cfg(feature = "binder")]
    Number,
}

/// One argument that an attribute knows.
#[derive(Debug)]
pub(crate) struct Rule {
    pub(crate) name: &'static str,
    pub(crate) takes: Takes,
    /// How it is written, for messages.
    pub(crate) example: &'static str,
}

/// The arguments that an attribute knows.
#[derive(Debug)]
pub(crate) struct Grammar {
    pub(crate) rules: &'static [Rule],
    /// How a string without a name is written, when the attribute takes one.
    pub(crate) literal: Option<&'static str>,
    /// Arguments of another attribute that are easily written here, with what to write instead.
    /// The name of a string without a name is blank.
    pub(crate) elsewhere: &'static [(&'static str, &'static str)],
}

impl Grammar {
    pub(crate) fn known(&self) -> String {
        let examples: Vec<String> = self
            .literal
            .iter()
            .chain(self.rules.iter().map(|rule| &rule.example))
            .map(|example| format!("`{example}`"))
            .collect();
        examples.join(", ")
    }

    fn nearest(&self, name: &str) -> Option<&'static Rule> {
        if self.elsewhere.iter().any(|(other, _)| *other == name) {
            return None;
        }
        let known = nearest(name, self.rules.iter().map(|rule| rule.name))?;
        self.rules.iter().find(|rule| rule.name == known)
    }

    fn unknown(&self, name: &str) -> String {
        if let Some((_, advice)) = self.elsewhere.iter().find(|(other, _)| *other == name) {
            return format!("`{name}` does not go here; {advice}");
        }
        match self.nearest(name) {
            Some(rule) => format!(
                "unknown argument `{name}`, did you mean `{}`? (known: {})",
                rule.name,
                self.known()
            ),
            None => format!("unknown argument `{name}` (known: {})", self.known()),
        }
    }
}

/// The arguments of one attribute, each known to its grammar and given once.
#[derive(Debug, Default)]
pub(crate) struct Args {
    literal: Option<LitStr>,
    list: Vec<Arg>,
    /// What was meant by the arguments that could not be read.
    wrong: Vec<&'static str>,
}

#[derive(Debug)]
struct Arg {
    name: &'static str,
    ident: Ident,
    value: Value,
}

#[derive(Debug)]
enum Value {
    Nothing,
    Text(LitStr),
    Path(Path),
    #[cfg(feature = "binder")]
    Tokens(TokenStream),
}

impl Args {
    /// Reads the arguments. What cannot be read is noted and left out.
    pub(crate) fn parse(tokens: TokenStream, grammar: &Grammar, problems: &mut Problems) -> Self {
        let mut args = Self::default();
        for part in split_at_commas(tokens, problems) {
            let read = |input: ParseStream<'_>| args.read(input, grammar);
            if let Err(error) = read.parse2(part) {
                problems.add(error);
            }
        }
        args
    }

    fn read(&mut self, input: ParseStream<'_>, grammar: &Grammar) -> syn::Result<()> {
        if input.peek(syn::Lit) {
            return self.read_literal(input, grammar);
        }
        let Ok(ident) = input.call(Ident::parse_any) else {
            let rest: TokenStream = input.parse()?;
            let message = format!("expected an argument (known: {})", grammar.known());
            return Err(syn::Error::new_spanned(rest, message));
        };
        let text = ident.unraw().to_string();
        let known = grammar.rules.iter().find(|rule| rule.name == text);
        // A misspelt argument is taken for what it most likely is, so that its lack is no new error.
        let Some(rule) = known.or_else(|| grammar.nearest(&text)) else {
            input.parse::<TokenStream>()?;
            return Err(syn::Error::new(ident.span(), grammar.unknown(&text)));
        };
        let value = read_value(input, &ident, rule);
        let twice = self.list.iter().any(|arg| arg.name == rule.name);
        let error = if known.is_none() {
            Some(syn::Error::new(ident.span(), grammar.unknown(&text)))
        } else if twice && value.is_ok() {
            let message = format!("`{text}` is given twice; remove one");
            Some(syn::Error::new(ident.span(), message))
        } else {
            None
        };
        let name = rule.name;
        match value {
            Ok(value) if !twice => self.list.push(Arg { name, ident, value }),
            Ok(_) => {}
            Err(wrong) => {
                self.wrong.push(name);
                return Err(error.unwrap_or(wrong));
            }
        }
        error.map_or(Ok(()), Err)
    }

    fn read_literal(&mut self, input: ParseStream<'_>, grammar: &Grammar) -> syn::Result<()> {
        let lit: syn::Lit = input.parse()?;
        input.parse::<TokenStream>()?;
        let syn::Lit::Str(text) = lit else {
            let message = format!("expected an argument (known: {})", grammar.known());
            return Err(syn::Error::new_spanned(lit, message));
        };
        if grammar.literal.is_none() {
            let message = match grammar.elsewhere.iter().find(|(other, _)| other.is_empty()) {
                Some((_, advice)) => format!("a string alone does not go here; {advice}"),
                None => format!(
                    "a string alone does not go here (known: {})",
                    grammar.known()
                ),
            };
            return Err(syn::Error::new_spanned(text, message));
        }
        if self.literal.is_some() {
            return Err(syn::Error::new_spanned(text, "a second path; remove one"));
        }
        self.literal = Some(text);
        Ok(())
    }

    /// The string without a name.
    pub(crate) fn literal(&self) -> Option<&LitStr> {
        self.literal.as_ref()
    }

    /// The name of an argument as it stands in the source, when it is given.
    pub(crate) fn flag(&self, name: &str) -> Option<&Ident> {
        self.find(name).map(|arg| &arg.ident)
    }

    /// The string of an argument.
    pub(crate) fn text(&self, name: &str) -> Option<&LitStr> {
        self.find(name).and_then(|arg| match &arg.value {
            Value::Text(text) => Some(text),
            _ => None,
        })
    }

    /// The path of an argument.
    pub(crate) fn path(&self, name: &str) -> Option<&Path> {
        self.find(name).and_then(|arg| match &arg.value {
            Value::Path(path) => Some(path),
            _ => None,
        })
    }

    /// What an argument has in its parentheses, or its number.
    #[cfg(feature = "binder")]
    pub(crate) fn tokens(&self, name: &str) -> Option<&TokenStream> {
        self.find(name).and_then(|arg| match &arg.value {
            Value::Tokens(tokens) => Some(tokens),
            _ => None,
        })
    }

    /// Whether an argument is there but cannot be used.
    pub(crate) fn is_wrong(&self, name: &str) -> bool {
        self.wrong.contains(&name)
    }

    /// Whether there is no argument at all.
    pub(crate) fn is_empty(&self) -> bool {
        self.literal.is_none() && self.list.is_empty()
    }

    fn find(&self, name: &str) -> Option<&Arg> {
        self.list.iter().find(|arg| arg.name == name)
    }
}

fn read_value(input: ParseStream<'_>, ident: &Ident, rule: &Rule) -> syn::Result<Value> {
    let wrong = |rest: TokenStream, what: &str| {
        let message = format!("{what}; write `{}`", rule.example);
        if rest.is_empty() {
            syn::Error::new(ident.span(), message)
        } else {
            syn::Error::new_spanned(rest, message)
        }
    };
    if rule.takes == Takes::Nothing {
        let rest: TokenStream = input.parse()?;
        if rest.is_empty() {
            return Ok(Value::Nothing);
        }
        return Err(wrong(rest, &format!("`{}` takes no value", rule.name)));
    }
    let missing = format!("`{}` wants a value", rule.name);
    #[cfg(feature = "binder")]
    if let Some(read) = read_in_parentheses(input, rule, &wrong) {
        return read;
    }
    if !input.peek(Token![=]) {
        input.parse::<TokenStream>()?;
        return Err(wrong(TokenStream::new(), &missing));
    }
    input.parse::<Token![=]>()?;
    if input.is_empty() {
        return Err(wrong(TokenStream::new(), &missing));
    }
    let rest: TokenStream = input.parse()?;
    match rule.takes {
        #[cfg(feature = "binder")]
        Takes::Number => syn::parse2::<Number>(rest.clone())
            .map(drop)
            .or_else(|error| {
                syn::parse2::<Path>(rest.clone())
                    .map(drop)
                    .map_err(|_| error)
            })
            .map(|()| Value::Tokens(rest.clone()))
            .map_err(|_| wrong(rest, &format!("`{}` wants a number", rule.name))),
        #[cfg(feature = "binder")]
        Takes::TextOrNothing | Takes::TextEitherWay | Takes::Group => read_text(rest, rule, &wrong),
        Takes::Text => read_text(rest, rule, &wrong),
        Takes::Path | Takes::Nothing => match syn::parse2::<LitStr>(rest.clone()) {
            Ok(text) => text.parse_with(Path::parse_mod_style),
            Err(_) => Path::parse_mod_style.parse2(rest.clone()),
        }
        .map(Value::Path)
        .map_err(|_| wrong(rest, &format!("`{}` wants a path", rule.name))),
    }
}

fn read_text(
    rest: TokenStream,
    rule: &Rule,
    wrong: &impl Fn(TokenStream, &str) -> syn::Error,
) -> syn::Result<Value> {
    syn::parse2(rest.clone())
        .map(Value::Text)
        .map_err(|_| wrong(rest, &format!("`{}` wants a string", rule.name)))
}

/// A number that fits into an error's code.
#[cfg(feature = "binder")]
struct Number;

#[cfg(feature = "binder")]
impl syn::parse::Parse for Number {
    fn parse(input: ParseStream<'_>) -> syn::Result<Self> {
        let minus: Option<Token![-]> = input.parse()?;
        let digits: syn::LitInt = input.parse()?;
        let sign = if minus.is_some() { "-" } else { "" };
        match format!("{sign}{}", digits.base10_digits()).parse::<i32>() {
            Ok(_) if matches!(digits.suffix(), "" | "i32") => Ok(Self),
            _ => Err(syn::Error::new_spanned(digits, "no code")),
        }
    }
}

/// What stands in parentheses behind a name that may have them, or behind it if it may be alone.
#[cfg(feature = "binder")]
fn read_in_parentheses(
    input: ParseStream<'_>,
    rule: &Rule,
    wrong: &impl Fn(TokenStream, &str) -> syn::Error,
) -> Option<syn::Result<Value>> {
    let has_group = input.peek(syn::token::Paren);
    match rule.takes {
        Takes::TextOrNothing if input.is_empty() => Some(Ok(Value::Nothing)),
        Takes::TextEitherWay | Takes::Group if has_group => Some(read_group(input, rule, wrong)),
        Takes::Group => Some(input.parse().and_then(|rest: TokenStream| {
            let what = format!("`{}` wants parentheses", rule.name);
            Err(wrong(rest, &what))
        })),
        _ => None,
    }
}

#[cfg(feature = "binder")]
fn read_group(
    input: ParseStream<'_>,
    rule: &Rule,
    wrong: &impl Fn(TokenStream, &str) -> syn::Error,
) -> syn::Result<Value> {
    let group: proc_macro2::Group = input.parse()?;
    let rest: TokenStream = input.parse()?;
    if !rest.is_empty() {
        return Err(wrong(
            rest,
            &format!("`{}` ends with its parentheses", rule.name),
        ));
    }
    if rule.takes == Takes::TextEitherWay {
        return read_text(group.stream(), rule, wrong);
    }
    if group.stream().is_empty() {
        let what = format!("`{}` wants something in its parentheses", rule.name);
        return Err(wrong(group.to_token_stream(), &what));
    }
    Ok(Value::Tokens(group.stream()))
}

/// The parts between commas, without an empty one at the end.
fn split_at_commas(tokens: TokenStream, problems: &mut Problems) -> Vec<TokenStream> {
    let mut parts = Vec::new();
    let mut part = TokenStream::new();
    for token in tokens {
        match token {
            TokenTree::Punct(comma) if comma.as_char() == ',' => {
                if part.is_empty() {
                    problems.at_span(comma.span(), "expected an argument in front of this comma");
                } else {
                    parts.push(std::mem::take(&mut part));
                }
            }
            token => part.extend([token]),
        }
    }
    if !part.is_empty() {
        parts.push(part);
    }
    parts
}

/// The known name that a misspelt one most likely stands for.
pub(crate) fn nearest<'a>(name: &str, known: impl IntoIterator<Item = &'a str>) -> Option<&'a str> {
    known
        .into_iter()
        .map(|known| (distance(name, known), known))
        .filter(|(distance, known)| {
            let allowed = (known.len() / 4).clamp(1, 4);
            *distance <= allowed || (name.len() >= 3 && known.starts_with(name))
        })
        .min_by_key(|(distance, _)| *distance)
        .map(|(_, known)| known)
}

/// How many letters to change, add, remove or swap to get from one word to the other.
fn distance(a: &str, b: &str) -> usize {
    let a: Vec<char> = a.chars().collect();
    let b: Vec<char> = b.chars().collect();
    let mut before: Vec<usize> = Vec::new();
    let mut last: Vec<usize> = (0..=b.len()).collect();
    let at = |row: &[usize], i: usize| row.get(i).copied().unwrap_or(usize::MAX - 1);
    for (i, x) in a.iter().enumerate() {
        let mut row = vec![i + 1];
        for (j, y) in b.iter().enumerate() {
            let change = at(&last, j) + usize::from(x != y);
            let mut best = change.min(at(&last, j + 1) + 1).min(at(&row, j) + 1);
            let swapped = i > 0 && j > 0 && a.get(i - 1) == Some(y) && b.get(j - 1) == Some(x);
            if swapped {
                best = best.min(at(&before, j - 1) + 1);
            }
            row.push(best);
        }
        before = std::mem::replace(&mut last, row);
    }
    at(&last, b.len())
}

#[cfg(test)]
#[allow(clippy::unwrap_used, reason = "tests")]
mod tests {
    use quote::quote;

    use super::*;

    const GRAMMAR: Grammar = Grammar {
        rules: &[
            Rule {
                name: "skip",
                takes: Takes::Nothing,
                example: "skip",
            },
            Rule {
                name: "spawn",
                takes: Takes::Nothing,
                example: "spawn",
            },
            Rule {
                name: "name",
                takes: Takes::Text,
                example: "name = \"..\"",
            },
            Rule {
                name: "crate",
                takes: Takes::Path,
                example: "crate = path",
            },
        ],
        literal: None,
        elsewhere: &[("", "use `name`"), ("prefix", "write it on the block")],
    };

    fn errors(tokens: TokenStream) -> Vec<String> {
        let mut problems = Problems::default();
        Args::parse(tokens, &GRAMMAR, &mut problems);
        problems
            .0
            .into_iter()
            .flatten()
            .map(|error| error.to_string())
            .collect()
    }

    #[test]
    fn every_problem_is_reported_at_once() {
        assert_eq!(
            errors(
                quote!(spwan, name, name = "a", name = "b", skip = true, prefix = "x", "y", 3,, crate = 4)
            ),
            [
                "expected an argument in front of this comma",
                "unknown argument `spwan`, did you mean `spawn`? \
                 (known: `skip`, `spawn`, `name = \"..\"`, `crate = path`)",
                "`name` wants a value; write `name = \"..\"`",
                "`name` is given twice; remove one",
                "`skip` takes no value; write `skip`",
                "`prefix` does not go here; write it on the block",
                "a string alone does not go here; use `name`",
                "expected an argument (known: `skip`, `spawn`, `name = \"..\"`, `crate = path`)",
                "`crate` wants a path; write `crate = path`",
            ]
        );
    }

    #[test]
    fn a_crate_is_named_bare_or_in_a_string() {
        for tokens in [quote!(crate = a::b), quote!(crate = "a::b",)] {
            let mut problems = Problems::default();
            let args = Args::parse(tokens, &GRAMMAR, &mut problems);
            assert_eq!(problems.count(), 0);
            let path = args.path("crate").unwrap();
            assert_eq!(path.to_token_stream().to_string(), "a :: b");
        }
    }

    #[test]
    fn nearest_takes_swaps_and_beginnings_but_no_strangers() {
        let known = ["skip", "spawn", "blocking", "post_read_call_header"];
        assert_eq!(nearest("spwan", known), Some("spawn"));
        assert_eq!(nearest("block", known), Some("blocking"));
        assert_eq!(
            nearest("post_read_cal_headers", known),
            Some("post_read_call_header")
        );
        assert_eq!(nearest("retries", known), None);
    }
}
