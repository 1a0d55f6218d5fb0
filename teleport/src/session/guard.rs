//! What vouches for the messages of a connection that no message hook sees.

use std::any::Any;

use super::Session;
use crate::message::Message;
use crate::rerror::Rerror;

/// Vouches for the messages of one connection that no message hook sees, for plugins that encrypt or
/// authenticate all that is said on it.
///
/// These are the messages of handshakes that come after
/// [`PreSession::set_guard`](super::PreSession::set_guard), and the notices by which two peers of
/// this kind tell each other that a caller gave up, or that an end goes away. What they say of a
/// call's remaining time is in the metadata of the call before
/// [`pre_write_call`](crate::Plugin::pre_write_call), and is looked for behind
/// [`post_read_call_header`](crate::Plugin::post_read_call_header), on a connection with a guard.
///
/// A guard belongs to one connection: a session that dials again has another one on each.
///
/// # Examples
///
/// ```
/// use std::sync::Arc;
/// use teleport::session::Guard;
/// use teleport::{Message, Plugin, PreSession, Rerror, plugin};
///
/// /// Marks what it lets out, and lets in what is marked. A real one would make a MAC.
/// struct Marks;
///
/// impl Guard for Marks {
///     fn seal(&self, message: &mut Message) -> Result<(), Rerror> {
///         message.header.meta.add("mark", "1");
///         Ok(())
///     }
///
///     fn open(&self, message: &mut Message) -> Result<(), Rerror> {
///         match message.header.meta.remove("mark") {
///             0 => Err(Rerror::new(403, "not marked", "")),
///             _ => Ok(()),
///         }
///     }
/// }
///
/// struct Marking;
///
/// #[plugin]
/// impl Plugin for Marking {
///     fn name(&self) -> &str {
///         "marking"
///     }
///
///     fn post_dial(&self, session: &mut PreSession) -> Result<(), Rerror> {
///         Ok(session.set_guard(Arc::new(Marks))?)
///     }
/// }
/// ```
pub trait Guard: Any + Send + Sync {
    /// Changes a message that goes out so that the other end can tell who wrote it. Its type and its
    /// sequence text must stay.
    ///
    /// # Errors
    ///
    /// The message must not go out; then it does not.
    fn seal(&self, message: &mut Message) -> Result<(), Rerror>;

    /// Undoes what the other end's guard did to a message.
    ///
    /// # Errors
    ///
    /// It is not what the other end wrote, or came before. The connection is closed with the reason.
    fn open(&self, message: &mut Message) -> Result<(), Rerror>;
}

impl Session {
    /// The guard of a connection, if a plugin put one there and it is a `G`. In a hook of a message it
    /// is that of the connection by which the message comes or goes; elsewhere that of the connection
    /// which the handle was made for, which may be over if the session dials again.
    #[must_use]
    pub fn guard<G: Guard>(&self) -> Option<&G> {
        let guard: &dyn Any = &**self.0.guard.as_ref()?;
        guard.downcast_ref()
    }
}
