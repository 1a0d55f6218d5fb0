//! What happens when: waiting for a reason to end, the steps around it, and the peers.

use std::fmt;
use std::future::{Future, pending};
use std::io;
use std::os::fd::{AsFd as _, OwnedFd};
use std::pin::Pin;
use std::time::Duration;

use tokio::sync::{mpsc, oneshot};
use tokio::time::{Instant, timeout_at};
use tokio_util::sync::CancellationToken;

use super::builder::GracefulBuilder;
use super::ending::{Cause, Ending};
use super::reboot::Successor;
use super::signals::{Asked, Signals};
use super::{inherit, notify};
use crate::error::{Error, ErrorKind};
use crate::peer::Peer;

/// How long the steps after the shutdown may take.
const AFTER: Duration = Duration::from_secs(5);

type Boxed<T> = Pin<Box<dyn Future<Output = T> + Send>>;
type Told = oneshot::Sender<Result<u32, Error>>;

/// What a handle asks for.
#[derive(Debug)]
pub(super) enum Order {
    Shutdown,
    Reboot(Told),
}

/// Something to be done before or after.
pub(super) struct Step(Box<dyn FnOnce() -> Boxed<()> + Send>);

impl Step {
    pub(super) fn new<F>(step: impl FnOnce() -> F + Send + 'static) -> Self
    where
        F: Future<Output = ()> + Send + 'static,
    {
        Self(Box::new(|| Box::pin(step())))
    }
}

impl fmt::Debug for Step {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Step")
    }
}

/// What somebody wants, by a signal or by a handle.
enum Wish {
    End(Cause),
    Reboot(Option<Told>),
}

/// Where wishes come from.
struct Wishes {
    signals: Signals,
    inbox: mpsc::Receiver<Order>,
}

impl Wishes {
    /// The next wish. Cancel safe.
    async fn next(&mut self) -> Wish {
        let order = async {
            match self.inbox.recv().await {
                Some(order) => order,
                // No handle is left; signals are.
                None => pending().await,
            }
        };
        tokio::select! {
            signal = self.signals.next() => match signal {
                Asked::End(cause) => Wish::End(cause),
                Asked::Reboot => Wish::Reboot(None),
            },
            order = order => match order {
                Order::Shutdown => Wish::End(Cause::Call),
                Order::Reboot(told) => Wish::Reboot(Some(told)),
            },
        }
    }
}

/// A reboot that is under way, and who wants to know.
struct Rebooting {
    work: Boxed<Result<u32, Error>>,
    told: Option<Told>,
}

/// Waits for a reason to end, and ends.
pub(super) async fn conduct(
    builder: GracefulBuilder,
    successor: Successor,
    signals: Signals,
    inbox: mpsc::Receiver<Order>,
    is_listening: bool,
) -> Ending {
    let mut wishes = Wishes { signals, inbox };
    inherit::runs(is_listening).await;
    let cause = reason(&mut wishes, &builder.peers, &successor).await;
    tracing::info!(%cause, "shutting down");
    match cause {
        Cause::Reboot { pid } => notify::tell(&format!("MAINPID={pid}")),
        _ => notify::tell("STOPPING=1"),
    }
    let hurry = CancellationToken::new();
    let mut work: Boxed<Ending> = Box::pin(end(builder, cause, hurry.clone()));
    let ending = loop {
        tokio::select! {
            biased;
            ending = &mut work => break ending,
            wish = wishes.next() => match wish {
                Wish::End(cause) => {
                    tracing::warn!(%cause, "cutting off at once what is left");
                    hurry.cancel();
                }
                Wish::Reboot(told) => refuse(
                    told,
                    Error::closed("the program is shutting down; it cannot be rebooted now"),
                ),
            },
        }
    };
    tracing::info!(complete = ending.is_complete(), "{ending}");
    ending
}

