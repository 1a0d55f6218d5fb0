//! A peer that forwards what it has no route for: what goes on, what comes back, and what becomes of
//! backends that are gone, slow or late.

use std::collections::HashMap;
use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use teleport::codec::{self, Raw};
use teleport::plugins::proxy::{Forward, Proxy};
use teleport::{
    CallCtx, Caller, ErrorKind, Peer, PeerBuilder, Plugin, ReadCtx, Rerror, Session,
    UnknownCallCtx, WriteCtx, controller, plugin,
};
use teleport_tests::exchange::Exchange;
use teleport_tests::frames::{CALL, PUSH, REPLY, RawFrame, read_frame};
use teleport_tests::pair::{bare, connect, settle};
use tokio::io::{AsyncWriteExt, DuplexStream};
use tokio::net::{TcpListener, TcpStream};

/// A proxy named relay, a client of it, and a backend whose frames are made by hand.
struct ByHand {
    client: Session,
    /// The proxy's session with the client.
    front: Session,
    /// The proxy's session with the backend.
    back: Session,
    backend: DuplexStream,
}

async fn by_hand(change: impl FnOnce(Forward) -> Forward) -> ByHand {
    by_hand_of([Peer::builder(), Peer::builder(), Peer::builder()], change).await
}

/// The client, the proxy, and the peer that the proxy calls its backend by.
async fn by_hand_of(peers: [PeerBuilder; 3], change: impl FnOnce(Forward) -> Forward) -> ByHand {
    let [client, proxy, dials] = peers;
    let (back, backend) = bare(&dials.build().unwrap(), 1 << 20).await;
    let forward = change(Forward::to(back.clone()).program("relay"));
    let proxy = proxy.plugin(Proxy::new(forward)).build().unwrap();
    let (front, client) = connect(&proxy, &client.build().unwrap()).await;
    front.set_id("front");
    ByHand {
        client,
        front,
        back,
        backend,
    }
}

impl ByHand {
    async fn request(&mut self) -> RawFrame {
        read_frame(&mut self.backend).await.unwrap().unwrap()
    }

    async fn answer(&mut self, frame: RawFrame) {
        self.backend.write_all(&frame.bytes()).await.unwrap();
    }
}

#[tokio::test]
async fn a_call_and_a_push_go_on_as_they_came_with_a_sequence_and_an_address_of_the_proxy() {
    let mut proxy = by_hand(|forward| forward).await;
    let call = proxy
        .client
        .call::<Raw<Bytes>>("/a/B?x=%41+;b&y", Raw("[1,  2]"));
    let call = call
        .meta("b", "2")
        .meta("a", "1")
        .meta("b", "3")
        .body_codec(codec::FORM);
    let call = call.seq("its own").send().await.unwrap();
    let address = proxy.front.remote_address().to_string();
    let escaped = address.replace(':', "%3A").replace('@', "%40");
    let seen = proxy.request().await;
    let due = RawFrame::call("front@its own>relay[0]", "/a/B?x=%41+;b&y", "[1,  2]")
        .codec(codec::FORM)
        .meta(&format!("b=2&a=1&b=3&X-Real-IP={escaped}"));
    assert_eq!(seen.mtype, CALL);
    assert_eq!(seen, due);
    let reply = RawFrame::reply(&seen.seq, "\"so\"")
        .codec(codec::PLAIN)
        .meta("k=1&j&k=2&k=1");
    proxy.answer(reply).await;
    let reply = call.reply().await.unwrap();
    assert_eq!(
        (&*reply.body.0, reply.body_codec),
        (&b"\"so\""[..], codec::PLAIN)
    );
    assert_eq!(&*reply.meta.encoded(), b"k=1&j&k=2&k=1");

    let push = proxy
        .client
        .push("/p?q=1", Raw(Bytes::from_static(b"\x00\xff")));
    push.meta("X-Real-IP", "10.0.0.1:1234")
        .body_codec(7)
        .await
        .unwrap();
    let due = RawFrame::push("front@A>relay[1]", "/p?q=1", b"\x00\xff")
        .codec(7)
        .meta("X-Real-IP=10.0.0.1%3A1234");
    let seen = proxy.request().await;
    assert_eq!((seen.mtype, &seen), (PUSH, &due));
}

