//! The addresses that a peer listens on.

use std::sync::{Arc, Mutex, Weak};

use tokio_util::sync::CancellationToken;

use super::Peer;
use crate::lock;
use crate::socket::{Address, BoundListener};

impl Peer {
    /// The addresses that this peer listens on, in the order in which that began.
    #[must_use]
    pub fn listeners(&self) -> Vec<Listening> {
        self.0.listeners.all()
    }
}

/// An address that a peer listens on.
///
/// While it is held the socket stays open, also when the peer takes no connections any more: drop
/// it soon.
#[derive(Clone, Debug)]
pub struct Listening {
    asked: String,
    address: Address,
    listener: Arc<BoundListener>,
    stop: CancellationToken,
    #[cfg(feature = "tls")]
    encrypted: bool,
}

impl Listening {
    /// The address that was asked for, where `listen_on` was given one: with port 0, if that was in
    /// it.
    #[must_use]
    pub fn asked(&self) -> &str {
        &self.asked
    }

    /// The bound address.
    #[must_use]
    pub const fn address(&self) -> &Address {
        &self.address
    }

    /// Whether its connections are encrypted.
    #[cfg(feature = "tls")]
    #[cfg_attr(docsrs, doc(cfg(feature = "tls")))]
    #[must_use]
    pub const fn is_encrypted(&self) -> bool {
        self.encrypted
    }

    /// Takes no more connections here. Sessions go on. The address is free when this and its clones
    /// are dropped too.
    pub fn stop(&self) {
        self.stop.cancel();
    }

    /// Leaves the file of a unix socket where it is when this peer is done with it: another process
    /// goes on with the socket.
    pub fn keep_file(&self) {
        self.listener.keep_file();
    }

    /// Whether the file of a unix socket is removed with the listener.
    #[cfg(all(unix, feature = "graceful"))]
    pub(crate) fn owns_file(&self) -> bool {
        self.listener.owns_file()
    }
}

#[cfg(unix)]
impl std::os::fd::AsFd for Listening {
    /// The listening socket, to hand it to another process.
    fn as_fd(&self) -> std::os::fd::BorrowedFd<'_> {
        self.listener.as_fd()
    }
}

/// The addresses that a peer listens on.
#[derive(Default)]
pub(super) struct Listeners(Mutex<Vec<Entry>>);

pub(super) struct Entry {
    pub(super) asked: String,
    pub(super) address: Address,
    pub(super) listener: Weak<BoundListener>,
    pub(super) stop: CancellationToken,
    #[cfg(feature = "tls")]
    pub(super) encrypted: bool,
}

impl Listeners {
    pub(super) fn add(&self, entry: Entry) {
        let mut entries = lock(&self.0);
        entries.retain(|entry| entry.listener.strong_count() > 0);
        entries.push(entry);
    }

    pub(super) fn all(&self) -> Vec<Listening> {
        let entries = lock(&self.0);
        let of = |entry: &Entry| {
            Some(Listening {
                asked: entry.asked.clone(),
                address: entry.address.clone(),
                listener: entry.listener.upgrade()?,
                stop: entry.stop.clone(),
                #[cfg(feature = "tls")]
                encrypted: entry.encrypted,
            })
        };
        entries.iter().filter_map(of).collect()
    }
}
