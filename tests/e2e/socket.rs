//! A socket alone: messages over byte streams, however the bytes are cut.

use std::future::Future;
use std::pin::pin;
use std::sync::Arc;
use std::task::{Context, Poll, Waker};

use teleport::codec::Raw;
use teleport::message::{Message, Mtype};
use teleport::proto::{Env, Limits, ProtoErrorKind, RawProto};
use teleport::socket::{
    Family, HostPort, Listener, Socket, SocketError, SocketReader, bind_tcp, connect_tcp,
};
use teleport::xfer::XferPipe;
use tokio::io::{AsyncReadExt, AsyncWriteExt, DuplexStream};

fn limited(message: usize) -> Arc<Env> {
    Arc::new(Env {
        limits: Limits::with_message(message),
        ..Env::default()
    })
}

fn env() -> Arc<Env> {
    limited(4 << 20)
}

/// A bare byte stream and a socket at its other end.
fn pair(room: usize) -> (DuplexStream, Socket) {
    let (bare, stream) = tokio::io::duplex(room);
    (bare, Socket::new(stream, &RawProto, env()))
}

fn sample() -> Vec<Message> {
    vec![
        Message::new(Mtype::CALL, "/math/add?author=me", "[1,2,3]")
            .with_seq("A")
            .with_meta("k", "v w")
            .with_body_codec(b'j'),
        Message::default(),
        Message::new(Mtype::PUSH, "/push/status", "filtered")
            .with_xfer(XferPipe::from_ids(b"gm").unwrap()),
        Message::new(Mtype::REPLY, "", vec![9; 300]).with_seq("B"),
    ]
}

async fn bytes_of(messages: &[Message]) -> Vec<u8> {
    let (mut bare, mut socket) = pair(8 << 20);
    for message in messages {
        socket.write_message(message).await.unwrap();
    }
    socket.shutdown().await.unwrap();
    let mut bytes = Vec::new();
    bare.read_to_end(&mut bytes).await.unwrap();
    bytes
}

#[track_caller]
fn assert_same(got: &Message, sent: &Message) {
    let parts = |message: &Message| {
        message.with_frame(|frame| {
            let head = frame.head;
            let texts = [head.seq, head.uri, head.meta, head.xfer, frame.body].map(<[u8]>::to_vec);
            (texts, head.mtype, head.body_codec)
        })
    };
    assert_eq!(parts(got), parts(sent));
}

async fn assert_reads(socket: &mut Socket, sent: &[Message]) {
    for message in sent {
        assert_same(&socket.read_message().await.unwrap().unwrap(), message);
    }
}

fn proto_error(error: SocketError) -> (ProtoErrorKind, String) {
    match error {
        SocketError::Proto(error) => (error.kind(), error.to_string()),
        other => panic!("{other}"),
    }
}

fn poll_once<F: Future>(future: F) -> Option<F::Output> {
    match pin!(future).poll(&mut Context::from_waker(Waker::noop())) {
        Poll::Ready(output) => Some(output),
        Poll::Pending => None,
    }
}

#[tokio::test]
async fn messages_are_the_same_wherever_the_bytes_are_cut() {
    let sent = sample();
    let bytes = bytes_of(&sent).await;
    for cut in 0..=bytes.len() {
        let (mut bare, mut socket) = pair(4096);
        let (first, second) = bytes.split_at(cut);
        bare.write_all(first).await.unwrap();
        let mut got = Vec::new();
        // A read that is given up in between loses nothing.
        while let Some(message) = poll_once(socket.read_message()) {
            got.push(message.unwrap().unwrap());
        }
        bare.write_all(second).await.unwrap();
        drop(bare);
        while let Some(message) = socket.read_message().await.unwrap() {
            got.push(message);
        }
        assert_eq!(got.len(), sent.len(), "cut at {cut}");
        got.iter()
            .zip(&sent)
            .for_each(|(got, sent)| assert_same(got, sent));
        assert_eq!(got.iter().map(Message::size).sum::<usize>(), bytes.len());
    }
}

#[tokio::test]
async fn messages_arrive_byte_by_byte_and_in_odd_pieces() {
    let sent = sample();
    let bytes = bytes_of(&sent).await;
    for piece in [1, 2, 3, 7, 61] {
        // A stream with room for one piece hands over no more at a time.
        let (mut bare, mut socket) = pair(piece);
        let write = async {
            for piece in bytes.chunks(piece) {
                bare.write_all(piece).await.unwrap();
            }
            drop(bare);
        };
        tokio::join!(write, assert_reads(&mut socket, &sent));
        assert!(socket.read_message().await.unwrap().is_none());
    }
}

#[tokio::test]
async fn frames_of_one_write_are_all_read() {
    let sent = sample();
    let (mut bare, mut socket) = pair(4096);
    bare.write_all(&bytes_of(&sent).await).await.unwrap();
    for message in &sent {
        // The other end is silent from here on: nothing may wait for it.
        let got = poll_once(socket.read_message()).expect("the message is there");
        assert_same(&got.unwrap().unwrap(), message);
    }
    assert!(poll_once(socket.read_message()).is_none());
}

