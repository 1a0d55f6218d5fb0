//! What the attributes mean: checked models of the items they stand on.
//!
//! All checks are made here. A model is always complete enough to be expanded: what is wrong is
//! noted as a problem, left out of the model, and nothing later can fail.

#[cfg(feature = "binder")]
mod bind;
mod block;
mod function;
mod limits;
mod plugin;
mod route;
mod signature;
mod text;

use proc_macro2::TokenStream;
use syn::{LitStr, Path, parse_quote};

#[cfg(feature = "binder")]
pub(crate) use self::bind::{Bind, Const, End, Ends, Field, Nested, Number, Source, limits};
pub(crate) use self::block::{Block, row_names};
pub(crate) use self::function::Function;
pub(crate) use self::limits::{Limits, OnCancel};
pub(crate) use self::plugin::{Body, Hook, Plugin};
pub(crate) use self::route::{Route, Run};
pub(crate) use self::signature::{Handler, borrows};
use crate::parse::{Args, Grammar, Problems, Rule, Takes};
use crate::uri::{self, Underscores};

/// Which messages the handlers of an item answer.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Kind {
    /// `#[controller]`
    Call,
    /// `#[push_handler]`
    Push,
}

impl Kind {
    pub(crate) const fn attribute(self) -> &'static str {
        match self {
            Self::Call => "controller",
            Self::Push => "push_handler",
        }
    }

    /// The type byte's name.
    pub(crate) const fn mtype(self) -> &'static str {
        match self {
            Self::Call => "CALL",
            Self::Push => "PUSH",
        }
    }

    pub(crate) const fn context(self) -> &'static str {
        match self {
            Self::Call => "CallCtx",
            Self::Push => "PushCtx",
        }
    }
}

const CRATE: Rule = Rule {
    name: "crate",
    takes: Takes::Path,
    example: "crate = path",
};

const HANDLERS: Grammar = Grammar {
    rules: &[
        Rule {
            name: "name",
            takes: Takes::Text,
            example: "name = \"Calc\"",
        },
        Rule {
            name: "prefix",
            takes: Takes::Text,
            example: "prefix = \"/v1\"",
        },
        Rule {
            name: "underscores",
            takes: Takes::Text,
            example: "underscores = \"keep\"",
        },
        limits::AGE,
        limits::ON_CANCEL,
        CRATE,
    ],
    literal: None,
    elsewhere: &[
        (
            "",
            "write `#[route(\"/path\")]` on the handler, or `prefix = \"/v1\"` here",
        ),
        ("skip", "write `#[route(skip)]` on the method"),
        ("spawn", "write `#[route(spawn)]` on the handler"),
        ("blocking", "write `#[route(blocking)]` on the handler"),
    ],
};

const PLUGIN: Grammar = Grammar {
    rules: &[CRATE],
    literal: None,
    elsewhere: &[],
};

/// The arguments of `#[controller]` and `#[push_handler]`.
#[derive(Debug)]
pub(crate) struct Options {
    /// Where the runtime is found; None when that was said wrongly, so that nothing of it can be
    /// named without a follow-up error.
    pub(crate) krate: Option<Path>,
    name: Option<LitStr>,
    prefix: String,
    underscores: Underscores,
    /// What holds for each handler that says nothing else.
    limits: Limits,
}

impl Options {
    pub(crate) fn parse(tokens: TokenStream, problems: &mut Problems) -> Self {
        let args = Args::parse(tokens, &HANDLERS, problems);
        let limits = Limits::read(&args, problems);
        let mut checked = |name: &str, check: fn(&str) -> Result<(), String>| {
            let text = args.text(name)?;
            match check(&text.value()) {
                Ok(()) => Some(text.clone()),
                Err(message) => {
                    problems.at(text, message);
                    None
                }
            }
        };
        let name = checked("name", uri::check_name);
        let prefix = checked("prefix", uri::check_prefix);
        let underscores = match args.text("underscores") {
            None => Underscores::Split,
            Some(text) => match text.value().as_str() {
                "keep" => Underscores::Keep,
                "split" => Underscores::Split,
                _ => {
                    problems.at(text, "write `\"keep\"` or `\"split\"` (the default)");
                    Underscores::Split
                }
            },
        };
        Self {
            krate: krate(&args),
            name,
            prefix: prefix.map(|prefix| prefix.value()).unwrap_or_default(),
            underscores,
            limits,
        }
    }

    /// The path of a name behind the prefix.
    fn path(&self, names: &[&str]) -> String {
        let mapped: Vec<String> = names
            .iter()
            .map(|name| uri::to_uri_path(name, self.underscores))
            .collect();
        let parts = ["/", &self.prefix].into_iter();
        let parts: Vec<&str> = parts.chain(mapped.iter().map(String::as_str)).collect();
        uri::join(&parts)
    }
}

/// The runtime's path by the arguments of an attribute; None when it is said wrongly.
fn krate(args: &Args) -> Option<Path> {
    match args.path("crate") {
        Some(path) => Some(path.clone()),
        None => (!args.is_wrong("crate")).then(|| parse_quote!(::teleport)),
    }
}
