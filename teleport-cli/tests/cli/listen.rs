//! `teleport listen`.

use std::io::Write;

use crate::support::{Running, Server, by_hand, decode, encode, hex, read_frame, run};

fn listen(server: &Server, options: &[&str]) -> Running {
    let mut listen = Running::start(&[&["listen"], options, &[&*server.address]].concat());
    let due = format!(r#"{{"connected":"{}"}}"#, server.address);
    assert_eq!(listen.error_line(), due);
    listen
}

fn push(seq: &str, body: &str) -> String {
    format!(
        r#"{{"type":"push","uri":"/note","seq":"{seq}","codec":106,"meta":[],"xfer":[],{body}}}"#
    )
}

#[test]
fn each_push_is_a_line_at_once_and_the_last_one_ends_it() {
    let server = Server::start();
    let mut listen = listen(&server, &["--count", "3", "--timeout", "60s"]);
    server
        .call(&[], &["/broadcast?uri=/note", "one"])
        .succeeded("one");
    assert_eq!(listen.line(), push("A", r#""body":"one""#));
    server
        .call(&["--hex"], &["/broadcast?uri=/note", "c3 28"])
        .succeeded("c328\n");
    assert_eq!(listen.line(), push("B", r#""body_hex":"c328""#));
    server.call(&[], &["/broadcast?uri=/note"]).succeeded("");
    assert_eq!(listen.line(), push("C", r#""body":"""#));
    assert_eq!(listen.wait(), 0);
    assert_eq!(listen.rest(), "");
}

#[test]
fn no_more_than_the_wanted_pushes_are_printed() {
    let server = Server::start();
    let mut none = listen(&server, &["--count", "0"]);
    assert_eq!((none.wait(), none.rest()), (0, String::new()));

    let mut two = listen(&server, &["--count", "2"]);
    let mut other = listen(&server, &["--count", "1"]);
    server
        .call(&[], &["/broadcast?uri=/note", "1"])
        .succeeded("1");
    assert_eq!(other.wait(), 0);
    server
        .call(&[], &["/broadcast?uri=/note", "2"])
        .succeeded("2");
    assert_eq!(two.wait(), 0);
    assert_eq!(two.rest().lines().count(), 2);
    assert_eq!(other.rest().lines().count(), 1);
}

#[test]
fn it_ends_when_nobody_reads_its_lines_any_more() {
    let server = Server::start();
    let mut listen = listen(&server, &["--timeout", "60s"]);
    listen.leave();
    server
        .call(&[], &["/broadcast?uri=/note", "b"])
        .succeeded("b");
    assert_eq!(listen.wait(), 0);
}

#[test]
fn calls_are_answered_with_echo_only() {
    // Whoever listens is called by nobody here but by hand.
    for (options, answer) in [(&["--echo"][..], "there"), (&[], "")] {
        let (address, thread) = by_hand(move |mut stream| {
            let call = br#"{"seq":"s","mtype":1,"uri":"/x","body_codec":"plain","body":"there"}"#;
            stream.write_all(&encode(call)).unwrap();
            let reply = decode(&read_frame(&mut stream));
            assert_eq!((&reply["seq"], &reply["mtype"]), (&"s".into(), &2.into()));
            assert_eq!(reply["body_hex"], hex(answer.as_bytes()));
            assert_eq!(
                reply["meta"].as_array().unwrap().is_empty(),
                !answer.is_empty()
            );
        });
        run([&["listen"], options, &[&*address]].concat()).failed(3, 102);
        thread.join().unwrap();
    }
}

#[test]
fn the_end_of_the_time_exits_with_4() {
    let server = Server::start();
    let run = run([
        "listen",
        "--count",
        "2",
        "--timeout",
        "100ms",
        &server.address,
    ]);
    let (message, reason) = run.failed(4, 408);
    assert_eq!(message, "Handle Timeout");
    assert_eq!(reason, "0 of 2 pushes came within 100ms");
    assert_eq!(run.stderr.len(), 2, "{run:?}");
}

#[test]
fn a_lost_connection_exits_with_3() {
    let server = Server::start();
    let mut listen = listen(&server, &[]);
    drop(server);
    let last = listen.error_line();
    // By an end, or by a reset if the server had not even taken the connection.
    assert!(
        last.starts_with(r#"{"code":102,"message":"Connection Closed","reason":""#),
        "{last}"
    );
    assert_eq!(listen.wait(), 3);

    let run = run(["listen", "127.0.0.1:1"]);
    run.failed(3, 105);
    assert_eq!(run.stderr.len(), 1, "{run:?}");
}

#[test]
fn a_listener_that_dials_again_goes_on_with_the_next_server() {
    let server = Server::start();
    let address = server.address.clone();
    let mut listen = listen(
        &server,
        &["--redial", "-1", "--count", "1", "--timeout", "60s"],
    );
    drop(server);
    let lost = listen.error_line();
    assert!(lost.starts_with(r#"{"lost":""#), "{lost}");
    let server = Server::with(&["--listen", &address]);
    let restored = listen.error_line();
    assert!(restored.starts_with(r#"{"restored":"#), "{restored}");
    server
        .call(&[], &["/broadcast?uri=/note", "back"])
        .succeeded("back");
    assert_eq!(listen.line(), push("A", r#""body":"back""#));
    assert_eq!(listen.wait(), 0);
}