#[tokio::test]
async fn an_end_within_a_frame_is_incomplete_and_one_between_frames_is_not() {
    let bytes = bytes_of(&sample()[..1]).await;
    for end in 0..=bytes.len() {
        let (mut bare, mut socket) = pair(4096);
        bare.write_all(&bytes[..end]).await.unwrap();
        drop(bare);
        let read = socket.read_message().await;
        if end == 0 || end == bytes.len() {
            assert_eq!(read.unwrap().is_some(), end > 0);
            assert!(socket.read_message().await.unwrap().is_none());
        } else {
            let (kind, text) = proto_error(read.unwrap_err());
            assert_eq!(kind, ProtoErrorKind::Incomplete);
            if end >= 4 {
                assert!(
                    text.ends_with(&format!("{end} of {} bytes", bytes.len())),
                    "{text}"
                );
            }
        }
    }
}

#[tokio::test]
async fn an_oversize_frame_is_refused_by_its_size_alone() {
    let (mut bare, mut socket) = pair(64);
    bare.write_all(&(5_u32 << 20).to_be_bytes()).await.unwrap();
    let error = poll_once(socket.read_message()).expect("no more bytes are needed");
    let (kind, text) = proto_error(error.unwrap_err());
    assert_eq!(kind, ProtoErrorKind::TooLarge);
    assert!(
        text.contains("5242880") && text.contains("4194304"),
        "{text}"
    );
    // There is no way to go on behind it.
    assert_eq!(
        proto_error(socket.read_message().await.unwrap_err()).0,
        ProtoErrorKind::TooLarge
    );
}

#[tokio::test]
async fn a_claimed_size_reserves_nothing() {
    let (bare, stream) = tokio::io::duplex(64);
    let mut socket = Socket::new(stream, &RawProto, limited(0));
    let mut bare = bare;
    bare.write_all(b"\xff\xff\xff\xffr\0").await.unwrap();
    assert!(poll_once(socket.read_message()).is_none());
    assert!(socket.into_parts().unread.capacity() <= 64 << 10);
}

#[tokio::test]
async fn an_unknown_filter_is_refused() {
    let (mut bare, mut socket) = pair(64);
    bare.write_all(b"\0\0\0\x0fr\x01z\0\0\0\0\0\0\0\0")
        .await
        .unwrap();
    let (kind, text) = proto_error(socket.read_message().await.unwrap_err());
    assert_eq!(kind, ProtoErrorKind::UnknownFilter, "{text}");
}

#[tokio::test]
async fn a_frame_of_another_protocol_is_refused() {
    let (mut bare, mut socket) = pair(64);
    bare.write_all(b"\0\0\0\x0eGET / HTTP/1.1").await.unwrap();
    let (kind, text) = proto_error(socket.read_message().await.unwrap_err());
    assert_eq!(kind, ProtoErrorKind::BadVersion, "{text}");
}

#[tokio::test]
async fn a_message_that_cannot_be_packed_leaves_no_byte_behind() {
    let (bare, stream) = tokio::io::duplex(4096);
    let mut socket = Socket::new(stream, &RawProto, limited(100));
    let mut other = Socket::new(bare, &RawProto, env());
    let error = socket
        .write_message(&Message::new(Mtype::PUSH, "/a", vec![0; 200]))
        .await;
    assert_eq!(proto_error(error.unwrap_err()).0, ProtoErrorKind::TooLarge);
    let long = Message::new(Mtype::PUSH, "/".repeat(70_000), "");
    assert!(socket.write_message(&long).await.is_err());
    let good = Message::new(Mtype::PUSH, "/a", "b");
    socket.write_message(&good).await.unwrap();
    drop(socket);
    assert_reads(&mut other, &[good]).await;
    assert!(other.read_message().await.unwrap().is_none());
}

#[tokio::test]
async fn a_write_that_is_given_up_does_not_tear_a_message() {
    let (mut bare, mut socket) = pair(10);
    let (first, second) = (sample().remove(0), sample().remove(3));
    assert!(poll_once(socket.write_message(&first)).is_none());
    let write = async {
        socket.write_message(&second).await.unwrap();
        socket.shutdown().await.unwrap();
    };
    let mut bytes = Vec::new();
    let (_, read) = tokio::join!(write, bare.read_to_end(&mut bytes));
    read.unwrap();
    assert_eq!(bytes, bytes_of(&[first, second]).await);
}

