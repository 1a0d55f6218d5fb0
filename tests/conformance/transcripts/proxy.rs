//! Our proxy, between a hand-made client and a hand-made backend that say what was recorded.

use std::collections::BTreeMap;

use teleport::Peer;
use teleport::message::Mtype;
use teleport::socket::{Address, Stream};
use teleport_tests::exchange::bare_line;
use teleport_tests::standard::Options;
use teleport_tests::standard::relay::{Dialled, relay};
use teleport_tests::vectors::{Check, Miss};
use tokio::io::DuplexStream;
use tokio::sync::mpsc::UnboundedReceiver;
use tokio::time::timeout;

use super::rules;
use super::script::{End, Event, Frame, Leg, Script, What};
use super::server::Served;
use super::wire::{QUIET, Wire};

pub(super) async fn replay(script: &Script) -> Check {
    let options = script.proxy_options();
    let dials = Peer::builder().proto(options.proto.proto()).build();
    let dials = dials.map_err(|error| error.to_string())?;
    let (connector, offered) = bare_line(1 << 20);
    let proxy = relay(&options, Dialled::by(dials, connector)).map_err(|e| e.to_string())?;
    let mut middle = Middle {
        script,
        proxy,
        backend: Some(offered),
        // Backends that were not recorded were not there.
        backends_left: script.conns(Leg::Back),
        fronts: BTreeMap::new(),
        backs: BTreeMap::new(),
        said: Vec::new(),
        options,
    };
    middle.refuse_more();
    for event in &script.events {
        match event.leg {
            Leg::Front => middle.front(event).await?,
            Leg::Back => middle.back(event).await?,
        }
    }
    middle.finish().await
}

/// The proxy and both its neighbours.
struct Middle<'a> {
    script: &'a Script,
    options: Options,
    proxy: Peer,
    /// The connections to the backend that the proxy opened; `None` once there is no backend.
    backend: Option<UnboundedReceiver<DuplexStream>>,
    backends_left: usize,
    fronts: BTreeMap<u64, Front>,
    backs: BTreeMap<u64, Wire>,
    /// What the client said that is to be sent on, in order.
    said: Vec<Said<'a>>,
}

struct Front {
    wire: Wire,
    served: Served,
    ended: bool,
}

/// Something to be sent on, and what became of it.
struct Said<'a> {
    conn: u64,
    frame: &'a Frame,
    /// The sequence text that it went on under.
    seq: Option<Vec<u8>>,
    /// What the backend said to it.
    reply: Option<&'a Frame>,
}

impl<'a> Middle<'a> {
    fn refuse_more(&mut self) {
        if self.backends_left == 0 {
            self.backend = None;
        }
    }

    async fn settle(&mut self) -> Check {
        for back in self.backs.values_mut() {
            back.settle().await?;
        }
        for front in self.fronts.values_mut() {
            front.wire.settle().await?;
        }
        Ok(())
    }

