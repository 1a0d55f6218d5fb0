//! A transcript as a script: who said what, and when a stream ended.

use bytes::BytesMut;
use serde_json::Value;
use teleport::message::{Head, Meta, Mtype};
use teleport::proto::{Body, Env, Limits, Unpack};
use teleport_tests::standard::{Options, spoken::Spoken};
use teleport_tests::vectors::{Miss, Pairs, bytes, pairs, same, text, unhex};

use super::{rules, secret};
use crate::frames::{byte, ids, meta_of};

/// One of the two ends.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum End {
    Client,
    Server,
}

/// One of the two connections of a conversation with a proxy in the middle; that of any other is the
/// front.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Leg {
    /// Between the client and the proxy.
    Front,
    /// Between the proxy and its backend.
    Back,
}

/// What happened.
#[derive(Clone, Debug)]
pub(super) enum What {
    /// A whole frame.
    Frame(Frame),
    /// Bytes that are no whole frame, or no frame.
    Bytes(Vec<u8>),
    /// A json frame that is no JSON, and that the original reads all the same.
    Garbled(Vec<u8>),
    /// A json frame that the original cuts.
    Cut,
    /// The end of the stream.
    Close,
}

#[derive(Clone, Debug)]
pub(super) struct Event {
    pub(super) leg: Leg,
    pub(super) from: End,
    /// The number of the connection, from 1 on.
    pub(super) conn: u64,
    pub(super) what: What,
}

/// A frame and what stands in it.
#[derive(Clone, Debug, PartialEq)]
pub(super) struct Frame {
    pub(super) bytes: Vec<u8>,
    pub(super) seq: Vec<u8>,
    pub(super) mtype: Mtype,
    pub(super) uri: Vec<u8>,
    pub(super) meta: Pairs,
    pub(super) body_codec: u8,
    pub(super) xfer: Vec<u8>,
    pub(super) body: Vec<u8>,
}

impl Frame {
    /// Reads bytes that are one whole frame.
    pub(super) fn read(spoken: Spoken, bytes: &[u8]) -> Result<Self, String> {
        let mut unpack = spoken.proto().split().1;
        let frame = Self::first(&mut *unpack, bytes, true)?;
        frame.ok_or_else(|| "the frame is incomplete".to_owned())
    }

    /// Reads the frame that bytes start with, `None` when more are needed; without a limit.
    pub(super) fn first(
        unpack: &mut dyn Unpack,
        bytes: &[u8],
        whole: bool,
    ) -> Result<Option<Self>, String> {
        let env = Env {
            limits: Limits::with_message(0),
            ..Env::default()
        };
        let read = unpack
            .unpack(&env, bytes, whole)
            .map_err(|error| error.to_string())?;
        Ok(read.map(|(frame, used)| {
            let head = &frame.head;
            Self {
                bytes: bytes[..used].to_vec(),
                seq: head.seq.to_vec(),
                mtype: head.mtype,
                uri: head.uri.to_vec(),
                meta: meta_of(head),
                body_codec: head.body_codec,
                xfer: head.xfer.to_vec(),
                body: frame.body.to_vec(),
            }
        }))
    }

    /// Packs the frame anew, once something in it is changed.
    pub(super) fn repack(&mut self, spoken: Spoken) -> Result<(), String> {
        let mut meta = Meta::new();
        for (key, value) in &self.meta {
            meta.add(key, value);
        }
        let head = Head {
            seq: &self.seq,
            mtype: self.mtype,
            uri: &self.uri,
            meta: &meta.encoded(),
            body_codec: self.body_codec,
            xfer: &self.xfer,
        };
        let mut bytes = BytesMut::new();
        let pack = spoken.proto().split().0;
        pack.pack(&Env::default(), &head, Body::Slice(&self.body), &mut bytes)
            .map_err(|error| error.to_string())?;
        self.bytes = bytes.into();
        Ok(())
    }

    /// The first value of a key of the metadata.
    pub(super) fn meta(&self, key: &str) -> Option<&[u8]> {
        let (_, value) = self.meta.iter().find(|(k, _)| k == key.as_bytes())?;
        Some(value)
    }

