//! Finding the handler of a call.
//!
//! The tables are the engine's own, so whole calls are measured, on one thread and over memory:
//! what differs between them is the routing.

use std::hint::black_box;

use bytes::Bytes;
use criterion::{Criterion, Throughput, criterion_group, criterion_main};
use teleport::message::Uri;
use teleport::plugins::IgnoreCase;
use teleport::{CallCtx, Peer, PeerBuilder, Raw, Session, UnknownCallCtx, controller};
use tokio::runtime::Runtime;

#[controller]
async fn say(_ctx: &mut CallCtx, arg: Bytes) -> Bytes {
    arg
}

async fn anything(ctx: &mut UnknownCallCtx) -> Result<Raw<Bytes>, teleport::Rerror> {
    Ok(Raw(ctx.body().clone()))
}

/// A server with so many routes, and a session to it.
fn session(runtime: &Runtime, server: PeerBuilder, groups: usize) -> Session {
    let server = server.build().expect("the settings are good");
    for group in 0..groups {
        server
            .sub_route(&format!("/group{group}"))
            .route_call_fn(say)
            .expect("the path is free");
    }
    server
        .set_unknown_call(anything)
        .expect("there is no other one");
    let client = Peer::builder().build().expect("the settings are good");
    let (near, far) = tokio::io::duplex(64 << 10);
    runtime.block_on(async {
        let (served, dialled) = tokio::join!(server.serve_conn(far), client.dial_conn(near));
        served.expect("no plugin refuses");
        dialled.expect("no plugin refuses")
    })
}

fn routes(c: &mut Criterion) {
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build()
        .expect("a runtime can be built");
    let mut group = c.benchmark_group("routing");
    group.throughput(Throughput::Elements(1));
    let plain = Peer::builder;
    let any_case = || Peer::builder().plugin(IgnoreCase::new());
    for (name, uri, server, groups) in [
        ("of_1", "/group0/say", plain(), 1),
        ("of_1000", "/group500/say", plain(), 1000),
        ("with_query", "/group500/say?a=b", plain(), 1000),
        ("escaped", "/group500/s%61y", plain(), 1000),
        ("any_case", "/Group500/Say", any_case(), 1000),
        ("unknown", "/nobody/knows", plain(), 1000),
    ] {
        let session = session(&runtime, server, groups);
        let body = Bytes::from_static(&[0x5a; 581]);
        group.bench_function(name, |b| {
            b.iter(|| {
                let call = async { session.call::<Raw<Bytes>>(black_box(uri), Raw(&body)).await };
                runtime.block_on(call).expect("somebody answers").0.len()
            });
        });
    }
    group.finish();
}

fn uris(c: &mut Criterion) {
    let mut group = c.benchmark_group("uri");
    for (name, uri) in [
        ("plain", "/hello/say"),
        ("query", "/hello/say?name=value&other=1"),
        ("escaped", "/hello/s%61y?name=%E5%8F%98"),
    ] {
        group.bench_function(name, |b| {
            b.iter(|| {
                let uri = Uri::new(black_box(uri));
                (uri.path().len(), uri.query("name").map(str::len))
            });
        });
    }
    group.finish();
}

criterion_group!(benches, routes, uris);
criterion_main!(benches);
