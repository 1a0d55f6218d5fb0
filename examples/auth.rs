//! Who is there: a text that proves it before anything else is said, and what becomes of others.
//!
//! Run with `cargo run -p teleport-examples --example auth`.

use std::collections::HashMap;

use teleport::plugins::auth::{Launch, Verifier, Verify, constant_time_eq};
use teleport::{CallCtx, Error, Peer, PreSession, Rerror, controller};

/// The accounts, which elsewhere stand in a database: users and their tokens.
struct Accounts(HashMap<String, String>);

impl Verifier for Accounts {
    async fn verify(&self, session: &mut PreSession, text: &str) -> Result<(), Rerror> {
        let refused = || Rerror::new(403, "auth fail", "no such user, or another token");
        let (user, token) = text.split_once(':').ok_or_else(refused)?;
        // A real one would wait here for somebody else's answer.
        tokio::task::yield_now().await;
        match self.0.get(user) {
            Some(known) if constant_time_eq(known, token) => {}
            _ => return Err(refused()),
        }
        // The session is known by the user's name from now on.
        session.set_id(user);
        session.swap_mut().insert("user", user.to_owned());
        Ok(())
    }
}

/// Says who calls.
#[controller]
async fn whoami(ctx: &mut CallCtx) -> String {
    ctx.swap()
        .get::<String>("user")
        .cloned()
        .unwrap_or_default()
}

/// A text that is made for each connection, as a token that runs out is.
async fn fresh_token(session: &mut PreSession) -> Result<String, Rerror> {
    println!(
        "client: proving who is there to {}",
        session.remote_address()
    );
    Ok("ann:secret of ann".to_owned())
}

#[tokio::main]
async fn main() -> Result<(), Error> {
    let accounts = HashMap::from([("ann".to_owned(), "secret of ann".to_owned())]);
    let server = Peer::builder()
        .plugin(Verify::by(Accounts(accounts)))
        .build()?;
    server.route_call_fn(whoami)?;
    let address = server.listen_on("127.0.0.1:0").await?;

    let ann = Peer::builder().plugin(Launch::by(fresh_token)).build()?;
    let session = ann.dial(&address).await?;
    let name: String = session.call("/whoami", ()).await?;
    println!("client: the server knows {name}");
    assert!(server.sessions().get("ann").is_some());

    // The wrong token: the dial fails with the server's error.
    let mallory = Peer::builder().plugin(Launch::new("ann:guess")).build()?;
    let error = mallory.dial(&address).await.unwrap_err();
    println!("client: {:?}: {error}", error.kind());

    // No proof at all: the first call is answered by the refusal, and nothing is served.
    let session = Peer::builder().build()?.dial(&address).await?;
    let error = session.call::<String>("/whoami", ()).await.unwrap_err();
    println!("client: {error}");

    ann.close().await;
    server.close().await;
    Ok(())
}