    /// The error that a reply carries.
    pub(super) fn error(&self) -> Option<&[u8]> {
        self.meta("X-Reply-Error").filter(|value| !value.is_empty())
    }

    /// Checks what the recorder made of the frame against what we make of it.
    fn is(&self, decoded: &Value) -> Result<(), Miss> {
        let field = |name: &str| bytes(decoded, name).unwrap_or_default();
        same("recorded seq", &self.seq[..], &field("seq")[..])?;
        same("recorded type", self.mtype.0, byte(&decoded["mtype"])?)?;
        same("recorded uri", &self.uri[..], &field("uri")[..])?;
        let meta = pairs(decoded, "meta").unwrap_or_default();
        same("recorded meta", self.meta.clone(), meta)?;
        same(
            "recorded codec",
            self.body_codec,
            byte(&decoded["body_codec"])?,
        )?;
        same("recorded xfer", &self.xfer[..], &ids(&decoded["xfer"])?[..])?;
        match decoded["body_hex"].as_str() {
            Some(hex) => same("recorded body", &self.body[..], &unhex(hex)[..]),
            None => Ok(()),
        }
    }
}

impl std::fmt::Display for Frame {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(
            f,
            "{} {:?} {:?}",
            self.mtype,
            String::from_utf8_lossy(&self.seq),
            String::from_utf8_lossy(&self.uri)
        )
    }
}

/// A transcript.
#[derive(Clone, Debug)]
pub(super) struct Script {
    pub(super) name: String,
    pub(super) spoken: Spoken,
    pub(super) server_setup: String,
    pub(super) client_setup: String,
    /// The keys of the secure plugins of the server and of the client.
    keys: [Option<String>; 2],
    /// What the client program saw of its calls.
    pub(super) results: Vec<Value>,
    pub(super) events: Vec<Event>,
    /// Whether the original went on after the last event, but we do not.
    pub(super) parts: bool,
    /// What a proxy in the middle is, if there is one.
    pub(super) proxy_setup: Option<String>,
}

impl Script {
    pub(super) fn of(transcript: &Value) -> Result<Self, Miss> {
        let setup = |name: &str| transcript[name].as_str().unwrap_or_default().to_lowercase();
        let events = transcript["events"].as_array().ok_or("no events")?;
        let proto = transcript["proto"].as_str().unwrap_or_default();
        let spoken = Spoken::of(proto).ok_or_else(|| format!("unheard-of protocol {proto:?}"))?;
        let mut events: Vec<_> = events
            .iter()
            .map(|said| event(spoken, said))
            .collect::<Result<_, _>>()?;
        // From there on the conversation is another one.
        let parting = |event: &Event| matches!(event.what, What::Garbled(_) | What::Cut);
        let parting = events.iter().position(parting);
        if let Some(at) = parting {
            events.truncate(at + 1);
        }
        close_the_refused(&mut events);
        let is_back = |event: &Event| event.leg == Leg::Back;
        let (mut server_setup, mut proxy_setup) = (setup("server_setup"), None);
        if rules::has_proxy(transcript) || events.iter().any(is_back) {
            proxy_setup = Some(rules::setup_of("proxy", &server_setup));
            server_setup = rules::setup_of("backend", &server_setup);
        }
        Ok(Self {
            name: text(&transcript["name"]).to_owned(),
            spoken,
            server_setup,
            proxy_setup,
            client_setup: setup("client_setup"),
            keys: ["server_setup", "client_setup"]
                .map(|name| secret::key(transcript[name].as_str().unwrap_or_default())),
            results: transcript["client_results"]
                .as_array()
                .cloned()
                .unwrap_or_default(),
            events,
            parts: parting.is_some(),
        })
    }

    /// One leg of a conversation with a proxy in the middle, as a conversation of two.
    pub(super) fn of_leg(&self, leg: Leg) -> Self {
        let mut script = self.clone();
        script.events.retain(|event| event.leg == leg);
        script.proxy_setup = None;
        script
    }

    /// How many connections there were on a leg.
    pub(super) fn conns(&self, leg: Leg) -> usize {
        let mut conns: Vec<_> = self
            .events
            .iter()
            .filter(|event| event.leg == leg)
            .map(|event| event.conn)
            .collect();
        conns.sort_unstable();
        conns.dedup();
        conns.len()
    }

