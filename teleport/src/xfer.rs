//! Transfer filters: byte filters that a packed message goes through before it is sent.
//!
//! A [`XferPipe`] lists the filters of one message by their ids, outermost first; a [`Filters`]
//! registry of the peer says what the ids mean. Packing runs from the last id to the first,
//! unpacking from the first to the last. What filters may blow a message up to is bounded, see
//! [`XferFilter::on_unpack`].

mod error;
#[cfg(feature = "gzip")]
mod gzip;
#[cfg(feature = "md5")]
mod md5;
mod pipe;
mod registry;

pub use error::{FilterError, FilterErrorKind};
#[cfg(feature = "gzip")]
#[cfg_attr(docsrs, doc(cfg(feature = "gzip")))]
pub use gzip::Gzip;
#[cfg(feature = "md5")]
#[cfg_attr(docsrs, doc(cfg(feature = "md5")))]
pub use md5::Md5;
pub use pipe::XferPipe;
pub(crate) use pipe::{Scratch, pack_through, recycle, unpack_through};
pub use registry::Filters;

use bytes::BytesMut;

/// The id of the gzip filter, unless it is made with another: `g`.
pub const GZIP: u8 = b'g';
/// The id of the md5 filter, unless it is made with another: `m`.
pub const MD5: u8 = b'm';

/// A byte filter between a protocol and the wire.
///
/// Both ends must give a filter the same id. A filter is shared by all connections of a peer.
pub trait XferFilter: Send + Sync + 'static {
    /// Returns the byte that names the filter on the wire.
    fn id(&self) -> u8;

    /// Returns the name of the filter, for people.
    fn name(&self) -> &str;

    /// Appends the filtered form of `src` to `dst`.
    ///
    /// # Errors
    ///
    /// Fails when the bytes cannot be filtered; what was appended by then is dropped.
    fn on_pack(&self, src: &[u8], dst: &mut BytesMut) -> Result<(), FilterError>;

    /// Appends to `dst` what [`on_pack`](Self::on_pack) made `src` from, never more than `limit`
    /// bytes.
    ///
    /// # Errors
    ///
    /// Fails when `src` is damaged, and with [`FilterError::too_large`] when it would become more
    /// than `limit` bytes. What was appended by then is dropped.
    fn on_unpack(&self, src: &[u8], dst: &mut BytesMut, limit: usize) -> Result<(), FilterError>;
}
