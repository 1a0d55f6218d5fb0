//! The command line.

use std::net::SocketAddr;

use clap::{Parser, Subcommand, ValueEnum};

/// Serves the message of the seed's comparison, or measures a server that does.
#[derive(Parser)]
pub struct Args {
    #[command(subcommand)]
    pub command: Command,
    /// What the messages go through; the same on both ends.
    #[arg(long, global = true, value_enum, default_value = "session")]
    pub layer: Layer,
    /// The threads of the runtime; as many as there are cores, if not said.
    #[arg(long, global = true)]
    pub threads: Option<usize>,
    /// How many readiness events the runtime takes at once; less is fairer from about a thousand
    /// connections on.
    #[arg(long, global = true)]
    pub io_events: Option<usize>,
}

#[derive(Subcommand)]
pub enum Command {
    /// Serves until it is stopped.
    Server(Server),
    /// Connects, warms up, measures, and prints one line of JSON.
    Client(Client),
}

#[derive(clap::Args)]
pub struct Server {
    /// Where to listen.
    #[arg(long)]
    pub addr: SocketAddr,
}

#[derive(clap::Args)]
pub struct Client {
    /// Where the server is.
    #[arg(long)]
    pub addr: SocketAddr,
    /// Who calls on what.
    #[arg(long, value_enum, default_value = "many")]
    pub mode: Mode,
    /// Connections in the modes many and idle, callers in the modes one and big.
    #[arg(short = 'c', default_value_t = 100)]
    pub callers: usize,
    /// The calls of all callers together.
    #[arg(short = 'n', default_value_t = 100_000)]
    pub calls: usize,
    /// The process whose time and memory are shown as the server's.
    #[arg(long)]
    pub server_pid: Option<u32>,
}

#[derive(Clone, Copy, PartialEq, Eq, ValueEnum)]
pub enum Layer {
    /// Peers, sessions, routes, and codecs.
    Session,
    /// Sockets and codecs.
    Socket,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub enum Mode {
    /// A connection for every caller.
    Many,
    /// One connection for all callers.
    One,
    /// Connections that make one call each and stay.
    Idle,
    /// One connection for all callers, who send a mebibyte and get it back.
    Big,
}

impl Mode {
    pub fn name(self) -> &'static str {
        match self {
            Self::Many => "many",
            Self::One => "one",
            Self::Idle => "idle",
            Self::Big => "big",
        }
    }
}
