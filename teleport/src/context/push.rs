//! The contexts of a push.

use std::ops::{Deref, DerefMut};

use bytes::Bytes;

use super::Received;
use crate::codec::FromBody;
use crate::rerror::Rerror;

/// What the handler of a PUSH sees.
///
/// Derefs to [`Received`].
#[derive(Debug)]
pub struct PushCtx {
    received: Received,
}

impl PushCtx {
    #[inline]
    pub(crate) fn new(received: Received) -> Self {
        Self { received }
    }
}

impl Deref for PushCtx {
    type Target = Received;

    fn deref(&self) -> &Received {
        &self.received
    }
}

impl DerefMut for PushCtx {
    fn deref_mut(&mut self) -> &mut Received {
        &mut self.received
    }
}

/// What the handler of pushes without a route sees: a [`PushCtx`] and the raw body.
#[derive(Debug)]
pub struct UnknownPushCtx {
    pub(crate) push: PushCtx,
    pub(crate) body: Bytes,
}

impl UnknownPushCtx {
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
        self.push.decode(&self.body)
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
        value.bind_from(&mut self.push)?;
        Ok(value)
    }
}

impl Deref for UnknownPushCtx {
    type Target = PushCtx;

    fn deref(&self) -> &PushCtx {
        &self.push
    }
}

impl DerefMut for UnknownPushCtx {
    fn deref_mut(&mut self) -> &mut PushCtx {
        &mut self.push
    }
}
