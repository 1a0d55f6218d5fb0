//! Certificates and keys, from files or as text.

use std::path::{Path, PathBuf};
use std::sync::Arc;

use tokio_rustls::rustls::pki_types::pem::{Error as PemError, PemObject};
use tokio_rustls::rustls::pki_types::{CertificateDer, PrivateKeyDer};
use tokio_rustls::rustls::{self, RootCertStore};

use crate::error::Error;

/// Where PEM text comes from.
#[derive(Clone)]
pub(super) enum Pem {
    File(PathBuf),
    Text(Arc<[u8]>),
}

impl Pem {
    pub(super) fn file(path: impl AsRef<Path>) -> Self {
        Self::File(path.as_ref().to_owned())
    }

    pub(super) fn text(text: impl AsRef<[u8]>) -> Self {
        Self::Text(text.as_ref().into())
    }

    pub(super) fn is_file(&self) -> bool {
        matches!(self, Self::File(_))
    }

    fn read(&self) -> Result<Arc<[u8]>, Error> {
        match self {
            Self::Text(text) => Ok(Arc::clone(text)),
            Self::File(path) => std::fs::read(path).map(Into::into).map_err(|e| {
                Error::config(format!("{} cannot be read", path.display())).with_source(e)
            }),
        }
    }

    fn name(&self) -> String {
        match self {
            Self::Text(_) => "the PEM text".to_owned(),
            Self::File(path) => path.display().to_string(),
        }
    }

    fn certificates(&self) -> Result<Vec<CertificateDer<'static>>, Error> {
        let text = self.read()?;
        let found: Result<Vec<_>, _> = CertificateDer::pem_slice_iter(&text).collect();
        match found {
            Ok(found) if found.is_empty() => Err(Error::config(format!(
                "no certificate is in {}; it has to have a part that begins with `-----BEGIN \
                 CERTIFICATE-----`",
                self.name()
            ))),
            Ok(found) => Ok(found),
            Err(error) => Err(self.broken(error)),
        }
    }

    fn key(&self) -> Result<PrivateKeyDer<'static>, Error> {
        let text = self.read()?;
        PrivateKeyDer::from_pem_slice(&text).map_err(|error| match error {
            PemError::NoItemsFound => Error::config(format!(
                "no private key is in {}; it has to have a part that begins with `-----BEGIN \
                 PRIVATE KEY-----`, not encrypted",
                self.name()
            )),
            error => self.broken(error),
        })
    }

    fn broken(&self, error: PemError) -> Error {
        Error::config(format!("{} is broken", self.name())).with_source(error)
    }
}

/// A certificate with the chain behind it, and its key.
#[derive(Clone)]
pub(super) struct Identity {
    certificate: Pem,
    key: Pem,
}

impl Identity {
    pub(super) fn files(certificate: impl AsRef<Path>, key: impl AsRef<Path>) -> Self {
        Self {
            certificate: Pem::file(certificate),
            key: Pem::file(key),
        }
    }

    pub(super) fn text(certificate: impl AsRef<[u8]>, key: impl AsRef<[u8]>) -> Self {
        Self {
            certificate: Pem::text(certificate),
            key: Pem::text(key),
        }
    }

    pub(super) fn is_files(&self) -> bool {
        self.certificate.is_file() && self.key.is_file()
    }

    pub(super) fn read(
        &self,
    ) -> Result<(Vec<CertificateDer<'static>>, PrivateKeyDer<'static>), Error> {
        Ok((self.certificate.certificates()?, self.key.key()?))
    }

    /// What is wrong with them, as the cryptography sees it.
    pub(super) fn refused(&self, error: rustls::Error) -> Error {
        let (certificate, key) = (self.certificate.name(), self.key.name());
        let text = match &error {
            rustls::Error::InconsistentKeys(_) => {
                format!("the key in {key} does not belong to the certificate in {certificate}")
            }
            rustls::Error::InvalidCertificate(_) => {
                format!("the certificate in {certificate} is broken")
            }
            _ => format!("the certificate in {certificate} and the key in {key} cannot be used"),
        };
        Error::config(text).with_source(error)
    }
}

/// The authorities in all of these.
pub(super) fn roots(from: &[Pem]) -> Result<RootCertStore, Error> {
    let mut roots = RootCertStore::empty();
    for pem in from {
        for certificate in pem.certificates()? {
            roots.add(certificate).map_err(|e| {
                Error::config(format!("a certificate in {} is broken", pem.name())).with_source(e)
            })?;
        }
    }
    Ok(roots)
}

/// Adds the authorities that the system trusts.
#[cfg(feature = "tls-native-roots")]
pub(super) fn add_system_roots(roots: &mut RootCertStore) -> Result<(), Error> {
    let found = rustls_native_certs::load_native_certs();
    // Some systems keep certificates that are no good; nobody is verified by those.
    let (added, _) = roots.add_parsable_certificates(found.certs);
    if added > 0 {
        return Ok(());
    }
    let error = Error::config(
        "the system has no authority that could be trusted; install them (the package is often \
         called ca-certificates), or name a file with ca_file or SSL_CERT_FILE",
    );
    Err(match found.errors.into_iter().next() {
        Some(source) => error.with_source(source),
        None => error,
    })
}
