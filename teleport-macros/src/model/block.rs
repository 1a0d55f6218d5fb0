//! `#[controller]` and `#[push_handler]` on an impl block.

use std::collections::HashMap;

use proc_macro2::TokenStream;
use quote::ToTokens as _;
use syn::ext::IdentExt as _;
use syn::{Attribute, GenericParam, ImplItem, ImplItemFn, ItemImpl, parse_quote};

use super::route::RouteArgs;
use super::signature::{check_receiver, find_borrow, last_segment, ungrouped};
use super::{Handler, Kind, Options, Route};
use crate::parse::Problems;

/// An impl block whose methods are routes.
#[derive(Debug)]
pub(crate) struct Block {
    pub(crate) kind: Kind,
    pub(crate) options: Options,
    /// The block as it goes on: without our attributes, with the routes in its docs.
    pub(crate) item: ItemImpl,
    pub(crate) name: String,
    pub(crate) routes: Vec<Route>,
    /// Whether the block can be registered at all; what is wrong with it is noted.
    pub(crate) usable: bool,
}

impl Block {
    pub(crate) fn check(
        kind: Kind,
        args: TokenStream,
        mut item: ItemImpl,
        problems: &mut Problems,
    ) -> Self {
        let options = Options::parse(args, problems);
        let before = problems.count();
        let name = check_header(kind, &options, &item, problems);
        let usable = problems.count() == before;
        let mut routes: Vec<Route> = Vec::new();
        for member in &mut item.items {
            if let ImplItem::Fn(method) = member
                && let Some(route) = check_method(kind, &options, &name, method, problems)
                && route_is_new(kind, &routes, &route, problems)
            {
                routes.push(route);
            }
        }
        Self {
            kind,
            options,
            item,
            name,
            routes,
            usable,
        }
    }
}

/// Checks what stands in front of the brace and gives the name of the block.
fn check_header(kind: Kind, options: &Options, item: &ItemImpl, problems: &mut Problems) -> String {
    let attribute = kind.attribute();
    if let Some((path, _)) = &item.trait_ {
        problems.at(
            path,
            format!(
                "#[{attribute}] goes on the type's own block; write `impl {}` without the trait",
                super::text::type_text(&item.self_ty)
            ),
        );
    }
    for param in &item.generics.params {
        if let GenericParam::Lifetime(param) = param {
            problems.at(
                &param.lifetime,
                "handlers live as long as their peer, so their type borrows nothing; remove the \
                 lifetime and own the data",
            );
        }
    }
    if item.generics.lifetimes().next().is_none()
        && let Some(borrow) = find_borrow(&item.self_ty)
    {
        problems.at_span(
            borrow.span(),
            "handlers live as long as their peer, so their type borrows nothing; own the data",
        );
    }
    if let Some(name) = &options.name {
        return name.value();
    }
    match last_segment(ungrouped(&item.self_ty)) {
        Some(segment) => segment.ident.unraw().to_string(),
        None => {
            problems.at(
                &item.self_ty,
                format!("this type has no name to make paths of; write `#[{attribute}(name = \"Calc\")]`"),
            );
            String::new()
        }
    }
}

/// Reads one method and writes its route into its docs. None for what is no route.
fn check_method(
    kind: Kind,
    options: &Options,
    block: &str,
    method: &mut ImplItemFn,
    problems: &mut Problems,
) -> Option<Route> {
    let before = problems.count();
    let args = RouteArgs::take(&mut method.attrs, problems);
    if args.skip.is_some() {
        return None;
    }
    let Some(receiver) = method.sig.receiver() else {
        let ident = &method.sig.ident;
        problems.at(
            ident,
            format!(
                "`{ident}` has no `&self`, so it cannot be a route; add `&self`, or `#[route(skip)]` to \
                 leave it out"
            ),
        );
        return None;
    };
    check_receiver("handlers", receiver, problems);
    let handler = Handler::check(kind, &method.sig, problems)?;
    if problems.count() > before {
        return None;
    }
    let route = Route::new(
        options,
        Some(block),
        args,
        &method.sig.ident,
        &method.attrs,
        handler,
    );
    add_route_doc(kind, &route, &mut method.attrs);
    Some(route)
}

/// Tells two methods of one path. Methods under different `#[cfg]` may share one.
fn route_is_new(kind: Kind, routes: &[Route], route: &Route, problems: &mut Problems) -> bool {
    let cfg_text = |route: &Route| -> Vec<String> {
        let tokens = route.cfgs.iter().map(|cfg| cfg.to_token_stream());
        tokens.map(|tokens| tokens.to_string()).collect()
    };
    let other = routes
        .iter()
        .find(|other| other.path == route.path && cfg_text(other) == cfg_text(route));
    if let Some(other) = other {
        problems.at(
            &route.ident,
            format!(
                "`{}` and `{}` are both {} `{}`; give one of them a path of its own: \
                 `#[route(\"/path\")]`",
                other.method(),
                route.method(),
                kind.mtype(),
                route.path
            ),
        );
    }
    other.is_none()
}

/// Adds the line that says the route.
pub(super) fn add_route_doc(kind: Kind, route: &Route, attrs: &mut Vec<Attribute>) {
    let line = format!(" Route: {} `{}`", kind.mtype(), route.path);
    if attrs.iter().any(|attr| attr.path().is_ident("doc")) {
        attrs.push(parse_quote!(#[doc = ""]));
    }
    attrs.push(parse_quote!(#[doc = #line]));
}

/// The names of the table's rows, one for each route: the method in capitals, with a number behind
/// it when an earlier row has taken it.
pub(crate) fn row_names(routes: &[Route]) -> Vec<String> {
    use heck::ToShoutySnakeCase as _;

    let mut taken: HashMap<String, usize> = HashMap::new();
    routes
        .iter()
        .map(|route| {
            let name = format!("__TP_{}", route.method().to_shouty_snake_case());
            let count = taken.entry(name.clone()).or_default();
            *count += 1;
            if *count == 1 {
                name
            } else {
                format!("{name}_{count}")
            }
        })
        .collect()
}
