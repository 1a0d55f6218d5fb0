//! Routes: which handler takes which path, in groups, each with its plugins.

use std::any::type_name;
use std::sync::{Arc, Mutex};

use arc_swap::ArcSwap;

use crate::error::{Error, ErrorKind};
use crate::lock;
use crate::peer::Peer;
use crate::plugin::{FlatHooks, Plugin, PluginContainer, Scope, check_scope};

pub(crate) mod bound;
pub(crate) mod handler;
mod path;
pub(crate) mod registrar;
pub(crate) mod routed;
mod table;
mod unknown;

pub use path::{join_path, to_uri_path};
use registrar::{
    AnyHandler, CallController, CallFunction, Planned, PushController, PushFunction, Registrar,
};
use routed::RoutedFn;
pub(crate) use table::{Entry, RunMode, Tables};
pub use table::{HandlerInfo, RouteKind};
pub use unknown::{ContextFn, UnknownCallHandler, UnknownPushHandler, ViaFunction};
use unknown::{erase_unknown_call, erase_unknown_push};

/// What stands for the path of a handler of whatever has no route.
const ANY: &str = "/*";

/// The routes of a peer. Reading never waits: a change makes new tables and swaps them in.
#[derive(Debug, Default)]
pub(crate) struct Router {
    plugins: Mutex<PluginContainer>,
    tables: ArcSwap<Tables>,
}

impl Router {
    pub(crate) fn new(plugins: PluginContainer) -> Result<Self, Error> {
        let hooks = FlatHooks::new(&plugins, &[], &[])?;
        let tables = Tables {
            hooks,
            ..Tables::default()
        };
        Ok(Self {
            plugins: Mutex::new(plugins),
            tables: ArcSwap::from_pointee(tables),
        })
    }

    #[inline]
    pub(crate) fn load(&self) -> arc_swap::Guard<Arc<Tables>> {
        self.tables.load()
    }

    pub(crate) fn tables(&self) -> Arc<Tables> {
        self.tables.load_full()
    }

    /// The plugins of the peer.
    pub(crate) fn plugins(&self) -> PluginContainer {
        lock(&self.plugins).clone()
    }

    /// Changes the plugins of the peer; nothing is changed if the new set does not fit.
    pub(crate) fn change_plugins(
        &self,
        change: impl FnOnce(&mut PluginContainer) -> Result<(), Error>,
    ) -> Result<(), Error> {
        let mut plugins = lock(&self.plugins);
        let mut changed = plugins.clone();
        change(&mut changed)?;
        let now = self.tables.load();
        let tables = Tables {
            calls: now.calls.rebuilt(&changed)?,
            pushes: now.pushes.rebuilt(&changed)?,
            hooks: FlatHooks::new(&changed, &[], &[])?,
            aged: now.aged,
        };
        self.tables.store(Arc::new(tables));
        *plugins = changed;
        Ok(())
    }

    /// Puts routes in: all of them, or none with an error.
    fn insert(&self, group: &SubRouter, planned: Vec<Planned>) -> Result<Vec<String>, Error> {
        for plugin in &group.group {
            check_scope(plugin.as_ref(), Scope::Group)?;
        }
        for plugin in &group.own {
            check_scope(plugin.as_ref(), Scope::Handler)?;
        }
        let plugins = lock(&self.plugins);
        let hooks = FlatHooks::new(&plugins, &group.group, &group.own)?;
        let mut tables = Tables::clone(&self.tables.load());
        let mut paths = Vec::with_capacity(planned.len());
        for route in planned {
            let mut info = route.info;
            for plugin in hooks.of(crate::plugin::Hooks::POST_REG) {
                plugin.post_reg(&mut info)?;
            }
            paths.push(info.path().to_owned());
            tables.aged |= info.age().is_some();
            match route.handler {
                AnyHandler::Call(handler) => {
                    let entry =
                        Entry::new(info, route.mode, &group.group, &group.own, &hooks, handler);
                    tables.calls.insert(entry)?;
                }
                AnyHandler::Push(handler) => {
                    let entry =
                        Entry::new(info, route.mode, &group.group, &group.own, &hooks, handler);
                    tables.pushes.insert(entry)?;
                }
            }
        }
        self.tables.store(Arc::new(tables));
        Ok(paths)
    }

    pub(crate) fn list(&self) -> Vec<HandlerInfo> {
        let tables = self.tables.load();
        let mut all: Vec<_> = tables
            .calls
            .infos()
            .chain(tables.pushes.infos())
            .cloned()
            .collect();
        all.sort_by(|a, b| (a.path(), a.kind() as u8).cmp(&(b.path(), b.kind() as u8)));
        all
    }
}

