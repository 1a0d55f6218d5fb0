//! Ends that do not read: bounded in memory, closed in the end, and nobody else's trouble.
//!
//! The clock is paused: it jumps when everybody waits.

use std::time::Duration;

use bytes::Bytes;
use teleport::codec::Raw;
use teleport::{ErrorKind, Peer, PeerBuilder, Session, controller};
use teleport_tests::frames::RawFrame;
use teleport_tests::logs::capture;
use teleport_tests::pair::{bare, call_bytes, connect, connect_with_room};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::time::Instant;

const STALL: Duration = Duration::from_secs(7);

struct Echo;

#[controller]
impl Echo {
    async fn it(&self, arg: Bytes) -> Bytes {
        arg
    }

    async fn never(&self) {
        std::future::pending::<()>().await;
    }

    /// Calls the caller.
    async fn back(&self, ctx: &mut teleport::CallCtx) -> Result<(), teleport::Error> {
        let session = ctx.session().clone();
        session.call("/x", ()).await
    }
}

fn bounded() -> PeerBuilder {
    Peer::builder()
        .queue_limit(10_000)
        .reply_queue_limit(20_000)
        .max_running_handlers(8)
        .stall_timeout(STALL)
}

fn server() -> Peer {
    let server = bounded().build().unwrap();
    server.route_call(Echo).unwrap();
    server
}

/// Waits for the end of a session, while another one of its peer is used.
async fn ends_without_harm(session: &Session, started: Instant) -> String {
    let witness_peer = Peer::builder().build().unwrap();
    let (_there, witness) = connect(&session.peer(), &witness_peer).await;
    while session.health() {
        let echoed = call_bytes(&witness, "/echo/it", "x").await.unwrap();
        assert_eq!(echoed, "x");
        tokio::time::sleep(STALL / 10).await;
        assert!(started.elapsed() < STALL * 10, "the session was not closed");
    }
    assert!(started.elapsed() < STALL * 2, "{:?}", started.elapsed());
    session.closed().await;
    assert_eq!(call_bytes(&witness, "/echo/it", "x").await.unwrap(), "x");
    session.close_reason().unwrap()
}

#[tokio::test(start_paused = true)]
async fn a_caller_that_reads_no_replies_is_closed() {
    let (logs, _guard) = capture(false);
    let server = server();
    let (session, mut stream) = bare(&server, 1000).await;
    let started = Instant::now();
    let writer = tokio::spawn(async move {
        let call = RawFrame::call("A", "/echo/it", vec![b'x'; 900]).bytes();
        let mut sent = 0;
        while stream.write_all(&call).await.is_ok() {
            sent += 1;
        }
        sent
    });
    let reason = ends_without_harm(&session, started).await;
    assert!(reason.contains("read nothing for 7s"), "{reason}");
    assert!(logs.has(&["read nothing for 7s"]));
    // What it could make the server hold: both queues, and a reply a running handler.
    let sent = writer.await.unwrap();
    assert!(sent < 60, "{sent} calls were taken");
    assert_eq!(session.held_bytes(), 0);
}

#[tokio::test(start_paused = true)]
async fn a_caller_that_reads_nothing_while_it_is_called_is_closed_too() {
    let server = server();
    let (session, mut stream) = bare(&server, 1000).await;
    let started = Instant::now();
    let writer = tokio::spawn(async move {
        // A call back is in flight: reading may not stop, for its reply may come.
        let mut bytes = RawFrame::call("A", "/echo/back", "").bytes();
        let call = RawFrame::call("B", "/echo/it", vec![b'x'; 900]).bytes();
        let mut sent = 0_u32;
        while stream.write_all(&bytes).await.is_ok() {
            bytes.clone_from(&call);
            sent += 1;
        }
        sent
    });
    let mut most = (0, 0);
    let watched = session.clone();
    let watch = async {
        while watched.health() {
            most.0 = most.0.max(watched.running_handlers());
            most.1 = most.1.max(watched.queued_bytes());
            tokio::task::yield_now().await;
        }
    };
    watch.await;
    let reason = ends_without_harm(&session, started).await;
    assert!(
        reason.contains("does not read") || reason.contains("read nothing"),
        "{reason}"
    );
    println!(
        "{} calls, at most {most:?} handlers and queued bytes",
        writer.await.unwrap()
    );
    assert!(most.0 <= 9, "{} handlers ran", most.0);
    assert!(
        most.1 <= 20_000 + (1 << 20) + 70_000,
        "{} bytes were queued",
        most.1
    );
}

