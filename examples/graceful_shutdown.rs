//! A server that ends in good order: what runs is finished, what hangs is cut off, and a report says
//! which.
//!
//! Run with `cargo run -p teleport-examples --example graceful_shutdown`.

use std::time::Duration;

use teleport::graceful::Graceful;
use teleport::{Error, Peer, controller};

struct Work;

#[controller]
impl Work {
    async fn slow(&self, arg: String) -> String {
        tokio::time::sleep(Duration::from_millis(100)).await;
        format!("{arg} is done")
    }

    async fn stuck(&self) {
        std::future::pending::<()>().await;
    }
}

#[tokio::main]
async fn main() -> Result<(), Error> {
    end_with("nothing stuck", false).await?;
    end_with("a handler that never ends", true).await
}

async fn end_with(what: &str, is_stuck: bool) -> Result<(), Error> {
    let server = Peer::builder().build()?;
    server.route_call(Work)?;
    let address = server.listen_on("127.0.0.1:0").await?;

    // A server would `run().await` this, and return from `main` after SIGINT or SIGTERM. Here the
    // end comes by call.
    let graceful = Graceful::builder()
        .peer(&server)
        .deadline(Duration::from_millis(500))
        .before(|| async { println!("before: leaving the registry") })
        .after(|| async { println!("after: closing the database") })
        .start()?;

    let client = Peer::builder().build()?;
    let session = client.dial(&address).await?;
    let slow = session
        .call::<String>("/work/slow", "the work")
        .send()
        .await?;
    let stuck = match is_stuck {
        true => Some(session.call::<()>("/work/stuck", ()).send().await?),
        false => None,
    };
    // Replies may overtake, but messages are read in order: when this one is answered the others
    // have begun.
    session.call::<String>("/work/slow", "more").await?;

    println!("--- shutting down with {what}");
    graceful.shutdown();
    println!("client: {}", slow.await?);
    let ending = graceful.ended().await?;
    if let Some(stuck) = stuck {
        println!("client: {}", stuck.await.unwrap_err());
    }
    println!("server: {ending}");
    assert_eq!(ending.is_complete(), !is_stuck);
    client.close().await;
    Ok(())
}
