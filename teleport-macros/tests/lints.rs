//! The macros' output is silent under strict lints of the user's crate.
#![deny(
    warnings,
    missing_docs,
    missing_debug_implementations,
    missing_copy_implementations,
    elided_lifetimes_in_paths,
    explicit_outlives_requirements,
    keyword_idents,
    let_underscore_drop,
    macro_use_extern_crate,
    meta_variable_misuse,
    non_ascii_idents,
    redundant_imports,
    redundant_lifetimes,
    single_use_lifetimes,
    trivial_casts,
    trivial_numeric_casts,
    unit_bindings,
    unnameable_types,
    unreachable_pub,
    unused_extern_crates,
    unused_import_braces,
    unused_lifetimes,
    unused_macro_rules,
    unused_qualifications,
    unused_results,
    variant_size_differences,
    rust_2018_idioms,
    future_incompatible,
    clippy::all,
    clippy::pedantic,
    clippy::nursery,
    clippy::cargo,
    clippy::absolute_paths,
    clippy::allow_attributes,
    clippy::allow_attributes_without_reason,
    clippy::as_conversions,
    clippy::exhaustive_enums,
    clippy::exhaustive_structs,
    clippy::expect_used,
    clippy::indexing_slicing,
    clippy::let_underscore_untyped,
    clippy::missing_docs_in_private_items,
    clippy::panic,
    clippy::semicolon_outside_block,
    clippy::single_call_fn,
    clippy::unwrap_used,
    clippy::wildcard_imports
)]
#![forbid(unsafe_code, missing_abi)]
#![allow(
    unused_crate_dependencies,
    clippy::multiple_crate_versions,
    clippy::cargo_common_metadata,
    clippy::single_call_fn,
    clippy::unused_async,
    clippy::unused_self,
    clippy::unnecessary_wraps,
    clippy::missing_const_for_fn,
    clippy::needless_pass_by_ref_mut,
    clippy::redundant_pub_crate,
    clippy::trivially_copy_pass_by_ref,
    clippy::tests_outside_test_module,
    reason = "what handlers and tests look like"
)]

use serde::Deserialize;
use teleport::__private::{CallController, CallFunction, RoutedFn};
use teleport::{
    Bind, CallCtx, Plugin, PushCtx, ReadCtx, Rerror, WriteCtx, controller, plugin, push_handler,
};

/// Answers calls.
#[derive(Clone, Copy, Debug)]
#[non_exhaustive]
pub struct Math;

#[controller]
impl Math {
    /// Adds up.
    ///
    /// # Errors
    ///
    /// Never.
    pub async fn add(&self, _ctx: &mut CallCtx, arg: Vec<i64>) -> Result<i64, Rerror> {
        Ok(arg.iter().sum())
    }

    /// Does nothing.
    fn nothing(&self) {}

    /// Has been replaced.
    #[deprecated(note = "use add")]
    async fn old(&self) {}

    /// Computes long.
    #[route(spawn)]
    async fn long(&self, arg: (u8, u8)) -> u8 {
        arg.0 ^ arg.1
    }
}

/// The least of something.
const LEAST: i64 = 1;

/// With constants.
#[derive(Clone, Debug, Deserialize, Bind)]
#[non_exhaustive]
pub struct Limited<const N: usize> {
    /// How many.
    #[param(range(LEAST..=Self::MOST))]
    pub amount: i64,
    /// Which.
    #[param(len(N..))]
    pub names: Vec<String>,
}

impl<const N: usize> Limited<N> {
    /// The most of something.
    const MOST: i64 = 10;
}

/// With constants of other kinds.
#[derive(Clone, Debug, Deserialize, Bind)]
#[non_exhaustive]
pub struct Bounded {
    /// How many.
    #[param(range(LEAST..60 * 60), len(..size_of::<u64>()))]
    pub amounts: Vec<u8>,
}

/// Something to order.
#[derive(Clone, Debug, Deserialize, Bind)]
#[non_exhaustive]
pub struct Order {
    /// How many.
    #[param(range(-5..=1_000_000), nonzero)]
    pub amount: i64,
    /// What it weighs.
    #[param(range(0.001..1.5e300))]
    pub weight: f64,
    /// What it is.
    #[serde(default)]
    #[param(query = "_x", len(1..=100), regex = r"^\w+$", error(code = 100_002, message = "What?"))]
    pub product: String,
    /// Who wants it.
    #[serde(skip)]
    #[param(swap, required)]
    pub customer: Option<String>,
    /// More of it.
    #[serde(default)]
    #[param(nested)]
    pub more: Vec<Self>,
}

/// Takes an order.
///
/// # Errors
///
/// Never.
#[controller]
pub async fn buy(order: Order) -> Result<i64, Rerror> {
    Ok(order.amount)
}

/// Takes pushes.
#[derive(Clone, Copy, Debug)]
#[non_exhaustive]
pub struct Push;

#[push_handler]
impl Push {
    /// Takes a status.
    async fn status(&self, _ctx: &PushCtx, arg: String) -> Result<(), Rerror> {
        drop(arg);
        Ok(())
    }

    /// Takes nothing.
    fn nothing(&self) {}
}

/// Takes one away.
///
/// # Errors
///
/// Never.
#[controller]
pub async fn take_away(ctx: &mut CallCtx, arg: (i64, i64)) -> Result<i64, Rerror> {
    ctx.query("author")
        .map_or_else(|| Ok(0), |_| Ok(arg.0.saturating_sub(arg.1)))
}

/// Is handed a note.
#[push_handler]
async fn note(arg: String) {
    drop(arg);
}

/// Looks at messages.
#[derive(Clone, Copy, Debug)]
#[non_exhaustive]
pub struct Looks;

#[plugin]
impl Plugin for Looks {
    fn name(&self) -> &'static str {
        "looks"
    }

    async fn post_read_call_header(&self, _ctx: &mut ReadCtx) -> Result<(), Rerror> {
        note(String::new()).await;
        Ok(())
    }

    fn pre_write_call(&self, _ctx: &mut WriteCtx) -> Result<(), Rerror> {
        Ok(())
    }
}

/// What handlers look like in a module that is not exported.
mod inner {
    use teleport::controller;

    /// Is crate-visible.
    #[derive(Clone, Copy, Debug)]
    pub(crate) struct Inner;

    #[controller]
    impl Inner {
        /// Echoes.
        pub(crate) async fn echo(&self, arg: String) -> String {
            arg
        }
    }

    /// Echoes.
    #[controller]
    pub(crate) async fn echo(arg: String) -> String {
        arg
    }
}

/// The path of a function's route.
fn path<F, Args, M>(_: F) -> &'static str
where
    F: RoutedFn<Args, M>,
    M: CallFunction,
{
    M::INFO.path
}

#[test]
fn everything_is_used() {
    fn registers<T: CallController + Copy>(_: T) {}

    registers(Math);
    registers(inner::Inner);
    assert_eq!(path(take_away), "/take/away");
    assert_eq!(path(inner::echo), "/echo");
    assert_eq!(path(buy), "/buy");
    assert_eq!(Looks.name(), "looks");
    drop((Push, note(String::new())));
}
