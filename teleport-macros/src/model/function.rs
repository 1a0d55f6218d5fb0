//! `#[controller]` and `#[push_handler]` on a free function.

use heck::ToUpperCamelCase as _;
use proc_macro2::TokenStream;
use quote::format_ident;
use syn::{FnArg, Ident, ItemFn, Signature};

use super::block::add_route_doc;
use super::route::RouteArgs;
use super::{Handler, Kind, Options, Route};
use crate::parse::Problems;

/// A function that is a route.
#[derive(Debug)]
pub(crate) struct Function {
    pub(crate) kind: Kind,
    pub(crate) options: Options,
    /// The function as it is written, without our attributes, with the route in its docs.
    pub(crate) item: ItemFn,
    /// The type that carries the route.
    pub(crate) marker: Ident,
    /// None when something is wrong with the function; it is noted.
    pub(crate) route: Option<Route>,
}

impl Function {
    pub(crate) fn check(
        kind: Kind,
        args: TokenStream,
        mut item: ItemFn,
        problems: &mut Problems,
    ) -> Self {
        let attribute = kind.attribute();
        let options = Options::parse(args, problems);
        if let Some(name) = &options.name {
            problems.at(
                name,
                format!(
                    "a function has a name of its own; write `#[route(name = {})]`",
                    name.token()
                ),
            );
        }
        let route_args = RouteArgs::take(&mut item.attrs, problems);
        let before = problems.count();
        if let Some(skip) = route_args.skip {
            problems.at_span(
                skip,
                format!("a function is a route only when it is registered; remove #[{attribute}] instead"),
            );
        }
        check_form(attribute, &item.sig, problems);
        let handler = Handler::check(kind, &item.sig, problems);
        let route = handler
            .filter(|_| problems.count() == before)
            .map(|handler| {
                Route::new(
                    &options,
                    None,
                    route_args,
                    &item.sig.ident,
                    &item.attrs,
                    handler,
                )
            });
        if let Some(route) = &route {
            add_route_doc(kind, route, &mut item.attrs);
        }
        let marker = format_ident!(
            "__Tp{}Route",
            item.sig.ident.to_string().to_upper_camel_case()
        );
        Self {
            kind,
            options,
            item,
            marker,
            route,
        }
    }
}

/// Checks that it is a free function, and one that is awaited.
fn check_form(attribute: &str, sig: &Signature, problems: &mut Problems) {
    if let Some(FnArg::Receiver(receiver)) = sig.inputs.first() {
        problems.at(
            receiver,
            format!("a method becomes a route with its block; write #[{attribute}] on the `impl`"),
        );
    }
    if let Some(constness) = &sig.constness {
        problems.at(
            constness,
            "a handler runs when a message comes; write `async fn`",
        );
    } else if sig.asyncness.is_none() {
        problems.at(
            sig.fn_token,
            "a function that is a route is awaited by its callers too; write `async fn`",
        );
    }
}
