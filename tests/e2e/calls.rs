//! What can be said about a call or a push, and what is seen of it on the other end.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use serde::{Deserialize, Serialize};
use teleport::codec::{self, Protobuf, Raw};
use teleport::rerror::code;
use teleport::session::Request;
use teleport::{
    CallCtx, Caller, CallerExt, Error, ErrorKind, Peer, PushCtx, Rerror, controller, push_handler,
};
use teleport_tests::frames::{RawFrame, read_frame};
use teleport_tests::pair::{Pair, bare, call_bytes};
use tokio::io::AsyncWriteExt;
use tokio::sync::mpsc::{UnboundedSender, unbounded_channel};

/// A message as its handler saw it.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
struct Seen {
    uri: String,
    path: String,
    query: Vec<(String, String)>,
    meta: Vec<(String, String)>,
    seq: String,
    codec: u8,
    xfer: Vec<u8>,
    real_ip: String,
    sized: bool,
}

fn seen(received: &teleport::context::Received) -> Seen {
    let text = |bytes: &[u8]| String::from_utf8(bytes.to_vec()).unwrap();
    Seen {
        uri: received.uri().to_string(),
        path: received.path().to_owned(),
        query: ["a", "b"]
            .into_iter()
            .filter_map(|key| Some((key.to_owned(), received.query(key)?.to_owned())))
            .collect(),
        meta: received
            .meta()
            .iter()
            .map(|(k, v)| (text(k), text(v)))
            .collect(),
        seq: received.seq().to_string(),
        codec: received.body_codec(),
        xfer: received.xfer().ids().to_vec(),
        real_ip: received.real_ip(),
        sized: received.size() >= 14,
    }
}

struct Look;

#[controller]
impl Look {
    async fn at(&self, ctx: &mut CallCtx, _arg: Bytes) -> Seen {
        seen(ctx)
    }

    async fn add(&self, ctx: &mut CallCtx, arg: String) -> Result<String, Rerror> {
        ctx.set_meta("k", "first");
        ctx.set_meta("k", "1");
        ctx.add_meta("k", "2");
        assert_eq!(ctx.reply_meta().len(), 2);
        if let Some(ids) = ctx.query("xfer") {
            let ids = ids.as_bytes().to_vec();
            ctx.add_xfer(&ids)?;
        }
        if ctx.query("plain").is_some() {
            ctx.set_body_codec(codec::PLAIN);
        }
        match ctx.query("fail") {
            Some(_) => Err(Rerror::new(7, "no", "asked to fail")),
            None => Ok(arg),
        }
    }
}

#[derive(Clone)]
struct Heard(UnboundedSender<Seen>);

#[push_handler]
impl Heard {
    async fn it(&self, ctx: &mut PushCtx, _arg: Bytes) -> Result<(), Rerror> {
        self.0.send(seen(ctx)).unwrap();
        Err(Rerror::new(9, "nobody is told", ""))
    }
}

async fn looking() -> Pair {
    let pair = Pair::new().await;
    pair.server.route_call(Look).unwrap();
    pair
}

#[tokio::test]
async fn a_handler_sees_all_that_was_said_about_a_call() {
    let pair = looking().await;
    let reply: Seen = pair
        .here
        .call("/look/at?b=x", Raw("{}"))
        .query("a", "1 2")
        .meta("k", "v")
        .meta("k", "w ü")
        .meta("X-Real-IP", "1.2.3.4:5")
        .seq("own")
        .xfer(b"gm")
        .await
        .unwrap();
    let pair_of = |(k, v): (&str, &str)| (k.to_owned(), v.to_owned());
    let expected = Seen {
        uri: "/look/at?a=1+2&b=x".to_owned(),
        path: "/look/at".to_owned(),
        query: [("a", "1 2"), ("b", "x")].map(pair_of).to_vec(),
        meta: [("k", "v"), ("k", "w ü"), ("X-Real-IP", "1.2.3.4:5")]
            .map(pair_of)
            .to_vec(),
        seq: "own".to_owned(),
        codec: codec::JSON,
        xfer: b"gm".to_vec(),
        real_ip: "1.2.3.4:5".to_owned(),
        sized: true,
    };
    assert_eq!(reply, expected);
}

