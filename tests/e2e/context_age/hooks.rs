//! The time that hooks take counts too.

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

use teleport::{Peer, Plugin, ReadCtx, Rerror, WriteCtx, plugin};
use teleport_tests::frames::{RawFrame, read_frame};
use teleport_tests::pair::settle;
use tokio::io::AsyncWriteExt;
use tokio::time::sleep;

use super::{AGE, assert_nothing_came, assert_over, error_of, server_of};

/// Waits in one of its hooks.
struct Slow(&'static str);

impl Slow {
    async fn at(&self, hook: &str) -> Result<(), Rerror> {
        if hook == self.0 {
            sleep(Duration::from_millis(500)).await;
        }
        Ok(())
    }
}

#[plugin]
impl Plugin for Slow {
    fn name(&self) -> &str {
        "slow"
    }

    async fn post_read_call_header(&self, _: &mut ReadCtx) -> Result<(), Rerror> {
        self.at("header").await
    }

    async fn pre_read_call_body(&self, _: &mut ReadCtx) -> Result<(), Rerror> {
        self.at("body").await
    }

    async fn post_read_call_body(&self, ctx: &mut ReadCtx) -> Result<(), Rerror> {
        assert_eq!(ctx.remaining(), Some(AGE));
        self.at("argument").await
    }

    async fn pre_write_reply(&self, _: &mut WriteCtx) -> Result<(), Rerror> {
        self.at("reply").await
    }
}

#[tokio::test(start_paused = true)]
async fn the_age_covers_hooks_from_the_first_to_those_of_the_reply() {
    for hook in ["header", "body", "argument", "reply"] {
        let builder = Peer::builder().default_context_age(AGE).plugin(Slow(hook));
        let (session, mut stream) = server_of(builder).await;
        assert_over(&error_of(&mut stream, "/work/now", "1").await, AGE);
        settle().await;
        assert_eq!(session.running_handlers(), 0, "{hook}: hooks do not go on");
        sleep(Duration::from_secs(1)).await;
        assert_nothing_came(&mut stream);
    }
}

#[tokio::test(start_paused = true)]
async fn the_age_of_a_route_counts_from_the_first_hook_too() {
    // 500 ms of the hook leave nothing of the 300 ms of the route.
    let (_session, mut stream) = server_of(Peer::builder().plugin(Slow("header"))).await;
    let (error, took) = error_of(&mut stream, "/work/longer", "").await;
    assert!(error.contains("408") && error.contains("300ms"), "{error}");
    assert_eq!(
        took.as_millis(),
        500,
        "no age was known before the route was"
    );
}

#[tokio::test(start_paused = true)]
async fn reply_hooks_see_the_408_as_any_reply() {
    #[derive(Clone, Default)]
    struct Counts(Arc<AtomicUsize>);

    #[plugin]
    impl Plugin for Counts {
        fn name(&self) -> &str {
            "counts"
        }

        fn pre_write_reply(&self, ctx: &mut WriteCtx) -> Result<(), Rerror> {
            assert_eq!(ctx.call_uri().unwrap().to_string(), "/work/sleep?q=1");
            ctx.header_mut().meta.set("hooked", "yes");
            Ok(())
        }

        async fn post_write_reply(&self, ctx: &mut WriteCtx) -> Result<(), Rerror> {
            let error = Rerror::from_meta(&ctx.header().meta).unwrap();
            self.0
                .fetch_add(usize::try_from(error.code()).unwrap(), Ordering::SeqCst);
            Ok(())
        }
    }

    let counts = Counts::default();
    let builder = Peer::builder()
        .default_context_age(AGE)
        .plugin(counts.clone());
    let (_session, mut stream) = server_of(builder).await;
    let call = RawFrame::call("s", "/work/sleep?q=1", "900").bytes();
    stream.write_all(&call).await.unwrap();
    let reply = read_frame(&mut stream).await.unwrap().unwrap();
    assert!(reply.error().contains("408"), "{reply:?}");
    assert_eq!(reply.meta_value("hooked").as_deref(), Some("yes"));
    sleep(Duration::from_secs(2)).await;
    assert_eq!(counts.0.load(Ordering::SeqCst), 408, "once");
}
