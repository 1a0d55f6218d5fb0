//! Programs that are replaced, and new processes that fail.

use std::os::fd::OwnedFd;
use std::process::Stdio;

use rustix::process::Signal;
use teleport::{Peer, Session};
use tokio::net::TcpStream;
use tokio::process::Command;

use crate::program::{Folder, Program, command, signal};

/// Which process answers at an address.
async fn who(address: &str) -> u32 {
    let client = Peer::builder().build().unwrap();
    let session = client.dial(address).await.unwrap();
    let pid = who_over(&session).await;
    session.close().await;
    pid
}

async fn who_over(session: &Session) -> u32 {
    let (_, pid): (u64, u32) = session.call("/work/take", &(0, 0)).await.unwrap();
    pid
}

#[tokio::test]
async fn a_new_process_goes_on_at_the_same_addresses() {
    let folder = Folder::new("successor");
    let path = folder.file("server.sock");
    let unix = format!("unix:{path}");
    let mut server = Program::start(&["127.0.0.1:0", "127.0.0.1:0", &unix]);
    let mut addresses = Vec::new();
    let mut old = 0;
    for _ in 0..3 {
        let (pid, address) = server.listens().await;
        addresses.push(address);
        old = pid;
    }
    for round in 0..2 {
        signal(old, Signal::USR2);
        let mut new = 0;
        for address in &addresses {
            let (pid, inherited) = server.listens().await;
            assert_eq!(&inherited, address);
            new = pid;
        }
        assert_ne!(new, old);
        let line = server.line("ended ").await;
        assert!(line.starts_with(&format!("ended {old} ")), "{line}");
        assert!(
            line.contains(&format!("process {new} has taken over")),
            "{line}"
        );
        if round == 0 {
            assert!(server.exited().await);
        }
        for address in ["", "", &unix].iter().zip(&addresses) {
            let address = if address.0.is_empty() {
                address.1
            } else {
                *address.0
            };
            assert_eq!(who(address).await, new);
        }
        old = new;
    }
    signal(old, Signal::TERM);
    server.line("SIGTERM").await;
    server.all_gone().await;
    assert!(
        !std::path::Path::new(&path).exists(),
        "the last one removes the file"
    );
}

#[tokio::test]
async fn a_connection_that_nobody_has_taken_waits_for_the_new_process() {
    // Whoever stops in the middle takes no connections: the new process will.
    let mut server = Program::start(&["127.0.0.1:0"]);
    let (old, address) = server.listens().await;
    signal(old, Signal::USR2);
    let (new, _) = server.listens().await;
    server.line("ended ").await;
    signal(new, Signal::STOP);
    let waiting = TcpStream::connect(&address).await.unwrap();
    signal(new, Signal::CONT);
    let client = Peer::builder().build().unwrap();
    let session = client.dial_conn(waiting).await.unwrap();
    assert_eq!(who_over(&session).await, new);
    signal(new, Signal::TERM);
    server.all_gone().await;
}

#[tokio::test]
async fn listeners_that_the_new_process_does_not_take_are_closed() {
    let folder = Folder::new("fewer");
    let fate = folder.file("fate");
    let mut server = Program::start(&["127.0.0.1:0", "127.0.0.1:0", "--fate", &fate]);
    let (old, first) = server.listens().await;
    let (_, second) = server.listens().await;
    std::fs::write(&fate, "fewer").unwrap();
    signal(old, Signal::USR2);
    let (new, inherited) = server.listens().await;
    assert_eq!(inherited, first);
    server.line("ended ").await;
    assert_eq!(who(&first).await, new);
    assert!(TcpStream::connect(&second).await.is_err());
    signal(new, Signal::TERM);
    server.all_gone().await;
}

#[tokio::test]
async fn a_new_process_that_fails_changes_nothing() {
    let folder = Folder::new("fails");
    let fate = folder.file("fate");
    let arguments = ["127.0.0.1:0", "--fate", &fate, "--ready-timeout", "300"];
    let mut server = Program::start(&arguments);
    let (pid, address) = server.listens().await;
    let client = Peer::builder().build().unwrap();
    let session = client.dial(&address).await.unwrap();
    for (how, says) in [
        ("exit", "ended before it was ready (exit status: 3)"),
        ("hang", "was not ready within 300ms"),
    ] {
        std::fs::write(&fate, how).unwrap();
        signal(pid, Signal::USR2);
        let line = server.line("there is no reboot").await;
        println!("{line}");
        assert!(line.contains(says), "{line}");
        // Sessions go on, and connections are taken.
        assert_eq!(who_over(&session).await, pid);
        assert_eq!(who(&address).await, pid);
    }
    // And when the reason is gone, it is replaced after all.
    std::fs::remove_file(&fate).unwrap();
    signal(pid, Signal::USR2);
    let (new, _) = server.listens().await;
    server.line("ended ").await;
    assert_eq!(who(&address).await, new);
    signal(new, Signal::TERM);
    server.all_gone().await;
}

#[tokio::test]
async fn a_program_that_is_not_there_changes_nothing() {
    let mut server = Program::start(&["127.0.0.1:0", "--program", "/nowhere/at/all"]);
    let (pid, address) = server.listens().await;
    signal(pid, Signal::USR2);
    let line = server.line("there is no reboot").await;
    assert!(line.contains("/nowhere/at/all cannot be started"), "{line}");
    assert_eq!(who(&address).await, pid);
    signal(pid, Signal::TERM);
    assert!(server.exited().await);
}

#[tokio::test]
async fn there_is_one_reboot_at_a_time_and_an_end_ends_it() {
    let folder = Folder::new("once");
    let fate = folder.file("fate");
    let mut server = Program::start(&["127.0.0.1:0", "--fate", &fate]);
    let (pid, _) = server.listens().await;
    std::fs::write(&fate, "hang").unwrap();
    signal(pid, Signal::USR2);
    server.line("a new process is started").await;
    signal(pid, Signal::USR2);
    server.line("a reboot is under way already").await;
    signal(pid, Signal::TERM);
    server.line("told to end meanwhile").await;
    let line = server.line("ended ").await;
    assert!(line.contains("SIGTERM"), "{line}");
    assert!(server.exited().await);
    // The new process holds the outputs open as long as it lives.
    server.all_gone().await;
}

#[tokio::test]
async fn a_listener_that_systemd_passes_is_taken_by_its_address() {
    let listener = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
    let address = listener.local_addr().unwrap().to_string();
    for is_meant in [true, false] {
        let fd = OwnedFd::from(listener.try_clone().unwrap());
        let mut shell = Command::new("sh");
        let pid = if is_meant { "$$" } else { "1" };
        let script = format!("LISTEN_PID={pid} LISTEN_FDS=1 exec \"$0\" \"$@\" 3<&0 0</dev/null");
        shell
            .arg("-c")
            .arg(script)
            .arg(command().as_std().get_program())
            .arg(&address)
            .env("RUST_LOG", "teleport=info")
            .stdin(Stdio::from(fd));
        let mut server = Program::of(shell);
        if !is_meant {
            // Then it binds, and somebody listens there already.
            server.line("cannot listen on").await;
            assert!(!server.exited().await);
            continue;
        }
        let (pid, taken) = server.listens().await;
        assert_eq!(taken, address);
        assert_eq!(who(&address).await, pid);
        // It hands on what it was passed.
        signal(pid, Signal::USR2);
        let (new, taken) = server.listens().await;
        assert_eq!(taken, address);
        server.line("ended ").await;
        assert_eq!(who(&address).await, new);
        signal(new, Signal::TERM);
        server.all_gone().await;
    }
}
