//! Transports of the user's own that do not do what they should, and what becomes of the session.

use std::future::{Future, IntoFuture};
use std::io;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use teleport::session::{Redial, SessionEventKind};
use teleport::socket::Connect;
use teleport::{ErrorKind, Peer, Plugin, PreSession, Rerror, plugin};
use teleport_tests::exchange::{Exchange, bare_line};
use teleport_tests::pair::settle;
use tokio::io::DuplexStream;
use tokio::time::Instant;

use super::{Echo, next};

/// What an attempt does in place of opening a stream.
#[derive(Clone, Copy)]
enum Fault {
    Hangs,
    Panics,
    PanicsLater,
}

/// Dials a server once, then does what it should not so many times, and notes when.
#[derive(Clone)]
struct Faulty {
    server: Peer,
    fault: Fault,
    faults: usize,
    dials: Arc<Mutex<Vec<Instant>>>,
}

impl Faulty {
    fn new(fault: Fault, faults: usize) -> Self {
        let server = Peer::builder().build().unwrap();
        server.route_call(Echo::default()).unwrap();
        Self {
            server,
            fault,
            faults,
            dials: Arc::default(),
        }
    }

    fn connector(&self) -> impl Connect + use<> {
        let this = self.clone();
        move || {
            let nth = {
                let mut dials = this.dials.lock().unwrap();
                dials.push(Instant::now());
                dials.len() - 1
            };
            let fault = (1..=this.faults).contains(&nth).then_some(this.fault);
            assert!(!matches!(fault, Some(Fault::Panics)), "no such cable");
            let server = this.server.clone();
            async move {
                match fault {
                    Some(Fault::Hangs) => std::future::pending().await,
                    Some(_) => panic!("no such cable"),
                    None => {}
                }
                let (near, far) = tokio::io::duplex(1024);
                tokio::spawn(async move { server.serve_conn(far).await });
                Ok::<DuplexStream, io::Error>(near)
            }
        }
    }

    fn cut(&self) {
        for session in self.server.sessions().all() {
            session.abort();
        }
    }

    /// How long each dial came after the one before.
    fn gaps(&self) -> Vec<Duration> {
        let dials = self.dials.lock().unwrap();
        dials.windows(2).map(|pair| pair[1] - pair[0]).collect()
    }
}

#[tokio::test(start_paused = true)]
async fn an_attempt_that_never_returns_is_given_up_after_its_time() {
    let client = Peer::builder().build().unwrap();
    let of_its_own = Redial::forever().attempt_timeout(Duration::from_secs(3));
    for (redial, dial_timeout, longest) in [
        (Redial::forever(), 0, 10),
        (of_its_own.clone(), 0, 3),
        (of_its_own, 1, 1),
    ] {
        let faulty = Faulty::new(Fault::Hangs, 2);
        let dial = client.dial_by(faulty.connector()).redial(redial);
        let session = dial.timeout(Duration::from_secs(dial_timeout)).await;
        let session = session.unwrap();
        settle().await;
        faulty.cut();
        settle().await;
        assert_eq!(session.call::<i64>("/echo/now", 5).await.unwrap(), 5);
        // A pause of less than 0.8 s or 1.6 s goes before.
        for gap in &faulty.gaps()[1..] {
            let over = gap.checked_sub(Duration::from_secs(longest));
            assert!(over.is_some_and(|over| over.as_millis() < 1610), "{gap:?}");
        }
        session.close().await;
    }
}

#[tokio::test(start_paused = true)]
async fn without_a_limit_an_attempt_that_hangs_is_the_last() {
    let faulty = Faulty::new(Fault::Hangs, 1);
    let client = Peer::builder()
        .redial_times(-1)
        .redial_attempt_timeout(Duration::ZERO)
        .build()
        .unwrap();
    let session = client.dial_by(faulty.connector()).await.unwrap();
    settle().await;
    faulty.cut();
    tokio::time::sleep(Duration::from_secs(100_000)).await;
    assert_eq!(faulty.dials.lock().unwrap().len(), 2);
    assert!(session.health() && !session.is_connected());
    session.close().await;
}

