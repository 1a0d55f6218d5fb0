//! Signals in the wrong order, new processes that die, programs that vanish.

use rustix::process::Signal;
use teleport::session::Redial;
use teleport::{Peer, Session};
use tokio::net::TcpStream;

use crate::program::{Folder, Program, command, signal};

async fn take(session: &Session, id: u64) -> Result<u32, teleport::Error> {
    let (_, pid): (u64, u32) = session.call("/work/take", &(id, 0)).await?;
    Ok(pid)
}

async fn dial(address: &str) -> Session {
    let client = Peer::builder().build().unwrap();
    let dial = client.dial(address).redial(Redial::forever());
    dial.await.unwrap()
}

#[tokio::test]
async fn a_storm_of_signals_is_one_end() {
    let mut server = Program::start(&["127.0.0.1:0", "--deadline", "600000"]);
    let (pid, address) = server.listens().await;
    let session = dial(&address).await;
    let stuck = session.call::<()>("/work/never", ()).send().await.unwrap();
    take(&session, 1).await.unwrap();
    for of in [
        Signal::TERM,
        Signal::INT,
        Signal::TERM,
        Signal::USR2,
        Signal::INT,
    ] {
        signal(pid, of);
    }
    assert!(stuck.await.unwrap_err().is_closed());
    let line = server.line("ended ").await;
    assert!(line.contains(&format!("ended {pid} SIG")), "{line}");
    assert!(server.exited().await);
    server.all_gone().await;
    assert!(TcpStream::connect(&address).await.is_err());
}

#[tokio::test]
async fn a_thread_that_blocks_for_ever_is_reported_and_ends_with_the_process() {
    let mut server = Program::start(&["127.0.0.1:0", "--deadline", "200"]);
    let (pid, address) = server.listens().await;
    let session = dial(&address).await;
    let stuck = session.call::<()>("/work/block", ()).send().await.unwrap();
    take(&session, 1).await.unwrap();
    for _ in 0..3 {
        signal(pid, Signal::TERM);
    }
    let line = server.line("ended ").await;
    assert!(line.contains("; 1 handlers go on"), "{line}");
    assert!(!server.exited().await, "it says so by its code");
    assert!(stuck.await.is_err());
}

#[tokio::test]
async fn two_reboots_in_quick_succession_leave_one_process() {
    let mut server = Program::start(&["127.0.0.1:0"]);
    let (old, address) = server.listens().await;
    let session = dial(&address).await;
    for _ in 0..2 {
        signal(old, Signal::USR2);
        tokio::task::yield_now().await;
    }
    let (new, _) = server.listens().await;
    let line = server.line("ended ").await;
    assert!(
        line.contains(&format!("process {new} has taken over")),
        "{line}"
    );
    assert!(server.exited().await);
    assert_eq!(take(&session, 1).await.unwrap(), new);
    signal(new, Signal::TERM);
    // Whoever else were there would keep the outputs open.
    server.all_gone().await;
}

#[tokio::test]
async fn a_reboot_and_an_end_at_once_leave_no_process_behind() {
    for _ in 0..5 {
        let mut server = Program::start(&["127.0.0.1:0"]);
        let (pid, address) = server.listens().await;
        signal(pid, Signal::USR2);
        signal(pid, Signal::TERM);
        let line = server.line("ended ").await;
        assert!(line.contains("SIGTERM"), "{line}");
        assert!(server.exited().await);
        server.all_gone().await;
        assert!(TcpStream::connect(&address).await.is_err());
    }
}

#[tokio::test]
async fn a_new_process_that_crashes_when_it_is_ready_costs_no_call_that_was_accepted() {
    let folder = Folder::new("crash");
    let fate = folder.file("fate");
    let mut server = Program::start(&["127.0.0.1:0", "--fate", &fate]);
    let (old, address) = server.listens().await;
    let session = dial(&address).await;
    let accepted = session.call::<(u64, u32)>("/work/take", &(7, 300)).send();
    let accepted = accepted.await.unwrap();
    take(&session, 1).await.unwrap();
    std::fs::write(&fate, "crash").unwrap();
    signal(old, Signal::USR2);
    server.listens().await;
    assert_eq!(accepted.await.unwrap(), (7, old));
    let line = server.line("ended ").await;
    assert!(line.ends_with("nothing was lost"), "{line}");
    assert!(server.exited().await);
    server.all_gone().await;
    // Whoever looks after the program starts it anew, and the session is there again.
    std::fs::remove_file(&fate).unwrap();
    let mut server = Program::start(&[&address]);
    let (new, _) = server.listens().await;
    assert_eq!(take(&session, 2).await.unwrap(), new);
    signal(new, Signal::TERM);
    server.all_gone().await;
}

#[tokio::test]
async fn a_program_that_was_removed_changes_nothing_and_one_that_was_replaced_is_started() {
    let folder = Folder::new("program");
    let path = folder.file("server");
    let original = command().as_std().get_program().to_owned();
    // Not over the file itself: as long as it runs nobody may write to it.
    let put = || {
        let new = folder.file("new");
        std::fs::copy(&original, &new).unwrap();
        std::fs::rename(new, &path).unwrap();
    };
    put();
    let mut program = tokio::process::Command::new(&path);
    program.env("RUST_LOG", "teleport=info").arg("127.0.0.1:0");
    let mut server = Program::of(program);
    let (old, address) = server.listens().await;
    let session = dial(&address).await;
    std::fs::remove_file(&path).unwrap();
    signal(old, Signal::USR2);
    let line = server.line("there is no reboot").await;
    assert!(
        line.contains(&format!("{path} cannot be started")),
        "{line}"
    );
    assert_eq!(take(&session, 1).await.unwrap(), old);
    // One that is no program.
    std::fs::write(&path, "nothing that runs").unwrap();
    signal(old, Signal::USR2);
    server.line("there is no reboot").await;
    assert_eq!(take(&session, 2).await.unwrap(), old);
    put();
    signal(old, Signal::USR2);
    let (new, _) = server.listens().await;
    server.line("ended ").await;
    assert_eq!(take(&session, 3).await.unwrap(), new);
    signal(new, Signal::TERM);
    server.all_gone().await;
}
