//! Sealed sessions: everything encrypted and authenticated, by a key that both peers have.
//!
//! Run with `cargo run -p teleport-examples --example secure`

use teleport::plugins::secure::{Key, Sealed};
use teleport::{CallCtx, Error, Peer, controller};

struct Bank;

#[controller]
impl Bank {
    /// Pays, and says whose token it was.
    fn pay(&self, ctx: &mut CallCtx, amount: u64) -> String {
        format!(
            "{amount} paid by {}",
            ctx.query("token").unwrap_or("nobody")
        )
    }
}

#[tokio::main]
async fn main() -> Result<(), Error> {
    // As from `openssl rand -hex 32`. Real keys come from a file or the environment.
    let old = Key::from_hex("2026-a", &"1f".repeat(32))?;
    let new = Key::from_hex("2026-b", &"2e".repeat(32))?;

    // The server accepts both while keys are changed.
    let sealed = Sealed::new(new.clone()).accept(old.clone());
    let server = Peer::builder().plugin(sealed).build()?;
    server.route_call(Bank)?;
    let address = server.listen_on("127.0.0.1:0").await?;

    for key in [old, new] {
        let client = Peer::builder().plugin(Sealed::new(key)).build()?;
        let session = client.dial(&address).await?;
        let paid: String = session.call("/bank/pay?token=ann", 7).await?;
        println!("{paid}");
    }

    // Somebody with another key gets no session, and neither does one without any.
    let stranger = Key::from_hex("2026-b", &"00".repeat(32))?;
    let client = Peer::builder().plugin(Sealed::new(stranger)).build()?;
    if let Err(error) = client.dial(&address).await {
        println!("with another key: {error}");
    }
    let session = Peer::builder().build()?.dial(&address).await?;
    if let Err(error) = session.call::<String>("/bank/pay", 7).await {
        println!("without a key: {error}");
    }
    Ok(())
}
