//! What binds us in a recording: what is built, who is played, and where we may differ.
//!
//! These differences are allowed, and no others:
//!
//! | what | why |
//! |---|---|
//! | the reason of an error 400 for a body that does not decode, of an error 500 for a result that does not encode | decoders and encoders explain themselves in words of their own; that there is no codec of an id, or no valid uri, has one wording |
//! | the reason of an error 500 that starts with `runtime error:` | the panic text of Go's runtime |
//! | the bytes of a frame through gzip; what is inside must be the same | compressors differ |
//! | the bytes of a json frame whose texts hold control characters or backslashes; what is inside must be the same (row 5) | the original leaves escapes out |
//! | what comes after a json frame that the original cuts or guesses at (row 7): a frame that is no JSON ends the connection, and one that is can mean more | the original reads what it finds |
//! | nothing is served behind a refused handshake (row 12) | the original goes on |
//! | a call whose reply does not decode fails (rows 16 and 17) | the original reports success, or never ends |
//! | the text of an error is that of its own reply (row 18) | the original lets later replies overwrite it |
//! | an error that cannot be read is an error of whatever code and text (row 29) | the original makes it code 0 without a text |
//! | a zero field that was left out reads as zero (row 31) | the original's test program kept an older value |
//! | the backend of a proxy gets the codec of the call, and the caller that of the reply (row 20) | the original sends json on, and answers in the codec of the call |
//! | a proxy answers 502 in words of its own where the backend did not (row 21) | the original answers 500 |
//! | all metadata of the backend's reply comes back (row 22) | the original keeps the last value of a key |
//! | a proxy counts from 0 | the original had forwarded something before the recording |
//!
//! Addresses vary too. The proxy takes that of the recorded caller from what it sent on, so that its
//! frames bind byte for byte.

use std::time::Duration;

use serde_json::Value;
use teleport::codec::{BodyRef, Codecs, FromBody};
use teleport::message::{Mtype, Uri};
use teleport::plugins::{auth, heartbeat};
use teleport_tests::standard::Note;
use teleport_tests::standard::call::{Kind, kind_of_arg};
use teleport_tests::standard::spoken::Spoken;
use teleport_tests::standard::{Beats, Options, secure};
use teleport_tests::vectors::{Check, Miss, same};

use super::script::{End, Frame, Leg, Script, What};
use super::secret;

mod forwarded;

pub(super) use forwarded::{caller_of, sent_back, sent_on};

/// How a transcript is played.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Side {
    Server,
    Client,
    Both,
    /// The proxy in the middle.
    Proxy,
    /// The client of a proxy.
    ProxysClient,
    /// The backend of a proxy.
    Backend,
}

/// What tells in the setup of an end, or at the start of a name, that a feature takes part.
const MISSING: [(&str, &[&str], &[&str]); 1] =
    [("the websocket", &["websocket", "ws plugin"], &["q_"])];

/// Recordings of what is mended on purpose, with the row of what the original gets wrong; the tests
/// in `ages` hold the mended behaviour up.
const MENDED: [(&str, &str); 3] = [
    ("s_context_age_server", "row 13: the caller is answered 408"),
    ("s_context_age_client", "row 14: the call fails with 408"),
    ("t_connection_age_pending", "row 15: the reply is written"),
];

/// Why a transcript cannot be played yet; `None` when it can, also when its setup is unheard of.
pub(super) fn not_built(transcript: &Value) -> Option<String> {
    let field = |name: &str| transcript[name].as_str().unwrap_or_default().to_lowercase();
    let proto = field("proto");
    if Spoken::of(&proto).is_none() {
        return Some(format!("the protocol {proto} is not built yet"));
    }
    let setups = field("server_setup") + "\n" + &field("client_setup");
    let name = field("name");
    if let Some((_, row)) = MENDED.iter().find(|(start, _)| name.starts_with(start)) {
        return Some(format!("mended on purpose, {row}: see the tests of `ages`"));
    }
    if name.starts_with("t_connection_age") && session_age(&setups).is_zero() {
        return Some("how old a connection may get is not said in a way that is known".to_owned());
    }
    let missing = MISSING.iter().find(|(_, marks, names)| {
        marks.iter().any(|mark| setups.contains(mark))
            || names.iter().any(|start| name.starts_with(start))
    });
    missing.map(|(what, ..)| format!("{what}: not built yet"))
}

