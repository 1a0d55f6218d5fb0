//! What plugins exchange before a session starts, and how connections come about.

use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use teleport::message::{Message, Mtype};
use teleport::rerror::code;
use teleport::{ErrorKind, Hooks, Peer, Plugin, PreSession, Rerror, Session, controller, plugin};
use teleport_tests::frames::{RawFrame, read_frame};
use teleport_tests::logs::capture;
use teleport_tests::pair::{bare, call_bytes, connect, settle, until};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpListener, TcpStream};

struct Echo;

#[controller]
impl Echo {
    async fn it(&self, arg: Bytes) -> Bytes {
        arg
    }
}

/// Shows a password, or asks for it.
#[derive(Clone)]
struct Password(&'static str);

#[plugin]
impl Plugin for Password {
    fn name(&self) -> &str {
        "password"
    }

    async fn post_dial(&self, session: &mut PreSession) -> Result<(), Rerror> {
        assert!(session.is_dialled());
        let body = session.encode(b's', &self.0)?;
        let call = Message::new(Mtype::CALL, "/password", body).with_body_codec(b's');
        session.send(call).await?;
        let reply = session.receive().await?;
        match Rerror::from_meta(&reply.header.meta) {
            Some(rerror) => Err(rerror),
            None => Ok(()),
        }
    }

    async fn post_accept(&self, session: &mut PreSession) -> Result<(), Rerror> {
        assert!(!session.is_dialled());
        let call = session.receive().await?;
        assert!(call.size() > 0);
        let mut reply = Message::new(Mtype::REPLY, "", "").with_seq(call.header.seq.clone());
        let shown: String = session.decode(&call)?;
        if shown != self.0 {
            let rerror = Rerror::unauthorized(format!("{shown} is wrong"));
            rerror.set_meta(&mut reply.header.meta);
            session.send(reply).await?;
            return Err(rerror);
        }
        session.set_id("known");
        session.swap_mut().insert("shown", shown);
        session.send(reply).await?;
        Ok(())
    }
}

fn guarded() -> Peer {
    let peer = Peer::builder()
        .plugin(Password("open sesame"))
        .build()
        .unwrap();
    peer.route_call(Echo).unwrap();
    peer
}

#[tokio::test]
async fn plugins_exchange_messages_before_the_session_starts() {
    let server = guarded();
    let (there, here) = connect(&server, &guarded()).await;
    assert_eq!(&*there.id(), "known");
    assert!(server.sessions().get("known").is_some());
    assert_eq!(there.swap().get::<String>("shown").unwrap(), "open sesame");
    assert_eq!(call_bytes(&here, "/echo/it", "x").await.unwrap(), "x");
    // The handshake took the first sequence text.
    let cmd = here.call::<String>("/echo/it", "x").send().await.unwrap();
    assert_eq!(cmd.seq().to_string(), "C");
}

#[tokio::test]
async fn a_refused_handshake_fails_the_dial_with_its_error() {
    let server = guarded();
    let client = Peer::builder().plugin(Password("wrong")).build().unwrap();
    let (near, far) = tokio::io::duplex(1 << 16);
    let (there, here) = tokio::join!(server.serve_conn(near), client.dial_conn(far));
    for error in [there.unwrap_err(), here.unwrap_err()] {
        assert_eq!(error.kind(), ErrorKind::Refused);
        assert_eq!(error.rerror().unwrap().code(), code::UNAUTHORIZED);
        assert_eq!(error.rerror().unwrap().reason(), "wrong is wrong");
    }
    assert!(server.sessions().is_empty() && client.sessions().is_empty());
}

#[tokio::test]
async fn messages_behind_the_handshake_are_not_lost() {
    let server = guarded();
    let (near, mut stream) = tokio::io::duplex(1 << 16);
    // All in one write: the read loop starts with what was read too far.
    let mut bytes = RawFrame::call("A", "/password", "open sesame")
        .codec(b's')
        .bytes();
    bytes.extend(RawFrame::call("B", "/echo/it", vec![b'x'; 20_000]).bytes());
    stream.write_all(&bytes).await.unwrap();
    let _session = server.serve_conn(near).await.unwrap();
    assert_eq!(read_frame(&mut stream).await.unwrap().unwrap().seq, "A");
    let reply = read_frame(&mut stream).await.unwrap().unwrap();
    assert_eq!((reply.seq.as_str(), reply.body.len()), ("B", 20_000));
}

#[tokio::test]
async fn a_message_of_a_handshake_has_at_most_16_kib() {
    let server = guarded();
    for size in [16 * 1024 + 1, 1 << 30] {
        let (near, mut stream) = tokio::io::duplex(1 << 16);
        stream.write_all(&u32::to_be_bytes(size)).await.unwrap();
        stream.write_all(b"r\0").await.unwrap();
        let error = server.serve_conn(near).await.unwrap_err();
        let text = format!("{error:?}");
        assert!(
            text.contains(&size.to_string()) && text.contains("16384"),
            "{text}"
        );
    }
    // Where nobody shakes hands, the limit is the peer's own from the start.
    let open = Peer::builder().build().unwrap();
    open.route_call(Echo).unwrap();
    let (_session, mut stream) = bare(&open, 1 << 20).await;
    let call = RawFrame::call("A", "/echo/it", vec![b'x'; 100_000]);
    stream.write_all(&call.bytes()).await.unwrap();
    assert_eq!(
        read_frame(&mut stream).await.unwrap().unwrap().body.len(),
        100_000
    );
}

#[tokio::test(start_paused = true)]
async fn a_handshake_has_its_time() {
    let wait = Duration::from_millis(700);
    let server = Peer::builder()
        .plugin(Password("x"))
        .handshake_timeout(wait);
    let server = server.build().unwrap();
    let (near, mut stream) = tokio::io::duplex(1 << 16);
    let started = tokio::time::Instant::now();
    let error = server.serve_conn(near).await.unwrap_err();
    assert_eq!(error.kind(), ErrorKind::Timeout);
    assert!(error.to_string().contains("700ms"), "{error}");
    assert_eq!(started.elapsed(), wait);
    assert_eq!(stream.read(&mut [0]).await.unwrap(), 0);
}

/// Sends more than anybody reads.
struct Chatty;

#[plugin]
impl Plugin for Chatty {
    fn name(&self) -> &str {
        "chatty"
    }

    async fn post_accept(&self, session: &mut PreSession) -> Result<(), Rerror> {
        loop {
            let push = Message::new(Mtype::PUSH, "/x", vec![b'x'; 4000]);
            session.send(push).await?;
        }
    }
}

#[tokio::test(start_paused = true)]
async fn a_handshake_that_nobody_reads_is_given_up() {
    let server = Peer::builder().plugin(Chatty).build().unwrap();
    let (near, _stream) = tokio::io::duplex(1000);
    let started = tokio::time::Instant::now();
    let error = server.serve_conn(near).await.unwrap_err();
    assert_eq!(error.kind(), ErrorKind::Timeout);
    assert!(started.elapsed() < Duration::from_secs(20));
}

#[tokio::test]
async fn a_connection_that_ends_in_the_handshake_is_an_error_of_that_one_alone() {
    let (logs, _guard) = capture(false);
    let server = guarded();
    let address = server.listen_on("127.0.0.1:0").await.unwrap().to_string();
    drop(TcpStream::connect(&address).await.unwrap());
    let mut half = TcpStream::connect(&address).await.unwrap();
    half.write_all(b"\0\0").await.unwrap();
    drop(half);
    let session = guarded().dial(&address).await.unwrap();
    assert_eq!(call_bytes(&session, "/echo/it", "x").await.unwrap(), "x");
    while logs
        .others()
        .iter()
        .filter(|l| l.text.contains("refused"))
        .count()
        < 2
    {
        tokio::task::yield_now().await;
    }
}

#[tokio::test]
async fn a_peer_listens_on_several_addresses() {
    let server = Peer::builder().listen_port(0).build().unwrap();
    server.route_call(Echo).unwrap();
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let third = listener.local_addr().unwrap().to_string();
    let served = tokio::spawn({
        let server = server.clone();
        async move { server.serve_listener(listener).await }
    });
    let addresses = [
        format!(":{}", server.listen().await.unwrap().port().unwrap()),
        server.listen_on("127.0.0.1:0").await.unwrap().to_string(),
        third,
    ];
    let client = Peer::builder().build().unwrap();
    let mut sessions = Vec::new();
    for address in &addresses {
        let session = client.dial(address).await.unwrap();
        assert_eq!(call_bytes(&session, "/echo/it", "x").await.unwrap(), "x");
        sessions.push(session);
    }
    assert_eq!((server.sessions().len(), client.sessions().len()), (3, 3));
    server.close().await;
    served.await.unwrap().unwrap();
    for session in sessions {
        session.closed().await;
    }
}

#[tokio::test]
async fn a_dial_that_finds_nobody_says_so() {
    let client = Peer::builder().build().unwrap();
    let gone = {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        listener.local_addr().unwrap().to_string()
    };
    let error = client.dial(&gone).await.unwrap_err();
    assert_eq!(error.kind(), ErrorKind::Dial);
    assert!(
        error.may_retry() && error.to_string().contains(&gone),
        "{error}"
    );
    for nonsense in ["", "localhost", "127.0.0.1:99999", "[::1:80", "a b:80"] {
        let error = client.dial(nonsense).await.unwrap_err();
        assert!(
            matches!(error.kind(), ErrorKind::Config | ErrorKind::Dial),
            "{nonsense:?}: {error:?}"
        );
    }
    let error = client.listen().await.unwrap_err();
    assert_eq!(error.kind(), ErrorKind::Config);
    assert!(error.to_string().contains("listen_port"), "{error}");
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let taken = listener.local_addr().unwrap().to_string();
    let server = Peer::builder().build().unwrap();
    let error = server.listen_on(&taken).await.unwrap_err();
    assert_eq!(error.kind(), ErrorKind::Listen);
    assert!(error.to_string().contains(&taken), "{error}");
}

/// Waits in its handshake for ever.
struct Forever;

impl Plugin for Forever {
    fn name(&self) -> &str {
        "forever"
    }

    fn hooks(&self) -> Hooks {
        Hooks::POST_DIAL
    }

    fn post_dial<'a>(&'a self, _session: &'a mut PreSession) -> teleport::Hook<'a> {
        teleport::Hook::wait(std::future::pending())
    }
}

#[tokio::test]
async fn a_dial_that_is_dropped_leaves_no_session() {
    let server = Peer::builder().build().unwrap();
    let address = server.listen_on("127.0.0.1:0").await.unwrap().to_string();
    let client = Peer::builder().plugin(Forever).build().unwrap();
    let dial = tokio::spawn({
        let client = client.clone();
        async move { client.dial(&address).await }
    });
    until("there is a session", || !server.sessions().is_empty()).await;
    let there: Session = server.sessions().all().pop().unwrap();
    dial.abort();
    there.closed().await;
    assert!(dial.await.unwrap_err().is_cancelled());
    assert!(client.sessions().is_empty() && server.sessions().is_empty());
}

#[tokio::test]
async fn a_peer_lives_as_long_as_its_sessions_are_used() {
    let server = Arc::new(Peer::builder().build().unwrap());
    server.route_call(Echo).unwrap();
    let client = Peer::builder().build().unwrap();
    let (_there, here) = connect(&server, &client).await;
    drop((server, client));
    settle().await;
    assert_eq!(call_bytes(&here, "/echo/it", "x").await.unwrap(), "x");
    assert_eq!(here.peer().sessions().len(), 1);
}
