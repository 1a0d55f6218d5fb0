//! What macro output registers through.

use std::sync::Arc;
use std::time::Duration;

use super::handler::{CallFn, CallHandler, PushFn, PushHandler};
use super::join_path;
use super::table::{HandlerInfo, RouteKind, RunMode};
use crate::context::{Limits, OnCancel};
use crate::error::{Error, ErrorKind};

/// One row of the route table that the macros write.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[allow(clippy::exhaustive_structs, reason = "macro output builds it")]
pub struct RouteInfo {
    /// The whole path, below the group's.
    pub path: &'static str,
    /// The path of the method alone.
    pub method_path: &'static str,
    /// The name of the method or function.
    pub method: &'static str,
    /// The type of the argument as written; empty without one.
    pub arg: &'static str,
    /// The return type as written.
    pub reply: &'static str,
    /// The documentation.
    pub doc: &'static str,
    /// Whether the handler runs in a task of its own.
    pub spawn: bool,
    /// Whether the handler runs on a thread that may block.
    pub blocking: bool,
    /// The age of its contexts: none of its own, zero for no limit.
    pub age: Option<Duration>,
    /// What becomes of it when its time is over: what the peer says without one.
    pub on_cancel: Option<OnCancel>,
}

/// A type whose methods handle calls; written by `#[controller]`.
#[diagnostic::on_unimplemented(
    message = "`{Self}` has no call routes",
    label = "write `#[controller]` on its impl block"
)]
pub trait CallController: Send + Sync + 'static {
    /// The name of the type.
    const NAME: &'static str;
    /// The routes.
    const ROUTES: &'static [RouteInfo];

    /// Registers the routes.
    #[doc(hidden)]
    fn register(self: Arc<Self>, registrar: &mut Registrar<'_>);
}

/// A type whose methods handle pushes; written by `#[push_handler]`.
#[diagnostic::on_unimplemented(
    message = "`{Self}` has no push routes",
    label = "write `#[push_handler]` on its impl block"
)]
pub trait PushController: Send + Sync + 'static {
    /// The name of the type.
    const NAME: &'static str;
    /// The routes.
    const ROUTES: &'static [RouteInfo];

    /// Registers the routes.
    #[doc(hidden)]
    fn register(self: Arc<Self>, registrar: &mut Registrar<'_>);
}

/// A function that handles calls; written by `#[controller]`.
#[diagnostic::on_unimplemented(
    message = "this function has no call route",
    label = "write `#[controller]` on the function"
)]
pub trait CallFunction {
    /// The route.
    const INFO: RouteInfo;

    /// Registers the route.
    #[doc(hidden)]
    fn register(registrar: &mut Registrar<'_>);
}

/// A function that handles pushes; written by `#[push_handler]`.
#[diagnostic::on_unimplemented(
    message = "this function has no push route",
    label = "write `#[push_handler]` on the function"
)]
pub trait PushFunction {
    /// The route.
    const INFO: RouteInfo;

    /// Registers the route.
    #[doc(hidden)]
    fn register(registrar: &mut Registrar<'_>);
}

/// A handler of either kind.
pub(crate) enum AnyHandler {
    Call(Arc<dyn CallHandler>),
    Push(Arc<dyn PushHandler>),
}

/// A route about to be registered.
pub(crate) struct Planned {
    pub(crate) info: HandlerInfo,
    pub(crate) mode: RunMode,
    pub(crate) handler: AnyHandler,
    row: Option<RouteInfo>,
}

impl Planned {
    /// A route that no macro wrote.
    pub(crate) fn by_hand(kind: RouteKind, path: String, name: &str, handler: AnyHandler) -> Self {
        Self {
            info: HandlerInfo::new(kind, path, name.to_owned()),
            mode: RunMode::Inline,
            handler,
            row: None,
        }
    }
}

/// Collects the routes of one controller or function.
pub struct Registrar<'a> {
    type_name: &'static str,
    prefix: &'a str,
    planned: Vec<Planned>,
}

impl<'a> Registrar<'a> {
    pub(crate) fn new(type_name: &'static str, prefix: &'a str) -> Self {
        Self {
            type_name,
            prefix,
            planned: Vec::new(),
        }
    }

    /// Adds a route for calls.
    pub fn call(&mut self, info: &RouteInfo, handler: CallFn) {
        self.add(RouteKind::Call, info, AnyHandler::Call(handler.0));
    }

    /// Adds a route for pushes.
    pub fn push(&mut self, info: &RouteInfo, handler: PushFn) {
        self.add(RouteKind::Push, info, AnyHandler::Push(handler.0));
    }

    fn add(&mut self, kind: RouteKind, row: &RouteInfo, handler: AnyHandler) {
        let name = match self.type_name {
            "" => row.method.to_owned(),
            of => format!("{of}::{}", row.method),
        };
        let mode = match (row.blocking, row.spawn) {
            (true, _) => RunMode::Blocking,
            (false, true) => RunMode::Spawn,
            (false, false) => RunMode::Inline,
        };
        let path = join_path(&[self.prefix, row.path]);
        let info = HandlerInfo::new(kind, path, name).describe(row.arg, row.reply, row.doc);
        let info = info.limit(Limits {
            age: row.age,
            on_cancel: row.on_cancel,
        });
        self.planned.push(Planned {
            info,
            mode,
            handler,
            row: Some(*row),
        });
    }

    pub(crate) fn into_planned(self) -> Vec<Planned> {
        self.planned
    }

    /// Keeps the one method that a function item is, under its own path.
    ///
    /// The compiler's name of a function item ends in the method's own name; that it is a method
    /// of this very type is checked by what stands in front.
    pub(crate) fn keep_method(&mut self, function: &str, of: &str) -> Result<(), Error> {
        let (owner, method) = function.rsplit_once("::").unwrap_or(("", function));
        let is_of_type = owner == of || owner.ends_with(&format!("{of}>"));
        self.planned
            .retain(|p| is_of_type && p.row.is_some_and(|row| row.method == method));
        let Some(planned) = self.planned.first_mut() else {
            return Err(Error::new(
                ErrorKind::Route,
                format!(
                    "{function} is not a route of {of}; pass a method of its annotated impl \
                     block, such as `{}::method`",
                    self.type_name
                ),
            ));
        };
        if let Some(row) = planned.row {
            let path = join_path(&[self.prefix, row.method_path]);
            planned.info.set_path(path);
        }
        Ok(())
    }
}

impl std::fmt::Debug for Registrar<'_> {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Registrar")
            .field("type_name", &self.type_name)
            .finish_non_exhaustive()
    }
}
