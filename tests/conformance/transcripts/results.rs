//! What a call of ours came to, against what the recorded client program saw of it.

use std::sync::{Arc, Mutex};

use serde_json::{Value, json};
use teleport::codec::{Codecs, JSON};
use teleport::message::{Mtype, Seq};
use teleport::{Error, ErrorKind, Rerror, Session};
use teleport_tests::standard::call::{Answer, Arg, Kind, Shown, Spec, call, kind_of_result};
use teleport_tests::vectors::{Check, Miss, same, unhex};
use tokio::task::JoinHandle;
use tokio::time::timeout;

use super::script::{End, Frame, Script, What};
use super::wire::QUIET;
use super::{rules, secret};

/// Makes the calls and pushes that recorded frames show, and judges what comes of them.
pub(super) struct Calls<'a> {
    script: &'a Script,
    made: Vec<Made<'a>>,
    /// The sequence texts of the calls that are over, in the order of their ends.
    over: Arc<Mutex<Vec<Vec<u8>>>>,
}

struct Made<'a> {
    conn: u64,
    /// The key of the client's secure plugin.
    key: Option<&'a str>,
    frame: &'a Frame,
    entry: Option<&'a Value>,
    reply: Option<&'a Frame>,
    task: JoinHandle<Result<Answer, Error>>,
    /// What it came to, once it was waited for.
    result: Option<Result<Answer, Error>>,
}

/// The calls and pushes of one session so far, to tell which sequence texts were set by hand.
#[derive(Clone, Debug, Default)]
pub(super) struct Counter(u64);

impl Counter {
    /// Takes the sequence text of something that was not sent by hand.
    pub(super) fn skip(&mut self) {
        self.0 += 1;
    }

    /// How many took a sequence text of the counter.
    pub(super) fn sent(&self) -> u64 {
        self.0
    }

    /// The sequence text, if it is not the next one.
    fn by_hand(&mut self, seq: &[u8]) -> Option<Vec<u8>> {
        if Seq::from_counter(self.0).as_bytes() == seq {
            self.0 += 1;
            return None;
        }
        Some(seq.to_vec())
    }
}

/// The call or push that a frame of a client with this key is of.
pub(super) fn spec(frame: &Frame, key: Option<&str>, counter: &mut Counter) -> Result<Spec, Miss> {
    let frame = secret::opened(frame, key);
    let Ok(uri) = String::from_utf8(frame.uri.clone()) else {
        return Err(Miss::LeftOut("calls to a uri that is not UTF-8".to_owned()));
    };
    Ok(Spec {
        arg: Arg::of_body(
            &Codecs::default(),
            &frame.uri,
            frame.body_codec,
            &frame.body,
        ),
        uri,
        codec: frame.body_codec,
        meta: frame.meta.clone(),
        xfer: frame.xfer.clone(),
        seq: counter.by_hand(&frame.seq),
    })
}

impl<'a> Calls<'a> {
    pub(super) fn new(script: &'a Script) -> Self {
        Self {
            script,
            made: Vec::new(),
            over: Arc::default(),
        }
    }

    /// Makes the call of the frame of event number `at`.
    pub(super) fn make(
        &mut self,
        session: &Session,
        at: usize,
        frame: &'a Frame,
        counter: &mut Counter,
    ) -> Result<(), Miss> {
        let spec = spec(frame, self.script.key(End::Client), counter)?;
        let conn = self.script.events[at].conn;
        let entry = self.entry(frame);
        let kind = kind(entry, frame);
        let session = session.clone();
        let (over, seq) = (Arc::clone(&self.over), frame.seq.clone());
        let task = tokio::spawn(async move {
            let result = call(&session, &spec, kind).await;
            over.lock().unwrap().push(seq);
            result
        });
        let later = &self.script.events[at..];
        let reply = later.iter().find_map(|event| match &event.what {
            What::Frame(reply) if event.from == End::Server && event.conn == conn => {
                (reply.mtype == Mtype::REPLY && reply.seq == frame.seq).then_some(reply)
            }
            _ => None,
        });
        self.made.push(Made {
            conn,
            key: self.script.key(End::Client),
            frame,
            entry,
            reply,
            task,
            result: None,
        });
        Ok(())
    }

