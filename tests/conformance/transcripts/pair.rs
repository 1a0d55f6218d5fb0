//! Our client and our server: the calls of the recording, and what its program saw of them.

use std::collections::BTreeMap;
use std::collections::btree_map::Entry;

use teleport::message::Mtype;
use teleport::{Peer, Session};
use teleport_tests::standard::call::push;
use teleport_tests::standard::{self, Notes};
use teleport_tests::vectors::{Check, Miss, same};
use tokio::time::timeout;

use super::results::{Calls, Counter, spec};
use super::rules;
use super::script::{End, Script, What};
use super::wire::QUIET;

pub(super) async fn replay(script: &Script) -> Check {
    let server_options = script.options(End::Server);
    let client_options = script.options(End::Client);
    let (server_notes, client_notes) = (Notes::default(), Notes::default());
    let server =
        standard::server(&server_options, &server_notes).map_err(|error| error.to_string())?;
    let client = standard::client(&client_options, &client_notes, |builder| builder)
        .map_err(|error| error.to_string())?;
    let mut conns = BTreeMap::new();
    let mut calls = Calls::new(script);
    for (at, event) in script.events.iter().enumerate() {
        let conn = match conns.entry(event.conn) {
            Entry::Occupied(open) => open.into_mut(),
            Entry::Vacant(new) => new.insert(Conn::open(&server, &client).await?),
        };
        match (event.from, &event.what) {
            (End::Client, What::Frame(frame)) => match frame.mtype {
                Mtype::CALL => calls.make(&conn.client, at, frame, &mut conn.counter)?,
                Mtype::PUSH => {
                    let spec = spec(frame, &mut conn.counter)?;
                    push(&conn.client, &spec)
                        .await
                        .map_err(|error| format!("{frame}: {error:?}"))?;
                }
                _ => {}
            },
            (End::Server, What::Frame(frame)) if frame.mtype == Mtype::REPLY => {
                calls.wait_for(event.conn, frame).await?;
            }
            (End::Client, What::Close) => conn.client.close().await,
            (End::Server, What::Close) => conn.server.close().await,
            _ => {}
        }
    }
    calls.judge().await?;
    for conn in conns.values() {
        if timeout(QUIET, conn.client.close()).await.is_err() {
            conn.client.abort();
        }
        conn.server.closed().await;
    }
    same(
        "pushes that the server's handlers saw",
        server_notes.all(),
        rules::notes_due(script, End::Server, &server_options),
    )?;
    same(
        "pushes that the client's handlers saw",
        client_notes.all(),
        rules::notes_due(script, End::Client, &client_options),
    )
}

struct Conn {
    server: Session,
    client: Session,
    counter: Counter,
}

impl Conn {
    async fn open(server: &Peer, client: &Peer) -> Result<Self, Miss> {
        let (near, far) = tokio::io::duplex(1 << 20);
        let server = server.serve_conn(far).await;
        let client = client.dial_conn(near).await;
        Ok(Self {
            server: server.map_err(|error| error.to_string())?,
            client: client.map_err(|error| error.to_string())?,
            counter: Counter::default(),
        })
    }
}
