//! Our client, and a hand-made server that says what was recorded.

use std::collections::BTreeMap;
use std::collections::btree_map::Entry;

use teleport::message::Mtype;
use teleport::{Peer, Session};
use teleport_tests::standard::call::push;
use teleport_tests::standard::{self, Notes, Options};
use teleport_tests::vectors::{Check, Miss, same};
use tokio::time::timeout;

use super::results::{Calls, Counter, spec};
use super::rules;
use super::script::{End, Frame, Script, What};
use super::wire::{QUIET, Wire};

pub(super) async fn replay(script: &Script) -> Check {
    let options = script.options(End::Client);
    let notes = Notes::default();
    let client =
        standard::client(&options, &notes, |builder| builder).map_err(|error| error.to_string())?;
    let mut conns = BTreeMap::new();
    let mut calls = Calls::new(script);
    for (at, event) in script.events.iter().enumerate() {
        let conn = match conns.entry(event.conn) {
            Entry::Occupied(open) => open.into_mut(),
            Entry::Vacant(new) => new.insert(Conn::open(&client, &options).await?),
        };
        match (event.from, &event.what) {
            (End::Client, What::Frame(frame)) => {
                conn.wire.expect(frame);
                match frame.mtype {
                    Mtype::CALL => {
                        calls.make(&conn.session, at, frame, &mut conn.counter)?;
                    }
                    Mtype::PUSH => conn.push(frame).await?,
                    _ => {}
                }
                conn.wire.settle().await?;
            }
            (End::Client, What::Bytes(_)) => {
                return Err("the recorded client said what is no frame".into());
            }
            (End::Server, What::Garbled(bytes)) => {
                conn.wire.say_broken(bytes).await;
                conn.end().await?;
            }
            (_, What::Cut) | (End::Client, What::Garbled(_)) => {}
            (End::Client, What::Close) => conn.end().await?,
            (End::Server, What::Frame(frame)) => conn.wire.say(frame).await,
            (End::Server, What::Bytes(bytes)) => conn.wire.say_broken(bytes).await,
            (End::Server, What::Close) => {
                conn.wire.shut().await;
                conn.server_closed = true;
            }
        }
    }
    for conn in conns.values_mut() {
        conn.finish().await?;
    }
    calls.judge().await?;
    same(
        "pushes that the handlers saw",
        notes.all(),
        rules::notes_due(script, End::Client, &options),
    )
}

struct Conn {
    wire: Wire,
    session: Session,
    counter: Counter,
    server_closed: bool,
    ended: bool,
}

impl Conn {
    async fn open(client: &Peer, options: &Options) -> Result<Self, Miss> {
        let (ours, theirs) = tokio::io::duplex(1 << 20);
        let session = client
            .dial_conn(theirs)
            .await
            .map_err(|error| error.to_string())?;
        Ok(Self {
            wire: Wire::new(ours, options),
            session,
            counter: Counter::default(),
            server_closed: false,
            ended: false,
        })
    }

    async fn push(&mut self, frame: &Frame) -> Check {
        let spec = spec(frame, &mut self.counter)?;
        push(&self.session, &spec)
            .await
            .map_err(|error| format!("{frame}: {error:?}").into())
    }

    /// The client has to close now: by itself after what it cannot go on after, and when the
    /// server has closed. Else the recorded program closed it.
    async fn end(&mut self) -> Check {
        self.wire.settle().await?;
        if !self.wire.rest().await? {
            if self.wire.is_broken() || self.server_closed {
                return Err("the client stays open, but should close".into());
            }
            // Calls that nobody answers would hold the closing up.
            if timeout(QUIET, self.session.close()).await.is_err() {
                self.session.abort();
            }
            if !self.wire.rest().await? {
                return Err("the client was closed by hand, but its stream goes on".into());
            }
        }
        self.ended = true;
        Ok(())
    }

    /// The recording is over: nothing more may come.
    async fn finish(&mut self) -> Check {
        self.wire.settle().await?;
        let ended = self.wire.rest().await?;
        if ended && !self.ended && !self.server_closed {
            let why = self.session.close_reason().unwrap_or_default();
            return Err(format!("the client closed: {why}").into());
        }
        Ok(())
    }
}
