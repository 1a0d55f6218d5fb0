//! Plugins flattened into one list per hook, and running such a list.

use std::panic::AssertUnwindSafe;
use std::pin::pin;
use std::sync::Arc;
use std::task::Poll;

use super::container::twin;
use super::{Hook, Hooks, Plugin, PluginContainer, Scope};
use crate::error::Error;
use crate::rerror::Rerror;

/// One hook, as a function of the plugin and what the plugin sees.
pub(crate) type HookFn<C> = for<'a> fn(&'a dyn Plugin, &'a mut C) -> Hook<'a>;

/// The plugins that act on one route (or on a peer as a whole), in running order, with the set of
/// hooks that any of them implements.
#[derive(Clone, Debug, Default)]
pub(crate) struct FlatHooks {
    any: Hooks,
    plugins: Arc<[(Hooks, Arc<dyn Plugin>)]>,
}

impl FlatHooks {
    /// Flattens the containers of a peer, a group and a handler.
    pub(crate) fn new(
        peer: &PluginContainer,
        group: &[Arc<dyn Plugin>],
        handler: &[Arc<dyn Plugin>],
    ) -> Result<Self, Error> {
        let mut plugins: Vec<(Hooks, Arc<dyn Plugin>)> = Vec::new();
        let parts: [(Scope, &[Arc<dyn Plugin>]); 5] = [
            (Scope::Peer, peer.left()),
            (Scope::Peer, peer.middle()),
            (Scope::Group, group),
            (Scope::Handler, handler),
            (Scope::Peer, peer.right()),
        ];
        for (scope, list) in parts {
            for plugin in list {
                if plugins.iter().any(|(_, p)| p.name() == plugin.name()) {
                    return Err(twin(plugin.name()));
                }
                plugins.push((plugin.hooks_on(scope), Arc::clone(plugin)));
            }
        }
        let any = plugins
            .iter()
            .fold(Hooks::NONE, |set, (hooks, _)| set.union(*hooks));
        Ok(Self {
            any,
            plugins: plugins.into(),
        })
    }

    /// Whether any plugin implements any of these hooks.
    #[inline]
    pub(crate) fn any(&self, hooks: Hooks) -> bool {
        self.any.intersects(hooks)
    }

    /// The plugins that implement this hook, in running order.
    pub(crate) fn of(&self, hook: Hooks) -> impl Iterator<Item = &Arc<dyn Plugin>> {
        let here = self.any.intersects(hook);
        self.plugins
            .iter()
            .filter(move |(hooks, _)| here && hooks.intersects(hook))
            .map(|(_, plugin)| plugin)
    }

    /// Runs one hook of all plugins that implement it, until one fails.
    pub(crate) async fn run<C>(
        &self,
        hook: Hooks,
        ctx: &mut C,
        call: HookFn<C>,
    ) -> Result<(), Rerror>
    where
        C: ?Sized + Send,
    {
        for plugin in self.of(hook) {
            caught(plugin.as_ref(), ctx, call).await?;
        }
        Ok(())
    }
}

/// Runs one hook of one plugin; a panic in it becomes error 500.
async fn caught<C: ?Sized + Send>(
    plugin: &dyn Plugin,
    ctx: &mut C,
    call: HookFn<C>,
) -> Result<(), Rerror> {
    let started = std::panic::catch_unwind(AssertUnwindSafe(move || {
        let lent = ctx;
        call(plugin, lent)
    }));
    let hook = match started {
        Ok(hook) => hook,
        Err(panic) => return Err(panicked(plugin, &*panic)),
    };
    let mut hook = pin!(hook);
    std::future::poll_fn(|cx| {
        match std::panic::catch_unwind(AssertUnwindSafe(|| hook.as_mut().poll(cx))) {
            Ok(poll) => poll,
            Err(panic) => Poll::Ready(Err(panicked(plugin, &*panic))),
        }
    })
    .await
}

#[cold]
fn panicked(plugin: &dyn Plugin, panic: &(dyn std::any::Any + Send)) -> Rerror {
    let text = crate::panic_text(panic);
    tracing::error!(plugin = plugin.name(), panic = %text.escape_debug(), "a plugin panicked");
    Rerror::internal(text)
}
