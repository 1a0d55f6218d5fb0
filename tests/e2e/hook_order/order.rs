//! All hooks of both ends in one line, for every kind of message and of end.

use std::io;
use std::pin::Pin;
use std::task::{Context, Poll};

use teleport::codec::Raw;
use teleport::{Rerror, Session, UnknownCallCtx, UnknownPushCtx};
use teleport_tests::frames::RawFrame;
use teleport_tests::pair::{Pair, poll_once, settle};
use tokio::io::{AsyncWrite, AsyncWriteExt};

use super::{Trace, traced, traced_pair, words, work};

/// Takes nothing that is written.
struct Broken;

impl AsyncWrite for Broken {
    fn poll_write(self: Pin<&mut Self>, _: &mut Context<'_>, _: &[u8]) -> Poll<io::Result<usize>> {
        Poll::Ready(Err(io::ErrorKind::BrokenPipe.into()))
    }

    fn poll_flush(self: Pin<&mut Self>, _: &mut Context<'_>) -> Poll<io::Result<()>> {
        Poll::Ready(Ok(()))
    }

    fn poll_shutdown(self: Pin<&mut Self>, _: &mut Context<'_>) -> Poll<io::Result<()>> {
        Poll::Ready(Ok(()))
    }
}

/// The line of a conversation of one end, `me`, with the other, `you`.
fn line(parts: &[&str], [me, you]: [&str; 2]) -> Vec<String> {
    let put = |word: &str| {
        let word = word.replace("me.", &format!("{me}."));
        word.replace("you.", &format!("{you}."))
    };
    parts.iter().flat_map(|part| words(part)).map(put).collect()
}

const CALL: &str =
    "me.pre_write_call me.post_write_call you.pre_read_header you.post_read_call_header";
const CALL_BODY: &str = "you.pre_read_call_body you.post_read_call_body handler";
const REPLY: &str = "you.pre_write_reply you.post_write_reply me.pre_read_header \
    me.post_read_reply_header me.pre_read_reply_body me.post_read_reply_body";
const PUSH: &str =
    "me.pre_write_push me.post_write_push you.pre_read_header you.post_read_push_header";
const PUSH_BODY: &str = "you.pre_read_push_body you.post_read_push_body handler";

