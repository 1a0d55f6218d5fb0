//! Our server, and a hand-made client that says what was recorded.

use std::collections::BTreeMap;
use std::collections::btree_map::Entry;

use teleport::{Error, Peer, Session};
use teleport_tests::standard::{self, Notes, Options};
use teleport_tests::vectors::{Check, same};
use tokio::io::{AsyncRead, AsyncWrite};
use tokio::task::JoinHandle;

use super::rules;
use super::script::{End, Script, What};
use super::wire::Wire;

pub(super) async fn replay(script: &Script) -> Check {
    let options = script.options(End::Server);
    let notes = Notes::default();
    let server = standard::server(&options, &notes).map_err(|error| error.to_string())?;
    let mut conns = BTreeMap::new();
    for event in &script.events {
        let conn = match conns.entry(event.conn) {
            Entry::Occupied(open) => open.into_mut(),
            Entry::Vacant(new) => new.insert(Conn::open(&server, &options)),
        };
        match (event.from, &event.what) {
            (End::Client, What::Frame(frame)) => {
                conn.wire.settle().await?;
                conn.wire.say(frame).await;
            }
            (End::Client, What::Bytes(bytes)) => {
                conn.wire.settle().await?;
                conn.wire.say_broken(bytes).await;
            }
            (End::Client, What::Garbled(bytes)) => {
                conn.wire.settle().await?;
                conn.wire.say_broken(bytes).await;
                conn.end().await?;
            }
            (_, What::Cut) | (End::Server, What::Garbled(_)) => {}
            (End::Client, What::Close) => {
                conn.wire.settle().await?;
                // To wait for a running handler would be to miss the moment. Who began a message and
                // does not end it is left some time.
                let is_idle = conn.wire.open_calls() == 0 && !conn.wire.is_unfinished();
                if is_idle && !conn.ended && conn.wire.rest().await? {
                    return Err("the server closed before the client".into());
                }
                conn.wire.shut().await;
                conn.client_closed = true;
            }
            (End::Server, What::Frame(frame)) => {
                conn.refused |= rules::refuses(frame);
                conn.wire.expect(frame);
            }
            (End::Server, What::Bytes(_)) => {
                return Err("the recorded server said what is no frame".into());
            }
            (End::Server, What::Close) => {
                conn.wire.settle().await?;
                conn.end().await?;
            }
        }
    }
    let minds_silence = rules::minds_silence(script, &options);
    for conn in conns.values_mut() {
        conn.finish(minds_silence).await?;
    }
    same(
        "pushes that the handlers saw",
        notes.all(),
        rules::notes_due(script, End::Server, &options),
    )
}

struct Conn {
    wire: Wire,
    served: Served,
    refused: bool,
    client_closed: bool,
    ended: bool,
}

/// The server's end of a connection: a session once all handshakes are over.
pub(super) struct Served {
    shaking: Option<JoinHandle<Result<Session, Error>>>,
    session: Option<Session>,
}

impl Served {
    pub(super) fn start<S>(server: Peer, stream: S) -> Self
    where
        S: AsyncRead + AsyncWrite + Send + Unpin + 'static,
    {
        Self {
            shaking: Some(tokio::spawn(async move { server.serve_conn(stream).await })),
            session: None,
        }
    }

    /// The session; `None` if it was refused.
    pub(super) async fn session(&mut self) -> Option<&Session> {
        if let Some(shaking) = self.shaking.take() {
            self.session = shaking.await.ok()?.ok();
        }
        self.session.as_ref()
    }
}

impl Conn {
    fn open(server: &Peer, options: &Options) -> Self {
        let (ours, theirs) = tokio::io::duplex(1 << 20);
        Self {
            wire: Wire::new(ours, options),
            served: Served::start(server.clone(), theirs),
            refused: false,
            client_closed: false,
            ended: false,
        }
    }

    /// The server has to close now: by itself after what it cannot go on after, and when the
    /// client has closed. Else the recorded server was closed by hand.
    async fn end(&mut self) -> Check {
        if !self.wire.rest().await? {
            if self.wire.is_broken() || self.client_closed || self.refused {
                return Err("the server stays open, but should close".into());
            }
            if let Some(session) = self.served.session().await {
                session.close().await;
            }
            if !self.wire.rest().await? {
                return Err("the server was closed by hand, but its stream goes on".into());
            }
        }
        self.ended = true;
        if let Some(session) = self.served.session().await {
            session.closed().await;
        }
        Ok(())
    }

    /// The recording is over: nothing more may come, but the end of who minds our silence.
    async fn finish(&mut self, minds_silence: bool) -> Check {
        self.wire.settle().await?;
        let ended = self.wire.rest().await?;
        if ended && !self.ended && !self.client_closed && !minds_silence {
            let session = self.served.session().await;
            let why = session.and_then(Session::close_reason).unwrap_or_default();
            return Err(format!("the server closed: {why}").into());
        }
        Ok(())
    }
}
