//! Many connections to the program at once, half of which do not read what they are sent.

use std::time::Duration;

use serde_json::json;
use teleport_tests::frames::{RawFrame, read_frame};
use teleport_tests::standard::BROADCAST;
use tokio::io::AsyncWriteExt;
use tokio::net::TcpStream;
use tokio::time::timeout;

use crate::program::Program;

const PAIRS: usize = 100;
const ROUNDS: usize = 5;

/// What each of the deaf asks for, and does not read: more than the system keeps for it.
const ASKED: usize = 4 * 1024 * 1024;

/// Only there to end a test that hangs.
const LONG: Duration = Duration::from_secs(120);

async fn dial(address: &str) -> TcpStream {
    let stream = TcpStream::connect(address).await.unwrap();
    stream.set_nodelay(true).unwrap();
    stream
}

async fn next(stream: &mut TcpStream) -> RawFrame {
    let frame = timeout(LONG, read_frame(stream)).await.unwrap();
    frame.unwrap().unwrap()
}

/// Takes in one reply, and counts the pushes that stand before it.
async fn reply(stream: &mut TcpStream, seq: &str, pushes: &mut usize) {
    loop {
        let frame = next(stream).await;
        match frame.mtype {
            3 => {
                assert_eq!(frame.body, json!(BROADCAST).to_string().as_bytes());
                *pushes += 1;
            }
            _ => return assert_eq!((frame.mtype, frame.seq.as_str()), (2, seq)),
        }
    }
}

/// The most memory that a process had, in bytes.
#[cfg(target_os = "linux")]
fn peak(process: u32) -> usize {
    let status = std::fs::read_to_string(format!("/proc/{process}/status")).unwrap();
    let line = status.lines().find(|line| line.starts_with("VmHWM:"));
    let number = line.unwrap().split_whitespace().nth(1).unwrap();
    number.parse::<usize>().unwrap() * 1024
}

#[tokio::test]
async fn those_who_read_are_served_whoever_else_does_not() {
    let mut server = Program::start(&["--push-after-call"]);
    let address = server.line();
    let (mut reading, mut deaf) = (Vec::new(), Vec::new());
    for _ in 0..PAIRS {
        reading.push((dial(&address).await, 0));
        deaf.push(dial(&address).await);
    }
    #[cfg(target_os = "linux")]
    let before = peak(server.child.id());
    // As much as gets in; a server that is told so much and cannot answer need not read on.
    let echo = RawFrame::call("d", "/test/bytes", "x".repeat(64 * 1024));
    let echo = echo.bytes();
    let mut asked = 0;
    for stream in &mut deaf {
        for _ in 0..ASKED / echo.len() {
            match timeout(Duration::from_millis(20), stream.write_all(&echo)).await {
                Ok(written) => written.unwrap(),
                Err(_) => break,
            }
            asked += echo.len();
        }
    }
    for round in 0..ROUNDS {
        let seq = format!("r{round}");
        let call = RawFrame::call(&seq, "/test/echo", "\"hi\"").bytes();
        for (stream, _) in &mut reading {
            stream.write_all(&call).await.unwrap();
        }
        for (stream, pushes) in &mut reading {
            reply(stream, &seq, pushes).await;
        }
    }
    let call = RawFrame::call("last", "/math/add", "[1]").bytes();
    for (stream, pushes) in &mut reading {
        stream.write_all(&call).await.unwrap();
        reply(stream, "last", pushes).await;
        // All are pushed to once, behind somebody's call.
        if *pushes == 0 {
            assert_eq!(next(stream).await.mtype, 3);
        }
        assert!(*pushes <= 1, "{pushes}");
    }
    #[cfg(target_os = "linux")]
    {
        let grown = peak(server.child.id()) - before;
        println!("{asked} bytes asked for by the deaf, {grown} bytes of memory more");
        // The answers that wait, and some 64 KiB for all that belongs to a connection in use.
        let most = asked + 2 * PAIRS * 64 * 1024;
        assert!(grown < most, "{grown} bytes for {asked} asked");
    }
    // They leave without a word, and nobody else minds.
    drop(deaf);
    let mut late = dial(&address).await;
    late.write_all(&call).await.unwrap();
    reply(&mut late, "last", &mut 0).await;
}