#[tokio::test]
async fn a_push_handler_sees_the_same_and_gives_no_answer() {
    let server = Peer::builder().build().unwrap();
    let (tell, mut told) = unbounded_channel();
    server.route_push(Heard(tell)).unwrap();
    let (session, mut stream) = bare(&server, 1 << 16).await;
    let pushes = [
        RawFrame::push("A", "/heard/it?a=1", "x").meta("k=v"),
        RawFrame::push("B", "/no/such/route", "x"),
        RawFrame::push("C", "", "x"),
        RawFrame::push("D", "/heard/it", "x").codec(200),
    ];
    for push in pushes {
        stream.write_all(&push.bytes()).await.unwrap();
    }
    let heard = told.recv().await.unwrap();
    assert_eq!((heard.seq.as_str(), heard.meta.len()), ("A", 1));
    assert_eq!(told.recv().await.unwrap().codec, 200);
    // What comes back first is the answer to a call.
    let call = RawFrame::call("E", "/none", "");
    stream.write_all(&call.bytes()).await.unwrap();
    assert_eq!(read_frame(&mut stream).await.unwrap().unwrap().seq, "E");
    assert!(session.health());
}

#[tokio::test]
async fn a_command_tells_all_about_its_reply() {
    let pair = looking().await;
    let cmd = pair
        .here
        .call::<String>("/look/add?xfer=gm&plain=1", "text")
        .send()
        .await
        .unwrap();
    assert_eq!(cmd.seq().to_string(), "A");
    let reply = cmd.reply().await.unwrap();
    assert_eq!(reply.body, "text");
    assert_eq!(reply.body_codec, codec::PLAIN);
    assert_eq!(reply.xfer.ids(), b"gm");
    assert_eq!(reply.meta.get_all("k").collect::<Vec<_>>(), [b"1", b"2"]);
    assert!(reply.size > 14 && reply.cost > Duration::ZERO);
    assert!(reply.rerror().is_none());

    let cmd = pair.here.call::<String>("/look/add?fail=1", "text").send();
    let raw = cmd.await.unwrap().raw_reply().await.unwrap();
    assert_eq!(raw.rerror().unwrap().code(), 7);
    assert_eq!(raw.meta.get_all("k").count(), 2);
    assert_eq!((raw.body_codec, raw.body.len()), (codec::NONE, 0));

    let error = pair.here.call::<String>("/look/add?fail=1", "x").await;
    let error = error.unwrap_err();
    assert!(error.is_remote() && !error.may_retry());
    assert_eq!(error.to_string(), "7 no: asked to fail");

    let error = pair.here.call::<String>("/look/add?xfer=z", "x").await;
    assert!(error.unwrap_err().to_string().contains("id 122"));
}

#[derive(Clone, PartialEq, prost::Message, Serialize, Deserialize)]
struct Sum {
    #[prost(int32, tag = "1")]
    a: i32,
    #[prost(int32, tag = "2")]
    b: i32,
}

struct Math;

#[controller]
impl Math {
    async fn add(&self, arg: Sum) -> Sum {
        Sum {
            a: arg.a + arg.b,
            b: 0,
        }
    }
}

