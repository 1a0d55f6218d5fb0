//! Plugins: code that runs at every point of a message's life.
//!
//! A [`Plugin`] names the hooks it implements in [`Plugin::hooks`]; the `#[plugin]` attribute
//! writes that list from the methods it finds. Registered plugins are flattened into one list per
//! hook and route, so a hook that nobody implements costs nothing.

use std::fmt;

use crate::context::{DialCtx, PreCtx, ReadCtx, WriteCtx};
use crate::error::Error;
use crate::peer::{Peer, PeerConfig};
use crate::router::HandlerInfo;
use crate::session::{PreSession, Session};
use crate::socket::Address;

mod container;
mod flat;
mod hook;

pub(crate) use container::check_scope;
pub use container::{PluginContainer, Scope};
pub(crate) use flat::FlatHooks;
pub use hook::{Hook, Hooks};

/// Code that runs at the points of a peer's, a connection's and a message's life.
///
/// Every hook does nothing unless it is written. Hooks of several plugins run in one order,
/// before and after alike: those put on the left, those of the peer, of the group and of the
/// handler, then those put on the right.
///
/// With the `#[plugin]` attribute the hooks of messages may be plain `fn` or `async fn` that
/// return `Result<(), Rerror>`, and [`hooks`](Self::hooks) is written by the attribute. Without
/// it, implement `hooks` by hand: a hook missing from that set is never called.
///
/// A waiting hook holds back its own message, never the reading of the next one. A panic in a
/// hook of a connection or a message counts as error 500 of that hook.
#[diagnostic::on_unimplemented(
    message = "`{Self}` is not a plugin",
    label = "implement `teleport::Plugin` for it, under `#[teleport::plugin]`"
)]
pub trait Plugin: Send + Sync + 'static {
    /// The name; two plugins of one name cannot act on the same route.
    fn name(&self) -> &str;

    /// The hooks that this plugin implements.
    fn hooks(&self) -> Hooks;

    /// Runs before a peer is built; may change its configuration and its plugins.
    ///
    /// # Errors
    ///
    /// An error stops the building of the peer.
    fn pre_new_peer(
        &self,
        _config: &mut PeerConfig,
        _plugins: &mut PluginContainer,
    ) -> Result<(), Error> {
        Ok(())
    }

    /// Runs when a peer is built, before anybody else has it.
    ///
    /// # Errors
    ///
    /// An error stops the building of the peer.
    fn post_new_peer(&self, _peer: &Peer) -> Result<(), Error> {
        Ok(())
    }

    /// The hooks that this plugin implements where it stands; the same everywhere unless written.
    ///
    /// On a group or a handler only the [hooks after routing](Hooks::AFTER_ROUTING) are accepted.
    /// A plugin that works differently there, as [`IgnoreCase`](crate::plugins::IgnoreCase) does,
    /// says so here.
    fn hooks_on(&self, _scope: Scope) -> Hooks {
        self.hooks()
    }

    /// Runs for each handler that is registered; may change how its route matches. It runs under a
    /// lock: it must not register or change anything on this peer.
    ///
    /// # Errors
    ///
    /// An error stops the registration.
    fn post_reg(&self, _handler: &mut HandlerInfo) -> Result<(), Error> {
        Ok(())
    }

    /// Runs when an address is being listened on, before the first connection is taken.
    ///
    /// # Errors
    ///
    /// An error stops the listening.
    fn post_listen(&self, _address: &Address) -> Result<(), Error> {
        Ok(())
    }

    /// Runs before a connection is dialled, also each time that a session dials again; a stream
    /// that is there already ([`dial_conn`](Peer::dial_conn)) is not dialled. With an error nothing
    /// is dialled, and the dial fails with it.
    ///
    /// It has [`handshake_timeout`](PeerConfig::handshake_timeout), and is where to wait for
    /// permission, for a route to come up, or for a turn.
    fn pre_dial<'a>(&'a self, _ctx: &'a mut DialCtx) -> Hook<'a> {
        Hook::OK
    }

    /// Runs when a connection was dialled, before its read loop starts. An error closes it, and
    /// the dial fails with it.
    fn post_dial<'a>(&'a self, _session: &'a mut PreSession) -> Hook<'a> {
        Hook::OK
    }

    /// Runs when a connection was accepted, before its read loop starts. An error closes it.
    fn post_accept<'a>(&'a self, _session: &'a mut PreSession) -> Hook<'a> {
        Hook::OK
    }

    /// Runs when a connection is gone. An error is logged.
    fn post_disconnect<'a>(&'a self, _session: &'a Session) -> Hook<'a> {
        Hook::OK
    }

    /// Runs before a CALL is written. The call fails with an error.
    fn pre_write_call<'a>(&'a self, _ctx: &'a mut WriteCtx) -> Hook<'a> {
        Hook::OK
    }

    /// Runs after a CALL was written. An error is logged.
    fn post_write_call<'a>(&'a self, _ctx: &'a mut WriteCtx) -> Hook<'a> {
        Hook::OK
    }

    /// Runs before a REPLY is written, also one that carries an error;
    /// [`call_uri`](WriteCtx::call_uri) says what it answers. An error is logged; the reply goes
    /// out. A reply that turns a call away for lack of room, or stands in for one that could not be
    /// sent or whose handler was cancelled, waits for nobody: a hook that is not ready at once is
    /// left out of it.
    fn pre_write_reply<'a>(&'a self, _ctx: &'a mut WriteCtx) -> Hook<'a> {
        Hook::OK
    }

    /// Runs after a REPLY was written, also one that carries an error;
    /// [`call_uri`](WriteCtx::call_uri) says what it answers. An error is logged.
    fn post_write_reply<'a>(&'a self, _ctx: &'a mut WriteCtx) -> Hook<'a> {
        Hook::OK
    }

    /// Runs before a PUSH is written. The push fails with an error.
    fn pre_write_push<'a>(&'a self, _ctx: &'a mut WriteCtx) -> Hook<'a> {
        Hook::OK
    }

    /// Runs after a PUSH was written. An error is logged.
    fn post_write_push<'a>(&'a self, _ctx: &'a mut WriteCtx) -> Hook<'a> {
        Hook::OK
    }

    /// Runs before anything else is done with a message. An error ends reading and closes the
    /// connection.
    fn pre_read_header<'a>(&'a self, _ctx: &'a mut PreCtx) -> Hook<'a> {
        Hook::OK
    }

    /// Runs when the head of a CALL was read, before routing; may change its uri, and so its
    /// route. An error becomes the reply. A call that is turned away for lack of room does not wait
    /// for it.
    fn post_read_call_header<'a>(&'a self, _ctx: &'a mut ReadCtx) -> Hook<'a> {
        Hook::OK
    }

    /// Runs before the body of a CALL is decoded. An error becomes the reply.
    fn pre_read_call_body<'a>(&'a self, _ctx: &'a mut ReadCtx) -> Hook<'a> {
        Hook::OK
    }

    /// Runs when the body of a CALL was decoded, before its handler. An error becomes the reply.
    fn post_read_call_body<'a>(&'a self, _ctx: &'a mut ReadCtx) -> Hook<'a> {
        Hook::OK
    }

    /// Runs when the head of a PUSH was read, before routing; may change its uri, and so its
    /// route. An error drops the push, and is logged.
    fn post_read_push_header<'a>(&'a self, _ctx: &'a mut ReadCtx) -> Hook<'a> {
        Hook::OK
    }

    /// Runs before the body of a PUSH is decoded. An error drops the push, and is logged.
    fn pre_read_push_body<'a>(&'a self, _ctx: &'a mut ReadCtx) -> Hook<'a> {
        Hook::OK
    }

    /// Runs when the body of a PUSH was decoded, before its handler. An error drops the push, and
    /// is logged.
    fn post_read_push_body<'a>(&'a self, _ctx: &'a mut ReadCtx) -> Hook<'a> {
        Hook::OK
    }

    /// Runs when the head of a REPLY was read. An error becomes the call's.
    fn post_read_reply_header<'a>(&'a self, _ctx: &'a mut ReadCtx) -> Hook<'a> {
        Hook::OK
    }

    /// Runs before the body of a REPLY is handed to its call. An error becomes the call's.
    fn pre_read_reply_body<'a>(&'a self, _ctx: &'a mut ReadCtx) -> Hook<'a> {
        Hook::OK
    }

    /// Runs when the body of a REPLY was read; the call decodes it afterwards, into the type it
    /// wants. An error becomes the call's.
    fn post_read_reply_body<'a>(&'a self, _ctx: &'a mut ReadCtx) -> Hook<'a> {
        Hook::OK
    }
}

impl fmt::Debug for dyn Plugin {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Plugin({})", self.name())
    }
}
