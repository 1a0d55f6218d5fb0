//! The closures that a route is made of: one decodes the argument, one runs the handler.

use proc_macro2::TokenStream;
use quote::{ToTokens, quote, quote_spanned};
use syn::spanned::Spanned as _;
use syn::{Path, ReturnType};

use super::{Names, moved, private, shown_at};
use crate::model::{Kind, Route};

/// `call_handler(decode, run)`.
///
/// `callee` is the function to call and `this` the controller that goes in front of its arguments;
/// a free function has none.
pub(super) fn handler(
    kind: Kind,
    krate: &Path,
    route: &Route,
    callee: &TokenStream,
    this: Option<&TokenStream>,
) -> TokenStream {
    let place = shown_at(route.ident.span());
    let private = moved(place, private(krate));
    let handler = moved(place, Names::new(kind, &private).handler);
    let decode = decode(&private, route);
    let run = run(kind, &private, route, callee, this);
    quote_spanned!(place=> #handler(#decode, #run))
}

/// From the body's bytes to the argument.
fn decode(private: &TokenStream, route: &Route) -> TokenStream {
    let place = shown_at(route.ident.span());
    let Some(ty) = &route.handler.arg else {
        return quote_spanned!(place=> |_, _, _| #private::Ok(()));
    };
    let at_type = shown_at(ty.span());
    let private = moved(at_type, private.clone());
    let decoded = quote_spanned! {at_type=>
        #private::decode_arg!(#ty, __tp_codecs, __tp_codec, __tp_body)
    };
    quote_spanned!(place=> |__tp_codecs, __tp_codec, __tp_body| #decoded)
}

/// Binds and checks an argument that has parameters.
fn bound(private: &TokenStream, ty: &syn::Type) -> TokenStream {
    let at_type = shown_at(ty.span());
    let private = moved(at_type, private.clone());
    quote_spanned! {at_type=>
        if let #private::Err(__tp_error) =
            #private::bind_arg!(#ty, &mut __tp_arg, &mut __tp_ctx)
        {
            return (__tp_ctx, #private::Err(__tp_error));
        }
    }
}

/// From the context and the argument to the context and the outcome.
fn run(
    kind: Kind,
    private: &TokenStream,
    route: &Route,
    callee: &TokenStream,
    this: Option<&TokenStream>,
) -> TokenStream {
    let place = shown_at(route.ident.span());
    let handler = &route.handler;
    let Names {
        context, outcome, ..
    } = Names::new(kind, private);

    let context_used = handler.context.as_ref();
    let is_changed = handler.arg.is_some() || context_used.is_some_and(|context| context.mutable);
    let ctx_param = if is_changed {
        quote!(mut __tp_ctx)
    } else {
        quote!(__tp_ctx)
    };
    let ctx_arg = context_used.map(|context| match context.mutable {
        true => quote!(&mut __tp_ctx),
        false => quote!(&__tp_ctx),
    });
    let (arg_param, arg) = match &handler.arg {
        Some(ty) => (quote!(mut __tp_arg: #ty), Some(quote!(__tp_arg))),
        None => (quote!((): ()), None),
    };
    let bound = handler.arg.as_ref().map(|ty| bound(private, ty));
    let this_arg = this.map(|this| quote!(&#this));
    let args = this_arg.into_iter().chain(ctx_arg).chain(arg);
    let awaited = handler.is_async.then(|| quote!(.await));
    let call = moved(place, quote!((#(#args),*) #awaited));

    let at_output = match &handler.output {
        ReturnType::Type(_, ty) => shown_at(ty.to_token_stream().span()),
        ReturnType::Default => place,
    };
    let outcome = moved(at_output, quote!(#outcome(__tp_out)));
    let answer = quote_spanned! {place=>
        async move {
            #bound
            let __tp_out = #callee #call;
            (__tp_ctx, #outcome)
        }
    };
    // Each message holds the controller itself, since its future may outlive the registration.
    let answer = match this {
        Some(this) => quote_spanned! {place=>
            {
                let #this = #private::Clone::clone(&#this);
                #answer
            }
        },
        None => answer,
    };
    let params = quote_spanned!(place=> |#ctx_param: #context, #arg_param|);
    quote_spanned!(place=> move #params #answer)
}
