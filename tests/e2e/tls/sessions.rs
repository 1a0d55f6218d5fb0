//! What encrypted connections carry.

use std::pin::Pin;
use std::task::{Context, Poll};

use teleport::Peer;
use teleport::socket::memory;
use teleport_tests::pair::call_bytes;
use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};

use super::support::{Authority, client_tls, exchange, pair, peer, server_tls};

#[tokio::test]
async fn messages_of_every_size_go_both_ways_over_every_network() {
    let (_, server, client) = pair();
    let path = std::env::temp_dir().join(format!("teleport-tls-{}.sock", std::process::id()));
    for address in [
        "127.0.0.1:0".to_owned(),
        format!("unix:{}", path.display()),
        format!("unixpacket:@teleport-tls-{}", std::process::id()),
    ] {
        let bound = server.listen_on(&address).await.unwrap();
        assert!(server.listeners().last().unwrap().is_encrypted());
        let here = client.dial(&bound).await.unwrap();
        exchange(&here).await;
        let there = server.sessions().all().pop().unwrap();
        exchange(&there).await;
        let info = here.tls().unwrap();
        assert_eq!(
            (info.version(), info.server_name()),
            ("1.3", Some("localhost"))
        );
        assert_eq!(info.peer_certificates().len(), 1);
        let info = there.tls().unwrap();
        assert_eq!(info.server_name(), Some("localhost"));
        assert!(info.peer_certificates().is_empty());
        here.close().await;
        there.closed().await;
        assert_eq!(
            there.close_reason().as_deref(),
            Some("closed by the other end")
        );
    }
    server.close().await;
}

/// Connects by an encrypted connection in memory that holds so many bytes.
async fn in_memory(room: usize) -> (Peer, Peer, teleport::Session) {
    let (authority, server, client) = pair();
    let (listener, connector) = memory::listen("tls");
    let serving = server.clone();
    tokio::spawn(async move { serving.serve_listener(listener).await });
    let stream = connector.room(room).connect().await.unwrap();
    let stream = client_tls(&authority).connect(stream, "localhost").await;
    let session = client.dial_conn(stream.unwrap()).await.unwrap();
    (server, client, session)
}

/// A stream that reads and writes a byte at a time.
struct Trickle<S>(S);

impl<S: AsyncRead + Unpin> AsyncRead for Trickle<S> {
    fn poll_read(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        buf: &mut ReadBuf<'_>,
    ) -> Poll<std::io::Result<()>> {
        let mut byte = [0];
        let mut one = ReadBuf::new(&mut byte);
        std::task::ready!(Pin::new(&mut self.0).poll_read(cx, &mut one))?;
        buf.put_slice(one.filled());
        Poll::Ready(Ok(()))
    }
}

impl<S: AsyncWrite + Unpin> AsyncWrite for Trickle<S> {
    fn poll_write(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        buf: &[u8],
    ) -> Poll<std::io::Result<usize>> {
        Pin::new(&mut self.0).poll_write(cx, &buf[..buf.len().min(1)])
    }

    fn poll_flush(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<std::io::Result<()>> {
        Pin::new(&mut self.0).poll_flush(cx)
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<std::io::Result<()>> {
        Pin::new(&mut self.0).poll_shutdown(cx)
    }
}

#[tokio::test]
async fn a_byte_at_a_time_is_enough() {
    let (authority, server, client) = pair();
    let (near, far) = tokio::io::duplex(512);
    let (near, far) = (Trickle(near), Trickle(far));
    let (here, there) = (
        client_tls(&authority),
        server_tls(&authority.signs("localhost")),
    );
    let (here, there) = tokio::join!(here.connect(near, "localhost"), there.accept(far));
    let (here, there) = (here.unwrap(), there.unwrap());
    let (session, other) = tokio::join!(client.dial_conn(here), server.serve_conn(there));
    let (session, _other) = (session.unwrap(), other.unwrap());
    let body = vec![5; 10_000];
    let call = || call_bytes(&session, "/echo/back", body.clone());
    let (one, two) = tokio::join!(call(), call());
    assert!(one.unwrap() == body && two.unwrap() == body);
    client.close().await;
    server.close().await;
}

#[tokio::test]
async fn a_reader_that_is_slow_gets_everything() {
    let (server, client, session) = in_memory(4096).await;
    let body = vec![5; 2_000_000];
    let all = (0..5).map(|_| {
        let (session, body) = (session.clone(), body.clone());
        tokio::spawn(async move { call_bytes(&session, "/echo/back", body).await })
    });
    for call in all.collect::<Vec<_>>() {
        assert!(call.await.unwrap().unwrap() == body);
    }
    client.close().await;
    server.close().await;
}

#[tokio::test]
async fn one_peer_has_a_plain_and_an_encrypted_port() {
    let authority = Authority::new("tests");
    let tls = server_tls(&authority.signs("localhost"));
    let server = peer(Peer::builder());
    let plain = server.listen_on("127.0.0.1:0").await.unwrap();
    let encrypted = server.listen_on("127.0.0.1:0").tls(&tls).await.unwrap();
    let client = peer(Peer::builder().tls_client(client_tls(&authority)));
    let one = client.dial(&plain).plain().await.unwrap();
    let two = client.dial(&encrypted).await.unwrap();
    assert!(one.tls().is_none() && two.tls().is_some());
    exchange(&one).await;
    exchange(&two).await;
    let unencrypted = peer(Peer::builder());
    let three = unencrypted
        .dial(&encrypted)
        .tls(&client_tls(&authority))
        .await
        .unwrap();
    exchange(&three).await;
    server.close().await;
}
