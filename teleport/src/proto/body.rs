use std::fmt;

use bytes::{Bytes, BytesMut};

use super::{ProtoError, ProtoErrorKind};

/// The body of a message that is to be packed.
#[non_exhaustive]
pub enum Body<'a> {
    /// Ready bytes that could also be shared.
    Bytes(&'a Bytes),
    /// Ready bytes.
    Slice(&'a [u8]),
    /// A function that appends the body to the buffer it is given, and touches nothing before.
    Write(&'a mut dyn FnMut(&mut BytesMut) -> Result<(), ProtoError>),
}

impl Body<'_> {
    /// Returns the length, when it is known before the body is written.
    #[must_use]
    pub fn len_hint(&self) -> Option<usize> {
        match self {
            Self::Bytes(bytes) => Some(bytes.len()),
            Self::Slice(bytes) => Some(bytes.len()),
            Self::Write(_) => None,
        }
    }

    /// Appends the body to `dst`.
    ///
    /// # Errors
    ///
    /// Fails when the body's own function does, or when that takes away bytes of others; what was
    /// appended by then stays.
    pub fn write(self, dst: &mut BytesMut) -> Result<(), ProtoError> {
        match self {
            Self::Bytes(bytes) => dst.extend_from_slice(bytes),
            Self::Slice(bytes) => dst.extend_from_slice(bytes),
            Self::Write(write) => {
                let start = dst.len();
                write(dst)?;
                if dst.len() < start {
                    return Err(ProtoError::new(
                        ProtoErrorKind::Encode,
                        "the body's encoder took away bytes that were not its own",
                    ));
                }
            }
        }
        Ok(())
    }
}

impl fmt::Debug for Body<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.len_hint() {
            Some(len) => write!(f, "Body({len} bytes)"),
            None => f.write_str("Body(to be written)"),
        }
    }
}

/// A buffer that is cut back to its first length when it is dropped without [`keep`](Self::keep),
/// so that neither an error nor a panic leaves half a frame.
pub(crate) struct Rollback<'a> {
    buf: &'a mut BytesMut,
    start: usize,
    keep: bool,
}

impl<'a> Rollback<'a> {
    pub(crate) fn new(buf: &'a mut BytesMut) -> Self {
        let start = buf.len();
        Self {
            buf,
            start,
            keep: false,
        }
    }

    /// The whole buffer.
    pub(crate) fn buf(&mut self) -> &mut BytesMut {
        self.buf
    }

    /// How many bytes have been added.
    pub(crate) fn added(&self) -> usize {
        self.buf.len().saturating_sub(self.start)
    }

    /// Writes over the first of the bytes that have been added.
    pub(crate) fn patch(&mut self, bytes: &[u8]) {
        if let Some(place) = self.buf.get_mut(self.start..self.start + bytes.len()) {
            place.copy_from_slice(bytes);
        }
    }

    /// Leaves what has been added.
    pub(crate) fn keep(mut self) {
        self.keep = true;
    }
}

impl Drop for Rollback<'_> {
    fn drop(&mut self) {
        if !self.keep {
            self.buf.truncate(self.start);
        }
    }
}
