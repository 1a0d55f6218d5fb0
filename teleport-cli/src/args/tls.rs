//! The options of encryption.

use std::path::{Path, PathBuf};

use clap::Args as Group;
use teleport::tls::{TlsClient, TlsServer};

use crate::exit::Failure;

/// Where systems keep the authorities that they trust.
const SYSTEM: [&str; 4] = [
    "/etc/ssl/certs/ca-certificates.crt",
    "/etc/pki/tls/certs/ca-bundle.crt",
    "/etc/ssl/ca-bundle.pem",
    "/etc/ssl/cert.pem",
];

/// Encryption of a connection that is dialled.
#[derive(Debug, Group)]
pub(crate) struct ClientTls {
    /// Encrypt the connection by TLS, and verify the certificate of the other side
    #[arg(long)]
    tls: bool,

    /// Trust the authorities in this PEM file, instead of those of the system
    #[arg(long, value_name = "FILE", requires = "tls")]
    tls_ca: Option<PathBuf>,

    /// The certificate of this side in PEM, with the chain behind it, for servers that ask for one
    #[arg(long, value_name = "FILE", requires_all = ["tls", "tls_key"])]
    tls_cert: Option<PathBuf>,

    /// The key of that certificate in PEM, not encrypted
    #[arg(long, value_name = "FILE", requires = "tls_cert")]
    tls_key: Option<PathBuf>,

    /// The name that the certificate of the other side has to be for, instead of the host of ADDR;
    /// a unix socket has none
    #[arg(long, value_name = "NAME", requires = "tls")]
    tls_name: Option<String>,

    /// Take any certificate from anyone. For trying things out only
    ///
    /// The connection is encrypted then, but nobody knows to whom: whoever is between the two sides
    /// can read and change all of it. With --tls-ca FILE a certificate that was made at home is
    /// verified as well as any other.
    #[arg(long, requires = "tls", conflicts_with = "tls_ca")]
    tls_insecure: bool,
}

impl ClientTls {
    /// What to encrypt with, if at all.
    pub(crate) fn client(&self) -> Result<Option<TlsClient>, Failure> {
        if !self.tls {
            return Ok(None);
        }
        let mut builder = TlsClient::builder();
        if self.tls_insecure {
            builder = builder.danger_accept_any_certificate_from_anyone();
        } else if let Some(file) = &self.tls_ca {
            builder = builder.ca_file(file);
        } else if let Some(file) = SYSTEM.map(Path::new).into_iter().find(|file| file.exists()) {
            builder = builder.ca_file(file);
        } else {
            let text = "this system has no file of authorities where it is looked for; name one \
                        with --tls-ca";
            return Err(Failure::Usage(text.to_owned()));
        }
        if let (Some(cert), Some(key)) = (&self.tls_cert, &self.tls_key) {
            builder = builder.identity_files(cert, key);
        }
        if let Some(name) = &self.tls_name {
            builder = builder.server_name(name);
        }
        Ok(Some(builder.build()?))
    }
}

/// Encryption of the connections that are taken.
#[derive(Debug, Group)]
pub(crate) struct ServerTls {
    /// Encrypt all connections by TLS, with this certificate in PEM, the chain behind it
    #[arg(long, value_name = "FILE", requires = "tls_key")]
    tls_cert: Option<PathBuf>,

    /// The key of that certificate in PEM, not encrypted
    #[arg(long, value_name = "FILE", requires = "tls_cert")]
    tls_key: Option<PathBuf>,

    /// Let only clients in that show a certificate of an authority in this PEM file
    #[arg(long, value_name = "FILE", requires = "tls_cert")]
    tls_client_ca: Option<PathBuf>,
}

impl ServerTls {
    /// What to encrypt with, if at all.
    pub(crate) fn server(&self) -> Result<Option<TlsServer>, Failure> {
        let (Some(cert), Some(key)) = (&self.tls_cert, &self.tls_key) else {
            return Ok(None);
        };
        let mut builder = TlsServer::builder().identity_files(cert, key);
        if let Some(authority) = &self.tls_client_ca {
            builder = builder.client_ca_file(authority);
        }
        Ok(Some(builder.build()?))
    }
}