#[tokio::test]
async fn the_address_and_the_session_are_those_of_the_connection() {
    let (back, mut backend) = bare(&Peer::builder().build().unwrap(), 4096).await;
    let proxy = Peer::builder().build().unwrap();
    proxy.set_unknown_call(Forward::to(back)).unwrap();
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = listener.local_addr().unwrap();
    let (accepted, dialled) = tokio::join!(listener.accept(), TcpStream::connect(address));
    let (accepted, mut client) = (accepted.unwrap().0, dialled.unwrap());
    proxy.serve_conn(accepted).await.unwrap();
    client
        .write_all(&RawFrame::call("A", "/x", "1").bytes())
        .await
        .unwrap();
    let seen = read_frame(&mut backend).await.unwrap().unwrap();
    let own = client.local_addr().unwrap().to_string();
    assert_eq!(seen.meta_value("X-Real-IP"), Some(own.clone()));
    // Without a name that is set it is that of the program.
    let program = std::env::args().next().unwrap();
    let program = program.rsplit('/').next().unwrap();
    assert_eq!(seen.seq, format!("{own}@A>{program}[0]"));
}

#[tokio::test]
async fn errors_come_back_and_those_of_connections_as_502() {
    let mut proxy = by_hand(|forward| forward).await;
    for (theirs, due) in [
        (
            r#"{"code":7,"message":"no","reason":"why"}"#,
            Rerror::new(7, "no", "why"),
        ),
        (r#"{"code":404,"message":"Not Found"}"#, Rerror::not_found()),
        (r#"{"code":99,"message":"m"}"#, Rerror::new(99, "m", "")),
        (r#"{"code":200,"message":"m"}"#, Rerror::new(200, "m", "")),
        (r#"{"code":100,"message":"m"}"#, Rerror::bad_gateway("")),
        (
            r#"{"code":199,"message":"m","reason":"r"}"#,
            Rerror::bad_gateway("r"),
        ),
        (
            r#"{"code":102,"message":"Connection Closed","reason":"r"}"#,
            Rerror::bad_gateway("r"),
        ),
    ] {
        let call = proxy.client.call::<()>("/x", ()).send().await.unwrap();
        let seen = proxy.request().await;
        let mut meta = teleport::Meta::new();
        meta.add("a", "1");
        meta.add("X-Reply-Error", theirs);
        meta.add("a", "2");
        let meta = String::from_utf8(meta.encoded().into_owned()).unwrap();
        proxy
            .answer(RawFrame::reply(&seen.seq, "x").meta(&meta).codec(0))
            .await;
        let reply = call.raw_reply().await.unwrap();
        assert_eq!(reply.rerror(), Some(due), "{theirs}");
        assert_eq!(reply.meta.get_all("a").collect::<Vec<_>>(), [b"1", b"2"]);
        assert_eq!((reply.body.len(), reply.body_codec), (0, 0));
    }
}

#[tokio::test]
async fn the_reply_has_the_codec_of_the_backend_whatever_the_caller_accepts() {
    let mut proxy = by_hand(|forward| forward).await;
    let call = proxy
        .client
        .call::<Raw<Bytes>>("/x", "1")
        .accept_codec(codec::FORM);
    let call = call.send().await.unwrap();
    let seen = proxy.request().await;
    assert_eq!(
        seen.meta_value("X-Accept-Body-Codec").as_deref(),
        Some("102")
    );
    proxy
        .answer(RawFrame::reply(&seen.seq, "x").codec(codec::PLAIN))
        .await;
    assert_eq!(call.reply().await.unwrap().body_codec, codec::PLAIN);
}

#[tokio::test]
async fn filters_belong_to_one_hop() {
    let mut proxy = by_hand(|forward| forward).await;
    let call = proxy.client.call::<String>("/x", "hello").xfer(b"gm");
    let call = call.send().await.unwrap();
    let seen = proxy.request().await;
    assert_eq!(seen.body, b"\"hello\"");
    proxy.answer(RawFrame::reply(&seen.seq, "\"back\"")).await;
    let reply = call.reply().await.unwrap();
    assert_eq!(
        (reply.body.as_str(), reply.xfer.ids()),
        ("back", &b"gm"[..])
    );
}

fn is_502(error: &teleport::Error, reason: &str) {
    assert_eq!(error.kind(), ErrorKind::Remote, "{error}");
    let rerror = error.rerror().unwrap();
    assert_eq!((rerror.code(), rerror.message()), (502, "Bad Gateway"));
    assert!(rerror.reason().contains(reason), "{rerror}");
}

#[tokio::test]
async fn a_backend_that_is_gone_is_502_at_once_and_before_its_reply() {
    let mut proxy = by_hand(|forward| forward).await;
    let call = proxy.client.call::<()>("/x", ()).send().await.unwrap();
    proxy.request().await;
    drop(proxy.backend);
    is_502(&call.await.unwrap_err(), "closed");
    let error = proxy.client.call::<()>("/x", ()).await.unwrap_err();
    is_502(&error, "closed");
    // A push has no answer; the session lives.
    proxy.client.push("/x", ()).await.unwrap();
    let error = proxy.client.call::<()>("/x", ()).await.unwrap_err();
    is_502(&error, "closed");
}

#[tokio::test]
async fn a_backend_that_is_busy_is_502() {
    let (back, _backend) = {
        let peer = Peer::builder().max_calls_in_flight(1).build().unwrap();
        bare(&peer, 4096).await
    };
    let proxy = Peer::builder()
        .plugin(Proxy::new(Forward::to(back)))
        .build()
        .unwrap();
    let (_front, client) = connect(&proxy, &Peer::builder().build().unwrap()).await;
    let _waits = client.call::<()>("/x", ()).send().await.unwrap();
    settle().await;
    is_502(
        &client.call::<()>("/x", ()).await.unwrap_err(),
        "wait for their replies",
    );
}

#[tokio::test(start_paused = true)]
async fn a_backend_that_is_slow_is_502_in_time_and_its_late_reply_is_ignored() {
    let mut proxy = by_hand(|forward| forward.timeout(Duration::from_secs(3))).await;
    let started = tokio::time::Instant::now();
    let call = proxy.client.call::<String>("/x", "1").send().await.unwrap();
    let seen = proxy.request().await;
    is_502(&call.await.unwrap_err(), "within 3s");
    let took = started.elapsed().as_millis();
    assert!((3000..3100).contains(&took), "{took}");
    proxy.answer(RawFrame::reply(&seen.seq, "\"late\"")).await;
    let call = proxy.client.call::<String>("/x", "2").send().await.unwrap();
    let seen = proxy.request().await;
    proxy
        .answer(RawFrame::reply(&seen.seq, "\"in time\""))
        .await;
    assert_eq!(call.await.unwrap(), "in time");
}

#[tokio::test(start_paused = true)]
async fn a_caller_that_is_gone_gives_its_call_up() {
    let mut proxy = by_hand(|forward| forward).await;
    let _call = proxy.client.call::<String>("/x", "1").send().await.unwrap();
    proxy.request().await;
    assert_eq!(proxy.back.calls_in_flight(), 1);
    proxy.client.abort();
    proxy.front.closed().await;
    assert_eq!(proxy.back.calls_in_flight(), 0);
    assert!(proxy.back.health());
}

#[tokio::test(start_paused = true)]
async fn a_caller_that_only_closed_its_sending_half_gets_its_reply() {
    let (back, mut backend) = bare(&Peer::builder().build().unwrap(), 4096).await;
    let proxy = Peer::builder()
        .plugin(Proxy::new(Forward::to(back)))
        .build()
        .unwrap();
    let (_front, mut client) = bare(&proxy, 4096).await;
    client
        .write_all(&RawFrame::call("A", "/x", "1").bytes())
        .await
        .unwrap();
    client.shutdown().await.unwrap();
    let seen = read_frame(&mut backend).await.unwrap().unwrap();
    backend
        .write_all(&RawFrame::reply(&seen.seq, "2").bytes())
        .await
        .unwrap();
    let reply = read_frame(&mut client).await.unwrap().unwrap();
    assert_eq!(reply, RawFrame::reply("A", "2"));
}

async fn backend(name: &'static str) -> Arc<dyn Caller> {
    struct Named(&'static str);
    impl teleport::router::UnknownCallHandler for Named {
        type Reply = String;
        async fn handle<'a>(&'a self, ctx: &'a mut UnknownCallCtx) -> Result<String, Rerror> {
            Ok(format!("{} {}", self.0, ctx.path()))
        }
    }
    let peer = Peer::builder().build().unwrap();
    peer.set_unknown_call(Named(name)).unwrap();
    let (_there, here) = connect(&peer, &Peer::builder().build().unwrap()).await;
    Arc::new(here)
}

#[tokio::test]
async fn the_backend_is_found_by_a_label_from_the_session_the_meta_or_the_path() {
    let backends = HashMap::from([
        ("one".to_owned(), backend("one").await),
        ("two".to_owned(), backend("two").await),
    ]);
    let by_label = Forward::by_label(
        |message| {
            let by_session = message.session().swap().get::<String>("label").cloned();
            let by_meta = message.meta().get("label").map(str::to_owned);
            let by_path = message.path().split('/').nth(1).unwrap_or_default();
            by_session.or(by_meta).unwrap_or_else(|| by_path.to_owned())
        },
        move |label| backends.get(label).cloned(),
    );
    let proxy = Peer::builder()
        .plugin(Proxy::new(by_label))
        .build()
        .unwrap();
    let (front, client) = connect(&proxy, &Peer::builder().build().unwrap()).await;
    let call = |uri| client.call::<String>(uri, ());
    assert_eq!(call("/one/x").await.unwrap(), "one /one/x");
    assert_eq!(call("/two/x?q=1").await.unwrap(), "two /two/x");
    assert_eq!(call("/x").meta("label", "two").await.unwrap(), "two /x");
    is_502(
        &call("/three/x").await.unwrap_err(),
        "no backend is labelled \"three\"",
    );
    front.swap_mut().insert("label", "one".to_owned());
    assert_eq!(call("/two/x").await.unwrap(), "one /two/x");
}

#[tokio::test]
async fn what_the_choice_refuses_is_the_answer() {
    let forward = Forward::by(|message| match message.query("token") {
        Some(_) => Err(Rerror::bad_gateway("no such place")),
        None => Err(Rerror::unauthorized("no token")),
    });
    let proxy = Peer::builder().plugin(Proxy::new(forward)).build().unwrap();
    let (_front, client) = connect(&proxy, &Peer::builder().build().unwrap()).await;
    let error = client.call::<()>("/x", ()).await.unwrap_err();
    assert_eq!(error.rerror(), Some(&Rerror::unauthorized("no token")));
    is_502(
        &client.call::<()>("/x?token=1", ()).await.unwrap_err(),
        "no such place",
    );
}

struct Own;

#[controller]
impl Own {
    fn it(&self, _ctx: &mut CallCtx) -> &'static str {
        "own"
    }
}

#[tokio::test]
async fn routes_of_the_proxy_come_first_and_either_kind_may_be_forwarded_alone() {
    for forwards_calls in [true, false] {
        let (back, mut backend) = bare(&Peer::builder().build().unwrap(), 4096).await;
        let forward = Forward::to(back);
        let plugin = match forwards_calls {
            true => Proxy::of_calls(forward),
            false => Proxy::of_pushes(forward),
        };
        let proxy = Peer::builder().plugin(plugin).build().unwrap();
        proxy.route_call(Own).unwrap();
        let (_front, client) = connect(&proxy, &Peer::builder().build().unwrap()).await;
        assert_eq!(client.call::<String>("/own/it", ()).await.unwrap(), "own");
        client.push("/x", ()).await.unwrap();
        let call = client.call::<()>("/x", ()).send().await.unwrap();
        let seen = read_frame(&mut backend).await.unwrap().unwrap();
        assert_eq!(seen.mtype == CALL, forwards_calls);
        if !forwards_calls {
            let error = call.await.unwrap_err();
            assert_eq!(error.rerror().unwrap().code(), 404);
        }
    }
    let taken = Peer::builder().plugin(Proxy::new(Forward::by(|_| Err(Rerror::not_found()))));
    let taken = taken.build().unwrap();
    let again = taken.set_unknown_call(Forward::by(|_| Err(Rerror::not_found())));
    assert_eq!(again.unwrap_err().kind(), ErrorKind::Route);
}

#[tokio::test]
async fn many_callers_get_their_own_replies_and_large_bodies_pass() {
    async fn echo(ctx: &mut UnknownCallCtx) -> Result<Raw<Bytes>, Rerror> {
        tokio::task::yield_now().await;
        Ok(Raw(ctx.body().clone()))
    }
    let server = Peer::builder().build().unwrap();
    server.set_unknown_call(echo).unwrap();
    let (_there, back) = connect(&server, &Peer::builder().build().unwrap()).await;
    let proxy = Peer::builder()
        .plugin(Proxy::new(Forward::to(back)))
        .build()
        .unwrap();
    let mut tasks = Vec::new();
    for client in 0..4_u8 {
        let (_front, session) = connect(&proxy, &Peer::builder().build().unwrap()).await;
        tasks.extend((0..25_u8).map(|n| {
            let session = session.clone();
            tokio::spawn(async move {
                let size = if n == 0 { 3 << 20 } else { 9 };
                let body = Bytes::from(vec![client * 25 + n; size]);
                let reply: Raw<Bytes> = session.call("/x", Raw(body.clone())).await.unwrap();
                assert_eq!(reply.0, body);
            })
        }));
    }
    for task in tasks {
        task.await.unwrap();
    }
}

/// Refuses what the proxy sends to its backend.
struct Refuses;

#[plugin]
impl Plugin for Refuses {
    fn name(&self) -> &str {
        "refuses"
    }

    fn pre_write_call(&self, _ctx: &mut WriteCtx) -> Result<(), Rerror> {
        Err(Rerror::new(9, "not out", ""))
    }
}

#[tokio::test]
async fn a_call_that_cannot_be_sent_on_is_502() {
    let peer = Peer::builder().plugin(Refuses).build().unwrap();
    let (back, _backend) = bare(&peer, 4096).await;
    let proxy = Peer::builder()
        .plugin(Proxy::new(Forward::to(back)))
        .build()
        .unwrap();
    let (_front, client) = connect(&proxy, &Peer::builder().build().unwrap()).await;
    is_502(&client.call::<()>("/x", ()).await.unwrap_err(), "not out");
}

#[tokio::test(start_paused = true)]
async fn a_caller_that_gives_its_call_up_gives_up_the_one_to_the_backend() {
    let [client, dials] = [true, true].map(|tells| Peer::builder().propagate(tells));
    let mut proxy = by_hand_of([client, Peer::builder(), dials], |forward| forward).await;
    let started = tokio::time::Instant::now();
    let call = proxy.client.call::<String>("/x", "1").send().await.unwrap();
    let seen = proxy.request().await;
    assert_eq!(proxy.back.calls_in_flight(), 1);
    drop(call);
    let notice = proxy.request().await;
    assert_eq!((notice.mtype, &*notice.seq), (REPLY, "~notice"));
    assert_eq!(
        notice.meta_value("X-Notice-Seq").as_ref(),
        Some(&seen.seq),
        "{notice:?}"
    );
    assert_eq!(proxy.back.calls_in_flight(), 0);
    assert_eq!(started.elapsed(), Duration::ZERO);
    // What the backend answers all the same disturbs nobody.
    proxy.answer(RawFrame::reply(&seen.seq, "\"late\"")).await;
    let call = proxy.client.call::<String>("/x", "2").send().await.unwrap();
    let seen = proxy.request().await;
    proxy.answer(RawFrame::reply(&seen.seq, "\"y\"")).await;
    assert_eq!(call.await.unwrap(), "y");
}

#[tokio::test(start_paused = true)]
async fn a_caller_that_runs_out_of_time_gives_up_the_call_to_the_backend() {
    let proxies = || [Peer::builder(), Peer::builder(), Peer::builder()];
    let aged = || {
        let [client, proxy, dials] = proxies();
        [
            client,
            proxy.default_context_age(Duration::from_secs(2)),
            dials,
        ]
    };
    let mut proxy = by_hand_of(aged(), |forward| forward).await;
    let call = proxy.client.call::<()>("/x", ()).send().await.unwrap();
    proxy.request().await;
    let error = call.await.unwrap_err();
    assert_eq!(error.rerror().unwrap().code(), 408, "{error}");
    settle().await;
    assert_eq!(proxy.back.calls_in_flight(), 0);
    assert!(proxy.front.health() && proxy.back.health());
}

#[tokio::test(start_paused = true)]
async fn a_caller_that_would_not_listen_any_more_gives_its_call_up_when_it_is_gone() {
    let (back, mut backend) = bare(&Peer::builder().build().unwrap(), 4096).await;
    let proxy = Peer::builder().plugin(Proxy::new(Forward::to(back.clone())));
    let proxy = proxy.build().unwrap();
    let started = tokio::time::Instant::now();
    for (meta, waits) in [("X-Remaining-Ms", false), ("", true)] {
        let (front, mut client) = bare(&proxy, 4096).await;
        let call = RawFrame::call("A", "/x", "1").meta(meta);
        client.write_all(&call.bytes()).await.unwrap();
        read_frame(&mut backend).await.unwrap().unwrap();
        assert_eq!(back.calls_in_flight(), 1);
        client.shutdown().await.unwrap();
        front.closed().await;
        assert_eq!(back.calls_in_flight(), 0);
        assert_eq!(started.elapsed().as_secs(), u64::from(waits));
    }
}

/// Takes its time with each call.
struct Slow;

#[plugin]
impl Plugin for Slow {
    fn name(&self) -> &str {
        "slow"
    }

    async fn post_read_call_header(&self, _ctx: &mut ReadCtx) -> Result<(), Rerror> {
        tokio::time::sleep(Duration::from_secs(2)).await;
        Ok(())
    }
}

#[tokio::test(start_paused = true)]
async fn what_is_left_of_the_callers_time_goes_on_once_and_less_what_passed() {
    for tells in [false, true] {
        let proxy = Peer::builder().plugin(Slow);
        let dials = Peer::builder().propagate(tells);
        let mut proxy = by_hand_of([Peer::builder(), proxy, dials], |forward| forward).await;
        let call = proxy.client.call::<()>("/x", ());
        let call = call
            .meta("a", "1")
            .meta("X-Remaining-Ms", "5000")
            .meta("b", "2");
        let _call = call.send().await.unwrap();
        let seen = proxy.request().await;
        let [first, time, last, _address] = seen.meta.split('&').collect::<Vec<_>>()[..] else {
            panic!("{}", seen.meta);
        };
        assert_eq!((first, time, last), ("a=1", "X-Remaining-Ms=3000", "b=2"));
        // Who set no limit sets none behind the proxy.
        let call = proxy.client.call::<()>("/x", ()).meta("X-Remaining-Ms", "");
        let _call = call.send().await.unwrap();
        let seen = proxy.request().await;
        assert!(
            seen.meta.starts_with("X-Remaining-Ms&X-Real-IP="),
            "{}",
            seen.meta
        );
    }
}

#[tokio::test]
async fn a_message_without_a_codec_goes_on_in_the_default_one() {
    let (back, mut backend) = bare(&Peer::builder().build().unwrap(), 4096).await;
    let proxy = Peer::builder().plugin(Proxy::new(Forward::to(back)));
    let (_front, mut client) = bare(&proxy.build().unwrap(), 4096).await;
    for body in ["", "\x00 any"] {
        let call = RawFrame::call("A", "/x", body).codec(0);
        client.write_all(&call.bytes()).await.unwrap();
        let seen = read_frame(&mut backend).await.unwrap().unwrap();
        assert_eq!((seen.codec, &*seen.body), (codec::JSON, body.as_bytes()));
        let reply = RawFrame::reply(&seen.seq, "").codec(0);
        backend.write_all(&reply.bytes()).await.unwrap();
        let reply = read_frame(&mut client).await.unwrap().unwrap();
        assert_eq!(reply, RawFrame::reply("A", "").codec(0));
        let push = RawFrame::push("B", "/x", body).codec(0);
        client.write_all(&push.bytes()).await.unwrap();
        let seen = read_frame(&mut backend).await.unwrap().unwrap();
        assert_eq!((seen.mtype, seen.codec), (PUSH, codec::JSON));
    }
}

async fn named(ctx: &mut UnknownCallCtx) -> Result<String, Rerror> {
    Ok(ctx.path().to_owned())
}

#[tokio::test(start_paused = true)]
async fn a_backend_that_is_dialled_again_gets_the_calls_that_waited_for_it() {
    let server = Peer::builder().build().unwrap();
    server.set_unknown_call(named).unwrap();
    let exchange = Exchange::new(&server);
    let dials = Peer::builder().redial_times(-1).build().unwrap();
    let back = dials.dial_by(exchange.connector()).await.unwrap();
    let forward = Forward::to(back).timeout(Duration::from_secs(60));
    let proxy = Peer::builder().plugin(Proxy::new(forward)).build().unwrap();
    let (_front, client) = connect(&proxy, &Peer::builder().build().unwrap()).await;
    assert_eq!(client.call::<String>("/a", ()).await.unwrap(), "/a");
    exchange.go_down();
    settle().await;
    let waits = client.call::<String>("/b", ()).send().await.unwrap();
    settle().await;
    exchange.set_up(true);
    assert_eq!(waits.await.unwrap(), "/b");
    // One that does not come back in time is 502.
    exchange.go_down();
    settle().await;
    is_502(&client.call::<String>("/c", ()).await.unwrap_err(), "60s");
    exchange.set_up(true);
    tokio::time::sleep(Duration::from_secs(60)).await;
    assert_eq!(client.call::<String>("/d", ()).await.unwrap(), "/d");
}

#[tokio::test]
async fn a_sequence_text_that_does_not_fit_any_more_is_502() {
    let proxy = by_hand(|forward| forward).await;
    let call = proxy.client.call::<()>("/x", ()).seq("s".repeat(65_530));
    is_502(&call.await.unwrap_err(), "seq");
    assert!(proxy.front.health() && proxy.back.health());
}
