//! The command line. A mistake on it ends the program with exit code 2.

use clap::{Parser, Subcommand, ValueEnum};
use teleport::proto::{Proto, RawProto};

/// Talks to teleport peers, and looks into what they say.
#[derive(Debug, Parser)]
#[command(name = "teleport", version)]
pub(crate) struct Args {
    #[command(subcommand)]
    pub(crate) command: Command,
}

#[derive(Debug, Subcommand)]
pub(crate) enum Command {
    /// Turns frames into JSON and back, one a line, from standard input to standard output
    Wire(WireArgs),
}

#[derive(Debug, clap::Args)]
pub(crate) struct WireArgs {
    /// What to do with each line
    #[arg(value_enum)]
    pub(crate) action: WireAction,

    /// The protocol of the frames
    #[arg(long, value_enum, default_value_t = ProtoName::Raw)]
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

#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub(crate) enum ProtoName {
    /// The default protocol: length-prefixed binary frames
    Raw,
}

impl ProtoName {
    pub(crate) fn proto(self) -> Box<dyn Proto> {
        match self {
            Self::Raw => Box::new(RawProto),
        }
    }
}
