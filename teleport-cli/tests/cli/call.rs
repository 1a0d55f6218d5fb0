//! `teleport call`.

use std::fs;
use std::io::Write;

use serde_json::{Value, json};

use crate::support::{Server, by_hand, decode, encode, hex, read_frame, run, run_with};

#[test]
fn the_reply_is_printed_exactly_as_it_came() {
    let server = Server::start();
    server.call(&[], &["/x", "hello"]).succeeded("hello");
    server
        .call(&[], &["/x", "two\nlines\n\n"])
        .succeeded("two\nlines\n\n");
    let run = server.call(&[], &["/x"]).succeeded("");
    assert!(run.stderr.is_empty(), "{run:?}");
}

#[test]
fn a_body_comes_from_standard_input_or_a_file() {
    let mut server = Server::start();
    let bytes: Vec<u8> = (0..=255).collect();
    run_with(&bytes, &["call", &server.address, "/x", "-"]).succeeded(&bytes);

    let path = std::env::temp_dir().join(format!("teleport-cli-{}", std::process::id()));
    fs::write(&path, &bytes).unwrap();
    let body = format!("@{}", path.display());
    server.call(&[], &["/x", &body]).succeeded(&bytes);
    fs::remove_file(&path).unwrap();
    server.call(&[], &["/x", &body]).misused("cannot read");

    // A body that looks like neither goes as it is.
    server.call(&[], &["/x", "a-@b"]).succeeded("a-@b");
    server.call(&[], &["/x", "-5"]).succeeded("-5");
    let line: Value = serde_json::from_str(&server.line()).unwrap();
    assert_eq!(line["body_hex"], hex(&bytes));
    assert!(line.get("body").is_none());
}

#[test]
fn hex_goes_in_and_out() {
    let server = Server::start();
    let call = |body: &str| server.call(&["--hex"], &["/x", body]);
    call("00 Ff\t4\n1").succeeded("00ff41\n");
    call("").succeeded("\n");
    run_with(b"0a\n0b\n", &["call", "--hex", &server.address, "/x", "-"]).succeeded("0a0b\n");
    call("0").misused("odd number");
    call("0g").misused("not hex");
}

#[test]
fn metadata_keeps_its_order_and_splits_at_the_first_equals_sign() {
    let mut server = Server::start();
    let options = [
        "--meta", "b=1", "--meta", "a=x=y", "--meta", "b=2", "--meta", "-e=", "--meta", "=v",
    ];
    server.call(&options, &["/x"]).succeeded("");
    let line: Value = serde_json::from_str(&server.line()).unwrap();
    let due = json!([["b", "1"], ["a", "x=y"], ["b", "2"], ["-e", ""], ["", "v"]]);
    assert_eq!(line["meta"], due);
}

