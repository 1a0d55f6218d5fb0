//! A body codec of one's own, registered by id and name, for calls and replies.
//!
//! Run with `cargo run -p teleport-examples --example own_codec`.

use bytes::BytesMut;
use teleport::codec::erased_serde::{self, Deserializer, Serialize};
use teleport::codec::{self, Codec, CodecError};
use teleport::{Error, Peer, Raw, controller};

/// JSON that is indented, for people who read along.
struct Pretty;

impl Codec for Pretty {
    fn id(&self) -> u8 {
        b'J'
    }

    fn name(&self) -> &str {
        "pretty"
    }

    fn encode(&self, value: &dyn Serialize, dst: &mut BytesMut) -> Result<(), CodecError> {
        let text = serde_json::to_vec_pretty(value).map_err(CodecError::encode)?;
        dst.extend_from_slice(&text);
        Ok(())
    }

    fn decode(
        &self,
        src: &[u8],
        seed: &mut dyn FnMut(&mut dyn Deserializer<'_>) -> Result<(), erased_serde::Error>,
    ) -> Result<(), CodecError> {
        let mut json = serde_json::Deserializer::from_slice(src);
        seed(&mut <dyn Deserializer<'_>>::erase(&mut json)).map_err(CodecError::decode)?;
        json.end().map_err(CodecError::decode)
    }
}

struct Math;

#[controller]
impl Math {
    fn divmod(&self, (a, b): (i64, i64)) -> (i64, i64) {
        (a / b, a % b)
    }
}

#[tokio::main]
async fn main() -> Result<(), Error> {
    // Both ends know the codec. The server knows the built-in ones as well.
    let srv = Peer::builder().codec(Pretty).build()?;
    srv.route_call(Math)?;
    let address = srv.listen_on("127.0.0.1:0").await?;

    // By its name it is what this peer sends, by its id what a single call asks for.
    let cli = Peer::builder()
        .codec(Pretty)
        .default_body_codec("pretty")
        .build()?;
    let pretty = cli.codecs().id_of("pretty").expect("it was registered");
    let sess = cli.dial(&address).await?;

    let cmd = sess
        .call::<(i64, i64)>("/math/divmod", (17, 5))
        .send()
        .await?;
    let reply = cmd.reply().await?;
    println!(
        "{:?} in codec {:?}",
        reply.body,
        char::from(reply.body_codec)
    );
    assert_eq!((reply.body, reply.body_codec), ((3, 2), pretty));

    // The handler knows nothing of codecs: the caller chooses.
    let text: Raw<Vec<u8>> = sess
        .call("/math/divmod", (17, 5))
        .body_codec(codec::JSON)
        .accept_codec(pretty)
        .await?;
    let text = String::from_utf8_lossy(&text.0).into_owned();
    println!("{text}");
    assert_eq!(text, "[\n  3,\n  2\n]");

    // An id or a name that is taken is an error, which names both.
    let twice = Peer::builder()
        .codec(Pretty)
        .codec(Pretty)
        .build()
        .unwrap_err();
    println!("{twice:?}");

    cli.close().await;
    srv.close().await;
    Ok(())
}
