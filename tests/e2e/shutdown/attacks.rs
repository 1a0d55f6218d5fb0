//! Shutdowns that meet what a stranger may think of: none hangs, and every report is exact.

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

use bytes::Bytes;
use teleport::message::meta;
use teleport::tls::TlsServer;
use teleport::{CallCtx, Error, Peer, ShutdownReport, controller};
use teleport_tests::frames::{RawFrame, read_frame};
use teleport_tests::pair::{Pair, bare, connect_with_room, poll_once, settle, until};
use tokio::io::AsyncWriteExt as _;
use tokio::sync::Notify;
use tokio::time::Instant;

use super::{LONG, Work, spawn_call, spawn_shutdown, working};

const SHORT: Duration = Duration::from_secs(2);

/// Answers at once, with more than was asked for.
#[derive(Clone, Default)]
struct Loud(Arc<AtomicUsize>);

#[controller]
impl Loud {
    fn count(&self) {
        self.0.fetch_add(1, Ordering::SeqCst);
    }

    async fn shout(&self) -> Bytes {
        tokio::task::yield_now().await;
        self.0.fetch_add(1, Ordering::SeqCst);
        Bytes::from(vec![b'x'; 10_000])
    }
}

#[tokio::test(start_paused = true)]
async fn replies_that_nobody_reads_are_lost_and_counted_one_by_one() {
    let server = Peer::builder()
        .queue_limit(20_000)
        .reply_queue_limit(25_000)
        .stall_timeout(LONG);
    let server = server.build().unwrap();
    let loud = Loud::default();
    server.route_call(loud.clone()).unwrap();
    let (_session, mut stream) = bare(&server, 1000).await;
    for seq in 0..10 {
        let call = RawFrame::call(&seq.to_string(), "/loud/shout", "").bytes();
        stream.write_all(&call).await.unwrap();
    }
    settle().await;
    let report = server.shutdown(SHORT).await;
    assert_eq!(loud.0.load(Ordering::SeqCst), 10);
    assert_eq!(
        (report.handlers_finished, report.handlers_cut),
        (7, 0),
        "three were done before it began: {report}"
    );
    // Three fill the queue, and seven wait for room.
    assert_eq!(report.replies_lost, 7, "{report}");
    assert!((29_000..31_000).contains(&report.bytes_unsent), "{report}");
    assert_eq!((report.sessions, report.sessions_cut), (1, 1), "{report}");
}

/// Calls without end; reads the replies, or not.
async fn flood(reads: bool) -> (ShutdownReport, usize, [usize; 2]) {
    let server = Peer::builder().build().unwrap();
    let loud = Loud::default();
    server.route_call(loud.clone()).unwrap();
    let (_session, stream) = bare(&server, 1 << 14).await;
    let (mut replies, mut calls) = tokio::io::split(stream);
    let calling = tokio::spawn(async move {
        let mut sent = 0_u64;
        loop {
            let call = RawFrame::call(&sent.to_string(), "/loud/count", "").bytes();
            if calls.write_all(&call).await.is_err() {
                return;
            }
            sent += 1;
            tokio::time::sleep(Duration::from_micros(500)).await;
        }
    });
    let reading = tokio::spawn(async move {
        let (mut answered, mut refused) = (0, 0);
        if !reads {
            std::future::pending::<()>().await;
        }
        while let Ok(Some(frame)) = read_frame(&mut replies).await {
            match frame.meta_value(meta::NOT_RUN) {
                Some(_) => refused += 1,
                None if frame.seq != "~notice" => answered += 1,
                None => {}
            }
        }
        [answered, refused]
    });
    tokio::time::sleep(Duration::from_millis(50)).await;
    let before = loud.0.load(Ordering::SeqCst);
    let report = tokio::time::timeout(LONG, server.shutdown(SHORT)).await;
    let report = report.expect("an end");
    calling.abort();
    let seen = match reads {
        true => reading.await.unwrap(),
        false => [0, 0],
    };
    let run = loud.0.load(Ordering::SeqCst);
    assert_eq!(report.handlers_cut, 0, "{report}");
    assert_eq!(report.handlers_finished, run - before, "{report}");
    (report, run, seen)
}

