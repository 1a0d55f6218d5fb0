use serde::Deserialize;

use super::{ProtoError, ProtoErrorKind};

/// The bounds on the messages of a peer.
#[derive(Clone, Debug, PartialEq, Eq, Deserialize)]
#[serde(default, deny_unknown_fields)]
#[non_exhaustive]
pub struct Limits {
    /// The largest frame in bytes, sent or received: 16 MiB by default, 0 for no limit. It also
    /// bounds what each transfer filter of a received frame may unpack it to. Raising it raises
    /// the memory that one message of one peer can take.
    pub message: usize,
    /// The most transfer filters that a received frame may ask for: 255 by default, which is what
    /// the wire can say. The bytes that all of them together handle are bounded anyhow, in
    /// proportion to `message`; lowering this also bounds the fixed cost of each filter.
    pub pipe: usize,
}

impl Limits {
    /// Creates the default limits but for the largest frame; 0 is no limit.
    #[must_use]
    pub fn with_message(message: usize) -> Self {
        Self {
            message,
            ..Self::default()
        }
    }

    /// Checks the size of a whole frame.
    ///
    /// # Errors
    ///
    /// Fails with [`ProtoErrorKind::TooLarge`] when the size is above the limit.
    pub fn check_message(&self, size: usize) -> Result<(), ProtoError> {
        if self.message != 0 && size > self.message {
            return Err(too_large(size, self.message));
        }
        Ok(())
    }

    /// Checks the number of filters of a received frame.
    ///
    /// # Errors
    ///
    /// Fails with [`ProtoErrorKind::BadField`] when there are more than the limit.
    pub fn check_pipe(&self, len: usize) -> Result<(), ProtoError> {
        if len > self.pipe {
            return Err(ProtoError::new(
                ProtoErrorKind::BadField,
                format!(
                    "too many transfer filters: {len}, the limit is {}",
                    self.pipe
                ),
            ));
        }
        Ok(())
    }
}

impl Default for Limits {
    fn default() -> Self {
        Self {
            message: 16 << 20,
            pipe: 255,
        }
    }
}

#[cold]
fn too_large(size: usize, limit: usize) -> ProtoError {
    ProtoError::new(
        ProtoErrorKind::TooLarge,
        format!("message of {size} bytes exceeds the limit of {limit} bytes"),
    )
}
