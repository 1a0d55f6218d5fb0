//! Many calls in flight on one connection, and all that comes with a reply.
//!
//! Run with `cargo run -p teleport-examples --example async_calls`.

use std::time::Duration;

use teleport::{CallCtx, Error, Peer, Rerror, codec, controller};
use tokio::time::sleep;

struct Work;

#[controller]
impl Work {
    /// Takes as many milliseconds as it is asked to. Other calls go on meanwhile.
    async fn wait(&self, ms: u64) -> u64 {
        sleep(Duration::from_millis(ms)).await;
        ms
    }

    /// Says something beside the body.
    async fn measure(&self, ctx: &mut CallCtx, text: String) -> Result<usize, Rerror> {
        let language = ctx.meta().get("language").unwrap_or("none").to_owned();
        ctx.set_meta("language", language);
        Ok(text.chars().count())
    }
}

#[tokio::main]
async fn main() -> Result<(), Error> {
    let srv = Peer::builder().build()?;
    srv.route_call(Work)?;
    let address = srv.listen_on("127.0.0.1:0").await?;
    let cli = Peer::builder().build()?;
    let sess = cli.dial(&address).await?;

    // `send` makes the call and gives a handle to wait with later. None waits for another:
    // together they take as long as the longest.
    let mut cmds = Vec::new();
    for ms in [30, 20, 10] {
        cmds.push(sess.call::<u64>("/work/wait", ms).send().await?);
    }
    println!("{} calls are in flight", sess.calls_in_flight());
    for cmd in cmds {
        let seq = cmd.seq().clone();
        println!("call {seq} took {} ms at the server", cmd.await?);
    }

    // Futures of calls can be joined, selected, and spawned like any others.
    let calls = (1..=100).map(|n| {
        let sess = sess.clone();
        tokio::spawn(async move { sess.call::<u64>("/work/wait", n % 7).await })
    });
    let mut sum = 0;
    for call in calls.collect::<Vec<_>>() {
        sum += call.await.expect("the task ends")?;
    }
    println!("100 calls waited for {sum} ms in all");
    assert_eq!(sum, (1..=100).map(|n| n % 7).sum::<u64>());

    // A call in full. The reply brings its metadata, its codec, and the time it took.
    let reply = sess
        .call::<usize>("/work/measure", "größer")
        .query("author", "me")
        .meta("language", "de")
        .body_codec(codec::JSON)
        .accept_codec(codec::PLAIN)
        .xfer(b"g")
        .timeout(Duration::from_secs(5))
        .send()
        .await?
        .reply()
        .await?;
    println!(
        "{} characters, codec {:?}, {:?}, after {:?}",
        reply.body,
        char::from(reply.body_codec),
        reply.meta,
        reply.cost
    );
    assert_eq!(reply.body, 6);
    assert_eq!(reply.body_codec, codec::PLAIN);
    assert_eq!(reply.meta.get("language"), Some("de"));

    // A call that takes too long fails, and frees its place at once.
    let late = sess.call::<u64>("/work/wait", 60_000);
    let late = late.timeout(Duration::from_millis(20)).await.unwrap_err();
    println!("given up: {late}");
    assert!(late.is_timeout());
    assert_eq!(sess.calls_in_flight(), 0);

    // The handler still runs; do not wait for it.
    srv.sessions()
        .all()
        .iter()
        .for_each(teleport::Session::abort);
    Ok(())
}
