//! Running the command, and what it talks to.

use std::ffi::OsStr;
use std::io::{BufRead, BufReader, Read, Write};
use std::net::{TcpListener, TcpStream};
use std::process::{Child, ChildStderr, ChildStdout, Command, Output, Stdio};
use std::thread::{self, JoinHandle};

use serde_json::Value;

/// What a run of the command came to.
#[derive(Debug)]
pub(crate) struct Run {
    pub(crate) code: i32,
    pub(crate) stdout: Vec<u8>,
    pub(crate) stderr: Vec<String>,
}

impl Run {
    fn of(output: Output) -> Self {
        Self {
            code: output.status.code().expect("the command was not killed"),
            stdout: output.stdout,
            stderr: String::from_utf8(output.stderr)
                .unwrap()
                .lines()
                .map(str::to_owned)
                .collect(),
        }
    }

    #[track_caller]
    pub(crate) fn succeeded(self, body: impl AsRef<[u8]>) -> Self {
        assert_eq!(self.code, 0, "{self:?}");
        assert_eq!(
            String::from_utf8_lossy(&self.stdout),
            String::from_utf8_lossy(body.as_ref()),
            "{self:?}"
        );
        self
    }

    /// Nothing on standard output, and an error with this code as the last line. Its text.
    #[track_caller]
    pub(crate) fn failed(&self, exit: i32, code: i64) -> (String, String) {
        assert_eq!(self.code, exit, "{self:?}");
        assert!(self.stdout.is_empty(), "{self:?}");
        let last = self.stderr.last().expect("an error is printed");
        let error: Value = serde_json::from_str(last).expect("the last line is JSON");
        let keys: Vec<_> = error.as_object().unwrap().keys().collect();
        assert_eq!(keys.len(), 3, "{last}");
        assert_eq!(error["code"], code, "{last}");
        let text = |key: &str| error[key].as_str().unwrap().to_owned();
        (text("message"), text("reason"))
    }

    #[track_caller]
    pub(crate) fn misused(&self, text: &str) {
        assert_eq!(self.code, 2, "{self:?}");
        assert!(self.stdout.is_empty(), "{self:?}");
        assert!(self.stderr.join("\n").contains(text), "{self:?}");
    }
}

pub(crate) fn command<S: AsRef<OsStr>>(args: impl IntoIterator<Item = S>) -> Command {
    let mut command = Command::new(env!("CARGO_BIN_EXE_teleport"));
    command
        .args(args)
        .env_remove("RUST_LOG")
        .stdin(Stdio::null())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped());
    command
}

pub(crate) fn run<S: AsRef<OsStr>>(args: impl IntoIterator<Item = S>) -> Run {
    Run::of(command(args).output().unwrap())
}

/// Runs with something on standard input.
pub(crate) fn run_with(input: &[u8], args: &[&str]) -> Run {
    let mut child = command(args).stdin(Stdio::piped()).spawn().unwrap();
    let mut stdin = child.stdin.take().unwrap();
    let input = input.to_vec();
    let writer = thread::spawn(move || {
        // A command that has no use for its input ends without reading it.
        let _ = stdin.write_all(&input);
    });
    let run = Run::of(child.wait_with_output().unwrap());
    writer.join().unwrap();
    run
}

/// A command that goes on, killed at the end of its test.
pub(crate) struct Running {
    child: Child,
    /// `None` when nobody reads it any more.
    stdout: Option<BufReader<ChildStdout>>,
    stderr: BufReader<ChildStderr>,
}

impl Running {
    pub(crate) fn start(args: &[&str]) -> Self {
        let mut child = command(args).spawn().unwrap();
        Self {
            stdout: child.stdout.take().map(BufReader::new),
            stderr: BufReader::new(child.stderr.take().unwrap()),
            child,
        }
    }

    /// The next line on standard output, which must be there before the command goes on.
    pub(crate) fn line(&mut self) -> String {
        next_line(self.stdout.as_mut().unwrap())
    }

    /// Reads standard output no more.
    pub(crate) fn leave(&mut self) {
        self.stdout = None;
    }

    /// The next line on standard error.
    pub(crate) fn error_line(&mut self) -> String {
        next_line(&mut self.stderr)
    }

    #[cfg(unix)]
    pub(crate) fn signal(&self, name: &str) {
        let sent = Command::new("kill")
            .args(["-s", name, &self.child.id().to_string()])
            .status()
            .unwrap();
        assert!(sent.success());
    }

    pub(crate) fn wait(&mut self) -> i32 {
        self.child
            .wait()
            .unwrap()
            .code()
            .expect("it was not killed")
    }

    /// What was not read yet of standard output, when the command is over.
    pub(crate) fn rest(&mut self) -> String {
        let mut rest = String::new();
        let stdout = self.stdout.as_mut().unwrap();
        stdout.read_to_string(&mut rest).unwrap();
        rest
    }
}

impl Drop for Running {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

fn next_line(from: &mut impl BufRead) -> String {
    let mut line = String::new();
    from.read_line(&mut line).unwrap();
    assert!(line.ends_with('\n'), "the output ended with {line:?}");
    line.pop();
    line
}

/// A running `teleport serve`.
pub(crate) struct Server {
    pub(crate) run: Running,
    pub(crate) address: String,
}

impl Server {
    pub(crate) fn start() -> Self {
        Self::with(&[])
    }

    pub(crate) fn with(options: &[&str]) -> Self {
        let mut run = Running::start(&[&["serve"], options].concat());
        let address = run.line();
        Self { run, address }
    }

    /// Calls with options, which come first, then a uri, and perhaps a body.
    pub(crate) fn call(&self, options: &[&str], rest: &[&str]) -> Run {
        run([&["call"], options, &[&*self.address], rest].concat())
    }

    /// The next line about a message.
    pub(crate) fn line(&mut self) -> String {
        self.run.line()
    }
}

/// A server made by hand: it takes one connection and does something with it.
pub(crate) fn by_hand(work: impl FnOnce(TcpStream) + Send + 'static) -> (String, JoinHandle<()>) {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let address = listener.local_addr().unwrap().to_string();
    let thread = thread::spawn(move || work(listener.accept().unwrap().0));
    (address, thread)
}

/// Reads a whole frame of the raw protocol, as it is on the wire.
pub(crate) fn read_frame(stream: &mut TcpStream) -> Vec<u8> {
    let mut frame = vec![0; 4];
    stream.read_exact(&mut frame).unwrap();
    let size = u32::from_be_bytes(frame[..].try_into().unwrap());
    frame.resize(size as usize, 0);
    stream.read_exact(&mut frame[4..]).unwrap();
    frame
}

pub(crate) fn hex(bytes: &[u8]) -> String {
    bytes.iter().map(|byte| format!("{byte:02x}")).collect()
}

/// A frame as `teleport wire decode` shows it.
pub(crate) fn decode(frame: &[u8]) -> Value {
    let shown = run_with(format!("{}\n", hex(frame)).as_bytes(), &["wire", "decode"]);
    serde_json::from_slice(&shown.stdout).unwrap()
}

/// The frame that `teleport wire encode` makes.
pub(crate) fn encode(object: &[u8]) -> Vec<u8> {
    let hex = run_with(object, &["wire", "encode"]).stdout;
    hex.trim_ascii()
        .chunks(2)
        .map(|pair| u8::from_str_radix(str::from_utf8(pair).unwrap(), 16).unwrap())
        .collect()
}
