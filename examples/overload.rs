//! Limits: what is too much is turned away, says when to come again, and costs nobody else.
//!
//! Run with `cargo run -p teleport-examples --example overload`.

use std::time::Duration;

use teleport::plugins::overload::{Load, Overload};
use teleport::{Error, Peer, Session, controller};

/// Takes a while.
#[controller]
async fn report(year: u32) -> String {
    tokio::time::sleep(Duration::from_millis(50)).await;
    format!("all of {year}")
}

#[controller]
async fn hello(name: String) -> String {
    format!("hello {name}")
}

/// Calls until it is let in, as often as the other side asks it to come again.
async fn patiently(session: &Session, year: u32) -> Result<String, Error> {
    loop {
        match session.call("/report", year).await {
            Err(error) if error.may_retry() => {
                let wait = error.retry_after().unwrap_or(Duration::from_secs(1));
                println!("{year}: {error}; again in {wait:?}");
                tokio::time::sleep(wait).await;
            }
            done => return done,
        }
    }
}

#[tokio::main]
async fn main() -> Result<(), Error> {
    // For the whole peer, and for each address that calls it.
    let overload = Overload::new()
        .in_all(Load::new().sessions(2).running(1_000))
        .per_source(Load::new().per_second(100).burst(20));
    let server = Peer::builder().plugin(overload.clone()).build()?;
    // One route takes less than the others.
    let narrow = Overload::new()
        .in_all(Load::new().running(1))
        .retry_hint(Duration::from_millis(60));
    server.with(narrow.clone()).route_call_fn(report)?;
    server.route_call_fn(hello)?;
    let address = server.listen_on("127.0.0.1:0").await?;
    let client = Peer::builder().build()?;
    let session = client.dial(&address).await?;

    let (first, second) = tokio::join!(patiently(&session, 1999), patiently(&session, 2000));
    println!("{}; {}", first?, second?);

    // A burst of greetings: the rate of their source takes the first ones.
    let mut greeted = 0;
    for _ in 0..40 {
        greeted += u32::from(session.call::<String>("/hello", "you").await.is_ok());
    }
    println!(
        "{greeted} of 40 greetings, and the session lives: {}",
        session.health()
    );

    // The third connection is told, and closed.
    let _second = client.dial(&address).await?;
    let third = client.dial(&address).await?;
    third.closed().await;
    println!("{}", third.close_reason().unwrap_or_default());

    // Limits change while they count; whoever is in stays in.
    overload.change_in_all(&Load::new().sessions(3))?;
    let third = client.dial(&address).await?;
    println!("{}", patiently(&third, 2001).await?);

    println!("{:#?}", overload.stats());
    println!(
        "of reports were refused: {}",
        narrow.stats().refused_calls()
    );
    client.close().await;
    server.close().await;
    Ok(())
}
