//! A server that is restarted, and told to end, by the tests of those.
//!
//! Its lines go to standard output, which the processes that follow it inherit:
//! `listening PID ADDRESS`, and at the end `ended PID ...` with its report in a line.

use std::io::Write;
use std::path::PathBuf;
use std::process::ExitCode;
use std::time::Duration;

use bytes::Bytes;
use clap::Parser;
use teleport::graceful::{Ending, Graceful};
use teleport::tls::TlsServer;
use teleport::{Error, Peer, controller};

#[derive(Parser)]
struct Args {
    /// The addresses to listen on.
    #[arg(required = true)]
    listen: Vec<String>,

    /// How long a shutdown may take, in milliseconds.
    #[arg(long, default_value_t = 10_000)]
    deadline: u64,

    /// How long a new process may take until it is ready, in milliseconds.
    #[arg(long, default_value_t = 10_000)]
    ready_timeout: u64,

    /// What a reboot starts, instead of this program.
    #[arg(long)]
    program: Option<PathBuf>,

    /// A file that tells new processes how to fail: `exit` or `hang`, or `crash` when it is ready; or,
    /// with `fewer`, to listen on the first address alone.
    #[arg(long)]
    fate: Option<PathBuf>,

    /// A certificate and its key, in files: TLS.
    #[arg(long, num_args = 2)]
    identity: Option<Vec<PathBuf>>,
}

struct Work;

#[controller]
impl Work {
    /// Takes so many milliseconds, and says who did it.
    async fn take(&self, arg: (u64, u64)) -> (u64, u32) {
        let (id, time) = arg;
        if time > 0 {
            tokio::time::sleep(Duration::from_millis(time)).await;
        }
        (id, std::process::id())
    }

    async fn never(&self) {
        std::future::pending::<()>().await;
    }

    /// Blocks a thread, for ever.
    #[route(blocking)]
    fn block(&self) {
        loop {
            std::thread::park();
        }
    }

    async fn large(&self) -> Bytes {
        Bytes::from(vec![b'x'; 1 << 20])
    }
}

#[tokio::main]
async fn main() -> ExitCode {
    tracing_subscriber::fmt()
        .with_env_filter(tracing_subscriber::EnvFilter::from_default_env())
        .with_writer(std::io::stderr)
        .with_ansi(false)
        .init();
    match run(Args::parse()).await {
        Ok(ending) if ending.reports.iter().any(|report| report.handlers_left > 0) => {
            // Returning would wait for threads that block.
            std::process::exit(2)
        }
        Ok(_) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("{error:?}");
            ExitCode::FAILURE
        }
    }
}

async fn run(args: Args) -> Result<Ending, Error> {
    let pid = std::process::id();
    let is_new = std::env::var_os("TELEPORT_INHERIT").is_some();
    let fate = args.fate.as_ref().filter(|_| is_new);
    let fate = fate.and_then(|path| std::fs::read_to_string(path).ok());
    match fate.as_deref() {
        Some("exit") => std::process::exit(3),
        Some("hang") => std::future::pending().await,
        _ => {}
    }
    let listens_on_fewer = fate.as_deref() == Some("fewer");
    let mut server = Peer::builder();
    if let Some([certificate, key]) = args.identity.as_deref() {
        let tls = TlsServer::builder().identity_files(certificate, key);
        server = server.tls_server(tls.build()?);
    }
    let server = server.build()?;
    server.route_call(Work)?;
    let mut graceful = Graceful::builder()
        .peer(&server)
        .deadline(Duration::from_millis(args.deadline))
        .ready_timeout(Duration::from_millis(args.ready_timeout));
    if let Some(program) = args.program {
        graceful = graceful.program(program);
    }
    let graceful = graceful.start()?;
    let count = if listens_on_fewer {
        1
    } else {
        args.listen.len()
    };
    for address in args.listen.iter().take(count) {
        let address = server.listen_on(address).await?;
        say(&format!("listening {pid} {address}"));
    }
    if listens_on_fewer {
        teleport::graceful::ready().await;
    }
    if fate.as_deref() == Some("crash") {
        std::process::abort();
    }
    let ending = graceful.ended().await?;
    say(&format!(
        "ended {pid} {}",
        ending.to_string().replace('\n', " | ")
    ));
    Ok(ending)
}

/// One write a line: several processes write here.
fn say(line: &str) {
    let line = format!("{line}\n");
    let _ = std::io::stdout().write_all(line.as_bytes());
}