/// Who of the two ends is ours to play.
pub(super) fn sides(script: &Script) -> Vec<Side> {
    let is_made = |setup: &str| setup.contains("hand-made") || setup.contains("handmade");
    if script.proxy_setup.is_some() {
        let client = (!is_made(&script.client_setup)).then_some(Side::ProxysClient);
        let may_be_ours = !is_made(&script.server_setup) && script.conns(Leg::Back) > 0;
        let backend = may_be_ours.then_some(Side::Backend);
        return [Some(Side::Proxy), client, backend]
            .into_iter()
            .flatten()
            .collect();
    }
    match (is_made(&script.server_setup), is_made(&script.client_setup)) {
        (false, false) => vec![Side::Server, Side::Client, Side::Both],
        (false, true) => vec![Side::Server],
        (true, false) => vec![Side::Client],
        (true, true) => Vec::new(),
    }
}

/// Whether a proxy stands between the two ends.
pub(super) fn has_proxy(transcript: &Value) -> bool {
    let setup = transcript["server_setup"].as_str().unwrap_or_default();
    let name = transcript["name"].as_str().unwrap_or_default();
    setup.to_lowercase().contains("proxy plugin") || name.starts_with("j_proxy")
}

/// What the setup of a server with a proxy in front of it says of one of the two.
pub(super) fn setup_of(who: &str, setup: &str) -> String {
    let part = setup.split(';').map(str::trim).find(|part| {
        let said = part.strip_prefix(who);
        said.is_some_and(|said| said.starts_with([':', ' ']))
    });
    part.unwrap_or_default().to_owned()
}

/// What a setup asks of a standard peer; the protocol is the conversation's.
pub(super) fn options(setup: &str) -> Options {
    let has = |texts: &[&str]| texts.iter().any(|text| setup.contains(text));
    Options {
        proto: Spoken::default(),
        push_after_call: has(&["once after"]),
        unknown: has(&[
            "unknown-call",
            "unknown call",
            "unknown-push",
            "unknown push",
        ]),
        ignore_case: has(&["ignorecase", "ignore-case", "ignore case"]),
        limit: number_behind("limit", setup),
        auth: word_behind("wants the text", setup),
        context_age: age(&["context age", "context_age"], setup),
        session_age: session_age(setup),
        bind: has(&["/bind/"]),
        // The key is taken from the setup as it is written.
        secure: None,
        redial: redial_times(setup),
        pong: has(&["pong plugin"]),
        ping: has(&["ping plugin"]).then(|| Beats {
            rate: number_behind("rate", setup).unwrap_or(3) as u64,
            by_call: !has(&["mode push", "by push"]),
        }),
    }
}

fn session_age(setup: &str) -> Duration {
    let names = ["session age", "session_age", "connection age", "sessionage"];
    age(&names, setup)
}

/// The time behind any of these texts, in milliseconds or seconds; zero without one.
fn age(texts: &[&str], setup: &str) -> Duration {
    let behind = |text: &&str| setup.split_once(text).map(|(_, rest)| rest);
    let Some(rest) = texts.iter().find_map(behind) else {
        return Duration::ZERO;
    };
    let from = rest.find(|c: char| c.is_ascii_digit());
    let digits = from.map_or("", |from| &rest[from..]);
    let to = digits.find(|c: char| !c.is_ascii_digit());
    let (number, unit) = digits.split_at(to.unwrap_or(digits.len()));
    let number = number.parse().unwrap_or(0);
    match unit.trim_start() {
        unit if unit.starts_with("ms") || unit.starts_with("milli") => {
            Duration::from_millis(number)
        }
        unit if unit.starts_with('s') => Duration::from_secs(number),
        _ => Duration::ZERO,
    }
}

