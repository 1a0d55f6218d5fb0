//! What hooks may change.

use bytes::Bytes;
use teleport::codec::Raw;
use teleport::{Peer, Plugin, ReadCtx, Rerror, WriteCtx};
use teleport_tests::pair::Pair;

use super::{Trace, work};

/// Answers with what it is given by another plugin.
struct Rewrites;

#[teleport::plugin]
impl Plugin for Rewrites {
    fn name(&self) -> &str {
        "rewrites"
    }

    fn post_read_call_header(&self, ctx: &mut ReadCtx) -> Result<(), Rerror> {
        if ctx.path() == "/old" {
            ctx.reset_uri("/work/echo?new=1");
        }
        Ok(())
    }

    async fn pre_read_call_body(&self, ctx: &mut ReadCtx) -> Result<(), Rerror> {
        if ctx.meta().contains("double") {
            let n: i64 = ctx.decode(&ctx.body().clone())?;
            ctx.set_body(b'j', (n * 2).to_string());
        }
        Ok(())
    }

    fn pre_write_reply(&self, ctx: &mut WriteCtx) -> Result<(), Rerror> {
        ctx.header_mut().meta.add("by", "rewrites");
        let body = [ctx.body(), &b"0"[..]].concat();
        ctx.set_body(b'j', body);
        Ok(())
    }
}

#[tokio::test]
async fn hooks_may_change_route_body_and_reply() {
    let trace = Trace::default();
    let pair = Pair::of(Peer::builder().plugin(Rewrites), Peer::builder()).await;
    work(&pair.server, &trace);
    let call = pair
        .here
        .call::<i64>("/old", 7)
        .meta("double", "")
        .send()
        .await;
    let reply = call.unwrap().reply().await.unwrap();
    assert_eq!((reply.body, reply.meta.get("by")), (140, Some("rewrites")));
    let raw: Raw<Bytes> = pair.here.call("/work/echo", 1).await.unwrap();
    assert_eq!(raw.0, "10");
}
