//! Why a handshake failed, in words.

use std::borrow::Cow;
use std::io;

use tokio_rustls::rustls::{self, AlertDescription, CertificateError};

use crate::proto::Stranger;

/// What is said instead of what the cryptography said.
#[derive(Debug, thiserror::Error)]
#[error("{text}")]
struct Failure {
    text: String,
    source: io::Error,
}

/// The failure of a side that was dialled.
pub(super) fn of_server(error: io::Error, first: &[u8]) -> io::Error {
    if let Some(what) = plain(first) {
        let text = format!("these bytes are {what}, and this port speaks TLS: dial it with TLS");
        return said(text, error);
    }
    let text = match why(&error) {
        Why::Ended => "the other side went away in the TLS handshake".to_owned(),
        Why::Tls(rustls::Error::NoCertificatesPresented) => {
            "the other side shows no certificate, and this side asks for one".to_owned()
        }
        Why::Tls(tls) => explained(tls),
        Why::Io => "the connection broke in the TLS handshake".to_owned(),
    };
    said(text, error)
}

/// The failure of a side that dialled.
pub(super) fn of_client(error: io::Error, first: &[u8]) -> io::Error {
    if let Some(what) = plain(first) {
        let text = format!("the other side answers with {what}, not with TLS: dial it without TLS");
        return said(text, error);
    }
    let text = match why(&error) {
        Why::Ended => "the other side closed the connection in the TLS handshake; does this port \
                       speak TLS?"
            .to_owned(),
        Why::Tls(tls) => explained(tls),
        Why::Io => "the connection broke in the TLS handshake".to_owned(),
    };
    said(text, error)
}

fn said(text: String, source: io::Error) -> io::Error {
    io::Error::new(source.kind(), Failure { text, source })
}

enum Why<'a> {
    Ended,
    Tls(&'a rustls::Error),
    Io,
}

fn why(error: &io::Error) -> Why<'_> {
    let tls = error
        .get_ref()
        .and_then(|inner| inner.downcast_ref::<rustls::Error>());
    match tls {
        Some(tls) => Why::Tls(tls),
        None if error.kind() == io::ErrorKind::UnexpectedEof => Why::Ended,
        None => Why::Io,
    }
}

fn explained(error: &rustls::Error) -> String {
    match error {
        rustls::Error::InvalidCertificate(error) => certificate(error),
        rustls::Error::AlertReceived(alert) => alerted(*alert),
        _ => "the TLS handshake failed".to_owned(),
    }
}

fn certificate(error: &CertificateError) -> String {
    match error {
        CertificateError::Expired | CertificateError::ExpiredContext { .. } => {
            "the certificate of the other side has expired".to_owned()
        }
        CertificateError::NotValidYet | CertificateError::NotValidYetContext { .. } => {
            "the certificate of the other side is not valid yet; is the clock right?".to_owned()
        }
        CertificateError::UnknownIssuer => {
            "the certificate of the other side is of no authority that is trusted here; name the file \
             of that authority, if you trust it"
                .to_owned()
        }
        CertificateError::NotValidForName => {
            "the certificate of the other side is not for the name that was dialled".to_owned()
        }
        CertificateError::NotValidForNameContext {
            expected,
            presented,
        } => format!(
            "the certificate of the other side is not for `{}`, but for {}; dial it by such a \
             name, or set `server_name`",
            expected.to_str(),
            presented.join(", ")
        ),
        CertificateError::Revoked => "the certificate of the other side was revoked".to_owned(),
        _ => "the certificate of the other side is not good".to_owned(),
    }
}

fn alerted(alert: AlertDescription) -> String {
    match alert {
        AlertDescription::CertificateRequired => {
            "the other side asks for a certificate, and this side has none; name its files with \
             identity_files"
        }
        AlertDescription::CertificateExpired => {
            "the other side refuses the certificate of this side: it has expired, or is not valid yet"
        }
        AlertDescription::UnknownCA => {
            "the other side refuses the certificate of this side: it does not trust its authority"
        }
        AlertDescription::BadCertificate
        | AlertDescription::CertificateUnknown
        | AlertDescription::CertificateRevoked
        | AlertDescription::UnsupportedCertificate
        | AlertDescription::AccessDenied => "the other side refuses the certificate of this side",
        AlertDescription::UnexpectedMessage => {
            "the other side did not expect a TLS handshake; does this port speak TLS?"
        }
        AlertDescription::ProtocolVersion => "the other side speaks none of the versions of this side",
        _ => "the other side broke the TLS handshake off",
    }
    .to_owned()
}

/// What the first bytes of a connection are, if they are no TLS.
fn plain(first: &[u8]) -> Option<Cow<'static, str>> {
    // Nothing, or the record of a handshake or an alert.
    if matches!(first, [] | [0x15 | 0x16] | [0x15 | 0x16, 3, ..]) {
        return None;
    }
    Some(match Stranger::name_of(first) {
        Some(name @ ("raw" | "json" | "pb")) => format!("the {name} protocol of Teleport").into(),
        Some(name) => name.into(),
        None => "no TLS".into(),
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn first_bytes_are_named() {
        for (first, what) in [
            (&b""[..], None),
            (&[0x16, 3, 1, 0, 5], None),
            (&[0x15, 3, 3, 0, 2, 2, 40], None),
            (b"GET / HT", Some("HTTP")),
            (b"HTTP/1.1", Some("HTTP, of a server")),
            (
                &[0, 0, 0, 40, b'r', 0, 1],
                Some("the raw protocol of Teleport"),
            ),
            (b"SSH-2.0-", Some("SSH")),
            (b"\xff\xfe\xfd\xfc\xfb", Some("no TLS")),
        ] {
            assert_eq!(plain(first).as_deref(), what, "{first:?}");
        }
    }
}
