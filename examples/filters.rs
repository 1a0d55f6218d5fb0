//! Transfer filters: gzip and md5 in one pipe, a filter of one's own, and the bound on them.
//!
//! Run with `cargo run -p teleport-examples --example filters`.

use bytes::{BufMut, BytesMut};
use teleport::xfer::{self, FilterError, XferFilter};
use teleport::{Error, Peer, controller};

/// Run lengths: each byte, and how often it comes in a row.
struct Runs;

const RUNS: u8 = b'R';

impl XferFilter for Runs {
    fn id(&self) -> u8 {
        RUNS
    }

    fn name(&self) -> &str {
        "runs"
    }

    fn on_pack(&self, src: &[u8], dst: &mut BytesMut) -> Result<(), FilterError> {
        let runs = src.chunk_by(|one, next| one == next);
        for run in runs.flat_map(|run| run.chunks(255)) {
            dst.extend_from_slice(&[run[0], run.len() as u8]);
        }
        Ok(())
    }

    fn on_unpack(&self, src: &[u8], dst: &mut BytesMut, limit: usize) -> Result<(), FilterError> {
        let (runs, rest) = src.as_chunks::<2>();
        if !rest.is_empty() {
            return Err(FilterError::failed("a byte without its count"));
        }
        // Count first: whoever sent this must not choose how much memory it takes.
        let len: usize = runs.iter().map(|[_, count]| usize::from(*count)).sum();
        if len > limit {
            return Err(FilterError::too_large(limit));
        }
        for [byte, count] in runs {
            dst.put_bytes(*byte, usize::from(*count));
        }
        Ok(())
    }
}

#[controller]
async fn echo(text: String) -> String {
    text
}

#[tokio::main]
async fn main() -> Result<(), Error> {
    // Both ends know the filter. `gzip` and `md5` they know anyway.
    let srv = Peer::builder().xfer_filter(Runs).build()?;
    srv.route_call_fn(echo)?;
    let address = srv.listen_on("127.0.0.1:0").await?;
    let cli = Peer::builder().xfer_filter(Runs).build()?;
    let sess = cli.dial(&address).await?;

    // The first filter of a pipe is the outermost: compressed first, then checked.
    let text = "a".repeat(10_000);
    for pipe in [&[][..], &[xfer::GZIP], &[xfer::MD5, xfer::GZIP], &[RUNS]] {
        let call = sess.call::<String>("/echo", &text).xfer(pipe);
        let reply = call.send().await?.reply().await?;
        assert_eq!(reply.body, text);
        assert_eq!(reply.xfer.ids(), pipe);
        println!(
            "through {:?}: {} bytes",
            reply.xfer.names(&cli.env().filters).unwrap_or_default(),
            reply.size
        );
    }

    // What unpacks to more than the message limit is given up at the limit, with its connection.
    let narrow = Peer::builder().message_limit(4096).build()?;
    let address = narrow.listen_on("127.0.0.1:0").await?;
    let sess = cli.dial(&address).await?;
    let call = sess.call::<String>("/echo", &text).xfer(&[xfer::GZIP]);
    let error = call.await.unwrap_err();
    println!("too much: {error}");
    assert!(error.is_closed());

    cli.close().await;
    srv.close().await;
    narrow.close().await;
    Ok(())
}
