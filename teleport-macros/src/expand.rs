//! From checked models to tokens. Nothing here can fail.
//!
//! Generated code names everything through the runtime's `__private` module, by an absolute path.
//! Its tokens stand where the item they come from stands, so that what rustc finds wrong with a
//! handler (a future that is not `Send`, a type that is no body) is shown at the handler.

#[cfg(feature = "binder")]
mod bind;
mod block;
mod fallback;
mod function;
mod handler;
mod plugin;
#[cfg(test)]
mod tests;

use proc_macro2::{Group, Span, TokenStream, TokenTree};
use quote::quote;
use syn::Path;

#[cfg(feature = "binder")]
pub(crate) use self::bind::bind;
pub(crate) use self::block::block;
pub(crate) use self::function::function;
pub(crate) use self::plugin::plugin;
use crate::model::{Kind, OnCancel, Route, Run};

/// The runtime's door for generated code.
fn private(krate: &Path) -> TokenStream {
    quote!(#krate::__private)
}

/// A span that shows the given place and is generated code all the same.
fn shown_at(place: Span) -> Span {
    place.resolved_at(Span::call_site())
}

/// The same tokens, shown at the given place. What a name means does not change.
fn moved(place: Span, tokens: TokenStream) -> TokenStream {
    let mut moved_tokens = TokenStream::new();
    for mut token in tokens {
        let span = place.resolved_at(token.span());
        if let TokenTree::Group(group) = &token {
            token = Group::new(group.delimiter(), moved(place, group.stream())).into();
        }
        token.set_span(span);
        moved_tokens.extend([token]);
    }
    moved_tokens
}

/// The row of a route in the table.
fn row(private: &TokenStream, route: &Route) -> TokenStream {
    let Route {
        path,
        method_path,
        arg_text,
        reply_text,
        doc,
        ..
    } = route;
    let method = route.method();
    let spawn = route.run == Run::Spawn;
    let blocking = route.run == Run::Blocking;
    let age = match route.limits.age {
        None => quote!(#private::None),
        Some(age) => {
            let (secs, nanos) = (age.as_secs(), age.subsec_nanos());
            quote!(#private::Some(#private::Duration::new(#secs, #nanos)))
        }
    };
    let on_cancel = match route.limits.on_cancel {
        None => quote!(#private::None),
        Some(OnCancel::Abort) => quote!(#private::Some(#private::OnCancel::Abort)),
        Some(OnCancel::Notify) => quote!(#private::Some(#private::OnCancel::Notify)),
        Some(OnCancel::Finish) => quote!(#private::Some(#private::OnCancel::Finish)),
    };
    quote! {
        #private::RouteInfo {
            path: #path,
            method_path: #method_path,
            method: #method,
            arg: #arg_text,
            reply: #reply_text,
            doc: #doc,
            spawn: #spawn,
            blocking: #blocking,
            age: #age,
            on_cancel: #on_cancel,
        }
    }
}

/// The names under `__private` that differ between calls and pushes.
struct Names {
    controller: TokenStream,
    function: TokenStream,
    context: TokenStream,
    handler: TokenStream,
    outcome: TokenStream,
    register: TokenStream,
}

impl Names {
    fn new(kind: Kind, private: &TokenStream) -> Self {
        match kind {
            Kind::Call => Self {
                controller: quote!(#private::CallController),
                function: quote!(#private::CallFunction),
                context: quote!(#private::CallCtx),
                handler: quote!(#private::call_handler),
                outcome: quote!(#private::outcome!),
                register: quote!(call),
            },
            Kind::Push => Self {
                controller: quote!(#private::PushController),
                function: quote!(#private::PushFunction),
                context: quote!(#private::PushCtx),
                handler: quote!(#private::push_handler),
                outcome: quote!(#private::push_outcome!),
                register: quote!(push),
            },
        }
    }
}
