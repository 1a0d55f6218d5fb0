//! The checks of a struct's parameters.

mod consts;

use proc_macro2::{Literal, TokenStream};
use quote::{format_ident, quote, quote_spanned};
use syn::spanned::Spanned as _;
use syn::{Ident, Path, parse_quote};

use self::consts::Place;
use super::{moved, private, shown_at};
use crate::model::{Bind, End, Ends, Field, Nested, Number, Source};

/// The implementation of the trait.
pub(crate) fn bind(bind: &Bind) -> TokenStream {
    let Some(krate) = &bind.krate else {
        return TokenStream::new();
    };
    let private = private(krate);
    let p = quote!(#private::binder);
    let Bind { ident, fields, .. } = bind;
    let rows = fields.iter().map(|field| row(&p, field));
    let patterns = fields.iter().filter_map(|field| pattern(&p, field));
    let checks: Vec<_> = fields.iter().map(|field| checks(&private, field)).collect();
    let inner_checks = fields.iter().map(|field| inner(&private, field, false));
    let is_checked_only = fields
        .iter()
        .all(|field| field.source.is_none() && field.nested.is_none());
    let look = consts::look(bind);
    let bound = if is_checked_only {
        quote!(<Self as #p::Bind>::check(self))
    } else {
        let set = fields.iter().map(|field| set(&private, field));
        let inner = fields.iter().map(|field| inner(&private, field, true));
        quote! {
            #look
            #(#set #checks #inner)*
            #private::Ok(())
        }
    };
    let source = if is_checked_only {
        quote!(_)
    } else {
        quote!(__tp_source)
    };
    let error = bind.error.as_ref().map(|path| error(&private, path));
    let shows = fields.iter().any(|field| field.rules.len.is_some());
    let shows = shows.then(|| quote!(use #p::PickShow as _;));
    let generics = bounded(bind, &p);
    let consts = consts::consts(&p, bind, &generics);
    let (impl_generics, ty_generics, where_clause) = generics.split_for_impl();
    quote! {
        const _: () = {
            #shows
            #(#patterns)*
            #consts

            #[automatically_derived]
            #[allow(deprecated)]
            impl #impl_generics #p::Bind for #ident #ty_generics #where_clause {
                const PARAMS: &'static [#p::Param] = &[#(#rows),*];

                fn bind(
                    &mut self,
                    #source: &mut #p::Source<'_>,
                ) -> #p::Result<(), #p::Invalid> {
                    #bound
                }

                fn check(&self) -> #p::Result<(), #p::Invalid> {
                    #look
                    #(#checks #inner_checks)*
                    #private::Ok(())
                }

                #error
            }
        };
    }
}

/// The method that makes the error, by the function that the struct names.
fn error(private: &TokenStream, path: &Path) -> TokenStream {
    quote! {
        fn error(
            __tp_handler: &#private::str,
            __tp_param: &#private::str,
            __tp_reason: &#private::str,
        ) -> #private::Option<#private::Rerror> {
            #private::Some(#path(__tp_handler, __tp_param, __tp_reason))
        }
    }
}

