//! The contexts of a call.

use std::ops::{Deref, DerefMut};

use bytes::Bytes;

use super::Received;
use crate::codec::{self, FromBody};
use crate::error::Error;
use crate::message::{Meta, meta};
use crate::rerror::Rerror;
use crate::xfer::XferPipe;

/// What the handler of a CALL sees, and what it can say about its reply.
///
/// Derefs to [`Received`].
#[derive(Debug)]
pub struct CallCtx {
    received: Received,
    reply_meta: Meta,
    reply_codec: u8,
    reply_xfer: XferPipe,
}

impl CallCtx {
    #[inline]
    pub(crate) fn new(received: Received) -> Self {
        Self {
            received,
            reply_meta: Meta::new(),
            reply_codec: codec::NONE,
            reply_xfer: XferPipe::new(),
        }
    }

    /// Sets a pair of the reply's metadata; replaces the first pair of that key.
    pub fn set_meta(&mut self, key: impl AsRef<[u8]>, value: impl AsRef<[u8]>) {
        self.reply_meta.set(key, value);
    }

    /// Adds a pair to the reply's metadata.
    pub fn add_meta(&mut self, key: impl AsRef<[u8]>, value: impl AsRef<[u8]>) {
        self.reply_meta.add(key, value);
    }

    /// The reply's metadata so far.
    #[must_use]
    pub fn reply_meta(&self) -> &Meta {
        &self.reply_meta
    }

    /// Sets the codec of the reply. Without this it is the one that the caller asked for, else
    /// the one that the call came in.
    pub fn set_body_codec(&mut self, codec: u8) {
        self.reply_codec = codec;
    }

    /// The codec that the reply will have: the one set by the handler, else the one that
    /// `X-Accept-Body-Codec` names if it is registered here, else the one the call came in.
    #[must_use]
    pub fn reply_body_codec(&self) -> u8 {
        if self.reply_codec != codec::NONE {
            return self.reply_codec;
        }
        self.accepted_codec()
            .unwrap_or_else(|| self.received.body_codec())
    }

    /// Adds filters to the reply, behind those that the call came through.
    ///
    /// # Errors
    ///
    /// A filter is not registered on this peer, or the reply would have more than 255.
    pub fn add_xfer(&mut self, ids: &[u8]) -> Result<(), Error> {
        let filters = &self.received.session().inner().env().filters;
        for id in ids {
            if filters.get(*id).is_none() {
                return Err(Error::config(format!("no transfer filter has the id {id}")));
            }
        }
        let room = 255usize.saturating_sub(self.received.xfer().len() + self.reply_xfer.len());
        if ids.len() > room {
            return Err(Error::config(
                "a message goes through at most 255 transfer filters",
            ));
        }
        self.reply_xfer
            .append(ids)
            .map_err(|e| Error::config("too many filters").with_source(e))
    }

    fn accepted_codec(&self) -> Option<u8> {
        let received = &self.received;
        if received.meta().is_empty() {
            return None;
        }
        let wanted = parse_codec_id(received.meta().get_bytes(meta::ACCEPT_BODY_CODEC)?)?;
        received
            .session()
            .inner()
            .env()
            .codecs
            .get(wanted)
            .map(|_| wanted)
    }

    pub(crate) fn added_xfer(&self) -> &XferPipe {
        &self.reply_xfer
    }
}

/// The id in `X-Accept-Body-Codec`: 1 to 3 decimal digits, 1 to 255.
fn parse_codec_id(text: &[u8]) -> Option<u8> {
    if text.is_empty() || text.len() > 3 || !text.iter().all(u8::is_ascii_digit) {
        return None;
    }
    std::str::from_utf8(text)
        .ok()?
        .parse()
        .ok()
        .filter(|id| *id != codec::NONE)
}

impl Deref for CallCtx {
    type Target = Received;

    fn deref(&self) -> &Received {
        &self.received
    }
}

impl DerefMut for CallCtx {
    fn deref_mut(&mut self) -> &mut Received {
        &mut self.received
    }
}

/// What the handler of calls without a route sees: a [`CallCtx`] and the raw body.
#[derive(Debug)]
pub struct UnknownCallCtx {
    pub(crate) call: CallCtx,
    pub(crate) body: Bytes,
}

impl UnknownCallCtx {
    /// The body as it came.
    #[must_use]
    pub fn body(&self) -> &Bytes {
        &self.body
    }

    /// Decodes the body, in the codec that it came in.
    ///
    /// # Errors
    ///
    /// Error 400 with the decoder's text.
    pub fn bind<T: FromBody>(&self) -> Result<T, Rerror> {
        self.call.decode(&self.body)
    }

    /// Decodes the body as [`bind`](Self::bind) does, then takes and checks its parameters.
    ///
    /// # Errors
    ///
    /// Error 400 with the decoder's text, or what is wrong with a parameter.
    #[cfg(feature = "binder")]
    #[cfg_attr(docsrs, doc(cfg(feature = "binder")))]
    pub fn bind_checked<T: FromBody + crate::Bind>(&mut self) -> Result<T, Rerror> {
        let mut value: T = self.bind()?;
        value.bind_from(&mut self.call)?;
        Ok(value)
    }
}

impl Deref for UnknownCallCtx {
    type Target = CallCtx;

    fn deref(&self) -> &CallCtx {
        &self.call
    }
}

impl DerefMut for UnknownCallCtx {
    fn deref_mut(&mut self) -> &mut CallCtx {
        &mut self.call
    }
}

#[cfg(test)]
mod tests {
    use super::parse_codec_id;

    #[test]
    fn an_accepted_codec_is_one_to_three_digits() {
        assert_eq!(parse_codec_id(b"115"), Some(115));
        assert_eq!(parse_codec_id(b"7"), Some(7));
        for bad in ["", "0", "256", "0115", "json", "+15", "1 "] {
            assert_eq!(parse_codec_id(bad.as_bytes()), None, "{bad}");
        }
    }
}