/// A place to register handlers: a peer as a whole, or a group of routes with a path in front and
/// plugins of its own.
///
/// # Examples
///
/// ```
/// use teleport::plugins::IgnoreCase;
/// use teleport::{Peer, controller};
///
/// struct Math;
///
/// #[controller]
/// impl Math {
///     fn add(&self, arg: Vec<i64>) -> i64 {
///         arg.iter().sum()
///     }
/// }
///
/// # fn main() -> Result<(), teleport::Error> {
/// let peer = Peer::builder().build()?;
/// let v1 = peer.sub_route("v1").plugin(IgnoreCase::new());
/// assert_eq!(v1.route_call(Math)?, ["/v1/math/add"]);
/// # Ok(())
/// # }
/// ```
#[derive(Clone, Debug)]
#[must_use = "a group does nothing until handlers are registered in it"]
#[doc(alias = "nest")]
pub struct SubRouter {
    peer: Peer,
    prefix: String,
    group: Vec<Arc<dyn Plugin>>,
    own: Vec<Arc<dyn Plugin>>,
}

impl SubRouter {
    pub(crate) fn root(peer: Peer) -> Self {
        Self {
            peer,
            prefix: "/".to_owned(),
            group: Vec::new(),
            own: Vec::new(),
        }
    }

    /// The path in front of all routes of this group.
    #[must_use]
    pub fn prefix(&self) -> &str {
        &self.prefix
    }

    /// A group within this one, with its plugins. The prefix is used as it is, and cleaned: empty
    /// parts, `.` and `..` collapse.
    pub fn sub_route(&self, prefix: &str) -> Self {
        let mut sub = self.clone();
        sub.prefix = join_path(&[&self.prefix, prefix]);
        sub
    }

    /// Adds a plugin to the group, for the routes registered from now on through what this
    /// returns. A plugin that cannot stand here is an error of the registration.
    pub fn plugin(mut self, plugin: impl Plugin) -> Self {
        self.group.push(Arc::new(plugin));
        self
    }

    /// The same group with a plugin for the handlers that are registered through what this
    /// returns; it runs after those of the group.
    pub fn with(&self, plugin: impl Plugin) -> Self {
        let mut with = self.clone();
        with.own.push(Arc::new(plugin));
        with
    }

    /// Registers the methods of a `#[controller]` for calls and returns their paths.
    ///
    /// # Errors
    ///
    /// A path is taken, the error naming both handlers; or a plugin cannot stand here or refuses.
    /// Then nothing is registered.
    pub fn route_call<C: CallController>(&self, controller: C) -> Result<Vec<String>, Error> {
        self.route_call_shared(Arc::new(controller))
    }

    /// [`route_call`](Self::route_call) for a controller that is shared with others.
    ///
    /// # Errors
    ///
    /// As for [`route_call`](Self::route_call).
    pub fn route_call_shared<C: CallController>(
        &self,
        controller: Arc<C>,
    ) -> Result<Vec<String>, Error> {
        let mut registrar = Registrar::new(C::NAME, &self.prefix);
        controller.register(&mut registrar);
        self.insert(registrar.into_planned())
    }

    /// Registers the methods of a `#[push_handler]` for pushes and returns their paths.
    ///
    /// # Errors
    ///
    /// As for [`route_call`](Self::route_call).
    pub fn route_push<C: PushController>(&self, controller: C) -> Result<Vec<String>, Error> {
        self.route_push_shared(Arc::new(controller))
    }

    /// [`route_push`](Self::route_push) for a handler that is shared with others.
    ///
    /// # Errors
    ///
    /// As for [`route_call`](Self::route_call).
    pub fn route_push_shared<C: PushController>(
        &self,
        controller: Arc<C>,
    ) -> Result<Vec<String>, Error> {
        let mut registrar = Registrar::new(C::NAME, &self.prefix);
        controller.register(&mut registrar);
        self.insert(registrar.into_planned())
    }

    /// Registers a `#[controller]` function for calls and returns its path.
    ///
    /// # Errors
    ///
    /// As for [`route_call`](Self::route_call).
    #[doc(alias = "RouteCallFunc")]
    pub fn route_call_fn<F, Args, M>(&self, function: F) -> Result<String, Error>
    where
        F: RoutedFn<Args, M>,
        M: CallFunction,
    {
        drop(function);
        let mut registrar = Registrar::new("", &self.prefix);
        M::register(&mut registrar);
        self.insert_one(registrar)
    }

    /// Registers a `#[push_handler]` function for pushes and returns its path.
    ///
    /// # Errors
    ///
    /// As for [`route_call`](Self::route_call).
    #[doc(alias = "RoutePushFunc")]
    pub fn route_push_fn<F, Args, M>(&self, function: F) -> Result<String, Error>
    where
        F: RoutedFn<Args, M>,
        M: PushFunction,
    {
        drop(function);
        let mut registrar = Registrar::new("", &self.prefix);
        M::register(&mut registrar);
        self.insert_one(registrar)
    }

