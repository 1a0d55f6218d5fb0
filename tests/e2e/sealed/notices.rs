//! What two ends tell each other beside calls, pushes and replies is sealed too.

use std::time::Duration;

use teleport::plugins::auth;
use teleport::plugins::secure::Sealed;
use teleport::{CallCtx, ErrorKind, Peer, Plugin, PreSession, Rerror, Session, controller, plugin};
use teleport_tests::frames::{RawFrame, parse_frame};
use teleport_tests::middle::Way;
use teleport_tests::pair::settle;
use tokio::time::timeout;

use super::{Handled, Tapped, as_it_is, behind_the_handshake, key, sealed, tapped_of};

const LONG: Duration = Duration::from_secs(60);

struct Slow(Handled);

#[controller]
impl Slow {
    async fn until_told(&self, ctx: &mut CallCtx) {
        self.0.note("begun");
        ctx.cancelled().await;
        self.0.note("told");
    }
}

async fn slow(change: impl FnMut(Way, Vec<u8>) -> Vec<Vec<u8>> + Send + 'static) -> Tapped {
    let peer = || sealed().propagate(true);
    let tapped = tapped_of(peer(), peer(), change).await;
    tapped
        .server
        .route_call(Slow(tapped.handled.clone()))
        .unwrap();
    tapped
}

async fn begin(tapped: &Tapped) -> teleport::CallCmd<()> {
    let call = tapped.here.call::<()>("/slow/until/told", ());
    let call = call.timeout(LONG).send().await.unwrap();
    settle().await;
    assert_eq!(tapped.handled.all(), ["begun"]);
    call
}

fn readable(tapped: &Tapped) -> String {
    let frames = tapped.middle.seen();
    let texts = frames
        .iter()
        .map(|(_, frame)| String::from_utf8_lossy(frame).into_owned());
    texts.collect()
}

#[tokio::test(start_paused = true)]
async fn a_call_that_is_given_up_is_told_under_seal() {
    let tapped = slow(as_it_is).await;
    drop(begin(&tapped).await);
    settle().await;
    assert_eq!(tapped.handled.all(), ["begun", "told"]);
    let text = readable(&tapped);
    for told in ["X-Notice", "X-Remaining-Ms", "60000"] {
        assert!(!text.contains(told), "{text}");
    }
    assert!(tapped.here.health() && tapped.there.health());
}

#[tokio::test(start_paused = true)]
async fn a_notice_that_the_other_end_did_not_seal_closes_the_session() {
    let gone = "X-Notice=gone&X-Reply-Error=%7B%22code%22%3A503%7D";
    for meta in [
        "X-Notice=cancel&X-Notice-Seq=A",
        "X-Notice=going-away",
        "X-Notice=gone",
        gone,
        "X-Sealed=1",
        "",
    ] {
        for way in [Way::ToServer, Way::ToClient] {
            let tapped = slow(as_it_is).await;
            let call = begin(&tapped).await;
            let forged = RawFrame::reply("~notice", "").codec(0).meta(meta);
            tapped.middle.inject(way, forged.bytes());
            let error = timeout(LONG, call).await.unwrap().unwrap_err();
            // Nobody may be made to believe that it was not run, and make it again.
            assert!(error.is_closed() && !error.may_retry(), "{meta}: {error}");
            let told = match way {
                Way::ToServer => &tapped.there,
                Way::ToClient => &tapped.here,
            };
            let reason = told.close_reason().unwrap();
            assert!(reason.contains("a notice: a message came"), "{reason}");
            assert_eq!(tapped.handled.all()[..1], ["begun"], "{meta}");
        }
    }
}

#[tokio::test(start_paused = true)]
async fn a_changed_or_repeated_notice_closes_the_session() {
    for twice in [true, false] {
        // The call is number 0, the notice that it was given up is number 1.
        let change = behind_the_handshake(Way::ToServer, move |number, frame| match number {
            1 if twice => vec![frame.clone(), frame],
            1 => {
                let mut frame = parse_frame(&frame);
                assert_eq!(frame.seq, "~notice");
                frame.body[0] ^= 1;
                vec![frame.bytes()]
            }
            _ => vec![frame],
        });
        let tapped = slow(change).await;
        drop(begin(&tapped).await);
        timeout(LONG, tapped.there.closed()).await.unwrap();
        let reason = tapped.there.close_reason().unwrap();
        let due = if twice { "came twice" } else { "did not seal" };
        assert!(reason.contains(due), "{reason}");
    }
}

