//! The server under test: a process, and those that follow it.

use std::path::PathBuf;
use std::process::Stdio;
use std::time::Duration;

use rustix::process::{Pid, Signal, kill_process};
use tokio::io::{AsyncBufReadExt as _, AsyncRead, BufReader};
use tokio::process::{Child, Command};
use tokio::sync::mpsc;
use tokio::time::timeout;

/// Longer than anything takes that a test waits for.
pub(crate) const PATIENCE: Duration = Duration::from_secs(30);

pub(crate) struct Program {
    child: Child,
    lines: mpsc::UnboundedReceiver<String>,
    /// The processes that said that they listen, and did not say that they ended.
    alive: Vec<u32>,
    unread: Vec<String>,
}

pub(crate) fn command() -> Command {
    let mut command = Command::new(env!("CARGO_BIN_EXE_reboot-server"));
    command.env("RUST_LOG", "teleport=info");
    command
}

impl Program {
    /// Starts it with these arguments.
    pub(crate) fn start(arguments: &[&str]) -> Self {
        let mut command = command();
        command.args(arguments);
        Self::of(command)
    }

    pub(crate) fn of(mut command: Command) -> Self {
        let mut child = command
            .stdout(Stdio::piped())
            .stderr(Stdio::piped())
            .kill_on_drop(true)
            .spawn()
            .unwrap();
        let (sender, lines) = mpsc::unbounded_channel();
        read(child.stdout.take().unwrap(), sender.clone());
        read(child.stderr.take().unwrap(), sender);
        Self {
            child,
            lines,
            alive: Vec::new(),
            unread: Vec::new(),
        }
    }

    /// Waits for a line with this text in it, on either output. Two processes write, and each line
    /// is for whoever waits for it.
    pub(crate) async fn line(&mut self, text: &str) -> String {
        if let Some(at) = self.unread.iter().position(|line| line.contains(text)) {
            return self.unread.remove(at);
        }
        loop {
            match timeout(PATIENCE, self.lines.recv()).await {
                Ok(Some(line)) => {
                    self.note(&line);
                    if line.contains(text) {
                        return line;
                    }
                    self.unread.push(line);
                }
                Ok(None) => panic!("no line says {text:?}: {:#?}", self.unread),
                Err(_) => panic!("no line says {text:?} in time: {:#?}", self.unread),
            }
        }
    }

    fn note(&mut self, line: &str) {
        let mut words = line.split(' ');
        match (words.next(), words.next().and_then(|pid| pid.parse().ok())) {
            (Some("listening"), Some(pid)) if !self.alive.contains(&pid) => self.alive.push(pid),
            (Some("ended"), Some(pid)) => self.alive.retain(|alive| *alive != pid),
            _ => {}
        }
    }

    /// Waits until a process listens; returns its number and the address.
    pub(crate) async fn listens(&mut self) -> (u32, String) {
        let line = self.line("listening ").await;
        let mut words = line.split(' ').skip(1);
        let pid = words.next().unwrap().parse().unwrap();
        (pid, words.next().unwrap().to_owned())
    }

    /// Waits until the first process is gone; whether it ended well.
    pub(crate) async fn exited(&mut self) -> bool {
        let status = timeout(PATIENCE, self.child.wait()).await;
        status.expect("it should end").unwrap().success()
    }

    /// Waits until all processes are gone.
    pub(crate) async fn all_gone(&mut self) {
        while let Some(line) = timeout(PATIENCE, self.lines.recv()).await.expect("an end") {
            self.note(&line);
        }
    }
}

impl Drop for Program {
    fn drop(&mut self) {
        // Those that were started by a reboot are no children of this process.
        for pid in &self.alive {
            signal(*pid, Signal::KILL);
        }
    }
}

fn read(from: impl AsyncRead + Unpin + Send + 'static, to: mpsc::UnboundedSender<String>) {
    tokio::spawn(async move {
        let mut lines = BufReader::new(from).lines();
        while let Ok(Some(line)) = lines.next_line().await {
            if to.send(line).is_err() {
                return;
            }
        }
    });
}

pub(crate) fn signal(pid: u32, signal: Signal) {
    let pid = Pid::from_raw(i32::try_from(pid).unwrap()).unwrap();
    let _ = kill_process(pid, signal);
}

/// A folder of a test's own, removed with it.
pub(crate) struct Folder(PathBuf);

impl Folder {
    pub(crate) fn new(name: &str) -> Self {
        let path = std::env::temp_dir().join(format!("teleport-{name}-{}", std::process::id()));
        std::fs::create_dir_all(&path).unwrap();
        Self(path)
    }

    pub(crate) fn file(&self, name: &str) -> String {
        self.0.join(name).to_str().unwrap().to_owned()
    }
}

impl Drop for Folder {
    fn drop(&mut self) {
        let _ = std::fs::remove_dir_all(&self.0);
    }
}
