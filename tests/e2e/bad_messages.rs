//! Messages that can be read but not handled: each is answered, and the connection lives on.

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

use bytes::Bytes;
use serde::Deserialize;
use teleport::{Peer, Session, controller, push_handler};
use teleport_tests::frames::{RawFrame, read_frame};
use teleport_tests::logs::capture;
use teleport_tests::pair::{bare, settle};
use tokio::io::{AsyncWriteExt, DuplexStream};

#[derive(Deserialize)]
enum Choice {
    #[serde(rename = "one")]
    One,
}

struct Math;

#[controller]
impl Math {
    async fn add(&self, arg: Vec<i64>) -> i64 {
        arg.iter().sum()
    }

    async fn choose(&self, arg: Choice) -> bool {
        matches!(arg, Choice::One)
    }

    async fn panics(&self) -> i64 {
        panic!("math is hard")
    }

    async fn panics_later(&self) -> i64 {
        tokio::task::yield_now().await;
        panic!("math is hard")
    }

    async fn panics_oddly(&self) -> i64 {
        std::panic::panic_any(42)
    }

    async fn panics_when_it_ends(&self) -> i64 {
        struct Bomb;
        impl Drop for Bomb {
            fn drop(&mut self) {
                panic!("at the end")
            }
        }
        let bomb = Bomb;
        tokio::task::yield_now().await;
        drop(bomb);
        1
    }
}

#[derive(Clone, Default)]
struct Note(Arc<AtomicUsize>);

#[push_handler]
impl Note {
    async fn down(&self, _arg: Vec<i64>) {
        self.0.fetch_add(1, Ordering::Relaxed);
    }

    async fn panics(&self, arg: Bytes) {
        if !arg.is_empty() {
            tokio::task::yield_now().await;
        }
        panic!("notes are hard")
    }
}

fn server() -> (Peer, Note) {
    let peer = Peer::builder().build().unwrap();
    let note = Note::default();
    peer.route_call(Math).unwrap();
    peer.route_push(note.clone()).unwrap();
    (peer, note)
}

async fn answer(stream: &mut DuplexStream, frame: &RawFrame) -> RawFrame {
    stream.write_all(&frame.bytes()).await.unwrap();
    let reply = read_frame(stream).await.unwrap().unwrap();
    assert_eq!((reply.mtype, reply.uri.as_str()), (2, ""));
    assert_eq!(reply.seq, frame.seq);
    reply
}

#[track_caller]
fn assert_error(reply: &RawFrame, code: i32, texts: &[&str]) {
    let error = reply.error();
    assert!(error.contains(&format!("\"code\":{code}")), "{error}");
    for text in texts {
        assert!(error.contains(text), "{text} is not in {error}");
    }
    assert_eq!((reply.codec, reply.body.len()), (0, 0));
}

async fn answers(frame: RawFrame, code: i32, texts: &[&str]) {
    let (server, _) = server();
    let (session, mut stream) = bare(&server, 1 << 16).await;
    assert_error(&answer(&mut stream, &frame).await, code, texts);
    let next = RawFrame::call("next", "/math/add", "[1,2]");
    assert_eq!(answer(&mut stream, &next).await.body, b"3");
    assert!(session.health());
    assert_eq!(session.running_handlers(), 0);
}

#[tokio::test]
async fn a_body_that_does_not_decode_is_400() {
    let call = |body: &str| RawFrame::call("A", "/math/add", body);
    for body in ["{", "[1,", "\"x\"", "[1]x", "[\"a\"]"] {
        answers(call(body), 400, &["Bad Message", "reason"]).await;
    }
    answers(call("[1]").codec(200), 400, &["unsupported codec id: 200"]).await;
    answers(call("a=1").codec(b'p'), 400, &["protobuf", "Vec<i64>"]).await;
    let deep = "[".repeat(100_000);
    answers(call(&deep), 400, &["Bad Message"]).await;
}

#[tokio::test]
async fn an_empty_body_is_zero_or_400() {
    answers(
        RawFrame::call("A", "/math/choose", ""),
        400,
        &["empty body"],
    )
    .await;
    let (server, _) = server();
    let (_session, mut stream) = bare(&server, 1 << 16).await;
    for codec in [b'j', 0, 200] {
        let call = RawFrame::call("", "/math/add", "").codec(codec);
        let reply = answer(&mut stream, &call).await;
        match codec {
            b'j' => assert_eq!(reply.body, b"0"),
            // The result has no form in the codec of the call.
            _ => assert_error(&reply, 500, &["codec"]),
        }
    }
}

