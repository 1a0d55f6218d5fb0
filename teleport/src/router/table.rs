//! The tables that messages are routed by, made anew whenever a route or a plugin changes.

use std::fmt;
use std::sync::Arc;
use std::time::Duration;

use rustc_hash::FxHashMap;

use super::handler::{CallHandler, PushHandler};
use crate::context::{Limits, OnCancel};
use crate::error::{Error, ErrorKind};
use crate::plugin::{FlatHooks, Hooks, Plugin, PluginContainer};

/// What a handler takes.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum RouteKind {
    /// Calls of one path.
    Call,
    /// Pushes of one path.
    Push,
    /// Calls that no route takes.
    UnknownCall,
    /// Pushes that no route takes.
    UnknownPush,
}

/// A registered handler, as route lists and plugins see it.
#[derive(Clone, Debug)]
pub struct HandlerInfo {
    kind: RouteKind,
    path: String,
    name: String,
    argument: &'static str,
    reply: &'static str,
    doc: &'static str,
    any_case: bool,
    limits: Limits,
}

impl HandlerInfo {
    pub(crate) fn new(kind: RouteKind, path: String, name: String) -> Self {
        Self {
            kind,
            path,
            name,
            argument: "",
            reply: "",
            doc: "",
            any_case: false,
            limits: Limits::default(),
        }
    }

    pub(crate) fn describe(
        mut self,
        argument: &'static str,
        reply: &'static str,
        doc: &'static str,
    ) -> Self {
        (self.argument, self.reply, self.doc) = (argument, reply, doc);
        self
    }

    pub(crate) fn limit(mut self, limits: Limits) -> Self {
        self.limits = limits;
        self
    }

    pub(crate) fn limits(&self) -> &Limits {
        &self.limits
    }

    /// The age of the handler's contexts, if its route says one; zero: it says that there is none.
    #[must_use]
    pub fn age(&self) -> Option<Duration> {
        self.limits.age
    }

    /// What becomes of the handler when its time is over, if its route says so.
    #[must_use]
    pub fn on_cancel(&self) -> Option<OnCancel> {
        self.limits.on_cancel
    }

    /// What the handler takes.
    #[must_use]
    pub fn kind(&self) -> RouteKind {
        self.kind
    }

    /// The path, `/*` for a handler of what no route takes.
    #[must_use]
    pub fn path(&self) -> &str {
        &self.path
    }

    pub(crate) fn set_path(&mut self, path: String) {
        self.path = path;
    }

    /// The name of the handler in the code, such as `Math::add`.
    #[must_use]
    pub fn name(&self) -> &str {
        &self.name
    }

    /// The type of the argument as it was written, empty without one or if not known.
    #[must_use]
    pub fn argument(&self) -> &str {
        self.argument
    }

    /// The return type as it was written, empty if not known.
    #[must_use]
    pub fn reply(&self) -> &str {
        self.reply
    }

    /// The documentation of the handler.
    #[must_use]
    pub fn doc(&self) -> &str {
        self.doc
    }

    /// Whether the path matches in upper and lower case alike.
    #[must_use]
    pub fn any_case(&self) -> bool {
        self.any_case
    }

    /// Makes the path match in upper and lower case alike, or not.
    pub fn set_any_case(&mut self, any_case: bool) {
        self.any_case = any_case;
    }
}

/// How a handler is run.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) enum RunMode {
    /// Once where the message was read, then in a task if it waits.
    #[default]
    Inline,
    /// In a task of its own.
    Spawn,
    /// On a thread that may block.
    Blocking,
}

/// A route: a handler with its plugins.
pub(crate) struct Entry<H: ?Sized> {
    pub(crate) info: HandlerInfo,
    pub(crate) mode: RunMode,
    pub(crate) group: Vec<Arc<dyn Plugin>>,
    pub(crate) own: Vec<Arc<dyn Plugin>>,
    pub(crate) hooks: FlatHooks,
    /// Whether the message can go straight from its head to the handler and the reply, unless
    /// something else limits its time.
    pub(crate) direct: bool,
    pub(crate) handler: Arc<H>,
}

