//! Servers that refuse, break off, or say nothing.

use std::io::Write;
use std::net::{Shutdown, TcpListener};

use crate::support::{Run, Server, by_hand, read_frame, run, run_with};

fn call(address: &str) -> Run {
    run(["call", "--timeout", "30s", address, "/x", "b"])
}

#[test]
fn nobody_there_exits_with_3() {
    let (message, reason) = call("127.0.0.1:1").failed(3, 105);
    assert_eq!(message, "Dial Failed");
    assert!(reason.contains("127.0.0.1:1"), "{reason}");
    call("no-such-host.invalid:80").failed(3, 105);
}

#[test]
fn a_connection_that_ends_without_a_reply_exits_with_3() {
    let (address, thread) = by_hand(|mut stream| {
        read_frame(&mut stream);
    });
    let (message, reason) = call(&address).failed(3, 102);
    assert_eq!(message, "Connection Closed");
    assert!(reason.contains("closed by the other end"), "{reason}");
    thread.join().unwrap();
}

#[test]
fn a_frame_that_is_cut_off_exits_with_3() {
    let (address, thread) = by_hand(|mut stream| {
        read_frame(&mut stream);
        stream.write_all(b"\0\0\0\x20r\0\0\x01A").unwrap();
        stream.shutdown(Shutdown::Both).unwrap();
    });
    let (_, reason) = call(&address).failed(3, 102);
    assert!(reason.contains("ended within a message"), "{reason}");
    thread.join().unwrap();
}

#[test]
fn frames_that_are_broken_exit_with_3() {
    for (bytes, why) in [
        (&b"\0\0\0\x0ej\0\0\0\0\0\0\0\0\0"[..], "version"),
        (b"\0\0\0\x05", "size"),
        (b"\xff\xff\xff\xff", "exceeds the limit"),
        (b"\0\0\0\x10r\x01z\0\0\x02\0\0\0\0\0b", "filter"),
        (b"\0\0\0\x0er\0\xff\xff\x02\0\0\0\0\0", "seq"),
        (b"\0\0\0\x0fr\0\0\x01A\x09\0\0\0\0\0", "type 9"),
    ] {
        let (address, thread) = by_hand(move |mut stream| {
            read_frame(&mut stream);
            stream.write_all(bytes).unwrap();
            // The other side ends it.
            let _ = std::io::copy(&mut stream, &mut std::io::sink());
        });
        let (message, reason) = call(&address).failed(3, 102);
        assert_eq!(message, "Connection Closed");
        assert!(reason.contains(why), "{why}: {reason}");
        thread.join().unwrap();
    }
}

#[test]
fn silence_exits_with_4() {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let address = listener.local_addr().unwrap().to_string();
    let run = run(["call", "--timeout", "100ms", &address, "/x"]);
    let (message, reason) = run.failed(4, 408);
    assert_eq!(message, "Handle Timeout");
    assert_eq!(reason, format!("{address} did not reply within 100ms"));
}

#[test]
fn a_large_body_that_is_not_read_exits_with_4() {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let address = listener.local_addr().unwrap().to_string();
    let body = vec![0; 15 << 20];
    run_with(&body, &["call", "--timeout", "100ms", &address, "/x", "-"]).failed(4, 408);
}

#[test]
fn a_late_reply_exits_with_4() {
    let server = Server::start();
    server
        .call(&["--timeout", "50ms"], &["/sleep?ms=3600000", "b"])
        .failed(4, 408);
}
