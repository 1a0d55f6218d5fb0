//! Calls that are given up: how the other peer is told, and what it does then.

mod crowds;
mod handlers;
mod notices;
mod telling;

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::task::Poll;

use teleport::{CallCtx, Peer, PeerBuilder, Session, controller};
use teleport_tests::frames::RawFrame;
use teleport_tests::pair::{Pair, poll_once};
use tokio::sync::Semaphore;

/// How many handlers were begun, told, dropped or done.
#[derive(Clone, Default)]
struct Counts(Arc<[AtomicUsize; 3]>);

const BEGUN: usize = 0;

const TOLD: usize = 1;

const OVER: usize = 2;

impl Counts {
    fn add(&self, what: usize) {
        self.0[what].fetch_add(1, Ordering::SeqCst);
    }

    fn of(&self, what: usize) -> usize {
        self.0[what].load(Ordering::SeqCst)
    }

    fn all(&self) -> [usize; 3] {
        [BEGUN, TOLD, OVER].map(|what| self.of(what))
    }
}

struct Over(Counts);

impl Drop for Over {
    fn drop(&mut self) {
        self.0.add(OVER);
    }
}

struct Held(Counts, Arc<Semaphore>);

impl Held {
    async fn hold(&self) -> u32 {
        self.0.add(BEGUN);
        let _over = Over(self.0.clone());
        self.1.acquire().await.unwrap().forget();
        7
    }
}

#[controller]
impl Held {
    #[route(on_cancel = "abort")]
    async fn abort(&self) -> u32 {
        self.hold().await
    }

    #[route(on_cancel = "abort", spawn)]
    async fn spawned(&self) -> u32 {
        self.hold().await
    }

    async fn notify(&self, ctx: &CallCtx) -> u32 {
        let (cancelled, counts) = (ctx.cancelled(), self.0.clone());
        tokio::spawn(async move {
            cancelled.await;
            counts.add(TOLD);
        });
        self.hold().await
    }

    #[route(on_cancel = "finish")]
    async fn finish(&self, ctx: &CallCtx) -> u32 {
        let (cancelled, counts) = (ctx.cancelled(), self.0.clone());
        tokio::spawn(async move {
            cancelled.await;
            counts.add(TOLD);
        });
        self.hold().await
    }

    async fn now(&self, arg: u64) -> u64 {
        arg
    }
}

struct Held3 {
    pair: Pair,
    counts: Counts,
    permits: Arc<Semaphore>,
}

async fn held_of(server: PeerBuilder, client: PeerBuilder) -> Held3 {
    let pair = Pair::of(server, client).await;
    let (counts, permits) = (Counts::default(), Arc::new(Semaphore::new(0)));
    let held = Held(counts.clone(), permits.clone());
    pair.server.route_call(held).unwrap();
    Held3 {
        pair,
        counts,
        permits,
    }
}

async fn held() -> Held3 {
    held_of(Peer::builder(), Peer::builder().propagate(true)).await
}

/// Polls a call so many times, with turns for others between, and drops it.
async fn drop_after(session: &Session, uri: &str, polls: usize) {
    let mut call = session.call::<u32>(uri, ()).into_future();
    for _ in 0..polls {
        if let Poll::Ready(reply) = poll_once(&mut call) {
            panic!("{uri} was answered: {reply:?}");
        }
        tokio::task::yield_now().await;
    }
}

fn notice(of: &str) -> Vec<u8> {
    let meta = format!("X-Notice=cancel&X-Notice-Seq={of}");
    RawFrame::reply("~notice", "").codec(0).meta(&meta).bytes()
}

fn call(seq: &str, uri: &str) -> Vec<u8> {
    RawFrame::call(seq, uri, "1").meta("X-Remaining-Ms").bytes()
}
