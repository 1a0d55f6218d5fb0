//! Calls that are given up: what becomes of their handlers.
//!
//! Run with `cargo run -p teleport-examples --example cancellation`.

use std::future::pending;
use std::time::Duration;

use teleport::{CallCtx, Error, Peer, controller};
use tokio::sync::mpsc::{UnboundedSender, unbounded_channel};
use tokio::time::sleep;

/// Says what happens, so that `main` can print it.
struct Work(UnboundedSender<&'static str>);

/// Says that a future was dropped.
struct Dropped(UnboundedSender<&'static str>);

impl Drop for Dropped {
    fn drop(&mut self) {
        let _ = self
            .0
            .send("abort: the handler was dropped where it waited");
    }
}

impl Work {
    fn say(&self, text: &'static str) {
        let _ = self.0.send(text);
    }
}

#[controller]
impl Work {
    /// Holds nothing that would be left half done, so it may be dropped.
    #[route(on_cancel = "abort")]
    async fn abort(&self) {
        self.say("abort: begun");
        let _dropped = Dropped(self.0.clone());
        pending::<()>().await;
    }

    /// Cleans up when nobody waits any more: the default, said outright.
    #[route(on_cancel = "notify")]
    async fn notify(&self, ctx: &CallCtx) {
        self.say("notify: begun");
        tokio::select! {
            () = pending() => {}
            () = ctx.cancelled() => self.say("notify: the handler was told, and cleans up"),
        }
    }

    /// Computes on a thread of its own, where nobody can stop it; it looks for itself.
    #[route(blocking)]
    fn compute(&self, ctx: &CallCtx) -> u64 {
        self.say("compute: begun");
        let mut rounds = 0;
        while !ctx.is_cancelled() {
            std::thread::yield_now();
            rounds += 1;
        }
        self.say("compute: the handler saw it between two rounds");
        rounds
    }

    /// Must come to its end once it has begun.
    #[route(on_cancel = "finish")]
    async fn finish(&self) {
        self.say("finish: begun");
        sleep(Duration::from_millis(20)).await;
        self.say("finish: the handler came to its end all the same");
    }
}

#[tokio::main]
async fn main() -> Result<(), Error> {
    let (say, mut said) = unbounded_channel();
    let srv = Peer::builder().build()?;
    srv.route_call(Work(say))?;
    let address = srv.listen_on("127.0.0.1:0").await?;

    // A caller has to say that it tells when it gives up; with this it does.
    let cli = Peer::builder().propagate(true).build()?;
    let sess = cli.dial(&address).await?;

    for uri in [
        "/work/abort",
        "/work/notify",
        "/work/compute",
        "/work/finish",
    ] {
        let call = sess.call::<()>(uri, ()).send().await?;
        println!("{}", said.recv().await.unwrap_or_default());
        drop(call);
        println!("{}", said.recv().await.unwrap_or_default());
    }

    // A timeout gives up too, and so does a handle from elsewhere.
    let late = sess.call::<()>("/work/abort", ());
    let error = late.timeout(Duration::from_millis(20)).await.unwrap_err();
    println!("{}", said.recv().await.unwrap_or_default());
    println!("the caller sees: {error}");
    println!("{}", said.recv().await.unwrap_or_default());

    let call = sess.call::<()>("/work/abort", ()).send().await?;
    println!("{}", said.recv().await.unwrap_or_default());
    call.canceller().cancel();
    println!("the caller sees: {}", call.await.unwrap_err());
    println!("{}", said.recv().await.unwrap_or_default());

    cli.close().await;
    srv.close().await;
    Ok(())
}
