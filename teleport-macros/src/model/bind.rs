//! `#[derive(Bind)]`: the parameters of a struct.

mod ends;
mod pattern;
mod rules;

use proc_macro2::Span;
use quote::ToTokens as _;
use syn::ext::IdentExt as _;
use syn::{
    Attribute, Data, DeriveInput, Fields, GenericParam, Generics, Ident, LitStr, Meta, Path, Token,
    Type,
};

pub(crate) use self::ends::{Const, End, Ends, Number, limits};
pub(crate) use self::rules::Rules;
use super::text::{doc_text, type_text};
use super::{CRATE, krate};
use crate::parse::{Args, Grammar, Problems, Rule, Takes};
use crate::uri;

const BIND: Grammar = Grammar {
    rules: &[
        Rule {
            name: "error",
            takes: Takes::Path,
            example: "error = path",
        },
        CRATE,
    ],
    literal: None,
    elsewhere: &[
        ("range", "write `#[param(range(..))]` on the field"),
        ("len", "write `#[param(len(..))]` on the field"),
        ("nonzero", "write `#[param(nonzero)]` on the field"),
        ("regex", "write `#[param(regex = \"..\")]` on the field"),
        ("query", "write `#[param(query)]` on the field"),
        ("swap", "write `#[param(swap)]` on the field"),
    ],
};

const PARAM: Grammar = Grammar {
    rules: &[
        Rule {
            name: "range",
            takes: Takes::Group,
            example: "range(1..=100)",
        },
        Rule {
            name: "len",
            takes: Takes::Group,
            example: "len(3..=6)",
        },
        Rule {
            name: "nonzero",
            takes: Takes::Nothing,
            example: "nonzero",
        },
        Rule {
            name: "required",
            takes: Takes::Nothing,
            example: "required",
        },
        Rule {
            name: "regex",
            takes: Takes::TextEitherWay,
            example: "regex = r\"^\\w+$\"",
        },
        Rule {
            name: "nested",
            takes: Takes::Nothing,
            example: "nested",
        },
        Rule {
            name: "query",
            takes: Takes::TextOrNothing,
            example: "query = \"key\"",
        },
        Rule {
            name: "meta",
            takes: Takes::TextOrNothing,
            example: "meta = \"key\"",
        },
        Rule {
            name: "swap",
            takes: Takes::TextOrNothing,
            example: "swap = \"key\"",
        },
        Rule {
            name: "rename",
            takes: Takes::Text,
            example: "rename = \"name\"",
        },
        Rule {
            name: "desc",
            takes: Takes::Text,
            example: "desc = \"..\"",
        },
        Rule {
            name: "error",
            takes: Takes::Group,
            example: "error(code = 100_002, message = \"..\")",
        },
    ],
    literal: None,
    elsewhere: &[
        ("", "write `desc = \"..\"`, or `regex = \"..\"`"),
        ("regexp", "write `regex = \"..\"`"),
        ("rerr", "write `error(code = 100_002, message = \"..\")`"),
        ("stat", "write `error(code = 100_002, message = \"..\")`"),
        ("default", "write `#[serde(default)]`"),
        ("skip", "write `#[serde(skip)]`, or no `#[param]` at all"),
        ("crate", "write `#[bind(crate = path)]` on the struct"),
        ("code", "write `error(code = 100_002)`"),
        ("message", "write `error(message = \"..\")`"),
    ],
};

const ERROR: Grammar = Grammar {
    rules: &[
        Rule {
            name: "code",
            takes: Takes::Number,
            example: "code = 100_002",
        },
        Rule {
            name: "message",
            takes: Takes::Text,
            example: "message = \"..\"",
        },
    ],
    literal: None,
    elsewhere: &[("", "write `message = \"..\"`")],
};

/// A struct with its parameters.
#[derive(Debug)]
pub(crate) struct Bind {
    /// Where the runtime is found; None when nothing of it can be named.
    pub(crate) krate: Option<Path>,
    pub(crate) ident: Ident,
    pub(crate) generics: Generics,
    /// What makes the errors, if that is a function of the user's.
    pub(crate) error: Option<Path>,
    pub(crate) fields: Vec<Field>,
}

/// A parameter.
#[derive(Debug)]
pub(crate) struct Field {
    pub(crate) ident: Ident,
    pub(crate) ty: Type,
    /// As errors tell it.
    pub(crate) name: String,
    pub(crate) source: Option<(Source, String)>,
    pub(crate) rules: Rules,
    pub(crate) nested: Option<Nested>,
    pub(crate) code: Option<proc_macro2::TokenStream>,
    pub(crate) message: Option<LitStr>,
    pub(crate) desc: String,
    /// Whether the type depends on a parameter of the struct.
    pub(crate) is_generic: bool,
}

