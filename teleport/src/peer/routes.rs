//! The routes of a peer: those of the root, and the groups below it.

use std::sync::Arc;

use super::Peer;
use crate::error::Error;
use crate::plugin::Plugin;
use crate::router::registrar::{CallController, CallFunction, PushController, PushFunction};
use crate::router::routed::RoutedFn;
use crate::router::{HandlerInfo, SubRouter, UnknownCallHandler, UnknownPushHandler};

impl Peer {
    /// The registered handlers, ordered by path.
    #[must_use]
    pub fn routes(&self) -> Vec<HandlerInfo> {
        self.0.router.list()
    }

    /// A group of routes with a path in front.
    #[doc(alias = "nest")]
    pub fn sub_route(&self, prefix: &str) -> SubRouter {
        self.root().sub_route(prefix)
    }

    /// The root of the routes, with a plugin for the handlers registered through what this
    /// returns.
    pub fn with(&self, plugin: impl Plugin) -> SubRouter {
        self.root().with(plugin)
    }

    fn root(&self) -> SubRouter {
        SubRouter::root(self.clone())
    }

    /// Registers the methods of a `#[controller]` for calls and returns their paths.
    ///
    /// # Errors
    ///
    /// As for [`SubRouter::route_call`].
    pub fn route_call<C: CallController>(&self, controller: C) -> Result<Vec<String>, Error> {
        self.root().route_call(controller)
    }

    /// Registers the methods of a `#[push_handler]` for pushes and returns their paths.
    ///
    /// # Errors
    ///
    /// As for [`SubRouter::route_call`].
    pub fn route_push<C: PushController>(&self, controller: C) -> Result<Vec<String>, Error> {
        self.root().route_push(controller)
    }

    /// [`route_call`](Self::route_call) for a controller that is shared with others.
    ///
    /// # Errors
    ///
    /// As for [`SubRouter::route_call`].
    pub fn route_call_shared<C: CallController>(
        &self,
        controller: Arc<C>,
    ) -> Result<Vec<String>, Error> {
        self.root().route_call_shared(controller)
    }

    /// [`route_push`](Self::route_push) for a handler that is shared with others.
    ///
    /// # Errors
    ///
    /// As for [`SubRouter::route_call`].
    pub fn route_push_shared<C: PushController>(
        &self,
        controller: Arc<C>,
    ) -> Result<Vec<String>, Error> {
        self.root().route_push_shared(controller)
    }

    /// Registers a `#[controller]` function for calls and returns its path.
    ///
    /// # Errors
    ///
    /// As for [`SubRouter::route_call`].
    #[doc(alias = "RouteCallFunc")]
    pub fn route_call_fn<F, Args, M>(&self, function: F) -> Result<String, Error>
    where
        F: RoutedFn<Args, M>,
        M: CallFunction,
    {
        self.root().route_call_fn(function)
    }

    /// Registers a `#[push_handler]` function for pushes and returns its path.
    ///
    /// # Errors
    ///
    /// As for [`SubRouter::route_call`].
    #[doc(alias = "RoutePushFunc")]
    pub fn route_push_fn<F, Args, M>(&self, function: F) -> Result<String, Error>
    where
        F: RoutedFn<Args, M>,
        M: PushFunction,
    {
        self.root().route_push_fn(function)
    }

    /// Registers one method of a `#[controller]` under its own name alone; see
    /// [`SubRouter::route_call_method`].
    ///
    /// # Errors
    ///
    /// As for [`SubRouter::route_call_method`].
    pub fn route_call_method<C, F>(&self, controller: Arc<C>, method: F) -> Result<String, Error>
    where
        C: CallController,
    {
        self.root().route_call_method(controller, method)
    }

    /// Registers one method of a `#[push_handler]` under its own name alone; see
    /// [`SubRouter::route_call_method`].
    ///
    /// # Errors
    ///
    /// As for [`SubRouter::route_call_method`].
    pub fn route_push_method<C, F>(&self, controller: Arc<C>, method: F) -> Result<String, Error>
    where
        C: PushController,
    {
        self.root().route_push_method(controller, method)
    }

    /// Registers a handler for the calls of one path, which takes bodies as they come; see
    /// [`SubRouter::route_call_raw`].
    ///
    /// # Errors
    ///
    /// As for [`SubRouter::route_call`].
    pub fn route_call_raw<H, M>(&self, path: &str, handler: H) -> Result<String, Error>
    where
        H: UnknownCallHandler<M>,
    {
        self.root().route_call_raw(path, handler)
    }

    /// Registers a handler for the pushes of one path, which takes bodies as they come; see
    /// [`SubRouter::route_call_raw`].
    ///
    /// # Errors
    ///
    /// As for [`SubRouter::route_call`].
    pub fn route_push_raw<H, M>(&self, path: &str, handler: H) -> Result<String, Error>
    where
        H: UnknownPushHandler<M>,
    {
        self.root().route_push_raw(path, handler)
    }

    /// Registers the handler of calls that no route takes.
    ///
    /// # Errors
    ///
    /// There is one already.
    #[doc(alias = "fallback")]
    pub fn set_unknown_call<H, M>(&self, handler: H) -> Result<(), Error>
    where
        H: UnknownCallHandler<M>,
    {
        self.root().set_unknown_call(handler)
    }

    /// Registers the handler of pushes that no route takes.
    ///
    /// # Errors
    ///
    /// There is one already.
    #[doc(alias = "fallback")]
    pub fn set_unknown_push<H, M>(&self, handler: H) -> Result<(), Error>
    where
        H: UnknownPushHandler<M>,
    {
        self.root().set_unknown_push(handler)
    }
}