#[test]
fn filters_are_in_the_order_of_the_wire() {
    let mut server = Server::start();
    let run = server
        .call(&["--xfer", "md5,gzip", "-v"], &["/x", "hello"])
        .succeeded("hello");
    let due = r#"{"type":"call","uri":"/x","seq":"A","codec":106,"meta":[],"xfer":[109,103],"body":"hello"}"#;
    assert_eq!(server.line(), due);
    let reply: Value = serde_json::from_str(&run.stderr[0]).unwrap();
    assert_eq!(reply["xfer"], json!([109, 103]));

    server.call(&["--xfer", "gzip,md5"], &["/x"]).succeeded("");
    assert!(server.line().contains(r#""xfer":[103,109]"#));
    server.call(&["--xfer", ""], &["/x"]).succeeded("");
    assert!(server.line().contains(r#""xfer":[]"#));
}

#[test]
fn the_codec_is_an_id_for_a_body_that_travels_as_it_is() {
    let mut server = Server::start();
    for (codec, id) in [
        ("json", 106),
        ("protobuf", 112),
        ("plain", 115),
        ("form", 102),
        ("106", 106),
        ("7", 7),
        ("255", 255),
        ("0", 106),
    ] {
        let run = server
            .call(&["--codec", codec, "-v"], &["/x", "{not json"])
            .succeeded("{not json");
        assert!(
            server.line().contains(&format!(r#""codec":{id},"#)),
            "{codec}"
        );
        let reply: Value = serde_json::from_str(&run.stderr[0]).unwrap();
        assert_eq!(reply["codec"], id, "{codec}");
    }
}

#[test]
fn an_accepted_codec_changes_the_id_and_nothing_else() {
    let server = Server::start();
    let codec_of = |accepted: &str| {
        let run = server
            .call(&["-v", "--accept-codec", accepted], &["/x", "{not json"])
            .succeeded("{not json");
        let reply: Value = serde_json::from_str(&run.stderr[0]).unwrap();
        reply["codec"].as_u64().unwrap()
    };
    assert_eq!(codec_of("protobuf"), 112);
    assert_eq!(codec_of("115"), 115);
    // Nobody knows this one.
    assert_eq!(codec_of("7"), 106);
}

#[test]
fn verbose_tells_about_the_reply_on_one_line() {
    let server = Server::start();
    let run = server
        .call(&["-v", "--seq", "mine", "--meta", "k=v"], &["/x", "b"])
        .succeeded("b");
    assert_eq!(run.stderr.len(), 1, "{run:?}");
    let (head, cost) = run.stderr[0].split_once(r#""cost_us":"#).unwrap();
    assert_eq!(head, r#"{"seq":"mine","codec":106,"meta":[],"xfer":[],"#);
    cost.strip_suffix('}').unwrap().parse::<u64>().unwrap();

    let run = server.call(&["-v"], &["/error?code=5&message=m&reason=r"]);
    run.failed(1, 5);
    assert_eq!(run.stderr.len(), 2, "{run:?}");
    let reply: Value = serde_json::from_str(&run.stderr[0]).unwrap();
    assert_eq!(reply["codec"], 0);
    assert_eq!(reply["meta"][0][0], "X-Reply-Error");
}

#[test]
fn an_error_reply_exits_with_1() {
    let server = Server::start();
    let run = server.call(
        &[],
        &["/error?code=-7&message=a+b%22&reason=%0A%E2%82%AC", "x"],
    );
    assert_eq!(run.failed(1, -7), ("a b\"".into(), "\n€".into()));
    assert_eq!(
        run.stderr,
        ["{\"code\":-7,\"message\":\"a b\\\"\",\"reason\":\"\\n€\"}"]
    );
    // A missing part is an empty one.
    let run = server.call(&[], &["/error?code=7&message=&reason="]);
    assert_eq!(run.stderr, [r#"{"code":7,"message":"","reason":""}"#]);
    // As is an error 408 of the other side, which is no timeout of this one.
    server
        .call(&[], &["/error?code=408&message=m&reason=r"])
        .failed(1, 408);
}

#[test]
fn the_sequence_text_can_be_any() {
    let mut server = Server::start();
    for seq in ["mine", "A", "", "zzz zzz", "-v"] {
        server.call(&["--seq", seq], &["/x", "b"]).succeeded("b");
        let line: Value = serde_json::from_str(&server.line()).unwrap();
        assert_eq!(line["seq"], seq);
    }
}

#[test]
fn pushes_are_printed_before_the_end() {
    let mut server = Server::start();
    let run = server
        .call(
            &["-v", "--codec", "plain"],
            &["/push-me?uri=/note%3Fa=b&count=2", "now"],
        )
        .succeeded("now");
    let push = |seq| {
        format!(
            r#"{{"type":"push","uri":"/note?a=b","seq":"{seq}","codec":115,"meta":[],"xfer":[],"body":"now"}}"#
        )
    };
    assert_eq!(run.stderr[..2], [push("A"), push("B")]);
    assert!(run.stderr[2].contains("cost_us"), "{run:?}");
    server.line();

    // An error is the last line all the same.
    let run = server.call(&[], &["/push-me?uri=/a&count=x"]);
    run.failed(1, 400);
    assert_eq!(run.stderr.len(), 1);
}

#[test]
fn calls_from_the_other_side_are_answered_with_echo_only() {
    let server = Server::start();
    server
        .call(&["--echo"], &["/call-me?uri=/any", "ping"])
        .succeeded("ping");
    let run = server.call(&[], &["/call-me?uri=/any", "ping"]);
    assert_eq!(run.failed(1, 404), ("Not Found".into(), String::new()));
}

#[test]
fn addresses_have_several_forms() {
    let server = Server::start();
    let port = server.address.rsplit_once(':').unwrap().1;
    for address in [format!(":{port}"), format!("localhost:{port}")] {
        run(["call", &address, "/x", "b"]).succeeded("b");
    }
}

#[test]
#[cfg(unix)]
fn what_is_not_utf_8_travels_and_is_shown_in_hex() {
    use std::ffi::OsStr;
    use std::os::unix::ffi::OsStrExt;

    let mut server = Server::start();
    let bytes = |bytes: &'static [u8]| OsStr::from_bytes(bytes);
    let run = run([
        OsStr::new("call"),
        OsStr::new("-v"),
        OsStr::new("--seq"),
        bytes(b"s\xff"),
        OsStr::new("--meta"),
        bytes(b"k=\xfe"),
        OsStr::new("--meta"),
        OsStr::new("a=b"),
        OsStr::new(&server.address),
        bytes(b"/caf\xe9"),
        bytes(b"b\x80"),
    ])
    .succeeded("b\u{fffd}");
    assert_eq!(run.stdout, b"b\x80");
    let due = r#"{"type":"call","uri_hex":"2f636166e9","seq_hex":"73ff","codec":106,"meta_hex":[["6b","fe"],["61","62"]],"xfer":[],"body_hex":"6280"}"#;
    assert_eq!(server.line(), due);
    assert!(
        run.stderr[0].starts_with(r#"{"seq_hex":"73ff","codec":106,"#),
        "{run:?}"
    );
}

#[test]
fn the_frame_is_what_was_asked_for() {
    let (address, thread) = by_hand(|mut stream| {
        let due = json!({
            "seq": "s", "mtype": 1, "uri": "/u?q=1",
            "meta": [["k", "v"], ["X-Accept-Body-Codec", "112"]],
            "body_codec": 115, "xfer": [109], "body_hex": "62", "size": 66,
        });
        assert_eq!(decode(&read_frame(&mut stream)), due);
        let reply = br#"{"seq":"s","mtype":2,"meta":[["m","n"]],"body_codec":9,"body":"there"}"#;
        stream.write_all(&encode(reply)).unwrap();
    });
    let run = run([
        "call",
        "-v",
        "--codec",
        "plain",
        "--accept-codec",
        "protobuf",
        "--meta",
        "k=v",
        "--xfer",
        "md5",
        "--seq",
        "s",
        &address,
        "/u?q=1",
        "b",
    ])
    .succeeded("there");
    let due = r#"{"seq":"s","codec":9,"meta":[["m","n"]],"xfer":[],"cost_us":"#;
    assert!(run.stderr[0].starts_with(due), "{run:?}");
    thread.join().unwrap();
}
