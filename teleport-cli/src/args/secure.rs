//! The option of the original's secure plugin.

use std::sync::Arc;

use clap::Args as Group;
use teleport::plugins::secure::Legacy;

use super::values;
use crate::exit::Failure;

/// The code of errors of what does not decrypt: the one in the original's examples.
const CODE: i32 = 100_001;

/// Encryption of queries and bodies.
#[derive(Debug, Group)]
pub(crate) struct Secure {
    /// Encrypt query and body as the secure plugin of Go peers does, and decrypt what comes
    ///
    /// The key is 16, 24 or 32 bytes long, for AES-128, AES-192 or AES-256. `@file` reads it from a
    /// file, where nobody sees it who lists processes. What is sent is encrypted unless --meta
    /// X-Secure=false says otherwise, and what is answered as the other side asks for it; errors
    /// are plain. It hides content from those who only listen, and no more: --tls does more.
    #[arg(long, value_name = "KEY", value_parser = values::secret, allow_hyphen_values = true)]
    secure: Option<String>,
}

impl Secure {
    /// What encrypts and decrypts, if there is a key.
    pub(crate) fn plugin(&self) -> Result<Option<Legacy>, Failure> {
        let Some(key) = &self.secure else {
            return Ok(None);
        };
        Ok(Some(Legacy::new(CODE, key)?))
    }

    /// The same, to be shared.
    pub(crate) fn shared(&self) -> Result<Option<Arc<Legacy>>, Failure> {
        Ok(self.plugin()?.map(Arc::new))
    }
}