/// The hooks that keep a call from the direct way.
const CALL_HOOKS: Hooks = Hooks::PRE_READ_CALL_BODY
    .union(Hooks::POST_READ_CALL_BODY)
    .union(Hooks::PRE_WRITE_REPLY)
    .union(Hooks::POST_WRITE_REPLY);

/// The hooks that keep a push from the direct way.
const PUSH_HOOKS: Hooks = Hooks::PRE_READ_PUSH_BODY.union(Hooks::POST_READ_PUSH_BODY);

impl<H: ?Sized> Entry<H> {
    pub(crate) fn new(
        info: HandlerInfo,
        mode: RunMode,
        group: &[Arc<dyn Plugin>],
        own: &[Arc<dyn Plugin>],
        hooks: &FlatHooks,
        handler: Arc<H>,
    ) -> Self {
        let after = match info.kind {
            RouteKind::Call | RouteKind::UnknownCall => CALL_HOOKS,
            RouteKind::Push | RouteKind::UnknownPush => PUSH_HOOKS,
        };
        let direct = mode == RunMode::Inline && info.limits.age.is_none() && !hooks.any(after);
        Self {
            info,
            mode,
            group: group.to_vec(),
            own: own.to_vec(),
            direct,
            hooks: hooks.clone(),
            handler,
        }
    }

    fn rebuilt(&self, peer: &PluginContainer) -> Result<Self, Error> {
        let hooks = FlatHooks::new(peer, &self.group, &self.own)?;
        let info = self.info.clone();
        let handler = Arc::clone(&self.handler);
        Ok(Self::new(
            info,
            self.mode,
            &self.group,
            &self.own,
            &hooks,
            handler,
        ))
    }
}

impl<H: ?Sized> fmt::Debug for Entry<H> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Entry")
            .field("info", &self.info)
            .field("mode", &self.mode)
            .finish()
    }
}

/// The routes of one kind.
pub(crate) struct Table<H: ?Sized> {
    // The paths in these are this side's own: what is looked up cannot make them collide.
    exact: FxHashMap<Box<[u8]>, Arc<Entry<H>>>,
    any_case: FxHashMap<Box<[u8]>, Arc<Entry<H>>>,
    unknown: Option<Arc<Entry<H>>>,
}

impl<H: ?Sized> Default for Table<H> {
    fn default() -> Self {
        Self {
            exact: FxHashMap::default(),
            any_case: FxHashMap::default(),
            unknown: None,
        }
    }
}

impl<H: ?Sized> Table<H> {
    /// The route that takes this path.
    #[inline]
    pub(crate) fn find(&self, path: &[u8]) -> Option<&Arc<Entry<H>>> {
        match self.exact.get(path) {
            Some(entry) => Some(entry),
            None => self.find_rest(path),
        }
    }

    #[cold]
    fn find_rest(&self, path: &[u8]) -> Option<&Arc<Entry<H>>> {
        if !self.any_case.is_empty()
            && let Some(entry) = self.any_case.get(lower(path).as_slice())
        {
            return Some(entry);
        }
        self.unknown.as_ref()
    }

    /// Puts a route in.
    pub(crate) fn insert(&mut self, entry: Entry<H>) -> Result<(), Error> {
        let entry = Arc::new(entry);
        if matches!(
            entry.info.kind,
            RouteKind::UnknownCall | RouteKind::UnknownPush
        ) {
            if let Some(there) = &self.unknown {
                return Err(conflict(&there.info, &entry.info));
            }
            self.unknown = Some(entry);
            return Ok(());
        }
        let key: Box<[u8]> = entry.info.path.as_bytes().into();
        if let Some(there) = self.exact.get(&key) {
            return Err(conflict(&there.info, &entry.info));
        }
        if entry.info.any_case
            && let Some(there) = self.any_case.insert(lower(&key).into(), Arc::clone(&entry))
        {
            return Err(conflict(&there.info, &entry.info));
        }
        self.exact.insert(key, entry);
        Ok(())
    }

