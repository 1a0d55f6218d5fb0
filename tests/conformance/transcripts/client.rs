//! Our client, and a hand-made server that says what was recorded.

use std::collections::BTreeMap;

use teleport::message::Mtype;
use teleport::{Error, Peer, Session};
use teleport_tests::exchange::bare_line;
use teleport_tests::standard::call::push;
use teleport_tests::standard::{self, Notes, Options};
use teleport_tests::vectors::{Check, Miss, same};
use tokio::io::DuplexStream;
use tokio::sync::mpsc::UnboundedReceiver;
use tokio::task::JoinHandle;
use tokio::time::timeout;

use super::results::{Calls, Counter, judge_dial, spec};
use super::rules;
use super::script::{End, Frame, Script, What};
use super::wire::{QUIET, Wire};

pub(super) async fn replay(script: &Script) -> Check {
    let options = script.options(End::Client);
    let notes = Notes::default();
    let client =
        standard::client(&options, &notes, |builder| builder).map_err(|error| error.to_string())?;
    let mut dialler = Dialler::new(&client, &options);
    let mut conns = BTreeMap::new();
    let mut calls = Calls::new(script);
    for (at, event) in script.events.iter().enumerate() {
        if !conns.contains_key(&event.conn) {
            let last = conns.values_mut().last();
            let (stream, client) = dialler
                .open(last.map(|conn: &mut Conn| &mut conn.client))
                .await?;
            conns.insert(event.conn, Conn::new(stream, client, &options));
        }
        let conn = conns.get_mut(&event.conn).expect("it is open");
        match (event.from, &event.what) {
            (End::Client, What::Frame(frame)) => {
                conn.wire.expect(frame);
                match frame.mtype {
                    // These come by themselves.
                    _ if rules::is_auth(frame) || rules::is_own_beat(frame, &options) => {
                        conn.client.counter.skip();
                    }
                    Mtype::CALL => {
                        let client = &mut conn.client;
                        let session = client.dialled.session().await?;
                        calls.make(session, at, frame, &mut client.counter)?;
                    }
                    Mtype::PUSH => conn.push(frame, script.key(End::Client)).await?,
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
            (End::Client, What::Close) if options.ping.is_some() => conn.stop().await?,
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
        conn.finish(options.ping.is_some()).await?;
    }
    let mut dials = script.dials();
    for conn in conns.values_mut() {
        if let Some(due) = dials.next() {
            judge_dial(conn.client.dialled.outcome().await.map(drop), due)?;
        }
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
    client: Client,
    server_closed: bool,
    ended: bool,
}

/// The client's side of a connection.
pub(super) struct Client {
    pub(super) dialled: Dialled,
    pub(super) counter: Counter,
}

/// Opens the connections of a client: each by a dial of its own, or as many as the session wants
/// that dials again.
pub(super) struct Dialler {
    client: Peer,
    offered: Option<UnboundedReceiver<DuplexStream>>,
    first: Option<Dialled>,
}

impl Dialler {
    pub(super) fn new(client: &Peer, options: &Options) -> Self {
        let mut dialler = Self {
            client: client.clone(),
            offered: None,
            first: None,
        };
        if options.redial != 0 {
            let (connector, offered) = bare_line(1 << 20);
            let client = client.clone();
            let dialling = async move { client.dial_by(connector).await };
            dialler.first = Some(Dialled::begin(dialling));
            dialler.offered = Some(offered);
        }
        dialler
    }

    /// The next connection: the other end of it, and the client's side. A session that dials again
    /// has the one `before` already, and goes on with its count.
    pub(super) async fn open(
        &mut self,
        before: Option<&mut Client>,
    ) -> Result<(DuplexStream, Client), Miss> {
        let Some(offered) = &mut self.offered else {
            let (ours, theirs) = tokio::io::duplex(1 << 20);
            let client = self.client.clone();
            let dialled = Dialled::begin(async move { client.dial_conn(theirs).await });
            let counter = Counter::default();
            return Ok((ours, Client { dialled, counter }));
        };
        let stream = timeout(QUIET, offered.recv()).await.ok().flatten();
        let stream = stream.ok_or("the client does not dial")?;
        let client = match (self.first.take(), before) {
            (None, Some(before)) => Client {
                dialled: Dialled::over(before.dialled.session().await?.clone()),
                counter: before.counter.clone(),
            },
            (dialled, _) => Client {
                dialled: dialled.ok_or("the client has not dialled")?,
                counter: Counter::default(),
            },
        };
        Ok((stream, client))
    }
}

/// The client's end of a connection: a session once all handshakes are over.
pub(super) struct Dialled {
    dialling: Option<JoinHandle<Result<Session, Error>>>,
    dialled: Option<Result<Session, Error>>,
}

impl Dialled {
    fn begin(dialling: impl Future<Output = Result<Session, Error>> + Send + 'static) -> Self {
        Self {
            dialling: Some(tokio::spawn(dialling)),
            dialled: None,
        }
    }

    fn over(session: Session) -> Self {
        Self {
            dialling: None,
            dialled: Some(Ok(session)),
        }
    }

    /// What the dial came to.
    pub(super) async fn outcome(&mut self) -> Result<&Session, &Error> {
        if let Some(dialling) = self.dialling.take() {
            let ended = dialling.await;
            self.dialled = Some(ended.expect("a dial does not panic"));
        }
        self.dialled.as_ref().expect("the dial is over").as_ref()
    }

    /// The session of a dial that has to succeed.
    pub(super) async fn session(&mut self) -> Result<&Session, Miss> {
        let outcome = self.outcome().await;
        outcome.map_err(|error| format!("the dial failed: {error:?}").into())
    }
}

impl Conn {
    fn new(stream: DuplexStream, client: Client, options: &Options) -> Self {
        Self {
            wire: Wire::new(stream, options),
            client,
            server_closed: false,
            ended: false,
        }
    }

    async fn push(&mut self, frame: &Frame, key: Option<&str>) -> Check {
        let spec = spec(frame, key, &mut self.client.counter)?;
        push(self.client.dialled.session().await?, &spec)
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
            let session = self.client.dialled.session().await?;
            if timeout(QUIET, session.close()).await.is_err() {
                session.abort();
            }
            if !self.wire.rest().await? {
                return Err("the client was closed by hand, but its stream goes on".into());
            }
        }
        self.ended = true;
        Ok(())
    }

    /// The recorded program closed a client that would send heartbeats for ever.
    async fn stop(&mut self) -> Check {
        self.wire.settle().await?;
        self.client.dialled.session().await?.close().await;
        self.ended = self.wire.rest().await?;
        Ok(())
    }

    /// The recording is over: nothing more may come, but for heartbeats.
    async fn finish(&mut self, beats: bool) -> Check {
        self.wire.settle().await?;
        if beats {
            return Ok(());
        }
        let ended = self.wire.rest().await?;
        if ended && !self.ended && !self.server_closed {
            let session = self.client.dialled.session().await?;
            let why = session.close_reason().unwrap_or_default();
            return Err(format!("the client closed: {why}").into());
        }
        Ok(())
    }
}
