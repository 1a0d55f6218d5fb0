//! What becomes of a handler whose caller gave up.

use std::future::pending;
use std::sync::Arc;

use teleport::{CallCtx, OnCancel, Peer, Plugin, ReadCtx, Rerror, controller, plugin};
use teleport_tests::frames::{RawFrame, read_frame};
use teleport_tests::logs::capture;
use teleport_tests::pair::{Pair, bare, settle, until};
use tokio::io::AsyncWriteExt;
use tokio::sync::{Semaphore, mpsc};

use super::{BEGUN, OVER, call, drop_after, held, held_of, notice};

#[tokio::test]
async fn a_call_dropped_at_any_poll_stops_its_handler() {
    for uri in ["/held/abort", "/held/spawned"] {
        for polls in 0..12 {
            let held = held().await;
            drop_after(&held.pair.here, uri, polls).await;
            settle().await;
            let begun = held.counts.of(BEGUN);
            assert!(
                begun == usize::from(polls > 0) || uri == "/held/spawned",
                "{uri} {polls}"
            );
            assert_eq!(
                held.counts.all(),
                [begun, 0, begun],
                "{uri} after {polls} polls"
            );
            assert_eq!(
                held.pair.there.running_handlers(),
                0,
                "{uri} after {polls} polls"
            );
            let echoed: u64 = held.pair.here.call("/held/now", 5).await.unwrap();
            assert_eq!(echoed, 5);
        }
    }
}

#[tokio::test]
async fn every_choice_is_kept() {
    for (uri, due_told, due_over) in [
        ("/held/abort", 0, 1),
        ("/held/notify", 1, 0),
        ("/held/finish", 0, 0),
    ] {
        let held = held().await;
        drop_after(&held.pair.here, uri, 2).await;
        settle().await;
        assert_eq!(held.counts.all(), [1, due_told, due_over], "{uri}");
        // Whoever goes on counts until it ends, and its result goes nowhere.
        assert_eq!(held.pair.there.running_handlers(), 1 - due_over, "{uri}");
        held.permits.add_permits(1);
        settle().await;
        assert_eq!(held.counts.all(), [1, due_told, 1], "{uri}");
        assert_eq!(held.pair.there.running_handlers(), 0, "{uri}");
    }
    let held = held_of(
        Peer::builder().on_cancel(OnCancel::Abort),
        Peer::builder().propagate(true),
    )
    .await;
    drop_after(&held.pair.here, "/held/notify", 2).await;
    settle().await;
    assert_eq!(
        held.counts.of(OVER),
        1,
        "the peer's choice, where the route has none"
    );
}

#[tokio::test]
async fn a_handler_that_is_not_begun_is_not_begun_any_more() {
    struct Gate(Arc<Semaphore>, &'static str);

    impl Gate {
        async fn at(&self, hook: &str) -> Result<(), Rerror> {
            if hook == self.1 {
                self.0.acquire().await.unwrap().forget();
            }
            Ok(())
        }
    }

    #[plugin]
    impl Plugin for Gate {
        fn name(&self) -> &str {
            "gate"
        }

        async fn post_read_call_header(&self, _: &mut ReadCtx) -> Result<(), Rerror> {
            self.at("header").await
        }

        async fn post_read_call_body(&self, _: &mut ReadCtx) -> Result<(), Rerror> {
            self.at("body").await
        }
    }

    for hook in ["header", "body"] {
        for uri in ["/held/abort", "/held/notify", "/held/finish"] {
            let gate = Arc::new(Semaphore::new(0));
            let server = Peer::builder().plugin(Gate(gate.clone(), hook));
            let held = held_of(server, Peer::builder()).await;
            let (session, mut stream) = bare(&held.pair.server, 1 << 16).await;
            stream.write_all(&call("A", uri)).await.unwrap();
            stream.write_all(&notice("A")).await.unwrap();
            settle().await;
            assert_eq!(session.running_handlers(), 0, "{hook} {uri}");
            gate.add_permits(1);
            settle().await;
            assert_eq!(held.counts.all(), [0, 0, 0], "{hook} {uri}");
        }
    }
}

#[tokio::test]
async fn the_log_says_that_the_call_was_cancelled_and_what_ended_later() {
    let (logs, _guard) = capture(true);
    let held = held().await;
    drop_after(&held.pair.here, "/held/notify", 4).await;
    settle().await;
    let lines = logs.access();
    let line = lines.iter().find(|line| line.text.contains("CALL-HANDLE"));
    assert!(line.unwrap().text.contains("Cancelled"), "{lines:?}");
    held.permits.add_permits(1);
    settle().await;
    assert!(
        logs.has(&["its result is dropped", "/held/notify"]),
        "{:?}",
        logs.others()
    );
}

#[tokio::test]
async fn a_handler_on_a_thread_of_its_own_is_told_or_stopped_where_it_waits() {
    struct Blocks(mpsc::UnboundedSender<&'static str>);

    impl Blocks {
        fn until_told(&self, ctx: &CallCtx) {
            self.0.send("begun").unwrap();
            while !ctx.is_cancelled() {
                std::thread::yield_now();
            }
            self.0.send("told").unwrap();
        }
    }

    #[controller]
    impl Blocks {
        #[route(blocking)]
        fn notify(&self, ctx: &CallCtx) {
            self.until_told(ctx);
        }

        #[route(blocking, on_cancel = "abort")]
        fn abort(&self, ctx: &CallCtx) {
            self.until_told(ctx);
        }

        #[route(blocking, on_cancel = "abort")]
        async fn waits(&self) {
            struct Told(mpsc::UnboundedSender<&'static str>);
            impl Drop for Told {
                fn drop(&mut self) {
                    let _ = self.0.send("told");
                }
            }
            let _told = Told(self.0.clone());
            self.0.send("begun").unwrap();
            pending::<()>().await;
        }
    }

    let pair = Pair::of(Peer::builder(), Peer::builder().propagate(true)).await;
    let (sender, mut seen) = mpsc::unbounded_channel();
    pair.server.route_call(Blocks(sender)).unwrap();
    for uri in ["/blocks/notify", "/blocks/abort", "/blocks/waits"] {
        let command = pair.here.call::<()>(uri, ()).send().await.unwrap();
        assert_eq!(seen.recv().await, Some("begun"), "{uri}");
        drop(command);
        assert_eq!(seen.recv().await, Some("told"), "{uri}");
        until("it ended", || pair.there.running_handlers() == 0).await;
    }
}

#[tokio::test]
async fn a_handler_whose_caller_has_no_time_left_is_not_begun() {
    let held = held().await;
    let (session, mut stream) = bare(&held.pair.server, 1 << 16).await;
    for uri in [
        "/held/abort",
        "/held/notify",
        "/held/finish",
        "/held/spawned",
    ] {
        let call = RawFrame::call("A", uri, "").meta("X-Remaining-Ms=0");
        stream.write_all(&call.bytes()).await.unwrap();
        let reply = read_frame(&mut stream).await.unwrap().unwrap();
        assert!(reply.error().contains("408"), "{uri}: {reply:?}");
        settle().await;
        assert_eq!(held.counts.all(), [0, 0, 0], "{uri}");
        assert_eq!(session.running_handlers(), 0, "{uri}");
    }
}
