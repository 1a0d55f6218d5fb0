//! The macros' output in a crate of edition 2021, where `impl Future` captures no elided lifetime.
//! It is tested from `edition.rs`.

use teleport::{Bind, CallCtx, Plugin, ReadCtx, Rerror, controller, plugin};

/// Calls.
pub struct Math;

#[controller]
impl Math {
    async fn add(&self, ctx: &mut CallCtx, arg: Vec<i64>) -> Result<i64, Rerror> {
        let _ = ctx;
        Ok(arg.iter().sum())
    }
}

/// A call.
#[controller]
pub async fn add(ctx: &mut CallCtx, arg: Vec<i64>) -> Result<i64, Rerror> {
    let _ = ctx;
    Ok(arg.iter().sum())
}

/// Hooks.
pub struct Hooked;

#[plugin]
impl Plugin for Hooked {
    fn name(&self) -> &str {
        "hooked"
    }

    async fn post_read_call_header(&self, ctx: &mut ReadCtx) -> Result<(), Rerror> {
        let _ = ctx;
        Ok(())
    }
}

/// An argument with rules.
#[derive(Bind)]
pub struct Order {
    /// A rule of each kind.
    #[param(range(1..=5), nonzero)]
    pub amount: i64,
    /// A pattern and a length.
    #[param(len(1..=3), regex = r"^\d+$")]
    pub number: String,
}
