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
        Why::Tls(tls) => explained(tls, Side::Dialled),
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
        Why::Tls(tls) => explained(tls, Side::Dials),
        Why::Io => "the connection broke in the TLS handshake".to_owned(),
    };
    said(text, error)
}

/// Which side this is.
#[derive(Clone, Copy)]
enum Side {
    Dials,
    Dialled,
}

impl Side {
    /// What names the authorities for the certificates of the other side.
    const fn ca_file(self) -> &'static str {
        match self {
            Self::Dials => "ca_file",
            Self::Dialled => "client_ca_file",
        }
    }

    const fn wrong_purpose(self) -> &'static str {
        match self {
            Self::Dials => {
                "is not meant for servers; sign one whose extendedKeyUsage has serverAuth, or has \
                 no such extension"
            }
            Self::Dialled => {
                "is not meant for clients; sign one whose extendedKeyUsage has clientAuth, or has \
                 no such extension"
            }
        }
    }
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

fn explained(error: &rustls::Error, side: Side) -> String {
    match error {
        rustls::Error::InvalidCertificate(error) => certificate(error, side),
        rustls::Error::AlertReceived(alert) => alerted(*alert).to_owned(),
        rustls::Error::NoCertificatesPresented => {
            "the other side shows no certificate, and this side asks for one".to_owned()
        }
        rustls::Error::PeerIncompatible(_) => {
            "the two sides have no version, cipher or kind of certificate of TLS in common"
                .to_owned()
        }
        rustls::Error::PeerMisbehaved(_)
        | rustls::Error::InvalidMessage(_)
        | rustls::Error::InappropriateMessage { .. }
        | rustls::Error::InappropriateHandshakeMessage { .. }
        | rustls::Error::PeerSentOversizedRecord
        | rustls::Error::DecryptError => "the other side breaks the rules of TLS".to_owned(),
        _ => "the TLS handshake failed".to_owned(),
    }
}

fn certificate(error: &CertificateError, side: Side) -> String {
    let ca_file = side.ca_file();
    let what = match error {
        CertificateError::Expired | CertificateError::ExpiredContext { .. } => "has expired",
        CertificateError::NotValidYet | CertificateError::NotValidYetContext { .. } => {
            "is not valid yet; is the clock right?"
        }
        CertificateError::UnknownIssuer => {
            let text = format!(
                "is of no authority that is trusted here; name the file of that authority with \
                 {ca_file}, if you trust it"
            );
            return of_other(&text);
        }
        CertificateError::BadSignature => {
            let text = format!(
                "is signed by another key than the one of the authority of that name that is \
                 trusted here; if the authority, or a certificate that is its own, was made anew, \
                 name its new file with {ca_file}"
            );
            return of_other(&text);
        }
        CertificateError::NotValidForName => "is not for the name that was dialled",
        CertificateError::NotValidForNameContext {
            expected,
            presented,
        } => return of_other(&another_name(&expected.to_str(), presented)),
        CertificateError::InvalidPurpose | CertificateError::InvalidPurposeContext { .. } => {
            side.wrong_purpose()
        }
        CertificateError::Revoked => "was revoked",
        CertificateError::BadEncoding => "is broken",
        // The reasons that have no name there, by the names that they have one floor below.
        CertificateError::Other(other) => match other.0.to_string().as_str() {
            "CaUsedAsEndEntity" => {
                "is the one of an authority itself, as `openssl req -x509` makes them; use it to \
                 sign one for that side, or make it anew with `-addext \
                 basicConstraints=critical,CA:FALSE`"
            }
            "UnsupportedCertVersion" => {
                "is of the old version 1; sign one of version 3, which has extensions such as \
                 subjectAltName"
            }
            _ => "is not good",
        },
        _ => "is not good",
    };
    of_other(what)
}

fn of_other(what: &str) -> String {
    format!("the certificate of the other side {what}")
}

fn another_name(dialled: &str, named: &[String]) -> String {
    if named.is_empty() {
        return format!(
            "is not for `{dialled}`, nor for any name: it has no subjectAltName, and its common \
             name does not count; sign one that has"
        );
    }
    format!(
        "is not for `{dialled}`, but for {}; dial it by such a name, or set `server_name`",
        named.join(", ")
    )
}

fn alerted(alert: AlertDescription) -> &'static str {
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
        AlertDescription::DecryptError => {
            "the other side refuses the certificate of this side: it is signed by another key than \
             the one of the authority that it trusts"
        }
        AlertDescription::UnsupportedCertificate => {
            "the other side refuses the certificate of this side: it is of a kind, or for a purpose, \
             that the other side does not take"
        }
        AlertDescription::BadCertificate
        | AlertDescription::CertificateUnknown
        | AlertDescription::CertificateRevoked
        | AlertDescription::AccessDenied => {
            "the other side refuses the certificate of this side; its own log says why"
        }
        AlertDescription::UnexpectedMessage => {
            "the other side did not expect a TLS handshake; does this port speak TLS?"
        }
        AlertDescription::ProtocolVersion => {
            "the other side speaks none of the versions of TLS of this side"
        }
        AlertDescription::HandshakeFailure => {
            "the two sides have no cipher or kind of certificate of TLS in common"
        }
        AlertDescription::UnrecognisedName => {
            "the other side has no certificate for the name that was dialled; dial it by another \
             name, or set `server_name`"
        }
        AlertDescription::NoApplicationProtocol => {
            "the two sides have no protocol of ALPN in common"
        }
        _ => "the other side broke the TLS handshake off; its own log says why",
    }
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
