//! Signs of life: a client that pings, and a server that closes who falls silent.
//!
//! Run with `cargo run -p teleport-examples --example heartbeat`. The clock of this program jumps
//! ahead whenever nobody has anything to do, so that nobody has to wait.

use std::time::Duration;

use teleport::plugins::heartbeat::{Ping, Pong};
use teleport::{Error, Peer};
use tokio::time::{Instant, sleep};

#[tokio::main(flavor = "current_thread", start_paused = true)]
async fn main() -> Result<(), Error> {
    let started = Instant::now();
    let server = Peer::builder().plugin(Pong::new()).build()?;

    // A rate has whole seconds, and at least three.
    let error = Peer::builder()
        .plugin(Ping::by_call(Duration::from_secs(1)))
        .build();
    println!("{}", error.unwrap_err());

    // By call the client finds out as well when the server is gone; by push it would not.
    let ping = Ping::by_call(Duration::from_secs(30));
    let client = Peer::builder().plugin(ping).build()?;
    let (near, far) = tokio::io::duplex(1024);
    let (there, here) = tokio::join!(server.serve_conn(near), client.dial_conn(far));
    let (there, here) = (there?, here?);
    sleep(Duration::from_secs(600)).await;
    println!(
        "after {} s of silence {} heartbeats were sent, and the session lives: {}",
        started.elapsed().as_secs(),
        here.traffic().sent,
        there.health()
    );

    // One that said a rate once, and nothing more, is closed after two to three rates.
    let (near, far) = tokio::io::duplex(1024);
    let silent = Peer::builder().build()?;
    let (there, here) = tokio::join!(server.serve_conn(near), silent.dial_conn(far));
    let (there, here) = (there?, here?);
    here.call::<()>("/heartbeat?hb_=5", ()).await?;
    let since = Instant::now();
    there.closed().await;
    println!(
        "the silent one was closed after {} s: {}",
        since.elapsed().as_secs(),
        there.close_reason().unwrap_or_default()
    );

    client.close().await;
    server.close().await;
    Ok(())
}
