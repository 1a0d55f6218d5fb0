//! `teleport push`.

use std::io::Read;
use std::net::TcpListener;
use std::thread;

use serde_json::Value;

use crate::support::{Server, by_hand, read_frame, run, run_with};

#[test]
fn a_push_is_there_when_the_command_is_over() {
    let mut server = Server::start();
    let options = [
        "push", "--codec", "plain", "--meta", "k=v", "--xfer", "gzip,md5", "--seq", "mine",
    ];
    run([&options[..], &[&*server.address, "/note?a=b", "hello"]].concat()).succeeded("");
    let due = r#"{"type":"push","uri":"/note?a=b","seq":"mine","codec":115,"meta":[["k","v"]],"xfer":[103,109],"body":"hello"}"#;
    assert_eq!(server.line(), due);
}

#[test]
fn nothing_is_printed_but_with_verbose() {
    let mut server = Server::start();
    let quiet = run(["push", &server.address, "/note", "hello"]).succeeded("");
    assert!(quiet.stderr.is_empty(), "{quiet:?}");
    assert!(server.line().contains(r#""seq":"A","codec":106,"#));
    let run = run([
        "push",
        "-v",
        "--echo",
        "--hex",
        &server.address,
        "/note",
        "ff",
    ])
    .succeeded("");
    let due = r#"{"seq":"A","codec":106,"meta":[],"xfer":[],"cost_us":"#;
    assert!(run.stderr[0].starts_with(due), "{run:?}");
    assert!(server.line().contains(r#""body_hex":"ff""#));
}

#[test]
fn a_large_push_arrives_whole() {
    let mut server = Server::start();
    let body = vec![b'x'; 8 << 20];
    run_with(&body, &["push", &server.address, "/large", "-"]).succeeded("");
    let line: Value = serde_json::from_str(&server.line()).unwrap();
    assert_eq!(line["body"].as_str().unwrap().len(), body.len());
}

#[test]
fn the_connection_is_ended_in_order() {
    let (address, thread) = by_hand(|mut stream| {
        use std::io::Read;
        assert_eq!(read_frame(&mut stream)[4], b'r');
        let mut rest = Vec::new();
        stream.read_to_end(&mut rest).unwrap();
        assert!(rest.is_empty(), "{rest:?}");
    });
    run(["push", &address, "/note"]).succeeded("");
    thread.join().unwrap();
}

#[test]
fn a_push_that_finds_nobody_exits_with_3() {
    let (message, reason) = run(["push", "127.0.0.1:1", "/x"]).failed(3, 105);
    assert_eq!(message, "Dial Failed");
    assert!(reason.contains("127.0.0.1:1"), "{reason}");
}

#[test]
fn a_push_that_is_not_read_exits_with_4() {
    // It takes no more than the buffers of both sides hold.
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let address = listener.local_addr().unwrap().to_string();
    let body = vec![0; 15 << 20];
    let run = run_with(&body, &["push", "--timeout", "200ms", &address, "/x", "-"]);
    assert_eq!(run.failed(4, 408).0, "Handle Timeout");
}

#[test]
fn a_push_that_was_not_written_whole_goes_out_on_another_connection() {
    for (redial, times) in [("0", 1), ("1", 2)] {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let address = listener.local_addr().unwrap().to_string();
        let taking = thread::spawn(move || {
            // Reads a little, so that what is left makes the close a reset.
            let mut first = listener.accept().unwrap().0;
            first.read_exact(&mut [0; 64]).unwrap();
            drop(first);
            if times == 2 {
                let mut second = listener.accept().unwrap().0;
                assert!(read_frame(&mut second).len() > 8 << 20);
            }
        });
        let body = vec![b'x'; 8 << 20];
        let run = run_with(
            &body,
            &["push", "--redial", redial, &address, "/large", "-"],
        );
        match times {
            1 => drop(run.failed(3, 104)),
            _ => drop(run.succeeded("")),
        }
        taking.join().unwrap();
    }
}
