//! The standard peer and its program, apart from any recording.

use std::collections::BTreeSet;
use std::io::{BufRead, BufReader, Read, Write};
use std::process::{Child, ChildStdin, ChildStdout, Command, Output, Stdio};

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

/// The program in the middle of its work.
struct Program {
    child: Child,
    input: Option<ChildStdin>,
    output: BufReader<ChildStdout>,
}

fn program(args: &[&str]) -> Command {
    let mut command = Command::new(env!("CARGO_BIN_EXE_conformance-peer"));
    command.args(args).env_remove("RUST_BACKTRACE");
    command
}

impl Program {
    fn start(args: &[&str]) -> Self {
        let mut child = program(args)
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .stderr(Stdio::null())
            .spawn()
            .unwrap();
        let input = child.stdin.take();
        let output = BufReader::new(child.stdout.take().unwrap());
        Self {
            child,
            input,
            output,
        }
    }

    fn line(&mut self) -> String {
        let mut line = String::new();
        self.output.read_line(&mut line).unwrap();
        line.trim_end().to_owned()
    }

    fn json(&mut self) -> Value {
        let line = self.line();
        serde_json::from_str(&line).unwrap_or_else(|error| panic!("{line:?}: {error}"))
    }

    /// Writes a call line and reads the answer.
    fn call(&mut self, call: &Value) -> Value {
        let input = self.input.as_mut().unwrap();
        writeln!(input, "{call}").unwrap();
        self.json()
    }
}

