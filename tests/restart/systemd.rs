//! What a service manager is told, by a program that says nothing of it.

use std::time::Duration;

use rustix::process::Signal;
use tokio::net::{TcpStream, UnixDatagram};
use tokio::time::timeout;

use crate::program::{Folder, Program, command, signal};

/// A service manager's socket.
struct Manager(UnixDatagram);

impl Manager {
    async fn told(&self) -> String {
        let mut text = [0; 256];
        let told = timeout(Duration::from_secs(30), self.0.recv(&mut text)).await;
        let n = told.expect("a word").unwrap();
        String::from_utf8(text[..n].to_vec()).unwrap()
    }
}

#[tokio::test]
async fn a_program_that_waits_for_signals_before_it_listens_is_ready_when_it_listens() {
    let folder = Folder::new("systemd");
    let place = folder.file("notify");
    let manager = Manager(UnixDatagram::bind(&place).unwrap());
    let mut program = command();
    program
        .args(["127.0.0.1:0", "127.0.0.1:0", "127.0.0.1:0"])
        .env("NOTIFY_SOCKET", &place);
    let mut server = Program::of(program);
    assert_eq!(manager.told().await, "READY=1");
    // All that it was to listen on is there by then.
    let mut old = 0;
    for _ in 0..3 {
        let (pid, address) = server.listens().await;
        TcpStream::connect(&address).await.unwrap();
        old = pid;
    }
    signal(old, Signal::USR2);
    let mut new = 0;
    for _ in 0..3 {
        new = server.listens().await.0;
    }
    let mut told = [manager.told().await, manager.told().await];
    told.sort();
    assert_eq!(told, [format!("MAINPID={new}"), "READY=1".to_owned()]);
    server.line("ended ").await;
    signal(new, Signal::TERM);
    assert_eq!(manager.told().await, "STOPPING=1");
    server.all_gone().await;
}

#[tokio::test]
async fn a_program_that_listens_on_nothing_says_nothing() {
    let folder = Folder::new("silent");
    let place = folder.file("notify");
    let manager = Manager(UnixDatagram::bind(&place).unwrap());
    let taken = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
    let mut program = command();
    program
        .arg(taken.local_addr().unwrap().to_string())
        .env("NOTIFY_SOCKET", &place);
    let mut server = Program::of(program);
    server.line("cannot listen on").await;
    assert!(!server.exited().await);
    assert!(manager.0.try_recv(&mut [0; 16]).is_err());
}
