//! What a sealed session carries, and what can be seen of it.

use std::collections::HashSet;
use std::sync::{Arc, Mutex};

use teleport::plugins::secure::Sealed;
use teleport::proto::{AnyOf, JsonProto, PbProto, RawProto};
use teleport::{ErrorKind, Peer, Plugin, ReadCtx, Rerror, Session, WriteCtx, plugin};
use teleport_tests::frames::{PUSH, parse_frame};
use teleport_tests::middle::Way;
use teleport_tests::pair::{Pair, connect, settle};

use super::{Handled, Tapped, as_it_is, key, sealed, serve, tapped, tapped_of};

#[tokio::test]
async fn calls_pushes_replies_and_errors_arrive_both_ways_and_nobody_reads_them() {
    let tapped = tapped(as_it_is).await;
    for (session, handled) in [
        (&tapped.here, &tapped.handled),
        (&tapped.there, &tapped.handled_here),
    ] {
        let cmd = session
            .call::<String>("/work/echo?token=secret-query&b=2", "secret-body")
            .meta("k", "secret-meta")
            .meta("k", "again")
            .send()
            .await
            .unwrap();
        let reply = cmd.reply().await.unwrap();
        assert_eq!(reply.body, "secret-body");
        let values: Vec<_> = reply.meta.get_all("k").collect();
        assert_eq!(values, [&b"secret-meta"[..], b"again"]);
        assert_eq!(reply.meta.len(), 2);
        session.push("/note/it", "secret-push").await.unwrap();
        let error = session.call::<()>("/work/fail", "x").await.unwrap_err();
        let due = Rerror::new(7, "no", "secret x");
        assert_eq!(
            (error.kind(), error.rerror()),
            (ErrorKind::Remote, Some(&due))
        );
        let error = session.call::<()>("/work/boom", ()).await.unwrap_err();
        assert_eq!(error.rerror().unwrap().reason(), "secret boom");
        let error = session.call::<()>("/work/none", ()).await.unwrap_err();
        assert_eq!(error.rerror().unwrap().code(), 404);
        settle().await;
        let due = ["secret-body?token=secret-query&b=2", "secret-push"];
        assert_eq!(handled.all(), due);
    }
    let frames = tapped.middle.seen();
    assert_eq!(frames.len(), 3 + 2 * 9);
    for (_, frame) in &frames[3..] {
        let text = String::from_utf8_lossy(frame);
        for secret in ["secret", "token", "again", "X-Reply-Error"] {
            assert!(!text.contains(secret), "{text}");
        }
    }
}

#[tokio::test]
async fn a_reply_that_cannot_be_sent_is_a_sealed_error() {
    let server = sealed().message_limit(600);
    let tapped = tapped_of(server, sealed(), as_it_is).await;
    // What fits into a call does not fit into its reply, which has the metadata too.
    let call = tapped.here.call::<String>("/work/echo", "x".repeat(200));
    let error = call.meta("k", "y".repeat(200)).await;
    assert!(error.is_ok());
    struct Long;
    #[teleport::controller]
    impl Long {
        fn text(&self) -> String {
            "secret".repeat(200)
        }
    }
    tapped.server.route_call(Long).unwrap();
    let error = tapped.here.call::<String>("/long/text", ()).await;
    let error = error.unwrap_err();
    assert_eq!(error.kind(), ErrorKind::Remote, "{error}");
    assert_eq!(error.rerror().unwrap().code(), 500);
    assert!(tapped.here.call::<String>("/work/echo", "x").await.is_ok());
}

#[tokio::test]
async fn a_call_that_is_turned_away_is_told_so_under_seal() {
    let server = sealed().max_running_handlers(1);
    let tapped = tapped_of(server, sealed(), as_it_is).await;
    // The handler calls back, so the server reads on while it runs.
    let waiting = tapped.here.call::<String>("/work/wait", ());
    let waiting = waiting.send().await.unwrap();
    let held = hold(&tapped);
    let error = tapped.here.call::<String>("/work/echo", "x").await;
    let error = error.unwrap_err();
    assert_eq!(error.kind(), ErrorKind::Remote, "{error}");
    assert_eq!(error.rerror().unwrap().code(), 503);
    held.send(()).unwrap();
    assert_eq!(waiting.await.unwrap(), "go on?");
    assert!(tapped.here.health());
}

