//! Clients that show certificates, and a plugin that lets some of them in.
//!
//! Run with `cargo run -p teleport-examples --example mutual_tls`.

use std::collections::HashSet;
use std::error::Error;

use rcgen::{BasicConstraints, CertificateParams, CertifiedIssuer, IsCa, KeyPair};
use teleport::message::Meta;
use teleport::tls::{TlsClient, TlsServer};
use teleport::{CallCtx, Peer, Plugin, PreSession, Rerror, controller, plugin};

/// The authority of this example.
type Authority = CertifiedIssuer<'static, KeyPair>;

fn authority() -> Result<Authority, rcgen::Error> {
    let mut params = CertificateParams::new([])?;
    params.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
    CertifiedIssuer::self_signed(params, KeyPair::generate()?)
}

/// A certificate for a name, its bytes, and its key.
fn sign(by: &Authority, name: &str) -> Result<(String, Vec<u8>, String), rcgen::Error> {
    let key = KeyPair::generate()?;
    let cert = CertificateParams::new([name.to_owned()])?.signed_by(&key, by)?;
    Ok((cert.pem(), cert.der().to_vec(), key.serialize_pem()))
}

/// Lets those in whose certificates are known here. That they have the key is certain already.
struct Known(HashSet<Vec<u8>>);

#[plugin]
impl Plugin for Known {
    fn name(&self) -> &str {
        "known"
    }

    async fn post_accept(&self, session: &mut PreSession) -> Result<(), Rerror> {
        let shown = session
            .tls()
            .and_then(|tls| tls.peer_certificates().first());
        match shown {
            Some(certificate) if self.0.contains(certificate.as_ref()) => Ok(()),
            _ => {
                let refusal = Rerror::new(403, "Forbidden", "this certificate is not on the list");
                // The client's dial is done by now: it is told, and its calls fail with this.
                session.refuse(&refusal, Meta::new()).await?;
                Err(refusal)
            }
        }
    }
}

#[controller]
async fn secret(ctx: &mut CallCtx) -> String {
    let tls = ctx.session().tls();
    let shown = tls.map_or(0, |tls| tls.peer_certificates().len());
    format!("told to somebody with {shown} certificate")
}

#[tokio::main]
async fn main() -> Result<(), Box<dyn Error>> {
    let authority = authority()?;
    let (cert, _, key) = sign(&authority, "localhost")?;
    let alice = sign(&authority, "alice")?;
    let bob = sign(&authority, "bob")?;

    let tls = TlsServer::builder()
        .identity_pem(cert, key)
        .client_ca_pem(authority.pem()) // no certificate of this authority, no connection
        .build()?;
    let server = Peer::builder()
        .tls_server(tls)
        .plugin(Known([alice.1.clone()].into()))
        .build()?;
    server.route_call_fn(secret)?;
    let address = server.listen_on("127.0.0.1:0").await?;

    let client = Peer::builder().build()?;
    let trusting = || {
        let builder = TlsClient::builder();
        builder.ca_pem(authority.pem()).server_name("localhost")
    };
    for (name, (cert, _, key)) in [("alice", alice), ("bob", bob)] {
        let tls = trusting().identity_pem(cert, key).build()?;
        let session = client.dial(&address).tls(&tls).await?;
        match session.call::<String>("/secret", ()).await {
            Ok(told) => println!("{name}: {told}"),
            Err(error) => println!("{name}: {error:?}"),
        }
    }
    let nobody = client.dial(&address).tls(&trusting().build()?).await;
    println!("nobody: {:?}", nobody.err().ok_or("it is refused")?);

    client.close().await;
    server.close().await;
    Ok(())
}
