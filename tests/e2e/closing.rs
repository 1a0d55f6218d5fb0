//! How sessions and peers end, in good order and otherwise.

use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use teleport::rerror::code;
use teleport::{Error, ErrorKind, Peer, Plugin, Rerror, Session, controller, plugin};
use teleport_tests::frames::{RawFrame, read_frame};
use teleport_tests::pair::{Pair, bare, call_bytes, settle};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;
use tokio::sync::{Notify, Semaphore};
use tokio::task::JoinHandle;

struct Echo {
    permits: Arc<Semaphore>,
}

#[controller]
impl Echo {
    async fn now(&self, arg: Bytes) -> Bytes {
        arg
    }

    async fn held(&self, arg: Bytes) -> Bytes {
        self.permits.acquire().await.unwrap().forget();
        arg
    }
}

/// A pair whose ends both echo.
async fn echoing() -> (Pair, Arc<Semaphore>) {
    let pair = Pair::new().await;
    let permits = Arc::new(Semaphore::new(0));
    for peer in [&pair.server, &pair.client] {
        let permits = permits.clone();
        peer.route_call(Echo { permits }).unwrap();
    }
    (pair, permits)
}

fn spawn_call(session: &Session, uri: &'static str) -> JoinHandle<Result<Bytes, Error>> {
    let session = session.clone();
    tokio::spawn(async move { call_bytes(&session, uri, "body").await })
}

fn spawn_close(session: &Session) -> JoinHandle<()> {
    let session = session.clone();
    tokio::spawn(async move { session.close().await })
}

#[tokio::test]
async fn closing_lets_a_running_handler_reply() {
    let (pair, permits) = echoing().await;
    let call = spawn_call(&pair.here, "/echo/held");
    settle().await;
    let close = spawn_close(&pair.there);
    settle().await;
    assert!(!close.is_finished() && !call.is_finished());
    assert!(!pair.there.health());

    // Neither side starts anything new on it.
    let error = call_bytes(&pair.there, "/echo/now", "x").await.unwrap_err();
    assert_eq!(error.kind(), ErrorKind::Closed);
    assert!(error.to_string().contains("closed by this side"), "{error}");
    let error = pair.there.push("/echo/now", "x").await.unwrap_err();
    assert_eq!(error.kind(), ErrorKind::Closed);
    let error = call_bytes(&pair.here, "/echo/now", "x").await.unwrap_err();
    assert_eq!(error.rerror().unwrap().code(), code::SERVICE_UNAVAILABLE);
    assert!(error.may_retry());

    permits.add_permits(1);
    assert_eq!(call.await.unwrap().unwrap(), "body");
    close.await.unwrap();
    pair.here.closed().await;
    assert_eq!(pair.here.close_reason().unwrap(), "closed by the other end");
    assert_eq!(pair.there.close_reason().unwrap(), "closed by this side");
    assert!(pair.server.sessions().is_empty() && pair.client.sessions().is_empty());
}

#[tokio::test]
async fn closing_waits_for_the_replies_to_its_own_calls() {
    let (pair, permits) = echoing().await;
    let call = spawn_call(&pair.here, "/echo/held");
    settle().await;
    let close = spawn_close(&pair.here);
    settle().await;
    assert!(!close.is_finished());
    permits.add_permits(1);
    assert_eq!(call.await.unwrap().unwrap(), "body");
    close.await.unwrap();
}

#[tokio::test]
async fn a_call_dropped_while_closing_is_not_waited_for() {
    let (pair, _permits) = echoing().await;
    let call = spawn_call(&pair.here, "/echo/held");
    settle().await;
    let close = spawn_close(&pair.here);
    settle().await;
    call.abort();
    close.await.unwrap();
}

#[tokio::test]
async fn both_ends_may_close_at_once() {
    let (pair, permits) = echoing().await;
    let calls = [
        spawn_call(&pair.here, "/echo/held"),
        spawn_call(&pair.there, "/echo/held"),
    ];
    settle().await;
    let closes = [spawn_close(&pair.here), spawn_close(&pair.there)];
    settle().await;
    permits.add_permits(2);
    for call in calls {
        assert_eq!(call.await.unwrap().unwrap(), "body");
    }
    for close in closes {
        close.await.unwrap();
    }
    // And again, which changes nothing.
    pair.here.close().await;
    pair.here.abort();
    pair.there.closed().await;
}

#[tokio::test]
async fn a_large_reply_is_written_before_the_end() {
    let (pair, permits) = echoing().await;
    let body = vec![b'x'; 2 << 20];
    let call = tokio::spawn({
        let (here, body) = (pair.here.clone(), body.clone());
        async move { call_bytes(&here, "/echo/held", body).await }
    });
    settle().await;
    let close = spawn_close(&pair.there);
    permits.add_permits(1);
    close.await.unwrap();
    assert!(call.await.unwrap().unwrap() == body);
}

#[tokio::test]
async fn abort_ends_at_once_and_fails_the_calls() {
    let (pair, _permits) = echoing().await;
    let calls = [
        spawn_call(&pair.here, "/echo/held"),
        spawn_call(&pair.there, "/echo/held"),
    ];
    settle().await;
    pair.here.abort();
    pair.here.closed().await;
    for call in calls {
        let error = call.await.unwrap().unwrap_err();
        assert_eq!(error.kind(), ErrorKind::Closed, "{error:?}");
    }
    assert!(pair.client.sessions().is_empty());
}

