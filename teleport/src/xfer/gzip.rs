mod header;
mod pool;

use bytes::BytesMut;
use flate2::{Compress, Crc, Decompress, FlushCompress, FlushDecompress, Status};

use super::{FilterError, GZIP, XferFilter};

/// The output grows in steps of at least and at most this many bytes, in between by what has been
/// produced so far: by what arrived, never by what a peer claims.
const STEP: (usize, usize) = (1 << 10, 1 << 20);

/// An empty, final, stored block: only an inflater that stands between two blocks, on a byte
/// boundary, takes it as the end of its stream.
const LAST_BLOCK: [u8; 5] = [0x01, 0x00, 0x00, 0xff, 0xff];

/// The length of the checksum and size at the end of a gzip stream.
const TRAILER: usize = 8;

/// A filter that compresses with gzip.
///
/// It writes complete streams. It also reads those that end flushed, without the final block or
/// without a whole trailer, as the original writes them; corrupt or cut data, a wrong checksum and
/// bytes behind the end of the stream are errors. Nothing at all unpacks to nothing.
#[derive(Clone, Debug)]
pub struct Gzip {
    id: u8,
    level: u8,
    name: &'static str,
}

impl Gzip {
    /// Creates the filter under this id, with a level from 0 (stored) to 9 (smallest). Its name
    /// carries the level, as in `gzip-5`.
    ///
    /// # Errors
    ///
    /// Fails when the level is above 9.
    pub fn new(id: u8, level: u32) -> Result<Self, FilterError> {
        const NAMES: [&str; 10] = [
            "gzip-0", "gzip-1", "gzip-2", "gzip-3", "gzip-4", "gzip-5", "gzip-6", "gzip-7",
            "gzip-8", "gzip-9",
        ];
        let refuse = || FilterError::failed(format!("gzip has levels from 0 to 9, not {level}"));
        let index = u8::try_from(level).map_err(|_| refuse())?;
        let name = NAMES.get(usize::from(index)).ok_or_else(refuse)?;
        Ok(Self {
            id,
            level: index,
            name,
        })
    }
}

impl Default for Gzip {
    /// The filter under the id `g`, with level 5.
    fn default() -> Self {
        Self {
            id: GZIP,
            level: 5,
            name: "gzip-5",
        }
    }
}

impl XferFilter for Gzip {
    fn id(&self) -> u8 {
        self.id
    }

    fn name(&self) -> &str {
        self.name
    }

    fn on_pack(&self, src: &[u8], dst: &mut BytesMut) -> Result<(), FilterError> {
        dst.extend_from_slice(&header::of_level(self.level));
        let mut deflater = pool::deflater(self.level);
        deflate(&mut deflater, src, dst)?;
        pool::keep_deflater(self.level, deflater);
        dst.extend_from_slice(&trailer_of(src));
        Ok(())
    }

    fn on_unpack(&self, src: &[u8], dst: &mut BytesMut, limit: usize) -> Result<(), FilterError> {
        if src.is_empty() {
            return Ok(());
        }
        let deflated = header::skip(src)?;
        let start = dst.len();
        let mut inflater = pool::inflater();
        let rest = inflate(&mut inflater, deflated, dst, limit)?;
        pool::keep_inflater(inflater);
        check_trailer(rest, dst.get(start..).unwrap_or_default())
    }
}

/// Appends the deflated form of `src`, with its final block.
fn deflate(state: &mut Compress, src: &[u8], dst: &mut BytesMut) -> Result<(), FilterError> {
    let mut rest = src;
    // Enough for data that does not shrink, so that most messages take one pass.
    let mut room = (src.len() + src.len() / 64 + 64).min(STEP.1);
    loop {
        let (read, written) = (state.total_in(), state.total_out());
        let status = with_room(dst, room, |out| {
            let status = state.compress(rest, out, FlushCompress::Finish);
            (passed(written, state.total_out()), status)
        });
        let status = status.map_err(|error| FilterError::failed(error.to_string()))?;
        rest = rest
            .get(passed(read, state.total_in())..)
            .unwrap_or_default();
        if status == Status::StreamEnd {
            return Ok(());
        }
        if written == state.total_out() && read == state.total_in() {
            return Err(FilterError::failed("the deflater stands still"));
        }
        room = (rest.len() + rest.len() / 64 + STEP.0).min(STEP.1);
    }
}

