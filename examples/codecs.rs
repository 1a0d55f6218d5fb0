//! One handler answers in json, protobuf and form: the caller's codec decides.
//!
//! Run with `cargo run -p teleport-examples --example codecs`.

use serde::{Deserialize, Serialize};
use teleport::{Error, Peer, Protobuf, Raw, Rerror, codec, controller};

/// A prost message that derives serde as well speaks every codec.
#[derive(Clone, PartialEq, prost::Message, Serialize, Deserialize)]
struct Fraction {
    #[prost(int64, tag = "1")]
    over: i64,
    #[prost(int64, tag = "2")]
    under: i64,
}

#[derive(Clone, PartialEq, prost::Message, Serialize, Deserialize)]
struct Quotient {
    #[prost(double, tag = "1")]
    value: f64,
}

struct Calc;

#[controller]
impl Calc {
    /// Knows of values only.
    async fn div(&self, arg: Fraction) -> Result<Quotient, Rerror> {
        if arg.under == 0 {
            return Err(Rerror::bad_message("division by zero"));
        }
        Ok(Quotient {
            value: arg.over as f64 / arg.under as f64,
        })
    }
}

#[tokio::main]
async fn main() -> Result<(), Error> {
    let srv = Peer::builder().build()?;
    srv.route_call(Calc)?;
    let address = srv.listen_on("127.0.0.1:0").await?;
    let cli = Peer::builder().build()?;
    let sess = cli.dial(&address).await?;
    let arg = Fraction { over: 7, under: 2 };
    let expected = Quotient { value: 3.5 };

    // A value goes as it is, in the peer's default codec, json.
    let reply: Quotient = sess.call("/calc/div", &arg).await?;
    assert_eq!(reply, expected);

    // A message goes as `Protobuf`, and comes as such.
    let reply: Protobuf<Quotient> = sess
        .call("/calc/div", Protobuf(&arg))
        .body_codec(codec::PROTOBUF)
        .await?;
    assert_eq!(reply.0, expected);

    // Asked in one codec, answered in another.
    let reply: Protobuf<Quotient> = sess
        .call("/calc/div", &arg)
        .body_codec(codec::FORM)
        .accept_codec(codec::PROTOBUF)
        .await?;
    assert_eq!(reply.0, expected);

    // What the handler sends, as bytes.
    for (name, id) in [
        ("json", codec::JSON),
        ("form", codec::FORM),
        ("protobuf", codec::PROTOBUF),
    ] {
        let call = sess.call::<Raw<Vec<u8>>>("/calc/div", &arg);
        let body = call.accept_codec(id).await?.0;
        println!("{name}: {}", body.escape_ascii());
    }

    // A type that a codec cannot carry is an error that names both, never a panic.
    let error = sess
        .call::<Quotient>("/calc/div", &arg)
        .body_codec(codec::PLAIN);
    let error = error.await.unwrap_err();
    println!("plain: {error:?}");

    // An empty body is the zero value of whatever is wanted.
    let error = sess.call::<Quotient>("/calc/div", ()).await.unwrap_err();
    println!("nothing: {error}");
    assert_eq!(error.rerror().map(Rerror::reason), Some("division by zero"));

    cli.close().await;
    srv.close().await;
    Ok(())
}
