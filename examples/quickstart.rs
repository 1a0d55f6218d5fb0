//! A server and a client in one program: the client calls, the server answers and pushes.
//!
//! Run with `cargo run -p teleport-examples --example quickstart`.

use teleport::{CallCtx, Peer, Rerror, controller, push_handler};
use tokio::sync::mpsc;

struct Math;

#[controller]
impl Math {
    /// Adds the numbers up.
    async fn add(&self, ctx: &mut CallCtx, arg: Vec<i64>) -> Result<i64, Rerror> {
        let author = ctx.query("author").unwrap_or("somebody");
        println!("server: {author} adds {arg:?}");
        Ok(arg.iter().sum())
    }
}

/// Hands on what it is pushed.
struct Push(mpsc::UnboundedSender<String>);

#[push_handler]
impl Push {
    async fn status(&self, arg: String) {
        // Nobody listens any more when the program is ending.
        let _ = self.0.send(arg);
    }
}

#[tokio::main]
async fn main() -> Result<(), teleport::Error> {
    // The server: its routes, and port 0 for any port that is free.
    let srv = Peer::builder().build()?;
    let paths = srv.route_call(Math)?;
    println!("server: answers {paths:?}");
    let address = srv.listen_on("127.0.0.1:0").await?;

    // The client has routes as well: the connection carries calls and pushes both ways.
    let (pushed, mut pushes) = mpsc::unbounded_channel();
    let cli = Peer::builder().build()?;
    cli.route_push(Push(pushed))?;
    let sess = cli.dial(&address).await?;

    let sum: i64 = sess.call("/math/add?author=me", &[1, 2, 3, 4, 5]).await?;
    println!("client: the sum is {sum}");
    assert_eq!(sum, 15);

    for text in ["hello", "and good bye"] {
        let sent = srv.sessions().broadcast("/push/status", text).await?;
        println!("server: {text:?} went to {} session", sent.sent);
        let arrived = pushes.recv().await;
        println!("client: was pushed {arrived:?}");
        assert_eq!(arrived.as_deref(), Some(text));
    }

    cli.close().await;
    srv.close().await;
    Ok(())
}
