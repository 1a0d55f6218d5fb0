//! Peers on one machine, over unix sockets.
//!
//! Run with `cargo run -p teleport-examples --example unix_socket`.

#[cfg(unix)]
use teleport::{Error, Peer, controller};

#[cfg(unix)]
struct Greeter;

#[cfg(unix)]
#[controller]
impl Greeter {
    fn hello(&self, name: String) -> String {
        format!("hello, {name}")
    }
}

#[cfg(unix)]
#[tokio::main]
async fn main() -> Result<(), Error> {
    let folder = std::env::temp_dir();
    let path = folder.join(format!("teleport-example-{}.sock", std::process::id()));

    // As after a crash: a file, and nobody who listens there.
    drop(std::os::unix::net::UnixListener::bind(&path).expect("the path is free"));

    // The user and the group may connect.
    let server = Peer::builder().network("unix").unix_mode(0o660).build()?;
    server.route_call(Greeter)?;
    let text = path.to_string_lossy();
    server.listen_on(&text).await?; // the file is replaced
    if cfg!(target_os = "linux") {
        // A name that is in no folder, and packets kept apart: the network goes in front.
        server
            .listen_on(format!("unix:@example-{}", std::process::id()))
            .await?;
        server
            .listen_on(format!("unixpacket:{text}.packets"))
            .await?;
    }

    let second = Peer::builder().network("unix").build()?;
    let taken = second
        .listen_on(&text)
        .await
        .expect_err("somebody listens there");
    println!("a second server: {taken:?}");

    let client = Peer::builder().build()?;
    for listener in server.listeners() {
        let session = client.dial(listener.address()).await?;
        let greeting: String = session.call("/greeter/hello", "you").await?;
        println!("{}: {greeting}", listener.address());
        drop(listener);
    }

    client.close().await;
    server.close().await;
    println!(
        "the file is {}",
        if path.exists() { "still there" } else { "gone" }
    );
    Ok(())
}

#[cfg(not(unix))]
fn main() {
    println!("this system has no unix sockets");
}
