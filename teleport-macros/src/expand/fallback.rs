//! What stands in for a function that is wrong, so that its uses are right.

use proc_macro2::TokenStream;
use quote::quote;
use syn::{FnArg, Path, ReturnType, Type};

use super::function::{marker, params, split_attrs};
use super::{Names, private};
use crate::item;
use crate::model::{Function, borrows};

/// As many parameters as a function with a route can have.
const MOST_PARAMS: usize = 2;

/// A function that can be registered and called, and never ends.
pub(super) fn function(krate: &Path, function: &Function) -> TokenStream {
    let item = &function.item;
    if matches!(item.sig.inputs.first(), Some(FnArg::Receiver(_))) {
        return item::function(item);
    }
    let private = private(krate);
    let (outer_attrs, _) = split_attrs(&item.attrs);
    let (vis, ident) = (&item.vis, &item.sig.ident);
    let (generics, _, where_clause) = item.sig.generics.split_for_impl();
    let params = params(&item.sig);
    let params = params
        .iter()
        .take(MOST_PARAMS)
        .map(|(name, input)| (name, &input.ty));
    let params = params.map(|(name, ty)| quote!(#name: #ty));
    let output = match &item.sig.output {
        ReturnType::Type(_, ty) if !matches!(**ty, Type::ImplTrait(_)) && !borrows(ty) => {
            quote!(#ty)
        }
        _ => quote!(()),
    };
    let name = &function.marker;
    let marker = marker(&private, function, &[]);
    let names = Names::new(function.kind, &private);
    let trait_name = &names.function;
    quote! {
        #(#outer_attrs)*
        #[allow(unused_variables)]
        #vis fn #ident #generics (#(#params),*) -> #private::Routed<
            impl #private::Future<Output = #output> + #private::Send,
            #name,
        >
        #where_clause
        {
            #private::Routed::new(#private::pending())
        }

        #marker

        impl #trait_name for #name {
            const INFO: #private::RouteInfo = #private::RouteInfo {
                path: "",
                method_path: "",
                method: "",
                arg: "",
                reply: "",
                doc: "",
                spawn: false,
                blocking: false,
                age: #private::None,
                on_cancel: #private::None,
            };

            fn register(_: &mut #private::Registrar<'_>) {}
        }
    }
}