/// How often a client dials again: without end, unless a number is said.
fn redial_times(setup: &str) -> i32 {
    let Some((_, behind)) = setup.split_once("redial") else {
        return 0;
    };
    let number = |text: &str| text.contains(|c: char| c.is_ascii_digit());
    let word = behind.split_whitespace().find(|word| number(word));
    let times = word.and_then(|word| word.trim_end_matches([',', '.', ';']).parse().ok());
    times.unwrap_or(-1)
}

/// The first word behind a text.
fn word_behind(text: &str, setup: &str) -> Option<String> {
    let (_, rest) = setup.split_once(text)?;
    let word = rest.split_whitespace().next()?;
    Some(word.trim_matches([',', '.', '"', '`']).to_owned())
}

/// Whether a frame refuses the connection: row 12, what comes behind it is not served.
pub(super) fn refuses(frame: &Frame) -> bool {
    frame.mtype == Mtype::REPLY && is_auth(frame) && frame.error().is_some()
}

/// Whether a frame is of the handshake.
pub(super) fn is_auth(frame: &Frame) -> bool {
    frame.uri == auth::URI.as_bytes()
}

/// Whether a frame is a heartbeat that a peer of these options sends by itself.
pub(super) fn is_own_beat(frame: &Frame, options: &Options) -> bool {
    options.ping.is_some() && Uri::new(&frame.uri).path() == heartbeat::PATH
}

/// Whether the server closes by itself when the client falls silent: it was told a rate.
pub(super) fn minds_silence(script: &Script, options: &Options) -> bool {
    let tells = |frame: &Frame| {
        let uri = Uri::new(&frame.uri);
        let rate = uri.query("hb_").and_then(|rate| rate.parse::<i64>().ok());
        uri.path() == heartbeat::PATH && rate.is_some_and(|rate| rate > 0)
    };
    options.pong
        && script.events.iter().any(|event| match &event.what {
            What::Frame(frame) => event.from == End::Client && tells(frame),
            _ => false,
        })
}

/// The first number behind a word.
fn number_behind(word: &str, setup: &str) -> Option<usize> {
    let (_, rest) = setup.split_once(word)?;
    let from = rest.find(|c: char| c.is_ascii_digit())?;
    let digits = &rest[from..];
    let to = digits
        .find(|c: char| !c.is_ascii_digit())
        .unwrap_or(digits.len());
    digits[..to].parse().ok()
}

/// Whether a frame cannot be answered, but ends the connection.
pub(super) fn ends_the_connection(frame: &Frame) -> bool {
    match frame.mtype {
        Mtype::REPLY => false,
        Mtype::CALL | Mtype::PUSH => {
            let is_typed = !matches!(kind_of_arg(&frame.uri), Kind::Bytes | Kind::Any);
            frame.body_codec == 0 && !frame.body.is_empty() && is_typed
        }
        _ => true,
    }
}

/// The pushes that the handlers of an end have to have seen.
pub(super) fn notes_due(script: &Script, of: End, options: &Options) -> Vec<Note> {
    let from = match of {
        End::Server => End::Client,
        End::Client => End::Server,
    };
    let refused = |conn| {
        let mut said = script.events.iter().filter(|event| event.conn == conn);
        said.any(|event| matches!(&event.what, What::Frame(frame) if refuses(frame)))
    };
    let frames = script.events.iter().filter_map(|event| match &event.what {
        What::Frame(frame) if event.from == from && frame.mtype == Mtype::PUSH => {
            (!refused(event.conn)).then_some(frame)
        }
        _ => None,
    });
    frames
        .map(|frame| secret::opened(frame, options.secure.as_deref()))
        .filter_map(|frame| {
            let uri = Uri::new(&frame.uri);
            let path = match options.ignore_case {
                true => uri.path().to_lowercase(),
                false => uri.path().to_owned(),
            };
            let fits = options
                .limit
                .is_none_or(|limit| script.spoken.counted(frame.bytes.len()) <= limit);
            if path.is_empty() || !fits {
                return None;
            }
            let text = if options.unknown {
                frame.body.clone().into()
            } else if path == "/push/status" {
                let body = BodyRef::new(&frame.body);
                String::from_body(&Codecs::default(), frame.body_codec, body)
                    .ok()?
                    .into()
            } else if path == "/sec_push/note" && options.secure.is_some() {
                let body = BodyRef::new(&frame.body);
                let pair = FromBody::from_body(&Codecs::default(), frame.body_codec, body);
                secure::noted(&pair.ok()?, uri.raw_query()).into()
            } else {
                return None;
            };
            Some(Note { path, text })
        })
        .collect()
}

