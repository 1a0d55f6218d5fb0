//! The side that is dialled.

use std::fmt;
use std::io;
use std::path::Path;
use std::sync::Arc;

use tokio::io::{AsyncRead, AsyncWrite};
use tokio_rustls::TlsAcceptor;
use tokio_rustls::rustls::crypto::CryptoProvider;
use tokio_rustls::rustls::server::WebPkiClientVerifier;
use tokio_rustls::rustls::server::danger::ClientCertVerifier;
use tokio_rustls::rustls::{ProtocolVersion, ServerConfig};

use super::TlsInfo;
use super::failure;
use super::pem::{Identity, Pem, roots};
use super::ring;
use super::source::{Source, Sourced, unusable};
use super::stream::TlsConn;
use super::watched::Watched;
use crate::error::Error;
use crate::socket::stream::Stream;

/// What a side that is dialled encrypts with. A cheap handle: clones are the same one.
#[derive(Clone)]
pub struct TlsServer(Arc<Sourced<TlsServerBuilder>>);

impl TlsServer {
    /// Starts the building of one.
    pub fn builder() -> TlsServerBuilder {
        TlsServerBuilder::default()
    }

    /// Takes a configuration of [`rustls`](super::rustls) as it is.
    #[must_use]
    pub fn from_config(config: Arc<ServerConfig>) -> Self {
        Self(Arc::new(Sourced::ready(config)))
    }

    /// Reads the files again. Connections from now on see what is in them; those that are there go
    /// on. Reads files, and blocks for as long as that takes.
    ///
    /// # Errors
    ///
    /// [`Config`](crate::ErrorKind::Config) when a file is missing, broken or does not fit, naming
    /// it; then all goes on as it was. Also when this was made without files.
    pub fn reload(&self) -> Result<(), Error> {
        self.0.reload("TlsServer")
    }

    /// Takes another configuration of [`rustls`](super::rustls) for connections from now on.
    pub fn replace(&self, config: Arc<ServerConfig>) {
        self.0.replace(config);
    }

    /// Encrypts a stream that the other side opened.
    ///
    /// # Errors
    ///
    /// When the other side does not speak TLS, shows no certificate that is due, or does not take
    /// this side's. The stream is closed then, after what there is to be said.
    ///
    /// # Cancel safety
    ///
    /// Dropping the future closes the stream. It has no limit in time: set one.
    pub async fn accept<S>(&self, stream: S) -> io::Result<Stream>
    where
        S: AsyncRead + AsyncWrite + Send + Unpin + 'static,
    {
        let acceptor = TlsAcceptor::from(self.0.config());
        let stream = Watched::new(Stream::new(stream));
        let mut tls = match Box::pin(acceptor.accept(stream).into_fallible()).await {
            Ok(tls) => tls,
            Err((error, stream)) => {
                let error = failure::of_server(error, stream.first());
                stream.end().await;
                return Err(error);
            }
        };
        let (stream, state) = tls.get_mut();
        // By TLS 1.3 it has all been heard but session tickets, which nobody waits for.
        let is_heard = state.protocol_version() == Some(ProtocolVersion::TLSv1_3);
        let ended = stream.end_handshake(!is_heard).await;
        ended.map_err(|error| failure::of_server(error, &[]))?;
        let info = TlsInfo::of(state, state.server_name());
        Ok(Stream::tls(TlsConn::new(tls.into(), info)))
    }
}

impl fmt::Debug for TlsServer {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("TlsServer").finish_non_exhaustive()
    }
}

/// Builds a [`TlsServer`].
#[derive(Clone, Default)]
#[must_use = "a builder does nothing until `build` is called"]
pub struct TlsServerBuilder {
    identity: Option<Identity>,
    client_ca: Vec<Pem>,
    clients_are_free: bool,
    crypto: Option<Arc<CryptoProvider>>,
}