/// The struct's generics, with what the rules ask of types that depend on them.
fn bounded(bind: &Bind, p: &TokenStream) -> syn::Generics {
    let mut generics = bind.generics.clone();
    for field in bind.fields.iter().filter(|field| field.is_generic) {
        let rules = &field.rules;
        let wanted = [
            (rules.len.is_some(), "HasLength"),
            (rules.range.is_some(), "HasRange"),
            (rules.nonzero, "HasZero"),
            (rules.required, "MayBeMissing"),
            (rules.regex.is_some(), "HasText"),
            (field.nested.is_some(), "Bind"),
        ];
        for (_, name) in wanted.into_iter().filter(|(is_wanted, _)| *is_wanted) {
            let (ty, name) = (&field.ty, format_ident!("{name}"));
            let clause = generics.make_where_clause();
            clause.predicates.push(parse_quote!(#ty: #p::#name));
        }
    }
    generics
}

/// What is known of a parameter beside its value.
fn row(p: &TokenStream, field: &Field) -> TokenStream {
    let (name, rules, desc) = (&field.name, &field.rules.text, &field.desc);
    let source = field.source_text();
    quote!(#p::Param::__new(#name, #source, #rules, #desc))
}

fn pattern_name(field: &Ident) -> Ident {
    use syn::ext::IdentExt as _;

    format_ident!("__TP_PATTERN_{}", field.unraw())
}

fn pattern(p: &TokenStream, field: &Field) -> Option<TokenStream> {
    let (written, meant) = field.rules.regex.as_ref()?;
    let name = pattern_name(&field.ident);
    Some(quote! {
        #[allow(non_upper_case_globals)]
        static #name: #p::Pattern = #p::Pattern::new(#written, #meant);
    })
}

/// Takes the value from its source.
fn set(private: &TokenStream, field: &Field) -> Option<TokenStream> {
    let (source, key) = field.source.as_ref()?;
    let ident = &field.ident;
    let method = match source {
        Source::Query => "query",
        Source::Meta => "meta",
        Source::Swap { option: false } => "swap",
        Source::Swap { option: true } => "swap_option",
    };
    let place = shown_at(field.ty.span());
    let method = Ident::new(method, place);
    let p = quote_spanned!(place=> #private::binder);
    let p = moved(place, p);
    let call = quote_spanned!(place=> #p::Source::#method(__tp_source, #key, &mut self.#ident));
    Some(unless(private, field, &call))
}

/// The rules of the parameter itself, in the original's order.
fn checks(private: &TokenStream, field: &Field) -> TokenStream {
    let place = shown_at(field.ty.span());
    let p = moved(place, quote!(#private::binder));
    let private_here = moved(place, private.clone());
    let ident = &field.ident;
    let rules = &field.rules;
    let value = quote_spanned!(place=> &self.#ident);
    let mut calls = Vec::new();
    if let Some(len) = &rules.len {
        let size = |place, end: &Option<End>| size(&private_here, field, place, end.as_ref());
        let (min, max) = (size(Place::LenMin, &len.min), size(Place::LenMax, &len.max));
        calls.push(quote_spanned! {place=>
            #p::length(#value, #min, #max, || (&&#p::Show(#value)).__tp_show())
        });
    }
    if let Some(Ends { min, max }) = &rules.range {
        let bound = |place, end: &Option<End>| bound(&private_here, field, place, end.as_ref());
        let (min, max) = (bound(Place::RangeMin, min), bound(Place::RangeMax, max));
        calls.push(quote_spanned!(place=> #p::range(#value, #min, #max)));
    }
    if rules.required {
        calls.push(quote_spanned!(place=> #p::required(#value)));
    }
    if rules.nonzero {
        calls.push(quote_spanned!(place=> #p::nonzero(#value)));
    }
    if rules.regex.is_some() {
        let pattern = pattern_name(&field.ident);
        calls.push(quote_spanned!(place=> #p::regex(#value, &#pattern)));
    }
    calls
        .iter()
        .map(|call| unless(private, field, call))
        .collect()
}

/// The rules inside of a nested value.
fn inner(private: &TokenStream, field: &Field, binds: bool) -> Option<TokenStream> {
    let nested = field.nested?;
    let place = shown_at(field.ty.span());
    let p = moved(place, quote!(#private::binder));
    let ident = &field.ident;
    let call = if binds {
        quote_spanned!(place=> #p::Bind::bind(&mut self.#ident, __tp_source))
    } else {
        quote_spanned!(place=> #p::Bind::check(&self.#ident))
    };
    let name = &field.name;
    let invalid = match nested {
        Nested::Named => quote!(__tp_invalid.within(#name)),
        Nested::Flat => quote!(__tp_invalid),
    };
    Some(quote! {
        if let #private::Err(__tp_invalid) = #call {
            return #private::Err(#invalid);
        }
    })
}

/// Ends with the parameter's error if the call fails.
fn unless(private: &TokenStream, field: &Field, call: &TokenStream) -> TokenStream {
    let name = &field.name;
    let code = field.code.as_ref().map(|code| quote!(.with_code(#code)));
    let message = field
        .message
        .as_ref()
        .map(|text| quote!(.with_message(#text)));
    quote! {
        if let #private::Err(__tp_reason) = #call {
            return #private::Err(
                #private::binder::Invalid::new(#name, __tp_reason) #code #message
            );
        }
    }
}

fn size(private: &TokenStream, field: &Field, place: Place, end: Option<&End>) -> TokenStream {
    let Some(end) = end else {
        return quote!(#private::None);
    };
    let p = quote!(#private::binder);
    let size = consts::value(&p, field, place, end);
    if end.excluded {
        quote!(#private::Some(#p::below(#size)))
    } else {
        quote!(#private::Some(#size))
    }
}

fn bound(private: &TokenStream, field: &Field, place: Place, end: Option<&End>) -> TokenStream {
    let Some(end) = end else {
        return quote!(#private::None);
    };
    let p = quote!(#private::binder);
    let number = consts::value(&p, field, place, end);
    let text = match &end.number {
        Number::Const(_) => quote!(#private::None),
        Number::Int(_) | Number::Float(..) => {
            let text = Literal::string(&end.number.text());
            quote!(#private::Some(#text))
        }
    };
    let make = format_ident!("{}", if end.excluded { "excluded" } else { "included" });
    quote!(#private::Some(#p::Bound::#make(#number, #text)))
}
