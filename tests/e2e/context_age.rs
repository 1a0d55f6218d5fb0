//! The age of contexts: who is answered what when the time of a handler is over, and when.

mod callers;
mod contexts;
mod hooks;
mod replies;
mod threads;

use std::future::pending;
use std::time::Duration;

use teleport::{CallCtx, Peer, PeerBuilder, Session, controller, push_handler};
use teleport_tests::frames::{RawFrame, read_frame};
use teleport_tests::pair::{bare, poll_once};
use tokio::io::{AsyncWriteExt, DuplexStream};
use tokio::time::{Instant, sleep};

const AGE: Duration = Duration::from_millis(200);

struct Work;

#[controller]
impl Work {
    async fn now(&self, arg: i64) -> i64 {
        arg
    }

    async fn sleep(&self, arg: u64) -> u64 {
        sleep(Duration::from_millis(arg)).await;
        arg
    }

    #[route(spawn)]
    async fn spawned(&self, arg: u64) -> u64 {
        sleep(Duration::from_millis(arg)).await;
        arg
    }

    #[route(age = "50ms")]
    async fn brief(&self) {
        pending::<()>().await;
    }

    #[route(age = "300ms", on_cancel = "abort")]
    async fn longer(&self) {
        sleep(Duration::from_millis(250)).await;
    }

    #[route(age = "none")]
    async fn endless(&self) -> &'static str {
        sleep(Duration::from_secs(3600)).await;
        "done"
    }

    /// Never waits, and ends when its time is over.
    fn computes(&self, ctx: &CallCtx) -> u64 {
        let mut rounds = 0;
        while ctx.remaining() != Some(Duration::ZERO) {
            rounds += 1;
        }
        rounds
    }

    async fn sets(&self, ctx: &CallCtx, arg: u64) {
        ctx.session().set_context_age(Duration::from_millis(arg));
    }

    fn tells(&self, ctx: &CallCtx) -> (Option<u64>, bool) {
        let remaining = ctx.remaining();
        let whole = remaining.map(|left| u64::try_from(left.as_millis()).unwrap());
        assert_eq!(ctx.deadline(), remaining.map(|left| Instant::now() + left));
        (whole, ctx.is_cancelled())
    }
}

struct Note;

#[push_handler]
impl Note {
    async fn long(&self) {
        sleep(Duration::from_secs(3600)).await;
    }
}

fn peer(builder: PeerBuilder) -> Peer {
    let peer = builder.build().unwrap();
    peer.route_call(Work).unwrap();
    peer.route_push(Note).unwrap();
    peer
}

async fn server_of(builder: PeerBuilder) -> (Session, DuplexStream) {
    bare(&peer(builder), 1 << 16).await
}

/// Calls, and gives the error of the reply and the time it took; nothing else comes meanwhile.
async fn error_of(stream: &mut DuplexStream, uri: &str, body: &str) -> (String, Duration) {
    let started = Instant::now();
    let frame = RawFrame::call("s", uri, body).bytes();
    stream.write_all(&frame).await.unwrap();
    let reply = read_frame(stream).await.unwrap().unwrap();
    assert_eq!(reply.seq, "s");
    (reply.error(), started.elapsed())
}

/// Whether the reply is the 408 of that age, and came with its end.
#[track_caller]
fn assert_over((error, took): &(String, Duration), age: Duration) {
    assert!(
        error.contains(r#""code":408,"message":"Handle Timeout""#),
        "{error}"
    );
    assert!(error.contains(&format!("{age:?}")), "{error}");
    let late = took
        .checked_sub(age)
        .unwrap_or_else(|| panic!("already after {took:?}"));
    assert!(late <= Duration::from_millis(2), "after {took:?}");
}

#[track_caller]
fn assert_nothing_came(stream: &mut DuplexStream) {
    let mut read = Box::pin(read_frame(stream));
    if let std::task::Poll::Ready(frame) = poll_once(&mut read) {
        panic!("a frame too many: {frame:?}");
    }
}
