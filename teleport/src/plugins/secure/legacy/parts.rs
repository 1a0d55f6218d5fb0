//! The parts of an encrypted message: its query, and its body.

use std::borrow::Cow;

use bytes::Bytes;

use super::super::cipher::BLOCK;
use super::super::envelope::Envelope;
use super::super::{SECURE, hex};
use super::Legacy;
use crate::Rerror;
use crate::codec::Codecs;
use crate::message::{Header, Meta, Uri};

/// The query parameters that stand in for an encrypted query, in their order.
const CIPHERTEXT: &str = "ciphertext";
const CIPHERVERSION: &str = "cipherversion";

/// The message of all errors of what cannot be decrypted.
const MESSAGE: &str = "decrypt ciphertext error";

/// Whether a message that goes out is to be encrypted: as its metadata says, else as `asked` says.
/// Afterwards the metadata tells the same.
pub(super) fn asks(meta: &mut Meta, asked: bool) -> bool {
    let said = meta.get_bytes(SECURE).map(|value| value == b"true");
    if said == Some(false) {
        meta.remove(SECURE);
    }
    let is_secure = said.unwrap_or(asked);
    if is_secure && said.is_none() {
        meta.set(SECURE, "true");
    }
    is_secure
}

/// Whether a message that came says that it is encrypted. Any other value is taken off.
pub(super) fn says(meta: &mut Meta) -> bool {
    match meta.get_bytes(SECURE) {
        Some(b"true") => true,
        Some(_) => {
            meta.remove(SECURE);
            false
        }
        None => false,
    }
}

pub(super) fn is_error(value: Option<&[u8]>) -> bool {
    value.is_some_and(|value| !value.is_empty())
}

impl Legacy {
    /// Encrypts the query where it stands; gives the body that goes in the place of `body`.
    pub(super) fn seal(
        &self,
        codecs: &Codecs,
        header: &mut Header,
        body: &[u8],
    ) -> Result<Bytes, Rerror> {
        let uri = &mut header.uri;
        if !uri.raw_query().is_empty() {
            let ciphertext = self.encrypt(uri.raw_query());
            let version = &self.version;
            uri.set_raw_query(format!(
                "{CIPHERTEXT}={ciphertext}&{CIPHERVERSION}={version}"
            ));
        }
        let envelope = Envelope {
            version: self.version.clone(),
            ciphertext: self.encrypt(body),
        };
        envelope
            .pack(codecs, header.body_codec)
            .map_err(|why| Rerror::new(self.code, "encrypt error", why.to_string()))
    }

    /// Decrypts hex digits.
    pub(super) fn open(&self, ciphertext: &[u8]) -> Result<Bytes, Rerror> {
        let bytes = hex::decode(ciphertext).map_err(|why| self.failed(why))?;
        if bytes.is_empty() || bytes.len() % BLOCK != 0 {
            return Err(self.failed("no whole number of blocks of 16 bytes"));
        }
        match self.cipher.decrypt(&bytes) {
            Some(plain) => Ok(plain.into()),
            None => Err(self.failed("the padding of the last block is not valid")),
        }
    }

    /// Decrypts the query where it stands.
    pub(super) fn open_query(&self, uri: &mut Uri, enforced: bool) -> Result<(), Rerror> {
        let version = uri.query_bytes(CIPHERVERSION).unwrap_or_default();
        if version.is_empty() {
            // A message without a query, or of somebody who did not encrypt it.
            return match enforced && !uri.raw_query().is_empty() {
                true => Err(self.plain("the query is not encrypted")),
                false => Ok(()),
            };
        }
        self.check_version(version)?;
        let ciphertext = uri.query_bytes(CIPHERTEXT).unwrap_or_default();
        let mut query = self.open(ciphertext)?.to_vec();
        let mut added = Uri::new(uri.as_bytes());
        added
            .retain_query(|key, _| key != CIPHERTEXT.as_bytes() && key != CIPHERVERSION.as_bytes());
        if !added.raw_query().is_empty() {
            if enforced {
                return Err(self.plain("a part of the query is not encrypted"));
            }
            query.push(b'&');
            query.extend_from_slice(added.raw_query());
        }
        uri.set_raw_query(query);
        Ok(())
    }

    /// Decrypts a body; `None`: there is none.
    pub(super) fn open_body(
        &self,
        codecs: &Codecs,
        codec: u8,
        body: &Bytes,
        enforced: bool,
    ) -> Result<Option<Bytes>, Rerror> {
        if body.is_empty() {
            // Not even padding: the original takes it for an empty body.
            return match enforced {
                true => Err(self.plain("the body is not encrypted")),
                false => Ok(None),
            };
        }
        let envelope = Envelope::unpack(codecs, codec, body)
            .map_err(|why| Rerror::bad_message(why.to_string()))?;
        self.check_version(envelope.version.as_bytes())?;
        self.open(envelope.ciphertext.as_bytes()).map(Some)
    }

    pub(super) fn plain(&self, why: &'static str) -> Rerror {
        Rerror::new(self.code, "secure message required", why)
    }

    fn failed(&self, why: impl Into<Cow<'static, str>>) -> Rerror {
        Rerror::new(self.code, MESSAGE, why)
    }

    fn check_version(&self, version: &[u8]) -> Result<(), Rerror> {
        if version == self.version.as_bytes() {
            return Ok(());
        }
        let got = String::from_utf8_lossy(version);
        let text = format!(
            "inconsistent encryption version, get:{got:?}, want:{:?}",
            self.version
        );
        Err(self.failed(text))
    }
}
