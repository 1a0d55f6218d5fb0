//! What the commands that dial share.

use std::ffi::OsString;
use std::future::Future;
use std::io::{self, Read};
use std::time::{Duration, Instant};

use bytes::Bytes;
use teleport::message::{Message, Meta, Mtype, Uri, meta};
use teleport::plugins::auth::Launch;
use teleport::xfer::XferPipe;
use teleport::{Peer, Raw, Rerror, UnknownCallCtx, UnknownPushCtx, codec};
use tokio::runtime;

use crate::args::{ClientTls, ProtoName, Secure, SendArgs, Wait};
use crate::exit::{Failure, surroundings};
use crate::hex;
use crate::tap::Tap;

/// How long a connection may take to be closed in good order when all is done.
pub(crate) const CLOSING: Duration = Duration::from_secs(1);

/// Runs a command. One thread does it: connections are then known in the order in which they
/// came.
pub(crate) fn block_on<T>(work: impl Future<Output = Result<T, Failure>>) -> Result<T, Failure> {
    let runtime = runtime::Builder::new_current_thread()
        .enable_all()
        .build()
        .map_err(|error| surroundings("cannot start", &error))?;
    let result = runtime.block_on(work);
    // A name that is still being looked up must not hold up the end.
    runtime.shutdown_background();
    result
}

/// What a peer that dials is told.
pub(crate) struct Client<'a> {
    pub(crate) proto: ProtoName,
    pub(crate) auth: Option<&'a str>,
    pub(crate) secure: &'a Secure,
    pub(crate) tls: &'a ClientTls,
    pub(crate) echo: bool,
    pub(crate) wait: Wait,
    pub(crate) redial: i32,
}

/// A peer that prints what arrives.
pub(crate) fn peer(args: &Client<'_>, tap: Tap) -> Result<Peer, Failure> {
    let mut builder = Peer::builder()
        .proto(args.proto.proto())
        .plugin(tap)
        .redial_times(args.redial);
    if let Some(tls) = args.tls.client()? {
        builder = builder.tls_client(tls);
    }
    if let Some(timeout) = args.wait.0 {
        builder = builder.default_dial_timeout(timeout);
    }
    if let Some(text) = args.auth {
        builder = builder.plugin(Launch::new(text));
    }
    if let Some(secure) = args.secure.plugin()? {
        builder = builder.plugin(secure);
    }
    let peer = builder.build()?;
    peer.set_unknown_push(ignore_push)?;
    if args.echo {
        peer.set_unknown_call(echo_call)?;
    }
    Ok(peer)
}

/// Does nothing with a push: it is printed already.
pub(crate) async fn ignore_push(_ctx: &mut UnknownPushCtx) -> Result<(), Rerror> {
    Ok(())
}

/// Answers a call with its own body.
async fn echo_call(ctx: &mut UnknownCallCtx) -> Result<Raw<Bytes>, Rerror> {
    Ok(Raw(ctx.body().clone()))
}

/// The time that a command may take.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Deadline {
    started: Instant,
    wait: Wait,
}

impl Deadline {
    pub(crate) fn after(wait: Wait) -> Self {
        Self {
            started: Instant::now(),
            wait,
        }
    }

    /// What is left of it; `None` without a limit.
    pub(crate) fn left(self) -> Option<Duration> {
        Some(self.wait.0?.saturating_sub(self.started.elapsed()))
    }

    /// Waits until the time is over; for ever without a limit.
    pub(crate) async fn over(self) {
        match self.left() {
            Some(left) => tokio::time::sleep(left).await,
            None => std::future::pending().await,
        }
    }
}

impl SendArgs {
    /// How to dial.
    pub(crate) fn client(&self) -> Client<'_> {
        Client {
            proto: self.proto,
            auth: self.auth.as_deref(),
            secure: &self.secure,
            tls: &self.tls,
            echo: self.echo,
            wait: self.timeout,
            redial: self.redial,
        }
    }

    /// The message, but for its sequence text, as it is before it is encrypted.
    pub(crate) fn message(&self, mtype: Mtype) -> Result<Message, Failure> {
        let uri = Uri::new(self.uri.as_encoded_bytes());
        let xfer = XferPipe::from_ids(&self.xfer.0).map_err(|e| Failure::Usage(e.to_string()))?;
        let mut message = Message::new(mtype, uri, self.read_body()?)
            .with_body_codec(self.body_codec())
            .with_xfer(xfer);
        message.header.meta = self.metadata();
        Ok(message)
    }

    /// The metadata of the message.
    fn metadata(&self) -> Meta {
        let mut pairs: Meta = self.meta.iter().map(|(key, value)| (key, value)).collect();
        if let Some(codec) = self.accept_codec {
            pairs.set(meta::ACCEPT_BODY_CODEC, codec.to_string());
        }
        pairs
    }

    /// The codec of the message.
    fn body_codec(&self) -> u8 {
        match self.codec {
            codec::NONE => codec::JSON,
            codec => codec,
        }
    }

    /// The body of the message.
    fn read_body(&self) -> Result<Bytes, Failure> {
        let bytes = match &self.body {
            None => return Ok(Bytes::new()),
            Some(text) => read(text)?,
        };
        if self.hex {
            let bytes = hex::decode(&bytes).map_err(|error| usage("the body is", &error))?;
            return Ok(bytes.into());
        }
        Ok(bytes.into())
    }
}

fn read(text: &OsString) -> Result<Vec<u8>, Failure> {
    let bytes = text.as_encoded_bytes();
    match bytes {
        b"-" => {
            let mut body = Vec::new();
            io::stdin()
                .lock()
                .read_to_end(&mut body)
                .map_err(|error| usage("cannot read standard input:", &error))?;
            Ok(body)
        }
        [b'@', path @ ..] => {
            let path = str::from_utf8(path)
                .map_err(|error| usage("cannot read a file of this name:", &error))?;
            std::fs::read(path).map_err(|error| usage(&format!("cannot read {path}:"), &error))
        }
        bytes => Ok(bytes.to_vec()),
    }
}

fn usage(what: &str, error: &dyn std::fmt::Display) -> Failure {
    Failure::Usage(format!("{what} {error}"))
}
