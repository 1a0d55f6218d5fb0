//! Our client and our server: the calls of the recording, and what its program saw of them.

use std::collections::BTreeMap;
use std::time::Duration;

use teleport::message::Mtype;
use teleport_tests::standard::call::push;
use teleport_tests::standard::{self, Notes};
use teleport_tests::vectors::{Check, same};
use tokio::time::timeout;

use super::client::{Client, Dialler};
use super::results::{Calls, judge_dial, spec};
use super::rules;
use super::script::{End, Frame, Script, What};
use super::server::Served;
use super::wire::QUIET;

pub(super) async fn replay(script: &Script) -> Check {
    let server_options = script.options(End::Server);
    let client_options = script.options(End::Client);
    let (server_notes, client_notes) = (Notes::default(), Notes::default());
    let server =
        standard::server(&server_options, &server_notes).map_err(|error| error.to_string())?;
    let client = standard::client(&client_options, &client_notes, |builder| builder)
        .map_err(|error| error.to_string())?;
    let minds_silence = rules::minds_silence(script, &server_options);
    let mut dialler = Dialler::new(&client, &client_options);
    let mut conns = BTreeMap::new();
    let mut calls = Calls::new(script);
    for (at, event) in script.events.iter().enumerate() {
        if !conns.contains_key(&event.conn) {
            let last = conns.values_mut().last();
            let (stream, client) = dialler
                .open(last.map(|conn: &mut Conn| &mut conn.client))
                .await?;
            let served = Served::start(server.clone(), stream);
            conns.insert(event.conn, Conn::new(served, client));
        }
        let conn = conns.get_mut(&event.conn).expect("it is open");
        match (event.from, &event.what) {
            (End::Client, What::Frame(frame)) => match frame.mtype {
                _ if rules::is_auth(frame) => conn.client.counter.skip(),
                _ if rules::is_own_beat(frame, &client_options) => conn.beat(frame).await?,
                Mtype::CALL => {
                    let client = &mut conn.client;
                    let session = client.dialled.session().await?;
                    calls.make(session, at, frame, &mut client.counter)?;
                }
                Mtype::PUSH => {
                    let spec = spec(frame, script.key(End::Client), &mut conn.client.counter)?;
                    push(conn.client.dialled.session().await?, &spec)
                        .await
                        .map_err(|error| format!("{frame}: {error:?}"))?;
                }
                _ => {}
            },
            (End::Server, What::Frame(frame)) if frame.mtype == Mtype::REPLY => {
                calls.wait_for(event.conn, frame).await?;
            }
            // A session that dials again does so when the server closed.
            (End::Client, What::Close) if conn.server_closed => {}
            (End::Client, What::Close) => {
                if let Ok(client) = conn.client.dialled.outcome().await {
                    client.close().await;
                }
            }
            (End::Server, What::Close) => {
                conn.server_closed = true;
                if let Some(server) = conn.served.session().await {
                    match minds_silence {
                        true => server.closed().await,
                        false => server.close().await,
                    }
                }
            }
            _ => {}
        }
    }
    calls.judge().await?;
    let mut dials = script.dials();
    for conn in conns.values_mut() {
        if let Some(due) = dials.next() {
            judge_dial(conn.client.dialled.outcome().await.map(drop), due)?;
        }
        let Ok(client) = conn.client.dialled.outcome().await else {
            continue;
        };
        if timeout(QUIET, client.close()).await.is_err() {
            client.abort();
        }
        if let Some(server) = conn.served.session().await {
            server.closed().await;
        }
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
    served: Served,
    client: Client,
    server_closed: bool,
}

impl Conn {
    fn new(served: Served, client: Client) -> Self {
        Self {
            served,
            client,
            server_closed: false,
        }
    }

    /// Waits for the heartbeat that takes the sequence text of a recorded one.
    async fn beat(&mut self, frame: &Frame) -> Check {
        self.client.counter.skip();
        let due = self.client.counter.sent();
        let client = self.client.dialled.session().await?;
        let sent = async {
            while client.traffic().sent < due {
                tokio::time::sleep(Duration::from_millis(100)).await;
            }
        };
        match timeout(QUIET, sent).await {
            Ok(()) => same(
                "messages sent with the heartbeat",
                client.traffic().sent,
                due,
            ),
            Err(_) => Err(format!("{frame} was not sent").into()),
        }
    }
}