    /// What the recorded program saw of the call: by its sequence text, else the first of its uri
    /// that no other call has.
    fn entry(&self, frame: &Frame) -> Option<&'a Value> {
        let taken = |entry: &Value| {
            let mut made = self.made.iter().filter_map(|made| made.entry);
            made.any(|other| std::ptr::eq(other, entry))
        };
        let fits = |entry: &&Value| match (entry["seq"].as_str(), entry["call"].as_str()) {
            (Some(seq), _) => seq.as_bytes() == frame.seq,
            (None, Some(uri)) => uri.as_bytes() == frame.uri,
            (None, None) => false,
        };
        self.script
            .results
            .iter()
            .find(|entry| fits(entry) && !taken(entry))
    }

    /// Waits for the call that a recorded reply is of.
    pub(super) async fn wait_for(&mut self, conn: u64, reply: &Frame) -> Check {
        let waited = self
            .made
            .iter_mut()
            .find(|made| made.result.is_none() && made.conn == conn && made.frame.seq == reply.seq);
        match waited {
            Some(made) => made.wait().await,
            None => Ok(()),
        }
    }

    /// Judges all calls.
    pub(super) async fn judge(mut self) -> Check {
        for made in &mut self.made {
            if made.result.is_none() && made.wait().await.is_err() {
                made.task.abort();
                if made.reply.is_some() {
                    return Err(format!("{} never ends", made.frame).into());
                }
            }
            // What the original made of a reply that it cut does not bind us.
            if made.reply.is_some() || !self.script.parts {
                made.judge()?;
            }
        }
        self.judge_order()
    }

    /// The order in which calls ended, where the recorded program noted it.
    fn judge_order(&self) -> Check {
        let mut done: Vec<_> = self
            .script
            .results
            .iter()
            .filter_map(|entry| Some((entry["done"].as_u64()?, entry["seq"].as_str()?)))
            .collect();
        if done.is_empty() {
            return Ok(());
        }
        done.sort_unstable();
        let due: Vec<_> = done
            .into_iter()
            .map(|(_, seq)| seq.as_bytes().to_vec())
            .collect();
        let over = self.over.lock().unwrap().clone();
        same("order of the calls' ends", over, due)
    }
}

/// Compares the outcome of a dial with the recorded one.
pub(super) fn judge_dial(dial: Result<(), &Error>, due: &Value) -> Check {
    match dial {
        Ok(()) if due.is_null() => Ok(()),
        Ok(()) => Err("the dial succeeded, but an error is due".into()),
        Err(error) if due.is_null() => Err(format!("the dial failed: {error:?}").into()),
        Err(error) => match error.rerror() {
            Some(ours) => rules::same_rerror(
                &json!({
                    "code": ours.code(),
                    "message": ours.message(),
                    "reason": ours.reason(),
                }),
                due,
            ),
            None => Err(format!("the error is not the other end's: {error:?}").into()),
        },
    }
}

/// What the call is to be decoded into.
fn kind(entry: Option<&Value>, frame: &Frame) -> Kind {
    let by_route = kind_of_result(&frame.uri);
    let Some(entry) = entry else { return by_route };
    match &entry["result"] {
        _ if entry["result_hex"].is_string() => Kind::Bytes,
        _ if entry["rerror"].is_object() => by_route,
        Value::Number(number) if number.is_i64() => Kind::Int,
        Value::String(_) => Kind::Text,
        Value::Object(_) if by_route == Kind::PbTest => Kind::PbTest,
        Value::Null => by_route,
        _ => Kind::Any,
    }
}

