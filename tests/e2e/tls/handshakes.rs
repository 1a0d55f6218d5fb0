//! Handshakes beside each other, and their limits.

use std::time::Duration;

use teleport::socket::memory;
use teleport::{Hook, Hooks, Peer, Plugin, PreSession};
use teleport_tests::logs::capture;
use teleport_tests::pair::call_bytes;
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};

use super::support::{Authority, client_tls, pair, peer, server_tls};

#[tokio::test(start_paused = true)]
async fn a_silent_connection_holds_nobody_up_and_is_closed_in_time() {
    let (logs, _guard) = capture(false);
    let (authority, server, client) = pair();
    let (listener, connector) = memory::listen("slow");
    let serving = server.clone();
    tokio::spawn(async move { serving.serve_listener(listener).await });
    let mut silent = connector.connect().await.unwrap();
    let begun = tokio::time::Instant::now();
    let tls = client_tls(&authority);
    for _ in 0..20 {
        let stream = connector.connect().await.unwrap();
        let stream = tls.connect(stream, "localhost").await.unwrap();
        let session = client.dial_conn(stream).await.unwrap();
        call_bytes(&session, "/echo/back", "x").await.unwrap();
    }
    assert_eq!(begun.elapsed(), Duration::ZERO);
    assert_eq!(silent.read(&mut [0]).await.unwrap(), 0);
    assert_eq!(begun.elapsed(), Duration::from_secs(5));
    assert!(logs.has(&["TLS handshake took longer than 5s", "memory:slow#1"]));
}

#[tokio::test(start_paused = true)]
async fn handshakes_have_a_bound() {
    let authority = Authority::new("tests");
    let server = peer(
        Peer::builder()
            .tls_server(server_tls(&authority.signs("localhost")))
            .max_handshakes(2),
    );
    let (listener, connector) = memory::listen("flood");
    let serving = server.clone();
    tokio::spawn(async move { serving.serve_listener(listener).await });
    let silent = [
        connector.connect().await.unwrap(),
        connector.connect().await.unwrap(),
    ];
    let begun = tokio::time::Instant::now();
    let stream = connector.connect().await.unwrap();
    let stream = client_tls(&authority).connect(stream, "localhost").await;
    assert!(stream.is_ok());
    // It waited until the silent ones were out of time.
    assert_eq!(begun.elapsed(), Duration::from_secs(5));
    drop(silent);
}

/// Keeps whoever comes for ever.
struct Endless;

impl Plugin for Endless {
    fn name(&self) -> &str {
        "endless"
    }

    fn hooks(&self) -> Hooks {
        Hooks::POST_ACCEPT
    }

    fn post_accept<'a>(&'a self, _: &'a mut PreSession) -> Hook<'a> {
        Hook::wait(std::future::pending())
    }
}

#[tokio::test(start_paused = true)]
async fn encryption_and_plugins_share_the_time_of_a_handshake() {
    let authority = Authority::new("tests");
    let tls = server_tls(&authority.signs("localhost"));
    let server = peer(Peer::builder().tls_server(tls).plugin(Endless));
    let (listener, connector) = memory::listen("slow");
    let serving = server.clone();
    tokio::spawn(async move { serving.serve_listener(listener).await });
    let begun = tokio::time::Instant::now();
    let stream = connector.connect().await.unwrap();
    tokio::time::sleep(Duration::from_secs(3)).await;
    let mut stream = client_tls(&authority)
        .connect(stream, "localhost")
        .await
        .unwrap();
    assert_eq!(stream.read(&mut [0]).await.unwrap(), 0);
    assert_eq!(begun.elapsed(), Duration::from_secs(5));
}

#[tokio::test(start_paused = true)]
async fn half_open_handshakes_are_freed_and_hold_nobody_up() {
    let (authority, server, client) = pair();
    let (listener, connector) = memory::listen("half");
    let serving = server.clone();
    tokio::spawn(async move { serving.serve_listener(listener).await });
    let begun = tokio::time::Instant::now();
    let mut half_open = Vec::new();
    for i in 0..500 {
        let mut stream = connector.connect().await.unwrap();
        if i % 2 == 0 {
            // The beginning of a hello.
            stream.write_all(&[0x16, 3, 1, 2, 0, 1]).await.unwrap();
        }
        half_open.push(stream);
    }
    let stream = connector.connect().await.unwrap();
    let tls = client_tls(&authority);
    let stream = tls.connect(stream, "localhost").await.unwrap();
    let session = client.dial_conn(stream).await.unwrap();
    call_bytes(&session, "/echo/back", "x").await.unwrap();
    assert_eq!(begun.elapsed(), Duration::ZERO);
    for mut stream in half_open {
        assert_eq!(stream.read(&mut [0]).await.unwrap(), 0);
    }
    assert_eq!(begun.elapsed(), Duration::from_secs(5));
    assert_eq!(server.sessions().len(), 1);
    client.close().await;
    server.close().await;
}