    /// What the proxy in the middle is to be.
    pub(super) fn proxy_options(&self) -> Options {
        Options {
            proto: self.spoken,
            unknown: false,
            ..rules::options(self.proxy_setup.as_deref().unwrap_or_default())
        }
    }

    /// What the peer of an end is to be.
    pub(super) fn options(&self, end: End) -> Options {
        let setup = match end {
            End::Client => &self.client_setup,
            End::Server => &self.server_setup,
        };
        let mut options = Options {
            proto: self.spoken,
            ..rules::options(setup)
        };
        options.secure = self.key(end).map(str::to_owned);
        let said = self.auth_text();
        match (end, &options.auth, said) {
            // What the client says stands in what it said alone.
            (End::Client, _, said) => options.auth = said,
            // Setups are in lower case.
            (End::Server, Some(wanted), Some(said)) if said.to_lowercase() == *wanted => {
                options.auth = Some(said);
            }
            (End::Server, ..) => {}
        }
        options
    }

    /// The key of the secure plugin of an end.
    pub(super) fn key(&self, end: End) -> Option<&str> {
        let [server, client] = &self.keys;
        match end {
            End::Server => server.as_deref(),
            End::Client => client.as_deref(),
        }
    }

    /// The text of the first handshake.
    fn auth_text(&self) -> Option<String> {
        self.events.iter().find_map(|event| match &event.what {
            What::Frame(frame) if event.from == End::Client && rules::is_auth(frame) => {
                String::from_utf8(frame.body.clone()).ok()
            }
            _ => None,
        })
    }

    /// What the dials of the client program came to: nothing, or an error.
    pub(super) fn dials(&self) -> impl Iterator<Item = &Value> {
        let dials = self.results.iter();
        dials.filter_map(|entry| entry.get("dial_rerror"))
    }
}

/// Behind a refused handshake the server closes, and nothing else happens on that connection.
fn close_the_refused(events: &mut Vec<Event>) {
    let mut refused = Vec::new();
    let mut kept = Vec::with_capacity(events.len());
    for event in events.drain(..) {
        if refused.contains(&(event.leg, event.conn)) {
            continue;
        }
        let (conn, leg, is_refusal) = match &event.what {
            What::Frame(frame) => (
                event.conn,
                event.leg,
                event.from == End::Server && rules::refuses(frame),
            ),
            _ => (event.conn, event.leg, false),
        };
        kept.push(event);
        if is_refusal {
            refused.push((leg, conn));
            kept.push(Event {
                leg,
                from: End::Server,
                conn,
                what: What::Close,
            });
        }
    }
    *events = kept;
}

fn event(spoken: Spoken, event: &Value) -> Result<Event, Miss> {
    let from = match event["dir"].as_str() {
        Some("c2s") => End::Client,
        Some("s2c") => End::Server,
        other => return Err(format!("unknown direction {other:?}").into()),
    };
    let leg = match event["leg"].as_str() {
        Some("proxy-backend") => Leg::Back,
        Some("client-proxy") | None => Leg::Front,
        other => return Err(format!("unknown leg {other:?}").into()),
    };
    let conn = event["conn"].as_u64().unwrap_or(1);
    let what = if event["close"] == true {
        What::Close
    } else {
        let Some(hex) = event["hex"].as_str() else {
            return Err(Miss::LeftOut(
                "the bytes of an event are not in the file".to_owned(),
            ));
        };
        let bytes = unhex(hex);
        match Frame::read(spoken, &bytes) {
            Ok(frame) if event["partial"] != true => {
                let decoded = &event["decoded"];
                match decoded.is_object().then(|| frame.is(decoded)) {
                    Some(Err(_)) if spoken == Spoken::Json => What::Cut,
                    Some(Err(miss)) => return Err(miss),
                    _ => What::Frame(frame),
                }
            }
            Err(_) if spoken == Spoken::Json && event["decoded"].is_object() => {
                What::Garbled(bytes)
            }
            _ => What::Bytes(bytes),
        }
    };
    Ok(Event {
        leg,
        from,
        conn,
        what,
    })
}
