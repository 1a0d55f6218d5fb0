//! A server that adds numbers and tells all its clients the time every second.
//!
//! Run with `cargo run -p teleport-examples --example server`, and the example `client` beside it.
//! Arguments: the address to listen on, `:9090` if there is none, and `--calls N` to end after N
//! calls.

use std::time::{Duration, SystemTime};

use teleport::graceful::Graceful;
use teleport::{CallCtx, Peer, Rerror, controller};
use tokio::sync::watch;

struct Math {
    answered: watch::Sender<u64>,
}

#[controller]
impl Math {
    /// Adds the numbers up.
    async fn add(&self, ctx: &mut CallCtx, arg: Vec<i64>) -> Result<i64, Rerror> {
        tracing::info!(author = ctx.query("author"));
        self.answered.send_modify(|n| *n += 1);
        Ok(arg.iter().sum())
    }
}

#[tokio::main]
async fn main() -> Result<(), Box<dyn std::error::Error>> {
    let (address, calls) = arguments()?;
    let srv = Peer::builder()
        .count_time(true)
        .print_detail(true)
        .build()?;
    let (answered, mut answers) = watch::channel(0);
    srv.route_call(Math { answered })?;
    println!("{}", srv.listen_on(&address).await?);
    // From here on each call and push writes a line to the log.
    tracing_subscriber::fmt().init();
    tokio::spawn(tell_the_time(srv.clone()));

    // Ctrl-C and SIGTERM end it, SIGUSR2 has a new process go on, and no call is lost.
    let farewell = srv.clone();
    let graceful = Graceful::builder()
        .peer(&srv)
        .before(|| async move { tell(&farewell, "the server closes").await })
        .start()?;
    tokio::spawn({
        let graceful = graceful.clone();
        async move {
            if answers.wait_for(|n| *n >= calls).await.is_ok() {
                graceful.shutdown();
            }
        }
    });
    println!("{}", graceful.ended().await?);
    Ok(())
}

async fn tell(srv: &Peer, text: &str) {
    let told = srv.sessions().broadcast("/push/status", text).await;
    if let Err(error) = told {
        tracing::warn!(%error, "the clients are not told");
    }
}

async fn tell_the_time(srv: Peer) {
    let mut second = tokio::time::interval(Duration::from_secs(1));
    loop {
        second.tick().await;
        let now = SystemTime::now().duration_since(SystemTime::UNIX_EPOCH);
        let text = format!(
            "the server's time is {} s",
            now.unwrap_or_default().as_secs()
        );
        tell(&srv, &text).await;
    }
}

/// The address to listen on, and after how many calls to end.
fn arguments() -> Result<(String, u64), Box<dyn std::error::Error>> {
    let (mut address, mut calls) = (":9090".to_owned(), u64::MAX);
    let mut args = std::env::args().skip(1);
    while let Some(arg) = args.next() {
        match arg.as_str() {
            "--calls" => calls = args.next().ok_or("--calls needs a number")?.parse()?,
            _ => address = arg,
        }
    }
    Ok((address, calls))
}
