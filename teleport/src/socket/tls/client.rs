//! The side that dials.

use std::cell::Cell;
use std::fmt;
use std::future::poll_fn;
use std::io;
use std::path::Path;
use std::pin::Pin;
use std::sync::Arc;
use std::time::Duration;

use tokio::io::{AsyncRead, AsyncReadExt as _, AsyncWrite};
use tokio_rustls::rustls::client::danger::{
    HandshakeSignatureValid, ServerCertVerified, ServerCertVerifier,
};
use tokio_rustls::rustls::client::{ResolvesClientCert, WebPkiServerVerifier};
use tokio_rustls::rustls::crypto::{
    CryptoProvider, verify_tls12_signature, verify_tls13_signature,
};
use tokio_rustls::rustls::pki_types::{CertificateDer, ServerName, UnixTime};
use tokio_rustls::rustls::sign::CertifiedKey;
use tokio_rustls::rustls::{
    self, ClientConfig, DigitallySignedStruct, ProtocolVersion, SignatureScheme,
};
use tokio_rustls::{TlsConnector, client};

use super::TlsInfo;
use super::failure;
use super::pem::{Identity, Pem, roots};
use super::ring;
use super::source::{Source, Sourced, unusable};
use super::stream::TlsConn;
use super::watched::Watched;
use crate::error::Error;
use crate::socket::stream::Stream;

/// How long to wait for what a server says to this side's certificate. Most say something at once;
/// for those that do not, nothing is lost but the better error.
const VERDICT: Duration = Duration::from_secs(1);

const NO_AUTHORITY: &str = if cfg!(feature = "tls-native-roots") {
    "a TlsClient needs an authority to verify servers by; name its file with ca_file, or trust those \
     that the system trusts with system_roots"
} else {
    "a TlsClient needs an authority to verify servers by; name its file with ca_file; for those that \
     the system trusts add the feature `tls-native-roots` and call system_roots, or name \
     /etc/ssl/certs/ca-certificates.crt or what it is called there"
};

/// What a record begins with; its length is the last of it.
const RECORD_HEAD: usize = 5;

/// What a side that dials encrypts with. A cheap handle: clones are the same one.
#[derive(Clone)]
pub struct TlsClient(Arc<Sourced<TlsClientBuilder>>);

impl TlsClient {
    /// Starts the building of one.
    pub fn builder() -> TlsClientBuilder {
        TlsClientBuilder::default()
    }

    /// Takes a configuration of [`rustls`] as it is.
    #[must_use]
    pub fn from_config(config: &ClientConfig) -> Self {
        Self(Arc::new(Sourced::ready(noticing(config.clone()))))
    }

    /// Reads the files again. Connections from now on are made by what is in them; those that are
    /// there go on. Reads files, and blocks for as long as that takes.
    ///
    /// # Errors
    ///
    /// [`Config`](crate::ErrorKind::Config) when a file is missing, broken or does not fit, naming
    /// it; then all goes on as it was. Also when this was made without files.
    pub fn reload(&self) -> Result<(), Error> {
        self.0.reload("TlsClient")
    }

    /// Takes another configuration of [`rustls`] for connections from now on.
    pub fn replace(&self, config: &ClientConfig) {
        self.0.replace(noticing(config.clone()));
    }

    fn name(&self) -> Option<&str> {
        self.0.source()?.server_name.as_deref()
    }

    /// Encrypts a stream that this side opened to `host`, which is the name that the certificate
    /// has to be for, unless the builder was given another.
    ///
    /// # Errors
    ///
    /// When the other side does not speak TLS, its certificate is not good, or it does not take
    /// this side's. The stream is closed then.
    ///
    /// # Cancel safety
    ///
    /// Dropping the future closes the stream. It has no limit in time: set one.
    pub async fn connect<S>(&self, stream: S, host: &str) -> io::Result<Stream>
    where
        S: AsyncRead + AsyncWrite + Send + Unpin + 'static,
    {
        let name = self.name().unwrap_or(host);
        let server = server_name(name)?;
        let connector = TlsConnector::from(self.0.config());
        let stream = Watched::new(Stream::new(stream));
        let connecting = connector.connect(server, stream).into_fallible();
        let (connected, was_asked) = notice(Box::pin(connecting)).await;
        let mut tls = match connected {
            Ok(tls) => tls,
            Err((error, stream)) => {
                let error = failure::of_client(error, stream.first());
                stream.end().await;
                return Err(error);
            }
        };
        let ended = tls.get_mut().0.end_handshake(true).await;
        ended.map_err(|error| failure::of_client(error, &[]))?;
        if was_asked && tls.get_ref().1.protocol_version() == Some(ProtocolVersion::TLSv1_3) {
            verdict(&mut tls)
                .await
                .map_err(|error| failure::of_client(error, &[]))?;
        }
        let info = TlsInfo::of(tls.get_ref().1, Some(name));
        Ok(Stream::tls(TlsConn::new(tls.into(), info)))
    }
}

