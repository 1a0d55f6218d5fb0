//! Encrypted messages as the Go original's secure plugin makes them.
//!
//! Run with `cargo run -p teleport-examples --example secure_go`

use teleport::plugins::secure::{Legacy, SecureExt};
use teleport::{CallCtx, Error, Peer, Rerror, controller};

/// The code of the plugin's errors, and the key, as both peers have them.
const CODE: i32 = 100_001;
const KEY: &str = "cipherkey1234567";

struct Math;

#[controller]
impl Math {
    fn add(&self, ctx: &mut CallCtx, arg: Vec<i64>) -> i64 {
        println!("the handler sees {arg:?} by {:?}", ctx.query("author"));
        arg.iter().sum()
    }

    fn fail(&self) -> Result<(), Rerror> {
        Err(Rerror::new(7, "no", "errors are never encrypted"))
    }
}

#[tokio::main]
async fn main() -> Result<(), Error> {
    let server = Peer::builder()
        .plugin(Legacy::new(CODE, KEY)?.enforce_on("/math/add"))
        .build()?;
    server.route_call(Math)?;
    let address = server.listen_on("127.0.0.1:0").await?;

    let client = Peer::builder().plugin(Legacy::new(CODE, KEY)?).build()?;
    let session = client.dial(&address).await?;
    let call = session
        .call::<i64>("/math/add?author=me", [1, 2, 3])
        .secure();
    let reply = call.send().await?.reply().await?;
    println!("{} came back with {:?}", reply.body, reply.meta);

    // A plain call whose reply is to be encrypted.
    let error = session
        .call::<()>("/math/fail", ())
        .accept_secure(true)
        .await;
    println!("{}", error.err().map(|e| e.to_string()).unwrap_or_default());

    // This path does not take a plain one.
    if let Err(error) = session.call::<i64>("/math/add", [1, 2]).await {
        println!("{error}");
    }

    // Another key has another version, and the error names both.
    let other = Peer::builder()
        .plugin(Legacy::new(CODE, "another_key_7654")?)
        .build()?;
    let session = other.dial(&address).await?;
    if let Err(error) = session.call::<i64>("/math/add", [1, 2]).secure().await {
        println!("{error}");
    }
    Ok(())
}
