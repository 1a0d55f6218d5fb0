//! Body codecs.

use std::fmt;

/// The body codecs that a peer knows.
#[derive(Clone, Default, Debug)]
pub struct Codecs;

/// A body that could not be encoded or decoded.
#[derive(Debug)]
pub struct CodecError(String);

impl fmt::Display for CodecError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

impl std::error::Error for CodecError {}

impl Codecs {
    /// Returns the id of the codec with this name.
    #[must_use]
    pub fn id_of(&self, name: &str) -> Option<u8> {
        match name {
            "json" => Some(b'j'),
            _ => None,
        }
    }
}
