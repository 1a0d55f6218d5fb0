//! Several protocols on one port, and what those hear who speak none of them.
//!
//! Run with `cargo run -p teleport-examples --example one_port`.

use teleport::proto::{AnyOf, JsonProto, PbProto, RawProto};
use teleport::{CallCtx, Error, Peer, controller};
use tokio::io::{AsyncReadExt, AsyncWriteExt};

#[controller]
async fn hello(ctx: &mut CallCtx) -> String {
    format!("hello by {}", ctx.session().proto().1)
}

#[tokio::main]
async fn main() -> Result<(), Box<dyn std::error::Error>> {
    let srv = Peer::builder().build()?;
    srv.route_call_fn(hello)?;

    // The first bytes of a connection tell which of the two it is.
    let both = AnyOf::new(RawProto).or(JsonProto);
    let address = srv.listen_on("127.0.0.1:0").proto(both).await?;

    let cli = Peer::builder().build()?;
    let by_raw = cli.dial(&address).await?;
    let by_json = cli.dial(&address).proto(JsonProto).await?;
    for session in [by_raw, by_json] {
        let answer: String = session.call("/hello", ()).await?;
        println!("{answer}");
    }

    // Whoever speaks another protocol is told so in that.
    let by_pb = cli.dial(&address).proto(PbProto).await?;
    let refused: Result<String, Error> = by_pb.call("/hello", ()).await;
    let error = refused.expect_err("the port does not speak pb");
    println!("{}", error.rerror().map_or("", |error| error.reason()));

    // A browser is told something as well.
    let mut browser = tokio::net::TcpStream::connect(address.to_string()).await?;
    browser.write_all(b"GET / HTTP/1.1\r\n\r\n").await?;
    let mut page = String::new();
    browser.read_to_string(&mut page).await?;
    println!("{}", page.lines().last().unwrap_or_default());

    cli.close().await;
    srv.close().await;
    Ok(())
}
