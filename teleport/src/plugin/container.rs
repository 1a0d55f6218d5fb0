//! The plugins of one place: a peer, a group, or a handler.

use std::sync::Arc;

use super::{Hooks, Plugin};
use crate::error::{Error, ErrorKind};

/// Where a plugin stands.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum Scope {
    /// On a whole peer.
    Peer,
    /// On a group of routes.
    Group,
    /// On one controller or handler function.
    Handler,
}

/// An ordered set of plugins: those put on the left, those in the middle, those on the right.
///
/// On one message the plugins run in the order left, peer, group, handler, right.
#[derive(Clone, Debug, Default)]
pub struct PluginContainer {
    left: Vec<Arc<dyn Plugin>>,
    middle: Vec<Arc<dyn Plugin>>,
    right: Vec<Arc<dyn Plugin>>,
}

impl PluginContainer {
    /// A container without plugins.
    #[must_use]
    pub fn new() -> Self {
        Self::default()
    }

    /// Adds a plugin that runs before those of groups and handlers and after those already here.
    ///
    /// # Errors
    ///
    /// A plugin of the same name is here already.
    pub fn append(&mut self, plugin: impl Plugin) -> Result<(), Error> {
        self.append_shared(Arc::new(plugin))
    }

    /// Adds a plugin that runs before all others but those put on the left earlier.
    ///
    /// # Errors
    ///
    /// A plugin of the same name is here already.
    pub fn append_left(&mut self, plugin: impl Plugin) -> Result<(), Error> {
        self.refuse_twin(plugin.name())?;
        self.left.push(Arc::new(plugin));
        Ok(())
    }

    /// Adds a plugin that runs after all others.
    ///
    /// # Errors
    ///
    /// A plugin of the same name is here already.
    pub fn append_right(&mut self, plugin: impl Plugin) -> Result<(), Error> {
        self.refuse_twin(plugin.name())?;
        self.right.push(Arc::new(plugin));
        Ok(())
    }

    /// Adds a plugin that is shared with others, in the middle.
    ///
    /// # Errors
    ///
    /// A plugin of the same name is here already.
    pub fn append_shared(&mut self, plugin: Arc<dyn Plugin>) -> Result<(), Error> {
        self.refuse_twin(plugin.name())?;
        self.middle.push(plugin);
        Ok(())
    }

    /// Takes the plugin of this name out.
    ///
    /// # Errors
    ///
    /// There is none of this name.
    pub fn remove(&mut self, name: &str) -> Result<Arc<dyn Plugin>, Error> {
        for list in [&mut self.left, &mut self.middle, &mut self.right] {
            if let Some(at) = list.iter().position(|p| p.name() == name) {
                return Ok(list.remove(at));
            }
        }
        Err(Error::new(
            ErrorKind::Plugin,
            format!("there is no plugin named {name:?} here"),
        ))
    }

    /// The plugin of this name.
    #[must_use]
    pub fn by_name(&self, name: &str) -> Option<&Arc<dyn Plugin>> {
        self.iter().find(|p| p.name() == name)
    }

    /// All plugins, in the order in which they run.
    pub fn iter(&self) -> impl Iterator<Item = &Arc<dyn Plugin>> {
        self.left.iter().chain(&self.middle).chain(&self.right)
    }

    /// How many there are.
    #[must_use]
    pub fn len(&self) -> usize {
        self.left.len() + self.middle.len() + self.right.len()
    }

    /// Whether there is none.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    pub(crate) fn left(&self) -> &[Arc<dyn Plugin>] {
        &self.left
    }

    pub(crate) fn middle(&self) -> &[Arc<dyn Plugin>] {
        &self.middle
    }

    pub(crate) fn right(&self) -> &[Arc<dyn Plugin>] {
        &self.right
    }

    fn refuse_twin(&self, name: &str) -> Result<(), Error> {
        match self.by_name(name) {
            None => Ok(()),
            Some(_) => Err(twin(name)),
        }
    }
}

pub(crate) fn twin(name: &str) -> Error {
    Error::new(
        ErrorKind::Plugin,
        format!("there are two plugins named {name:?}; remove one"),
    )
}

/// Refuses plugins whose hooks run before a route is known, on a group or a handler.
pub(crate) fn check_scope(plugin: &dyn Plugin, scope: Scope) -> Result<(), Error> {
    if scope == Scope::Peer {
        return Ok(());
    }
    let early = plugin.hooks_on(scope).without(Hooks::AFTER_ROUTING);
    if early.is_empty() {
        return Ok(());
    }
    let names: Vec<_> = early.names().collect();
    Err(Error::new(
        ErrorKind::Plugin,
        format!(
            "plugin {:?} cannot stand on a group or a handler: its {} would run before the route \
             is known; put it on the peer",
            plugin.name(),
            names.join(", ")
        ),
    ))
}