/// Waits until there is a reason to end. Reboots that fail are none.
async fn reason(wishes: &mut Wishes, peers: &[Peer], successor: &Successor) -> Cause {
    let mut rebooting: Option<Rebooting> = None;
    loop {
        let reboot = async {
            match &mut rebooting {
                Some(rebooting) => rebooting.work.as_mut().await,
                None => pending().await,
            }
        };
        tokio::select! {
            outcome = reboot => {
                let told = rebooting.take().and_then(|rebooting| rebooting.told);
                match outcome {
                    Ok(pid) => {
                        leave_files(peers);
                        tell(told, Ok(pid));
                        return Cause::Reboot { pid };
                    }
                    Err(error) => refuse(told, error),
                }
            }
            wish = wishes.next() => match wish {
                Wish::End(cause) => {
                    if let Some(Rebooting { told, work }) = rebooting {
                        // The new process ends with it.
                        drop(work);
                        refuse(told, Error::closed("the program was told to end meanwhile"));
                    }
                    return cause;
                }
                Wish::Reboot(told) if rebooting.is_some() => refuse(
                    told,
                    Error::new(ErrorKind::Busy, "a reboot is under way already"),
                ),
                Wish::Reboot(told) => {
                    let (left, successor) = (leave(peers), successor.clone());
                    let work = Box::pin(async move { successor.start(left?).await });
                    rebooting = Some(Rebooting { work, told });
                }
            },
        }
    }
}

/// Duplicates of the listeners, each with the text by which it was asked for.
fn leave(peers: &[Peer]) -> Result<Vec<(String, OwnedFd)>, Error> {
    let listeners = peers.iter().flat_map(Peer::listeners);
    let left = listeners.map(|at| {
        let text = inherit::text(at.asked(), at.owns_file());
        Ok((text, at.as_fd().try_clone_to_owned()?))
    });
    left.collect::<io::Result<_>>().map_err(|e| {
        Error::new(
            ErrorKind::Io,
            "the reboot failed: the listeners cannot be handed on",
        )
        .with_source(e)
    })
}

/// The files of unix sockets are the new process's now.
fn leave_files(peers: &[Peer]) {
    for listener in peers.iter().flat_map(Peer::listeners) {
        listener.keep_file();
    }
}

fn tell(told: Option<Told>, outcome: Result<u32, Error>) {
    if let Some(told) = told {
        // Whoever asked may have gone.
        let _ = told.send(outcome);
    }
}

fn refuse(told: Option<Told>, error: Error) {
    let why = error.chain();
    tracing::error!(%why, "there is no reboot; this process goes on");
    tell(told, Err(error));
}

/// Does the steps before, shuts the peers down, and does the steps after.
async fn end(builder: GracefulBuilder, cause: Cause, hurry: CancellationToken) -> Ending {
    let GracefulBuilder {
        peers,
        deadline,
        before,
        after,
        ..
    } = builder;
    let began = Instant::now();
    // A time beyond all clocks is none; a year is as good.
    let until = began
        .checked_add(deadline)
        .unwrap_or_else(|| began + Duration::from_secs(365 * 24 * 3600));
    let mut steps_cut = run(before, until, &hurry).await;
    let left = match hurry.is_cancelled() {
        true => Duration::ZERO,
        false => deadline.saturating_sub(began.elapsed()),
    };
    // All begin with the call; the waiting follows.
    let shutdowns: Vec<_> = peers.iter().map(|peer| peer.shutdown(left)).collect();
    let hurried = tokio::spawn({
        let hurry = hurry.clone();
        async move {
            hurry.cancelled().await;
            for peer in &peers {
                drop(peer.shutdown(Duration::ZERO));
            }
        }
    });
    let mut reports = Vec::with_capacity(shutdowns.len());
    for shutdown in shutdowns {
        reports.push(shutdown.await);
    }
    hurried.abort();
    // A hurry that came before is no reason to leave out what is still to be done.
    let hurry = CancellationToken::new();
    steps_cut += run(after, Instant::now() + AFTER, &hurry).await;
    Ending {
        cause,
        reports,
        steps_cut,
    }
}

/// Runs steps one after the other; tells how many did not come to their end.
async fn run(steps: Vec<Step>, until: Instant, hurry: &CancellationToken) -> usize {
    let mut cut = 0;
    for Step(step) in steps {
        // A task of its own, so that a step that panics takes nothing along.
        let mut work = tokio::spawn(step());
        let ended = tokio::select! {
            biased;
            () = hurry.cancelled() => false,
            ended = timeout_at(until, &mut work) => ended.is_ok_and(|ended| ended.is_ok()),
        };
        if !ended {
            work.abort();
            cut += 1;
            tracing::warn!("a step before or after the shutdown was cut off, or panicked");
        }
    }
    cut
}