impl TlsServerBuilder {
    /// Names the PEM files of the certificate, with the chain behind it, and of its key.
    pub fn identity_files(mut self, certificate: impl AsRef<Path>, key: impl AsRef<Path>) -> Self {
        self.identity = Some(Identity::files(certificate, key));
        self
    }

    /// Takes the certificate, with the chain behind it, and its key as PEM text.
    pub fn identity_pem(mut self, certificate: impl AsRef<[u8]>, key: impl AsRef<[u8]>) -> Self {
        self.identity = Some(Identity::text(certificate, key));
        self
    }

    /// Lets only clients in that show a certificate of an authority in this PEM file. May be
    /// repeated.
    pub fn client_ca_file(mut self, authority: impl AsRef<Path>) -> Self {
        self.client_ca.push(Pem::file(authority));
        self
    }

    /// Lets only clients in that show a certificate of an authority in this PEM text. May be
    /// repeated.
    pub fn client_ca_pem(mut self, authority: impl AsRef<[u8]>) -> Self {
        self.client_ca.push(Pem::text(authority));
        self
    }

    /// Lets clients in that show no certificate too; one that is shown must still be good. Default:
    /// with an authority for clients they must show one.
    pub fn client_certificate_optional(mut self) -> Self {
        self.clients_are_free = true;
        self
    }

    /// Sets the cryptography: the versions, ciphers and key exchanges that are offered, and what
    /// computes them. Default: all of `rustls::crypto::ring`, whatever the process has chosen for
    /// itself.
    pub fn crypto(mut self, provider: Arc<CryptoProvider>) -> Self {
        self.crypto = Some(provider);
        self
    }

    /// Builds it.
    ///
    /// # Errors
    ///
    /// [`Config`](crate::ErrorKind::Config) when something is missing, broken or does not fit,
    /// naming the file and what to write.
    pub fn build(self) -> Result<TlsServer, Error> {
        Ok(TlsServer(Arc::new(Sourced::read(self)?)))
    }

    fn provider(&self) -> Arc<CryptoProvider> {
        self.crypto.clone().unwrap_or_else(ring)
    }

    fn client_verifier(&self) -> Result<Arc<dyn ClientCertVerifier>, Error> {
        let roots = Arc::new(roots(&self.client_ca)?);
        let builder = WebPkiClientVerifier::builder_with_provider(roots, self.provider());
        let builder = if self.clients_are_free {
            builder.allow_unauthenticated()
        } else {
            builder
        };
        builder
            .build()
            .map_err(|e| Error::config("the authorities for clients cannot be used").with_source(e))
    }
}

impl Source for TlsServerBuilder {
    type Config = ServerConfig;

    fn has_files(&self) -> bool {
        self.identity.as_ref().is_some_and(Identity::is_files)
            || self.client_ca.iter().any(Pem::is_file)
    }

    fn read(&self) -> Result<Arc<ServerConfig>, Error> {
        let Some(identity) = &self.identity else {
            return Err(Error::config(
                "a TlsServer needs a certificate and its key; name their files with \
                 identity_files",
            ));
        };
        if self.clients_are_free && self.client_ca.is_empty() {
            return Err(Error::config(
                "client_certificate_optional needs an authority to verify certificates by; name \
                 its file with client_ca_file",
            ));
        }
        let (chain, key) = identity.read()?;
        let builder = ServerConfig::builder_with_provider(self.provider())
            .with_safe_default_protocol_versions()
            .map_err(unusable)?;
        let builder = if self.client_ca.is_empty() {
            builder.with_no_client_auth()
        } else {
            builder.with_client_cert_verifier(self.client_verifier()?)
        };
        let config = builder.with_single_cert(chain, key);
        Ok(Arc::new(config.map_err(|e| identity.refused(e))?))
    }
}

impl fmt::Debug for TlsServerBuilder {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("TlsServerBuilder").finish_non_exhaustive()
    }
}