impl fmt::Debug for TlsClient {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("TlsClient")
            .field("server_name", &self.name())
            .finish_non_exhaustive()
    }
}

fn server_name(name: &str) -> io::Result<ServerName<'static>> {
    let wrong = |text: String| io::Error::new(io::ErrorKind::InvalidInput, text);
    if name.is_empty() {
        return Err(wrong(
            "the address has no host for the certificate to be for; name one with `server_name` \
             of the TlsClient"
                .to_owned(),
        ));
    }
    // A zone is of this machine alone.
    let bare = name.split_once('%').map_or(name, |(bare, _)| bare);
    ServerName::try_from(bare.to_owned()).map_err(|_| {
        wrong(format!(
            "{name:?} is no name that a certificate can be for; write a host name or an address"
        ))
    })
}

/// Reads until the server has said something: by TLS 1.3 it looks at a client's certificate when
/// the client is done already.
async fn verdict(tls: &mut client::TlsStream<Watched>) -> io::Result<()> {
    let heard = tokio::time::timeout(VERDICT, first_record(tls)).await;
    heard.unwrap_or(Ok(()))
}

async fn first_record(tls: &mut client::TlsStream<Watched>) -> io::Result<()> {
    let (stream, state) = tls.get_mut();
    let (mut head, mut total) = (Vec::new(), 0);
    let mut buf = [0; 4096];
    loop {
        let read = stream.read(&mut buf).await?;
        let mut rest = buf.get(..read).unwrap_or_default();
        if rest.is_empty() {
            return Err(io::ErrorKind::UnexpectedEof.into());
        }
        head.extend(rest.iter().copied().take(RECORD_HEAD - head.len()));
        total += read;
        while !rest.is_empty() {
            // Behind the goodbye of a server nothing is taken.
            if state.read_tls(&mut rest)? == 0 {
                return Ok(());
            }
            let processed = state.process_new_packets();
            processed.map_err(|e| io::Error::new(io::ErrorKind::InvalidData, e))?;
        }
        if let [_, _, _, high, low] = head[..]
            && total >= RECORD_HEAD + usize::from(u16::from_be_bytes([high, low]))
        {
            return Ok(());
        }
    }
}

thread_local! {
    /// Whether a server asked for a certificate, in the handshake that runs on this thread.
    static ASKED: Cell<bool> = const { Cell::new(false) };
}

/// Runs a handshake, and tells whether the server asked for a certificate.
async fn notice<F: Future + Unpin>(mut handshake: F) -> (F::Output, bool) {
    let mut was_asked = false;
    let output = poll_fn(|cx| {
        ASKED.set(false);
        let polled = Pin::new(&mut handshake).poll(cx);
        was_asked |= ASKED.take();
        polled
    })
    .await;
    (output, was_asked)
}

/// Answers for another, and leaves a note that it was asked.
#[derive(Debug)]
struct Noticing(Arc<dyn ResolvesClientCert>);

impl ResolvesClientCert for Noticing {
    fn resolve(&self, hints: &[&[u8]], schemes: &[SignatureScheme]) -> Option<Arc<CertifiedKey>> {
        ASKED.set(true);
        self.0.resolve(hints, schemes)
    }

    fn only_raw_public_keys(&self) -> bool {
        self.0.only_raw_public_keys()
    }

    fn has_certs(&self) -> bool {
        self.0.has_certs()
    }
}

fn noticing(mut config: ClientConfig) -> Arc<ClientConfig> {
    let resolver = Arc::clone(&config.client_auth_cert_resolver);
    config.client_auth_cert_resolver = Arc::new(Noticing(resolver));
    Arc::new(config)
}

/// Builds a [`TlsClient`].
#[derive(Clone, Default)]
#[must_use = "a builder does nothing until `build` is called"]
pub struct TlsClientBuilder {
    ca: Vec<Pem>,
    identity: Option<Identity>,
    server_name: Option<String>,
    trusts_everybody: bool,
    #[cfg(feature = "tls-native-roots")]
    trusts_system: bool,
    crypto: Option<Arc<CryptoProvider>>,
}

impl TlsClientBuilder {
    /// Trusts servers with a certificate of an authority in this PEM file. May be repeated.
    pub fn ca_file(mut self, authority: impl AsRef<Path>) -> Self {
        self.ca.push(Pem::file(authority));
        self
    }

    /// Trusts servers with a certificate of an authority in this PEM text. May be repeated.
    pub fn ca_pem(mut self, authority: impl AsRef<[u8]>) -> Self {
        self.ca.push(Pem::text(authority));
        self
    }

    /// Trusts servers with a certificate of an authority that the system trusts, beside those that are
    /// named: what browsers and `curl` go by. `SSL_CERT_FILE` and `SSL_CERT_DIR` say where they are,
    /// where they are set.
    #[cfg(feature = "tls-native-roots")]
    #[cfg_attr(docsrs, doc(cfg(feature = "tls-native-roots")))]
    pub fn system_roots(mut self) -> Self {
        self.trusts_system = true;
        self
    }

