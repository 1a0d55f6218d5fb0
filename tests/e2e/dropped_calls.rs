//! Calls in flight: dropped at any time, timed out, too many, named by hand.

use std::future::IntoFuture;
use std::sync::Arc;
use std::task::Poll;
use std::time::Duration;

use bytes::Bytes;
use teleport::codec::Raw;
use teleport::{ErrorKind, Peer, Session, controller};
use teleport_tests::frames::{RawFrame, read_frame};
use teleport_tests::pair::{Pair, bare, call_bytes, poll_once, settle};
use tokio::io::AsyncWriteExt;
use tokio::sync::Semaphore;

struct Echo {
    /// Handlers of `held` wait for a permit.
    permits: Arc<Semaphore>,
}

#[controller]
impl Echo {
    async fn now(&self, arg: Bytes) -> Bytes {
        arg
    }

    async fn later(&self, arg: Bytes) -> Bytes {
        for _ in 0..arg.first().map_or(0, |byte| byte % 5) {
            tokio::task::yield_now().await;
        }
        arg
    }

    async fn held(&self, arg: Bytes) -> Bytes {
        self.permits.acquire().await.unwrap().forget();
        arg
    }
}

async fn echoing() -> (Pair, Arc<Semaphore>) {
    echoing_of(Peer::builder()).await
}

async fn echoing_of(client: teleport::PeerBuilder) -> (Pair, Arc<Semaphore>) {
    let pair = Pair::of(Peer::builder(), client).await;
    let permits = Arc::new(Semaphore::new(0));
    pair.server
        .route_call(Echo {
            permits: permits.clone(),
        })
        .unwrap();
    (pair, permits)
}

/// Polls a call so many times, with turns for others between, and drops it.
async fn drop_after(session: &Session, uri: &str, body: &str, polls: usize) -> Option<Bytes> {
    let mut call = session.call::<Raw<Bytes>>(uri, Raw(body)).into_future();
    for _ in 0..polls {
        if let Poll::Ready(reply) = poll_once(&mut call) {
            return Some(reply.unwrap().0);
        }
        tokio::task::yield_now().await;
    }
    None
}

#[tokio::test]
async fn a_call_dropped_at_any_poll_frees_its_place() {
    let (pair, permits) = echoing().await;
    for uri in ["/echo/now", "/echo/later", "/echo/held"] {
        for polls in 0..12 {
            drop_after(&pair.here, uri, "dropped", polls).await;
            assert_eq!(pair.here.calls_in_flight(), 0, "{uri} after {polls} polls");
            let echoed = call_bytes(&pair.here, "/echo/later", "next").await.unwrap();
            assert_eq!(echoed, "next", "after {uri} with {polls} polls");
        }
    }
    // The replies that come now find nobody.
    permits.add_permits(100);
    settle().await;
    assert_eq!(pair.there.running_handlers(), 0);
    assert_eq!(
        call_bytes(&pair.here, "/echo/now", "end").await.unwrap(),
        "end"
    );
}

#[tokio::test]
async fn a_command_dropped_unawaited_frees_its_place() {
    let (pair, permits) = echoing().await;
    let cmd = pair.here.call::<String>("/echo/held", "x").send().await;
    let cmd = cmd.unwrap();
    assert_eq!(pair.here.calls_in_flight(), 1);
    drop(cmd);
    assert_eq!(pair.here.calls_in_flight(), 0);
    permits.add_permits(1);
    settle().await;
    assert!(pair.here.health());
}

/// Numbers that look random, the same every time.
struct Dice(u64);

impl Dice {
    fn below(&mut self, sides: u64) -> u64 {
        self.0 = self
            .0
            .wrapping_mul(6_364_136_223_846_793_005)
            .wrapping_add(1);
        (self.0 >> 33) % sides
    }
}

