//! A protocol of one's own: a message is a line of text, to be typed in a terminal.
//!
//! Run with `cargo run -p teleport-examples --example own_proto`.

use std::io::Write as _;

use bytes::{BufMut, BytesMut};
use teleport::message::{Frame, Head, Mtype};
use teleport::proto::{Body, Env, Pack, Proto, ProtoError, ProtoErrorKind, Unpack};
use teleport::{Error, Peer, controller, push_handler};

/// `TYPE SEQ CODEC URI META BODY`, parted by blanks; the body has no line end.
#[derive(Clone, Copy)]
struct Lines;

impl Proto for Lines {
    fn version(&self) -> (u8, &'static str) {
        (b'l', "lines")
    }

    fn split(&self) -> (Box<dyn Pack>, Box<dyn Unpack>) {
        (Box::new(Self), Box::new(Self))
    }
}

impl Pack for Lines {
    fn pack(
        &self,
        env: &Env,
        head: &Head<'_>,
        body: Body<'_>,
        dst: &mut BytesMut,
    ) -> Result<(), ProtoError> {
        let start = dst.len();
        let _ = write!(dst.writer(), "{} ", head.mtype.0);
        dst.put_slice(head.seq);
        let _ = write!(dst.writer(), " {} ", head.body_codec);
        for text in [head.uri, head.meta] {
            dst.put_slice(text);
            dst.put_u8(b' ');
        }
        let from = dst.len();
        let written = body
            .write(dst)
            .and_then(|()| env.limits.check_message(dst.len() - start));
        let is_line = !dst[from..].contains(&b'\n') && head.xfer.is_empty();
        dst.put_u8(b'\n');
        let result = match written {
            Ok(()) if !is_line => Err(bad("only one line without filters can be sent")),
            written => written,
        };
        if result.is_err() {
            // What cannot be sent leaves nothing behind.
            dst.truncate(start);
        }
        result
    }
}

impl Unpack for Lines {
    fn unpack<'a>(
        &'a mut self,
        env: &Env,
        src: &'a [u8],
        _whole: bool,
    ) -> Result<Option<(Frame<'a>, usize)>, ProtoError> {
        let Some(end) = src.iter().position(|byte| *byte == b'\n') else {
            env.limits.check_message(src.len())?;
            return Ok(None);
        };
        let mut parts = src[..end].splitn(6, |byte| *byte == b' ');
        let mut part = || parts.next().ok_or_else(|| bad("a line has six parts"));
        let number = |text| std::str::from_utf8(text).ok()?.parse().ok();
        let head = Head {
            mtype: Mtype(number(part()?).ok_or_else(|| bad("the type is a number"))?),
            seq: part()?,
            body_codec: number(part()?).ok_or_else(|| bad("the codec is a number"))?,
            uri: part()?,
            meta: part()?,
            ..Head::default()
        };
        let body = part()?;
        Ok(Some((Frame { head, body }, end + 1)))
    }
}

fn bad(text: &'static str) -> ProtoError {
    ProtoError::new(ProtoErrorKind::BadField, text)
}

#[controller]
async fn shout(arg: String) -> String {
    arg.to_uppercase()
}

#[push_handler]
async fn note(arg: String) {
    println!("server: somebody notes {arg:?}");
}

#[tokio::main]
async fn main() -> Result<(), Error> {
    let srv = Peer::builder().proto(Lines).build()?;
    srv.route_call_fn(shout)?;
    srv.route_push_fn(note)?;
    let address = srv.listen_on("127.0.0.1:0").await?;

    let builder = Peer::builder().proto(Lines).default_body_codec("plain");
    let cli = builder.build()?;
    let session = cli.dial(&address).await?;
    session.push("/note", "a line").await?;
    let loud: String = session.call("/shout", "hello").await?;
    println!("client: {loud} by {}", session.proto().1);
    cli.close().await;
    srv.close().await;
    Ok(())
}