#[tokio::test]
async fn a_lost_connection_fails_the_calls_with_102() {
    let client = Peer::builder().build().unwrap();
    let (session, stream) = bare(&client, 1 << 16).await;
    let calls: Vec<_> = (0..10).map(|_| spawn_call(&session, "/x")).collect();
    settle().await;
    drop(stream);
    for call in calls {
        let error = call.await.unwrap().unwrap_err();
        assert!(error.is_closed(), "{error:?}");
        assert_eq!(Rerror::from(error).code(), code::CONN_CLOSED);
    }
    session.closed().await;
    let error = call_bytes(&session, "/x", "").await.unwrap_err();
    assert_eq!(Rerror::from(error).code(), code::CONN_CLOSED);
}

#[tokio::test]
async fn a_half_closed_connection_still_gets_its_replies() {
    let permits = Arc::new(Semaphore::new(0));
    let server = Peer::builder().build().unwrap();
    let echo = Echo {
        permits: permits.clone(),
    };
    server.route_call(echo).unwrap();
    let (session, mut stream) = bare(&server, 1 << 16).await;
    let mut bytes = RawFrame::call("held", "/echo/held", "1").bytes();
    bytes.extend(RawFrame::call("now", "/echo/now", "2").bytes());
    stream.write_all(&bytes).await.unwrap();
    stream.shutdown().await.unwrap();
    assert_eq!(read_frame(&mut stream).await.unwrap().unwrap().seq, "now");
    assert_eq!(session.running_handlers(), 1);
    permits.add_permits(1);
    assert_eq!(read_frame(&mut stream).await.unwrap().unwrap().seq, "held");
    assert_eq!(read_frame(&mut stream).await.unwrap(), None);
    session.closed().await;
}

#[tokio::test]
async fn closing_a_peer_waits_for_handlers_and_refuses_what_is_new() {
    let server = Peer::builder().build().unwrap();
    let permits = Arc::new(Semaphore::new(0));
    let echo = Echo {
        permits: permits.clone(),
    };
    server.route_call(echo).unwrap();
    let address = server.listen_on("127.0.0.1:0").await.unwrap().to_string();
    let client = Peer::builder().build().unwrap();
    let mut calls = Vec::new();
    for _ in 0..3 {
        let session = client.dial(&address).await.unwrap();
        let cmd = session.call::<String>("/echo/held", "x").send().await;
        calls.push((cmd.unwrap(), session));
    }
    while server
        .sessions()
        .all()
        .iter()
        .map(Session::running_handlers)
        .sum::<usize>()
        < 3
    {
        tokio::task::yield_now().await;
    }
    let close = tokio::spawn({
        let server = server.clone();
        async move { server.close().await }
    });
    settle().await;
    assert!(!close.is_finished());
    assert_eq!(server.sessions().len(), 3);
    permits.add_permits(3);
    for (call, session) in calls {
        assert_eq!(call.await.unwrap(), "x");
        session.closed().await;
    }
    close.await.unwrap();
    server.closed().await;
    assert!(server.sessions().is_empty());
    assert!(client.dial(&address).await.is_err());
    for error in [
        server.listen_on("127.0.0.1:0").await.unwrap_err(),
        server.dial("127.0.0.1:1").await.unwrap_err(),
        server.serve_conn(tokio::io::duplex(1).0).await.unwrap_err(),
    ] {
        assert!(
            matches!(error.kind(), ErrorKind::Closed | ErrorKind::Dial),
            "{error:?}"
        );
    }
}

#[tokio::test]
async fn a_closed_session_lets_its_connection_go_though_it_is_kept() {
    let server = Peer::builder().build().unwrap();
    let address = server.listen_on("127.0.0.1:0").await.unwrap().to_string();
    for how in ["close", "abort"] {
        let mut stream = TcpStream::connect(&address).await.unwrap();
        let id = stream.local_addr().unwrap().to_string();
        let session = loop {
            match server.sessions().get(&id) {
                Some(session) => break session,
                None => tokio::task::yield_now().await,
            }
        };
        match how {
            "close" => session.close().await,
            _ => session.abort(),
        }
        session.closed().await;
        assert_eq!(stream.read(&mut [0]).await.unwrap(), 0);
        // Nobody is there any more: the system says so to whoever goes on writing.
        while stream.write_all(&[0; 100]).await.is_ok() {
            tokio::task::yield_now().await;
        }
        assert!(!session.health());
    }
    let (session, mut stream) = bare(&server, 16).await;
    session.close().await;
    assert!(stream.write_all(&[0; 100]).await.is_err());
}

/// Renames sessions that are gone already.
struct Renames(Arc<Notify>);

#[plugin]
impl Plugin for Renames {
    fn name(&self) -> &str {
        "renames"
    }

    async fn post_disconnect(&self, session: &Session) -> Result<(), Rerror> {
        session.set_id("ghost");
        self.0.notify_one();
        Ok(())
    }
}

#[tokio::test]
async fn a_session_that_is_gone_does_not_come_back_under_another_name() {
    let renamed = Arc::new(Notify::new());
    let plugin = Renames(renamed.clone());
    let pair = Pair::of(Peer::builder().plugin(plugin), Peer::builder()).await;
    pair.here.close().await;
    renamed.notified().await;
    pair.there.closed().await;
    assert_eq!(pair.server.sessions().len(), 0);
    pair.there.set_id("again");
    assert!(pair.server.sessions().get("again").is_none());
}

#[tokio::test(start_paused = true)]
async fn an_end_that_reads_nothing_does_not_delay_the_closing_for_ever() {
    let (server, client) = (
        Peer::builder().build().unwrap(),
        Peer::builder().build().unwrap(),
    );
    let (session, _stream) = bare(&server, 10).await;
    session.push("/x", vec![0_u8; 1000]).await.unwrap();
    let started = tokio::time::Instant::now();
    session.close().await;
    assert!(started.elapsed() < Duration::from_secs(30));
    client.close().await;
}