async fn callers_that_drop(pair: &Pair, callers: u64, rounds: u64) {
    let tasks: Vec<_> = (0..callers)
        .map(|caller| {
            let here = pair.here.clone();
            tokio::spawn(async move {
                let mut dice = Dice(caller);
                for round in 0..rounds {
                    let body = format!("{round} of {caller} {:1$}", "", dice.below(60) as usize);
                    let uri = ["/echo/now", "/echo/later"][dice.below(2) as usize];
                    if dice.below(2) == 0 {
                        let polls = dice.below(6) as usize;
                        if let Some(echoed) = drop_after(&here, uri, &body, polls).await {
                            assert!(echoed == body, "{body:?} got the reply {echoed:?}");
                        }
                    } else {
                        let echoed = call_bytes(&here, uri, body.clone()).await.unwrap();
                        assert!(echoed == body, "{body:?} got the reply {echoed:?}");
                    }
                }
            })
        })
        .collect();
    for task in tasks {
        task.await.unwrap();
    }
    assert_eq!(pair.here.calls_in_flight(), 0);
}

#[tokio::test]
async fn no_reply_reaches_the_wrong_caller_when_calls_are_dropped() {
    let (pair, _permits) = echoing().await;
    for callers in [1, 3, 50] {
        callers_that_drop(&pair, callers, 3000 / callers).await;
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn no_reply_reaches_the_wrong_caller_on_several_threads() {
    let (pair, _permits) = echoing().await;
    callers_that_drop(&pair, 40, 100).await;
}

#[tokio::test(start_paused = true)]
async fn a_call_out_of_time_fails_and_frees_its_place() {
    let (pair, permits) = echoing().await;
    for limit in [Duration::from_millis(1), Duration::from_secs(3600)] {
        let started = tokio::time::Instant::now();
        let error = pair
            .here
            .call::<String>("/echo/held", "late")
            .timeout(limit)
            .await
            .unwrap_err();
        assert_eq!(error.kind(), ErrorKind::Timeout);
        assert!(error.is_timeout(), "{error:?}");
        let waited = started.elapsed();
        assert!(
            waited >= limit && waited < limit + Duration::from_millis(50),
            "{waited:?}"
        );
        assert_eq!(pair.here.calls_in_flight(), 0);
    }
    permits.add_permits(2);
    settle().await;
    assert_eq!(call_bytes(&pair.here, "/echo/now", "x").await.unwrap(), "x");
}

#[tokio::test(start_paused = true)]
async fn each_call_has_its_own_deadline() {
    let (pair, _permits) =
        echoing_of(Peer::builder().default_call_timeout(Duration::from_secs(5))).await;
    let started = tokio::time::Instant::now();
    let calls: Vec<_> = [70, 1, 30, 2, 0]
        .into_iter()
        .map(|secs| {
            let here = pair.here.clone();
            tokio::spawn(async move {
                let call = here.call::<String>("/echo/held", "late");
                let call = match secs {
                    0 => call,
                    secs => call.timeout(Duration::from_secs(secs)),
                };
                let kind = call.await.unwrap_err().kind();
                (if secs == 0 { 5 } else { secs }, kind, started.elapsed())
            })
        })
        .collect();
    for call in calls {
        let (secs, kind, waited) = call.await.unwrap();
        assert_eq!(kind, ErrorKind::Timeout);
        let late = waited.checked_sub(Duration::from_secs(secs)).unwrap();
        assert!(
            late < Duration::from_millis(50),
            "{secs} s became {waited:?}"
        );
    }
}

#[tokio::test]
async fn more_calls_than_may_wait_are_refused() {
    let (pair, permits) = echoing_of(Peer::builder().max_calls_in_flight(3)).await;
    let mut cmds = Vec::new();
    for body in ["a", "b", "c"] {
        cmds.push(
            pair.here
                .call::<Raw<Bytes>>("/echo/held", Raw(body))
                .send()
                .await
                .unwrap(),
        );
    }
    let error = call_bytes(&pair.here, "/echo/now", "x").await.unwrap_err();
    assert_eq!(error.kind(), ErrorKind::Busy);
    assert!(
        error.may_retry() && error.to_string().contains('3'),
        "{error}"
    );
    permits.add_permits(3);
    for (cmd, body) in cmds.into_iter().zip(["a", "b", "c"]) {
        assert_eq!(cmd.await.unwrap().0, body);
    }
    assert_eq!(call_bytes(&pair.here, "/echo/now", "x").await.unwrap(), "x");
}

#[tokio::test]
async fn a_sequence_in_flight_is_refused_until_its_reply_came() {
    let (pair, permits) = echoing().await;
    let held = |seq: &'static str| pair.here.call::<String>("/echo/held", seq).seq(seq).send();
    for seq in ["C", "by hand", "a text far too long for the inline form"] {
        let first = held(seq).await.unwrap();
        assert_eq!(first.seq().as_str(), Some(seq));
        let error = held(seq).await.unwrap_err();
        assert_eq!(error.kind(), ErrorKind::Busy);
        assert!(error.to_string().contains(seq), "{error}");
        permits.add_permits(1);
        assert_eq!(first.await.unwrap(), seq);
        let again = held(seq).await.unwrap();
        permits.add_permits(1);
        assert_eq!(again.await.unwrap(), seq);
    }
    assert_eq!(pair.here.calls_in_flight(), 0);
}

#[tokio::test]
async fn sequences_set_by_hand_do_not_meet_the_counter() {
    let (pair, permits) = echoing().await;
    let mut cmds = Vec::new();
    // The counter would give A, B, C next; E is taken by hand as well, and an empty text.
    for seq in ["A", "B", "C", "E", ""] {
        let body = format!("by hand {seq}");
        let call = pair
            .here
            .call::<Raw<Bytes>>("/echo/held", Raw(body.clone()));
        cmds.push((call.seq(seq).send().await.unwrap(), body));
    }
    let mut seqs = Vec::new();
    for n in 0..6 {
        let body = format!("counted {n}");
        let call = pair
            .here
            .call::<Raw<Bytes>>("/echo/held", Raw(body.clone()));
        let cmd = call.send().await.unwrap();
        seqs.push(cmd.seq().to_string());
        cmds.push((cmd, body));
    }
    assert_eq!(seqs, ["D", "F", "G", "H", "I", "J"]);
    permits.add_permits(cmds.len());
    for (cmd, body) in cmds {
        assert_eq!(cmd.await.unwrap().0, body);
    }
}

#[tokio::test]
async fn replies_that_nobody_waits_for_are_ignored() {
    let client = Peer::builder().build().unwrap();
    let (session, mut server) = bare(&client, 1 << 16).await;
    for seq in ["A", "", "never", "zzzzzz", "999999"] {
        server
            .write_all(&RawFrame::reply(seq, "1").bytes())
            .await
            .unwrap();
    }
    settle().await;
    let mut call = session.call::<i32>("/x", ()).into_future();
    assert!(poll_once(&mut call).is_pending());
    let seq = read_frame(&mut server).await.unwrap().unwrap().seq;
    // The first reply counts; what comes twice finds nobody.
    for body in ["7", "8"] {
        server
            .write_all(&RawFrame::reply(&seq, body).bytes())
            .await
            .unwrap();
    }
    settle().await;
    assert_eq!(call.await.unwrap(), 7);
    assert!(session.health());
}

#[tokio::test]
async fn a_call_is_cancelled_from_elsewhere_and_its_reply_finds_nobody() {
    let (pair, permits) = echoing().await;
    let held = pair
        .here
        .call::<Raw<Bytes>>("/echo/held", Raw("late"))
        .send()
        .await
        .unwrap();
    let canceller = held.canceller();
    let waiting = tokio::spawn(held);
    settle().await;
    canceller.cancel();
    let error = waiting.await.unwrap().unwrap_err();
    assert_eq!(error.kind(), ErrorKind::Cancelled);
    assert_eq!(pair.here.calls_in_flight(), 0);
    // The reply that comes anyway does no harm, and neither does cancelling again.
    permits.add_permits(1);
    settle().await;
    canceller.cancel();
    let now: Raw<Bytes> = pair.here.call("/echo/now", Raw("now")).await.unwrap();
    assert_eq!(&now.0[..], b"now");
}
