//! Encrypted connections, and a certificate that is replaced while they go on.
//!
//! Run with `cargo run -p teleport-examples --example tls`.

use std::error::Error;
use std::path::Path;

use rcgen::{CertifiedKey, KeyPair, generate_simple_self_signed};
use teleport::tls::{TlsClient, TlsServer};
use teleport::{Peer, controller};

#[controller]
async fn whisper(arg: String) -> String {
    arg.to_lowercase()
}

/// Writes a certificate and its key. An authority of yours would make better ones.
fn make(folder: &Path) -> Result<CertifiedKey<KeyPair>, Box<dyn Error>> {
    let made = generate_simple_self_signed(["localhost".to_owned()])?;
    std::fs::write(folder.join("cert.pem"), made.cert.pem())?;
    std::fs::write(folder.join("key.pem"), made.signing_key.serialize_pem())?;
    Ok(made)
}

#[tokio::main]
async fn main() -> Result<(), Box<dyn Error>> {
    let folder = std::env::temp_dir().join(format!("teleport-example-tls-{}", std::process::id()));
    std::fs::create_dir_all(&folder)?;
    let (cert, key) = (folder.join("cert.pem"), folder.join("key.pem"));
    let old = make(&folder)?;

    let server_tls = TlsServer::builder().identity_files(&cert, &key).build()?;
    let server = Peer::builder().tls_server(server_tls.clone()).build()?;
    server.route_call_fn(whisper)?;
    let address = server.listen_on("127.0.0.1:0").await?;

    // A certificate that signed itself is its own authority. The name is needed because the
    // address that is dialled here is a number.
    let trusting = |pem: String| {
        TlsClient::builder()
            .ca_pem(pem)
            .server_name("localhost")
            .build()
    };
    let client = Peer::builder()
        .tls_client(trusting(old.cert.pem())?)
        .build()?;
    let session = client.dial(&address).await?;
    let heard: String = session.call("/whisper", "PSST").await?;
    let info = session.tls().ok_or("it is encrypted")?;
    println!(
        "{heard}, by TLS {} with {:?}",
        info.version(),
        info.server_name()
    );

    // Replaced on the disk, then read again: what is connected goes on.
    let new = make(&folder)?;
    server_tls.reload()?;
    let heard: String = session.call("/whisper", "STILL HERE").await?;
    println!("{heard}");
    match client.dial(&address).await {
        Ok(_) => println!("the old certificate is still trusted?"),
        Err(error) => println!("{error:?}"),
    }
    let session = client
        .dial(&address)
        .tls(&trusting(new.cert.pem())?)
        .await?;
    println!(
        "{}",
        session.call::<String>("/whisper", "HELLO AGAIN").await?
    );

    // A file that is broken changes nothing.
    std::fs::write(&key, "no key")?;
    println!("{}", server_tls.reload().err().ok_or("it is broken")?);

    client.close().await;
    server.close().await;
    std::fs::remove_dir_all(&folder)?;
    Ok(())
}
