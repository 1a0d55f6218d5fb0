//! Drops at random moments: every call ends exactly once, and never with another's reply.

use std::collections::BTreeMap;
use std::task::Poll;
use std::time::Duration;

use proptest::prelude::*;
use teleport::plugins::secure::{Key, Sealed};
use teleport::session::{Redial, SessionEventKind};
use teleport::{Error, ErrorKind, Peer, PeerBuilder};
use teleport_tests::pair::{poll_once, settle};

use super::Scene;

#[derive(Clone, Copy, Debug)]
enum Step {
    /// Cuts the connection.
    Cut,
    /// Takes no connections for some time.
    Outage(u64),
    /// The server's handlers that wait go on.
    Release,
    /// Lets time pass, in milliseconds.
    Wait(u64),
    Call {
        held: bool,
        idempotent: bool,
        sent: bool,
        timeout: u64,
    },
    Push,
}

fn steps() -> impl Strategy<Value = Vec<Step>> {
    let step = prop_oneof![
        2 => Just(Step::Cut),
        1 => (1..2000_u64).prop_map(Step::Outage),
        2 => Just(Step::Release),
        3 => (0..300_u64).prop_map(Step::Wait),
        6 => (any::<[bool; 3]>(), 1..5000_u64).prop_map(|([held, idempotent, sent], timeout)| {
            Step::Call { held, idempotent, sent, timeout }
        }),
        2 => Just(Step::Push),
    ];
    proptest::collection::vec(step, 1..40)
}

/// A peer whose sessions are sealed, if they are to be: with keys of each connection, nothing of one
/// may go out on another.
fn peer(is_sealed: bool) -> PeerBuilder {
    let key = Key::new("k", [7; 32]).unwrap();
    match is_sealed {
        true => Peer::builder().plugin(Sealed::new(key)),
        false => Peer::builder(),
    }
}

async fn run(steps: Vec<Step>, seed: u64, is_sealed: bool) {
    let redial = Redial::forever().seed(seed);
    let mut scene = Scene::between(peer(is_sealed), peer(is_sealed), redial).await;
    let mut events = scene.session.events();
    let mut calls = Vec::new();
    let mut pushes = Vec::new();
    for (n, step) in steps.into_iter().enumerate() {
        let (n, session) = (i64::try_from(n).unwrap(), scene.session.clone());
        match step {
            Step::Cut => scene.exchange.cut(),
            Step::Outage(time) => {
                scene.exchange.go_down();
                let exchange = scene.exchange.clone();
                tokio::spawn(async move {
                    tokio::time::sleep(Duration::from_millis(time)).await;
                    exchange.set_up(true);
                });
            }
            Step::Release => scene.echo.gate.notify_waiters(),
            Step::Wait(time) => tokio::time::sleep(Duration::from_millis(time)).await,
            Step::Call {
                held,
                idempotent,
                sent,
                timeout,
            } => {
                let work = async move {
                    let uri = if held { "/echo/held" } else { "/echo/now" };
                    let call = session.call::<i64>(uri, n).idempotent(idempotent);
                    let call = call.timeout(Duration::from_millis(timeout));
                    if sent {
                        call.send().await?.await
                    } else {
                        call.await
                    }
                };
                calls.push((n, idempotent, tokio::spawn(work)));
            }
            Step::Push => {
                let work = async move { session.push("/note/it", n).await };
                pushes.push((n, tokio::spawn(work)));
            }
        }
        for _ in 0..n % 7 {
            tokio::task::yield_now().await;
        }
    }
    for (n, idempotent, call) in calls {
        let ended: Result<i64, Error> = call.await.unwrap();
        match ended {
            Ok(reply) => assert_eq!(reply, n, "the reply of another call"),
            Err(error) => match error.kind() {
                ErrorKind::Timeout => {}
                ErrorKind::Closed => assert!(!idempotent, "{n}: {error}"),
                other => panic!("{other:?}: {error}"),
            },
        }
    }
    for (n, push) in pushes {
        push.await
            .unwrap()
            .unwrap_or_else(|error| panic!("push {n}: {error}"));
    }
    tokio::time::sleep(Duration::from_secs(120)).await;
    while let Poll::Ready(Ok(event)) = poll_once(&mut Box::pin(events.recv())) {
        if let SessionEventKind::Lost { reason, .. } = event.kind {
            assert!(!reason.contains("seal"), "{reason}");
        }
    }
    assert_eq!(scene.session.calls_in_flight() + scene.session.waiting(), 0);
    let mut seen = BTreeMap::new();
    for n in std::iter::from_fn(|| scene.notes.try_recv().ok()) {
        *seen.entry(n).or_insert(0) += 1;
    }
    assert!(
        seen.values().all(|n| *n == 1),
        "a push came twice: {seen:?}"
    );
    scene.session.call::<i64>("/echo/now", 1).await.unwrap();
    assert_eq!(scene.client.sessions().len(), 1);
    scene.session.close().await;
    settle().await;
    assert!(scene.client.sessions().is_empty());
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 64, ..ProptestConfig::default() })]

    #[test]
    fn every_call_ends_once_and_as_its_own(
        steps in steps(),
        seed in any::<u64>(),
        is_sealed in any::<bool>(),
    ) {
        let runtime = tokio::runtime::Builder::new_current_thread()
            .enable_all()
            .start_paused(true)
            .build()
            .unwrap();
        runtime.block_on(run(steps, seed, is_sealed));
    }
}