/// How the parameters of a nested value are named.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Nested {
    /// Behind the name of the field.
    Named,
    /// As they are: serde flattens the field.
    Flat,
}

/// What a parameter comes from, when that is not the body.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Source {
    Query,
    Meta,
    /// Whether the field is an option of what is there.
    Swap {
        option: bool,
    },
}

impl Source {
    pub(crate) const fn name(self) -> &'static str {
        match self {
            Self::Query => "query",
            Self::Meta => "meta",
            Self::Swap { .. } => "swap",
        }
    }

    /// As a person calls it.
    const fn called(self) -> &'static str {
        match self {
            Self::Query => "query",
            Self::Meta => "metadata",
            Self::Swap { .. } => "swap",
        }
    }
}

impl Bind {
    pub(crate) fn check(item: DeriveInput, problems: &mut Problems) -> Self {
        let args = attributes(&item.attrs, "bind", &BIND, problems).unwrap_or_default();
        let serde = Serde::read(&item.attrs);
        let DeriveInput {
            ident,
            generics,
            data,
            ..
        } = item;
        for param in &generics.params {
            if let GenericParam::Lifetime(lifetime) = param {
                problems.at(
                    lifetime,
                    "the argument of a handler owns its values; remove the lifetime, and write `String` for \
                     `&str` and `Vec<T>` for `&[T]`",
                );
            }
        }
        // Rules would find fault with borrowed values once more.
        let owns = generics.lifetimes().next().is_none();
        let fields = named_fields(data, &ident, problems);
        let fields = fields
            .into_iter()
            .filter(|_| owns)
            .filter_map(|field| Field::check(field, &generics, &serde, problems))
            .collect();
        Self {
            krate: krate(&args),
            error: args.path("error").cloned(),
            ident,
            generics,
            fields,
        }
    }
}

fn named_fields(data: Data, ident: &Ident, problems: &mut Problems) -> Vec<syn::Field> {
    let advice = match data {
        Data::Struct(data) => match data.fields {
            Fields::Named(fields) => return fields.named.into_iter().collect(),
            Fields::Unnamed(_) => "name its fields: parameters have names",
            Fields::Unit => "it has no parameters; remove the derive",
        },
        Data::Enum(_) => "put a struct around the enum, or implement `teleport::Bind` by hand",
        Data::Union(_) => "write a struct",
    };
    problems.at(
        ident,
        format!("#[derive(Bind)] goes on a struct with named fields; {advice}"),
    );
    Vec::new()
}

impl Field {
    /// The parameter that a field is; None if nothing is said of it, or something wrong.
    fn check(
        field: syn::Field,
        generics: &Generics,
        of_struct: &Serde,
        problems: &mut Problems,
    ) -> Option<Self> {
        let before = problems.count();
        let args = attributes(&field.attrs, "param", &PARAM, problems)?;
        let ident = field.ident?;
        let own_name = uri::snake(&ident.unraw().to_string());
        let serde = Serde::read(&field.attrs);
        let rules = Rules::check(&args, &field.ty, problems);
        let nested = args.flag("nested").map(|flag| {
            check_nested(flag, &args, problems);
            if serde.flattens {
                Nested::Flat
            } else {
                Nested::Named
            }
        });
        let source = source(&args, &field.ty, problems);
        let key = source
            .as_ref()
            .and_then(|(_, key)| key.as_ref().map(LitStr::value));
        let name = match args.text("rename") {
            Some(rename) => rename.value(),
            None => key.clone().unwrap_or_else(|| own_name.clone()),
        };
        let may_be_missing = of_struct.may_be_missing
            || serde.may_be_missing
            || rules::inner_of(&field.ty, "Option").is_some()
            || field.attrs.iter().any(|attr| attr.path().is_ident("prost"));
        if let Some((source, _)) = &source
            && !may_be_missing
        {
            problems.at(&ident, wanted_in_the_body(&ident, *source));
        }
        let (code, message) = error(&args, problems);
        if let Some(flag) = args
            .flag("error")
            .filter(|_| rules.is_empty() && source.is_none())
        {
            problems.at(
                flag,
                "there is nothing here that could be wrong; write a rule beside `error`, or remove it",
            );
        }
        (problems.count() == before).then_some(())?;
        Some(Self {
            is_generic: mentions(&field.ty, generics),
            source: source.map(|(source, _)| (source, key.unwrap_or(own_name))),
            desc: args
                .text("desc")
                .map_or_else(|| doc_text(&field.attrs), LitStr::value),
            ident,
            ty: field.ty,
            name,
            rules,
            nested,
            code,
            message,
        })
    }