#[tokio::test(start_paused = true)]
async fn the_time_that_a_caller_has_left_cannot_be_changed() {
    for meta in ["X-Sealed=0&X-Remaining-Ms=1", "X-Remaining-Ms=1&X-Sealed=0"] {
        let change = behind_the_handshake(Way::ToServer, move |_, frame| {
            vec![parse_frame(&frame).meta(meta).bytes()]
        });
        let tapped = slow(change).await;
        let call = tapped.here.call::<()>("/slow/until/told", ()).timeout(LONG);
        let error = call.await.unwrap_err();
        assert!(error.is_closed(), "{error}");
        assert!(tapped.handled.all().is_empty());
    }
}

#[tokio::test(start_paused = true)]
async fn a_caller_whose_time_is_over_ends_its_handler_under_seal() {
    let tapped = slow(as_it_is).await;
    let call = tapped.here.call::<()>("/slow/until/told", ());
    let error = call.timeout(Duration::from_millis(50)).await.unwrap_err();
    assert!(error.is_timeout() || error.rerror().is_some_and(|e| e.code() == 408));
    settle().await;
    assert_eq!(tapped.handled.all(), ["begun", "told"]);
}

#[tokio::test(start_paused = true)]
async fn a_shutdown_is_told_under_seal_and_costs_no_call() {
    let tapped = slow(as_it_is).await;
    let held = begin(&tapped).await;
    let shutdown = tokio::spawn(tapped.server.shutdown(LONG));
    settle().await;
    let error = tapped.here.call::<String>("/work/echo", "x").await;
    let error = error.unwrap_err();
    assert!(error.is_closed() && error.may_retry(), "{error:?}");
    drop(held);
    assert!(shutdown.await.unwrap().is_complete());
    timeout(LONG, tapped.here.closed()).await.unwrap();
    let reason = tapped.here.close_reason().unwrap();
    assert!(reason.contains("going away"), "{reason}");
    assert!(!readable(&tapped).contains("going-away"));
}

fn wants(text: &'static str) -> auth::Verify {
    auth::Verify::new(move |_, given| match auth::constant_time_eq(given, text) {
        true => Ok(()),
        false => Err(Rerror::new(403, "auth fail", "secret reason")),
    })
}

#[tokio::test]
async fn handshakes_of_other_plugins_are_sealed_wherever_they_stand() {
    for first in [true, false] {
        let with = |plugin: Box<dyn FnOnce(teleport::PeerBuilder) -> teleport::PeerBuilder>| {
            let sealed = Sealed::new(key("k1"));
            match first {
                true => plugin(Peer::builder()).plugin(sealed),
                false => plugin(Peer::builder().plugin(sealed)),
            }
        };
        let server = with(Box::new(|peer| peer.plugin(wants("secret text"))));
        let client = with(Box::new(|peer| {
            peer.plugin(auth::Launch::new("secret text"))
        }));
        let tapped = tapped_of(server, client, as_it_is).await;
        let echoed = tapped.here.call::<String>("/work/echo", "x").await;
        assert_eq!(echoed.unwrap(), "x");
        assert!(!readable(&tapped).contains("secret"));
    }
}

#[tokio::test]
async fn a_refusal_behind_the_seal_is_sealed_and_understood() {
    let server = sealed().plugin(wants("a")).build().unwrap();
    let client = sealed().plugin(auth::Launch::new("b")).build().unwrap();
    let (near, far) = tokio::io::duplex(1 << 16);
    let (there, here) = tokio::join!(server.serve_conn(far), client.dial_conn(near));
    assert!(there.is_err());
    let error = here.unwrap_err();
    assert_eq!(error.kind(), ErrorKind::Refused);
    assert_eq!(error.rerror().unwrap().code(), 403);

    // One without a question, to a session that has begun already.
    struct Full;
    #[plugin]
    impl Plugin for Full {
        fn name(&self) -> &str {
            "full"
        }
        async fn post_accept(&self, session: &mut PreSession) -> Result<(), Rerror> {
            let full = Rerror::new(503, "full", "");
            session.refuse(&full, teleport::Meta::new()).await?;
            Err(full)
        }
    }
    let server = sealed().plugin(Full).build().unwrap();
    let client = sealed().build().unwrap();
    let (near, far) = tokio::io::duplex(1 << 16);
    let (there, here) = tokio::join!(server.serve_conn(far), client.dial_conn(near));
    assert!(there.is_err());
    let here: Session = here.unwrap();
    let error = here.call::<String>("/work/echo", "x").await.unwrap_err();
    assert!(error.is_closed() && error.may_retry(), "{error}");
    assert!(error.to_string().contains("refused by the other end: 503"));
}
