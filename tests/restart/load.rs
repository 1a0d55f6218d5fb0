//! Restarts under constant load: no connection is refused, and no call is lost.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::time::{Duration, Instant};

use rustix::process::Signal;
use teleport::{Error, Peer};
use tokio::net::TcpStream;

use crate::program::{Program, signal};

/// What the clients of a test saw.
#[derive(Default)]
struct Seen {
    stop: AtomicBool,
    calls: AtomicU64,
    again: AtomicU64,
    connections: AtomicU64,
    longest_pause_us: AtomicU64,
}

impl Seen {
    fn goes_on(&self) -> bool {
        !self.stop.load(Ordering::SeqCst)
    }

    /// A call is answered, so long after the one before.
    fn answered(&self, since: &mut Instant) {
        let pause = u64::try_from(since.elapsed().as_micros()).unwrap();
        self.longest_pause_us.fetch_max(pause, Ordering::SeqCst);
        self.calls.fetch_add(1, Ordering::SeqCst);
        *since = Instant::now();
    }

    fn figures(&self, restarts: usize) -> String {
        format!(
            "{} calls over {} connections, {restarts} restarts, {} made again, longest pause {:.1} ms",
            self.calls.load(Ordering::SeqCst),
            self.connections.load(Ordering::SeqCst),
            self.again.load(Ordering::SeqCst),
            self.longest_pause_us.load(Ordering::SeqCst) as f64 / 1000.0,
        )
    }
}

/// Restarts a server, while clients run, so and so often.
async fn restart(server: &mut Program, mut pid: u32, restarts: usize, seen: &Seen) -> u32 {
    for _ in 0..restarts {
        let before = seen.calls.load(Ordering::SeqCst);
        while seen.calls.load(Ordering::SeqCst) < before + 100 {
            tokio::time::sleep(Duration::from_millis(5)).await;
        }
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
        tokio::time::sleep(Duration::from_millis(1)).await;
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
    let restarts = 5;
    let last = restart(&mut server, pid, restarts, &seen).await;
    seen.stop.store(true, Ordering::SeqCst);
    for caller in callers {
        caller.await.unwrap().unwrap();
    }
    connecting.await.unwrap().unwrap();
    println!("plain clients: {}", seen.figures(restarts));
    signal(last, Signal::TERM);
    server.all_gone().await;
}
