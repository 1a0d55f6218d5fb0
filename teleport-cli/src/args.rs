//! The command line. A mistake on it ends the program with exit code 2.

use std::ffi::OsString;
use std::sync::Arc;

use clap::builder::{OsStringValueParser, TypedValueParser};
use clap::{Args as Group, Parser, Subcommand, ValueEnum};
use teleport::proto::{AnyOf, JsonProto, PbProto, Proto, RawProto};

mod secure;
mod tls;
mod values;

pub(crate) use secure::Secure;
pub(crate) use tls::{ClientTls, ServerTls};
pub(crate) use values::{Pair, Pipe, Wait};

const EXITS: &str = "\
Exit codes: 0 done; 1 the other peer answered with an error; 2 usage, or a message that cannot be
sent as it is; 3 connection refused, lost, or its frames are broken; 4 the time ran out. With 1, 3
and 4 the last line on standard error is {\"code\":..,\"message\":\"..\",\"reason\":\"..\"}.";

const SERVE_HELP: &str = "\
A CALL is answered with its own body, codec and transfer filters; X-Accept-Body-Codec changes the
id of the codec and nothing else. These paths do more:
  /error?code=N&message=M&reason=R  answers this error
  /panic                            panics inside the handler
  /sleep?ms=N                       answers N milliseconds later
  /push-me?uri=U&count=N            pushes the body to the caller, N times (1 without count), first
  /broadcast?uri=U                  pushes the body to every other connection first
  /call-me?uri=U                    calls the caller with the body, and answers what it answered
Pushes and calls made for these have the codec and the transfer filters of the call, and with
--secure are encrypted if it was. A parameter that is bad, or missing and without a default, is
error 400.

Log lines go to standard error with -v, or as RUST_LOG says. SIGINT and SIGTERM end the program
with exit code 0; what cannot listen ends with 3.";

/// Talks to teleport peers, and looks into what they say.
#[derive(Debug, Parser)]
#[command(name = "teleport", version)]
pub(crate) struct Args {
    #[command(subcommand)]
    pub(crate) command: Command,
}

#[derive(Debug, Subcommand)]
pub(crate) enum Command {
    /// Calls, and prints the body of the reply exactly as it came
    #[command(after_help = EXITS)]
    Call(SendArgs),
    /// Pushes, and waits for no answer
    #[command(after_help = EXITS)]
    Push(SendArgs),
    /// Prints the pushes that arrive, one JSON object a line
    #[command(after_help = EXITS)]
    Listen(ListenArgs),
    /// Listens, prints the bound address and then every message, and answers calls
    #[command(after_help = SERVE_HELP)]
    Serve(ServeArgs),
    /// Turns frames into JSON and back, one a line, from standard input to standard output
    Wire(WireArgs),
}

/// A call or a push.
#[derive(Debug, Group)]
pub(crate) struct SendArgs {
    /// The protocol to speak: raw, json or pb
    #[arg(long, default_value = "raw", value_parser = values::proto)]
    pub(crate) proto: ProtoName,

    /// The codec of the body: json, protobuf, plain, form, or an id from 0 to 255. The body is
    /// sent as it is, whatever the codec; 0 stands for json
    #[arg(long, value_name = "C", default_value = "json", value_parser = values::codec)]
    pub(crate) codec: u8,

    /// Prove with this text who is there, before anything else; `@file` reads it from a file
    #[arg(long, value_name = "TEXT", value_parser = values::secret, allow_hyphen_values = true)]
    pub(crate) auth: Option<String>,

    #[command(flatten)]
    pub(crate) secure: Secure,

    /// The codec to ask for in the reply (metadata X-Accept-Body-Codec)
    #[arg(long, value_name = "C", value_parser = values::codec)]
    pub(crate) accept_codec: Option<u8>,

    /// A pair of metadata, split at the first `=`; repeat it for more, their order is kept
    #[arg(
        long,
        value_name = "K=V",
        value_parser = OsStringValueParser::new().try_map(values::pair),
        allow_hyphen_values = true
    )]
    pub(crate) meta: Vec<Pair>,

    /// The transfer filters as they are on the wire, outermost first: md5, gzip
    #[arg(long, value_name = "L", default_value = "", hide_default_value = true, value_parser = values::pipe)]
    pub(crate) xfer: Pipe,

    /// The sequence text, instead of a counted one
    #[arg(long, value_name = "S", allow_hyphen_values = true)]
    pub(crate) seq: Option<OsString>,

    /// How long all of it may take: 500ms, 5s, 1m, or a number of seconds; 0 for no limit
    #[arg(long, value_name = "TIME", default_value = "30s", value_parser = values::wait)]
    pub(crate) timeout: Wait,

    /// Dial again, so many times, when the connection is lost; below 0 without end. A call that
    /// was sent already is not repeated
    #[arg(
        long,
        value_name = "N",
        default_value_t = 0,
        allow_negative_numbers = true
    )]
    pub(crate) redial: i32,

    /// BODY is hex, white space ignored, and the reply is printed as one line of hex
    #[arg(long)]
    pub(crate) hex: bool,

    /// Answer every CALL from the other side with its own body; without this with 404
    #[arg(long)]
    pub(crate) echo: bool,

    /// Print {"seq","codec","meta","xfer","cost_us"} of the reply (of a push: its own) on
    /// standard error
    #[arg(short, long)]
    pub(crate) verbose: bool,

    #[command(flatten)]
    pub(crate) tls: ClientTls,

    /// The peer: `host:port`, `[::1]:port`, `:port` for this machine, or a unix socket as
    /// `unix:/path`, `unixpacket:/path` or `unix:@name`
    #[arg(value_name = "ADDR", value_parser = values::address)]
    pub(crate) addr: String,

    /// Path and query
    #[arg(value_name = "URI")]
    pub(crate) uri: OsString,

    /// The body; `-` reads standard input, `@file` a file; empty without it
    #[arg(value_name = "BODY", allow_negative_numbers = true)]
    pub(crate) body: Option<OsString>,
}

