//! Handles that do not keep a peer.

use std::fmt;
use std::sync::{Arc, Weak};

use tokio_util::sync::CancellationToken;

use super::{Peer, Shared};

/// A handle that does not keep a peer in memory, for what looks after one in the background; see
/// [`Peer::downgrade`].
#[derive(Clone)]
pub struct WeakPeer {
    shared: Weak<Shared>,
    closing: CancellationToken,
}

impl WeakPeer {
    /// The peer, if somebody still has it: a handle, a listener, or a session.
    #[must_use]
    pub fn upgrade(&self) -> Option<Peer> {
        self.shared.upgrade().map(Peer)
    }

    /// Waits until somebody closes the peer. One that is forgotten is not closed: this waits on.
    ///
    /// # Cancel safety
    ///
    /// It changes nothing.
    pub async fn closing(&self) {
        self.closing.cancelled().await;
    }

    /// Whether this is a handle of that peer.
    #[must_use]
    pub fn is_of(&self, peer: &Peer) -> bool {
        std::ptr::eq(self.shared.as_ptr(), Arc::as_ptr(&peer.0))
    }
}

impl fmt::Debug for WeakPeer {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("WeakPeer")
    }
}

impl Peer {
    /// A handle that does not keep the peer in memory.
    #[must_use]
    pub fn downgrade(&self) -> WeakPeer {
        WeakPeer {
            shared: Arc::downgrade(&self.0),
            closing: self.0.closing.clone(),
        }
    }
}
