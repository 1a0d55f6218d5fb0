//! `teleport serve`.

use std::time::Duration;

use bytes::Bytes;
use serde_json::Value;
use teleport::{Peer, Raw};

use crate::support::{Running, Server, run};

#[test]
fn the_first_line_is_the_bound_address_alone() {
    let server = Server::with(&["--listen", "127.0.0.1:0"]);
    let address: std::net::SocketAddr = server.address.parse().unwrap();
    assert!(address.ip().is_loopback() && address.port() != 0);
    // The same port again.
    let run = run(["serve", "--listen", &server.address]);
    let (_, reason) = run.failed(3, -1);
    assert!(reason.contains(&server.address), "{reason}");
}

#[test]
fn every_message_is_a_line_at_once() {
    let mut server = Server::start();
    server.call(&[], &["/a?b=c", "1"]).succeeded("1");
    let due =
        r#"{"type":"call","uri":"/a?b=c","seq":"A","codec":106,"meta":[],"xfer":[],"body":"1"}"#;
    assert_eq!(server.line(), due);
    run(["push", &server.address, "/d", "2"]).succeeded("");
    let due = r#"{"type":"push","uri":"/d","seq":"A","codec":106,"meta":[],"xfer":[],"body":"2"}"#;
    assert_eq!(server.line(), due);
    // One that no handler gets to see.
    server.call(&[], &["%zz", "3"]).failed(1, 400);
    assert!(server.line().contains(r#""uri":"%zz""#));
}

#[test]
fn one_port_serves_several_protocols_and_names_the_others() {
    let server = Server::with(&["--proto", "raw,pb"]);
    for proto in ["raw", "pb"] {
        let body = "say \"hi\"\n\\";
        server
            .call(&["--proto", proto], &["/x", body])
            .succeeded(body);
        run(["push", "--proto", proto, &server.address, "/x"]).succeeded("");
    }
    let (_, reason) = server.call(&["--proto", "json"], &["/x"]).failed(1, 400);
    assert_eq!(
        reason,
        "this port speaks raw or pb, and these bytes are of the json protocol"
    );
}

#[test]
fn a_bad_or_missing_parameter_is_error_400() {
    let server = Server::start();
    for (uri, name) in [
        ("/error", "code"),
        ("/error?code=x&message=m&reason=r", "code"),
        ("/error?code=2147483648&message=m&reason=r", "code"),
        ("/error?code=1&reason=r", "message"),
        ("/error?code=1&message=m", "reason"),
        ("/error?code=1&message=%ff&reason=r", "message"),
        ("/sleep", "ms"),
        ("/sleep?ms=", "ms"),
        ("/sleep?ms=-1", "ms"),
        ("/sleep?ms=1.5", "ms"),
        ("/sleep?ms=%2B1", "ms"),
        ("/push-me", "uri"),
        ("/push-me?count=1", "uri"),
        ("/push-me?uri=", "uri"),
        ("/push-me?uri=/a&count=", "count"),
        ("/push-me?uri=/a&count=-1", "count"),
        ("/push-me?uri=/a&count=%ff", "count"),
        ("/broadcast", "uri"),
        ("/call-me", "uri"),
    ] {
        let run = server.call(&["--echo"], &[uri, "b"]);
        let (message, reason) = run.failed(1, 400);
        assert_eq!(message, "Bad Message", "{uri}");
        assert!(
            reason.contains(&format!("parameter {name} ")),
            "{uri}: {reason}"
        );
        assert_eq!(run.stderr.len(), 1, "{uri}");
    }
}

#[test]
fn a_panic_is_error_500_for_that_call_alone() {
    let server = Server::start();
    for _ in 0..2 {
        let (message, reason) = server.call(&[], &["/panic", "x"]).failed(1, 500);
        assert_eq!(message, "Internal Server Error");
        assert_eq!(reason, "this handler was asked to panic");
    }
    server.call(&[], &["/x", "fine"]).succeeded("fine");
}

#[test]
fn pushes_to_the_caller_come_as_often_as_asked() {
    let server = Server::start();
    for (query, times) in [("", 1), ("&count=0", 0), ("&count=1", 1), ("&count=50", 50)] {
        let run = server
            .call(
                &["--xfer", "gzip"],
                &[&format!("/push-me?uri=/n{query}"), "b"],
            )
            .succeeded("b");
        assert_eq!(run.stderr.len(), times, "{query}");
        for line in &run.stderr {
            let push: Value = serde_json::from_str(line).unwrap();
            assert_eq!((&push["uri"], &push["body"]), (&"/n".into(), &"b".into()));
        }
    }
}

#[test]
fn a_broadcast_reaches_all_but_the_caller() {
    let server = Server::start();
    let mut listeners: Vec<_> = (0..3)
        .map(|_| {
            let mut listen = Running::start(&["listen", "--count", "1", &server.address]);
            listen.error_line();
            listen
        })
        .collect();
    let run = server
        .call(&["--codec", "form"], &["/broadcast?uri=/news%3Fa", "b"])
        .succeeded("b");
    assert!(run.stderr.is_empty(), "{run:?}");
    for listen in &mut listeners {
        let due = r#"{"type":"push","uri":"/news?a","seq":"A","codec":102,"meta":[],"xfer":[],"body":"b"}"#;
        assert_eq!(listen.line(), due);
        assert_eq!(listen.wait(), 0);
    }
}

#[test]
fn the_answer_of_the_caller_is_passed_on() {
    let mut server = Server::start();
    let run = server
        .call(
            &[
                "--echo",
                "-v",
                "--codec",
                "plain",
                "--accept-codec",
                "form",
                "--xfer",
                "md5",
            ],
            &["/call-me?uri=/any", "b"],
        )
        .succeeded("b");
    let due = r#"{"seq":"A","codec":102,"meta":[],"xfer":[109],"cost_us":"#;
    assert!(run.stderr[0].starts_with(due), "{run:?}");
    assert!(server.line().contains("/call-me"));
}

#[tokio::test]
async fn a_handler_that_sleeps_holds_up_nobody() {
    let server = Server::start();
    let peer = Peer::builder().build().unwrap();
    let session = peer.dial(&server.address).await.unwrap();
    let late = session
        .call::<Raw<Bytes>>("/sleep?ms=3600000", Raw(Bytes::from_static(b"late")))
        .send()
        .await
        .unwrap();
    let soon: Raw<Bytes> = session
        .call("/sleep?ms=1", Raw(Bytes::from_static(b"soon")))
        .await
        .unwrap();
    assert_eq!(&soon.0[..], b"soon");
    drop(late);
    peer.close().await;
}

#[test]
fn nothing_is_late_that_should_sleep_for_no_time() {
    let server = Server::start();
    server.call(&[], &["/sleep?ms=0", "b"]).succeeded("b");
    let run = server.call(
        &["--timeout", "50ms"],
        &["/sleep?ms=18446744073709551615", "b"],
    );
    run.failed(4, 408);
}

#[test]
fn a_message_over_the_limit_ends_its_connection_alone() {
    let server = Server::with(&["--limit", "100"]);
    let body = "x".repeat(100);
    server.call(&[], &["/x", &body]).failed(3, 102);
    server.call(&[], &["/x", "short"]).succeeded("short");
    Server::with(&["--limit", "0"])
        .call(&[], &["/x", &body])
        .succeeded(body);
}

#[test]
#[cfg(unix)]
fn a_signal_ends_it_with_0() {
    for signal in ["TERM", "INT"] {
        let mut server = Server::start();
        let mut listen = Running::start(&["listen", &server.address]);
        listen.error_line();
        let mut call = Running::start(&["call", &server.address, "/sleep?ms=3600000", "b"]);
        assert!(server.line().contains("/sleep"));
        server.run.signal(signal);
        assert_eq!(server.run.wait(), 0);
        assert_eq!(server.run.rest(), "");
        assert_eq!(listen.wait(), 3);
        // It is told that its handler was cancelled, if there is time for it.
        assert!(matches!(call.wait(), 1 | 3));
    }
}

#[test]
fn answers_do_not_wait_for_somebody_to_read_the_lines() {
    let server = Server::start();
    let body = "x".repeat(100_000);
    for _ in 0..3 {
        server.call(&[], &["/x", &body]).succeeded(&body);
    }
}

#[test]
fn calls_are_answered_when_nobody_reads_the_lines_any_more() {
    let mut server = Server::start();
    server.run.leave();
    for _ in 0..3 {
        server.call(&[], &["/x", "b"]).succeeded("b");
    }
}

#[test]
fn log_lines_go_to_standard_error_when_asked_for() {
    let mut server = Server::with(&["-v"]);
    server.call(&[], &["/logged", "b"]).succeeded("b");
    loop {
        let line = server.run.error_line();
        if line.contains("/logged") {
            break;
        }
    }
    let due = r#"{"type":"call","uri":"/logged","#;
    assert!(server.line().starts_with(due));
}

#[test]
fn broken_frames_leave_others_alone() {
    use std::io::{Read, Write};
    let server = Server::start();
    let mut stream = std::net::TcpStream::connect(&server.address).unwrap();
    stream
        .set_read_timeout(Some(Duration::from_secs(30)))
        .unwrap();
    stream.write_all(b"GET / HTTP/1.1\r\n\r\n").unwrap();
    let mut rest = Vec::new();
    stream.read_to_end(&mut rest).unwrap();
    assert!(rest.starts_with(b"HTTP/1.1 400 Bad Request\r\n"));
    server.call(&[], &["/x", "b"]).succeeded("b");
}
