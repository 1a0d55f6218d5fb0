//! Restarts under constant load: no connection is refused, and no call is lost.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::time::{Duration, Instant};

use rustix::process::Signal;
use teleport::session::Redial;
use teleport::{Error, Peer, Session};
use tokio::net::TcpStream;
use tokio::sync::Notify;
use tokio::time::timeout;

use crate::program::{PATIENCE, Program, signal};

/// What the clients of a test saw.
#[derive(Default)]
pub(crate) struct Seen {
    stop: AtomicBool,
    calls: AtomicU64,
    again: AtomicU64,
    connections: AtomicU64,
    longest_pause_us: AtomicU64,
    answered: Notify,
}

impl Seen {
    pub(crate) fn stop(&self) {
        self.stop.store(true, Ordering::SeqCst);
        self.answered.notify_waiters();
    }

    fn goes_on(&self) -> bool {
        !self.stop.load(Ordering::SeqCst)
    }

    /// A call is answered, so long after the one before.
    fn answered(&self, since: &mut Instant) {
        let pause = u64::try_from(since.elapsed().as_micros()).unwrap();
        self.longest_pause_us.fetch_max(pause, Ordering::SeqCst);
        self.calls.fetch_add(1, Ordering::SeqCst);
        *since = Instant::now();
        self.answered.notify_waiters();
    }

    /// Waits until so many more calls are answered, or all is over.
    async fn more(&self, count: u64) {
        let enough = self.calls.load(Ordering::SeqCst) + count;
        loop {
            let answered = self.answered.notified();
            tokio::pin!(answered);
            answered.as_mut().enable();
            if !self.goes_on() || self.calls.load(Ordering::SeqCst) >= enough {
                return;
            }
            answered.await;
        }
    }

    pub(crate) fn figures(&self, restarts: usize) -> String {
        format!(
            "{} calls over {} connections, {restarts} restarts, {} made again, longest pause {:.1} ms",
            self.calls.load(Ordering::SeqCst),
            self.connections.load(Ordering::SeqCst),
            self.again.load(Ordering::SeqCst),
            self.longest_pause_us.load(Ordering::SeqCst) as f64 / 1000.0,
        )
    }
}

/// Restarts a server, while clients run, so and so often; each time after a hundred calls more.
pub(crate) async fn restart(
    server: &mut Program,
    mut pid: u32,
    restarts: usize,
    seen: &Seen,
) -> u32 {
    for _ in 0..restarts {
        timeout(PATIENCE, seen.more(100))
            .await
            .expect("calls go on");
        signal(pid, Signal::USR2);
        let (new, _) = server.listens().await;
        let line = server.line("ended ").await;
        assert!(line.ends_with("nothing was lost"), "{line}");
        pid = new;
    }
    pid
}

/// Dials anew for every few calls, as a client does that knows nothing of restarts. A call that
/// says that it was not run it makes again.
async fn dial_and_call(address: String, client: u64, seen: Arc<Seen>) -> Result<(), Error> {
    let peer = Peer::builder().build()?;
    let mut since = Instant::now();
    let mut id = client << 32;
    while seen.goes_on() {
        let session = peer.dial(&address).await?;
        seen.connections.fetch_add(1, Ordering::SeqCst);
        for _ in 0..5 {
            id += 1;
            match session
                .call::<(u64, u32)>("/work/take", &(id, id % 8))
                .await
            {
                Ok((answered, _)) => {
                    assert_eq!(answered, id);
                    seen.answered(&mut since);
                }
                Err(error) if error.may_retry() => {
                    seen.again.fetch_add(1, Ordering::SeqCst);
                    break;
                }
                Err(error) => return Err(error),
            }
        }
        session.close().await;
    }
    Ok(())
}