#[tokio::test(start_paused = true)]
async fn who_calls_without_end_is_served_refused_and_left_and_each_call_counted() {
    let (report, run, [answered, refused]) = flood(true).await;
    println!("{report}");
    assert!(report.is_complete(), "{report}");
    assert_eq!((answered, refused), (run, report.calls_refused));
    assert!(report.elapsed < SHORT, "{report}");
}

#[tokio::test(start_paused = true)]
async fn who_calls_without_end_and_reads_nothing_is_left_at_the_deadline() {
    let (report, _, _) = flood(false).await;
    println!("{report}");
    assert_eq!(report.sessions_cut, 1);
    assert!(report.bytes_unsent > 0);
    assert!(report.elapsed <= SHORT + Duration::from_millis(10));
}

/// Shuts its own peer down.
struct Ends {
    report: Arc<Notify>,
}

#[controller]
impl Ends {
    /// Waits for the end of what it is a part of.
    async fn waits(&self, ctx: &mut CallCtx) {
        let peer = ctx.session().peer();
        peer.shutdown(SHORT).await;
        self.report.notify_one();
    }

    /// Asks for the end, and goes.
    async fn asks(&self, ctx: &mut CallCtx) -> &'static str {
        drop(ctx.session().peer().shutdown(LONG));
        "soon"
    }
}

#[tokio::test(start_paused = true)]
async fn a_handler_that_waits_for_the_shutdown_is_cut_off_at_the_deadline() {
    let pair = Pair::new().await;
    let report = Arc::new(Notify::new());
    let ends = Ends {
        report: Arc::clone(&report),
    };
    pair.server.route_call(ends).unwrap();
    let began = Instant::now();
    let error = pair.here.call::<()>("/ends/waits", ()).await.unwrap_err();
    assert!(error.is_closed(), "{error:?}");
    pair.server.closed().await;
    assert!(began.elapsed() <= SHORT + Duration::from_millis(10));
    let report = pair.server.shutdown(LONG).await;
    assert_eq!((report.handlers_cut, report.handlers_left), (1, 0));
}