    /// The same routes with other plugins on the peer.
    pub(crate) fn rebuilt(&self, peer: &PluginContainer) -> Result<Self, Error> {
        let mut table = Self::default();
        for entry in self.exact.values().chain(&self.unknown) {
            table.insert(entry.rebuilt(peer)?)?;
        }
        Ok(table)
    }

    pub(crate) fn infos(&self) -> impl Iterator<Item = &HandlerInfo> {
        self.exact
            .values()
            .chain(&self.unknown)
            .map(|entry| &entry.info)
    }

    /// The path most like this one, to help whoever mistyped it.
    pub(crate) fn nearest(&self, path: &str) -> Option<&str> {
        if self.exact.len() > SEARCHED_ROUTES {
            return None;
        }
        let near = |route: &&str| distance(path, route);
        let best = self
            .exact
            .values()
            .map(|e| e.info.path.as_str())
            .min_by_key(near)?;
        (distance(path, best) <= best.len().max(path.len()) / 2).then_some(best)
    }
}

impl<H: ?Sized> fmt::Debug for Table<H> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_list().entries(self.infos()).finish()
    }
}

impl<H: ?Sized> Clone for Table<H> {
    fn clone(&self) -> Self {
        Self {
            exact: self.exact.clone(),
            any_case: self.any_case.clone(),
            unknown: self.unknown.clone(),
        }
    }
}

/// All that a read loop needs to route: loaded once a batch.
#[derive(Clone, Debug, Default)]
pub(crate) struct Tables {
    pub(crate) calls: Table<dyn CallHandler>,
    pub(crate) pushes: Table<dyn PushHandler>,
    /// The plugins of the peer itself: header hooks, connection hooks, hooks of what is sent.
    pub(crate) hooks: FlatHooks,
    /// Whether any route has an age of its own.
    pub(crate) aged: bool,
}

#[cold]
fn conflict(there: &HandlerInfo, new: &HandlerInfo) -> Error {
    Error::new(
        ErrorKind::Route,
        format!(
            "{} {} is taken by {} already; {} needs another path or group",
            match new.kind {
                RouteKind::Call | RouteKind::UnknownCall => "CALL",
                RouteKind::Push | RouteKind::UnknownPush => "PUSH",
            },
            new.path,
            there.name,
            new.name
        ),
    )
}

fn lower(path: &[u8]) -> Vec<u8> {
    match std::str::from_utf8(path) {
        Ok(text) => text.to_lowercase().into_bytes(),
        Err(_) => path.to_ascii_lowercase(),
    }
}

/// Among more routes than this nobody searches for the one that was meant.
const SEARCHED_ROUTES: usize = 256;

/// The edit distance of two paths, capped in length so that a hostile path costs little.
fn distance(a: &str, b: &str) -> usize {
    let a: Vec<char> = a.chars().take(64).collect();
    let b: Vec<char> = b.chars().take(64).collect();
    let mut row: Vec<usize> = (0..=b.len()).collect();
    for (i, x) in a.iter().enumerate() {
        let mut diagonal = i;
        let mut left = i + 1;
        for (y, cell) in b.iter().zip(row.iter_mut().skip(1)) {
            let here = (diagonal + usize::from(x != y))
                .min(*cell + 1)
                .min(left + 1);
            diagonal = std::mem::replace(cell, here);
            left = here;
        }
        if let Some(first) = row.first_mut() {
            *first = i + 1;
        }
    }
    row.last().copied().unwrap_or(0)
}

#[cfg(test)]
mod tests {
    use super::distance;

    #[test]
    fn distance_counts_edits() {
        assert_eq!(distance("/math/add", "/math/add"), 0);
        assert_eq!(distance("/math/ad", "/math/add"), 1);
        assert_eq!(distance("", "abc"), 3);
        assert_eq!(distance("kitten", "sitting"), 3);
    }
}
