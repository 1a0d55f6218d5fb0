//! `teleport serve`.

mod routes;

use std::io::{self, IsTerminal};
use std::process::ExitCode;

use teleport::plugins::auth::{Verify, constant_time_eq};
use teleport::socket::ToAddress as _;
use teleport::{Peer, Rerror};
use tracing_subscriber::EnvFilter;

use crate::args::ServeArgs;
use crate::client::{self, CLOSING};
use crate::end;
use crate::exit::Failure;
use crate::output::Lines;
use crate::tap::Tap;
use routes::Routes;

pub(crate) fn run(args: &ServeArgs) -> ExitCode {
    log(args.verbose);
    let (lines, _) = Lines::to(io::stderr());
    print_panics(lines.clone());
    // When nobody reads what is printed, calls are answered all the same.
    let (messages, _) = Lines::to(io::stdout());
    let result = client::block_on(serve(args, &messages, &lines));
    messages.finish(Some(CLOSING));
    if result.is_ok() {
        lines.finish(Some(CLOSING));
        return ExitCode::SUCCESS;
    }
    end(result, &lines)
}

async fn serve(args: &ServeArgs, messages: &Lines, lines: &Lines) -> Result<(), Failure> {
    let mut builder = Peer::builder();
    let tap = Tap::everything(messages.clone()).secure(args.secure.shared()?, lines);
    if let Some(tls) = args.tls.server()? {
        builder = builder.tls_server(tls);
    }
    builder = builder
        .proto(args.proto())
        .message_limit(args.limit)
        .count_time(true)
        .plugin(tap);
    if let Some(wanted) = args.auth.clone() {
        builder = builder.plugin(Verify::new(move |_, text| {
            match constant_time_eq(text, &wanted) {
                true => Ok(()),
                false => Err(Rerror::new(403, "auth fail", "the text is another one")),
            }
        }));
    }
    let secure = args.secure.plugin()?;
    let routes = Routes {
        secure: secure.is_some(),
    };
    if let Some(secure) = secure {
        builder = builder.plugin(secure);
    }
    let peer = builder.build()?;
    peer.set_unknown_call(routes)?;
    peer.set_unknown_push(client::ignore_push)?;
    // Whoever reads the first line may send a signal at once.
    let end = until_the_end(&peer)?;
    let address = peer.listen_on(&args.listen).await?;
    // As `call` takes it: a path has its network in front.
    messages.say(format!("{}\n", address.to_address()).into_bytes());
    end.await
}

/// Waits for a signal, and shuts the peer down; a second one cuts off what is left.
#[cfg(unix)]
fn until_the_end(peer: &Peer) -> Result<impl Future<Output = Result<(), Failure>>, Failure> {
    use teleport::graceful::Graceful;

    let graceful = Graceful::builder().peer(peer).deadline(CLOSING).start()?;
    Ok(async move {
        graceful.ended().await?;
        Ok(())
    })
}

#[cfg(not(unix))]
fn until_the_end(peer: &Peer) -> Result<impl Future<Output = Result<(), Failure>>, Failure> {
    let peer = peer.clone();
    Ok(async move {
        tokio::signal::ctrl_c()
            .await
            .map_err(|error| crate::exit::surroundings("cannot wait for signals", &error))?;
        peer.shutdown(CLOSING).await;
        Ok(())
    })
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