impl Drop for Program {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

#[test]
fn the_program_calls_as_its_input_says_and_prints_what_comes() {
    let mut server = Program::start(&["--push-after-call"]);
    let address = server.line();
    let mut client = Program::start(&["dial", &address]);
    let sum = client.call(&json!({"uri": "/math/add?author=henrylee2cn", "arg": [1, 2, 3, 4, 5]}));
    assert_eq!(sum, json!({"result": 15}));
    let push = client.json();
    assert_eq!(
        (&push["type"], &push["uri"]),
        (&json!("push"), &json!("/push/status"))
    );
    assert_eq!(push["body"], format!("{BROADCAST:?}"));
    let calls = [
        (
            json!({"uri": "/test/pb_add", "arg": {"a": 5, "b": 5}}),
            json!({"result": {"a": 10, "b": 0}}),
        ),
        (
            json!({"uri": "/test/pb_add", "arg": {"a": 1, "b": 2}, "codec": "protobuf"}),
            json!({"result": {"a": 3, "b": -1}}),
        ),
        (
            json!({"uri": "/test/div", "arg": {"a": 6, "b": 4}, "codec": "json"}),
            json!({"result": 1}),
        ),
        (
            json!({"uri": "/test/bytes", "arg_hex": "00ff"}),
            json!({"result_hex": "676f743a00ff"}),
        ),
        (
            json!({"uri": "/test/nothing", "codec": 112}),
            json!({"result": null}),
        ),
        (
            json!({"uri": "/test/call_back", "arg": "outer"}),
            json!({"result": "outer|hello from server"}),
        ),
        (
            json!({"uri": "/test/echo", "arg": "x", "codec": "plain", "xfer": [103, 109], "seq": "own",
                "meta": [["X-Accept-Body-Codec", "106"]]}),
            json!({"result": "x"}),
        ),
        (
            json!({"uri": "/test/fail", "arg": "why"}),
            json!({"error": {"code": 1001, "message": "custom message", "reason": "reason: why"}}),
        ),
        (
            json!({"uri": "/no"}),
            json!({"error": {"code": 404, "message": "Not Found", "reason": ""}}),
        ),
    ];
    for (call, due) in calls {
        assert_eq!(client.call(&call), due, "{call}");
    }
    assert_eq!(client.call(&json!("no call"))["error"]["code"], 400);
    drop(client.input.take());
    let mut rest = String::new();
    client.output.read_to_string(&mut rest).unwrap();
    assert_eq!(rest, "");
    assert_eq!(client.child.wait().unwrap().code(), Some(0));
}

#[test]
fn the_program_speaks_each_protocol() {
    for proto in ["raw", "json", "pb"] {
        let mut server = Program::start(&["--proto", proto, "--push-after-call"]);
        let address = server.line();
        let mut client = Program::start(&["--proto", proto, "dial", &address]);
        let call = json!({"uri": "/test/echo", "arg": "say \"hi\\\"\n", "xfer": [109]});
        assert_eq!(client.call(&call), json!({"result": "say \"hi\\\"\n"}));
        assert_eq!(client.json()["uri"], "/push/status");
    }
}

#[test]
fn the_program_fails_calls_on_a_lost_connection_and_goes_on() {
    let mut server = Program::start(&[]);
    let mut client = Program::start(&["dial", &server.line()]);
    assert_eq!(
        client.call(&json!({"uri": "/math/add", "arg": [1]})),
        json!({"result": 1})
    );
    drop(server);
    for _ in 0..2 {
        let error = client.call(&json!({"uri": "/test/sleep", "arg": 60_000}));
        assert_eq!(error["error"]["code"], 102, "{error}");
    }
    drop(client.input.take());
    assert_eq!(client.child.wait().unwrap().code(), Some(0));
}

#[test]
fn unknown_handlers_stand_in_place_of_the_routes() {
    let mut server = Program::start(&["--unknown", "--ignore-case", "--limit", "2000"]);
    let mut client = Program::start(&["dial", &server.line()]);
    let echo = client.call(&json!({"uri": "/Any/Thing", "arg": {"b": [1], "a": null}}));
    assert_eq!(echo, json!({"result": {"a": null, "b": [1]}}));
    let error = client.call(&json!({"uri": "/large", "arg": "x".repeat(2000)}));
    assert_eq!(error["error"]["code"], 102, "{error}");
}

#[test]
fn the_program_minds_ages_on_either_end() {
    let long = json!({"uri": "/test/sleep", "arg": 60_000});
    let echo = json!({"uri": "/test/echo", "arg": "x"});
    let mut server = Program::start(&["--context-age", "1.5s"]);
    let address = server.line();
    let mut patient = Program::start(&["dial", &address]);
    let error = patient.call(&long);
    assert_eq!(error["error"]["code"], 408, "{error}");
    let reason = error["error"]["reason"].as_str().unwrap_or_default();
    assert!(reason.contains("1.5s"), "{error}");
    assert_eq!(patient.call(&echo), json!({"result": "x"}));

    let mut server = Program::start(&[]);
    let address = server.line();
    let mut hasty = Program::start(&["--context-age", "1500ms", "dial", &address]);
    let error = hasty.call(&long);
    assert_eq!(error["error"]["code"], 408, "{error}");
    assert_eq!(hasty.call(&echo), json!({"result": "x"}));

    let mut ageing = Program::start(&["--session-age", "100ms", "dial", &address]);
    let error = ageing.call(&long);
    assert_eq!(error["error"]["code"], 102, "{error}");
    let mut server = Program::start(&["--session-age", "100ms"]);
    let mut client = Program::start(&["dial", &server.line()]);
    let brief = json!({"uri": "/test/sleep", "arg": 300});
    assert_eq!(client.call(&brief), json!({"result": 300}));
    assert_eq!(client.call(&brief)["error"]["code"], 102);
    for wrong in ["200", "soon", "-1s", "1.2.3s", "9e9s"] {
        let output = program(&["--context-age", wrong]).output().unwrap();
        assert_eq!(output.status.code(), Some(2), "{wrong}");
    }
}

#[test]
fn what_is_not_built_is_refused() {
    let refused = |args: &[&str]| -> Output { program(args).output().unwrap() };
    for args in [&["--ws", "/ws", "--sub", "json"][..], &["--sub", "pb"]] {
        let output = refused(args);
        assert_eq!(output.status.code(), Some(2), "{args:?}");
        let text = String::from_utf8(output.stderr).unwrap();
        assert!(text.contains("not built yet"), "{args:?}: {text}");
        assert!(output.stdout.is_empty(), "{args:?}");
    }
    for (args, due) in [
        (&["--proto", "xml"][..], "xml"),
        (&["--secure", "short"], "16, 24 or 32"),
        (
            &["dial", "127.0.0.1:1", "--proxy", "127.0.0.1:2"],
            "leave --proxy out",
        ),
        (&["--unknown", "--proxy", "127.0.0.1:2"], "leave one out"),
    ] {
        let output = refused(args);
        assert_eq!(output.status.code(), Some(2), "{args:?}");
        let text = String::from_utf8(output.stderr).unwrap();
        assert!(text.contains(due), "{args:?}: {text}");
    }
}

#[test]
fn both_ends_encrypt_with_a_key() {
    let mut server = Program::start(&["--secure", "cipherkey1234567"]);
    let address = server.line();
    let mut client = Program::start(&["dial", &address, "--secure", "cipherkey1234567"]);
    let call =
        json!({"uri": "/sec/add?x=1", "arg": {"A": 1, "B": 2}, "meta": [["X-Secure", "true"]]});
    assert_eq!(client.call(&call), json!({"result": {"C": 3}}));
    let fail = json!({"uri": "/sec/fail", "meta": [["X-Secure", "true"]]});
    assert_eq!(
        client.call(&fail)["error"],
        json!({"code": 7, "message": "no", "reason": ""})
    );
    let mut other = Program::start(&["dial", &address, "--secure", "another_key_7654"]);
    let error = &other.call(&call)["error"];
    assert_eq!(error["code"], 100_001, "{error}");
    assert_eq!(error["message"], "decrypt ciphertext error");
}

#[test]
fn a_proxy_forwards_to_its_backend_also_when_that_comes_later() {
    let mut proxy = Program::start(&["--proxy", "127.0.0.1:1"]);
    let mut client = Program::start(&["dial", &proxy.line()]);
    let add = json!({"uri": "/math/add", "arg": [1, 2]});
    let error = &client.call(&add)["error"];
    assert_eq!(
        (&error["code"], &error["message"]),
        (&json!(502), &json!("Bad Gateway"))
    );

    let mut backend = Program::start(&[]);
    let mut proxy = Program::start(&["--proxy", &backend.line()]);
    let mut client = Program::start(&["dial", &proxy.line()]);
    assert_eq!(client.call(&add), json!({"result": 3}));
    let error = client.call(&json!({"uri": "/test/fail", "arg": "x"}));
    assert_eq!(error["error"]["code"], 1001, "{error}");
}

#[test]
fn a_proxy_lets_nobody_in_who_does_not_say_its_text() {
    let mut backend = Program::start(&[]);
    let mut proxy = Program::start(&["--proxy", &backend.line(), "--auth", "secret", "--bind"]);
    let address = proxy.line();
    let add = json!({"uri": "/math/add", "arg": [1, 2]});
    let mut client = Program::start(&["dial", &address, "--auth", "secret"]);
    assert_eq!(client.call(&add), json!({"result": 3}));
    let divide = json!({"uri": "/bind/divide?y=1&_x=1", "arg": {"A": 10, "B": 5, "C": "1"}});
    assert_eq!(client.call(&divide), json!({"result": 2}));
    let mut silent = Program::start(&["dial", &address]);
    assert_eq!(silent.call(&add)["error"]["code"], 401);
}

#[cfg(unix)]
#[test]
fn a_signal_ends_the_server_in_order() {
    let mut server = Program::start(&[]);
    let mut client = Program::start(&["dial", &server.line()]);
    assert_eq!(
        client.call(&json!({"uri": "/math/add", "arg": [1]})),
        json!({"result": 1})
    );
    let killed = Command::new("kill")
        .arg(server.child.id().to_string())
        .status();
    assert!(killed.unwrap().success());
    assert_eq!(server.child.wait().unwrap().code(), Some(0));
}

#[test]
fn the_program_wants_and_says_a_text_and_answers_heartbeats() {
    let mut server = Program::start(&["--auth", "secret", "--pong"]);
    let address = server.line();
    let mut client = Program::start(&["dial", &address, "--auth", "secret"]);
    for call in [
        json!({"uri": "/heartbeat?hb_=5"}),
        json!({"uri": "/heartbeat?hb_=bad"}),
    ] {
        assert_eq!(client.call(&call), json!({"result": null}));
    }
    let refused = program(&["dial", &address, "--auth", "wrong"]).output();
    let refused = refused.unwrap();
    assert_eq!(refused.status.code(), Some(1));
    let text = String::from_utf8(refused.stderr).unwrap();
    assert!(text.contains("403 auth fail: auth fail detail"), "{text}");
    // Without a text the connection is there, and its first call is refused.
    let mut silent = Program::start(&["dial", &address]);
    let answer = silent.call(&json!({"uri": "/math/add", "arg": [1]}));
    assert_eq!(answer["error"]["code"], 401);
}

#[test]
fn the_program_checks_parameters() {
    let mut server = Program::start(&["--bind"]);
    let mut client = Program::start(&["dial", &server.line()]);
    let mut divide = |query: &str, arg: Value| {
        client.call(&json!({"uri": format!("/bind/divide{query}"), "arg": arg}))
    };
    let arg = json!({"A": 10, "b": 3, "C": "3"});
    assert_eq!(divide("?_x=q&y=1", arg.clone()), json!({"result": 3}));
    let error = divide("", arg);
    assert_eq!(error["error"]["code"], 100_002, "{error}");
    let error = divide("?y=1", json!({"A": 10}));
    assert_eq!(
        error["error"]["reason"],
        r#"{"handler": "/bind/divide", "param": "b", "reason": "smaller than 1: 0"}"#
    );
}