    async fn front(&mut self, event: &'a Event) -> Check {
        self.open_front(event.conn);
        match (event.from, &event.what) {
            (End::Client, What::Frame(frame)) => {
                self.settle().await?;
                self.front_of(event.conn)?.wire.say(frame).await;
                let is_own = rules::is_auth(frame) || frame.mtype == Mtype::REPLY;
                if !is_own {
                    self.said.push(Said {
                        conn: event.conn,
                        frame,
                        seq: None,
                        reply: None,
                    });
                }
            }
            (End::Server, What::Frame(frame)) => {
                let (conn, seq) = (event.conn, &frame.seq);
                let fits = |said: &&Said<'_>| {
                    said.conn == conn && said.frame.seq == *seq && said.frame.mtype == Mtype::CALL
                };
                let reply = self
                    .said
                    .iter()
                    .rev()
                    .find(fits)
                    .and_then(|said| said.reply);
                let due = rules::sent_back(self.script.spoken, frame, reply)?;
                self.front_of(conn)?.wire.expect(&due);
            }
            (End::Client, What::Close) => {
                self.settle().await?;
                let front = self.front_of(event.conn)?;
                if front.wire.rest().await? && !front.ended {
                    return Err("the proxy closed before its client".into());
                }
                front.wire.shut().await;
                front.ended = true;
            }
            (End::Server, What::Close) => {
                self.settle().await?;
                let front = self.front_of(event.conn)?;
                if let Some(session) = front.served.session().await {
                    session.close().await;
                }
                front.ended = true;
                if !front.wire.rest().await? {
                    return Err("the proxy stays open, but should close".into());
                }
            }
            (End::Client, What::Bytes(bytes) | What::Garbled(bytes)) => {
                self.settle().await?;
                let front = self.front_of(event.conn)?;
                front.wire.say_broken(bytes).await;
                front.ended = true;
            }
            (End::Server, What::Bytes(_)) => {
                return Err("the recorded proxy said what is no frame".into());
            }
            (_, What::Cut) | (End::Server, What::Garbled(_)) => {}
        }
        Ok(())
    }

    async fn back(&mut self, event: &'a Event) -> Check {
        match (event.from, &event.what) {
            (End::Client, What::Frame(frame)) => {
                let due = self.sent_on(frame)?;
                self.open_back(event.conn).await?;
                self.back_of(event.conn)?.expect(&due);
            }
            (End::Server, What::Frame(frame)) => {
                self.open_back(event.conn).await?;
                self.settle().await?;
                let mut said = frame.clone();
                if let Some(call) = self.call_of(frame) {
                    call.reply = Some(frame);
                    let seq = call.seq.clone().unwrap_or_default();
                    if seq != frame.seq {
                        said.seq = seq;
                        said.repack(self.script.spoken)?;
                    }
                }
                self.back_of(event.conn)?.say(&said).await;
            }
            (End::Server, What::Bytes(bytes) | What::Garbled(bytes)) => {
                self.open_back(event.conn).await?;
                self.settle().await?;
                self.back_of(event.conn)?.say_broken(bytes).await;
            }
            (End::Server, What::Close) if !self.backs.contains_key(&event.conn) => {
                // It left before anything was sent on, and ours is dialled no sooner than that.
                self.backends_left = self.backends_left.saturating_sub(1);
                self.refuse_more();
            }
            (End::Server, What::Close) => {
                self.settle().await?;
                self.back_of(event.conn)?.shut().await;
            }
            // The proxy's program may close what it dialled whenever it likes.
            (End::Client, What::Close) | (_, What::Cut) => {}
            (End::Client, What::Bytes(_) | What::Garbled(_)) => {
                return Err("the recorded proxy said what is no frame".into());
            }
        }
        Ok(())
    }

    /// What the proxy sends on where that frame was recorded.
    fn sent_on(&mut self, recorded: &Frame) -> Result<Frame, Miss> {
        let (_, seq) = rules::caller_of(&recorded.seq)
            .ok_or_else(|| format!("{recorded} has no sequence text of a proxy"))?;
        let spoken = self.script.spoken;
        let mut said = self.said.iter_mut().enumerate();
        let (number, said) = said
            .find(|(_, said)| {
                let frame = said.frame;
                let fits = frame.mtype == recorded.mtype && frame.seq == seq.as_bytes();
                fits && said.seq.is_none()
            })
            .ok_or_else(|| format!("nobody said what {recorded} is of"))?;
        let due = rules::sent_on(spoken, said.frame, recorded, number)?;
        // What the reply will be found by is the recorded text.
        said.seq = Some(due.seq.clone());
        Ok(due)
    }

    /// The call that a recorded reply of the backend is to.
    fn call_of(&mut self, reply: &Frame) -> Option<&mut Said<'a>> {
        let (_, seq) = rules::caller_of(&reply.seq)?;
        self.said.iter_mut().rev().find(|said| {
            let is_call = said.frame.mtype == Mtype::CALL && said.seq.is_some();
            is_call && said.frame.seq == seq.as_bytes() && said.reply.is_none()
        })
    }

    /// A connection of a client, from the address that the recorded one had.
    fn open_front(&mut self, conn: u64) {
        if self.fronts.contains_key(&conn) {
            return;
        }
        let (ours, theirs) = tokio::io::duplex(1 << 20);
        let remote = self.address_of(conn).unwrap_or_default();
        let theirs = Stream::with_addresses(theirs, Address::Unknown, remote);
        let front = Front {
            wire: Wire::new(ours, &self.options),
            served: Served::start(self.proxy.clone(), theirs),
            ended: false,
        };
        self.fronts.insert(conn, front);
    }

    /// Where the client was, as the proxy told its backend.
    fn address_of(&self, conn: u64) -> Option<Address> {
        let events = &self.script.events;
        let said: Vec<_> = frames(events, Leg::Front, End::Client)
            .filter(|(at, _)| *at == conn)
            .map(|(_, frame)| &frame.seq)
            .collect();
        let mut sent = frames(events, Leg::Back, End::Client);
        sent.find_map(|(_, frame)| {
            let (address, seq) = rules::caller_of(&frame.seq)?;
            let is_of_it = said.iter().any(|said| **said == seq.as_bytes());
            is_of_it.then(|| address.parse().ok().map(Address::Tcp))?
        })
    }

    async fn open_back(&mut self, conn: u64) -> Check {
        if self.backs.contains_key(&conn) {
            return Ok(());
        }
        let offered = self
            .backend
            .as_mut()
            .ok_or("there is no backend any more")?;
        let stream = timeout(QUIET, offered.recv()).await.ok().flatten();
        let stream = stream.ok_or("the proxy does not dial its backend")?;
        self.backs.insert(conn, Wire::new(stream, &self.options));
        self.backends_left -= 1;
        self.refuse_more();
        Ok(())
    }

    fn front_of(&mut self, conn: u64) -> Result<&mut Front, Miss> {
        let front = self.fronts.get_mut(&conn);
        front.ok_or_else(|| format!("there is no client {conn}").into())
    }

    fn back_of(&mut self, conn: u64) -> Result<&mut Wire, Miss> {
        let back = self.backs.get_mut(&conn);
        back.ok_or_else(|| format!("there is no backend {conn}").into())
    }

    /// The recording is over: nothing more may come.
    async fn finish(mut self) -> Check {
        self.settle().await?;
        for back in self.backs.values_mut() {
            back.rest().await?;
        }
        for front in self.fronts.values_mut() {
            if front.wire.rest().await? && !front.ended {
                let session = front.served.session().await;
                let why = session.and_then(teleport::Session::close_reason);
                return Err(format!("the proxy closed: {}", why.unwrap_or_default()).into());
            }
        }
        Ok(())
    }
}

/// What one end said on a leg, with the numbers of the connections.
fn frames(events: &[Event], leg: Leg, from: End) -> impl Iterator<Item = (u64, &Frame)> {
    let said = events
        .iter()
        .filter(move |event| event.leg == leg && event.from == from);
    said.filter_map(|event| match &event.what {
        What::Frame(frame) => Some((event.conn, frame)),
        _ => None,
    })
}