impl Made<'_> {
    async fn wait(&mut self) -> Check {
        match timeout(QUIET, &mut self.task).await {
            Ok(result) => {
                self.result = Some(result.map_err(|error| format!("the call: {error}"))?);
                Ok(())
            }
            Err(_) => Err(format!("{} has no answer", self.frame).into()),
        }
    }

    fn judge(&self) -> Check {
        let wrong = |miss: Miss| match miss {
            Miss::Wrong(text) => Miss::Wrong(format!("{}: {text}", self.frame)),
            left_out => left_out,
        };
        match (&self.result, self.reply) {
            (None, _) => Ok(()),
            (Some(result), None) => self.judge_unanswered(result),
            (Some(result), Some(reply)) => match reply.error() {
                Some(error) => self.judge_error(result, error),
                None => self.judge_answer(result, reply),
            },
        }
        .map_err(wrong)
    }

    /// A call that was never answered ends in an error of this end's own.
    fn judge_unanswered(&self, result: &Result<Answer, Error>) -> Check {
        let Err(error) = result else {
            return Err("was answered, which was not recorded".into());
        };
        match self.entry.map(|entry| &entry["rerror"]) {
            Some(due) if due.is_object() => {
                let ours = Rerror::from(error_copy(error));
                same("code", Value::from(ours.code()), due["code"].clone())
            }
            _ => Ok(()),
        }
    }

    fn judge_error(&self, result: &Result<Answer, Error>, text: &[u8]) -> Check {
        let Err(error) = result else {
            return Err("succeeded, but an error is due".into());
        };
        let Some(ours) = error.rerror().filter(|_| error.is_remote()) else {
            return Err(format!("the error is not the other end's: {error:?}").into());
        };
        let ours = json!({
            "code": ours.code(),
            "message": ours.message(),
            "reason": ours.reason(),
        });
        let said = serde_json::from_slice::<Value>(text).ok().filter(|said| {
            let code = said["code"].as_i64();
            code.is_some_and(|code| i32::try_from(code).is_ok())
        });
        // An error that cannot be read (row 29).
        let Some(said) = said else { return Ok(()) };
        let seen = self.entry.map(|entry| &entry["rerror"]);
        let Some(seen) = seen.filter(|seen| seen.is_object()) else {
            return rules::same_rerror(&ours, &said);
        };
        same("code", ours["code"].clone(), seen["code"].clone())?;
        match rules::same_rerror(&ours, seen) {
            // The reply's own text binds where the program saw another (row 18).
            Err(_) => rules::same_rerror(&ours, &said),
            fine => fine,
        }
    }

    fn judge_answer(&self, result: &Result<Answer, Error>, reply: &Frame) -> Check {
        let answer = match result {
            Ok(answer) => answer,
            Err(error) if error.kind() == ErrorKind::Decode => {
                return self.judge_undecoded(error, reply);
            }
            Err(error) => return Err(format!("failed: {error:?}").into()),
        };
        same("codec of the reply", answer.body_codec, reply.body_codec)?;
        same("meta of the reply", &answer.meta, &reply.meta)?;
        let Some(entry) = self.entry.filter(|entry| !entry["rerror"].is_object()) else {
            return Ok(());
        };
        if let Some(hex) = entry["result_hex"].as_str() {
            return same("result", bytes_of(&answer.result), unhex(hex));
        }
        let (Shown::Json(ours), due) = (&answer.result, &entry["result"]) else {
            return Err(format!("the result is bytes instead of {}", entry["result"]).into());
        };
        if entry.get("result").is_none() {
            return Ok(());
        }
        same(
            "result",
            ours.clone(),
            zeros_of(due, ours, &secret::opened(reply, self.key)),
        )
    }

    /// The original takes no notice of a reply that does not decode (rows 16 and 17). We may fail
    /// for no other reason.
    fn judge_undecoded(&self, error: &Error, reply: &Frame) -> Check {
        let body: Option<Value> = serde_json::from_slice(&reply.body).ok();
        let lost = match self.entry.and_then(|entry| entry.get("result")) {
            Some(seen) => body.as_ref() != Some(seen),
            None => true,
        };
        if reply.body_codec != JSON || lost {
            return Ok(());
        }
        Err(format!("the reply does not decode: {error:?}").into())
    }
}

/// The recorded result, with the fields that the reply leaves out set to zero (row 31).
fn zeros_of(due: &Value, ours: &Value, reply: &Frame) -> Value {
    let (Value::Object(fields), true) = (due, ours.is_object() && reply.body_codec == JSON) else {
        return due.clone();
    };
    let said: Value = serde_json::from_slice(&reply.body).unwrap_or_default();
    let mut fields = fields.clone();
    for (name, value) in &mut fields {
        if said.get(name).is_none() {
            *value = 0.into();
        }
    }
    fields.into()
}

fn bytes_of(shown: &Shown) -> Vec<u8> {
    match shown {
        Shown::Bytes(bytes) => bytes.to_vec(),
        Shown::Json(Value::String(text)) => text.clone().into_bytes(),
        Shown::Json(other) => other.to_string().into_bytes(),
    }
}

/// An error as its kind and text alone.
fn error_copy(error: &Error) -> Error {
    Error::new(error.kind(), error.to_string())
}
