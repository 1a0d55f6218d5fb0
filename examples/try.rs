use std::time::Instant;
use teleport::{CallCtx, Peer, Rerror, controller, push_handler};

struct Math;

#[controller]
impl Math {
    /// Adds the numbers up.
    async fn add(&self, ctx: &mut CallCtx, arg: Vec<i64>) -> Result<i64, Rerror> {
        tracing::info!(author = ctx.query("author"));
        Ok(arg.iter().sum())
    }
    async fn slow(&self, arg: u64) -> u64 {
        tokio::time::sleep(std::time::Duration::from_millis(arg)).await;
        arg
    }
    fn boom(&self, arg: String) -> String { panic!("boom: {arg}") }
}
struct Push;
#[push_handler]
impl Push {
    async fn status(&self, arg: String) -> Result<(), Rerror> { println!("push: {arg}"); Ok(()) }
}

#[tokio::main]
async fn main() -> Result<(), teleport::Error> {
    let srv = Peer::builder().build()?;
    println!("{:?}", srv.route_call(Math)?);
    let addr = srv.listen_on("127.0.0.1:0").await?;
    let cli = Peer::builder().build()?;
    cli.route_push(Push)?;
    let sess = cli.dial(&addr.to_string()).await?;
    let sum: i64 = sess.call("/math/add?author=me", &[1, 2, 3, 4, 5]).await?;
    println!("{sum}");
    println!("{:?}", sess.call::<u64>("/math/slow", 20u64).await);
    println!("{:?}", sess.call::<String>("/math/boom", "x").await);
    println!("{:?}", sess.call::<String>("/math/bom", "x").await);
    println!("{:?}", sess.call::<i64>("/math/add", "x").await);
    println!("{:?}", srv.sessions().broadcast("/push/status", "hello all").await?);
    let t = Instant::now();
    let n = 20000;
    for _ in 0..n { let _: i64 = sess.call("/math/add", &[1, 2, 3]).await?; }
    println!("one: {:?} per call", t.elapsed() / n);
    let t = Instant::now();
    let mut tasks = vec![];
    for _ in 0..100 { let sess = sess.clone(); tasks.push(tokio::spawn(async move { for _ in 0..2000 { let _: i64 = sess.call("/math/add", &[1, 2, 3]).await.unwrap(); } })); }
    for t in tasks { t.await.unwrap(); }
    println!("100 on one: {:?} per call", t.elapsed() / 200000);
    println!("held {} {}", sess.held_bytes(), srv.sessions().all()[0].held_bytes());
    tokio::join!(cli.close(), srv.close());
    Ok(())
}
