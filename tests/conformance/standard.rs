//! The standard peer, apart from any recording.

use std::collections::BTreeSet;
use std::sync::Arc;

use bytes::Bytes;
use serde_json::{Value, json};
use teleport::codec::{JSON, PLAIN, PROTOBUF};
use teleport::message::Mtype;
use teleport::proto::RawProto;
use teleport::socket::Socket;
use teleport::{Message, Peer, Session};
use teleport_tests::standard::call::{Arg, Shown, Spec, call, kind_of_result};
use teleport_tests::standard::routes::PbTest;
use teleport_tests::standard::{BROADCAST, Notes, Options, client, server};

/// Both ends of a connection, and the pushes that the server noted.
struct Pair {
    server: Peer,
    session: Session,
    noted: Notes,
}

async fn pair(options: &Options) -> Pair {
    let noted = Notes::default();
    let server = server(options, &noted).unwrap();
    let client = client(&Options::default(), &Notes::default(), |builder| builder);
    let (ours, theirs) = tokio::io::duplex(64 * 1024);
    server.serve_conn(theirs).await.unwrap();
    let session = client.unwrap().dial_conn(ours).await.unwrap();
    Pair {
        server,
        session,
        noted,
    }
}

#[tokio::test]
async fn the_table_is_whole() {
    let pair = pair(&Options::default()).await;
    let routes: BTreeSet<_> = pair
        .server
        .routes()
        .iter()
        .map(|route| format!("{:?} {}", route.kind(), route.path()))
        .collect();
    let calls = [
        "/math/add",
        "/test/boom",
        "/test/bytes",
        "/test/call_back",
        "/test/codec_set",
        "/test/div",
        "/test/echo",
        "/test/fail",
        "/test/meta_echo",
        "/test/nothing",
        "/test/pb_add",
        "/test/pipe_add",
        "/test/sleep",
    ];
    let pushes = ["/push/boom", "/push/fail", "/push/status"];
    let due: BTreeSet<_> = calls
        .iter()
        .map(|path| format!("Call {path}"))
        .chain(pushes.iter().map(|path| format!("Push {path}")))
        .collect();
    assert_eq!(routes, due);
}

/// A call of the table and its result, or the code and the reason of its error.
type Row = (&'static str, u8, Arg, Result<Value, (i32, &'static str)>);

#[tokio::test(start_paused = true)]
async fn every_call_of_the_table_is_answered() {
    let text = || Arg::Text("t".to_owned());
    let numbers = |a, b| Arg::PbTest(PbTest { a, b });
    let rows: Vec<Row> = vec![
        ("/math/add", JSON, Arg::Ints(vec![1, 2, -5]), Ok(json!(-2))),
        ("/math/add", JSON, Arg::Raw(Bytes::new()), Ok(json!(0))),
        ("/test/echo", JSON, text(), Ok(json!("t"))),
        ("/test/echo", PLAIN, text(), Ok(json!("t"))),
        ("/test/fail", JSON, text(), Err((1001, "reason: t"))),
        ("/test/boom", JSON, text(), Err((500, "boom: t"))),
        ("/test/div", JSON, numbers(7, 2), Ok(json!(3))),
        (
            "/test/div",
            JSON,
            numbers(7, 0),
            Err((500, "runtime error: integer divide by zero")),
        ),
        (
            "/test/pb_add",
            JSON,
            numbers(5, 5),
            Ok(json!({"a": 10, "b": 0})),
        ),
        (
            "/test/pb_add",
            PROTOBUF,
            numbers(5, 5),
            Ok(json!({"a": 10, "b": 0})),
        ),
        (
            "/test/bytes",
            JSON,
            Arg::Raw(Bytes::from_static(b"raw")),
            Ok(json!("got:raw")),
        ),
        ("/test/nothing", JSON, text(), Ok(Value::Null)),
        ("/test/sleep", JSON, Arg::Int(60_000), Ok(json!(60_000))),
        ("/test/meta_echo?q=1", JSON, text(), Ok(json!("t"))),
        ("/test/pipe_add", JSON, text(), Ok(json!("t"))),
        ("/test/codec_set", JSON, text(), Ok(json!("t"))),
        (
            "/test/call_back",
            JSON,
            text(),
            Ok(json!("t|hello from server")),
        ),
        ("/test/none", JSON, text(), Err((404, ""))),
    ];
    let pair = pair(&Options::default()).await;
    for xfer in [&b""[..], b"m", b"g", b"gm"] {
        for (uri, codec, arg, due) in &rows {
            let spec = Spec {
                uri: (*uri).to_owned(),
                arg: arg.clone(),
                codec: *codec,
                meta: Vec::new(),
                xfer: xfer.to_vec(),
                seq: None,
            };
            let ours = match call(&pair.session, &spec, kind_of_result(uri.as_bytes())).await {
                Ok(answer) => Ok(answer.result),
                Err(error) => Err(error.rerror().unwrap().clone()),
            };
            let ours = ours
                .as_ref()
                .map_err(|error| (error.code(), error.reason()));
            let due = due.clone().map(Shown::Json);
            assert_eq!(ours, due.as_ref().map_err(|error| *error), "{uri}");
        }
    }
}