#[tokio::test]
async fn one_handler_answers_in_every_codec_of_its_types() {
    let pair = Pair::new().await;
    pair.server.route_call(Math).unwrap();
    let arg = Sum { a: 3, b: 4 };
    for id in [codec::JSON, codec::FORM] {
        let call = pair.here.call::<Sum>("/math/add", &arg).body_codec(id);
        let reply = call.send().await.unwrap().reply().await.unwrap();
        assert_eq!((reply.body.a, reply.body_codec), (7, id));
    }
    let reply: Protobuf<Sum> = pair
        .here
        .call("/math/add", Protobuf(&arg))
        .body_codec(codec::PROTOBUF)
        .await
        .unwrap();
    assert_eq!(reply.0.a, 7);

    // An accepted codec changes the reply alone; one that nobody knows changes nothing.
    let call = pair.here.call::<Protobuf<Sum>>("/math/add", &arg);
    let call = call.accept_codec(codec::PROTOBUF).send().await.unwrap();
    let reply = call.reply().await.unwrap();
    assert_eq!((reply.body.0.a, reply.body_codec), (7, codec::PROTOBUF));
    let call = pair.here.call::<Sum>("/math/add", &arg).accept_codec(200);
    let reply = call.send().await.unwrap().reply().await.unwrap();
    assert_eq!(reply.body_codec, codec::JSON);

    // Empty bodies are zeros.
    let zero: Sum = pair
        .here
        .call("/math/add", ())
        .body_codec(codec::FORM)
        .await
        .unwrap();
    assert_eq!(zero.a, 0);

    // What the types do not speak is named.
    let error = pair
        .here
        .call::<Sum>("/math/add", Raw("5"))
        .body_codec(codec::PLAIN);
    let error = error.await.unwrap_err();
    let rerror = error.rerror().unwrap();
    assert_eq!(rerror.code(), code::BAD_MESSAGE);
    assert!(
        rerror.reason().contains("plain") && rerror.reason().contains("Sum"),
        "{rerror}"
    );
}

#[tokio::test]
async fn the_default_codec_of_a_peer_is_used_where_none_is_said() {
    let pair = Pair::of(Peer::builder(), Peer::builder().default_body_codec("plain")).await;
    pair.server.route_call(Look).unwrap();
    let cmd = pair.here.call::<Raw<Bytes>>("/look/add", "text").send();
    let reply = cmd.await.unwrap().reply().await.unwrap();
    assert_eq!(
        (reply.body_codec, &reply.body.0[..]),
        (codec::PLAIN, &b"text"[..])
    );
    // Codec 0 in a call becomes the default too.
    let call = pair
        .here
        .call::<Seen>("/look/at", "x")
        .body_codec(codec::NONE);
    assert_eq!(
        call.accept_codec(codec::JSON).await.unwrap().codec,
        codec::PLAIN
    );
}

#[tokio::test]
async fn a_reply_that_does_not_decode_is_an_error_of_the_caller() {
    let pair = looking().await;
    let error = pair.here.call::<u8>("/look/add", "text").await.unwrap_err();
    assert_eq!(error.kind(), ErrorKind::Decode);
    assert_eq!(Rerror::from(error).code(), code::BAD_MESSAGE);
    let (session, mut stream) = bare(&pair.client, 1 << 16).await;
    let call = tokio::spawn(async move { session.call::<u8>("/x", ()).await });
    let seq = read_frame(&mut stream).await.unwrap().unwrap().seq;
    let reply = RawFrame::reply(&seq, "nonsense").codec(0);
    stream.write_all(&reply.bytes()).await.unwrap();
    assert_eq!(call.await.unwrap().unwrap_err().kind(), ErrorKind::Decode);
}

#[tokio::test]
async fn many_calls_at_a_time_find_their_replies() {
    let pair = looking().await;
    let mut cmds = BTreeMap::new();
    for n in 0..1000 {
        let text = format!("text {n}");
        let cmd = pair.here.call::<String>("/look/add", &text).send().await;
        cmds.insert(text, cmd.unwrap());
    }
    assert_eq!(pair.here.calls_in_flight(), 1000);
    for (text, cmd) in cmds.into_iter().rev() {
        assert_eq!(cmd.await.unwrap(), text);
    }
    assert_eq!(pair.here.calls_in_flight(), 0);
}

/// Somebody who knows only that there is a [`Caller`].
async fn ask(caller: &dyn Caller) -> Result<String, Error> {
    caller.push_as("/heard/it", 1).await?;
    caller.call_as("/look/add", "by a caller").await
}

