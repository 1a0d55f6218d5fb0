//! `teleport listen`.

use std::io;
use std::process::ExitCode;

use serde::Serialize;
use teleport::rerror::Rerror;
use teleport::session::{EventsError, SessionEventKind, SessionEvents};
use tokio::sync::oneshot;
use tokio::time::timeout;

use crate::args::{ListenArgs, Wait};
use crate::client::{self, CLOSING, Client, Deadline};
use crate::end;
use crate::exit::{Failure, surroundings};
use crate::output::Lines;
use crate::show;
use crate::tap::{Count, Tap};

#[derive(Serialize)]
struct Connected<'a> {
    connected: &'a str,
}

#[derive(Serialize)]
struct Lost<'a> {
    lost: &'a str,
}

#[derive(Serialize)]
struct Restored {
    restored: u32,
}

/// Says when the connection is lost, and when there is another; never ends.
async fn tell(mut events: SessionEvents, lines: &Lines) {
    loop {
        match events.recv().await.map(|event| event.kind) {
            Ok(SessionEventKind::Lost { reason, .. }) => {
                lines.say(show::line(&Lost { lost: &reason }));
            }
            Ok(SessionEventKind::Restored { attempts, .. }) => {
                lines.say(show::line(&Restored { restored: attempts }));
            }
            Ok(_) | Err(EventsError::Missed(_)) => {}
            Err(_) => std::future::pending().await,
        }
    }
}

pub(crate) fn run(args: &ListenArgs) -> ExitCode {
    let (lines, _) = Lines::to(io::stderr());
    let (pushes, failure) = Lines::to(io::stdout());
    let result = client::block_on(listen(args, &lines, &pushes, failure));
    pushes.finish(None);
    end(result, &lines)
}

async fn listen(
    args: &ListenArgs,
    lines: &Lines,
    pushes: &Lines,
    failure: oneshot::Receiver<io::Error>,
) -> Result<(), Failure> {
    let wait = args.timeout.unwrap_or(Wait(None));
    let deadline = Deadline::after(wait);
    let count = Count::new(args.count.unwrap_or(u64::MAX));
    let tap = Tap::pushes(pushes.clone(), Some(count.clone())).secure(args.secure.shared()?, lines);
    let client = Client {
        proto: args.proto,
        auth: args.auth.as_deref(),
        secure: &args.secure,
        tls: &args.tls,
        echo: args.echo,
        wait,
        redial: args.redial,
    };
    let peer = client::peer(&client, tap)?;
    let session = peer.dial(&args.addr).await?;
    lines.say(show::line(&Connected {
        connected: &args.addr,
    }));
    let telling = tell(session.events(), lines);
    let result = tokio::select! {
        biased;
        () = telling => Ok(()),
        () = count.done() => Ok(()),
        Ok(error) = failure => match error.kind() {
            // Whoever reads our output has had enough.
            io::ErrorKind::BrokenPipe => Ok(()),
            _ => Err(surroundings("cannot write to standard output", &error)),
        },
        () = session.closed() => Err(Failure::connection(Rerror::conn_closed(
            session.close_reason().unwrap_or_default(),
        ))),
        () = deadline.over() => Err(Failure::timeout(match args.count {
            Some(wanted) => format!(
                "{} of {wanted} pushes came within {:?}",
                count.printed(),
                wait.0.unwrap_or_default()
            ),
            None => format!("{:?} are over", wait.0.unwrap_or_default()),
        })),
    };
    // The other side may not let us go; what we came for is done.
    let _ = timeout(CLOSING, session.close()).await;
    result
}
