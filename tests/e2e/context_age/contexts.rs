//! What a context tells of its time, and what a handler is told.

use std::sync::Arc;
use std::time::Duration;

use teleport::{CallCtx, OnCancel, Peer, PushCtx, controller, push_handler};
use teleport_tests::frames::{RawFrame, read_frame};
use teleport_tests::logs::capture;
use teleport_tests::pair::{Pair, bare, settle};
use tokio::io::AsyncWriteExt;
use tokio::sync::{Semaphore, mpsc};
use tokio::time::{Instant, sleep};

use super::{AGE, Work, assert_nothing_came, assert_over, error_of, server_of};

#[tokio::test(start_paused = true)]
async fn a_push_out_of_time_is_logged_and_so_is_its_late_end() {
    let (logs, _guard) = capture(true);
    let (session, mut stream) = server_of(Peer::builder().default_context_age(AGE)).await;
    let frame = RawFrame::push("p", "/note/long", "").bytes();
    stream.write_all(&frame).await.unwrap();
    sleep(AGE + Duration::from_millis(1)).await;
    let lines = logs.access();
    assert_eq!(lines.len(), 1, "{lines:?}");
    for text in ["PUSH-HANDLE", "/note/long", "408", "200ms"] {
        assert!(lines[0].text.contains(text), "{text}: {lines:?}");
    }
    assert_eq!(session.running_handlers(), 1);
    sleep(Duration::from_secs(3600)).await;
    assert_eq!(session.running_handlers(), 0);
    assert!(
        logs.has(&["its result is dropped", "/note/long", "took=3600"]),
        "{:?}",
        logs.all()
    );
    assert_nothing_came(&mut stream);
}

#[tokio::test(start_paused = true)]
async fn a_context_tells_its_deadline() {
    let (_session, mut stream) = server_of(Peer::builder().default_context_age(AGE)).await;
    let frame = RawFrame::call("s", "/work/tells", "").bytes();
    stream.write_all(&frame).await.unwrap();
    let reply = read_frame(&mut stream).await.unwrap().unwrap();
    assert_eq!(reply.body, b"[200,false]");
    let pair = Pair::new().await;
    pair.server.route_call(Work).unwrap();
    let told: (Option<u64>, bool) = pair.here.call("/work/tells", ()).await.unwrap();
    assert_eq!(told, (None, false), "without an age there is none");
}

/// What a handler was told, if it asked.
struct Choice(mpsc::UnboundedSender<&'static str>, Arc<Semaphore>);

struct Dropped(mpsc::UnboundedSender<&'static str>);

impl Drop for Dropped {
    fn drop(&mut self) {
        let _ = self.0.send("dropped");
    }
}

impl Choice {
    async fn work(&self, ctx: &CallCtx) {
        let _dropped = Dropped(self.0.clone());
        let cancelled = ctx.cancelled();
        tokio::select! {
            () = cancelled => {
                assert!(ctx.is_cancelled());
                self.0.send("told").unwrap();
            }
            permit = self.1.acquire() => permit.unwrap().forget(),
        }
        self.0.send("ended").unwrap();
    }
}

#[controller(age = "200ms")]
impl Choice {
    async fn default(&self, ctx: &CallCtx) {
        self.work(ctx).await;
    }

    #[route(on_cancel = "abort")]
    async fn abort(&self, ctx: &CallCtx) {
        self.work(ctx).await;
    }

    #[route(on_cancel = "finish")]
    async fn finish(&self, ctx: &CallCtx) {
        self.work(ctx).await;
    }
}

#[tokio::test(start_paused = true)]
async fn what_becomes_of_a_handler_is_its_own_choice_then_its_peers() {
    for (peers, uri, due) in [
        (
            OnCancel::default(),
            "/choice/default",
            ["told", "ended", "dropped"].as_slice(),
        ),
        (
            OnCancel::Notify,
            "/choice/default",
            &["told", "ended", "dropped"],
        ),
        (OnCancel::Abort, "/choice/default", &["dropped"]),
        (OnCancel::Finish, "/choice/default", &[]),
        (OnCancel::Finish, "/choice/abort", &["dropped"]),
        (OnCancel::Abort, "/choice/finish", &[]),
    ] {
        let (sender, mut seen) = mpsc::unbounded_channel();
        let permits = Arc::new(Semaphore::new(0));
        let server = Peer::builder().on_cancel(peers).build().unwrap();
        server.route_call(Choice(sender, permits.clone())).unwrap();
        let (session, mut stream) = bare(&server, 1 << 16).await;
        assert_over(&error_of(&mut stream, uri, "").await, AGE);
        settle().await;
        for due in due {
            assert_eq!(seen.try_recv().as_ref(), Ok(due), "{peers:?} {uri}");
        }
        assert_eq!(
            session.running_handlers(),
            usize::from(due.is_empty()),
            "{peers:?} {uri}"
        );
        if due.is_empty() {
            permits.add_permits(1);
            assert_eq!(seen.recv().await, Some("ended"));
        }
    }
}

#[tokio::test(start_paused = true)]
async fn a_push_context_can_be_asked_too() {
    struct Asks(mpsc::UnboundedSender<bool>);

    #[push_handler(age = "200ms")]
    impl Asks {
        async fn on(&self, ctx: &PushCtx) {
            assert_eq!(ctx.remaining(), Some(AGE));
            ctx.cancelled().await;
            self.0.send(ctx.is_cancelled()).unwrap();
        }
    }

    let (sender, mut told) = mpsc::unbounded_channel();
    let pair = Pair::new().await;
    pair.server.route_push(Asks(sender)).unwrap();
    let started = Instant::now();
    pair.here.push("/asks/on", ()).await.unwrap();
    assert_eq!(told.recv().await, Some(true));
    assert_eq!(started.elapsed().as_millis(), 200);
}
