//! How many writes it takes: a write carries all that is there, and a lone message waits for none.

use std::future::IntoFuture;
use std::io;
use std::pin::Pin;
use std::sync::{Arc, Mutex};
use std::task::{Context, Poll, Waker};

use bytes::Bytes;
use teleport::{CallCtx, Peer, controller, push_handler};
use teleport_tests::counting::Counting;
use teleport_tests::frames::{RawFrame, read_frame};
use teleport_tests::pair::{call_bytes, connect_counted, poll_once, settle, until};
use tokio::io::{AsyncWrite, AsyncWriteExt};
use tokio::sync::Notify;

struct Echo {
    go: Arc<Notify>,
}

#[controller]
impl Echo {
    async fn now(&self, arg: Bytes) -> Bytes {
        arg
    }

    async fn later(&self, ctx: &mut CallCtx, arg: Bytes) -> Bytes {
        let _ = ctx;
        self.go.notified().await;
        arg
    }
}

struct Note;

#[push_handler]
impl Note {
    async fn down(&self, _arg: Bytes) {}
}

/// An echoing peer, and what its waiting handlers wait for.
fn echoing() -> (Peer, Arc<Notify>) {
    let peer = Peer::builder().build().unwrap();
    let go = Arc::new(Notify::new());
    peer.route_call(Echo { go: go.clone() }).unwrap();
    peer.route_push(Note).unwrap();
    (peer, go)
}

fn plain() -> Peer {
    Peer::builder().build().unwrap()
}

#[tokio::test]
async fn replies_to_calls_of_one_read_share_writes() {
    let (server, _go) = echoing();
    let (near, mut bare) = tokio::io::duplex(1 << 20);
    let (near, writes) = Counting::new(near);
    let _session = server.serve_conn(near).await.unwrap();
    let mut bytes = Vec::new();
    for n in 0..100 {
        bytes.extend(RawFrame::call(&format!("s{n}"), "/echo/now", n.to_string()).bytes());
    }
    bare.write_all(&bytes).await.unwrap();
    for n in 0..100 {
        let reply = read_frame(&mut bare).await.unwrap().unwrap();
        assert_eq!(
            (reply.seq, reply.body),
            (format!("s{n}"), n.to_string().into_bytes())
        );
    }
    println!(
        "100 calls in one read: replies in writes of {:?}",
        writes.sizes()
    );
    // The clock is looked at every 16 messages, and a slow machine takes them in that many steps.
    assert!(writes.count() <= 8, "{:?}", writes.sizes());
}

#[tokio::test]
async fn concurrent_callers_share_writes_on_both_ends() {
    const CALLERS: usize = 100;
    const ROUNDS: usize = 20;
    let (server, _go) = echoing();
    let [(_there, there_writes), (here, here_writes)] = connect_counted(&server, &plain()).await;
    let callers: Vec<_> = (0..CALLERS)
        .map(|n| {
            let here = here.clone();
            tokio::spawn(async move {
                for round in 0..ROUNDS {
                    let body = format!("{n}.{round}");
                    let echoed = call_bytes(&here, "/echo/now", body.clone()).await.unwrap();
                    assert_eq!(echoed, body);
                }
            })
        })
        .collect();
    for caller in callers {
        caller.await.unwrap();
    }
    let (calls, replies) = (here_writes.count(), there_writes.count());
    let total = CALLERS * ROUNDS;
    println!("{total} calls of {CALLERS} callers: {calls} writes there, {replies} back");
    // The first round meets an idle connection, where each caller writes for itself.
    assert!(calls <= CALLERS + total / 8, "{calls} writes of calls");
    assert!(replies <= total / 8, "{replies} writes of replies");
}

#[tokio::test]
async fn handlers_that_become_ready_together_share_writes() {
    let (server, go) = echoing();
    let [(there, writes), (here, _)] = connect_counted(&server, &plain()).await;
    let calls: Vec<_> = (0..100)
        .map(|n| {
            let here = here.clone();
            tokio::spawn(async move { call_bytes(&here, "/echo/later", format!("{n}")).await })
        })
        .collect();
    until("all are begun", || there.running_handlers() == 100).await;
    assert_eq!(writes.count(), 0);
    go.notify_waiters();
    for (n, call) in calls.into_iter().enumerate() {
        assert_eq!(call.await.unwrap().unwrap(), n.to_string());
    }
    println!("100 handlers woken at once: writes of {:?}", writes.sizes());
    assert!(writes.count() <= 4, "{:?}", writes.sizes());
}

