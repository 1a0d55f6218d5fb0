//! The standard peer as a program: a server, or with `dial` a client that is told its calls.

use std::io::Write;
use std::process::ExitCode;
use std::sync::Arc;
use std::time::Duration;

use clap::{CommandFactory, Parser, error::ErrorKind};
use serde_json::{Value, json};
use teleport::{Error, Peer, Rerror};
use teleport_tests::standard::{
    Notes, client,
    relay::{Dialled, relay},
    server,
    watch::{Seen, WatchPushes},
};
use tokio::io::{AsyncBufReadExt, BufReader};
use tokio::sync::mpsc;
use tokio::time::timeout;

use args::{Args, Command};

#[path = "conformance_peer/args.rs"]
mod args;
#[path = "conformance_peer/line.rs"]
mod line;

/// How long the server waits for running handlers and slow readers when a signal ends it. Whoever
/// sends one waits no longer than a second.
const LAST_CALLS: Duration = Duration::from_millis(250);

/// How long the client goes on listening for pushes after its last call.
const LAST_PUSHES: Duration = Duration::from_millis(100);

fn main() -> ExitCode {
    let args = Args::parse();
    if let Some(refusal) = args.refusal() {
        // Exit code 2, as for every mistake on the command line.
        Args::command()
            .error(ErrorKind::InvalidValue, refusal)
            .exit();
    }
    let runtime = match tokio::runtime::Runtime::new() {
        Ok(runtime) => runtime,
        Err(error) => return failed(&error),
    };
    let result = match &args.command {
        None => runtime.block_on(serve(&args)),
        Some(Command::Dial { address }) => {
            runtime.block_on(dial(&args, address)).map_err(Into::into)
        }
    };
    // A read of standard input may still be waiting on a thread of its own.
    runtime.shutdown_background();
    match result {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => failed(&*error),
    }
}

fn failed(error: &dyn std::error::Error) -> ExitCode {
    let _ = write!(std::io::stderr(), "conformance-peer: {error}");
    let mut cause = error.source();
    while let Some(error) = cause {
        let _ = write!(std::io::stderr(), ": {error}");
        cause = error.source();
    }
    let _ = writeln!(std::io::stderr());
    ExitCode::FAILURE
}

/// Listens until a signal comes; a second one cuts off what is left.
async fn serve(args: &Args) -> Result<(), Box<dyn std::error::Error>> {
    let options = args.features.options();
    let peer = match &args.features.proxy {
        None => server(&options, &Notes::default())?,
        Some(backend) => {
            let dials = Peer::builder().proto(options.proto.proto()).build()?;
            let backend = Arc::new(Dialled::new(dials, backend));
            let proxy = relay(&options, Arc::clone(&backend))?;
            // At once, as the original does; one that is not there yet is dialled by a later call.
            tokio::spawn(async move { backend.session().await });
            proxy
        }
    };
    // Whoever reads the first line may send a signal at once.
    #[cfg(unix)]
    let graceful = teleport::graceful::Graceful::builder()
        .peer(&peer)
        .deadline(LAST_CALLS)
        .start()?;
    let address = peer.listen_on(&args.listen).await?;
    print(&address.to_string());
    #[cfg(unix)]
    graceful.ended().await?;
    #[cfg(not(unix))]
    {
        tokio::signal::ctrl_c().await?;
        peer.close().await;
    }
    Ok(())
}

/// Makes the calls of standard input, one after the other.
async fn dial(args: &Args, address: &str) -> Result<(), Error> {
    let (sender, mut pushes) = mpsc::unbounded_channel();
    let peer = client(&args.features.options(), &Notes::default(), |builder| {
        builder.plugin(WatchPushes(sender))
    })?;
    let session = peer.dial(address).await?;
    let mut lines = BufReader::new(tokio::io::stdin()).split(b'\n');
    loop {
        tokio::select! {
            biased;
            Some(push) = pushes.recv() => print_push(&push),
            line = lines.next_segment() => match line {
                Ok(Some(line)) if line.trim_ascii().is_empty() => {}
                Ok(Some(line)) => {
                    // What is no text is no JSON either, and is answered as such.
                    let line = String::from_utf8_lossy(&line);
                    let answer = line::answer(&session, &line);
                    tokio::pin!(answer);
                    let answer = loop {
                        tokio::select! {
                            biased;
                            answer = &mut answer => break answer,
                            Some(push) = pushes.recv() => print_push(&push),
                        }
                    };
                    print(&answer.to_string());
                }
                Ok(None) => break,
                Err(error) => {
                    let error = Rerror::bad_message(format!("standard input: {error}"));
                    print(&line::error(&error).to_string());
                    break;
                }
            },
        }
    }
    // What is pushed after the last call may still be on its way.
    while let Ok(Some(push)) = timeout(LAST_PUSHES, pushes.recv()).await {
        print_push(&push);
    }
    peer.close().await;
    while let Ok(push) = pushes.try_recv() {
        print_push(&push);
    }
    Ok(())
}

fn print_push(push: &Seen) {
    let mut line = json!({
        "type": "push",
        "codec": push.body_codec,
        "meta": push.meta.iter().map(|(key, value)| [lossy(key), lossy(value)]).collect::<Vec<_>>(),
        "xfer": push.xfer,
    });
    line::put(&mut line, "uri", &push.uri);
    line::put(&mut line, "seq", &push.seq);
    line::put(&mut line, "body", &push.body);
    print(&line.to_string());
}

fn lossy(text: &[u8]) -> Value {
    String::from_utf8_lossy(text).into()
}

/// Prints a line at once; whoever reads them may have left.
fn print(line: &str) {
    let mut out = std::io::stdout().lock();
    let _ = writeln!(out, "{line}").and_then(|()| out.flush());
}
