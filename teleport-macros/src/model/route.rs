//! One route: its path, its row in the table, and the `#[route(..)]` that shapes them.

use proc_macro2::Span;
use syn::ext::IdentExt as _;
use syn::{Attribute, Ident, LitStr, Meta, ReturnType};

use super::signature::Handler;
use super::{Limits, Options, limits, text};
use crate::parse::{Args, Grammar, Problems, Rule, Takes};
use crate::uri;

/// The arguments of `#[route(..)]`.
const ROUTE: Grammar = Grammar {
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
            name: "blocking",
            takes: Takes::Nothing,
            example: "blocking",
        },
        Rule {
            name: "name",
            takes: Takes::Text,
            example: "name = \"add\"",
        },
        limits::AGE,
        limits::ON_CANCEL,
    ],
    literal: Some("\"/path\""),
    elsewhere: &[
        (
            "prefix",
            "a prefix belongs to the whole block: `#[controller(prefix = \"/v1\")]`",
        ),
        ("path", "write the path alone: `#[route(\"/path\")]`"),
        (
            "underscores",
            "it belongs to the whole block: `#[controller(underscores = \"keep\")]`",
        ),
        (
            "crate",
            "it belongs to the whole block: `#[controller(crate = path)]`",
        ),
    ],
};

/// Where a handler runs.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) enum Run {
    /// Polled where the message was read, moved to a task of its own when it waits.
    #[default]
    InPlace,
    /// In a task of its own from the start.
    Spawn,
    /// On a thread that may block.
    Blocking,
}

/// What `#[route(..)]` says about one handler.
#[derive(Debug, Default)]
pub(super) struct RouteArgs {
    pub(super) skip: Option<Span>,
    run: Run,
    name: Option<String>,
    literal: Option<String>,
    limits: Limits,
}

impl RouteArgs {
    /// Takes the route attributes out of the list and reads them.
    pub(super) fn take(attrs: &mut Vec<Attribute>, problems: &mut Problems) -> Self {
        let mut taken = Self::default();
        let mut seen = false;
        attrs.retain(|attr| {
            if hides_route(attr) {
                problems.at(
                    attr,
                    "`#[route]` is read before `cfg_attr`; write two methods, each with its own \
                     `#[cfg(..)]` and `#[route(..)]`",
                );
                return false;
            }
            if !is_route(attr) {
                return true;
            }
            if std::mem::replace(&mut seen, true) {
                problems.at(
                    attr,
                    "a second `#[route]`; write all arguments in one: `#[route(\"/path\", spawn)]`",
                );
            } else {
                taken = Self::read(attr, problems);
            }
            false
        });
        taken
    }

    fn read(attr: &Attribute, problems: &mut Problems) -> Self {
        let before = problems.count();
        let args = match &attr.meta {
            Meta::List(list) => Args::parse(list.tokens.clone(), &ROUTE, problems),
            Meta::Path(_) => Args::default(),
            Meta::NameValue(meta) => {
                problems.at(meta, "write `#[route(\"/path\")]`");
                return Self::default();
            }
        };
        if args.is_empty() && problems.count() == before {
            problems.at(
                attr,
                "`#[route]` says nothing: every method with `&self` is a route; write \
                 `#[route(skip)]`, `#[route(\"/path\")]`, `#[route(spawn)]` or `#[route(blocking)]`",
            );
        }
        let skip = args.flag("skip").map(Ident::span);
        let others = ["spawn", "blocking", "name", "age", "on_cancel"].map(|name| args.flag(name));
        let literal = args.literal();
        if let Some(skip) = skip {
            if literal.is_some() || others.iter().any(Option::is_some) {
                problems.at_span(
                    skip,
                    "`skip` stands alone; remove it or the other arguments",
                );
            }
            return Self {
                skip: Some(skip),
                ..Self::default()
            };
        }
        let run = match (args.flag("spawn"), args.flag("blocking")) {
            (None, None) => Run::InPlace,
            (Some(_), None) => Run::Spawn,
            (None, Some(_)) => Run::Blocking,
            (Some(_), Some(blocking)) => {
                problems.at(
                    blocking,
                    "a handler runs in one place: write `spawn` for long work in async code, \
                     `blocking` for work that blocks its thread",
                );
                Run::Blocking
            }
        };
        let name = args.text("name");
        if let (Some(_), Some(name)) = (literal, name) {
            problems.at(name, "the path is written out; remove `name`");
        }
        Self {
            skip: None,
            limits: Limits::read(&args, problems),
            run,
            name: name.and_then(|name| {
                checked(name, problems, |name| {
                    uri::check_name(name).map(|()| name.to_owned())
                })
            }),
            literal: literal.and_then(|path| checked(path, problems, uri::literal_path)),
        }
    }
}

fn checked(
    text: &LitStr,
    problems: &mut Problems,
    check: impl Fn(&str) -> Result<String, String>,
) -> Option<String> {
    check(&text.value())
        .map_err(|message| problems.at(text, message))
        .ok()
}

fn is_route(attr: &Attribute) -> bool {
    let path = attr.path();
    path.segments.len() <= 2
        && path
            .segments
            .last()
            .is_some_and(|segment| segment.ident == "route")
}

fn hides_route(attr: &Attribute) -> bool {
    let Meta::List(list) = &attr.meta else {
        return false;
    };
    let read = syn::punctuated::Punctuated::<Meta, syn::Token![,]>::parse_terminated;
    list.path.is_ident("cfg_attr")
        && list.parse_args_with(read).is_ok_and(|metas| {
            metas
                .iter()
                .skip(1)
                .any(|meta| meta.path().is_ident("route"))
        })
}

/// One route, ready to be written down.
#[derive(Debug)]
pub(crate) struct Route {
    /// The method or function as it is named in the source.
    pub(crate) ident: Ident,
    /// Whole path, as it is registered.
    pub(crate) path: String,
    /// The path of the method alone.
    pub(crate) method_path: String,
    pub(crate) arg_text: String,
    pub(crate) reply_text: String,
    pub(crate) doc: String,
    pub(crate) run: Run,
    pub(crate) limits: Limits,
    /// The `#[cfg(..)]` of the item.
    pub(crate) cfgs: Vec<Attribute>,
    pub(crate) handler: Handler,
}

impl Route {
    /// The route of a handler in a block of the given name, or of a function by itself.
    pub(super) fn new(
        options: &Options,
        block: Option<&str>,
        args: RouteArgs,
        ident: &Ident,
        attrs: &[Attribute],
        handler: Handler,
    ) -> Self {
        let method = args.name.unwrap_or_else(|| ident.unraw().to_string());
        let (path, method_path) = match args.literal {
            Some(path) => (path.clone(), path),
            None => {
                let names: Vec<&str> = block.into_iter().chain([method.as_str()]).collect();
                (
                    options.path(&names),
                    uri::to_uri_path(&method, options.underscores),
                )
            }
        };
        Self {
            ident: ident.clone(),
            path,
            method_path,
            arg_text: handler
                .arg
                .as_ref()
                .map(text::type_text)
                .unwrap_or_default(),
            reply_text: match &handler.output {
                ReturnType::Default => "()".to_owned(),
                ReturnType::Type(_, ty) => text::type_text(ty),
            },
            doc: text::doc_text(attrs),
            run: args.run,
            limits: args.limits.or(options.limits),
            cfgs: attrs
                .iter()
                .filter(|attr| attr.path().is_ident("cfg"))
                .cloned()
                .collect(),
            handler,
        }
    }

    /// The name of the method or function, without a raw marker.
    pub(crate) fn method(&self) -> String {
        self.ident.unraw().to_string()
    }
}