#[tokio::test]
async fn metadata_comes_back_in_order_with_seq_path_and_query() {
    let pair = pair(&Options::default()).await;
    let call = pair
        .session
        .call::<String>("/test/meta_echo?q=1&x=2", "text")
        .meta("k", "v")
        .meta("k", "w");
    let reply = call.send().await.unwrap().reply().await.unwrap();
    assert_eq!(reply.body, "text");
    let meta: Vec<_> = reply.meta.iter().collect();
    let due: [(&[u8], &[u8]); 5] = [
        (b"echo-k", b"v"),
        (b"echo-k", b"w"),
        (b"seq", b"A"),
        (b"path", b"/test/meta_echo"),
        (b"q", b"1"),
    ];
    assert_eq!(meta, due);
}

#[tokio::test]
async fn what_is_pushed_after_a_call_comes_behind_its_reply_and_once() {
    let options = Options {
        push_after_call: true,
        ..Options::default()
    };
    let server = server(&options, &Notes::default()).unwrap();
    let (ours, theirs) = tokio::io::duplex(64 * 1024);
    server.serve_conn(theirs).await.unwrap();
    let mut socket = Socket::new(ours, &RawProto, Arc::default());
    let call = |seq| {
        Message::new(Mtype::CALL, "/math/add", "[1,2]")
            .with_seq(seq)
            .with_body_codec(JSON)
    };
    let mut came = Vec::new();
    for seq in ["x", "y"] {
        socket.write_message(&call(seq)).await.unwrap();
        came.push(socket.read_message().await.unwrap().unwrap());
        if seq == "x" {
            came.push(socket.read_message().await.unwrap().unwrap());
        }
    }
    let came: Vec<_> = came
        .iter()
        .map(|message| {
            let header = &message.header;
            (header.mtype, header.seq.to_string(), message.body.clone())
        })
        .collect();
    let due = [
        (Mtype::REPLY, "x".to_owned(), Bytes::from("3")),
        (Mtype::PUSH, "A".to_owned(), format!("{BROADCAST:?}").into()),
        (Mtype::REPLY, "y".to_owned(), "3".into()),
    ];
    assert_eq!(came, due);
}

#[tokio::test]
async fn pushes_are_noted_and_their_failures_told_to_nobody() {
    let pair = pair(&Options::default()).await;
    for path in ["/push/fail", "/push/boom", "/push/none", "/push/status"] {
        pair.session.push(path, "text").await.unwrap();
    }
    let sum: i64 = pair.session.call("/math/add", [4]).await.unwrap();
    assert_eq!(sum, 4);
    let noted: Vec<_> = pair.noted.all().into_iter().map(|note| note.path).collect();
    assert_eq!(noted, ["/push/status"]);
}