#[tokio::test(start_paused = true)]
async fn an_attempt_that_panics_is_one_that_failed() {
    let client = Peer::builder().build().unwrap();
    for fault in [Fault::Panics, Fault::PanicsLater] {
        let faulty = Faulty::new(fault, 3);
        let dial = client.dial_by(faulty.connector());
        let session = dial.redial(Redial::times(4)).await.unwrap();
        let mut events = session.events();
        settle().await;
        faulty.cut();
        settle().await;
        assert_eq!(session.call::<i64>("/echo/now", 5).await.unwrap(), 5);
        loop {
            if let SessionEventKind::Restored { attempts, .. } = next(&mut events).await {
                assert_eq!(attempts, 4);
                break;
            }
        }
        session.close().await;

        let faulty = Faulty::new(fault, usize::MAX);
        let dial = client.dial_by(faulty.connector());
        let session = dial.redial(Redial::times(2)).await.unwrap();
        settle().await;
        faulty.cut();
        session.closed().await;
        let reason = session.close_reason().unwrap();
        let said = "attempt 2 failed: a panic while it was dialled: no such cable";
        assert!(reason.contains(said), "{reason}");
        assert_eq!(faulty.dials.lock().unwrap().len(), 3);
    }
}

async fn within<T>(what: &str, work: impl Future<Output = T>) -> T {
    let done = tokio::time::timeout(Duration::from_secs(60), work).await;
    done.unwrap_or_else(|_| panic!("it takes a minute until {what}"))
}

/// Counts connections in the data of the session, by a value that it changes or puts there anew.
#[derive(Clone, Default)]
struct Counts {
    changed: Arc<AtomicUsize>,
}

#[plugin]
impl Plugin for Counts {
    fn name(&self) -> &str {
        "counts"
    }

    async fn post_dial(&self, session: &mut PreSession) -> Result<(), Rerror> {
        let swap = session.swap_mut();
        let count = swap.get::<i32>("count").copied().unwrap_or(0);
        match swap.get_mut::<i32>("count") {
            Some(count) => {
                *count += 1;
                self.changed.fetch_add(1, Ordering::SeqCst);
            }
            None => {
                swap.insert("count", count + 1);
            }
        }
        Ok(())
    }
}

#[tokio::test(start_paused = true)]
async fn values_of_a_session_are_put_in_anew_rather_than_changed_by_a_handshake() {
    let counts = Counts::default();
    let (connector, mut offered) = bare_line(64);
    let client = Peer::builder().plugin(counts.clone()).build().unwrap();
    let dial = client.dial_by(connector).redial(Redial::forever());
    let session = dial.await.unwrap();
    for n in 1..=3 {
        let far = offered.recv().await.unwrap();
        tokio::time::sleep(Duration::from_secs(20)).await;
        assert_eq!(session.swap().get("count"), Some(&n));
        drop(far);
    }
    // They are shared with whoever has the session.
    assert_eq!(counts.changed.load(Ordering::SeqCst), 0);
}

#[tokio::test(start_paused = true)]
async fn a_handler_of_a_lost_connection_runs_on_and_its_caller_is_told() {
    let client = Peer::builder().build().unwrap();
    let echo = Echo::default();
    client.route_call(echo.clone()).unwrap();
    let server = Peer::builder().build().unwrap();
    let exchange = Exchange::new(&server);
    let dial = client
        .dial_by(exchange.connector())
        .redial(Redial::forever());
    let session = dial.await.unwrap();
    settle().await;
    let far = server.sessions().all().pop().unwrap();
    let call = far.call::<i64>("/echo/held", 1).send().await.unwrap();
    settle().await;
    far.abort();
    let error = call.await.unwrap_err();
    assert_eq!(
        (error.kind(), error.may_retry()),
        (ErrorKind::Closed, false)
    );
    tokio::time::sleep(Duration::from_secs(1)).await;
    echo.gate.notify_one();
    settle().await;
    // The reply went nowhere, least of all to the next connection.
    let far = server.sessions().all().pop().unwrap();
    let call = far.call::<i64>("/echo/now", 2).into_future();
    assert_eq!(within("the next call ends", call).await.unwrap(), 2);
    assert_eq!(*echo.began.lock().unwrap(), [1, 2]);
    within("the session is closed", session.close()).await;
}
