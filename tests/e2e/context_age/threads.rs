//! Handlers on threads of their own.

use std::future::pending;
use std::sync::{Mutex, mpsc as std_mpsc};

use teleport::{CallCtx, Peer, Session, controller};
use teleport_tests::frames::{RawFrame, read_frame};
use teleport_tests::pair::{bare, settle, until};
use tokio::io::{AsyncWriteExt, DuplexStream};
use tokio::sync::mpsc;
use tokio::time::advance;

use super::{AGE, assert_nothing_came};

/// Says that it has begun, waits on its thread until it may go on, and says whether it was told.
struct Blocks {
    begun: mpsc::UnboundedSender<()>,
    go: Mutex<std_mpsc::Receiver<()>>,
    told: mpsc::UnboundedSender<bool>,
}

impl Blocks {
    fn block(&self, ctx: &CallCtx) {
        self.begun.send(()).unwrap();
        self.go.lock().unwrap().recv().unwrap();
        self.told.send(ctx.is_cancelled()).unwrap();
    }
}

#[controller(age = "200ms")]
impl Blocks {
    #[route(blocking)]
    fn plain(&self, ctx: &CallCtx) {
        self.block(ctx);
    }

    #[route(blocking, on_cancel = "abort")]
    fn computes(&self, ctx: &CallCtx) {
        self.block(ctx);
    }

    #[route(blocking, on_cancel = "abort")]
    async fn waits(&self) {
        self.begun.send(()).unwrap();
        pending::<()>().await;
    }

    #[route(blocking, on_cancel = "finish")]
    fn finishes(&self, ctx: &CallCtx) {
        self.block(ctx);
    }
}

/// A peer with handlers on threads of their own, and what they are led and followed by.
struct Threads {
    session: Session,
    stream: DuplexStream,
    begun: mpsc::UnboundedReceiver<()>,
    go: std_mpsc::Sender<()>,
    told: mpsc::UnboundedReceiver<bool>,
}

impl Threads {
    async fn new() -> Self {
        let (begins, begun) = mpsc::unbounded_channel();
        let (tells, told) = mpsc::unbounded_channel();
        let (go, goes) = std_mpsc::channel();
        let server = Peer::builder().build().unwrap();
        let blocks = Blocks {
            begun: begins,
            go: goes.into(),
            told: tells,
        };
        server.route_call(blocks).unwrap();
        let (session, stream) = bare(&server, 1 << 16).await;
        Self {
            session,
            stream,
            begun,
            go,
            told,
        }
    }

    async fn call(&mut self, uri: &str) {
        let frame = RawFrame::call("s", uri, "").bytes();
        self.stream.write_all(&frame).await.unwrap();
    }

    async fn assert_over(&mut self, uri: &str) {
        let reply = read_frame(&mut self.stream).await.unwrap().unwrap();
        assert!(reply.error().contains("408"), "{uri}: {reply:?}");
    }

    async fn all_ended(&self) {
        until("all ended", || self.session.running_handlers() == 0).await;
    }
}

#[tokio::test(start_paused = true)]
async fn a_handler_on_a_thread_of_its_own_is_answered_for_in_time_and_counts_until_it_ends() {
    let mut threads = Threads::new().await;
    for (uri, due) in [
        ("/blocks/plain", true),
        ("/blocks/computes", true),
        ("/blocks/finishes", false),
    ] {
        threads.call(uri).await;
        threads.begun.recv().await.unwrap();
        // The clock stands still while a thread is busy.
        advance(AGE).await;
        threads.assert_over(uri).await;
        assert!(threads.session.running_handlers() > 0, "{uri}");
        threads.go.send(()).unwrap();
        assert_eq!(threads.told.recv().await, Some(due), "{uri}");
        threads.all_ended().await;
    }
    threads.call("/blocks/waits").await;
    threads.begun.recv().await.unwrap();
    advance(AGE).await;
    threads.assert_over("/blocks/waits").await;
    threads.all_ended().await;
    assert_nothing_came(&mut threads.stream);
}

#[test]
fn a_handler_that_gets_its_thread_too_late_is_run_only_if_it_would_not_be_stopped() {
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .max_blocking_threads(1)
        .start_paused(true)
        .build()
        .unwrap();
    runtime.block_on(async {
        let mut threads = Threads::new().await;
        for (uri, runs) in [
            ("/blocks/computes", false),
            ("/blocks/waits", false),
            ("/blocks/plain", true),
            ("/blocks/finishes", true),
        ] {
            threads.call("/blocks/finishes").await;
            threads.begun.recv().await.unwrap();
            threads.call(uri).await;
            settle().await;
            advance(AGE).await;
            threads.assert_over("the one that has the thread").await;
            threads.assert_over(uri).await;
            threads.go.send(()).unwrap();
            threads.told.recv().await.unwrap();
            if runs {
                threads.begun.recv().await.unwrap();
                threads.go.send(()).unwrap();
                let told = threads.told.recv().await;
                assert_eq!(told, Some(uri == "/blocks/plain"), "{uri}");
            }
            threads.all_ended().await;
            assert!(threads.begun.try_recv().is_err(), "{uri}");
        }
    });
}