/// Lets the client's handlers wait.
fn hold(tapped: &Tapped) -> tokio::sync::watch::Sender<()> {
    struct Hold(tokio::sync::watch::Receiver<()>);
    #[plugin]
    impl Plugin for Hold {
        fn name(&self) -> &str {
            "hold"
        }
        async fn pre_read_call_body(&self, _ctx: &mut ReadCtx) -> Result<(), Rerror> {
            let mut gate = self.0.clone();
            let _ = gate.changed().await;
            Ok(())
        }
    }
    let (sender, receiver) = tokio::sync::watch::channel(());
    let add = |plugins: &mut teleport::PluginContainer| plugins.append(Hold(receiver));
    tapped.client.change_plugins(add).unwrap();
    sender
}

/// Notes what it sees of messages, and marks them.
struct Sees(Handled);

#[plugin]
impl Plugin for Sees {
    fn name(&self) -> &str {
        "sees"
    }

    fn pre_write_call(&self, ctx: &mut WriteCtx) -> Result<(), Rerror> {
        ctx.header_mut().meta.add("mark", "1");
        let body = String::from_utf8_lossy(ctx.body()).into_owned();
        self.0.note(format!("writes {} {body}", ctx.header().uri));
        Ok(())
    }

    fn post_read_call_header(&self, ctx: &mut ReadCtx) -> Result<(), Rerror> {
        let body = String::from_utf8_lossy(ctx.body()).into_owned();
        let mark = ctx.meta().get("mark").unwrap_or_default();
        self.0.note(format!("reads {} {body} {mark}", ctx.uri()));
        Ok(())
    }
}

#[tokio::test]
async fn other_plugins_see_messages_as_if_nothing_was_sealed_wherever_they_stand() {
    for is_first in [true, false] {
        let seen = Handled::default();
        let peer = || {
            let (sees, sealed) = (Sees(seen.clone()), Sealed::new(key("k1")));
            match is_first {
                true => Peer::builder().plugin(sees).plugin(sealed),
                false => Peer::builder().plugin(sealed).plugin(sees),
            }
        };
        let tapped = tapped_of(peer(), peer(), as_it_is).await;
        let call = tapped.here.call::<String>("/work/echo?a=1", "x");
        call.await.unwrap();
        let due = [
            r#"writes /work/echo?a=1 "x""#,
            r#"reads /work/echo?a=1 "x" 1"#,
        ];
        assert_eq!(seen.all(), due);
    }
}

