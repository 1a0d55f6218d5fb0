//! The command line. A mistake on it ends the program with exit code 2, and so does an option
//! whose feature is not built yet.

#![allow(
    rustdoc::broken_intra_doc_links,
    reason = "these are help texts of the command line"
)]

use std::time::Duration;

use clap::{Parser, Subcommand, ValueEnum};
use teleport::socket::{Network, Place};
use teleport_tests::standard::{Options, secure::plugin, spoken::Spoken};

/// The standard peer of the recorded conversations, as a server; with `dial` as a client.
///
/// The server prints the bound address as its first line and serves until SIGINT or SIGTERM.
#[derive(Debug, Parser)]
#[command(name = "conformance-peer", version)]
pub(crate) struct Args {
    /// The address to listen on; port 0 takes a free one
    #[arg(long, value_name = "ADDR", default_value = "127.0.0.1:0")]
    pub(crate) listen: String,

    #[command(flatten)]
    pub(crate) features: Features,

    #[command(subcommand)]
    pub(crate) command: Option<Command>,
}

#[derive(Debug, Subcommand)]
pub(crate) enum Command {
    /// Connects a client, which is told its calls on standard input
    ///
    /// One JSON object a line: {"uri":"/math/add","arg":[1,2],"codec":"json","meta":[["k","v"]],
    /// "xfer":[109],"seq":"x"}; all but "uri" may be missing. "codec" is json (the default),
    /// protobuf, plain, form, or an id. "xfer" has filter ids, outermost first. "arg" is any JSON
    /// for json and form; a text for plain, and for an id that no codec has, which sends it as it
    /// is; for protobuf {"a":..,"b":..} to /test/div and /test/pb_add. No "arg", or null, is an
    /// empty body; "arg_hex" in its place is the body itself.
    ///
    /// Calls are made one after the other. Each prints one line, flushed at once: {"result":..},
    /// {"result_hex":".."}, or {"error":{"code":..,"message":..,"reason":..}}; errors of this end,
    /// such as a lost connection (102) or a reply that is not what the route answers with (400),
    /// look the same. The result of a standard route is read as what that route answers with, a
    /// protobuf one is shown as {"a":..,"b":..}; of any other route as what the codec says. Bytes
    /// that are neither JSON nor UTF-8 appear as "result_hex", and so does protobuf of unknown
    /// type. An empty body of unknown type is null.
    ///
    /// Each push prints {"type":"push","uri":..,"seq":..,"codec":..,"meta":[[k,v]..],"xfer":[ids],
    /// "body":..} with the body as it came, or "body_hex" where it is not UTF-8.
    ///
    /// At the end of input, and when nothing was pushed for 100 ms more, the connection is closed
    /// in order, and the exit code is 0; it is 1 when there was no connection.
    #[command(verbatim_doc_comment)]
    Dial {
        /// The address to connect to
        #[arg(value_name = "ADDR")]
        address: String,
    },
}

/// What a standard peer is to be.
#[derive(Debug, clap::Args)]
pub(crate) struct Features {
    /// The protocol
    #[arg(long, value_enum, default_value_t = Spoken::Raw, global = true)]
    proto: Spoken,

    /// Speak websocket at this path (not built yet)
    #[arg(long, value_name = "PATH", global = true)]
    ws: Option<String>,

    /// The subprotocol of the websocket (not built yet)
    #[arg(long, value_enum, global = true)]
    sub: Option<SubName>,

    /// Want, or as a client send, this text before anything else
    #[arg(long, value_name = "TEXT", global = true)]
    auth: Option<String>,

    /// Match paths in upper and lower case alike
    #[arg(long, global = true)]
    ignore_case: bool,

    /// The longest life of a call, such as 200ms
    #[arg(long, value_name = "TIME", value_parser = time, global = true)]
    context_age: Option<Duration>,

    /// The longest life of a connection, such as 700ms
    #[arg(long, value_name = "TIME", value_parser = time, global = true)]
    session_age: Option<Duration>,