/// Compares a frame of ours with the recorded one: field by field, and byte for byte where no
/// difference is allowed.
pub(super) fn same_frame(spoken: Spoken, ours: &Frame, theirs: &Frame) -> Check {
    let what = |field: &str| format!("{field} of {theirs}");
    same(&what("seq"), &ours.seq, &theirs.seq)?;
    same(&what("type"), ours.mtype, theirs.mtype)?;
    same(&what("uri"), &ours.uri, &theirs.uri)?;
    same(&what("codec"), ours.body_codec, theirs.body_codec)?;
    same(&what("filters"), &ours.xfer, &theirs.xfer)?;
    same(&what("body"), lossy(&ours.body), lossy(&theirs.body))?;
    same(&what("body"), &ours.body, &theirs.body)?;
    let mut in_other_words = false;
    same(
        &what("length of the meta"),
        ours.meta.len(),
        theirs.meta.len(),
    )?;
    for ((key, value), (due_key, due_value)) in ours.meta.iter().zip(&theirs.meta) {
        same(&what("meta key"), lossy(key), lossy(due_key))?;
        if key == b"X-Reply-Error" && value != due_value {
            same_error(value, due_value)?;
            in_other_words = true;
        } else {
            same(&what("meta value"), lossy(value), lossy(due_value))?;
        }
    }
    let is_escaped = spoken == Spoken::Json
        && [&theirs.seq, &theirs.uri, &theirs.body]
            .iter()
            .any(|text| text.iter().any(|byte| *byte < 0x20 || *byte == b'\\'));
    let varies = in_other_words || theirs.xfer.contains(&b'g') || is_escaped;
    if varies {
        return Ok(());
    }
    same(&what("bytes"), &ours.bytes, &theirs.bytes)
}

fn lossy(text: &[u8]) -> String {
    String::from_utf8_lossy(text).into_owned()
}

/// Compares two error texts of metadata; the reason may be in other words where that is allowed.
pub(super) fn same_error(ours: &[u8], theirs: &[u8]) -> Check {
    let read = |text: &[u8]| -> Result<Value, Miss> {
        serde_json::from_slice(text)
            .map_err(|error| format!("{:?} is no error: {error}", lossy(text)).into())
    };
    same_rerror(&read(ours)?, &read(theirs)?)
}

/// Compares two errors given as objects of code, message and reason.
pub(super) fn same_rerror(ours: &Value, theirs: &Value) -> Check {
    let text = |error: &Value, field: &str| error[field].as_str().unwrap_or_default().to_owned();
    same("code", ours["code"].clone(), theirs["code"].clone())?;
    same("message", text(ours, "message"), text(theirs, "message"))?;
    let (reason, due) = (text(ours, "reason"), text(theirs, "reason"));
    if due == IN_OWN_WORDS && !reason.is_empty() {
        return Ok(());
    }
    if !reason.is_empty() && is_in_words_of_go(theirs["code"].as_i64(), &due) {
        return Ok(());
    }
    same("reason", reason, due)
}

/// Stands for a reason that we give in words of our own.
const IN_OWN_WORDS: &str = "(in words of its own)";

/// Whether a reason was worded by Go's decoders, encoders or runtime.
fn is_in_words_of_go(code: Option<i64>, reason: &str) -> bool {
    let has_one_wording =
        reason == "invalid URI for message" || reason.starts_with("unsupported codec id");
    match code {
        _ if reason.is_empty() || has_one_wording => false,
        Some(400) => true,
        Some(500) => [
            "json:",
            "plain codec:",
            "form codec:",
            "protobuf codec:",
            "proto:",
        ]
        .iter()
        .chain(&["xml:", "runtime error:"])
        .any(|start| reason.starts_with(start)),
        _ => false,
    }
}
