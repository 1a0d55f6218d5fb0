//! What the operating system is told about connections: by options, and by hand.
//!
//! Run with `cargo run -p teleport-examples --example socket_options`.

#[cfg(unix)]
use std::time::Duration;

#[cfg(unix)]
use socket2::SockRef;
#[cfg(unix)]
use teleport::{Peer, controller, socket::SocketOptions};

#[cfg(unix)]
#[controller]
async fn ping() -> &'static str {
    "pong"
}

#[cfg(unix)]
#[tokio::main]
async fn main() -> Result<(), Box<dyn std::error::Error>> {
    let options = SocketOptions {
        // An other end that vanished is noticed after some minutes, though nobody calls.
        keep_alive_period: Some(Duration::from_secs(60)),
        // For throughput over long distances.
        read_buffer: Some(1 << 20),
        ..SocketOptions::default()
    };
    let server = Peer::builder()
        .socket(options.clone())
        .backlog(4096)
        .build()?;
    server.route_call_fn(ping)?;
    let address = server.listen_on("127.0.0.1:0").await?;

    let client = Peer::builder().socket(options).build()?;
    let session = client.dial(&address).await?;
    let answer: String = session.call("/ping", ()).await?;
    println!("{answer}");

    // What has no option: the descriptor is lent for it.
    session.with_fd(|fd| {
        let socket = SockRef::from(&fd);
        socket.set_ttl_v4(16)?;
        println!("probed after {:?} of silence", socket.tcp_keepalive_time()?);
        println!("{} bytes of receive buffer", socket.recv_buffer_size()?);
        println!("packets make {} hops at most", socket.ttl_v4()?);
        std::io::Result::Ok(())
    })??;

    // Values that mean nothing are errors, with a word about what to write.
    let bad = SocketOptions {
        keep_alive_period: Some(Duration::from_millis(1)),
        ..SocketOptions::default()
    };
    println!("{:?}", Peer::builder().socket(bad).build().err());

    client.close().await;
    server.close().await;
    Ok(())
}

#[cfg(not(unix))]
fn main() {
    println!("descriptors are lent on Unix systems");
}
