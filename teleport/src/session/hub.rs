//! The sessions of a peer, by name.

use std::fmt;
use std::sync::Arc;
use std::sync::atomic::Ordering;

use dashmap::{DashMap, Entry};

use super::Session;
use super::inner::Inner;
use super::launch::encode;
use super::push::send_ready;
use crate::codec::{self, ToBody};
use crate::error::Error;
use crate::lock;
use crate::peer::Shared;

/// The table of a peer's sessions. Hands out clones only, never a lock.
#[derive(Default)]
pub(crate) struct Hub {
    sessions: DashMap<Arc<str>, Arc<Inner>>,
}

impl Hub {
    /// Puts a new session in. Its natural name may be taken, by another that was given it or by
    /// the other end of a connection of the peer with itself; then it gets one of its own.
    pub(super) fn insert_new(&self, inner: &Arc<Inner>) {
        let id = inner.id();
        match self.sessions.entry(Arc::clone(&id)) {
            Entry::Vacant(place) => {
                place.insert(Arc::clone(inner));
                return;
            }
            Entry::Occupied(_) => {}
        }
        inner.replace_id(format!("{id}#{}", inner.number).into());
        self.insert(inner);
    }

    /// Puts a session in. One that had the name before is closed.
    fn insert(&self, inner: &Arc<Inner>) {
        if let Some(before) = self.sessions.insert(inner.id(), Arc::clone(inner))
            && before.number != inner.number
        {
            before.begin_close("another session took its id");
        }
    }

    /// Puts the newest connection of a session in the place of another; under its naming lock.
    pub(super) fn replace(&self, before: &Inner, inner: &Arc<Inner>) {
        if let Entry::Occupied(mut place) = self.sessions.entry(inner.id())
            && place.get().number == before.number
        {
            place.insert(Arc::clone(inner));
        }
    }

    /// Takes a session out that has ended.
    pub(super) fn retire(&self, inner: &Inner) {
        inner.gone.store(true, Ordering::SeqCst);
        self.remove(inner);
    }

    fn remove(&self, inner: &Inner) {
        self.remove_named(&inner.id(), inner);
    }

    fn remove_named(&self, id: &str, inner: &Inner) {
        self.sessions
            .remove_if(id, |_, there| there.number == inner.number);
    }

    pub(crate) fn get(&self, id: &str) -> Option<Session> {
        self.sessions
            .get(id)
            .map(|entry| Session(Arc::clone(entry.value())))
    }

    pub(crate) fn len(&self) -> usize {
        self.sessions.len()
    }

    pub(crate) fn all(&self) -> Vec<Session> {
        self.sessions
            .iter()
            .map(|entry| Session(Arc::clone(entry.value())))
            .collect()
    }
}

impl fmt::Debug for Hub {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Hub").field("len", &self.len()).finish()
    }
}

impl Inner {
    fn is_gone(&self) -> bool {
        self.gone.load(Ordering::SeqCst)
    }

    /// Gives the session another name.
    pub(super) fn set_id(self: &Arc<Self>, id: &str) {
        let _naming = lock(self.naming());
        // It is the newest connection that the name stands for.
        self.newest().rename(id);
    }

    fn rename(self: &Arc<Self>, id: &str) {
        if &*self.id() == id {
            return;
        }
        let hub = self.shared.hub();
        let before = self.replace_id(id.into());
        if !self.is_gone() {
            hub.insert(self);
        }
        // The old name goes last, so that the session can be found at all times.
        hub.remove_named(&before, self);
        if self.is_gone() {
            // It ended meanwhile, and may have looked for itself before it was there.
            hub.remove(self);
        }
    }
}

/// The sessions of a peer.
#[derive(Clone, Debug)]
pub struct Sessions {
    shared: Arc<Shared>,
}

/// What became of a broadcast.
#[derive(Debug, Default)]
#[non_exhaustive]
pub struct Broadcast {
    /// How many sessions the message was written or queued for.
    pub sent: usize,
    /// The sessions that it was not sent to, and why. One that does not read what is queued for
    /// it already is refused with [`ErrorKind::Busy`](crate::ErrorKind::Busy), so that it delays
    /// no other.
    pub failed: Vec<(Session, Error)>,
}

impl Sessions {
    pub(crate) fn new(shared: Arc<Shared>) -> Self {
        Self { shared }
    }

    /// The session of this id.
    #[must_use]
    pub fn get(&self, id: &str) -> Option<Session> {
        self.shared.hub().get(id)
    }

    /// How many there are.
    #[must_use]
    #[doc(alias = "count")]
    pub fn len(&self) -> usize {
        self.shared.hub().len()
    }

    /// Whether there is none.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// All sessions, as they are now, in no order.
    #[must_use]
    pub fn all(&self) -> Vec<Session> {
        self.shared.hub().all()
    }

    /// Visits the sessions until `visit` says `false`. They may change meanwhile.
    #[doc(alias = "RangeSession")]
    pub fn range(&self, mut visit: impl FnMut(&Session) -> bool) {
        for session in self.all() {
            if !visit(&session) {
                return;
            }
        }
    }

    /// Pushes to all sessions, in the peer's default codec; the body is encoded once.
    ///
    /// # Errors
    ///
    /// The body cannot be encoded. What fails for one session alone is in the result.
    ///
    /// # Cancel safety
    ///
    /// Dropped before it is done, some sessions have the push and others have not.
    pub async fn broadcast(&self, uri: &str, body: impl ToBody) -> Result<Broadcast, Error> {
        self.broadcast_in(self.shared.call_defaults().codec, uri, body, |_| true)
            .await
    }

    /// Pushes to the sessions that `wanted` picks, in a codec; the body is encoded once.
    ///
    /// # Errors
    ///
    /// The body cannot be encoded. What fails for one session alone is in the result.
    ///
    /// # Cancel safety
    ///
    /// As of [`broadcast`](Self::broadcast).
    pub async fn broadcast_in(
        &self,
        codec: u8,
        uri: &str,
        body: impl ToBody,
        mut wanted: impl FnMut(&Session) -> bool,
    ) -> Result<Broadcast, Error> {
        let codec = match codec {
            codec::NONE => self.shared.call_defaults().codec,
            codec => codec,
        };
        let mut result = Broadcast::default();
        let mut ready = None;
        for session in self.all() {
            if !wanted(&session) {
                continue;
            }
            let bytes = match &ready {
                Some(bytes) => bytes,
                None => ready.insert(encode(&session.0, codec, &body)?),
            };
            match send_ready(&session, uri, codec, bytes).await {
                Ok(()) => result.sent += 1,
                Err(error) => result.failed.push((session, error)),
            }
        }
        Ok(result)
    }
}
