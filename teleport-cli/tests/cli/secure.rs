//! `--secure`, and secrets in files.

use std::io::Write;

use serde_json::Value;

use crate::support::{Running, Server, by_hand, decode, encode, hex, read_frame, run};

const KEY: &str = "cipherkey1234567";

/// A conversation of the original: a call with its reply, and a push.
const CALL: &str = "000000e372000001410100632f7365632f6164643f636970686572746578743d31353864646536333936353238353137646462313562366331323963313239392663697068657276657273696f6e3d3162613439383834633539623136363139663431316337633830333433633963000d582d5365637572653d747275656a7b2263697068657276657273696f6e223a223162613439383834633539623136363139663431316337633830333433633963222c2263697068657274657874223a226665376233666362663035313466373261333135366238623835616366363436227d";
const REPLY: &str = "00000099720000014102000000267365656e2d71756572793d7825334431253236792533443226582d5365637572653d747275656a7b2263697068657276657273696f6e223a223162613439383834633539623136363139663431316337633830333433633963222c2263697068657274657874223a226538646665383565663435623163643361656461396539343165346565306234227d";
const PUSH: &str = "000000e972000001410300692f7365635f707573682f6e6f74653f636970686572746578743d32656436656330663132653262656136386636643164373536643939343965332663697068657276657273696f6e3d3162613439383834633539623136363139663431316337633830333433633963000d582d5365637572653d747275656a7b2263697068657276657273696f6e223a223162613439383834633539623136363139663431316337633830333433633963222c2263697068657274657874223a226664386637663466633830396535663534643136643335666138346662346631227d";

fn bytes(hex: &str) -> Vec<u8> {
    hex.as_bytes()
        .chunks(2)
        .map(|pair| u8::from_str_radix(str::from_utf8(pair).unwrap(), 16).unwrap())
        .collect()
}

fn secure(command: &str, address: &str, rest: &[&str]) -> crate::support::Run {
    run([&[command, "--secure", KEY, address], rest].concat())
}

