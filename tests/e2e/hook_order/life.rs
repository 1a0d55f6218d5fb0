//! The hooks of a peer's and of a connection's life.

use teleport::session::Redial;
use teleport::{DialCtx, ErrorKind, Hooks, Peer, Plugin, Rerror, plugin};
use teleport_tests::exchange::Exchange;
use teleport_tests::pair::{connect, settle};
use tokio::time::Instant;

use super::{How, Trace, Tracer, Work, traced};

#[tokio::test]
async fn hooks_of_a_life_run_in_order() {
    let trace = Trace::default();
    let server = traced("s", &trace).build().unwrap();
    assert_eq!(trace.take(), ["s.pre_new_peer", "s.post_new_peer"]);
    server.route_call(Work(trace.clone())).unwrap();
    assert_eq!(
        trace.take(),
        [
            "s.path /work/echo",
            "s.post_reg",
            "s.path /work/fails",
            "s.post_reg",
            "s.path /work/spawned",
            "s.post_reg",
            "s.path /work/held",
            "s.post_reg"
        ]
    );
    server.listen_on("127.0.0.1:0").await.unwrap();
    assert_eq!(trace.take(), ["s.post_listen"]);
    let client = traced("c", &trace).build().unwrap();
    trace.take();
    let exchange = Exchange::new(&server);
    let here = client.dial_by(exchange.connector()).await.unwrap();
    settle().await;
    let there = server.sessions().all().pop().unwrap();
    let mut lines = trace.take();
    // The two ends agree each for itself, at once.
    lines[1..].sort();
    assert_eq!(lines, ["c.pre_dial", "c.post_dial", "s.post_accept"]);
    here.close().await;
    there.closed().await;
    let mut lines = trace.take();
    lines.sort();
    assert_eq!(lines, ["c.post_disconnect", "s.post_disconnect"]);
}

#[tokio::test]
async fn hooks_of_a_connection_refuse_it() {
    for how in [How::Refuses, How::Panics, How::PanicsLater] {
        let trace = Trace::default();
        let bad = |hook| {
            let tracer = Tracer::new("bad", &trace).that(how, hook);
            Peer::builder().plugin(tracer).build().unwrap()
        };
        let plain = Peer::builder().build().unwrap();
        let refusing = bad(Hooks::POST_ACCEPT);
        let (near, far) = tokio::io::duplex(100);
        let (there, here) = tokio::join!(refusing.serve_conn(near), plain.dial_conn(far));
        assert_eq!(there.unwrap_err().kind(), ErrorKind::Refused);
        here.unwrap().closed().await;
        let refusing = bad(Hooks::PRE_DIAL);
        let exchange = Exchange::new(&plain);
        let dial = refusing
            .dial_by(exchange.connector())
            .redial(Redial::forever());
        let error = dial.await.unwrap_err();
        assert_eq!(error.kind(), ErrorKind::Refused);
        assert!(exchange.dials().is_empty(), "nothing is dialled");
        let refusing = bad(Hooks::POST_DIAL);
        let (near, far) = tokio::io::duplex(100);
        let (there, here) = tokio::join!(plain.serve_conn(near), refusing.dial_conn(far));
        assert_eq!(here.unwrap_err().kind(), ErrorKind::Refused);
        there.unwrap().closed().await;
        assert!(refusing.sessions().is_empty());
        // The end of a connection cannot be refused.
        let sad = bad(Hooks::POST_DISCONNECT);
        let (there, here) = connect(&sad, &plain).await;
        here.close().await;
        there.closed().await;
        assert!(sad.sessions().is_empty());
    }
}

#[tokio::test]
async fn hooks_of_a_life_refuse_it() {
    let trace = Trace::default();
    let bad = |hook| Peer::builder().plugin(Tracer::new("bad", &trace).that(How::Refuses, hook));
    for hook in [Hooks::PRE_NEW_PEER, Hooks::POST_NEW_PEER] {
        let error = bad(hook).build().unwrap_err();
        assert!(error.to_string().contains("refused"), "{error}");
    }
    let peer = bad(Hooks::POST_REG).build().unwrap();
    assert!(peer.route_call(Work(trace.clone())).is_err());
    assert!(peer.routes().is_empty());
    let peer = bad(Hooks::POST_LISTEN).build().unwrap();
    assert!(peer.listen_on("127.0.0.1:0").await.is_err());
}

#[tokio::test(start_paused = true)]
async fn hooks_before_a_dial_have_the_time_of_a_handshake() {
    struct Waits;

    #[plugin]
    impl Plugin for Waits {
        fn name(&self) -> &str {
            "waits"
        }

        async fn pre_dial(&self, ctx: &mut DialCtx) -> Result<(), Rerror> {
            assert_eq!(ctx.target(), "127.0.0.1:9");
            assert!(!ctx.is_redial());
            std::future::pending().await
        }
    }

    let client = Peer::builder().plugin(Waits).build().unwrap();
    let started = Instant::now();
    let error = client.dial("127.0.0.1:9").await.unwrap_err();
    assert_eq!(started.elapsed(), client.config().handshake_timeout);
    assert_eq!(error.kind(), ErrorKind::Timeout);
    assert!(error.to_string().contains("before the dial"), "{error}");
    let dial = client.dial("127.0.0.1:9").into_future();
    let (ended, ()) = tokio::join!(dial, client.close());
    assert!(ended.is_err(), "a closed peer dials nothing");
}
