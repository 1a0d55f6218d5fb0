//! Constants as the ends of ranges and lengths. rustc knows what they are, so it is rustc that
//! finds out whether the rules can hold.

use proc_macro2::{Literal, TokenStream};
use quote::{ToTokens as _, format_ident, quote, quote_spanned};
use syn::ext::IdentExt as _;
use syn::spanned::Spanned as _;
use syn::{Generics, Ident};

use super::{moved, shown_at};
use crate::model::{Bind, Const, End, Field, Number, limits};

/// Which end of which rule.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(super) enum Place {
    RangeMin,
    RangeMax,
    LenMin,
    LenMax,
}

impl Place {
    const fn name(self) -> &'static str {
        match self {
            Self::RangeMin => "RANGE_MIN",
            Self::RangeMax => "RANGE_MAX",
            Self::LenMin => "LEN_MIN",
            Self::LenMax => "LEN_MAX",
        }
    }

    fn ident(self, field: &Field) -> Ident {
        format_ident!("__TP_{}_{}", self.name(), field.ident.unraw())
    }

    const fn is_range(self) -> bool {
        matches!(self, Self::RangeMin | Self::RangeMax)
    }
}

/// The constants, in a trait of the struct's own, where they may name `Self` and type parameters.
/// Nothing if all ends are literals.
pub(super) fn consts(p: &TokenStream, bind: &Bind, generics: &Generics) -> Option<TokenStream> {
    let named: Vec<_> = bind.fields.iter().flat_map(|field| of(p, field)).collect();
    if named.is_empty() {
        return None;
    }
    let declared = named.iter().map(|(name, ty, _)| quote!(const #name: #ty;));
    let defined = named.iter().map(|(name, ty, value)| {
        quote! {
            const #name: #ty = #value;
        }
    });
    let checks = bind.fields.iter().map(|field| checks(p, field));
    let ident = &bind.ident;
    let (impl_generics, ty_generics, where_clause) = generics.split_for_impl();
    // Else the check is made where the struct is used, with its parameters known.
    let at_once = bind
        .generics
        .params
        .is_empty()
        .then(|| quote!(const _: () = <#ident as __TpEnds>::__TP_CAN_HOLD;));
    Some(quote! {
        #[allow(non_upper_case_globals)]
        trait __TpEnds {
            #(#declared)*
            const __TP_CAN_HOLD: ();
        }

        #[automatically_derived]
        #[allow(non_upper_case_globals, deprecated)]
        impl #impl_generics __TpEnds for #ident #ty_generics #where_clause {
            #(#defined)*
            const __TP_CAN_HOLD: () = { #(#checks)* };
        }

        #at_once
    })
}

/// What makes rustc look at the constants of a struct with parameters.
pub(super) fn look(bind: &Bind) -> Option<TokenStream> {
    let has_const = |field: &Field| {
        let rules = &field.rules;
        [&rules.range, &rules.len]
            .into_iter()
            .flatten()
            .any(|ends| ends.has_const())
    };
    let is_due = !bind.generics.params.is_empty() && bind.fields.iter().any(has_const);
    is_due.then(|| quote!(const { <Self as __TpEnds>::__TP_CAN_HOLD };))
}

fn ends(field: &Field) -> impl Iterator<Item = (Place, &End)> {
    let (range, len) = (field.rules.range.as_ref(), field.rules.len.as_ref());
    [
        (Place::RangeMin, range.and_then(|ends| ends.min.as_ref())),
        (Place::RangeMax, range.and_then(|ends| ends.max.as_ref())),
        (Place::LenMin, len.and_then(|ends| ends.min.as_ref())),
        (Place::LenMax, len.and_then(|ends| ends.max.as_ref())),
    ]
    .into_iter()
    .filter_map(|(place, end)| Some((place, end?)))
}

fn as_const(end: &End) -> Option<&Const> {
    match &end.number {
        Number::Const(constant) => Some(constant),
        Number::Int(_) | Number::Float(..) => None,
    }
}

/// Name, type and value of each constant of a field.
fn of(p: &TokenStream, field: &Field) -> Vec<(Ident, TokenStream, TokenStream)> {
    let found = ends(field).filter_map(|(place, end)| Some((place, as_const(end)?)));
    found
        .map(|(place, constant)| {
            let expr = &constant.expr;
            let at = shown_at(expr.span());
            let p = moved(at, p.clone());
            let (ty, value) = if place.is_range() {
                let value = match constant.of_literals {
                    Some(ty) => {
                        let ty = Ident::new(ty, at);
                        quote_spanned!(at=> #p::RangeEnd::<#p::primitive::#ty>(#expr).number())
                    }
                    None => quote_spanned!(at=> #p::RangeEnd(#expr).number()),
                };
                (quote!(#p::Number), value)
            } else {
                (quote!(#p::primitive::usize), expr.clone())
            };
            (place.ident(field), ty, value)
        })
        .collect()
}

/// The end as a number of the runtime, or for a length as a number of items.
pub(super) fn value(p: &TokenStream, field: &Field, place: Place, end: &End) -> TokenStream {
    let literal = match &end.number {
        Number::Const(_) => {
            let name = place.ident(field);
            return quote!(<Self as __TpEnds>::#name);
        }
        Number::Int(number) if place.is_range() => {
            let literal = Literal::i128_unsuffixed(*number);
            quote!(Int(#literal))
        }
        Number::Int(number) => return Literal::i128_unsuffixed(*number).to_token_stream(),
        Number::Float(number, _) => {
            let literal = Literal::f64_unsuffixed(*number);
            quote!(Double(#literal))
        }
    };
    quote!(#p::Number::#literal)
}

/// The checks of a field's constants.
fn checks(p: &TokenStream, field: &Field) -> TokenStream {
    let mut checks = TokenStream::new();
    let rules = [
        (&field.rules.range, Place::RangeMin, Place::RangeMax),
        (&field.rules.len, Place::LenMin, Place::LenMax),
    ];
    for (ends, min_place, max_place) in rules {
        let Some(ends) = ends.as_ref().filter(|ends| ends.has_const()) else {
            continue;
        };
        let min = ends.min.as_ref().map(|end| (min_place, end));
        let max = ends.max.as_ref().map(|end| (max_place, end));
        let consts = [min, max].into_iter().flatten();
        let consts = consts.filter_map(|(place, end)| Some((place, end, as_const(end)?)));
        let consts: Vec<_> = consts.collect();
        let Some((.., first)) = consts.first() else {
            continue;
        };
        let at = shown_at(first.expr.span());
        let mut assert = |holds: TokenStream, text: String| {
            let p = moved(at, p.clone());
            let holds = moved(at, holds);
            checks.extend(quote_spanned!(at=> #p::assert_holds(#holds, #text);));
        };
        let at_end = |place, end| value(p, field, place, end);
        if min_place.is_range() {
            for (place, end, _) in &consts {
                let number = at_end(*place, end);
                let text = format!("`{}` is no number (NaN)", end.number.text());
                assert(quote!(#p::is_number(#number)), text);
            }
        }
        let in_order = if min_place.is_range() {
            quote!(#p::in_order)
        } else {
            quote!(#p::lengths_in_order)
        };
        if let (Some((_, min)), Some((_, max))) = (min, max) {
            let (from, to) = (at_end(min_place, min), at_end(max_place, max));
            let excluded = max.excluded;
            let below = if excluded { "below " } else { "" };
            let text = format!(
                "cannot hold: nothing is from `{}` to {below}`{}`; put the smaller number first",
                min.number.text(),
                max.number.text(),
            );
            assert(quote!(#in_order(#from, #to, #excluded)), text);
        } else if let (false, Some((place, max))) = (min_place.is_range(), max) {
            let to = at_end(place, max);
            let excluded = max.excluded;
            let text = format!(
                "cannot hold: nothing is shorter than `{}`",
                max.number.text()
            );
            assert(quote!(#in_order(0, #to, #excluded)), text);
        }
        let limits = limits(&field.ty).filter(|_| min_place.is_range());
        if let Some((name, lowest, highest)) = limits {
            let text = format!(
                "cannot hold: `{name}` goes from {lowest} to {highest}; write a range within"
            );
            let (lowest, highest) = (
                Literal::i128_unsuffixed(lowest),
                Literal::i128_unsuffixed(highest),
            );
            if let Some((place, min)) = min {
                let from = at_end(place, min);
                let holds = quote!(#in_order(#from, #p::Number::Int(#highest), false));
                assert(holds, text.clone());
            }
            if let Some((place, max)) = max {
                let (to, excluded) = (at_end(place, max), max.excluded);
                let holds = quote!(#in_order(#p::Number::Int(#lowest), #to, #excluded));
                assert(holds, text);
            }
        }
    }
    checks
}
