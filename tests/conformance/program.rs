//! The program `conformance-peer`: what it prints, what it does by which options, and how it ends.

use std::io::{BufRead, BufReader, Read, Write};
use std::process::{Child, ChildStdin, ChildStdout, Command, Output, Stdio};
use std::time::{Duration, Instant};

use serde_json::{Value, json};
use teleport_tests::standard::BROADCAST;

/// The program in the middle of its work.
pub(crate) struct Program {
    pub(crate) child: Child,
    input: Option<ChildStdin>,
    output: BufReader<ChildStdout>,
}

fn program(args: &[&str]) -> Command {
    let mut command = Command::new(env!("CARGO_BIN_EXE_conformance-peer"));
    command.args(args).env_remove("RUST_BACKTRACE");
    command
}

impl Program {
    pub(crate) fn start(args: &[&str]) -> Self {
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

    pub(crate) fn line(&mut self) -> String {
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
fn a_proxy_is_connected_to_its_backend_before_anybody_calls() {
    let backend = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
    let address = backend.local_addr().unwrap().to_string();
    let mut proxy = Program::start(&["--proxy", &address]);
    let (mut stream, _) = backend.accept().unwrap();
    let mut client = Program::start(&["dial", &proxy.line()]);
    let said = std::thread::spawn(move || {
        let mut size = [0; 4];
        stream.read_exact(&mut size).unwrap();
        let mut frame = vec![0; u32::from_be_bytes(size) as usize - 4];
        stream.read_exact(&mut frame).unwrap();
        frame
    });
    // The backend leaves without an answer.
    let error = &client.call(&json!({"uri": "/x", "arg": 1}))["error"];
    assert_eq!(error["code"], 502, "{error}");
    let frame = String::from_utf8_lossy(&said.join().unwrap()).into_owned();
    assert!(frame.contains("@A>relay[0]"), "{frame}");
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

/// The exit code and what went to standard output and error.
fn ended(args: &[&str]) -> (Option<i32>, String, String) {
    let Output {
        status,
        stdout,
        stderr,
    } = program(args).stdin(Stdio::null()).output().unwrap();
    let text = |bytes| String::from_utf8(bytes).unwrap();
    (status.code(), text(stdout), text(stderr))
}

#[test]
fn mistakes_on_the_command_line_are_told_and_end_with_code_2() {
    for (args, due) in [
        (&["--listen", "nonsense"][..], "nonsense"),
        (&["--listen", "127.0.0.1:99999"], "from 0 to 65535"),
        (&["dial", "nonsense"], "nonsense"),
        (&["dial"], "ADDR"),
        (&["--proxy", "nonsense"], "nonsense"),
        (&["--proxy", ""], "empty"),
        (&["--proxy", "127.0.0.1:1", "--unknown"], "leave one out"),
        (
            &["--proxy", "127.0.0.1:1", "--secure", "short"],
            "16, 24 or 32",
        ),
        (&["--secure", ""], "16, 24 or 32"),
        (&["--limit", "-1"], "-1"),
        (&["--limit", "many"], "many"),
        (&["--redial", "often"], "often"),
        (&["--auth"], "--auth"),
        (&["--proto", "RAW"], "[possible values: raw, json, pb]"),
        (&["--nothing"], "--nothing"),
        (&["serve"], "serve"),
    ] {
        let (code, out, err) = ended(args);
        assert_eq!((code, out.as_str()), (Some(2), ""), "{args:?}: {err}");
        assert!(err.contains(due), "{args:?}: {err}");
    }
    // What is no mistake but fails all the same.
    for args in [&["dial", "127.0.0.1:1"][..], &["--listen", "192.0.2.1:1"]] {
        let (code, out, err) = ended(args);
        assert_eq!((code, out.as_str()), (Some(1), ""), "{args:?}: {err}");
        assert!(err.starts_with("conformance-peer: "), "{args:?}: {err}");
    }
}

#[cfg(unix)]
#[test]
fn a_signal_ends_the_server_soon_whatever_runs_and_the_address_is_all_it_prints() {
    for signal in ["-TERM", "-INT"] {
        let mut server = Program::start(&["--push-after-call"]);
        let address = server.line();
        let mut busy = Program::start(&["dial", &address]);
        let mut idle = Program::start(&["dial", &address]);
        let echo = json!({"uri": "/test/echo", "arg": "x"});
        assert_eq!(idle.call(&echo), json!({"result": "x"}));
        let boom = json!({"uri": "/test/boom", "arg": "x"});
        assert_eq!(idle.json()["type"], "push");
        assert_eq!(idle.call(&boom)["error"]["code"], 500);
        let input = busy.input.as_mut().unwrap();
        let long = json!({"uri": "/test/sleep", "arg": 60_000});
        writeln!(input, "{long}").unwrap();
        // The push comes behind the idle one's reply; the long call is made by then or just after.
        assert_eq!(busy.json()["type"], "push");
        assert_eq!(idle.call(&echo), json!({"result": "x"}));
        let began = Instant::now();
        let killed = Command::new("kill")
            .args([signal, &server.child.id().to_string()])
            .status();
        assert!(killed.unwrap().success());
        assert_eq!(server.child.wait().unwrap().code(), Some(0));
        // Far below the minute that the handler takes.
        assert!(began.elapsed() < Duration::from_secs(10));
        let mut rest = String::new();
        server.output.read_to_string(&mut rest).unwrap();
        assert_eq!(rest, "");
        let error = busy.json();
        assert!(error["error"]["code"].is_i64(), "{error}");
    }
}

#[test]
fn options_go_together() {
    let options = [
        "--proto",
        "json",
        "--auth",
        "text",
        "--pong",
        "--bind",
        "--ignore-case",
        "--context-age",
        "20s",
        "--session-age",
        "5m",
        "--limit",
        "100000",
        "--secure",
        "cipherkey1234567",
        "--redial",
        "2",
    ];
    let mut server = Program::start(&options);
    let address = server.line();
    let mut client = Program::start(&[&["dial", &address], &options[..]].concat());
    let secure = json!([["X-Secure", "true"]]);
    for (call, due) in [
        (
            json!({"uri": "/MATH/add", "arg": [1, 2]}),
            json!({"result": 3}),
        ),
        (json!({"uri": "/heartbeat?hb_=7"}), json!({"result": null})),
        (
            json!({"uri": "/bind/divide?y=1", "arg": {"A": 6, "B": 3, "C": "1"}}),
            json!({"result": 2}),
        ),
        (
            json!({"uri": "/Sec/add", "arg": {"A": 1, "B": 2}, "meta": secure.clone()}),
            json!({"result": {"C": 3}}),
        ),
        (
            json!({"uri": "/test/call_back", "arg": "a"}),
            json!({"result": "a|hello from server"}),
        ),
    ] {
        assert_eq!(client.call(&call), due, "{call}");
    }
}

#[test]
fn what_options_add_is_there_beside_unknown_handlers_and_forwarding() {
    let divide = json!({"uri": "/bind/divide?y=1", "arg": {"A": 6, "B": 3, "C": "1"}});
    let mut unknown = Program::start(&["--unknown", "--bind"]);
    let mut client = Program::start(&["dial", &unknown.line()]);
    assert_eq!(client.call(&divide), json!({"result": 2}));
    let other = json!({"uri": "/other", "arg": [1, "x"]});
    assert_eq!(client.call(&other), json!({"result": [1, "x"]}));

    let mut behind = Program::start(&[]);
    let backend = behind.line();
    let mut proxy = Program::start(&["--proxy", &backend, "--bind", "--auth", "text", "--pong"]);
    let address = proxy.line();
    let mut client = Program::start(&["dial", &address, "--auth", "text"]);
    assert_eq!(client.call(&divide), json!({"result": 2}));
    let add = json!({"uri": "/math/add", "arg": [1, 2]});
    assert_eq!(client.call(&add), json!({"result": 3}));
    let beat = json!({"uri": "/heartbeat?hb_=7"});
    assert_eq!(client.call(&beat), json!({"result": null}));
    let (code, _, err) = ended(&["dial", &address, "--auth", "wrong"]);
    assert_eq!(code, Some(1));
    assert!(err.contains("403 auth fail: auth fail detail"), "{err}");
}