/// Appends what `src` inflates to, and returns what lies behind the final block of the stream:
/// `None` when it ends without one, between two blocks.
fn inflate<'s>(
    state: &mut Decompress,
    src: &'s [u8],
    dst: &mut BytesMut,
    limit: usize,
) -> Result<Option<&'s [u8]>, FilterError> {
    if src.is_empty() {
        return Err(FilterError::failed("no data behind the gzip header"));
    }
    let start = dst.len();
    let mut rest = src;
    let mut step = src.len().saturating_mul(4).clamp(STEP.0, STEP.1);
    loop {
        // One byte over the limit tells a stream that ends there from one that goes on.
        let room = step.min((limit - (dst.len() - start)).saturating_add(1));
        let (read, written) = (state.total_in(), state.total_out());
        let status = with_room(dst, room, |out| {
            let status = state.decompress(rest, out, FlushDecompress::None);
            (passed(written, state.total_out()), status)
        });
        let status = status.map_err(|error| {
            let at = src.len() - rest.len();
            FilterError::failed(format!("corrupt data at or after byte {at}: {error}"))
        })?;
        rest = rest
            .get(passed(read, state.total_in())..)
            .unwrap_or_default();
        let produced = dst.len() - start;
        if produced > limit {
            return Err(FilterError::too_large(limit));
        }
        if status == Status::StreamEnd {
            return Ok(Some(rest));
        }
        let full = passed(written, state.total_out()) == room;
        if rest.is_empty() && !full {
            return ends_between_blocks(state, produced).map(|()| None);
        }
        if !full && read == state.total_in() {
            return Err(FilterError::failed("the inflater stands still"));
        }
        step = produced.clamp(STEP.0, STEP.1);
    }
}

/// Tells a stream that was flushed but never ended from one that was cut.
fn ends_between_blocks(state: &mut Decompress, produced: usize) -> Result<(), FilterError> {
    let (read, written) = (state.total_in(), state.total_out());
    let status = state.decompress(&LAST_BLOCK, &mut [0; 8], FlushDecompress::None);
    let whole = passed(read, state.total_in()) == LAST_BLOCK.len() && written == state.total_out();
    if matches!(status, Ok(Status::StreamEnd)) && whole {
        return Ok(());
    }
    Err(FilterError::failed(format!(
        "the data is cut after {produced} unpacked bytes"
    )))
}

/// Lets `write` fill at most `room` bytes behind the end of `dst`; it says how many it filled.
fn with_room<R>(dst: &mut BytesMut, room: usize, write: impl FnOnce(&mut [u8]) -> (usize, R)) -> R {
    let len = dst.len();
    dst.resize(len + room, 0);
    let (filled, result) = write(dst.get_mut(len..).unwrap_or_default());
    dst.truncate(len + filled.min(room));
    result
}

/// How far one of the counters of a zlib state went.
fn passed(before: u64, now: u64) -> usize {
    usize::try_from(now.wrapping_sub(before)).unwrap_or(usize::MAX)
}

fn trailer_of(data: &[u8]) -> [u8; TRAILER] {
    let mut crc = Crc::new();
    crc.update(data);
    let mut trailer = u64::from(crc.amount()) << 32;
    trailer |= u64::from(crc.sum());
    trailer.to_le_bytes()
}

/// Checks what follows the final block; less than a whole trailer counts as a missing one.
fn check_trailer(rest: Option<&[u8]>, data: &[u8]) -> Result<(), FilterError> {
    let Some((trailer, behind)) = rest.and_then(|rest| rest.split_first_chunk::<TRAILER>()) else {
        return Ok(());
    };
    if *trailer != trailer_of(data) {
        return Err(FilterError::failed(format!(
            "the checksum or the length at the end does not fit the {} unpacked bytes",
            data.len()
        )));
    }
    if !behind.is_empty() {
        return Err(FilterError::failed(format!(
            "{} bytes behind the end of the stream",
            behind.len()
        )));
    }
    Ok(())
}

#[cfg(test)]
mod tests;
