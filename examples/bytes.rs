//! Bodies that are bytes: passed through untouched, and not copied when they are large.
//!
//! Run with `cargo run -p teleport-examples --example bytes`.

use std::sync::Mutex;

use bytes::Bytes;
use teleport::{CallCtx, Error, Peer, Raw, Rerror, codec, controller};

#[derive(Default)]
struct File {
    content: Mutex<Bytes>,
}

#[controller]
impl File {
    /// An argument of `Bytes` is the body as it came, whatever its codec. `Vec<u8>` works too.
    fn put(&self, content: Bytes) -> usize {
        let len = content.len();
        *self.content.lock().unwrap() = content;
        len
    }

    /// A result of `Bytes` is the reply's body. Large ones are sent from where they are.
    fn get(&self, ctx: &mut CallCtx) -> Bytes {
        ctx.set_meta("type", "text/plain");
        self.content.lock().unwrap().clone()
    }

    /// Reads the bytes later, by the codec that came with them.
    fn count(&self, ctx: &mut CallCtx, body: Bytes) -> Result<usize, Rerror> {
        let words: Vec<String> = ctx.decode(&body)?;
        Ok(words.len())
    }
}

#[tokio::main]
async fn main() -> Result<(), Error> {
    // One message may have 32 MiB here; it is 16 MiB unless said otherwise.
    let srv = Peer::builder().message_limit(32 << 20).build()?;
    srv.route_call(File::default())?;
    let address = srv.listen_on("127.0.0.1:0").await?;
    let cli = Peer::builder().message_limit(32 << 20).build()?;
    let sess = cli.dial(&address).await?;

    // `Raw` says that the bytes are the body, rather than a value to be encoded.
    let content = Bytes::from(vec![b'x'; 20 << 20]);
    let len: usize = sess.call("/file/put", Raw(&content)).await?;
    println!("put {len} bytes");
    assert_eq!(len, content.len());

    let cmd = sess.call::<Raw<Bytes>>("/file/get", ()).send().await?;
    let reply = cmd.reply().await?;
    println!(
        "got {} bytes of {:?} in a frame of {}",
        reply.body.0.len(),
        reply.meta.get("type"),
        reply.size
    );
    assert_eq!(reply.body.0, content);

    // Any bytes under any codec id: nothing looks into them on the way.
    let odd = Raw([0xff, 0x00, 0xfe]);
    let len: usize = sess
        .call("/file/put", odd)
        .body_codec(200)
        .accept_codec(codec::JSON)
        .await?;
    assert_eq!(len, 3);

    let words: usize = sess.call("/file/count", ["a", "b", "c"]).await?;
    assert_eq!(words, 3);

    // The other end's limit holds for this end as well, if both have the same.
    let large = Raw(Bytes::from(vec![0; 33 << 20]));
    let error = sess.call::<usize>("/file/put", large).await.unwrap_err();
    println!("too large: {error:?}");

    cli.close().await;
    srv.close().await;
    Ok(())
}
