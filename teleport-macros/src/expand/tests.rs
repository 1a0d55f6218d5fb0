//! What the attributes turn into, to be read in `tests/snapshots`.
#![allow(clippy::unwrap_used, reason = "tests")]

use proc_macro2::TokenStream;
use quote::quote;

use crate::model::Kind;
use crate::{handlers, plugins};

fn assert_reads_as(name: &str, tokens: TokenStream) {
    let text = prettyplease::unparse(&syn::parse2(tokens).unwrap());
    insta::with_settings!({
        snapshot_path => "../../tests/snapshots",
        prepend_module_to_snapshot => false,
        omit_expression => true,
    }, {
        insta::assert_snapshot!(name, text);
    });
}

#[test]
fn a_block_gets_its_table_and_its_registration() {
    let item = quote! {
        impl Math {
            /// Adds the numbers up.
            async fn add(&self, ctx: &mut CallCtx, arg: Vec<i64>) -> Result<i64, Rerror> {
                tracing::info!(author = ctx.query("author"));
                Ok(arg.iter().sum())
            }

            #[route("/pi", blocking, age = "200ms", on_cancel = "notify")]
            fn pi(&self) -> f64 {
                3.14
            }

            #[route(skip)]
            fn new() -> Self {
                Self
            }
        }
    };
    assert_reads_as("block", handlers(Kind::Call, quote!(prefix = "/v1"), item));
}

#[test]
fn a_function_returns_a_future_that_carries_its_route() {
    let item = quote! {
        /// Takes a note.
        #[tracing::instrument]
        #[route(spawn)]
        pub async fn take_note(ctx: &mut PushCtx, (who, what): (String, String)) {
            println!("{who}: {what}");
        }
    };
    assert_reads_as("function", handlers(Kind::Push, TokenStream::new(), item));
}

#[test]
fn a_plugin_names_its_hooks() {
    let item = quote! {
        impl Plugin for IgnoreCase {
            fn name(&self) -> &str {
                "ignore_case"
            }

            async fn post_read_call_header(&self, ctx: &mut ReadCtx) -> Result<(), Rerror> {
                self.lower(ctx).await
            }

            fn post_read_push_header(&self, ctx: &mut ReadCtx) -> Result<(), Rerror> {
                self.lower_now(ctx)
            }
        }
    };
    assert_reads_as("plugin", plugins(TokenStream::new(), item));
}

#[cfg(feature = "binder")]
#[test]
fn a_struct_gets_its_checks() {
    let item = quote! {
        struct Order<T> {
            /// How many.
            #[param(range(1..=100))]
            amount: u32,
            #[param(len(3..7), regex = r"^\d+$", error(code = 7, message = "No"))]
            product: String,
            #[serde(skip)]
            #[param(query = "_from", nonzero)]
            customer: String,
            #[param(nested)]
            lines: Vec<T>,
            comment: String,
        }
    };
    assert_reads_as("bind", crate::binds(item));
}

#[test]
fn what_is_right_is_expanded_beside_what_is_wrong() {
    let item = quote! {
        impl Math {
            async fn add(&mut self) {}
            async fn sub(&self) {}
        }
    };
    let text = handlers(Kind::Call, quote!(nme = "Calc"), item).to_string();
    assert_eq!(text.matches("compile_error").count(), 2, "{text}");
    assert!(text.contains("\"/calc/sub\""), "{text}");
    assert!(!text.contains("\"/calc/add\""), "{text}");
}
