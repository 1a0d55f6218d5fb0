//! Encrypted connections, by rustls.
//!
//! A [`TlsServer`] is what a peer that listens needs: its certificate and key, and whose clients it
//! lets in. A [`TlsClient`] is what one that dials needs: which authorities it trusts, and its own
//! certificate if servers ask for one. Both are made from PEM files, from PEM text, or from a
//! configuration of [`rustls`], go into the builder of a peer or to a single address, and are read
//! again from their files by `reload` while connections go on.
//!
//! ```
//! use teleport::Peer;
//! use teleport::tls::{TlsClient, TlsServer};
//!
//! # #[tokio::main(flavor = "current_thread")]
//! # async fn main() -> Result<(), Box<dyn std::error::Error>> {
//! // In real life the files come from your authority, and are named with `identity_files`.
//! let made = rcgen::generate_simple_self_signed(["localhost".to_owned()])?;
//! let (cert, key) = (made.cert.pem(), made.signing_key.serialize_pem());
//!
//! let server_tls = TlsServer::builder().identity_pem(&cert, &key).build()?;
//! let server = Peer::builder().tls_server(server_tls).build()?;
//! let address = server.listen_on("127.0.0.1:0").await?;
//!
//! let client_tls = TlsClient::builder().ca_pem(&cert).server_name("localhost").build()?;
//! let client = Peer::builder().tls_client(client_tls).build()?;
//! let session = client.dial(&address).await?;
//! assert!(session.tls().is_some());
//! # client.close().await;
//! # server.close().await;
//! # Ok(())
//! # }
//! ```

mod client;
mod failure;
mod pem;
mod server;
mod source;
mod stream;
mod watched;

use std::sync::Arc;

use tokio_rustls::rustls::crypto::CryptoProvider;
use tokio_rustls::rustls::{CommonState, HandshakeKind, ProtocolVersion};

pub use client::{TlsClient, TlsClientBuilder};
pub use server::{TlsServer, TlsServerBuilder};
pub(super) use stream::{TlsConn, TlsWrite};
pub use tokio_rustls::rustls;
pub use tokio_rustls::rustls::pki_types::CertificateDer;

/// What was agreed on when a connection was encrypted.
#[derive(Clone, Debug)]
pub struct TlsInfo {
    certificates: Vec<CertificateDer<'static>>,
    server_name: Option<String>,
    alpn: Option<Vec<u8>>,
    version: Option<ProtocolVersion>,
    resumed: bool,
}

impl TlsInfo {
    fn of(state: &CommonState, server_name: Option<&str>) -> Arc<Self> {
        Arc::new(Self {
            certificates: state
                .peer_certificates()
                .map(|chain| chain.iter().map(|c| c.clone().into_owned()).collect())
                .unwrap_or_default(),
            server_name: server_name.map(str::to_owned),
            alpn: state.alpn_protocol().map(<[u8]>::to_vec),
            version: state.protocol_version(),
            resumed: state.handshake_kind() == Some(HandshakeKind::Resumed),
        })
    }

    /// The certificates that the other end showed, its own first; none from a client that was not
    /// asked, or that was free to show none. They are verified, unless the verification was
    /// switched off.
    #[must_use]
    pub fn peer_certificates(&self) -> &[CertificateDer<'static>] {
        &self.certificates
    }

    /// The name of the server that the client asked for.
    #[must_use]
    pub fn server_name(&self) -> Option<&str> {
        self.server_name.as_deref()
    }

    /// The protocol that was agreed on by ALPN, if the configurations name any.
    #[must_use]
    pub fn alpn_protocol(&self) -> Option<&[u8]> {
        self.alpn.as_deref()
    }

    /// The version of TLS: `1.2` or `1.3`.
    #[must_use]
    pub fn version(&self) -> &'static str {
        match self.version {
            Some(ProtocolVersion::TLSv1_2) => "1.2",
            Some(ProtocolVersion::TLSv1_3) => "1.3",
            _ => "unknown",
        }
    }

    /// Whether an earlier connection was gone on from, so that no certificates were sent: those of
    /// the earlier one hold.
    #[must_use]
    pub const fn is_resumed(&self) -> bool {
        self.resumed
    }
}

/// The cryptography that is used where none is named; never the process's, of which nobody here can
/// know whether there is one.
fn ring() -> Arc<CryptoProvider> {
    Arc::new(rustls::crypto::ring::default_provider())
}