async fn connect_only(address: String, seen: Arc<Seen>) -> Result<(), std::io::Error> {
    while seen.goes_on() {
        drop(TcpStream::connect(&address).await?);
        seen.connections.fetch_add(1, Ordering::SeqCst);
        seen.more(1).await;
    }
    Ok(())
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn clients_that_dial_anew_are_never_refused() {
    let mut server = Program::start(&["127.0.0.1:0"]);
    let (pid, address) = server.listens().await;
    let seen = Arc::new(Seen::default());
    let callers: Vec<_> = (0..6)
        .map(|client| tokio::spawn(dial_and_call(address.clone(), client, seen.clone())))
        .collect();
    let connecting = tokio::spawn(connect_only(address, seen.clone()));
    let restarts = restarts(5);
    let last = restart(&mut server, pid, restarts, &seen).await;
    seen.stop();
    for caller in callers {
        caller.await.unwrap().unwrap();
    }
    connecting.await.unwrap().unwrap();
    println!("plain clients: {}", seen.figures(restarts));
    signal(last, Signal::TERM);
    server.all_gone().await;
}

/// Calls over a session that dials again, with several calls under way at any time.
pub(crate) async fn redial_and_call(
    session: Session,
    client: u64,
    seen: Arc<Seen>,
) -> Result<(), Error> {
    let callers: Vec<_> = (0..4)
        .map(|caller| {
            let (session, seen) = (session.clone(), seen.clone());
            tokio::spawn(async move {
                let mut since = Instant::now();
                let mut id = (client << 40) + (caller << 32);
                while seen.goes_on() {
                    id += 1;
                    let (answered, _): (u64, u32) =
                        session.call("/work/take", &(id, id % 20)).await?;
                    assert_eq!(answered, id);
                    seen.answered(&mut since);
                }
                Ok::<_, Error>(())
            })
        })
        .collect();
    for caller in callers {
        caller.await.unwrap()?;
    }
    Ok(())
}

/// How often the servers of the tests are restarted; `.ci/deep` says more.
pub(crate) fn restarts(usual: usize) -> usize {
    let asked = std::env::var("TELEPORT_RESTARTS").ok();
    asked.map_or(usual, |asked| asked.parse().expect("a number of restarts"))
}

async fn no_call_is_lost(redial: Redial, restarts: usize) {
    let mut server = Program::start(&["127.0.0.1:0"]);
    let (pid, address) = server.listens().await;
    let seen = Arc::new(Seen::default());
    let client = Peer::builder().build().unwrap();
    let mut sessions = Vec::new();
    for _ in 0..8 {
        let session = client.dial(&address).redial(redial.clone()).await;
        sessions.push(session.unwrap());
    }
    let callers: Vec<_> = (1..)
        .zip(sessions)
        .map(|(client, session)| tokio::spawn(redial_and_call(session, client, seen.clone())))
        .collect();
    let last = restart(&mut server, pid, restarts, &seen).await;
    seen.stop();
    for caller in callers {
        caller.await.unwrap().unwrap();
    }
    println!("sessions that dial again: {}", seen.figures(restarts));
    client.close().await;
    signal(last, Signal::TERM);
    server.all_gone().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn sessions_that_dial_again_lose_no_call_however_often_the_server_restarts() {
    let short = Duration::from_millis(10);
    let redial = Redial::forever().interval(short).max_interval(short * 10);
    no_call_is_lost(redial, restarts(10)).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn sessions_with_the_usual_pauses_lose_no_call() {
    no_call_is_lost(Redial::forever(), restarts(10)).await;
}

/// How many clients there are when a server restarts, each with a session of its own.
const CROWD: usize = 1000;

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_crowd_comes_back_and_loses_no_call() {
    let mut server = Program::start(&["127.0.0.1:0"]);
    let (pid, address) = server.listens().await;
    let client = Peer::builder().build().unwrap();
    let mut sessions = Vec::new();
    for _ in 0..CROWD {
        let session = client.dial(&address).redial(Redial::forever()).await;
        sessions.push(session.unwrap());
    }
    signal(pid, Signal::USR2);
    let (new, _) = server.listens().await;
    server.line("shutting down").await;
    let told = Instant::now();
    let calls: Vec<_> = sessions
        .into_iter()
        .map(|session| {
            tokio::spawn(async move {
                loop {
                    let (_, by): (u64, u32) = session.call("/work/take", &(0, 0)).await?;
                    if by == new {
                        return Ok::<_, Error>(Instant::now());
                    }
                }
            })
        })
        .collect();
    let mut back = Vec::new();
    for call in calls {
        back.push(call.await.unwrap().unwrap().duration_since(told));
    }
    back.sort();
    let window = Duration::from_millis(100);
    let busiest = back
        .iter()
        .map(|at| {
            back.iter()
                .filter(|b| **b >= *at && **b < *at + window)
                .count()
        })
        .max()
        .unwrap();
    let last = back.last().unwrap();
    println!(
        "{CROWD} clients, one restart: {busiest} back within 100 ms at most, all after {last:?}"
    );
    assert_eq!(back.len(), CROWD);
    client.close().await;
    signal(new, Signal::TERM);
    server.all_gone().await;
}