#[derive(Debug, Group)]
pub(crate) struct ListenArgs {
    /// The protocol to speak: raw, json or pb
    #[arg(long, default_value = "raw", value_parser = values::proto)]
    pub(crate) proto: ProtoName,

    /// Prove with this text who is there, before anything else; `@file` reads it from a file
    #[arg(long, value_name = "TEXT", value_parser = values::secret, allow_hyphen_values = true)]
    pub(crate) auth: Option<String>,

    #[command(flatten)]
    pub(crate) secure: Secure,

    /// Exit with 0 after so many pushes; without it, go on until the connection or the time ends
    #[arg(long, value_name = "N")]
    pub(crate) count: Option<u64>,

    /// Dial again, so many times, when the connection is lost; below 0 without end. Then lines on
    /// standard error say so
    #[arg(
        long,
        value_name = "N",
        default_value_t = 0,
        allow_negative_numbers = true
    )]
    pub(crate) redial: i32,

    /// Exit with 4 after this time: 500ms, 10s, 1m, or a number of seconds; none without it
    #[arg(long, value_name = "TIME", value_parser = values::wait)]
    pub(crate) timeout: Option<Wait>,

    /// Answer every CALL from the other side with its own body; without this with 404
    #[arg(long)]
    pub(crate) echo: bool,

    #[command(flatten)]
    pub(crate) tls: ClientTls,

    /// The peer: `host:port`, `[::1]:port`, `:port` for this machine, or a unix socket as
    /// `unix:/path`, `unixpacket:/path` or `unix:@name`
    #[arg(value_name = "ADDR", value_parser = values::address)]
    pub(crate) addr: String,
}

#[derive(Debug, Group)]
pub(crate) struct ServeArgs {
    /// The address to listen on: `host:port`, where port 0 takes a free one, or a unix socket as
    /// `unix:/path`
    #[arg(long, value_name = "ADDR", default_value = "127.0.0.1:0", value_parser = values::address)]
    pub(crate) listen: String,

    /// The protocol to speak: raw, json or pb; or several, such as raw,json,pb, which are told apart
    /// by the first bytes of each connection
    #[arg(long, value_name = "L", default_value = "raw", value_delimiter = ',', value_parser = values::proto)]
    pub(crate) proto: Vec<ProtoName>,

    /// The largest message in bytes; 0 for no limit
    #[arg(long, value_name = "BYTES", default_value_t = 16 << 20)]
    pub(crate) limit: usize,

    /// Let nobody in who does not prove with this text who is there; others get error 403.
    /// `@file` reads it from a file
    #[arg(long, value_name = "TEXT", value_parser = values::secret, allow_hyphen_values = true)]
    pub(crate) auth: Option<String>,

    #[command(flatten)]
    pub(crate) secure: Secure,

    #[command(flatten)]
    pub(crate) tls: ServerTls,

    /// Log every call and push on standard error
    #[arg(short, long)]
    pub(crate) verbose: bool,
}

#[derive(Debug, Group)]
pub(crate) struct WireArgs {
    /// What to do with each line
    #[arg(value_enum)]
    pub(crate) action: WireAction,

    /// The protocol of the frames: raw, json or pb
    #[arg(long, default_value = "raw", value_parser = values::proto)]
    pub(crate) proto: ProtoName,

    /// The largest frame in bytes; 0 for no limit
    #[arg(long, value_name = "BYTES", default_value_t = 16 << 20)]
    pub(crate) limit: usize,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub(crate) enum WireAction {
    /// From a frame in hex to a JSON object
    Decode,
    /// From such an object to a frame in hex
    Encode,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum ProtoName {
    /// The default protocol: length-prefixed binary frames.
    Raw,
    /// JSON objects.
    Json,
    /// Protobuf messages.
    Pb,
}

impl ProtoName {
    pub(crate) fn proto(self) -> Arc<dyn Proto> {
        match self {
            Self::Raw => Arc::new(RawProto),
            Self::Json => Arc::new(JsonProto),
            Self::Pb => Arc::new(PbProto),
        }
    }
}

impl ServeArgs {
    /// The protocol to speak, which is one that chooses if there are several.
    pub(crate) fn proto(&self) -> Arc<dyn Proto> {
        match self.proto.as_slice() {
            [] => ProtoName::Raw.proto(),
            [one] => one.proto(),
            [first, others @ ..] => {
                let any = AnyOf::new(first.proto());
                let any = others.iter().fold(any, |any, other| any.or(other.proto()));
                Arc::new(any)
            }
        }
    }
}
