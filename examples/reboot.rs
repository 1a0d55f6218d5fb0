//! A server is replaced by a new process, while its address goes on taking connections.
//!
//! Run with `cargo run -p teleport-examples --example reboot`. The program starts itself once more
//! as the server. A real one is rebooted by `SIGUSR2`; this one by a call.

use std::error::Error;
use std::io::{BufRead, BufReader, Read};
use std::process::{Command, Stdio};

use teleport::graceful::Graceful;
use teleport::{Peer, Rerror, controller};

struct Control {
    graceful: Graceful,
}

#[controller]
impl Control {
    fn pid(&self) -> u32 {
        std::process::id()
    }

    /// Answers with the number of the new process. It is still this one that answers: a handler
    /// that runs is finished first.
    async fn reboot(&self) -> Result<u32, Rerror> {
        Ok(self.graceful.reboot().await?)
    }

    fn stop(&self) {
        self.graceful.shutdown();
    }
}

/// The server: the same for the first process and for those that follow it.
async fn serve() -> Result<(), Box<dyn Error>> {
    let server = Peer::builder().build()?;
    let graceful = Graceful::builder().peer(&server).start()?;
    server.route_call(Control {
        graceful: graceful.clone(),
    })?;
    // The new process asks for the same, and gets the listener of the old one.
    let address = server.listen_on("127.0.0.1:0").await?;
    println!("{address}");
    let ending = graceful.ended().await?;
    println!("server {}: {ending}", std::process::id());
    Ok(())
}

async fn pid(address: &str) -> Result<u32, teleport::Error> {
    let client = Peer::builder().build()?;
    let session = client.dial(address).await?;
    let pid = session.call("/control/pid", ()).await;
    client.close().await;
    pid
}

#[tokio::main]
async fn main() -> Result<(), Box<dyn Error>> {
    if std::env::args().nth(1).as_deref() == Some("serve") {
        return serve().await;
    }
    let mut child = Command::new(std::env::current_exe()?)
        .arg("serve")
        .stdout(Stdio::piped())
        .spawn()?;
    let mut lines = BufReader::new(child.stdout.take().ok_or("no output")?);
    let mut address = String::new();
    lines.read_line(&mut address)?;
    let address = address.trim();

    let old = pid(address).await?;
    println!("process {old} listens on {address}");

    let client = Peer::builder().build()?;
    let session = client.dial(address).await?;
    let new: u32 = session.call("/control/reboot", ()).await?;
    println!("process {new} has taken over");
    assert_eq!(child.wait()?.code(), Some(0));

    assert_eq!(pid(address).await?, new);
    println!("process {new} answers on {address}");

    let session = client.dial(address).await?;
    session.call::<()>("/control/stop", ()).await?;
    // Both processes write there, and it ends with the second.
    let mut rest = String::new();
    lines.read_to_string(&mut rest)?;
    print!("{rest}");
    Ok(())
}
