//! Statistics: a plugin that counts calls, pushes, errors, bytes and time by route.
//!
//! Run with `cargo run -p teleport-examples --example statistics_plugin`.

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};

use teleport::router::HandlerInfo;
use teleport::{Error, Peer, Plugin, ReadCtx, Rerror, WriteCtx, controller, plugin, push_handler};

#[derive(Debug, Default)]
struct Row {
    calls: u64,
    pushes: u64,
    errors: u64,
    bytes_in: usize,
    bytes_out: usize,
    time: Duration,
}

/// A clone counts into the same table.
#[derive(Clone, Default)]
struct Statistics(Arc<Mutex<BTreeMap<String, Row>>>);

impl Statistics {
    /// Paths that nobody registered share a row: they are the other end's to choose.
    fn count(&self, path: &str, add: impl FnOnce(&mut Row)) {
        let mut rows = self.0.lock().unwrap();
        let known = if rows.contains_key(path) { path } else { "?" };
        add(rows.entry(known.to_owned()).or_default());
    }
}

#[plugin]
impl Plugin for Statistics {
    fn name(&self) -> &str {
        "statistics"
    }

    fn post_reg(&self, handler: &mut HandlerInfo) -> Result<(), Error> {
        let mut rows = self.0.lock().unwrap();
        rows.entry(handler.path().to_owned()).or_default();
        Ok(())
    }

    // What a hook leaves in the call's `swap` is there again when the reply is written.
    fn post_read_call_header(&self, ctx: &mut ReadCtx) -> Result<(), Rerror> {
        let size = ctx.size();
        ctx.swap().insert("statistics", (Instant::now(), size));
        Ok(())
    }

    fn post_write_reply(&self, ctx: &mut WriteCtx) -> Result<(), Rerror> {
        let started = ctx.swap().get::<(Instant, usize)>("statistics").copied();
        let failed = Rerror::from_meta(&ctx.header().meta).is_some();
        let path = ctx.call_uri().map_or("", |uri| uri.path());
        self.count(path, |row| {
            row.calls += 1;
            row.errors += u64::from(failed);
            row.bytes_out += ctx.body().len();
            if let Some((started, size)) = started {
                row.bytes_in += size;
                row.time += started.elapsed();
            }
        });
        Ok(())
    }

    fn post_read_push_header(&self, ctx: &mut ReadCtx) -> Result<(), Rerror> {
        self.count(ctx.path(), |row| {
            row.pushes += 1;
            row.bytes_in += ctx.size();
        });
        Ok(())
    }
}

struct Math;

#[controller]
impl Math {
    async fn div(&self, (a, b): (i64, i64)) -> Result<i64, Rerror> {
        a.checked_div(b)
            .ok_or_else(|| Rerror::bad_message("division by zero"))
    }
}

#[push_handler]
async fn note(_text: String) {}

#[tokio::main]
async fn main() -> Result<(), Error> {
    let statistics = Statistics::default();
    let srv = Peer::builder().plugin(statistics.clone()).build()?;
    srv.route_call(Math)?;
    srv.route_push_fn(note)?;
    let address = srv.listen_on("127.0.0.1:0").await?;
    let cli = Peer::builder().build()?;
    let sess = cli.dial(&address).await?;

    for b in 0..10 {
        let _: Result<i64, Error> = sess.call("/math/div", (100, b)).await;
        sess.push("/note", "a line").await?;
    }
    let _: Result<(), Error> = sess.call("/no/such/route", ()).await;
    cli.close().await;
    srv.close().await;

    let rows = statistics.0.lock().unwrap();
    for (path, row) in rows.iter() {
        println!("{path}: {row:?}");
    }
    let (div, note, rest) = (&rows["/math/div"], &rows["/note"], &rows["?"]);
    assert_eq!((div.calls, div.errors), (10, 1));
    assert_eq!((note.pushes, note.errors), (10, 0));
    assert_eq!((rest.calls, rest.errors), (1, 1));
    Ok(())
}
