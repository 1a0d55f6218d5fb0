//! The table of routes of the standard peer.

use std::time::Duration;

use bytes::Bytes;
use teleport::{CallCtx, Error, Peer, PushCtx, Rerror, controller, push_handler};

use super::Notes;

/// The message of the routes that speak protobuf, and JSON too: what is missing reads as zero, and
/// zero is left out.
#[derive(Clone, Copy, PartialEq, prost::Message, serde::Serialize, serde::Deserialize)]
pub struct PbTest {
    /// The first number.
    #[prost(int32, tag = "1")]
    #[serde(alias = "A", default, skip_serializing_if = "is_zero")]
    pub a: i32,
    /// The second number.
    #[prost(int32, tag = "2")]
    #[serde(alias = "B", default, skip_serializing_if = "is_zero")]
    pub b: i32,
}

#[allow(clippy::trivially_copy_pass_by_ref, reason = "serde calls it")]
fn is_zero(number: &i32) -> bool {
    *number == 0
}

/// Registers what the server has.
pub(super) fn serve(peer: &Peer, notes: &Notes) -> Result<(), Error> {
    peer.route_call(Math)?;
    peer.route_call(Test)?;
    peer.route_push(Push(notes.clone()))?;
    Ok(())
}

/// Registers what the client has.
pub(super) fn attend(peer: &Peer, notes: &Notes) -> Result<(), Error> {
    peer.route_call(Client)?;
    peer.route_push(ClientPush(notes.clone()))?;
    Ok(())
}

struct Math;

#[controller]
impl Math {
    /// Adds the numbers up.
    fn add(&self, arg: Vec<i64>) -> i64 {
        arg.iter().copied().fold(0, i64::wrapping_add)
    }
}

struct Test;

#[controller(underscores = "keep")]
impl Test {
    /// Answers with what it was given.
    fn echo(&self, arg: String) -> String {
        arg
    }

    /// Fails with an error of its own.
    fn fail(&self, arg: String) -> Result<String, Rerror> {
        Err(Rerror::new(
            1001,
            "custom message",
            format!("reason: {arg}"),
        ))
    }

    /// Panics.
    fn boom(&self, arg: String) -> String {
        panic!("boom: {arg}")
    }

    /// Divides, and panics at zero in the words of Go.
    fn div(&self, arg: PbTest) -> i32 {
        assert!(arg.b != 0, "runtime error: integer divide by zero");
        arg.a.wrapping_div(arg.b)
    }

    /// Answers with sum and difference.
    fn pb_add(&self, arg: PbTest) -> PbTest {
        PbTest {
            a: arg.a.wrapping_add(arg.b),
            b: arg.a.wrapping_sub(arg.b),
        }
    }

    /// Answers with the bytes, after a greeting.
    fn bytes(&self, arg: Bytes) -> Bytes {
        [&b"got:"[..], &arg].concat().into()
    }

    /// Answers with an empty body.
    fn nothing(&self, _arg: String) {}

    /// Waits so many milliseconds.
    async fn sleep(&self, arg: i64) -> i64 {
        tokio::time::sleep(Duration::from_millis(arg.try_into().unwrap_or_default())).await;
        arg
    }

    /// Answers with what it saw of the call in the metadata.
    fn meta_echo(&self, ctx: &mut CallCtx, arg: String) -> String {
        let pairs: Vec<_> = ctx
            .meta()
            .iter()
            .map(|(key, value)| ([b"echo-", key].concat(), value.to_vec()))
            .collect();
        for (key, value) in pairs {
            ctx.add_meta(key, value);
        }
        let seq = ctx.seq().clone();
        let path = ctx.path().to_owned();
        let q = ctx.query("q").unwrap_or_default().to_owned();
        ctx.set_meta("seq", seq.as_bytes());
        ctx.set_meta("path", path);
        ctx.set_meta("q", q);
        arg
    }

    /// Sends the reply through one more filter.
    fn pipe_add(&self, ctx: &mut CallCtx, arg: String) -> Result<String, Rerror> {
        ctx.add_xfer(b"m")?;
        Ok(arg)
    }

    /// Sends the reply as plain text.
    fn codec_set(&self, ctx: &mut CallCtx, arg: String) -> String {
        ctx.set_body_codec(teleport::codec::PLAIN);
        arg
    }

    /// Calls the caller before it answers.
    async fn call_back(&self, ctx: &mut CallCtx, arg: String) -> Result<String, Rerror> {
        let session = ctx.session().clone();
        let answer: String = session.call("/client/hello", "from server").await?;
        Ok(format!("{arg}|{answer}"))
    }
}

struct Push(Notes);

#[push_handler]
impl Push {
    /// Notes the push.
    fn status(&self, ctx: &PushCtx, arg: String) {
        self.0.add(ctx.path(), arg);
    }

    /// Fails, which nobody is told.
    fn fail(&self, _arg: String) -> Result<(), Rerror> {
        Err(Rerror::new(1, "push failed", ""))
    }

    /// Panics, which nobody is told.
    fn boom(&self, arg: String) {
        panic!("boom: {arg}")
    }
}

struct Client;

#[controller]
impl Client {
    /// Greets back.
    fn hello(&self, arg: String) -> String {
        format!("hello {arg}")
    }
}

struct ClientPush(Notes);

#[push_handler(name = "Push")]
impl ClientPush {
    /// Notes the push.
    fn status(&self, ctx: &PushCtx, arg: String) {
        self.0.add(ctx.path(), arg);
    }
}
