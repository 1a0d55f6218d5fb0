//! Programs that are told to end.

use rustix::process::Signal;
use teleport::{Error, Peer, Session};
use teleport_tests::frames::RawFrame;
use tokio::io::AsyncWriteExt as _;
use tokio::net::TcpStream;
use tokio::task::JoinHandle;

use crate::program::{Program, signal};

async fn client(address: &str) -> Session {
    let client = Peer::builder().build().unwrap();
    client.dial(address).await.unwrap()
}

fn call(session: &Session, id: u64, time: u64) -> JoinHandle<Result<(u64, u32), Error>> {
    let session = session.clone();
    tokio::spawn(async move { session.call("/work/take", &(id, time)).await })
}

/// Waits until the server has begun with what was sent before.
async fn reached(session: &Session) {
    let _: (u64, u32) = session.call("/work/take", &(0, 0)).await.unwrap();
}

#[tokio::test]
async fn sigterm_under_load_finishes_everything() {
    let mut server = Program::start(&["127.0.0.1:0"]);
    let (pid, address) = server.listens().await;
    let session = client(&address).await;
    let calls: Vec<_> = (1..=100).map(|id| call(&session, id, 200 + id)).collect();
    tokio::task::yield_now().await;
    reached(&session).await;
    signal(pid, Signal::TERM);
    for (id, call) in (1..).zip(calls) {
        assert_eq!(call.await.unwrap().unwrap(), (id, pid));
    }
    let line = server.line("ended ").await;
    println!("{line}");
    assert!(line.contains("SIGTERM: shut down in"), "{line}");
    assert!(line.contains("handlers 100 finished, 0 cut off"), "{line}");
    assert!(line.ends_with("nothing was lost"), "{line}");
    assert!(server.exited().await);
}

#[tokio::test]
async fn a_handler_that_never_ends_is_cut_off_at_the_deadline() {
    let mut server = Program::start(&["127.0.0.1:0", "--deadline", "2000"]);
    let (pid, address) = server.listens().await;
    let session = client(&address).await;
    let stuck = session.call::<()>("/work/never", ()).send().await.unwrap();
    let done = call(&session, 1, 500);
    reached(&session).await;
    signal(pid, Signal::INT);
    assert!(stuck.await.unwrap_err().is_closed());
    assert_eq!(done.await.unwrap().unwrap(), (1, pid));
    let line = server.line("ended ").await;
    println!("{line}");
    assert!(line.contains("SIGINT"), "{line}");
    assert!(line.contains("handlers 1 finished, 1 cut off"), "{line}");
    assert!(server.exited().await);
}

#[tokio::test]
async fn a_client_that_reads_nothing_is_cut_off_at_the_deadline() {
    let mut server = Program::start(&["127.0.0.1:0", "--deadline", "300"]);
    let (pid, address) = server.listens().await;
    let mut stream = TcpStream::connect(&address).await.unwrap();
    for _ in 0..20 {
        let call = RawFrame::call("a", "/work/large", "").bytes();
        stream.write_all(&call).await.unwrap();
    }
    let session = client(&address).await;
    reached(&session).await;
    signal(pid, Signal::TERM);
    let line = server.line("ended ").await;
    println!("{line}");
    assert!(
        line.contains("2 sessions") && line.contains("1 sessions cut off"),
        "{line}"
    );
    // Of twenty replies of a mebibyte some were taken, some queued, and the rest waited for room.
    assert!(line.contains("bytes unsent"), "{line}");
    assert!(line.contains(" 0 cut off; calls"), "{line}");
    assert!(line.contains("replies lost"), "{line}");
    assert!(server.exited().await);
    drop(stream);
}

#[tokio::test]
async fn a_second_signal_cuts_off_at_once() {
    let mut server = Program::start(&["127.0.0.1:0", "--deadline", "600000"]);
    let (pid, address) = server.listens().await;
    let session = client(&address).await;
    let stuck = session.call::<()>("/work/never", ()).send().await.unwrap();
    reached(&session).await;
    signal(pid, Signal::TERM);
    server.line("shutting down").await;
    // Another reboot is no answer to it, and the shutdown goes on.
    signal(pid, Signal::USR2);
    server.line("it cannot be rebooted now").await;
    signal(pid, Signal::TERM);
    server.line("cutting off at once").await;
    assert!(stuck.await.unwrap_err().is_closed());
    let line = server.line("ended ").await;
    println!("{line}");
    assert!(line.contains("1 cut off"), "{line}");
    assert!(line.ends_with("it was hurried"), "{line}");
    assert!(server.exited().await);
}

#[tokio::test]
async fn a_program_without_work_ends_at_once() {
    let mut server = Program::start(&["127.0.0.1:0"]);
    let (pid, _) = server.listens().await;
    signal(pid, Signal::TERM);
    let line = server.line("ended ").await;
    assert!(line.contains("0 sessions"), "{line}");
    assert!(server.exited().await);
}