#[tokio::test(start_paused = true)]
async fn pushes_to_an_end_that_does_not_read_wait_and_then_fail() {
    let server = server();
    let (session, _stream) = bare(&server, 1000).await;
    let started = Instant::now();
    let pushers: Vec<_> = (0..20)
        .map(|_| {
            let session = session.clone();
            tokio::spawn(async move {
                for _ in 0..100 {
                    session.push("/x", Raw(vec![b'x'; 500])).await?;
                }
                Ok::<_, teleport::Error>(())
            })
        })
        .collect();
    let reason = ends_without_harm(&session, started).await;
    assert!(reason.contains("read nothing"), "{reason}");
    for pusher in pushers {
        assert!(pusher.await.unwrap().unwrap_err().is_closed());
    }
}

#[tokio::test(start_paused = true)]
async fn a_call_that_finds_no_room_times_out() {
    let server = bounded()
        .stall_timeout(Duration::from_secs(3600))
        .build()
        .unwrap();
    let (session, _stream) = bare(&server, 10).await;
    session.push("/x", Raw(vec![b'x'; 20_000])).await.unwrap();
    let limit = Duration::from_secs(2);
    let started = Instant::now();
    let call = session.call::<()>("/x", ()).timeout(limit);
    let error = call.await.unwrap_err();
    assert_eq!(error.kind(), ErrorKind::Timeout);
    assert!(started.elapsed() < limit * 2);
    assert_eq!(session.calls_in_flight(), 0);
    // One that is dropped while it waits leaves nothing either.
    let queued = session.queued_bytes();
    tokio::select! {
        biased;
        _ = async { session.push("/x", Raw("late")).await } => panic!("there is no room"),
        () = tokio::task::yield_now() => {}
    }
    assert_eq!(session.queued_bytes(), queued);
}

#[tokio::test(start_paused = true)]
async fn an_end_that_is_only_broadcast_to_is_closed_too() {
    let server = server();
    let (session, _stream) = bare(&server, 10).await;
    session.set_id("deaf");
    let started = Instant::now();
    while session.health() {
        let sent = server
            .sessions()
            .broadcast("/x", "x".repeat(3000))
            .await
            .unwrap();
        assert!(session.queued_bytes() < 20_000);
        drop(sent);
        tokio::time::sleep(Duration::from_millis(500)).await;
        assert!(started.elapsed() < STALL * 10, "the session was not closed");
    }
}

#[tokio::test(start_paused = true)]
async fn a_slow_reader_is_not_closed() {
    let server = server();
    let (session, mut stream) = bare(&server, 100).await;
    let total = 15_000;
    session.push("/x", Raw(vec![b'x'; total])).await.unwrap();
    let waiting = session.push("/x", "behind");
    let read = async {
        let mut left = total;
        let mut buffer = [0; 1000];
        while left > 0 {
            tokio::time::sleep(STALL - Duration::from_secs(1)).await;
            left = left.saturating_sub(stream.read(&mut buffer).await.unwrap());
        }
    };
    let (pushed, ()) = tokio::join!(waiting.into_future(), read);
    pushed.unwrap();
    assert!(session.health());
}

/// Both ends make calls that they drop, and neither has anything to wait for: then neither has a
/// reason to read, and the timer is what ends it.
#[tokio::test(start_paused = true)]
async fn peers_that_are_stuck_in_each_other_are_closed() {
    let (one, two) = (server(), server());
    let (near, far) = connect_with_room(&one, &two, 100).await;
    for session in [&near, &far] {
        let session = session.clone();
        tokio::spawn(async move {
            let calls: Vec<_> = (0..200)
                .map(|_| {
                    let session = session.clone();
                    tokio::spawn(async move {
                        let call = session.call::<()>("/echo/it", Raw(vec![b'x'; 2000]));
                        call.timeout(Duration::from_secs(1)).await
                    })
                })
                .collect();
            for call in calls {
                let _ = call.await;
            }
        });
    }
    // Either they get through, or they are closed; they never hang.
    let started = Instant::now();
    loop {
        tokio::time::sleep(Duration::from_millis(500)).await;
        let stuck = [&near, &far]
            .iter()
            .any(|session| session.queued_bytes() > 0);
        if !stuck || !near.health() {
            break;
        }
        assert!(
            started.elapsed() < STALL * 10,
            "nothing moves, and nobody ends it"
        );
    }
    if near.health() {
        assert_eq!(call_bytes(&near, "/echo/it", "x").await.unwrap(), "x");
    }
}

#[tokio::test(start_paused = true)]
async fn a_handler_that_never_ends_holds_nothing_but_its_place() {
    let server = server();
    let client = Peer::builder().build().unwrap();
    let (there, here) = connect(&server, &client).await;
    for _ in 0..4 {
        let call = here
            .call::<()>("/echo/never", ())
            .timeout(Duration::from_secs(1));
        assert!(call.await.unwrap_err().is_timeout());
    }
    assert_eq!((there.running_handlers(), here.calls_in_flight()), (4, 0));
    assert_eq!(call_bytes(&here, "/echo/it", "x").await.unwrap(), "x");
}
