//! Collects small writes.

use bytes::BytesMut;

use super::super::number::Sink;

/// JSON is written in pieces of a few bytes, for which a `BytesMut` takes its time.
const SMALL: usize = 256;

/// Appends to a buffer, many small pieces at once.
pub(super) struct Out<'a> {
    dst: &'a mut BytesMut,
    small: [u8; SMALL],
    used: usize,
}

impl<'a> Out<'a> {
    pub(super) fn new(dst: &'a mut BytesMut) -> Self {
        Self {
            dst,
            small: [0; SMALL],
            used: 0,
        }
    }

    /// How long the buffer is with all that was put.
    pub(super) fn len(&self) -> usize {
        self.dst.len() + self.used
    }

    /// The buffer, with all that was put.
    pub(super) fn flush(&mut self) -> &mut BytesMut {
        self.dst
            .extend_from_slice(self.small.get(..self.used).unwrap_or_default());
        self.used = 0;
        self.dst
    }

    #[inline]
    pub(super) fn put_u8(&mut self, byte: u8) {
        self.put(&[byte]);
    }

    #[cold]
    fn put_large(&mut self, bytes: &[u8]) {
        self.flush();
        match self.small.get_mut(..bytes.len()) {
            Some(place) => {
                place.copy_from_slice(bytes);
                self.used = bytes.len();
            }
            None => self.dst.extend_from_slice(bytes),
        }
    }
}

impl Sink for Out<'_> {
    #[inline]
    fn put(&mut self, bytes: &[u8]) {
        let end = self.used + bytes.len();
        match self.small.get_mut(self.used..end) {
            Some(place) => {
                place.copy_from_slice(bytes);
                self.used = end;
            }
            None => self.put_large(bytes),
        }
    }
}
