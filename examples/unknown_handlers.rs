//! Handlers of calls and pushes that no route takes: here a small store of whatever is sent.
//!
//! Run with `cargo run -p teleport-examples --example unknown_handlers`.

use std::collections::HashMap;
use std::sync::{Arc, Mutex};

use bytes::Bytes;
use teleport::router::UnknownPushHandler;
use teleport::{Error, Peer, Raw, Rerror, UnknownCallCtx, UnknownPushCtx};

/// The body and its codec, by path.
type Shelves = Arc<Mutex<HashMap<String, (u8, Bytes)>>>;

/// A handler with data of its own is a type.
struct Store(Shelves);

impl UnknownPushHandler for Store {
    async fn handle(&self, ctx: &mut UnknownPushCtx) -> Result<(), Rerror> {
        println!("keeps {} bytes under {}", ctx.body().len(), ctx.path());
        let body = (ctx.body_codec(), ctx.body().clone());
        self.0.lock().unwrap().insert(ctx.path().to_owned(), body);
        Ok(())
    }
}

/// A handler without any is a function. It can read the body as any type.
async fn describe(ctx: &mut UnknownCallCtx) -> Result<String, Rerror> {
    let numbers: Vec<i64> = ctx.bind()?;
    Ok(format!("{} with {} numbers", ctx.path(), numbers.len()))
}

#[tokio::main]
async fn main() -> Result<(), Error> {
    let shelves = Shelves::default();
    let srv = Peer::builder().build()?;
    srv.set_unknown_push(Store(Arc::clone(&shelves)))?;
    srv.set_unknown_call(describe)?;
    let address = srv.listen_on("127.0.0.1:0").await?;

    let cli = Peer::builder().build()?;
    let sess = cli.dial(&address).await?;

    sess.push("/a/b", "any text").await?;
    // Messages are handled in the order in which they came, as far as none has to wait; so the
    // push is done when this call is answered.
    let text: String = sess.call("/no/such/route", [1, 2, 3]).await?;
    println!("answer: {text}");
    assert_eq!(text, "/no/such/route with 3 numbers");
    let kept = shelves.lock().unwrap().get("/a/b").cloned();
    assert_eq!(kept, Some((b'j', Bytes::from("\"any text\""))));

    // The body is not what the handler wants: error 400, with the decoder's reason.
    let error = sess.call::<String>("/x", Raw("{")).await.unwrap_err();
    println!("answer: {error}");
    assert_eq!(error.rerror().map(Rerror::code), Some(400));

    cli.close().await;
    srv.close().await;
    Ok(())
}
