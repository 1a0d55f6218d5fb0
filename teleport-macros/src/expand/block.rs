//! The table and the registration of an impl block.

use proc_macro2::TokenStream;
use quote::{format_ident, quote};
use syn::{Ident, Path};

use super::handler::handler;
use super::{Names, moved, private, row, shown_at};
use crate::item;
use crate::model::{Block, Kind, Route, row_names};

/// The block as it is written, and its routes beside it.
pub(crate) fn block(block: &Block) -> TokenStream {
    let Block {
        kind,
        options,
        item,
        name,
        routes,
        usable,
    } = block;
    let Some(krate) = options.krate.as_ref().filter(|_| *usable) else {
        return item::block(item);
    };
    let private = private(krate);
    let Names { controller, .. } = Names::new(*kind, &private);
    let rows: Vec<_> = row_names(routes)
        .into_iter()
        .map(|name| format_ident!("{name}"))
        .collect();
    let tables = routes.iter().zip(&rows).map(|(route, row_name)| {
        let cfgs = &route.cfgs;
        let row = row(&private, route);
        quote! {
            #(#cfgs)*
            const #row_name: #private::RouteInfo = #row;
        }
    });
    let listed = routes.iter().zip(&rows).map(|(route, row_name)| {
        let cfgs = &route.cfgs;
        quote!(#(#cfgs)* #row_name)
    });
    let registered = routes
        .iter()
        .zip(&rows)
        .map(|(route, row_name)| registered(*kind, krate, route, row_name));
    let (generics, _, where_clause) = item.generics.split_for_impl();
    let self_ty = &item.self_ty;
    let cfgs = item.attrs.iter().filter(|attr| attr.path().is_ident("cfg"));
    let written = item::block(item);
    quote! {
        #written

        #(#cfgs)*
        const _: () = {
            #(#tables)*

            #[automatically_derived]
            #[allow(deprecated)]
            impl #generics #controller for #self_ty #where_clause {
                const NAME: &'static #private::str = #name;
                const ROUTES: &'static [#private::RouteInfo] = &[#(#listed),*];

                fn register(self: #private::Arc<Self>, __tp_r: &mut #private::Registrar<'_>) {
                    #(#registered)*
                }
            }
        };
    }
}

/// The statement that registers a route.
fn registered(kind: Kind, krate: &Path, route: &Route, row_name: &Ident) -> TokenStream {
    let private = private(krate);
    let Names { register, .. } = Names::new(kind, &private);
    let this = quote!(__tp_this);
    let cfgs = &route.cfgs;
    let ident = &route.ident;
    let callee = moved(shown_at(ident.span()), quote!(Self::#ident));
    let handler = handler(kind, krate, route, &callee, Some(&this));
    quote! {
        #(#cfgs)*
        __tp_r.#register(&#row_name, {
            let #this = #private::Clone::clone(&self);
            #handler
        });
    }
}