    /// The largest message in bytes
    #[arg(long, value_name = "BYTES", global = true)]
    limit: Option<usize>,

    /// As a client dial again, so many times, when the connection is lost; below 0 without end
    #[arg(
        long,
        value_name = "TIMES",
        default_value_t = 0,
        allow_negative_numbers = true,
        global = true
    )]
    redial: i32,

    /// Answer heartbeats
    #[arg(long, global = true)]
    pong: bool,

    /// Push a text to /push/status of every connection, once, after a call
    #[arg(long, global = true)]
    push_after_call: bool,

    /// Have handlers of unknown calls and pushes in place of the routes
    #[arg(long, global = true)]
    unknown: bool,

    /// Add the routes behind the secure plugin in the Go mode, with a key of 16, 24 or 32 bytes
    #[arg(long, value_name = "KEY", global = true)]
    secure: Option<String>,

    /// Add the route whose parameters are checked
    #[arg(long, global = true)]
    bind: bool,

    /// Have none of the routes, and forward unknown calls and pushes to this address
    #[arg(long, value_name = "BACKEND", global = true)]
    pub(crate) proxy: Option<String>,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
enum SubName {
    Json,
    Pb,
}

impl Args {
    /// Why the program cannot do what it is told; `None` when it can.
    pub(crate) fn refusal(&self) -> Option<String> {
        let address = match &self.command {
            Some(_) if self.features.proxy.is_some() => {
                return Some("a client forwards nothing; leave --proxy out".to_owned());
            }
            Some(Command::Dial { address }) => address,
            None => &self.listen,
        };
        bad_address(address).or_else(|| self.features.refusal())
    }
}

impl Features {
    fn refusal(&self) -> Option<String> {
        let asked = [("--ws", self.ws.is_some()), ("--sub", self.sub.is_some())];
        let missing: Vec<_> = asked
            .iter()
            .filter(|(_, asked)| *asked)
            .map(|(name, _)| *name)
            .collect();
        if let Some(backend) = &self.proxy {
            if self.unknown {
                let text = "--unknown and --proxy both take what has no route; leave one out";
                return Some(text.to_owned());
            }
            if let Some(refusal) = bad_address(backend) {
                return Some(refusal);
            }
        }
        let bad_key = self.secure.as_ref().and_then(|key| plugin(key).err());
        match missing.as_slice() {
            [] => bad_key.map(|error| error.to_string()),
            [one] => Some(format!("{one} is not built yet; leave it out")),
            many => Some(format!(
                "{} are not built yet; leave them out",
                many.join(", ")
            )),
        }
    }

    pub(crate) fn options(&self) -> Options {
        Options {
            proto: self.proto,
            push_after_call: self.push_after_call,
            unknown: self.unknown,
            ignore_case: self.ignore_case,
            limit: self.limit,
            auth: self.auth.clone(),
            context_age: self.context_age.unwrap_or_default(),
            session_age: self.session_age.unwrap_or_default(),
            bind: self.bind,
            secure: self.secure.clone(),
            redial: self.redial,
            pong: self.pong,
            ping: None,
        }
    }
}

fn bad_address(text: &str) -> Option<String> {
    let error = Place::parse(text, Network::Tcp).err()?;
    Some(error.to_string())
}

/// Reads `200ms`, `1.5s` or `2m`.
fn time(text: &str) -> Result<Duration, String> {
    let wrong =
        || format!("{text:?} is no time; write a number with a unit, such as 200ms or 1.5s");
    let end = text.find(|c: char| !(c.is_ascii_digit() || c == '.'));
    let (number, unit) = text.split_at(end.ok_or_else(wrong)?);
    let number: f64 = number.parse().map_err(|_| wrong())?;
    let seconds = match unit {
        "ms" => number / 1e3,
        "s" => number,
        "m" | "min" => number * 60.0,
        _ => return Err(wrong()),
    };
    Duration::try_from_secs_f64(seconds).map_err(|_| wrong())
}
