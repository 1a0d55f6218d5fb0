//! Two sockets talk over TCP, without peers, routes or calls: messages go out and come in.
//!
//! Run with `cargo run -p teleport-examples --example socket_alone`.

use std::error::Error;
use std::sync::Arc;

use teleport::message::{Message, Mtype};
use teleport::proto::{Env, RawProto};
use teleport::socket::{Family, HostPort, Listener, Socket, bind_tcp, connect_tcp};
use teleport::xfer::XferPipe;

#[tokio::main]
async fn main() -> Result<(), Box<dyn Error + Send + Sync>> {
    // Port 0 lets the system choose a free one.
    let mut listener = bind_tcp(&HostPort::parse("127.0.0.1:0")?, Family::Any).await?;
    let port = listener.local_address().port().unwrap_or_default();
    let server = tokio::spawn(async move { answer(Listener::accept(&mut listener).await?).await });

    let stream = connect_tcp(&HostPort::new("", port), Family::Any).await?;
    let mut socket = Socket::new(stream, &RawProto, Arc::new(Env::default()));
    for (seq, text) in [("A", "one"), ("B", "two"), ("C", "three")] {
        // The body is compressed and carries a checksum, which the other end takes off again.
        let call = Message::new(Mtype::CALL, "/upper", text)
            .with_seq(seq)
            .with_body_codec(b's')
            .with_xfer(XferPipe::from_ids(b"gm")?);
        socket.write_message(&call).await?;
        let reply = socket.read_message().await?.ok_or("the server has gone")?;
        println!(
            "{}: {text} -> {}",
            reply.header.seq,
            String::from_utf8_lossy(&reply.body)
        );
    }
    // Ends the connection; the server then reads `None`.
    socket.shutdown().await?;
    println!("the server answered {} messages", server.await??);
    Ok(())
}

/// Answers every message with its body in capitals, until the other end has had enough.
async fn answer(stream: tokio::net::TcpStream) -> Result<u32, Box<dyn Error + Send + Sync>> {
    let mut socket = Socket::new(stream, &RawProto, Arc::new(Env::default()));
    let mut answered = 0;
    while let Some(call) = socket.read_message().await? {
        let reply = Message::new(Mtype::REPLY, "", call.body.to_ascii_uppercase())
            .with_seq(call.header.seq)
            .with_body_codec(call.header.body_codec)
            .with_xfer(call.header.xfer);
        socket.write_message(&reply).await?;
        answered += 1;
    }
    Ok(answered)
}
