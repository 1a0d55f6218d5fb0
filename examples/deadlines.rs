//! The time that work may take: ages of contexts and sessions, and deadlines that travel.
//!
//! Run with `cargo run -p teleport-examples --example deadlines`.

use std::time::Duration;

use teleport::{CallCtx, Error, Peer, Rerror, Session, controller};
use tokio::time::sleep;

const fn millis(n: u64) -> Duration {
    Duration::from_millis(n)
}

/// The peer behind.
struct Store;

#[controller]
impl Store {
    /// Tells how much time its caller has left.
    async fn left(&self, ctx: &CallCtx) -> Option<u64> {
        let left = ctx.remaining()?;
        Some(u64::try_from(left.as_millis()).unwrap_or(u64::MAX))
    }
}

/// The peer between, which asks the one behind.
struct Front(Session);

#[controller(age = "2s")]
impl Front {
    /// Works a while, then asks with what is left.
    async fn ask(&self) -> Result<Option<u64>, Rerror> {
        sleep(millis(100)).await;
        Ok(self.0.call("/store/left", ()).await?)
    }

    /// Takes longer than it may.
    #[route(age = "50ms")]
    async fn slow(&self) {
        sleep(Duration::from_secs(3600)).await;
    }

    /// May take as long as it likes.
    #[route(age = "none")]
    async fn report(&self) -> &'static str {
        sleep(millis(80)).await;
        "done"
    }
}

#[tokio::main]
async fn main() -> Result<(), Error> {
    let store = Peer::builder().build()?;
    store.route_call(Store)?;
    let store_at = store.listen_on("127.0.0.1:0").await?;

    let between = Peer::builder().propagate(true).build()?;
    let next = between.dial(&store_at).await?;
    between.route_call(Front(next))?;
    let front_at = between.listen_on("127.0.0.1:0").await?;

    let cli = Peer::builder().propagate(true).build()?;
    let sess = cli.dial(&front_at).await?;

    // The caller waits for at most 800 ms; some are gone before the peer behind is asked.
    let ask = sess.call::<Option<u64>>("/front/ask", ());
    let left = ask.timeout(millis(800)).await?;
    println!("asked with 800 ms, of which {left:?} ms were left behind");
    assert!(left.is_some_and(|left| left <= 700));

    // Without a timeout it is the age of the handler between that counts.
    let left = sess.call::<Option<u64>>("/front/ask", ()).await?;
    println!("asked without a limit: {left:?} ms of the handler's own 2 s were left");
    assert!(left.is_some_and(|left| (801..=1900).contains(&left)));

    // A handler whose time is over is answered for at that moment.
    let error = sess.call::<()>("/front/slow", ()).await.unwrap_err();
    println!("too slow: {error}");
    assert_eq!(error.rerror().map(Rerror::code), Some(408));
    println!("{}", sess.call::<String>("/front/report", ()).await?);

    // A session may have an age too: calls in flight then fail, and the connection is closed.
    sess.set_session_age(millis(20));
    let error = sess.call::<()>("/front/slow", ()).await.unwrap_err();
    println!("a call in flight: {error}");
    sess.closed().await;
    between.sessions().all().iter().for_each(Session::abort);
    Ok(())
}
