//! Servers in memory that are dialled again, and that go away when told.

use std::io;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex};

use teleport::Peer;
use teleport::socket::Connect;
use tokio::io::DuplexStream;
use tokio::sync::mpsc::{UnboundedReceiver, unbounded_channel};
use tokio::time::Instant;

use crate::pair::ROOM;

/// A server that is dialled by connections in memory. It notes when.
#[derive(Clone)]
pub struct Exchange(Arc<Shared>);

struct Shared {
    server: Mutex<Peer>,
    is_up: AtomicBool,
    dials: Mutex<Vec<Instant>>,
    room: usize,
}

impl Exchange {
    /// Puts a server behind it.
    pub fn new(server: &Peer) -> Self {
        Self::with_room(server, ROOM)
    }

    /// [`new`](Self::new) with connections that hold so many bytes each way.
    pub fn with_room(server: &Peer, room: usize) -> Self {
        Self(Arc::new(Shared {
            server: Mutex::new(server.clone()),
            is_up: AtomicBool::new(true),
            dials: Mutex::default(),
            room,
        }))
    }

    /// What dials it.
    pub fn connector(&self) -> impl Connect + use<> {
        let this = self.clone();
        move || {
            let this = this.clone();
            async move { this.dial() }
        }
    }

    fn dial(&self) -> io::Result<DuplexStream> {
        self.0.dials.lock().unwrap().push(Instant::now());
        if !self.0.is_up.load(Ordering::SeqCst) {
            return Err(io::ErrorKind::ConnectionRefused.into());
        }
        let (near, far) = tokio::io::duplex(self.0.room);
        let server = self.server();
        tokio::spawn(async move { server.serve_conn(far).await });
        Ok(near)
    }

    /// Takes connections, or refuses them.
    pub fn set_up(&self, is_up: bool) {
        self.0.is_up.store(is_up, Ordering::SeqCst);
    }

    fn server(&self) -> Peer {
        self.0.server.lock().unwrap().clone()
    }

    /// Puts another server in the place of this one.
    pub fn serve_by(&self, server: &Peer) {
        *self.0.server.lock().unwrap() = server.clone();
    }

    /// Cuts all connections.
    pub fn cut(&self) {
        for session in self.server().sessions().all() {
            session.abort();
        }
    }

    /// Cuts all connections and takes no more.
    pub fn go_down(&self) {
        self.set_up(false);
        self.cut();
    }

    /// When it was dialled.
    pub fn dials(&self) -> Vec<Instant> {
        self.0.dials.lock().unwrap().clone()
    }
}

/// What dials, and the other ends of its connections, as bare streams.
pub fn bare_line(room: usize) -> (impl Connect, UnboundedReceiver<DuplexStream>) {
    let (offer, offered) = unbounded_channel();
    let connector = move || {
        let (near, far) = tokio::io::duplex(room);
        let offered = offer.send(far);
        async move {
            offered.map_err(|_| io::Error::from(io::ErrorKind::ConnectionRefused))?;
            Ok(near)
        }
    };
    (connector, offered)
}
