//! A proxy: what it has no route for goes on to one of several backends, found by a label.
//!
//! Run with `cargo run -p teleport-examples --example proxy`

use std::collections::HashMap;
use std::sync::Arc;
use std::time::Duration;

use teleport::plugins::proxy::{Forward, Proxy};
use teleport::{CallCtx, Caller, Error, Peer, Session, controller};

struct Who(&'static str);

#[controller]
impl Who {
    fn are_you(&self, ctx: &mut CallCtx) -> String {
        format!("{}, called by {} as {}", self.0, ctx.real_ip(), ctx.seq())
    }
}

/// Starts a backend and gives the proxy's session with it.
async fn backend(name: &'static str) -> Result<Session, Error> {
    let server = Peer::builder().build()?;
    server.route_call(Who(name))?;
    let address = server.listen_on("127.0.0.1:0").await?;
    Peer::builder().build()?.dial(&address).await
}

#[tokio::main]
async fn main() -> Result<(), Error> {
    let (eu, us) = (backend("eu").await?, backend("us").await?);
    let backends: HashMap<&str, Arc<dyn Caller>> =
        HashMap::from([("eu", Arc::new(eu.clone()) as _), ("us", Arc::new(us) as _)]);

    let forward = Forward::by_label(
        |message| message.meta().get("region").unwrap_or("eu").to_owned(),
        move |label| backends.get(label).cloned(),
    )
    .program("gateway")
    .timeout(Duration::from_secs(2));
    let proxy = Peer::builder().plugin(Proxy::new(forward)).build()?;
    let address = proxy.listen_on("127.0.0.1:0").await?;

    let session = Peer::builder().build()?.dial(&address).await?;
    let call = || session.call::<String>("/who/are/you", ());
    println!("{}", call().await?);
    println!("{}", call().meta("region", "us").await?);

    // A label that nobody has, and a backend that is gone, are error 502.
    if let Err(error) = call().meta("region", "moon").await {
        println!("{error}");
    }
    eu.close().await;
    if let Err(error) = call().await {
        println!("{error}");
    }
    Ok(())
}