#[test]
fn the_bytes_are_those_of_the_original() {
    let (address, server) = by_hand(|mut stream| {
        assert_eq!(hex(&read_frame(&mut stream)), CALL);
        stream.write_all(&bytes(REPLY)).unwrap();
    });
    let call = ["/sec/add?x=1&y=2", r#"{"A":10,"B":2}"#];
    secure("call", &address, &call).succeeded(r#"{"C":12}"#);
    server.join().unwrap();

    let (address, server) = by_hand(|mut stream| {
        assert_eq!(hex(&read_frame(&mut stream)), PUSH);
        stream.write_all(&bytes(PUSH)).unwrap();
    });
    let push = ["/sec_push/note?q=1", r#"{"A":3,"B":4}"#];
    let pushed = secure("push", &address, &push).succeeded("");
    server.join().unwrap();
    // A push that comes back is shown as it was before.
    let line: Value = serde_json::from_str(&pushed.stderr[0]).unwrap();
    assert_eq!(
        (&line["uri"], &line["body"]),
        (&push[0].into(), &push[1].into())
    );
}

#[test]
fn calls_and_pushes_of_both_sides_are_read_and_answered() {
    let mut server = Server::with(&["--secure", KEY]);
    let mut listener = Running::start(&["listen", "--secure", KEY, "--echo", &server.address]);
    assert!(listener.error_line().contains("connected"));
    let call = ["/broadcast?uri=/news?a=b", "secret"];
    secure("call", &server.address, &call).succeeded("secret");
    let line: Value = serde_json::from_str(&listener.line()).unwrap();
    assert_eq!(
        (&line["uri"], &line["body"]),
        (&"/news?a=b".into(), &"secret".into())
    );
    assert_eq!(line["meta"], serde_json::json!([["X-Secure", "true"]]));
    let line: Value = serde_json::from_str(&server.line()).unwrap();
    assert_eq!(
        (&line["uri"], &line["body"]),
        (&call[0].into(), &call[1].into())
    );

    secure("push", &server.address, &["/note?to=me", "hello"]).succeeded("");
    let line: Value = serde_json::from_str(&server.line()).unwrap();
    assert_eq!(
        (&line["uri"], &line["body"]),
        (&"/note?to=me".into(), &"hello".into())
    );
    let called_back = ["--echo", &server.address, "/call-me?uri=/you", "ping"];
    run([&["call", "--secure", KEY], &called_back[..]].concat()).succeeded("ping");

    // Who does not ask for it is answered in the clear, and may ask for it in the reply alone.
    server.call(&[], &["/x", "plain"]).succeeded("plain");
    let reply = server.call(&["--meta", "X-Accept-Secure=true"], &["/x", "plain"]);
    assert!(String::from_utf8_lossy(&reply.stdout).contains("ciphertext"));
    let options = ["--secure", KEY, "--meta", "X-Secure=false"];
    server.call(&options, &["/x", "plain"]).succeeded("plain");
}

#[test]
fn another_key_is_an_error_that_says_so() {
    let mut server = Server::with(&["--secure", KEY]);
    let other = ["--secure", "another_key_7654"];
    let (message, reason) = server.call(&other, &["/x", "hello"]).failed(1, 100_001);
    assert_eq!(message, "decrypt ciphertext error");
    assert!(
        reason.contains("inconsistent encryption version"),
        "{reason}"
    );
    assert!(server.run.error_line().contains("inconsistent"));
    // A push has no answer; what it came to is shown where it came.
    run([&["push"], &other[..], &[&server.address, "/x", "hello"]].concat()).succeeded("");
    assert!(server.run.error_line().contains("inconsistent"));

    let options = ["--count", "1", "--secure", "another_key_7654"];
    let mut listener = Running::start(&[&["listen"], &options[..], &[&server.address]].concat());
    assert!(listener.error_line().contains("connected"));
    secure("call", &server.address, &["/broadcast?uri=/news", "x"]).succeeded("x");
    assert!(listener.error_line().contains("100001"));
    server
        .call(&[], &["/broadcast?uri=/plain", "x"])
        .succeeded("x");
    assert!(listener.line().contains("/plain"));
    assert_eq!(listener.wait(), 0);

    // A reply of another key is none.
    let (address, server) = by_hand(|mut stream| {
        read_frame(&mut stream);
        let mut reply = decode(&bytes(REPLY));
        let body = r#"{"cipherversion":"v","ciphertext":"00"}"#;
        reply.as_object_mut().unwrap().remove("body_hex");
        reply["body"] = body.into();
        stream
            .write_all(&encode(reply.to_string().as_bytes()))
            .unwrap();
    });
    let (_, reason) = secure("call", &address, &["/x"]).failed(1, 100_001);
    assert!(reason.contains("inconsistent"), "{reason}");
    server.join().unwrap();
}

#[test]
fn a_key_of_another_length_and_a_body_that_cannot_be_encrypted_are_refused_at_once() {
    let nobody = "127.0.0.1:1";
    for args in [
        &["call", "--secure", "short", nobody, "/x"][..],
        &["push", "--secure", "short", nobody, "/x"],
        &["listen", "--secure", "short", nobody],
        &["serve", "--secure", "short"],
    ] {
        let run = run(args);
        run.misused("5 bytes long; take one of 16, 24 or 32");
        assert!(!run.stderr.join("\n").contains("short"), "{run:?}");
    }
    for command in ["call", "push"] {
        secure(command, nobody, &["--codec", "plain", "/x", "text"]).misused("plain");
    }
}

#[test]
fn secrets_can_be_in_files() {
    let name = format!("teleport-cli-{}-secrets", std::process::id());
    let folder = std::env::temp_dir().join(name);
    std::fs::create_dir_all(&folder).unwrap();
    let file = |name: &str, text: &str| {
        let path = folder.join(name);
        std::fs::write(&path, text).unwrap();
        format!("@{}", path.display())
    };
    let key = file("key", &format!("{KEY}\n"));
    let text = file("text", "let me in\r\n");
    let server = Server::with(&["--secure", KEY, "--auth", "let me in"]);
    let options = ["--secure", &key, "--auth", &text];
    server.call(&options, &["/x", "hello"]).succeeded("hello");
    let absent = format!("@{}/absent", folder.display());
    for option in ["--secure", "--auth"] {
        server
            .call(&[option, &absent], &["/x"])
            .misused("cannot read");
    }
    std::fs::remove_dir_all(&folder).unwrap();
}
