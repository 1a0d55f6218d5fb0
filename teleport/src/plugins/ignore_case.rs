//! Paths in upper and lower case alike.

use crate::plugin::{Hook, Hooks, Plugin, Scope};
use crate::router::HandlerInfo;
use crate::{Error, ReadCtx, Rerror};

/// Lets paths match in upper and lower case alike.
///
/// On a peer it lowers the path of every CALL and PUSH before routing, as the original does; the
/// query stays as it is. A route with capitals in its path is then not reached. On a group or a
/// handler it marks the routes when they are registered, and these match in any case.
///
/// # Examples
///
/// ```
/// use teleport::Peer;
/// use teleport::plugins::IgnoreCase;
///
/// # fn main() -> Result<(), teleport::Error> {
/// let peer = Peer::builder().plugin(IgnoreCase::new()).build()?;
/// # drop(peer);
/// # Ok(())
/// # }
/// ```
#[derive(Clone, Copy, Debug, Default)]
#[non_exhaustive]
pub struct IgnoreCase;

impl IgnoreCase {
    /// Makes the plugin.
    #[must_use]
    pub fn new() -> Self {
        Self
    }
}

fn lower(ctx: &mut ReadCtx) -> Result<(), Rerror> {
    let lower = ctx.path().to_lowercase();
    if lower != ctx.path() {
        ctx.uri_mut().set_path(&lower);
    }
    Ok(())
}

impl Plugin for IgnoreCase {
    fn name(&self) -> &'static str {
        "ignore_case"
    }

    fn hooks(&self) -> Hooks {
        Hooks::POST_READ_CALL_HEADER.union(Hooks::POST_READ_PUSH_HEADER)
    }

    fn hooks_on(&self, scope: Scope) -> Hooks {
        match scope {
            Scope::Peer => self.hooks(),
            _ => Hooks::POST_REG,
        }
    }

    fn post_reg(&self, handler: &mut HandlerInfo) -> Result<(), Error> {
        handler.set_any_case(true);
        Ok(())
    }

    fn post_read_call_header<'a>(&'a self, ctx: &'a mut ReadCtx) -> Hook<'a> {
        Hook::ready(lower(ctx))
    }

    fn post_read_push_header<'a>(&'a self, ctx: &'a mut ReadCtx) -> Hook<'a> {
        Hook::ready(lower(ctx))
    }
}
