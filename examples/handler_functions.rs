//! Handlers that are functions rather than blocks, one method alone, and the list of all routes.
//!
//! Run with `cargo run -p teleport-examples --example handler_functions`.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use teleport::{CallCtx, Error, Peer, PushCtx, Rerror, controller, push_handler};

/// Answers calls to `/add`.
#[controller]
async fn add(arg: Vec<i64>) -> Result<i64, Rerror> {
    Ok(arg.iter().sum())
}

/// `_` parts segments, so this would be `/who/am/i`; the attribute says another path.
#[controller]
#[route("/whoami")]
async fn who_am_i(ctx: &mut CallCtx) -> String {
    ctx.session().remote_address().to_string()
}

/// Takes pushes to `/log/note`.
#[push_handler(prefix = "/log")]
async fn note(ctx: &mut PushCtx, arg: String) {
    println!("noted from {}: {arg}", ctx.session().remote_address());
}

struct Counter {
    next: AtomicU64,
}

#[controller]
impl Counter {
    /// The methods of a block can be registered one by one as well, without the type's name.
    fn next(&self) -> u64 {
        self.next.fetch_add(1, Ordering::Relaxed)
    }

    /// Is not registered below.
    fn reset(&self) {
        self.next.store(0, Ordering::Relaxed);
    }
}

#[tokio::main]
async fn main() -> Result<(), Error> {
    let srv = Peer::builder().build()?;
    assert_eq!(srv.route_call_fn(add)?, "/add");
    assert_eq!(srv.route_call_fn(who_am_i)?, "/whoami");
    assert_eq!(srv.route_push_fn(note)?, "/log/note");
    let counter = Arc::new(Counter {
        next: AtomicU64::new(7),
    });
    assert_eq!(
        srv.route_call_method(Arc::clone(&counter), Counter::next)?,
        "/next"
    );
    for route in srv.routes() {
        println!(
            "{:?} {} -> {}({}) {}",
            route.kind(),
            route.path(),
            route.name(),
            route.argument(),
            route.reply()
        );
    }

    // A second handler of one path is an error that names both, and changes nothing.
    let twice = srv.route_call_fn(add).unwrap_err();
    println!("refused: {twice}");

    let address = srv.listen_on("127.0.0.1:0").await?;
    let cli = Peer::builder().build()?;
    let sess = cli.dial(&address).await?;
    let sum: i64 = sess.call("/add", [1, 2, 3]).await?;
    let me: String = sess.call("/whoami", ()).await?;
    let next: u64 = sess.call("/next", ()).await?;
    println!("sum {sum}, next {next}, I am {me}");
    assert_eq!((sum, next), (6, 7));
    assert_eq!(me, sess.local_address().to_string());
    sess.push("/log/note", "seen").await?;

    // What has no route is error 404.
    let missing = sess.call::<()>("/counter/reset", ()).await.unwrap_err();
    assert_eq!(missing.rerror().map(Rerror::code), Some(404));

    // An annotated function, and an annotated method, can still be called as they are.
    assert_eq!(add(vec![40, 2]).await?, 42);
    counter.reset();
    assert_eq!(counter.next(), 0);

    cli.close().await;
    srv.close().await;
    Ok(())
}
