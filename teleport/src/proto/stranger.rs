//! Who is talking when the first bytes of a connection are of no protocol of the port.
//!
//! Such a one is told so in its own words where that can do no harm, so that whoever mixed up two
//! ports finds out from the error, and not from a connection that closes without a word.

use std::borrow::Cow;

use bytes::{Bytes, BytesMut};

use super::{Body, Env, JsonProto, PbProto, Proto, RawProto, Sniff};
use crate::{
    message::{Frame, Head, Meta, Mtype},
    rerror::Rerror,
};

/// How far into an HTTP request a wish to upgrade is looked for.
const HEADERS: usize = 4 << 10;

const METHODS: [&[u8]; 9] = [
    b"GET ",
    b"POST ",
    b"PUT ",
    b"HEAD ",
    b"DELETE ",
    b"OPTIONS ",
    b"PATCH ",
    b"CONNECT ",
    b"TRACE ",
];

/// A fatal alert of TLS 1.2 and before: an unexpected message.
const TLS_ALERT: &[u8] = &[0x15, 3, 1, 0, 2, 2, 10];

/// Somebody whose first bytes are of no protocol of the port that they came to.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Stranger {
    name: &'static str,
    says: Cow<'static, str>,
    answer: Option<Bytes>,
    needs_more: bool,
}

impl Stranger {
    /// Looks at the first bytes of a connection, which `port` could not read. `None` when nobody
    /// speaks like that.
    #[cold]
    #[must_use]
    pub fn of(env: &Env, port: &dyn Proto, bytes: &[u8]) -> Option<Self> {
        let speaks = port.names();
        Self::foreign(&speaks, bytes).or_else(|| Self::of_another_port(env, &speaks, bytes))
    }

    /// What the first bytes of a connection are, in a word, whichever port they came to.
    #[cfg(feature = "tls")]
    #[cold]
    pub(crate) fn name_of(bytes: &[u8]) -> Option<&'static str> {
        let stranger = Self::foreign(&[], bytes)
            .or_else(|| Self::of_another_port(&Env::default(), &[], bytes))?;
        Some(stranger.name)
    }

    /// What they speak, in a word.
    #[must_use]
    pub const fn name(&self) -> &'static str {
        self.name
    }

    /// What there is to say about them, for a log.
    #[must_use]
    pub fn says(&self) -> &str {
        &self.says
    }

    /// Bytes that tell them in their own words that they are wrong here, to be sent before the
    /// connection is closed.
    #[must_use]
    pub const fn answer(&self) -> Option<&Bytes> {
        self.answer.as_ref()
    }

    /// Whether more bytes have to come before they can be answered.
    #[must_use]
    pub const fn needs_more(&self) -> bool {
        self.needs_more
    }

    /// Somebody who speaks no protocol of this crate.
    fn foreign(speaks: &[&str], bytes: &[u8]) -> Option<Self> {
        let (name, answer) = match bytes {
            [0x16, 3, 0..=4, _] | [0x16, 3, 0..=4, _, _] | [0x16, 3, 0..=4, _, _, 1, ..] => {
                ("TLS", Some(Bytes::from_static(TLS_ALERT)))
            }
            [b'S', b'S', b'H', b'-', ..] => ("SSH", None),
            [b'H', b'T', b'T', b'P', b'/', ..] => ("HTTP, of a server", None),
            _ if begins(bytes, b"PRI * HTTP/2") => ("HTTP/2", Some(http(speaks, bytes))),
            _ if METHODS.iter().any(|method| begins(bytes, method)) => {
                let name = if wants_websocket(bytes) {
                    "HTTP, for a websocket"
                } else {
                    "HTTP"
                };
                (name, Some(http(speaks, bytes)))
            }
            _ => return None,
        };
        Some(Self {
            name,
            says: format!("these bytes look like {name}").into(),
            answer,
            needs_more: false,
        })
    }

    /// Somebody who speaks another protocol than those of the port.
    fn of_another_port(env: &Env, speaks: &[&str], bytes: &[u8]) -> Option<Self> {
        let known: [&dyn Proto; 3] = [&RawProto, &JsonProto, &PbProto];
        let mut others = known
            .into_iter()
            .filter(|proto| !speaks.contains(&proto.version().1))
            .map(|proto| (proto, proto.recognise(env, bytes)));
        // What the size and the number of filters alone say is said of too much.
        let is_told = bytes.len() > 4;
        let (proto, sniff) = others
            .clone()
            .find(|(_, sniff)| *sniff == Sniff::Yes)
            .or_else(|| others.find(|(_, sniff)| *sniff == Sniff::More && is_told))?;
        let name = proto.version().1;
        let says = format!(
            "this port speaks {}, and these bytes are of the {name} protocol",
            list(speaks)
        );
        let mut stranger = Self {
            name,
            says: says.into(),
            answer: None,
            needs_more: sniff == Sniff::More,
        };
        if sniff == Sniff::Yes {
            match proto.split().1.unpack(env, bytes, false) {
                Ok(None) => stranger.needs_more = true,
                Ok(Some((frame, _))) => stranger.answer = stranger.reply(env, proto, &frame),
                Err(_) => {}
            }
        }
        Some(stranger)
    }

    /// The answer to a CALL, as its own protocol has it.
    fn reply(&self, env: &Env, proto: &dyn Proto, call: &Frame<'_>) -> Option<Bytes> {
        if call.head.mtype != Mtype::CALL {
            return None;
        }
        let mut meta = Meta::new();
        Rerror::bad_message(self.says.clone().into_owned()).set_meta(&mut meta);
        let head = Head {
            seq: call.head.seq,
            mtype: Mtype::REPLY,
            meta: &meta.encoded(),
            xfer: call.head.xfer,
            ..Head::default()
        };
        let mut reply = BytesMut::new();
        let pack = proto.split().0;
        pack.pack(env, &head, Body::Slice(&[]), &mut reply).ok()?;
        Some(reply.freeze())
    }
}

/// Whether bytes begin as `text` does, as far as they go, and far enough to tell.
fn begins(bytes: &[u8], text: &[u8]) -> bool {
    let len = bytes.len().min(text.len());
    len >= 4 && bytes.get(..len) == text.get(..len)
}

fn wants_websocket(bytes: &[u8]) -> bool {
    let headers = bytes.get(..HEADERS).unwrap_or(bytes);
    headers
        .split(|byte| *byte == b'\n')
        .any(|line| match line.split_at_checked(8) {
            Some((name, value)) => {
                name.eq_ignore_ascii_case(b"upgrade:")
                    && value.trim_ascii().eq_ignore_ascii_case(b"websocket")
            }
            None => false,
        })
}

/// The answer to an HTTP request.
fn http(speaks: &[&str], request: &[u8]) -> Bytes {
    let text = format!(
        "This port speaks Teleport, by its protocol {}, and not HTTP.\n",
        list(speaks)
    );
    let body = match request {
        [b'H', b'E', b'A', b'D', ..] => "",
        _ => &text,
    };
    let head = "HTTP/1.1 400 Bad Request\r\nContent-Type: text/plain; charset=utf-8\r\n";
    let len = text.len();
    format!("{head}Content-Length: {len}\r\nConnection: close\r\n\r\n{body}").into()
}

/// Names as people list them.
fn list(names: &[&str]) -> String {
    match names {
        [] => "nothing".to_owned(),
        [one] => (*one).to_owned(),
        [first @ .., last] => format!("{} or {last}", first.join(", ")),
    }
}

#[cfg(test)]
mod tests;