#[tokio::test]
async fn a_long_batch_is_flushed_on_the_way() {
    let (server, _go) = echoing();
    let (near, mut bare) = tokio::io::duplex(1 << 20);
    let (near, writes) = Counting::new(near);
    let _session = server.serve_conn(near).await.unwrap();
    let mut bytes = Vec::new();
    for _ in 0..60 {
        bytes.extend(RawFrame::call("s", "/echo/now", vec![7; 1000]).bytes());
    }
    bare.write_all(&bytes).await.unwrap();
    for _ in 0..60 {
        read_frame(&mut bare).await.unwrap().unwrap();
    }
    let longest = writes.sizes().into_iter().max().unwrap();
    assert!((1000..20 * 1024).contains(&longest), "{:?}", writes.sizes());
}

#[tokio::test]
async fn a_lone_message_is_written_before_anything_else_runs() {
    let (server, _go) = echoing();
    let [(there, there_writes), (here, writes)] = connect_counted(&server, &plain()).await;
    settle().await;
    let mut push = here.push("/note/down", "x").into_future();
    assert!(matches!(poll_once(&mut push), Poll::Ready(Ok(()))));
    assert_eq!(writes.count(), 1);

    let mut call = here.call::<String>("/echo/now", "x").into_future();
    assert!(poll_once(&mut call).is_pending());
    assert_eq!(writes.count(), 2);
    assert_eq!(call.await.unwrap(), "x");
    assert_eq!(there_writes.count(), 1);

    // The other end has the same rights.
    let mut push = there.push("/nobody", "x").into_future();
    assert!(poll_once(&mut push).is_ready());
    assert_eq!(there_writes.count(), 2);
}

#[tokio::test]
async fn a_large_body_takes_few_writes() {
    let (server, _go) = echoing();
    let [(_there, replies), (here, calls)] = connect_counted(&server, &plain()).await;
    let body = vec![b'x'; 512 * 1024];
    let echoed = call_bytes(&here, "/echo/now", body.clone()).await.unwrap();
    assert!(echoed == body);
    println!(
        "512 KiB there: {:?}, back: {:?}",
        calls.sizes(),
        replies.sizes()
    );
    assert!(calls.count() <= 4 && replies.count() <= 4);
}

/// Counts writes, and is not done with flushing until it is let go.
#[derive(Clone, Default)]
struct Holds(Arc<Mutex<Held>>);

#[derive(Default)]
struct Held {
    writes: usize,
    is_open: bool,
    waker: Option<Waker>,
}

impl AsyncWrite for Holds {
    fn poll_write(
        self: Pin<&mut Self>,
        _: &mut Context<'_>,
        buf: &[u8],
    ) -> Poll<io::Result<usize>> {
        self.0.lock().unwrap().writes += 1;
        Poll::Ready(Ok(buf.len()))
    }

    fn poll_flush(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        let mut held = self.0.lock().unwrap();
        if held.is_open {
            return Poll::Ready(Ok(()));
        }
        held.waker = Some(cx.waker().clone());
        Poll::Pending
    }

    fn poll_shutdown(self: Pin<&mut Self>, _: &mut Context<'_>) -> Poll<io::Result<()>> {
        Poll::Ready(Ok(()))
    }
}

#[tokio::test]
async fn while_the_stream_flushes_only_the_task_that_is_woken_by_it_goes_on() {
    let peer = Peer::builder().build().unwrap();
    let holds = Holds::default();
    let (near, _far) = tokio::io::duplex(64);
    let (read, _) = tokio::io::split(near);
    let stream = tokio::io::join(read, holds.clone());
    let session = peer.serve_conn(stream).await.unwrap();
    let writes = || holds.0.lock().unwrap().writes;
    session.push("/x", ()).await.unwrap();
    assert_eq!(writes(), 1);
    settle().await;
    // A write now would take the waker of the task away that waits for the flush.
    session.push("/x", ()).await.unwrap();
    assert_eq!(writes(), 1);
    let waker = {
        let mut held = holds.0.lock().unwrap();
        held.is_open = true;
        held.waker.take().unwrap()
    };
    waker.wake();
    settle().await;
    assert_eq!((writes(), session.queued_bytes()), (2, 0));
}