#[tokio::test]
async fn a_session_is_a_caller() {
    let pair = looking().await;
    let (tell, mut told) = unbounded_channel();
    pair.server.route_push(Heard(tell)).unwrap();
    let caller: Arc<dyn Caller> = Arc::new(pair.here.clone());
    assert_eq!(ask(&*caller).await.unwrap(), "by a caller");
    assert_eq!(told.recv().await.unwrap().path, "/heard/it");
    let mut request = Request::new("/look/add?fail=1", codec::JSON, "\"x\"");
    request.meta.add("a", "b");
    request.seq = Some("own".into());
    request.timeout = Some(Duration::from_secs(60));
    let reply = caller.call_raw(request).await.unwrap();
    assert_eq!(reply.rerror().unwrap().code(), 7);
    let none: Result<(), _> = caller.call_as("/none", ()).await;
    assert_eq!(none.unwrap_err().rerror().unwrap().code(), code::NOT_FOUND);
}

struct Echo;

#[controller]
impl Echo {
    async fn it(&self, arg: Bytes) -> Bytes {
        arg
    }

    async fn of_size(&self, arg: usize) -> Bytes {
        vec![b'x'; arg].into()
    }
}

#[tokio::test]
async fn a_mebibyte_goes_both_ways_by_every_filter() {
    let pair = Pair::new().await;
    pair.server.route_call(Echo).unwrap();
    pair.client.route_call(Echo).unwrap();
    let body: Bytes = (0..1 << 20).map(|n: u32| (n * 7 / 3) as u8).collect();
    for session in [&pair.here, &pair.there] {
        for xfer in [&b""[..], b"m", b"g", b"gmg"] {
            let call = session
                .call::<Raw<Bytes>>("/echo/it", Raw(&body))
                .xfer(xfer);
            assert!(call.await.unwrap().0 == body);
        }
    }
    // Several at once, by tcp.
    let address = pair
        .server
        .listen_on("127.0.0.1:0")
        .await
        .unwrap()
        .to_string();
    let session = pair.client.dial(&address).await.unwrap();
    let calls: Vec<_> = (0..8)
        .map(|_| {
            let (session, body) = (session.clone(), body.clone());
            tokio::spawn(async move { call_bytes(&session, "/echo/it", body).await })
        })
        .collect();
    for call in calls {
        assert!(call.await.unwrap().unwrap() == body);
    }
}

#[tokio::test]
async fn messages_beyond_the_limit_are_refused_on_both_sides() {
    let pair = Pair::of(
        Peer::builder().message_limit(4000),
        Peer::builder().message_limit(8000),
    )
    .await;
    pair.server.route_call(Echo).unwrap();
    // This side does not send what is too large for itself.
    let error = call_bytes(&pair.here, "/echo/it", vec![0; 9000])
        .await
        .unwrap_err();
    assert_eq!(error.kind(), ErrorKind::Encode);
    let text = format!("{error:?}");
    assert!(text.contains("8000") && text.contains("limit"), "{text}");
    let error = pair
        .here
        .push("/echo/it", vec![0_u8; 9000])
        .await
        .unwrap_err();
    assert_eq!(error.kind(), ErrorKind::Encode);
    assert_eq!(call_bytes(&pair.here, "/echo/it", "x").await.unwrap(), "x");

    // A reply that is too large is an error to the caller.
    let error = call_bytes(&pair.here, "/echo/of/size", "5000")
        .await
        .unwrap_err();
    let rerror = error.rerror().unwrap();
    assert_eq!(rerror.code(), code::INTERNAL);
    assert!(rerror.reason().contains("4000"), "{rerror}");
    assert!(pair.here.health());

    // What the other side may not read costs the connection.
    let error = call_bytes(&pair.here, "/echo/it", vec![0; 5000])
        .await
        .unwrap_err();
    assert!(error.is_closed(), "{error:?}");
    let reason = pair.there.close_reason().unwrap();
    assert!(
        reason.contains("4000") && reason.contains("limit"),
        "{reason}"
    );
}
