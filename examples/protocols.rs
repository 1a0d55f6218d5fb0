//! The json and pb protocols: for a whole peer, for one listener, for one dial.
//!
//! Run with `cargo run -p teleport-examples --example protocols`.

use teleport::proto::{JsonProto, PbProto};
use teleport::{CallCtx, Error, Peer, controller};

struct Math;

#[controller]
impl Math {
    async fn add(&self, ctx: &mut CallCtx, arg: Vec<i64>) -> i64 {
        println!("server: a call by {}", ctx.session().proto().1);
        arg.iter().sum()
    }
}

#[tokio::main]
async fn main() -> Result<(), Error> {
    // This peer speaks json wherever it does not say another protocol.
    let srv = Peer::builder().proto(JsonProto).build()?;
    srv.route_call(Math)?;
    let json = srv.listen_on("127.0.0.1:0").await?;
    let pb = srv.listen_on("127.0.0.1:0").proto(PbProto).await?;

    let cli = Peer::builder().proto(JsonProto).build()?;
    let session = cli.dial(&json).await?;
    let sum: i64 = session.call("/math/add", [1, 2, 3]).await?;
    println!("client: {sum} by {}", session.proto().1);

    // The protocol carries the message, the codec is the body's: here json within protobuf.
    let session = cli.dial(&pb).proto(PbProto).await?;
    let sum: i64 = session.call("/math/add", [4, 5, 6]).await?;
    println!("client: {sum} by {}", session.proto().1);

    cli.close().await;
    srv.close().await;
    Ok(())
}
