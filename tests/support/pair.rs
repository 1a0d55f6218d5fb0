//! Two peers with a connection in memory between them.

use std::future::Future;
use std::pin::Pin;
use std::task::{Context, Poll, Waker};
use std::time::{Duration, Instant};

use bytes::Bytes;
use teleport::codec::Raw;
use teleport::{Peer, PeerBuilder, Session};
use tokio::io::DuplexStream;

use crate::counting::{Counting, Writes};

/// How many bytes a connection in memory holds.
pub const ROOM: usize = 64 * 1024;

/// Two peers and both ends of a connection between them.
#[derive(Debug)]
pub struct Pair {
    pub server: Peer,
    pub client: Peer,
    /// The server's end.
    pub there: Session,
    /// The client's end.
    pub here: Session,
}

impl Pair {
    /// Two peers with default settings.
    pub async fn new() -> Self {
        Self::of(Peer::builder(), Peer::builder()).await
    }

    /// Builds the peers and connects them.
    pub async fn of(server: PeerBuilder, client: PeerBuilder) -> Self {
        let (server, client) = (server.build().unwrap(), client.build().unwrap());
        let (there, here) = connect(&server, &client).await;
        Self {
            server,
            client,
            there,
            here,
        }
    }
}

/// Connects two peers; returns the first one's end, then the second one's.
pub async fn connect(server: &Peer, client: &Peer) -> (Session, Session) {
    connect_with_room(server, client, ROOM).await
}

/// [`connect`] by a connection that holds so many bytes each way.
pub async fn connect_with_room(server: &Peer, client: &Peer, room: usize) -> (Session, Session) {
    let (near, far) = tokio::io::duplex(room);
    let (there, here) = tokio::join!(server.serve_conn(near), client.dial_conn(far));
    (there.unwrap(), here.unwrap())
}

/// [`connect`] with the writes of both ends counted, in the same order.
pub async fn connect_counted(server: &Peer, client: &Peer) -> [(Session, Writes); 2] {
    let (near, far) = tokio::io::duplex(1 << 20);
    let ((near, there_writes), (far, here_writes)) = (Counting::new(near), Counting::new(far));
    let (there, here) = tokio::join!(server.serve_conn(near), client.dial_conn(far));
    [(there.unwrap(), there_writes), (here.unwrap(), here_writes)]
}

/// A session of a peer with a bare byte stream at its other end.
pub async fn bare(peer: &Peer, room: usize) -> (Session, DuplexStream) {
    let (near, far) = tokio::io::duplex(room);
    (peer.serve_conn(near).await.unwrap(), far)
}

/// Lets everything run that can run without anything happening outside.
pub async fn settle() {
    for _ in 0..200 {
        tokio::task::yield_now().await;
    }
}

/// How long [`until`] waits at most: only a test that fails waits for so long.
const PATIENCE: Duration = Duration::from_secs(60);

/// Lets others run until something is so that tells nobody; `what` is it in words. A paused clock
/// stands still meanwhile.
pub async fn until(what: &str, is_so: impl Fn() -> bool) {
    let started = Instant::now();
    while !is_so() {
        assert!(started.elapsed() < PATIENCE, "waited in vain: {what}");
        tokio::task::yield_now().await;
    }
}

/// A call whose body and reply are bytes.
pub async fn call_bytes(
    session: &Session,
    uri: &str,
    body: impl Into<Bytes>,
) -> Result<Bytes, teleport::Error> {
    let reply: Raw<Bytes> = session.call(uri, Raw(body.into())).await?;
    Ok(reply.0)
}

/// Polls a future once; nobody is woken when it could go on.
pub fn poll_once<F: Future + Unpin>(future: &mut F) -> Poll<F::Output> {
    Pin::new(future).poll(&mut Context::from_waker(Waker::noop()))
}