#[tokio::test(start_paused = true)]
async fn a_handler_that_asks_for_the_shutdown_and_goes_is_answered() {
    let pair = Pair::new().await;
    let report = Arc::new(Notify::new());
    pair.server.route_call(Ends { report }).unwrap();
    let said: String = pair.here.call("/ends/asks", ()).await.unwrap();
    assert_eq!(said, "soon");
    pair.server.closed().await;
    let report = pair.server.shutdown(LONG).await;
    assert!(report.is_complete() && !report.was_hurried, "{report}");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn shutdowns_from_ten_tasks_at_once_are_one_and_all_get_its_report() {
    for _ in 0..20 {
        let (pair, _work) = working().await;
        let call = spawn_call(&pair.here, "/work/held");
        until("it runs", || pair.there.running_handlers() == 1).await;
        let shutdowns: Vec<_> = (0..10)
            .map(|_| {
                let server = pair.server.clone();
                tokio::spawn(async move { server.shutdown(LONG).await })
            })
            .collect();
        let mut reports = Vec::new();
        for shutdown in shutdowns {
            reports.push(shutdown.await.unwrap());
        }
        assert!(reports.iter().all(|report| *report == reports[0]));
        assert_eq!((reports[0].sessions, reports[0].was_hurried), (1, true));
        assert!(call.await.unwrap().is_err());
    }
}

#[tokio::test(start_paused = true)]
async fn a_shutdown_whose_future_is_dropped_goes_on() {
    let (pair, work) = working().await;
    let call = spawn_call(&pair.here, "/work/held");
    settle().await;
    let mut half = Box::pin(pair.server.shutdown(LONG));
    assert!(poll_once(&mut half).is_pending());
    settle().await;
    drop(half);
    work.permits.add_permits(1);
    assert_eq!(call.await.unwrap().unwrap(), "body");
    pair.server.closed().await;
    let report = pair.server.shutdown(LONG).await;
    assert!(report.is_complete() && !report.was_hurried, "{report}");
}

#[test]
fn a_shutdown_that_is_begun_outside_of_a_runtime_is_seen_through_by_whoever_waits() {
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build()
        .unwrap();
    let (pair, _work) = runtime.block_on(working());
    // Neither of these is ever polled.
    drop(pair.server.shutdown(LONG));
    drop(pair.client.shutdown(LONG));
    let report = runtime.block_on(async {
        let report = tokio::time::timeout(LONG, pair.server.shutdown(LONG));
        report.await.expect("an end")
    });
    assert_eq!(report.sessions, 1);
    runtime.block_on(async {
        let mut half = Box::pin(pair.client.shutdown(LONG));
        let _ = poll_once(&mut half);
        drop(half);
        pair.client.closed().await;
    });
}

#[tokio::test(start_paused = true)]
async fn two_thousand_connections_with_calls_both_ways_are_all_accounted_for() {
    const COUNT: usize = 2000;
    let server = Peer::builder().build().unwrap();
    let client = Peer::builder().build().unwrap();
    let (there, here) = (Work::new(), Work::new());
    server.route_call(there.clone()).unwrap();
    client.route_call(here.clone()).unwrap();
    let mut calls = Vec::new();
    let mut sessions = Vec::new();
    for _ in 0..COUNT {
        let (theirs, ours) = connect_with_room(&server, &client, 1024).await;
        calls.push(spawn_call(&ours, "/work/held"));
        calls.push(spawn_call(&theirs, "/work/held"));
        sessions.push((theirs, ours));
    }
    while there.begun.load(Ordering::SeqCst) + here.begun.load(Ordering::SeqCst) < 2 * COUNT {
        tokio::task::yield_now().await;
    }
    let shutdown = spawn_shutdown(&server, LONG);
    settle().await;
    // All of the server's own calls are answered; of those of the clients all but three.
    here.permits.add_permits(COUNT);
    there.permits.add_permits(COUNT - 3);
    let report = shutdown.await.unwrap();
    println!("{report}");
    let handlers = (report.handlers_finished, report.handlers_cut);
    assert_eq!(handlers, (COUNT - 3, 3), "{report}");
    let own = (report.calls_finished, report.calls_cut);
    assert_eq!(own, (COUNT, 0), "{report}");
    assert_eq!((report.sessions, report.sessions_cut), (COUNT, 3));
    assert_eq!(report.handlers_left, 0);
    let mut cut = 0;
    for call in calls {
        match call.await.unwrap() {
            Ok(body) => assert_eq!(body, "body"),
            Err(error) => {
                assert!(error.is_closed() && !error.may_retry(), "{error:?}");
                cut += 1;
            }
        }
    }
    assert_eq!(cut, 3);
    assert!(server.sessions().is_empty());
}

#[tokio::test(start_paused = true)]
async fn a_clock_that_jumps_is_a_deadline_that_strikes_and_nothing_worse() {
    let (pair, work) = working().await;
    let call = spawn_call(&pair.here, "/work/held");
    settle().await;
    let shutdown = spawn_shutdown(&pair.server, LONG);
    settle().await;
    tokio::time::advance(Duration::from_secs(24 * 3600)).await;
    let report = shutdown.await.unwrap();
    assert_eq!((report.handlers_cut, report.sessions_cut), (1, 1));
    assert!(call.await.unwrap().unwrap_err().is_closed());
    drop(work);

    // Between the words of a peer that does not understand, it is an end of patience.
    let server = Peer::builder().build().unwrap();
    server.route_call(Work::new()).unwrap();
    let (_session, mut stream) = bare(&server, 1 << 16).await;
    let shutdown = spawn_shutdown(&server, Duration::MAX);
    assert_eq!(super::notice(&mut stream).await, "going-away");
    tokio::time::advance(Duration::from_secs(24 * 3600)).await;
    assert_eq!(super::notice(&mut stream).await, "gone");
    assert!(shutdown.await.unwrap().is_complete());
}

#[tokio::test(start_paused = true)]
async fn a_peer_that_dials_itself_shuts_down_as_any_other() {
    let peer = Peer::builder().build().unwrap();
    let work = Work::new();
    peer.route_call(work.clone()).unwrap();
    let (there, here) = connect_with_room(&peer, &peer, 1024).await;
    let calls = [
        spawn_call(&here, "/work/held"),
        spawn_call(&there, "/work/held"),
    ];
    settle().await;
    let shutdown = spawn_shutdown(&peer, LONG);
    settle().await;
    work.permits.add_permits(2);
    for call in calls {
        assert_eq!(call.await.unwrap().unwrap(), "body");
    }
    let report = shutdown.await.unwrap();
    assert!(report.is_complete(), "{report}");
    assert_eq!((report.handlers_finished, report.calls_finished), (2, 2));
}

#[tokio::test(start_paused = true)]
async fn sessions_that_dial_again_stop_and_their_old_connections_count_too() {
    let (server, client) = (Peer::builder().build(), Peer::builder().build());
    let (server, client) = (server.unwrap(), client.unwrap());
    let work = Work::new();
    server.route_call(work.clone()).unwrap();
    client.route_call(work.clone()).unwrap();
    let exchange = teleport_tests::exchange::Exchange::new(&server);
    let dial = client.dial_by(exchange.connector());
    let session = dial.redial(teleport::session::Redial::forever());
    let session = session.await.unwrap();
    settle().await;
    // The client has a call on the old connection when the server is replaced.
    let held = spawn_call(&session, "/work/held");
    settle().await;
    let next = Peer::builder().build().unwrap();
    exchange.serve_by(&next);
    let ending = spawn_shutdown(&server, LONG);
    while next.sessions().is_empty() {
        tokio::time::sleep(Duration::from_millis(10)).await;
    }
    let report = client.shutdown(SHORT).await;
    assert_eq!(report.sessions, 1, "{report}");
    assert_eq!((report.calls_finished, report.calls_cut), (0, 1));
    let error: Error = held.await.unwrap().unwrap_err();
    assert!(error.is_closed(), "{error:?}");
    work.permits.add_permits(1);
    ending.await.unwrap();
    next.shutdown(SHORT).await;
}

#[tokio::test(start_paused = true)]
async fn a_stranger_that_never_speaks_does_not_hold_an_encrypted_port_up() {
    let key = rcgen::KeyPair::generate().unwrap();
    let params = rcgen::CertificateParams::new(["localhost".to_owned()]).unwrap();
    let certificate = params.self_signed(&key).unwrap().pem();
    let tls = TlsServer::builder()
        .identity_pem(certificate, key.serialize_pem())
        .build()
        .unwrap();
    let server = Peer::builder()
        .tls_server(tls)
        .handshake_timeout(LONG)
        .build()
        .unwrap();
    let address = server.listen_on("127.0.0.1:0").await.unwrap();
    let mut strangers = Vec::new();
    for _ in 0..10 {
        let address = address.socket_addr().unwrap();
        strangers.push(tokio::net::TcpStream::connect(address).await.unwrap());
    }
    settle().await;
    let report = server.shutdown(LONG).await;
    assert!(report.elapsed < Duration::from_millis(1100), "{report}");
    assert!(report.is_complete(), "{report}");
    assert_eq!(report.sessions, 0);
}
