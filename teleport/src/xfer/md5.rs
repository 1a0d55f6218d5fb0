use bytes::BytesMut;
use md5::{Digest, Md5 as Hasher};

use super::{FilterError, MD5, XferFilter};

/// The length of a digest.
const LEN: usize = 16;

/// A filter that appends the MD5 of the data, and checks it.
///
/// It finds damage, not forgery: whoever changes the data can make the digest anew.
#[derive(Clone, Debug)]
pub struct Md5 {
    id: u8,
}

impl Md5 {
    /// Creates the filter under this id.
    #[must_use]
    pub const fn new(id: u8) -> Self {
        Self { id }
    }
}

impl Default for Md5 {
    /// The filter under the id `m`.
    fn default() -> Self {
        Self::new(MD5)
    }
}

impl XferFilter for Md5 {
    fn id(&self) -> u8 {
        self.id
    }

    fn name(&self) -> &'static str {
        "md5"
    }

    fn on_pack(&self, src: &[u8], dst: &mut BytesMut) -> Result<(), FilterError> {
        dst.reserve(src.len() + LEN);
        dst.extend_from_slice(src);
        dst.extend_from_slice(&Hasher::digest(src));
        Ok(())
    }

    fn on_unpack(&self, src: &[u8], dst: &mut BytesMut, limit: usize) -> Result<(), FilterError> {
        let Some((data, digest)) = src.split_last_chunk::<LEN>() else {
            return Err(FilterError::failed(format!(
                "check failed: {} bytes have no room for a digest of {LEN}",
                src.len()
            )));
        };
        if data.len() > limit {
            return Err(FilterError::too_large(limit));
        }
        if Hasher::digest(data)[..] != digest[..] {
            return Err(FilterError::failed(format!(
                "check failed: the digest does not fit the {} bytes before it",
                data.len()
            )));
        }
        dst.extend_from_slice(data);
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, clippy::indexing_slicing, reason = "tests")]

    use super::*;

    fn unpack(src: &[u8], limit: usize) -> Result<BytesMut, FilterError> {
        let mut dst = BytesMut::new();
        Md5::default().on_unpack(src, &mut dst, limit).map(|()| dst)
    }

    #[test]
    fn digests_are_appended_and_checked() {
        for data in [&b""[..], b"abc"] {
            let mut packed = BytesMut::new();
            Md5::default().on_pack(data, &mut packed).unwrap();
            assert_eq!(packed.len(), data.len() + LEN);
            assert_eq!(unpack(&packed, 3).unwrap(), data);
            for at in 0..packed.len() {
                let mut damaged = packed.clone();
                damaged[at] ^= 1;
                assert!(unpack(&damaged, 3).is_err(), "byte {at}");
            }
        }
    }

    #[test]
    fn short_and_large_data_is_refused() {
        assert!(
            unpack(&[], 100)
                .unwrap_err()
                .to_string()
                .starts_with("check failed: 0 bytes")
        );
        assert!(unpack(&[0; 15], 100).is_err());
        let mut packed = BytesMut::new();
        Md5::default().on_pack(b"abcd", &mut packed).unwrap();
        assert!(
            unpack(&packed, 3)
                .unwrap_err()
                .to_string()
                .contains("limit of 3 bytes")
        );
    }
}
