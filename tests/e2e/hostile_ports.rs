//! Whatever comes to a port: beginnings that never end, other people's protocols, wrong lengths, and
//! very many of them at once. Each connection ends, and nobody else notices.

use std::sync::Arc;
use std::time::Duration;

use bytes::{BufMut, Bytes, BytesMut};
use teleport::message::{Frame, Head, Mtype};
use teleport::proto::{AnyOf, Body, Env, JsonProto, PbProto, Proto, RawProto};
use teleport::{Peer, PeerBuilder, Session, controller};
use teleport_tests::frames::{RawFrame, read_frame};
use teleport_tests::pair::{bare, call_bytes, connect, settle};
use tokio::io::{AsyncReadExt, AsyncWriteExt, DuplexStream};
use tokio::time::{Instant, sleep};

struct Echo;

#[controller]
impl Echo {
    async fn it(&self, arg: Bytes) -> Bytes {
        arg
    }
}

fn server_of(builder: PeerBuilder) -> Peer {
    let server = builder.build().unwrap();
    server.route_call(Echo).unwrap();
    server
}

/// All that a port may speak.
fn ports() -> [(&'static str, Arc<dyn Proto>); 4] {
    [
        ("raw", Arc::new(RawProto)),
        ("json", Arc::new(JsonProto)),
        ("pb", Arc::new(PbProto)),
        ("any", Arc::new(AnyOf::known())),
    ]
}

/// The protocols that a message may be in on a port.
fn spoken(port: &str) -> Vec<Arc<dyn Proto>> {
    let all: [Arc<dyn Proto>; 3] = [Arc::new(RawProto), Arc::new(JsonProto), Arc::new(PbProto)];
    all.into_iter()
        .filter(|proto| port == "any" || proto.version().1 == port)
        .collect()
}

fn packed(proto: &dyn Proto, mtype: Mtype, seq: &[u8], body: &[u8]) -> Vec<u8> {
    let head = Head {
        seq,
        mtype,
        uri: b"/echo/it",
        body_codec: b's',
        ..Head::default()
    };
    let mut bytes = BytesMut::new();
    let pack = proto.split().0;
    pack.pack(&Env::default(), &head, Body::Slice(body), &mut bytes)
        .unwrap();
    bytes.to_vec()
}

/// A connection, ours and theirs, to a port of this protocol.
async fn stranger(server: &Peer, proto: &Arc<dyn Proto>) -> (Session, DuplexStream) {
    let (near, far) = tokio::io::duplex(1 << 20);
    let session = server.serve_conn_with(near, Arc::clone(proto)).await;
    (session.unwrap(), far)
}

/// Reads until the connection is closed.
async fn rest(mut stream: DuplexStream) -> Vec<u8> {
    let mut rest = Vec::new();
    let _ = stream.read_to_end(&mut rest).await;
    rest
}

const SECOND: Duration = Duration::from_secs(1);

#[tokio::test(start_paused = true)]
async fn a_first_message_that_never_ends_costs_its_connection_and_silence_does_not() {
    let server = server_of(Peer::builder());
    for (name, port) in ports() {
        let (silent, _open) = stranger(&server, &port).await;
        for proto in spoken(name) {
            let frame = packed(&*proto, Mtype::CALL, b"A", b"hello");
            for at in 1..frame.len() {
                let (session, mut stream) = stranger(&server, &port).await;
                sleep(100 * SECOND).await;
                let began = Instant::now();
                stream.write_all(&frame[..at]).await.unwrap();
                session.closed().await;
                let took = began.elapsed();
                assert!((30..32).contains(&took.as_secs()), "{name} {at}: {took:?}");
                let reason = session.close_reason().unwrap();
                let due = format!("the first message was not whole within 30s, after {at} bytes");
                assert!(reason.starts_with(&due), "{name}: {reason}");
                assert!(rest(stream).await.is_empty(), "{name} {at}");
            }
        }
        assert!(silent.health());
    }
}

#[tokio::test(start_paused = true)]
async fn a_drop_of_bytes_now_and_then_buys_no_time() {
    let server = server_of(Peer::builder());
    let (session, mut stream) = bare(&server, 1 << 20).await;
    let frame = RawFrame::call("A", "/echo/it", [b'x'; 100]).bytes();
    let began = Instant::now();
    for byte in &frame {
        if stream.write_all(&[*byte]).await.is_err() {
            break;
        }
        sleep(SECOND).await;
    }
    session.closed().await;
    assert!(session.close_reason().unwrap().contains("within 30s"));
    assert!(began.elapsed() < 35 * SECOND, "{:?}", began.elapsed());
}

#[tokio::test(start_paused = true)]
async fn a_large_first_message_has_the_time_of_a_slow_line() {
    let server = server_of(Peer::builder());
    let (session, mut stream) = bare(&server, 1 << 20).await;
    let frame = RawFrame::call("A", "/echo/it", vec![b'x'; 2 << 20]).codec(b's');
    for part in frame.bytes().chunks(20 << 10) {
        stream.write_all(part).await.unwrap();
        sleep(SECOND).await;
    }
    let mut size = [0; 4];
    stream.read_exact(&mut size).await.unwrap();
    assert!(session.health());
    // One that stops half way does not stay.
    let (session, mut stream) = bare(&server, 1 << 20).await;
    stream.write_all(&frame.bytes()[..1 << 20]).await.unwrap();
    let began = Instant::now();
    session.closed().await;
    assert_eq!(began.elapsed().as_secs(), 30 + 64);
}

#[tokio::test(start_paused = true)]
async fn the_time_is_that_of_the_first_message_alone_and_may_be_set() {
    let second = |builder: PeerBuilder| builder.first_message_timeout(SECOND);
    let server = server_of(second(Peer::builder()));
    let (session, mut stream) = bare(&server, 1 << 16).await;
    let frame = RawFrame::call("A", "/echo/it", "1").bytes();
    stream.write_all(&frame[..5]).await.unwrap();
    sleep(SECOND / 2).await;
    stream.write_all(&frame[5..]).await.unwrap();
    // One that is known may take its time.
    stream.write_all(&frame[..5]).await.unwrap();
    sleep(100 * SECOND).await;
    assert!(session.health());
    stream.write_all(&frame[5..]).await.unwrap();
    for _ in 0..2 {
        assert!(read_frame(&mut stream).await.unwrap().is_some());
    }

    let (session, mut stream) = bare(&server, 1 << 16).await;
    stream.write_all(&frame[..5]).await.unwrap();
    let began = Instant::now();
    session.closed().await;
    assert_eq!(began.elapsed().as_secs(), 1);

    let server = server_of(Peer::builder().first_message_timeout(Duration::ZERO));
    let (session, mut stream) = bare(&server, 1 << 16).await;
    stream.write_all(&frame[..5]).await.unwrap();
    sleep(100_000 * SECOND).await;
    assert!(session.health());
}

/// What other programs say first, and bytes of nobody.
fn strangers() -> Vec<Vec<u8>> {
    let mut hello = vec![0x16, 3, 1, 2, 0, 1, 0, 1, 0xfc, 3, 3];
    hello.resize(517, 7);
    let http2 = b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n\0\0\x12\x04\0\0\0\0\0\0\x03\0\0\0\x64".to_vec();
    let texts = [
        "GET / HTTP/1.1\r\nHost: x\r\n\r\n",
        "SSH-2.0-OpenSSH_9.6\r\n",
        "EHLO example.org\r\n",
        "*1\r\n$4\r\nPING\r\n",
        "\r\n\r\n\r\n\r\n",
        "{\"jsonrpc\":\"2.0\",\"id\":1,\"method\":\"x\"}\n",
        "\u{fffd}\u{fffd}\u{fffd}\u{fffd}\u{fffd}",
    ];
    let mut all: Vec<_> = texts.iter().map(|text| text.as_bytes().to_vec()).collect();
    all.extend([hello, http2, vec![0; 64], vec![0xff; 64], vec![0x80; 64]]);
    for (name, _) in ports() {
        for proto in spoken(name) {
            let whole = packed(&*proto, Mtype::CALL, b"A", b"hello");
            all.extend(wrong_lengths(&whole));
            // Another type than there is.
            all.push(packed(&*proto, Mtype(9), b"A", b"hello"));
        }
    }
    all
}

/// A frame whose size says something else, and one with each byte of its beginning changed.
fn wrong_lengths(whole: &[u8]) -> Vec<Vec<u8>> {
    let size = u32::from_be_bytes(whole[..4].try_into().unwrap());
    let sizes = [
        0,
        1,
        4,
        5,
        6,
        size - 1,
        size + 1,
        u32::MAX,
        1 << 31,
        (16 << 20) + 1,
    ];
    let resized = sizes.iter().map(|size| {
        let mut frame = whole.to_vec();
        frame[..4].copy_from_slice(&size.to_be_bytes());
        // What follows is there too.
        frame.put_bytes(b'z', 64);
        frame
    });
    let changed = (4..whole.len()).flat_map(|at| {
        [0, 0x7f, 0x80, 0xff].map(|byte| {
            let mut frame = whole.to_vec();
            frame[at] = byte;
            frame
        })
    });
    resized.chain(changed).collect()
}

/// A friend who is connected all the time.
async fn friend(server: &Peer) -> Session {
    connect(server, &Peer::builder().build().unwrap()).await.1
}

#[tokio::test(start_paused = true)]
async fn every_stranger_is_gone_in_time_and_the_others_are_served() {
    let server = server_of(Peer::builder());
    let friend = friend(&server).await;
    for (name, port) in ports() {
        for bytes in strangers() {
            let (session, mut stream) = stranger(&server, &port).await;
            let _ = stream.write_all(&bytes).await;
            let began = Instant::now();
            let answer = async {
                let mut all = Vec::new();
                let mut some = [0; 4096];
                while let Ok(n @ 1..) = stream.read(&mut some).await {
                    all.extend_from_slice(&some[..n]);
                }
                all
            };
            // Some of these are whole messages: those may stay.
            let answer = tokio::time::timeout(60 * SECOND, answer).await;
            let took = began.elapsed();
            let was_heard = session.traffic().received > 0;
            assert!(answer.is_ok() || was_heard, "{name} {bytes:?}: {took:?}");
            assert!(answer.is_err() || session.close_reason().is_some());
        }
        assert_eq!(call_bytes(&friend, "/echo/it", "x").await.unwrap(), "x");
    }
}

#[tokio::test(start_paused = true)]
async fn what_is_said_to_a_stranger_is_the_same_wherever_its_bytes_are_cut() {
    let server = server_of(Peer::builder());
    for (name, port) in ports() {
        for bytes in strangers().into_iter().take(12) {
            let mut said = Vec::new();
            for at in 0..bytes.len().min(80) {
                let (session, mut stream) = stranger(&server, &port).await;
                stream.write_all(&bytes[..at]).await.unwrap();
                settle().await;
                // It may be refused already.
                let _ = stream.write_all(&bytes[at..]).await;
                let _ = stream.shutdown().await;
                session.closed().await;
                said.push(rest(stream).await);
            }
            let whole = said[0].clone();
            // HTTP is answered as soon as it is HTTP, and what came too early cannot tell a TLS hello.
            let odd: Vec<_> = said.iter().filter(|text| **text != whole).collect();
            let may_be_cut = |text: &&Vec<u8>| text.is_empty() || whole.is_empty();
            assert!(odd.iter().all(may_be_cut), "{name} {bytes:?}: {odd:?}");
        }
    }
}

#[tokio::test(start_paused = true)]
async fn another_protocol_in_the_middle_ends_the_connection_without_an_answer() {
    let server = server_of(Peer::builder());
    let friend = friend(&server).await;
    for (name, port) in ports() {
        for first in spoken(name) {
            for next in spoken("any") {
                if next.version() == first.version() {
                    continue;
                }
                let (session, mut stream) = stranger(&server, &port).await;
                let good = packed(&*first, Mtype::CALL, b"A", b"hello");
                let other = packed(&*next, Mtype::CALL, b"B", b"hello");
                stream.write_all(&[good, other].concat()).await.unwrap();
                stream.shutdown().await.unwrap();
                session.closed().await;
                let mut unpack = first.split().1;
                let answers = rest(stream).await;
                let env = Env::default();
                let (reply, used) = unpack.unpack(&env, &answers, false).unwrap().unwrap();
                let Frame { head, body } = reply;
                assert_eq!((head.seq, body), (&b"A"[..], &b"hello"[..]));
                assert_eq!(used, answers.len(), "{name}");
            }
        }
    }
    assert_eq!(call_bytes(&friend, "/echo/it", "x").await.unwrap(), "x");
}

#[tokio::test(start_paused = true)]
async fn a_thousand_strangers_at_once_leave_nothing_behind() {
    let server = server_of(Peer::builder());
    let friend = friend(&server).await;
    let all = strangers();
    let (_, port) = ports().into_iter().next_back().unwrap();
    let mut open = Vec::new();
    for bytes in all.iter().cycle().take(1000) {
        let (session, mut stream) = stranger(&server, &port).await;
        let _ = stream.write_all(bytes).await;
        open.push((session, stream));
    }
    assert_eq!(call_bytes(&friend, "/echo/it", "x").await.unwrap(), "x");
    sleep(60 * SECOND).await;
    // Who said something that could be read may stay until it leaves.
    open.retain(|(session, _)| session.health());
    assert!(
        open.iter()
            .all(|(session, _)| session.traffic().received > 0)
    );
    open.clear();
    sleep(10 * SECOND).await;
    assert_eq!(server.sessions().len(), 1);
    assert_eq!(call_bytes(&friend, "/echo/it", "x").await.unwrap(), "x");
}

#[tokio::test(start_paused = true)]
async fn a_call_that_no_reply_could_find_ends_its_connection_before_it_is_run() {
    let server = server_of(Peer::builder());
    let long = vec![b's'; 65_536];
    for proto in [Arc::new(JsonProto) as Arc<dyn Proto>, Arc::new(PbProto)] {
        // They cannot be made by our own means.
        let seq = |len: usize| packed(&*proto, Mtype::CALL, &long[..len], b"hello");
        let fits = seq(65_535);
        let mut frame = Vec::new();
        for (at, size) in [(0, 65_535_usize), (1, 65_536)] {
            frame = fits.clone();
            if at == 1 {
                let from = frame.windows(3).position(|bytes| bytes == b"sss").unwrap();
                frame.insert(from, b's');
                let length = u32::try_from(frame.len() - 4).unwrap();
                frame[..4].copy_from_slice(&length.to_be_bytes());
                if proto.version().1 == "pb" {
                    // 65536 as a varint, in the place of 65535.
                    frame.splice(from - 3..from, [0x80, 0x80, 0x04]);
                }
            }
            let (session, mut stream) = stranger(&server, &proto).await;
            stream.write_all(&frame).await.unwrap();
            settle().await;
            assert_eq!(session.health(), size == 65_535, "{}", proto.version().1);
        }
        let (session, mut stream) = stranger(&server, &proto).await;
        stream.write_all(&frame).await.unwrap();
        session.closed().await;
        let reason = session.close_reason().unwrap();
        assert!(reason.contains("seq of 65536 bytes"), "{reason}");
        assert_eq!(session.traffic().received, 0);
    }
}
