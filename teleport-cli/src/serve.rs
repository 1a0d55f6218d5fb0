//! `teleport serve`.

mod routes;

use std::io::{self, IsTerminal};
use std::process::ExitCode;

use teleport::plugins::auth::{Verify, constant_time_eq};
use teleport::{Peer, Rerror};
use tokio::time::timeout;
use tracing_subscriber::EnvFilter;

use crate::args::ServeArgs;
use crate::client::{self, CLOSING};
use crate::end;
use crate::exit::{Failure, surroundings};
use crate::output::Lines;
use crate::tap::Tap;
use routes::Routes;

pub(crate) fn run(args: &ServeArgs) -> ExitCode {
    log(args.verbose);
    let (lines, _) = Lines::to(io::stderr());
    print_panics(lines.clone());
    // When nobody reads what is printed, calls are answered all the same.
    let (messages, _) = Lines::to(io::stdout());
    let result = client::block_on(serve(args, &messages));
    messages.finish(Some(CLOSING));
    if result.is_ok() {
        lines.finish(Some(CLOSING));
        return ExitCode::SUCCESS;
    }
    end(result, &lines)
}

async fn serve(args: &ServeArgs, messages: &Lines) -> Result<(), Failure> {
    let mut stop = Stop::new().map_err(|error| surroundings("cannot wait for signals", &error))?;
    let mut builder = Peer::builder()
        .proto(args.proto())
        .message_limit(args.limit)
        .count_time(true)
        .plugin(Tap::everything(messages.clone()));
    if let Some(wanted) = args.auth.clone() {
        builder = builder.plugin(Verify::new(move |_, text| {
            match constant_time_eq(text, &wanted) {
                true => Ok(()),
                false => Err(Rerror::new(403, "auth fail", "the text is another one")),
            }
        }));
    }
    let peer = builder.build()?;
    peer.set_unknown_call(Routes)?;
    peer.set_unknown_push(client::ignore_push)?;
    let address = peer.listen_on(&args.listen).await?;
    messages.say(format!("{address}\n").into_bytes());
    stop.wait().await;
    // Handlers that still run, and others that do not read, have had their time.
    let _ = timeout(CLOSING, peer.close()).await;
    Ok(())
}

/// Prints what panics say, where they are and nothing more: they end a call, not the program.
fn print_panics(lines: Lines) {
    std::panic::set_hook(Box::new(move |panic| {
        // Without room there is nobody who reads it.
        drop(lines.put(format!("{panic}\n").into_bytes()));
    }));
}

/// Writes log lines to standard error, if somebody asks for them.
fn log(verbose: bool) {
    let asked = std::env::var("RUST_LOG").is_ok_and(|text| !text.is_empty());
    let filter = match (asked, verbose) {
        (true, _) => EnvFilter::from_default_env(),
        (false, true) => EnvFilter::new("info"),
        (false, false) => return,
    };
    tracing_subscriber::fmt()
        .with_env_filter(filter)
        .with_writer(io::stderr)
        .with_ansi(io::stderr().is_terminal())
        .init();
}

/// The signals that end the program.
#[cfg(unix)]
struct Stop {
    interrupt: tokio::signal::unix::Signal,
    terminate: tokio::signal::unix::Signal,
}

#[cfg(unix)]
impl Stop {
    fn new() -> io::Result<Self> {
        use tokio::signal::unix::{SignalKind, signal};
        Ok(Self {
            interrupt: signal(SignalKind::interrupt())?,
            terminate: signal(SignalKind::terminate())?,
        })
    }

    async fn wait(&mut self) {
        tokio::select! {
            _ = self.interrupt.recv() => {}
            _ = self.terminate.recv() => {}
        }
    }
}

#[cfg(not(unix))]
struct Stop;

#[cfg(not(unix))]
impl Stop {
    fn new() -> io::Result<Self> {
        Ok(Self)
    }

    async fn wait(&mut self) {
        if tokio::signal::ctrl_c().await.is_err() {
            std::future::pending::<()>().await;
        }
    }
}