#[tokio::test]
async fn values_are_written_and_read_by_codec() {
    let (near, far) = tokio::io::duplex(4096);
    let mut near = Socket::new(near, &RawProto, env());
    let mut far = Socket::new(far, &RawProto, env());
    let call = Message::new(Mtype::CALL, "/math/add", "").with_body_codec(b'j');
    near.write(&call.header, &[1, 2, 3]).await.unwrap();
    let got = far.read_message().await.unwrap().unwrap();
    assert_eq!(got.body, "[1,2,3]");
    assert_eq!(far.decode::<Vec<u8>>(&got).unwrap(), [1, 2, 3]);
    let error = far.decode::<String>(&got).unwrap_err();
    assert!(matches!(error, SocketError::Decode(_)), "{error}");

    let unknown = call.with_body_codec(200);
    let error = near.write(&unknown.header, "text").await.unwrap_err();
    assert_eq!(proto_error(error).0, ProtoErrorKind::Encode);
    near.write(&unknown.header, &Raw("text")).await.unwrap();
    assert_eq!(far.read_message().await.unwrap().unwrap().body, "text");
}

#[tokio::test]
async fn the_smallest_frame_is_as_the_original_writes_it() {
    let bytes = bytes_of(&[Message::default()]).await;
    assert_eq!(bytes, b"\0\0\0\x0er\0\0\0\0\0\0\0\0\0");
}

#[tokio::test]
async fn a_split_socket_reads_and_writes_at_once() {
    // Both ends write far more than the stream holds before they read.
    let (near, far) = tokio::io::duplex(1000);
    let body = |n: u8| vec![n; 200_000];
    let run = |stream, n| async move {
        let (mut reader, mut writer) = Socket::new(stream, &RawProto, env()).split();
        let message = Message::new(Mtype::PUSH, "/big", body(n));
        let write = async {
            for _ in 0..3 {
                writer.write_message(&message).await.unwrap();
            }
            writer.shutdown().await.unwrap();
        };
        let ((), bodies) = tokio::join!(write, bodies(&mut reader));
        bodies
    };
    let (near, far) = tokio::join!(run(near, 1), run(far, 2));
    assert_eq!(near, [body(2), body(2), body(2)]);
    assert_eq!(far, [body(1), body(1), body(1)]);
}

async fn bodies(reader: &mut SocketReader) -> Vec<Vec<u8>> {
    let mut bodies = Vec::new();
    while let Some(message) = reader.read_message().await.unwrap() {
        bodies.push(message.body.to_vec());
    }
    bodies
}

#[tokio::test]
async fn what_was_read_too_far_is_handed_on() {
    let sent = sample();
    let bytes = bytes_of(&sent).await;
    let (mut bare, mut socket) = pair(4096);
    bare.write_all(&bytes[..bytes.len() - 1]).await.unwrap();
    let first = socket.read_message().await.unwrap().unwrap();
    socket.swap_mut().insert("n", 7);
    socket.set_id("mine");
    let parts = socket.into_parts();
    assert_eq!(parts.unread, bytes[first.size()..bytes.len() - 1]);
    assert_eq!(
        (parts.id.as_deref(), parts.swap.get("n")),
        (Some("mine"), Some(&7))
    );
    let mut reader = SocketReader::new(parts.halves.read, parts.unpack, parts.env, parts.unread);
    bare.write_all(&bytes[bytes.len() - 1..]).await.unwrap();
    for message in &sent[1..] {
        assert_same(&reader.read_message().await.unwrap().unwrap(), message);
    }
}

#[tokio::test]
async fn a_tcp_socket_is_named_after_the_other_end() {
    let mut listener = bind_tcp(&"127.0.0.1:0".parse().unwrap(), Family::Any)
        .await
        .unwrap();
    let target = HostPort::from(Listener::local_address(&listener).socket_addr().unwrap());
    let (dialed, accepted) = tokio::join!(
        connect_tcp(&target, Family::Any),
        Listener::accept(&mut listener)
    );
    let mut dialed = Socket::new(dialed.unwrap(), &RawProto, env());
    let mut accepted = Socket::new(accepted.unwrap(), &RawProto, env());
    assert_eq!(dialed.id(), target.to_string());
    assert_eq!(accepted.id(), dialed.local_address().to_string());
    accepted.set_id("caller");
    assert_eq!(accepted.id(), "caller");

    let sent = sample();
    dialed.write_message(&sent[0]).await.unwrap();
    assert_reads(&mut accepted, &sent[..1]).await;
    accepted.write_message(&sent[3]).await.unwrap();
    assert_reads(&mut dialed, &sent[3..]).await;
    drop(dialed);
    assert!(accepted.read_message().await.unwrap().is_none());
}

#[cfg(unix)]
#[tokio::test]
async fn a_unix_socket_carries_messages() {
    let (near, far) = tokio::net::UnixStream::pair().unwrap();
    let mut near = Socket::new(near, &RawProto, env());
    let mut far = Socket::new(far, &RawProto, env());
    let sent = sample();
    for message in &sent {
        near.write_message(message).await.unwrap();
    }
    drop(near);
    assert_reads(&mut far, &sent).await;
    assert!(far.read_message().await.unwrap().is_none());
}