    /// Where the value comes from, as `PARAMS` tells it.
    pub(crate) fn source_text(&self) -> String {
        match &self.source {
            None => "body".to_owned(),
            Some((source, key)) => format!("{} {key}", source.name()),
        }
    }
}

fn wanted_in_the_body(ident: &Ident, source: Source) -> String {
    format!(
        "`{ident}` comes from the {}, so a body without it must be read too; add \
         `#[serde(default)]`, or `#[serde(skip)]` if the body must not set it",
        source.called()
    )
}

/// `error(code = .., message = "..")`.
fn error(
    args: &Args,
    problems: &mut Problems,
) -> (Option<proc_macro2::TokenStream>, Option<LitStr>) {
    let Some(tokens) = args.tokens("error") else {
        return (None, None);
    };
    let inner = Args::parse(tokens.clone(), &ERROR, problems);
    (
        inner.tokens("code").cloned(),
        inner.text("message").cloned(),
    )
}

fn check_nested(flag: &Ident, args: &Args, problems: &mut Problems) {
    for other in ["range", "regex", "nonzero"] {
        if let Some(other) = args.flag(other) {
            problems.at(
                other,
                format!("`{other}` does not go with `nested`; write it on the fields in there"),
            );
        }
    }
    for source in ["query", "meta", "swap"] {
        if args.flag(source).is_some() {
            problems.at(
                flag,
                format!(
                    "`nested` does not go with `{source}`; write `{source}` on the fields in there"
                ),
            );
        }
    }
}

/// The source of a parameter and its key there, when it is given.
fn source(args: &Args, ty: &Type, problems: &mut Problems) -> Option<(Source, Option<LitStr>)> {
    let swap = Source::Swap {
        option: rules::inner_of(ty, "Option").is_some(),
    };
    let mut found: Option<(Source, &Ident)> = None;
    for source in [Source::Query, Source::Meta, swap] {
        let Some(flag) = args.flag(source.name()) else {
            continue;
        };
        if let Some((first, _)) = found {
            problems.at(
                flag,
                format!(
                    "a parameter has one source, and this one comes from the {} already; remove one",
                    first.called()
                ),
            );
        } else {
            found = Some((source, flag));
        }
    }
    found.map(|(source, _)| (source, args.text(source.name()).cloned()))
}

/// The arguments of all attributes of that name; None if there is no such attribute.
fn attributes(
    attrs: &[Attribute],
    name: &str,
    grammar: &Grammar,
    problems: &mut Problems,
) -> Option<Args> {
    let mut tokens: Option<proc_macro2::TokenStream> = None;
    for attr in attrs.iter().filter(|attr| attr.path().is_ident(name)) {
        match &attr.meta {
            Meta::List(list) if !list.tokens.is_empty() => {
                let all = tokens.get_or_insert_default();
                if !all.is_empty() {
                    all.extend(Token![,](Span::call_site()).to_token_stream());
                }
                all.extend(list.tokens.clone());
            }
            _ => {
                tokens.get_or_insert_default();
                problems.at(
                    attr,
                    format!(
                        "#[{name}] says nothing; remove it, or write {}",
                        grammar.known()
                    ),
                );
            }
        }
    }
    tokens.map(|tokens| Args::parse(tokens, grammar, problems))
}

/// What serde is told of a struct or a field.
struct Serde {
    /// Whether a body need not have it.
    may_be_missing: bool,
    flattens: bool,
}

impl Serde {
    fn read(attrs: &[Attribute]) -> Self {
        let mut serde = Self {
            may_be_missing: false,
            flattens: false,
        };
        for attr in attrs.iter().filter(|attr| attr.path().is_ident("serde")) {
            // What is wrong in there serde tells.
            let _ = attr.parse_nested_meta(|meta| {
                let is = |names: &[&str]| names.iter().any(|name| meta.path.is_ident(name));
                serde.may_be_missing |= is(&["default", "skip", "skip_deserializing"]);
                serde.flattens |= is(&["flatten"]);
                if !meta.input.is_empty() && !meta.input.peek(Token![,]) {
                    skip_value(meta.input)?;
                }
                Ok(())
            });
        }
        serde
    }
}

fn skip_value(input: syn::parse::ParseStream<'_>) -> syn::Result<()> {
    while !input.is_empty() && !input.peek(Token![,]) {
        input.parse::<proc_macro2::TokenTree>()?;
    }
    Ok(())
}

/// Whether a type names a parameter of the struct.
fn mentions(ty: &Type, generics: &Generics) -> bool {
    let text = type_text(ty);
    let mut words = text.split(|c: char| !c.is_alphanumeric() && c != '_');
    words.any(|word| generics.type_params().any(|param| param.ident == word))
}