async fn is_closed(frame: RawFrame, reason: &str) {
    let (logs, _guard) = capture(false);
    let (server, _) = server();
    let (session, mut stream): (Session, _) = bare(&server, 1 << 16).await;
    stream.write_all(&frame.bytes()).await.unwrap();
    assert_eq!(read_frame(&mut stream).await.unwrap(), None);
    session.closed().await;
    let why = session.close_reason().unwrap();
    assert!(why.contains(reason), "{why}");
    assert!(logs.has(&[reason]), "{:#?}", logs.all());
}

#[tokio::test]
async fn a_body_without_a_codec_that_does_not_decode_closes_the_connection() {
    is_closed(
        RawFrame::call("A", "/math/add", "x").codec(0),
        "without a codec",
    )
    .await;
    is_closed(
        RawFrame::push("A", "/note/down", "x").codec(0),
        "without a codec",
    )
    .await;
}

#[tokio::test]
async fn a_path_without_a_route_is_404() {
    let (logs, _guard) = capture(false);
    for uri in ["/math/ad", "/", "/math", "math/add", "/note/down", "/\u{1}"] {
        let code = if uri == "/\u{1}" { 400 } else { 404 };
        answers(RawFrame::call("A", uri, "[]"), code, &[]).await;
    }
    answers(RawFrame::call("A", "/no", "").codec(0), 404, &["Not Found"]).await;
    assert!(
        logs.has(&["/math/ad", "nearest", "/math/add"]),
        "{:#?}",
        logs.all()
    );
}

#[tokio::test]
async fn a_uri_that_is_none_is_400() {
    for uri in ["", "?a=b", "%zz", "/a%", "a:b", "/a\nb", "#x"] {
        answers(
            RawFrame::call("A", uri, "[]"),
            400,
            &["invalid URI for message"],
        )
        .await;
    }
    let long = format!("/{}", "x".repeat(60_000));
    answers(RawFrame::call("A", &long, "[]"), 404, &[]).await;
}

#[tokio::test]
async fn a_handler_that_panics_is_500() {
    for path in ["panics", "panics/later"] {
        let call = RawFrame::call("A", &format!("/math/{path}"), "");
        answers(call, 500, &["Internal Server Error", "math is hard"]).await;
    }
    answers(RawFrame::call("A", "/math/panics/oddly", ""), 500, &[]).await;
    let call = RawFrame::call("A", "/math/panics/when/it/ends", "");
    answers(call, 500, &["at the end"]).await;
}

#[tokio::test]
async fn pushes_that_go_wrong_are_dropped_and_logged() {
    let (logs, _guard) = capture(false);
    let (server, note) = server();
    let (session, mut stream) = bare(&server, 1 << 16).await;
    for push in [
        RawFrame::push("A", "/note/down", "nonsense"),
        RawFrame::push("B", "/note/down", "[1]").codec(200),
        RawFrame::push("C", "/none", "[1]"),
        RawFrame::push("D", "%zz", "[1]"),
        RawFrame::push("E", "/note/panics", ""),
        RawFrame::push("F", "/note/panics", "later"),
        RawFrame::push("G", "/note/down", "[1]"),
    ] {
        stream.write_all(&push.bytes()).await.unwrap();
    }
    let call = RawFrame::call("H", "/math/add", "[4]");
    assert_eq!(answer(&mut stream, &call).await.body, b"4");
    settle().await;
    assert_eq!(note.0.load(Ordering::Relaxed), 1);
    assert!(session.health());
    for texts in [
        ["/note/down", "400"],
        ["/none", "404"],
        ["%zz", "invalid URI"],
        ["/note/panics", "notes are hard"],
    ] {
        assert!(logs.has(&texts), "{texts:?}: {:#?}", logs.all());
    }
}

#[tokio::test]
async fn odd_replies_harm_nobody() {
    let (server, _) = server();
    let (session, mut stream) = bare(&server, 1 << 16).await;
    let mut odd = Vec::new();
    for seq in ["", "A", "zzzzzz", "@"] {
        odd.extend(RawFrame::reply(seq, "x").meta("X-Reply-Error=x").bytes());
    }
    stream.write_all(&odd).await.unwrap();
    // An error that cannot be read is an error all the same.
    let call = tokio::spawn({
        let session = session.clone();
        async move { session.call::<i64>("/x", ()).await }
    });
    let seq = read_frame(&mut stream).await.unwrap().unwrap().seq;
    let mut reply = RawFrame::reply(&seq, "1").meta("X-Reply-Error=%7Bnonsense");
    // A reply with a uri is as good as any.
    reply.uri = "/auth/verify".to_owned();
    stream.write_all(&reply.bytes()).await.unwrap();
    let error = call.await.unwrap().unwrap_err();
    assert!(error.is_remote(), "{error:?}");
    assert!(session.health());
}
