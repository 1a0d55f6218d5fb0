//! Asking for encryption where a message is made.

use super::{ACCEPT_SECURE, SECURE};
use crate::codec::ToBody;
use crate::session::{Call, Push};

/// Asks for encryption by [`Legacy`](super::Legacy) where a message is made.
///
/// A handler asks for an encrypted reply with `ctx.set_meta(secure::SECURE, "true")`. On a peer
/// without that plugin the metadata is sent, and nothing encrypted.
pub trait SecureExt: Sized {
    /// Encrypts the query and the body of this message; of a call also the reply, unless
    /// [`accept_secure`](Self::accept_secure) says otherwise.
    #[must_use]
    fn secure(self) -> Self;

    /// Says whether the reply is to be encrypted, whatever the call is.
    #[must_use]
    fn accept_secure(self, yes: bool) -> Self;
}

const fn text(yes: bool) -> &'static str {
    if yes { "true" } else { "false" }
}

impl<R, A: ToBody> SecureExt for Call<'_, R, A> {
    fn secure(self) -> Self {
        self.meta(SECURE, text(true))
    }

    fn accept_secure(self, yes: bool) -> Self {
        self.meta(ACCEPT_SECURE, text(yes))
    }
}

impl<A: ToBody> SecureExt for Push<'_, A> {
    fn secure(self) -> Self {
        self.meta(SECURE, text(true))
    }

    fn accept_secure(self, yes: bool) -> Self {
        self.meta(ACCEPT_SECURE, text(yes))
    }
}