    /// Registers one method of a `#[controller]` under its own name alone:
    /// `route_call_method(Arc::new(aaa), Aaa::xx_zz)` takes the path `/xx/zz` by the rule of the
    /// names, without the name of the type.
    ///
    /// # Errors
    ///
    /// The function is no route of that controller; else as for [`route_call`](Self::route_call).
    pub fn route_call_method<C, F>(&self, controller: Arc<C>, _method: F) -> Result<String, Error>
    where
        C: CallController,
    {
        let mut registrar = Registrar::new(C::NAME, &self.prefix);
        controller.register(&mut registrar);
        registrar.keep_method(type_name::<F>(), type_name::<C>())?;
        self.insert_one(registrar)
    }

    /// Registers one method of a `#[push_handler]` under its own name alone; see
    /// [`route_call_method`](Self::route_call_method).
    ///
    /// # Errors
    ///
    /// As for [`route_call_method`](Self::route_call_method).
    pub fn route_push_method<C, F>(&self, controller: Arc<C>, _method: F) -> Result<String, Error>
    where
        C: PushController,
    {
        let mut registrar = Registrar::new(C::NAME, &self.prefix);
        controller.register(&mut registrar);
        registrar.keep_method(type_name::<F>(), type_name::<C>())?;
        self.insert_one(registrar)
    }

    /// Registers a handler for the calls of one path, which takes bodies as they come: for routes
    /// that are known when the program runs, and for plugins that bring routes along. The path is
    /// used as it is, below that of the group. Returns the whole path.
    ///
    /// # Errors
    ///
    /// As for [`route_call`](Self::route_call).
    pub fn route_call_raw<H, M>(&self, path: &str, handler: H) -> Result<String, Error>
    where
        H: UnknownCallHandler<M>,
    {
        let path = join_path(&[&self.prefix, path]);
        let handler = AnyHandler::Call(erase_unknown_call(handler));
        self.insert_by_hand::<H>(RouteKind::Call, path, handler)
    }

    /// Registers a handler for the pushes of one path; see
    /// [`route_call_raw`](Self::route_call_raw).
    ///
    /// # Errors
    ///
    /// As for [`route_call`](Self::route_call).
    pub fn route_push_raw<H, M>(&self, path: &str, handler: H) -> Result<String, Error>
    where
        H: UnknownPushHandler<M>,
    {
        let path = join_path(&[&self.prefix, path]);
        let handler = AnyHandler::Push(erase_unknown_push(handler));
        self.insert_by_hand::<H>(RouteKind::Push, path, handler)
    }

    /// Registers the handler of calls that no route takes.
    ///
    /// # Errors
    ///
    /// There is one already, or a plugin cannot stand here or refuses.
    #[doc(alias = "fallback")]
    pub fn set_unknown_call<H, M>(&self, handler: H) -> Result<(), Error>
    where
        H: UnknownCallHandler<M>,
    {
        let handler = AnyHandler::Call(erase_unknown_call(handler));
        self.insert_by_hand::<H>(RouteKind::UnknownCall, ANY.to_owned(), handler)
            .map(drop)
    }

    /// Registers the handler of pushes that no route takes.
    ///
    /// # Errors
    ///
    /// There is one already, or a plugin cannot stand here or refuses.
    #[doc(alias = "fallback")]
    pub fn set_unknown_push<H, M>(&self, handler: H) -> Result<(), Error>
    where
        H: UnknownPushHandler<M>,
    {
        let handler = AnyHandler::Push(erase_unknown_push(handler));
        self.insert_by_hand::<H>(RouteKind::UnknownPush, ANY.to_owned(), handler)
            .map(drop)
    }

    fn insert(&self, planned: Vec<Planned>) -> Result<Vec<String>, Error> {
        self.peer.router().insert(self, planned)
    }

    /// Inserts a handler under its own type's name, and returns the path.
    fn insert_by_hand<H>(
        &self,
        kind: RouteKind,
        path: String,
        handler: AnyHandler,
    ) -> Result<String, Error> {
        let planned = Planned::by_hand(kind, path.clone(), type_name::<H>(), handler);
        self.insert(vec![planned]).map(|_| path)
    }

    fn insert_one(&self, registrar: Registrar<'_>) -> Result<String, Error> {
        let mut paths = self.insert(registrar.into_planned())?;
        paths
            .pop()
            .ok_or_else(|| Error::new(ErrorKind::Route, "there was no handler to register"))
    }
}
