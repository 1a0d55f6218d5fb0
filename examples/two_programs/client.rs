//! A client that has numbers added up and then waits for the server to push something.
//!
//! Run with `cargo run -p teleport-examples --example client`, while the example `server` runs.
//! Argument: the address of the server, `127.0.0.1:9090` if there is none.

use std::sync::Arc;

use teleport::{Peer, Rerror, push_handler};
use tokio::sync::Notify;

struct Push {
    arrived: Arc<Notify>,
}

#[push_handler]
impl Push {
    async fn status(&self, arg: String) -> Result<(), Rerror> {
        println!("pushed: {arg}");
        self.arrived.notify_one();
        Ok(())
    }
}

#[tokio::main]
async fn main() -> Result<(), teleport::Error> {
    let address = std::env::args().nth(1);
    let address = address.as_deref().unwrap_or("127.0.0.1:9090");
    let arrived = Arc::new(Notify::new());

    let cli = Peer::builder().build()?;
    cli.route_push(Push {
        arrived: Arc::clone(&arrived),
    })?;
    let sess = cli.dial(address).await?;

    let sum: i64 = sess.call("/math/add?author=me", &[1, 2, 3, 4, 5]).await?;
    println!("result: {sum}");
    assert_eq!(sum, 15);

    arrived.notified().await;
    cli.close().await;
    Ok(())
}
