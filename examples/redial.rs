//! A session that outlives its server: it dials again, and tells what happens.
//!
//! Run with `cargo run -p teleport-examples --example redial`.

use std::time::Duration;

use teleport::session::{Redial, SessionEventKind};
use teleport::{Error, Peer, Session, controller};

#[controller]
async fn double(arg: i64) -> i64 {
    arg * 2
}

async fn serve(address: &str) -> Result<(Peer, String), Error> {
    let server = Peer::builder().build()?;
    server.route_call_fn(double)?;
    let bound = server.listen_on(address).await?;
    Ok((server, bound.to_string()))
}

/// Prints what becomes of a session, until it is over.
async fn watch(session: Session) {
    let mut events = session.events();
    while let Ok(event) = events.recv().await {
        match event.kind {
            SessionEventKind::Lost { reason, .. } => println!("  lost: {reason}"),
            SessionEventKind::Redialling { attempt, .. } => println!("  attempt {attempt}"),
            SessionEventKind::Restored { .. } => println!("  restored"),
            SessionEventKind::Closed { reason, .. } => println!("  over: {reason}"),
            _ => {}
        }
    }
}

#[tokio::main]
async fn main() -> Result<(), Error> {
    let (server, address) = serve("127.0.0.1:0").await?;
    let client = Peer::builder().build()?;
    // Five attempts; the pauses are drawn, and grow from up to 80 ms on.
    let redial = Redial::times(5).interval(Duration::from_millis(20));
    let session = client.dial(&address).redial(redial).await?;
    session.swap_mut().insert("user", "ann");
    let watching = tokio::spawn(watch(session.clone()));
    println!("2 * 1 = {}", session.call::<i64>("/double", 1).await?);

    println!("the server is restarted");
    server.close().await;
    let waiting = {
        let session = session.clone();
        // Made while nobody is there, it waits for the next connection. Written just before, it
        // would fail, were it not said that it may be done twice.
        tokio::spawn(async move {
            let call = session.call::<i64>("/double", 2).idempotent(true);
            call.timeout(Duration::from_secs(30)).await
        })
    };
    let (server, _) = serve(&address).await?;
    match waiting.await {
        Ok(doubled) => println!("2 * 2 = {}", doubled?),
        Err(error) => println!("the task failed: {error}"),
    }
    let user = session.swap().get::<&str>("user").copied();
    println!("it is the session of {user:?} still");

    println!("the server goes for good");
    server.close().await;
    session.closed().await;
    let error = session.call::<i64>("/double", 3).await.unwrap_err();
    println!("a call fails: {error}");
    // Nothing was sent, so another session may be asked.
    assert!(error.may_retry());
    let _ = watching.await;
    Ok(())
}