/// Both ends of a pair, as the one that speaks and the name of each.
fn directions(pair: &Pair) -> [(&Session, [&'static str; 2]); 2] {
    [(&pair.here, ["c", "s"]), (&pair.there, ["s", "c"])]
}

#[tokio::test]
async fn hooks_of_a_call_and_its_reply_run_in_one_order() {
    let trace = Trace::default();
    let pair = traced_pair(&trace).await;
    for (uri, body, parts) in [
        ("/work/echo", "1", [CALL, CALL_BODY, REPLY].as_slice()),
        ("/work/fails", "", &[CALL, CALL_BODY, REPLY]),
        (
            "/work/echo",
            "nonsense",
            &[CALL, "you.pre_read_call_body", REPLY],
        ),
        // No route: nothing between those before routing and those of the reply.
        ("/none", "", &[CALL, REPLY]),
        ("%zz", "", &[CALL, REPLY]),
    ] {
        for (session, names) in directions(&pair) {
            let call = session.call::<i64>(uri, Raw(body)).await;
            settle().await;
            assert_eq!(call.is_ok(), body == "1", "{uri}");
            assert_eq!(trace.take(), line(parts, names), "{uri} {body:?}");
        }
    }
}

#[tokio::test]
async fn hooks_of_a_push_run_in_one_order() {
    let trace = Trace::default();
    let pair = traced_pair(&trace).await;
    for (uri, body, parts) in [
        ("/hear/it", "1", [PUSH, PUSH_BODY].as_slice()),
        ("/hear/it", "nonsense", &[PUSH, "you.pre_read_push_body"]),
        ("/none", "", &[PUSH]),
        ("%zz", "", &[PUSH]),
    ] {
        for (session, names) in directions(&pair) {
            session.push(uri, Raw(body)).await.unwrap();
            let written = line(&["me.pre_write_push me.post_write_push"], names);
            let mut lines = trace.take();
            assert_eq!(lines, written, "{uri} {body:?}");
            settle().await;
            lines.extend(trace.take());
            assert_eq!(lines, line(parts, names), "{uri} {body:?}");
        }
    }
}

#[tokio::test]
async fn without_a_route_the_hooks_of_the_unknown_handler_run_if_there_is_one() {
    async fn call(ctx: &mut UnknownCallCtx) -> Result<String, Rerror> {
        ctx.session()
            .swap()
            .get::<Trace>("trace")
            .unwrap()
            .note("handler");
        Ok(ctx.uri().to_string())
    }

    async fn push(ctx: &mut UnknownPushCtx) -> Result<(), Rerror> {
        ctx.session()
            .swap()
            .get::<Trace>("trace")
            .unwrap()
            .note("handler");
        Ok(())
    }

    let trace = Trace::default();
    let pair = traced_pair(&trace).await;
    pair.there.swap_mut().insert("trace", trace.clone());
    pair.server.set_unknown_call(call).unwrap();
    pair.server.set_unknown_push(push).unwrap();
    trace.take();
    pair.here.call::<String>("/none", ()).await.unwrap();
    settle().await;
    let names = ["c", "s"];
    assert_eq!(trace.take(), line(&[CALL, CALL_BODY, REPLY], names));
    pair.here.push("/none", ()).await.unwrap();
    settle().await;
    assert_eq!(trace.take(), line(&[PUSH, PUSH_BODY], names));
}

#[tokio::test]
async fn messages_that_come_together_run_one_after_the_other() {
    let trace = Trace::default();
    let pair = traced_pair(&trace).await;
    let mut one = pair.here.call::<i64>("/work/echo", 1).into_future();
    let mut two = pair.here.call::<i64>("/work/echo", 2).into_future();
    assert!(poll_once(&mut one).is_pending() && poll_once(&mut two).is_pending());
    let (one, two) = tokio::join!(one, two);
    assert_eq!((one.unwrap(), two.unwrap()), (1, 2));
    settle().await;
    // Two written, two read and answered, then two replies read.
    let (written, read) = CALL.split_at(CALL.find("you.").unwrap());
    let (replied, back) = REPLY.split_at(REPLY.find("me.").unwrap());
    let there = [read, CALL_BODY, replied];
    let parts = [&[written, written][..], &there, &there, &[back, back]].concat();
    assert_eq!(trace.take(), line(&parts, ["c", "s"]));
}

#[tokio::test]
async fn an_end_is_told_once_and_last_whoever_makes_it() {
    for how in [
        "client closes",
        "server closes",
        "client aborts",
        "server aborts",
    ] {
        let trace = Trace::default();
        let pair = traced_pair(&trace).await;
        pair.here.call::<i64>("/work/echo", 1).await.unwrap();
        settle().await;
        assert_eq!(trace.take(), line(&[CALL, CALL_BODY, REPLY], ["c", "s"]));
        match how {
            "client closes" => drop(pair.here.close()),
            "server closes" => drop(pair.there.close()),
            "client aborts" => pair.here.abort(),
            _ => pair.there.abort(),
        }
        tokio::join!(pair.here.closed(), pair.there.closed());
        settle().await;
        // The end is no message: each side finds it out for itself, and neither waits.
        let mut lines = trace.take();
        lines.sort();
        assert_eq!(lines, ["c.post_disconnect", "s.post_disconnect"], "{how}");
    }
}

#[tokio::test]
async fn a_handler_outlived_by_its_callers_end_is_replied_for_and_then_the_end_is_told() {
    let trace = Trace::default();
    let pair = traced_pair(&trace).await;
    let mut call = pair.here.call::<i64>("/work/held", ()).into_future();
    assert!(poll_once(&mut call).is_pending());
    settle().await;
    assert_eq!(trace.take(), line(&[CALL, CALL_BODY], ["c", "s"]));
    pair.here.abort();
    call.await.unwrap_err();
    pair.here.closed().await;
    settle().await;
    // The stream that ended is one way; a reply may go the other.
    assert_eq!(trace.take(), ["c.post_disconnect"]);
    trace.let_go();
    pair.there.closed().await;
    let rest = "handler ended\n s.pre_write_reply\n s.post_write_reply\n s.post_disconnect";
    let rest: Vec<_> = rest.lines().map(str::trim).collect();
    assert_eq!(trace.take(), rest);
}

#[tokio::test]
async fn a_handler_that_outlives_the_end_of_its_session_runs_no_hooks_after_the_last() {
    for uri in ["/work/held", "/work/spawned"] {
        let trace = Trace::default();
        let pair = traced_pair(&trace).await;
        let mut call = pair.here.call::<i64>(uri, ()).into_future();
        assert!(poll_once(&mut call).is_pending());
        settle().await;
        assert_eq!(trace.take(), line(&[CALL, CALL_BODY], ["c", "s"]), "{uri}");
        pair.there.abort();
        call.await.unwrap_err();
        tokio::join!(pair.here.closed(), pair.there.closed());
        let mut lines = trace.take();
        lines.sort();
        assert_eq!(lines, ["c.post_disconnect", "s.post_disconnect"], "{uri}");
        trace.let_go();
        settle().await;
        assert_eq!(trace.take(), ["handler ended"], "{uri}");
    }
}

#[tokio::test]
async fn a_reply_that_cannot_be_written_any_more_was_about_to_be_once() {
    let trace = Trace::default();
    let server = traced("s", &trace).build().unwrap();
    work(&server, &trace);
    // Its writing fails at the first byte, while its reading goes on.
    let (near, mut far) = tokio::io::duplex(4096);
    let (read, _) = tokio::io::split(near);
    let stream = tokio::io::join(read, Broken);
    let session = server.serve_conn(stream).await.unwrap();
    trace.take();
    let call = RawFrame::call("A", "/work/held", "").bytes();
    far.write_all(&call).await.unwrap();
    settle().await;
    session.push("/x", ()).await.unwrap();
    settle().await;
    trace.take();
    trace.let_go();
    session.closed().await;
    assert_eq!(
        trace.take(),
        ["handler ended", "s.pre_write_reply", "s.post_disconnect"]
    );
}
