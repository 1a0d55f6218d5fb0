//! Handshakes beside each other, and their limits.

use std::time::Duration;

use teleport::Peer;
use teleport::socket::memory;
use teleport_tests::logs::capture;
use teleport_tests::pair::call_bytes;
use tokio::io::AsyncReadExt as _;

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
