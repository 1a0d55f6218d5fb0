//! The load generator: one binary that is the server or the measuring client.
//!
//! `load server --addr IP:PORT` serves, `load client --addr IP:PORT --mode many -c 100 -n 100000`
//! measures and prints one line of JSON. What is measured is the 581-byte message of the seed's
//! comparison, by the route `/hello/say` through peers and sessions, or with `--layer socket`
//! over sockets alone.

mod args;
#[cfg(feature = "count-alloc")]
mod count;
mod measure;
mod process;
mod report;
mod session;
mod socket;

use std::error::Error;
use std::future::Future;

use args::{Args, Client, Command, Layer, Server};
use clap::Parser;

type Result<T> = std::result::Result<T, Box<dyn Error + Send + Sync>>;

fn main() -> Result<()> {
    let args = Args::parse();
    process::raise_open_files();
    let mut builder = tokio::runtime::Builder::new_multi_thread();
    builder.enable_all();
    if let Some(threads) = args.threads {
        builder.worker_threads(threads);
    }
    if let Some(events) = args.io_events {
        builder.max_io_events_per_tick(events);
    }
    let runtime = builder.build()?;
    runtime.block_on(async {
        match args.command {
            Command::Server(server) => serve(server, args.layer).await,
            Command::Client(client) => measure(client, args.layer).await,
        }
    })
}

/// Serves until it is told to stop.
async fn serve(server: Server, layer: Layer) -> Result<()> {
    match layer {
        Layer::Session => until_stopped(session::serve(server.addr)).await,
        Layer::Socket => until_stopped(socket::serve(server.addr)).await,
    }
}

/// A server that is asked to stop ends by itself, so that whoever profiles it gets a profile.
async fn until_stopped(serving: impl Future<Output = Result<()>>) -> Result<()> {
    use tokio::signal::unix::{SignalKind, signal};
    let mut terminate = signal(SignalKind::terminate())?;
    tokio::select! {
        result = serving => result,
        _ = terminate.recv() => Ok(()),
        result = tokio::signal::ctrl_c() => Ok(result?),
    }
}

async fn measure(client: Client, layer: Layer) -> Result<()> {
    let line = match layer {
        Layer::Session => measure::run(session::Stack::new()?, client).await?,
        Layer::Socket => measure::run(socket::Stack, client).await?,
    };
    println!("{line}");
    // Sessions and their tasks go with the process.
    Ok(())
}
