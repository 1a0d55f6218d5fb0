//! The hooks of a plugin, as the trait has them.

use heck::ToShoutySnakeCase as _;
use proc_macro2::TokenStream;
use quote::{ToTokens, format_ident, quote, quote_spanned};
use syn::{
    Attribute, FnArg, ImplItem, ItemImpl, Lifetime, ReturnType, Signature, Type, parse_quote,
};

use super::{moved, private, shown_at};
use crate::item;
use crate::model::{Body, Hook, Plugin};

/// The block with its hooks spelt out and the list of them.
pub(crate) fn plugin(plugin: &Plugin) -> TokenStream {
    let Plugin { krate, item, hooks } = plugin;
    let Some(krate) = krate else {
        return item::block(item);
    };
    let private = private(krate);
    let mut item: ItemImpl = item.clone();
    for each in hooks {
        item.items.push(ImplItem::Verbatim(hook(&private, each)));
    }
    item.items
        .push(ImplItem::Verbatim(hook_list(&private, hooks)));
    item::block(&item)
}

fn hook(private: &TokenStream, hook: &Hook) -> TokenStream {
    let method = &hook.method;
    if hook.body == Body::AsWritten {
        return item::method(method);
    }
    let attrs = &method.attrs;
    let body = item::body(&method.block);
    let place = shown_at(method.sig.ident.span());
    let output = match &method.sig.output {
        ReturnType::Default => quote!(()),
        ReturnType::Type(_, ty) => ty.to_token_stream(),
    };
    let sig = lent(private, &method.sig);
    let private = moved(place, private.clone());
    // The async block ends with what the user wrote; the first lines say its type, which rustc does
    // not look for in the bound of `wait`.
    let body = match hook.body {
        Body::Wait => quote_spanned! {place=>
            #private::Hook::wait(async move {
                if let #private::Some(__tp_ret) = #private::None::<#output> {
                    return __tp_ret;
                }
                #body
            })
        },
        Body::Ready | Body::AsWritten => quote_spanned! {place=>
            #private::Hook::ready((|| -> #output #body)())
        },
    };
    quote! {
        #(#attrs)*
        #sig {
            #body
        }
    }
}

/// The signature with one lifetime for all that is lent, which the returned hook keeps.
fn lent(private: &TokenStream, sig: &Signature) -> Signature {
    let mut sig = sig.clone();
    let lifetime: Lifetime = parse_quote!('__tp);
    sig.asyncness = None;
    sig.generics.params.push(parse_quote!(#lifetime));
    for input in &mut sig.inputs {
        match input {
            FnArg::Receiver(receiver) => *receiver = parse_quote!(&#lifetime self),
            FnArg::Typed(input) => {
                if let Type::Reference(reference) = &mut *input.ty {
                    reference.lifetime = Some(lifetime.clone());
                }
            }
        }
    }
    sig.output = parse_quote!(-> #private::Hook<#lifetime>);
    sig
}

/// `fn hooks`: which hooks there are.
fn hook_list(private: &TokenStream, hooks: &[Hook]) -> TokenStream {
    let named = |hook: &Hook| {
        let name = format_ident!(
            "{}",
            hook.method.sig.ident.to_string().to_shouty_snake_case()
        );
        quote!(#private::Hooks::#name)
    };
    let cfgs = |hook: &Hook| -> Vec<Attribute> {
        let cfgs = hook.method.attrs.iter();
        cfgs.filter(|attr| attr.path().is_ident("cfg"))
            .cloned()
            .collect()
    };
    let (plain, conditional): (Vec<&Hook>, Vec<&Hook>) =
        hooks.iter().partition(|hook| cfgs(hook).is_empty());
    let list = plain
        .into_iter()
        .map(named)
        .reduce(|list, name| quote!(#list.union(#name)))
        .unwrap_or_else(|| quote!(#private::Hooks::NONE));
    let body = if conditional.is_empty() {
        list
    } else {
        let more = conditional.into_iter().map(|hook| {
            let (cfgs, name) = (cfgs(hook), named(hook));
            quote!(#(#cfgs)* let __tp_hooks = __tp_hooks.union(#name);)
        });
        quote! {
            let __tp_hooks = #list;
            #(#more)*
            __tp_hooks
        }
    };
    quote! {
        fn hooks(&self) -> #private::Hooks {
            #body
        }
    }
}