#[tokio::test]
async fn filters_stay_outside_and_are_bound() {
    let tapped = tapped(as_it_is).await;
    let call = tapped.here.call::<String>("/work/echo", "x").xfer(b"g");
    assert_eq!(call.await.unwrap(), "x");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn no_number_is_used_twice_when_many_tasks_call() {
    let tapped = tapped(as_it_is).await;
    let calls = |session: &Session, task: usize| {
        let session = session.clone();
        tokio::spawn(async move {
            for n in 0..1000 {
                let text = format!("{task} {n}");
                let reply: String = session.call("/work/echo", &text).await.unwrap();
                assert_eq!(reply, text);
            }
        })
    };
    let tasks: Vec<_> = (0..8).map(|task| calls(&tapped.here, task)).collect();
    for task in tasks {
        task.await.unwrap();
    }
    for (way, skip) in [(Way::ToServer, 2), (Way::ToClient, 1)] {
        let frames = tapped.middle.seen_to(way);
        let numbers: HashSet<_> = frames[skip..]
            .iter()
            .map(|frame| parse_frame(frame).meta_value("X-Sealed").unwrap())
            .collect();
        assert_eq!((frames.len() - skip, numbers.len()), (8000, 8000));
    }
}

#[tokio::test]
async fn a_used_up_key_ends_the_session_in_good_order_and_a_new_one_goes_on() {
    let builder = || Peer::builder().plugin(Sealed::new(key("k1")).max_messages(40));
    let pair = Pair::of(builder(), builder()).await;
    serve(&pair.server, &Handled::default());
    let mut done = 0;
    let error = loop {
        match pair.here.call::<String>("/work/echo", "x").await {
            Ok(_) => done += 1,
            Err(error) => break error,
        }
    };
    assert_eq!(done, 30);
    assert_eq!(error.kind(), ErrorKind::Refused);
    assert!(error.to_string().contains("dial again"), "{error}");
    pair.here.closed().await;
    let (_there, here) = connect(&pair.server, &pair.client).await;
    assert!(here.call::<String>("/work/echo", "x").await.is_ok());
}

#[tokio::test]
async fn every_protocol_carries_them() {
    let protos: [fn() -> Arc<dyn teleport::proto::Proto>; 3] = [
        || Arc::new(JsonProto),
        || Arc::new(PbProto),
        || Arc::new(AnyOf::new(Arc::new(RawProto)).or(Arc::new(JsonProto))),
    ];
    for proto in protos {
        let pair = Pair::of(sealed().proto(proto()), sealed().proto(proto())).await;
        serve(&pair.server, &Handled::default());
        let call = pair.here.call::<String>("/work/echo?a=b", "\u{1f511}\"\\");
        let reply = call.meta("k", "v").send().await.unwrap().reply().await;
        let reply = reply.unwrap();
        assert_eq!(
            (reply.body.as_str(), reply.meta.get("k")),
            ("\u{1f511}\"\\", Some("v"))
        );
    }
}

#[tokio::test]
async fn a_broadcast_is_sealed_for_each() {
    let server = sealed().build().unwrap();
    let mut clients = Vec::new();
    for _ in 0..3 {
        let client = sealed().build().unwrap();
        let handled = Handled::default();
        serve(&client, &handled);
        let (_, here) = connect(&server, &client).await;
        clients.push((here, handled));
    }
    let told = server.sessions().broadcast("/note/it", "all").await;
    assert_eq!(told.unwrap().sent, 3);
    settle().await;
    for (here, handled) in clients {
        assert!(here.health());
        assert_eq!(handled.all(), ["all"]);
    }
}

#[tokio::test]
async fn messages_may_overtake_each_other() {
    let mut held = Vec::new();
    let change = super::behind_the_handshake(Way::ToServer, move |number, frame| {
        held.push(frame);
        match number {
            9 => held.drain(..).rev().collect(),
            _ => Vec::new(),
        }
    });
    let tapped = tapped(change).await;
    for n in 0..10 {
        let text = n.to_string();
        tapped.here.push("/note/it", text).await.unwrap();
    }
    settle().await;
    let due: Vec<_> = (0..10).rev().map(|n| n.to_string()).collect();
    assert_eq!(tapped.handled.all(), due);
    assert!(tapped.here.health() && tapped.there.health());
}

#[tokio::test]
async fn one_that_too_many_have_overtaken_is_refused_and_the_session_lives() {
    let late = Arc::new(Mutex::new(None));
    let keep = Arc::clone(&late);
    let change = super::behind_the_handshake(Way::ToServer, move |number, frame| match number {
        0 => {
            *keep.lock().unwrap() = Some(frame);
            Vec::new()
        }
        _ => vec![frame],
    });
    let tapped = tapped(change).await;
    let call = tapped.here.call::<String>("/work/echo", "late");
    let call = call.send().await.unwrap();
    for _ in 0..8300 {
        tapped.here.push("/note/it", "x").await.unwrap();
    }
    settle().await;
    let frame = late.lock().unwrap().take().unwrap();
    assert_ne!(parse_frame(&frame).mtype, PUSH);
    tapped.middle.inject(Way::ToServer, frame);
    let error = call.await.unwrap_err();
    assert_eq!(error.kind(), ErrorKind::Remote, "{error}");
    assert!(error.rerror().unwrap().reason().contains("too late"));
    assert!(tapped.here.call::<String>("/work/echo", "x").await.is_ok());
}

#[tokio::test(start_paused = true)]
async fn the_time_that_a_caller_has_left_reaches_the_handler() {
    struct Left;
    #[teleport::controller]
    impl Left {
        fn ms(&self, ctx: &mut teleport::CallCtx) -> u128 {
            ctx.remaining().map_or(0, |left| left.as_millis())
        }
    }
    let peer = || sealed().propagate(true);
    let tapped = tapped_of(peer(), peer(), as_it_is).await;
    tapped.server.route_call(Left).unwrap();
    let call = tapped.here.call::<u128>("/left/ms", ());
    let left = call.timeout(std::time::Duration::from_secs(5)).await;
    assert_eq!(left.unwrap(), 5000);
    assert_eq!(tapped.here.call::<u128>("/left/ms", ()).await.unwrap(), 0);
}

#[tokio::test(start_paused = true)]
async fn a_session_that_dials_again_has_new_keys() {
    let server = sealed().build().unwrap();
    let handled = Handled::default();
    serve(&server, &handled);
    let address = server.listen_on("127.0.0.1:0").await.unwrap();
    let client = sealed().redial_times(-1).build().unwrap();
    let session = client.dial(&address).await.unwrap();
    assert!(session.call::<String>("/work/echo", "1").await.is_ok());
    let mut events = session.events();
    session.drop_connection("a test");
    while !matches!(
        events.recv().await.unwrap().kind,
        teleport::session::SessionEventKind::Restored { .. }
    ) {}
    for n in 0..3 {
        let reply = session.call::<String>("/work/echo", format!("{n}")).await;
        assert_eq!(reply.unwrap(), n.to_string());
    }
    assert!(session.health());
}
