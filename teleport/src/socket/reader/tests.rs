#![allow(clippy::unwrap_used, reason = "tests")]

use super::*;
use crate::message::Mtype;
use crate::proto::{Limits, RawProto};
use crate::socket::{Socket, SocketWriter};
use tokio::io::AsyncWriteExt;

fn env() -> Arc<Env> {
    Arc::new(Env {
        limits: Limits::with_message(8 << 20),
        ..Env::default()
    })
}

/// A reader of what is written to the other end.
fn reader(room: usize) -> (tokio::io::DuplexStream, SocketReader) {
    let (near, far) = tokio::io::duplex(room);
    let (reader, _) = Socket::new(far, &RawProto, env()).split();
    (near, reader)
}

fn push(len: usize) -> Message {
    Message::new(Mtype::PUSH, "/a", vec![7_u8; len])
}

async fn bytes_of(messages: &[Message]) -> Vec<u8> {
    let (near, mut far) = tokio::io::duplex(64 << 20);
    let (_, mut writer): (_, SocketWriter) = Socket::new(near, &RawProto, env()).split();
    for message in messages {
        writer.write_message(message).await.unwrap();
    }
    writer.shutdown().await.unwrap();
    let mut bytes = Vec::new();
    far.read_to_end(&mut bytes).await.unwrap();
    bytes
}

async fn polled_once(reader: &mut SocketReader) -> Option<Message> {
    poll_fn(|cx| match reader.poll_message(cx) {
        Poll::Ready(message) => Poll::Ready(message.unwrap()),
        Poll::Pending => Poll::Ready(None),
    })
    .await
}

#[tokio::test]
async fn an_idle_reader_holds_no_buffer() {
    let (mut near, mut reader) = reader(1 << 20);
    assert!(polled_once(&mut reader).await.is_none());
    assert_eq!(reader.buf.capacity(), 0);
    for len in [10, 5000, 100_000] {
        near.write_all(&bytes_of(&[push(len)]).await).await.unwrap();
        assert_eq!(polled_once(&mut reader).await.unwrap().body.len(), len);
        assert!(polled_once(&mut reader).await.is_none());
        assert_eq!(reader.buf.capacity(), 0);
    }
}

#[tokio::test]
async fn the_buffer_grows_by_what_has_arrived() {
    let (mut near, mut reader) = reader(1 << 20);
    let frame = bytes_of(&[push(4 << 20)]).await;
    let mut arrived = 0;
    for part in frame.chunks(50_000) {
        near.write_all(part).await.unwrap();
        arrived += part.len();
        let message = polled_once(&mut reader).await;
        assert_eq!(message.is_some(), arrived == frame.len());
        assert!(
            reader.buf.capacity() <= SPARE.max(2 * arrived),
            "{} bytes for {arrived}",
            reader.buf.capacity()
        );
        assert!(reader.buf.capacity() <= frame.len());
    }
}

#[tokio::test]
async fn a_large_body_is_the_read_buffer_and_a_small_one_is_a_copy() {
    let (mut near, mut reader) = reader(1 << 20);
    let frames = bytes_of(&[push(20 << 10), push(SHARED_FROM - 1)]).await;
    near.write_all(&frames).await.unwrap();
    assert_eq!(reader.poll_fill_now().await, frames.len());
    let place = reader.buf.as_ptr().addr();
    let within = |body: &Bytes| (place..place + SPARE).contains(&body.as_ptr().addr());
    let large = reader.take_message().unwrap().unwrap();
    let small = reader.take_message().unwrap().unwrap();
    assert!(within(&large.body) && !within(&small.body));
    assert_eq!(
        (large.body.len(), large.size()),
        (20 << 10, (20 << 10) + 16)
    );
    // A body shared with nobody else is all that is left of the buffer.
    assert!(large.body.is_unique());
}

#[tokio::test]
async fn a_body_of_a_small_part_of_the_buffer_is_a_copy() {
    let (mut near, mut reader) = reader(1 << 20);
    near.write_all(&bytes_of(&[push(SHARED_FROM), push(1)]).await)
        .await
        .unwrap();
    reader.poll_fill_now().await;
    let place = reader.buf.as_ptr().addr();
    let message = reader.take_message().unwrap().unwrap();
    assert!(!(place..place + SPARE).contains(&message.body.as_ptr().addr()));
}

impl SocketReader {
    async fn poll_fill_now(&mut self) -> usize {
        poll_fn(|cx| self.poll_fill(cx)).await.unwrap()
    }
}

/// A protocol of somebody who cannot count.
struct Boaster(usize);

impl Unpack for Boaster {
    fn unpack<'a>(
        &'a mut self,
        _env: &Env,
        src: &'a [u8],
        _whole: bool,
    ) -> Result<Option<(crate::message::Frame<'a>, usize)>, ProtoError> {
        let body = src;
        Ok(Some((
            crate::message::Frame {
                body,
                ..Default::default()
            },
            self.0,
        )))
    }
}

#[tokio::test]
async fn a_protocol_that_cannot_count_is_an_error() {
    for used in [0, 8191, 100_000] {
        let unread = BytesMut::from(&[0; 8192][..]);
        let read = Box::new(tokio::io::empty());
        let mut reader = SocketReader::new(read, Box::new(Boaster(used)), env(), unread);
        let error = reader.read_message().await.unwrap_err();
        assert!(
            error.to_string().contains(&format!("took {used} bytes")),
            "{error}"
        );
    }
}
