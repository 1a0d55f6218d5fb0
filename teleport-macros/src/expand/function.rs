//! A free function whose type carries its route.

use proc_macro2::TokenStream;
use quote::{ToTokens, format_ident, quote, quote_spanned};
use syn::{Attribute, FnArg, Ident, ItemFn, Lifetime, Pat, PatType, ReturnType, Signature, Type};

use super::handler::handler;
use super::{Names, fallback, moved, private, row, shown_at};
use crate::item;
use crate::model::{Function, Route};

/// The function, returning a future that names its route, and that route.
pub(crate) fn function(function: &Function) -> TokenStream {
    let Function {
        kind,
        options,
        item,
        marker: name,
        route,
    } = function;
    let Some(krate) = &options.krate else {
        return item::function(item);
    };
    let Some(route) = route else {
        return fallback::function(krate, function);
    };
    let private = private(krate);
    let outer = outer(item, route, name, &private);
    let marker = marker(&private, function, &route.cfgs);
    let names = Names::new(*kind, &private);
    let Names {
        function, register, ..
    } = &names;
    let cfgs = &route.cfgs;
    let row = row(&private, route);
    let handler = handler(*kind, krate, route, &route.ident.to_token_stream(), None);
    quote! {
        #outer

        #marker

        #(#cfgs)*
        #[automatically_derived]
        #[allow(deprecated)]
        impl #function for #name {
            const INFO: #private::RouteInfo = #row;

            fn register(__tp_r: &mut #private::Registrar<'_>) {
                __tp_r.#register(&Self::INFO, #handler);
            }
        }
    }
}

/// The type that carries the route. It has no value.
pub(super) fn marker(
    private: &TokenStream,
    function: &Function,
    cfgs: &[Attribute],
) -> TokenStream {
    let (vis, name) = (&function.item.vis, &function.marker);
    quote! {
        #(#cfgs)*
        #[doc(hidden)]
        #[non_exhaustive]
        #[derive(#private::Debug)]
        #vis enum #name {}
    }
}

/// A function of the same name and parameters around the one that the user wrote.
fn outer(item: &ItemFn, route: &Route, marker: &Ident, private: &TokenStream) -> TokenStream {
    let place = shown_at(item.sig.ident.span());
    let (outer_attrs, inner_attrs) = split_attrs(&item.attrs);
    let ItemFn {
        vis, sig, block, ..
    } = item;
    let ident = &sig.ident;
    let params = params(sig);
    let names: Vec<&Ident> = params.iter().map(|(name, _)| name).collect();
    let types = params.iter().map(|(_, input)| &input.ty);
    let output = match &sig.output {
        ReturnType::Default => quote!(()),
        ReturnType::Type(_, ty) => ty.to_token_stream(),
    };
    // An elided lifetime is not captured by `impl Future` before edition 2024 unless it is named.
    let lifetime = route.handler.context.as_ref().map(|_| {
        let lifetime = params.iter().find_map(|(_, input)| lifetime_of(&input.ty));
        let lifetime = lifetime
            .cloned()
            .unwrap_or_else(|| Lifetime::new("'_", place));
        quote!(+ #lifetime)
    });
    let (future, send) = (quote!(#private::Future), quote!(#private::Send));
    let (future, send) = (moved(place, future), moved(place, send));
    let future = quote_spanned!(place=> impl #future<Output = #output> + #send #lifetime);
    let (generics, _, where_clause) = sig.generics.split_for_impl();
    let body = item::body(block);
    let routed = moved(place, quote!(#private::Routed));
    let outer_body = quote_spanned! {place=>
        {
            #(#inner_attrs)*
            #sig #body

            #routed::new(#ident(#(#names),*))
        }
    };
    quote! {
        #(#outer_attrs)*
        #vis fn #ident #generics (#(#names: #types),*) -> #routed<#future, #marker>
        #where_clause
        #outer_body
    }
}

/// The attributes of the outer function and those of the inner one. Lint levels count for both,
/// but for `expect`, which only the user's code can fulfil.
pub(super) fn split_attrs(attrs: &[Attribute]) -> (Vec<&Attribute>, Vec<&Attribute>) {
    let is = |attr: &Attribute, names: &[&str]| names.iter().any(|name| attr.path().is_ident(name));
    let outer = [
        "doc",
        "cfg",
        "deprecated",
        "allow",
        "warn",
        "deny",
        "forbid",
    ];
    let outer_only = ["doc", "cfg", "deprecated"];
    (
        attrs.iter().filter(|attr| is(attr, &outer)).collect(),
        attrs.iter().filter(|attr| !is(attr, &outer_only)).collect(),
    )
}

/// The parameters with the names that the outer function gives them.
pub(super) fn params(sig: &Signature) -> Vec<(Ident, &PatType)> {
    sig.inputs
        .iter()
        .filter_map(|input| match input {
            FnArg::Typed(input) => Some(input),
            FnArg::Receiver(_) => None,
        })
        .enumerate()
        .map(|(i, input)| (param_name(&sig.ident, i, input), input))
        .collect()
}

/// The parameter's own name, unless it is a pattern or hides the function.
fn param_name(function: &Ident, i: usize, input: &PatType) -> Ident {
    match &*input.pat {
        Pat::Ident(pat) if pat.subpat.is_none() && pat.ident != *function => pat.ident.clone(),
        _ => format_ident!("__tp_arg_{i}"),
    }
}

fn lifetime_of(ty: &Type) -> Option<&Lifetime> {
    match ty {
        Type::Reference(reference) => reference.lifetime.as_ref(),
        Type::Group(group) => lifetime_of(&group.elem),
        Type::Paren(paren) => lifetime_of(&paren.elem),
        _ => None,
    }
}
