//! Somebody in the middle of a connection in memory, who sees every raw frame and may change it.

use std::sync::{Arc, Mutex};

use tokio::io::{AsyncWriteExt, DuplexStream, ReadHalf, WriteHalf};
use tokio::sync::mpsc;

use crate::frames::read_bytes;

/// Which way a frame goes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Way {
    ToServer,
    ToClient,
}

type Frames = Arc<Mutex<Vec<(Way, Vec<u8>)>>>;

/// The one in the middle.
#[derive(Debug)]
pub struct Middle {
    seen: Frames,
    inject: mpsc::UnboundedSender<(Way, Vec<u8>)>,
}

impl Middle {
    /// The frames that the ends sent so far, in order.
    pub fn seen(&self) -> Vec<(Way, Vec<u8>)> {
        self.seen.lock().unwrap().clone()
    }

    /// The frames that went one way so far.
    pub fn seen_to(&self, way: Way) -> Vec<Vec<u8>> {
        let seen = self.seen().into_iter().filter(|(w, _)| *w == way);
        seen.map(|(_, frame)| frame).collect()
    }

    /// Sends a frame of its own.
    pub fn inject(&self, way: Way, frame: impl Into<Vec<u8>>) {
        // After the end of the connection there is nobody to send to.
        let _ = self.inject.send((way, frame.into()));
    }
}

/// Puts somebody in the middle: what `change` makes of a frame goes on in its place. Returns the
/// stream for the client, that for the server, and the one between them.
pub fn middle(
    change: impl FnMut(Way, Vec<u8>) -> Vec<Vec<u8>> + Send + 'static,
) -> (DuplexStream, DuplexStream, Middle) {
    let (client, near_client) = tokio::io::duplex(1 << 20);
    let (server, near_server) = tokio::io::duplex(1 << 20);
    let (inject, injected) = mpsc::unbounded_channel();
    let middle = Middle {
        seen: Arc::default(),
        inject,
    };
    let seen = Arc::clone(&middle.seen);
    tokio::spawn(relay(near_client, near_server, injected, seen, change));
    (client, server, middle)
}

async fn relay(
    near_client: DuplexStream,
    near_server: DuplexStream,
    mut injected: mpsc::UnboundedReceiver<(Way, Vec<u8>)>,
    seen: Frames,
    mut change: impl FnMut(Way, Vec<u8>) -> Vec<Vec<u8>>,
) {
    let (from_client, to_client) = tokio::io::split(near_client);
    let (from_server, to_server) = tokio::io::split(near_server);
    let (sender, mut frames) = mpsc::unbounded_channel();
    tokio::spawn(read(from_client, Way::ToServer, sender.clone()));
    tokio::spawn(read(from_server, Way::ToClient, sender));
    let mut ends = Ends {
        to_client,
        to_server,
    };
    loop {
        tokio::select! {
            biased;
            Some((way, frame)) = injected.recv() => ends.write(way, &frame).await,
            frame = frames.recv() => match frame {
                None => return,
                Some((way, None)) => ends.end(way).await,
                Some((way, Some(frame))) => {
                    seen.lock().unwrap().push((way, frame.clone()));
                    for frame in change(way, frame) {
                        ends.write(way, &frame).await;
                    }
                }
            },
        }
    }
}

struct Ends {
    to_client: WriteHalf<DuplexStream>,
    to_server: WriteHalf<DuplexStream>,
}

impl Ends {
    fn half(&mut self, way: Way) -> &mut WriteHalf<DuplexStream> {
        match way {
            Way::ToClient => &mut self.to_client,
            Way::ToServer => &mut self.to_server,
        }
    }

    async fn write(&mut self, way: Way, frame: &[u8]) {
        // An end may have left.
        let _ = self.half(way).write_all(frame).await;
    }

    async fn end(&mut self, way: Way) {
        let _ = self.half(way).shutdown().await;
    }
}

/// Reads whole frames, and says when there are no more.
async fn read(
    mut half: ReadHalf<DuplexStream>,
    way: Way,
    frames: mpsc::UnboundedSender<(Way, Option<Vec<u8>>)>,
) {
    loop {
        let frame = read_bytes(&mut half).await.ok().flatten();
        let is_end = frame.is_none();
        if frames.send((way, frame)).is_err() || is_end {
            return;
        }
    }
}