    /// Names the PEM files of this side's certificate, with the chain behind it, and of its key,
    /// for servers that ask for one.
    pub fn identity_files(mut self, certificate: impl AsRef<Path>, key: impl AsRef<Path>) -> Self {
        self.identity = Some(Identity::files(certificate, key));
        self
    }

    /// Takes this side's certificate, with the chain behind it, and its key as PEM text, for
    /// servers that ask for one.
    pub fn identity_pem(mut self, certificate: impl AsRef<[u8]>, key: impl AsRef<[u8]>) -> Self {
        self.identity = Some(Identity::text(certificate, key));
        self
    }

    /// Sets the name that the server's certificate has to be for. Default: the host that is
    /// dialled. A unix socket has none.
    pub fn server_name(mut self, name: impl Into<String>) -> Self {
        self.server_name = Some(name.into());
        self
    }

    /// Takes whatever certificate a server shows. The connection is encrypted, and nobody knows to
    /// whom: whoever is between the two ends can read and change all of it. For trying things out.
    pub fn danger_accept_any_certificate_from_anyone(mut self) -> Self {
        self.trusts_everybody = true;
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
    pub fn build(self) -> Result<TlsClient, Error> {
        if let Some(name) = &self.server_name {
            server_name(name).map_err(|e| Error::config(e.to_string()))?;
        }
        Ok(TlsClient(Arc::new(Sourced::read(self)?)))
    }

    fn provider(&self) -> Arc<CryptoProvider> {
        self.crypto.clone().unwrap_or_else(ring)
    }

    const fn trusts_system(&self) -> bool {
        #[cfg(feature = "tls-native-roots")]
        return self.trusts_system;
        #[cfg(not(feature = "tls-native-roots"))]
        false
    }

    fn verifier(&self) -> Result<Arc<dyn ServerCertVerifier>, Error> {
        if self.trusts_everybody {
            return Ok(Arc::new(Anyone(self.provider())));
        }
        if self.ca.is_empty() && !self.trusts_system() {
            return Err(Error::config(NO_AUTHORITY));
        }
        #[cfg_attr(
            not(feature = "tls-native-roots"),
            expect(unused_mut, reason = "the system adds its own")
        )]
        let mut roots = roots(&self.ca)?;
        #[cfg(feature = "tls-native-roots")]
        if self.trusts_system {
            super::pem::add_system_roots(&mut roots)?;
        }
        let roots = Arc::new(roots);
        let verifier = WebPkiServerVerifier::builder_with_provider(roots, self.provider()).build();
        Ok(verifier.map_err(|e| Error::config("the authorities cannot be used").with_source(e))?)
    }
}

impl Source for TlsClientBuilder {
    type Config = ClientConfig;

    fn has_files(&self) -> bool {
        self.trusts_system()
            || self.identity.as_ref().is_some_and(Identity::is_files)
            || self.ca.iter().any(Pem::is_file)
    }

    fn read(&self) -> Result<Arc<ClientConfig>, Error> {
        let builder = ClientConfig::builder_with_provider(self.provider())
            .with_safe_default_protocol_versions()
            .map_err(unusable)?
            .dangerous()
            .with_custom_certificate_verifier(self.verifier()?);
        let Some(identity) = &self.identity else {
            return Ok(noticing(builder.with_no_client_auth()));
        };
        let (chain, key) = identity.read()?;
        let config = builder.with_client_auth_cert(chain, key);
        Ok(noticing(config.map_err(|e| identity.refused(e))?))
    }
}

impl fmt::Debug for TlsClientBuilder {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("TlsClientBuilder")
            .field("server_name", &self.server_name)
            .field("trusts_everybody", &self.trusts_everybody)
            .finish_non_exhaustive()
    }
}

/// Takes every certificate; that its key is at hand is still verified.
#[derive(Debug)]
struct Anyone(Arc<CryptoProvider>);

impl ServerCertVerifier for Anyone {
    fn verify_server_cert(
        &self,
        _: &CertificateDer<'_>,
        _: &[CertificateDer<'_>],
        _: &ServerName<'_>,
        _: &[u8],
        _: UnixTime,
    ) -> Result<ServerCertVerified, rustls::Error> {
        Ok(ServerCertVerified::assertion())
    }

    fn verify_tls12_signature(
        &self,
        message: &[u8],
        certificate: &CertificateDer<'_>,
        signed: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, rustls::Error> {
        let algorithms = &self.0.signature_verification_algorithms;
        verify_tls12_signature(message, certificate, signed, algorithms)
    }

    fn verify_tls13_signature(
        &self,
        message: &[u8],
        certificate: &CertificateDer<'_>,
        signed: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, rustls::Error> {
        let algorithms = &self.0.signature_verification_algorithms;
        verify_tls13_signature(message, certificate, signed, algorithms)
    }

    fn supported_verify_schemes(&self) -> Vec<SignatureScheme> {
        self.0.signature_verification_algorithms.supported_schemes()
    }
}
