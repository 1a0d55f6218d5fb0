use std::mem;

use bytes::BytesMut;

use super::{FilterError, FilterErrorKind, Filters, XferFilter};

/// The number of filters that the one length byte on the wire can say.
const MAX_FILTERS: usize = 255;

/// What one stage may produce when the message limit is off: a small frame cannot become more
/// than this ...
const UNLIMITED_FLOOR: usize = 64 << 20;
/// ... and a large one not more than so many times its size.
const UNLIMITED_RATIO: usize = 100;

/// All stages of a pipe together may read and write so many times what one may produce. Without
/// it 255 filters over a frame of the full size would cost seconds of work each.
const WORK_RATIO: usize = 16;
/// The least bound on that work, so that a small limit does not forbid a long pipe over little.
const WORK_FLOOR: usize = 4 << 20;

/// Scratch buffers above this size are given back instead of kept for the next message.
pub(crate) const KEEP: usize = 64 << 10;

/// The filters a message goes through, outermost first.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct XferPipe {
    ids: Vec<u8>,
}

impl XferPipe {
    /// Creates an empty pipe.
    #[must_use]
    pub const fn new() -> Self {
        Self { ids: Vec::new() }
    }

    /// Creates a pipe of these filters, outermost first.
    ///
    /// # Errors
    ///
    /// Fails when there are more than 255.
    pub fn from_ids(ids: &[u8]) -> Result<Self, FilterError> {
        let mut pipe = Self::new();
        pipe.append(ids)?;
        Ok(pipe)
    }

    /// A pipe as received: its length comes from one byte, so it needs no check.
    pub(crate) fn from_wire(ids: &[u8]) -> Self {
        Self { ids: ids.to_vec() }
    }

    /// Adds filters at the inner end.
    ///
    /// # Errors
    ///
    /// Fails, and adds none, when the pipe would have more than 255.
    pub fn append(&mut self, ids: &[u8]) -> Result<(), FilterError> {
        let len = self.ids.len() + ids.len();
        if len > MAX_FILTERS {
            return Err(too_many(len, MAX_FILTERS));
        }
        self.ids.extend_from_slice(ids);
        Ok(())
    }

    /// Adds the filters of another pipe at the inner end.
    ///
    /// # Errors
    ///
    /// Fails, and adds none, when the pipe would have more than 255.
    pub fn append_from(&mut self, other: &Self) -> Result<(), FilterError> {
        self.append(&other.ids)
    }

    /// The ids, outermost first.
    #[must_use]
    pub fn ids(&self) -> &[u8] {
        &self.ids
    }

    /// Returns the number of filters.
    #[must_use]
    pub fn len(&self) -> usize {
        self.ids.len()
    }

    /// Returns whether there is no filter.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.ids.is_empty()
    }

    /// Returns the names of the filters, outermost first.
    ///
    /// # Errors
    ///
    /// Fails when an id is not registered.
    pub fn names<'f>(&self, filters: &'f Filters) -> Result<Vec<&'f str>, FilterError> {
        self.ids
            .iter()
            .map(|&id| filters.find(id).map(|filter| filter.name()))
            .collect()
    }

    /// Shows each filter with its place to `visit`, outermost first, until that returns false.
    ///
    /// # Errors
    ///
    /// Fails when an id that is come to is not registered.
    pub fn range(
        &self,
        filters: &Filters,
        mut visit: impl FnMut(usize, &dyn XferFilter) -> bool,
    ) -> Result<(), FilterError> {
        for (index, &id) in self.ids.iter().enumerate() {
            if !visit(index, &**filters.find(id)?) {
                break;
            }
        }
        Ok(())
    }

    /// Takes all filters out.
    pub fn reset(&mut self) {
        self.ids.clear();
    }

    /// Runs `src` through the filters, from the last to the first.
    ///
    /// # Errors
    ///
    /// Fails when an id is not registered, or a filter fails.
    pub fn on_pack(&self, filters: &Filters, src: &[u8]) -> Result<BytesMut, FilterError> {
        let mut dst = BytesMut::new();
        pack_through(filters, &self.ids, src, &mut dst, &mut Scratch::default())?;
        Ok(dst)
    }

    /// Undoes [`on_pack`](Self::on_pack): runs `src` through the filters from the first to the
    /// last. No filter may produce more than `limit` bytes; with a limit of 0 the bound is 64 MiB
    /// or 100 times its input, whichever is more.
    ///
    /// # Errors
    ///
    /// Fails when an id is not registered, a filter fails, or the bounds are passed.
    pub fn on_unpack(
        &self,
        filters: &Filters,
        src: &[u8],
        limit: usize,
    ) -> Result<BytesMut, FilterError> {
        let mut scratch = Scratch::default();
        if self.is_empty() {
            return Ok(BytesMut::from(src));
        }
        unpack_through(filters, &self.ids, src, limit, &mut scratch)?;
        Ok(scratch.front)
    }
}

#[cold]
pub(crate) fn too_many(len: usize, limit: usize) -> FilterError {
    FilterError::new(
        FilterErrorKind::TooMany,
        format!("too many transfer filters: {len}, the limit is {limit}"),
    )
}

/// The two buffers that the stages of a pipe write to in turn, kept between messages.
#[derive(Debug, Default)]
pub(crate) struct Scratch {
    front: BytesMut,
    back: BytesMut,
}

impl Scratch {
    /// Forgets what is in the buffers, and gives large ones back.
    pub(crate) fn recycle(&mut self) {
        recycle(&mut self.front);
        recycle(&mut self.back);
    }

    /// Gives the buffers back, whatever their size.
    pub(crate) fn release(&mut self) {
        *self = Self::default();
    }
}

/// Empties a buffer, and gives it back when it is large.
pub(crate) fn recycle(buf: &mut BytesMut) {
    if buf.capacity() > KEEP {
        *buf = BytesMut::new();
    } else {
        buf.clear();
    }
}

/// Appends to `dst` what the filters `ids` make of `src`, the last one first.
///
/// What a failing filter has appended stays in `dst`: the caller cuts it off.
pub(crate) fn pack_through(
    filters: &Filters,
    ids: &[u8],
    src: &[u8],
    dst: &mut BytesMut,
    scratch: &mut Scratch,
) -> Result<(), FilterError> {
    let Some((&outermost, inner)) = ids.split_first() else {
        dst.extend_from_slice(src);
        return Ok(());
    };
    for &id in ids {
        filters.find(id)?;
    }
    let Scratch { front, back } = scratch;
    let mut first = true;
    for &id in inner.iter().rev() {
        back.clear();
        let input = if mem::take(&mut first) {
            src
        } else {
            &front[..]
        };
        run(filters, id, |filter| filter.on_pack(input, back))?;
        mem::swap(front, back);
    }
    let input = if first { src } else { &front[..] };
    run(filters, outermost, |filter| filter.on_pack(input, dst))
}

/// Runs `src` through the filters `ids`, the first one first. The result lies in the scratch.
///
/// `limit` is the message limit, 0 for none.
pub(crate) fn unpack_through<'s>(
    filters: &Filters,
    ids: &[u8],
    src: &[u8],
    limit: usize,
    scratch: &'s mut Scratch,
) -> Result<&'s [u8], FilterError> {
    for &id in ids {
        filters.find(id)?;
    }
    let Scratch { front, back } = scratch;
    let mut work = stage_limit(limit, src.len())
        .saturating_mul(WORK_RATIO)
        .max(WORK_FLOOR);
    let mut first = true;
    for &id in ids {
        back.clear();
        let input = if mem::take(&mut first) {
            src
        } else {
            &front[..]
        };
        let room = work.checked_sub(input.len()).ok_or_else(too_much_work)?;
        let bound = stage_limit(limit, input.len());
        run(filters, id, |filter| {
            filter.on_unpack(input, back, bound.min(room))
        })?;
        // A filter of the user's own may not keep to the bound it was given.
        if back.len() > bound {
            return run(filters, id, |_| Err(FilterError::too_large(bound))).map(|()| &[][..]);
        }
        work = room.checked_sub(back.len()).ok_or_else(too_much_work)?;
        mem::swap(front, back);
    }
    Ok(front)
}

/// Runs one stage, and says in an error which filter it was.
fn run(
    filters: &Filters,
    id: u8,
    stage: impl FnOnce(&dyn XferFilter) -> Result<(), FilterError>,
) -> Result<(), FilterError> {
    let filter = &**filters.find(id)?;
    stage(filter).map_err(|error| error.by(filter.name(), id))
}

fn stage_limit(limit: usize, input: usize) -> usize {
    match limit {
        0 => input.saturating_mul(UNLIMITED_RATIO).max(UNLIMITED_FLOOR),
        limit => limit,
    }
}

#[cold]
fn too_much_work() -> FilterError {
    FilterError::new(
        FilterErrorKind::TooLarge,
        "the transfer filters would handle more bytes in all than the limit allows",
    )
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, clippy::indexing_slicing, reason = "tests")]

    use super::*;

    /// Appends its id on packing, wants it back on unpacking.
    struct Stamp(u8);

    impl XferFilter for Stamp {
        fn id(&self) -> u8 {
            self.0
        }

        fn name(&self) -> &str {
            if self.0 == 1 { "one" } else { "two" }
        }

        fn on_pack(&self, src: &[u8], dst: &mut BytesMut) -> Result<(), FilterError> {
            dst.extend_from_slice(src);
            dst.extend_from_slice(&[self.0]);
            Ok(())
        }

        fn on_unpack(&self, src: &[u8], dst: &mut BytesMut, _: usize) -> Result<(), FilterError> {
            match src.split_last() {
                Some((&last, rest)) if last == self.0 => {
                    dst.extend_from_slice(rest);
                    Ok(())
                }
                _ => Err(FilterError::failed("no stamp")),
            }
        }
    }

    fn stamps() -> Filters {
        let mut filters = Filters::empty();
        filters.register(Stamp(1)).unwrap();
        filters.register(Stamp(2)).unwrap();
        filters
    }

    #[test]
    fn packing_runs_from_the_last_id_to_the_first() {
        let pipe = XferPipe::from_ids(&[1, 2, 2]).unwrap();
        let packed = pipe.on_pack(&stamps(), b"x").unwrap();
        assert_eq!(&packed[..], b"x\x02\x02\x01");
        assert_eq!(&pipe.on_unpack(&stamps(), &packed, 10).unwrap()[..], b"x");
        assert_eq!(pipe.names(&stamps()).unwrap(), ["one", "two", "two"]);
    }

    #[test]
    fn a_failing_stage_is_named() {
        let pipe = XferPipe::from_ids(&[1, 2]).unwrap();
        let error = pipe.on_unpack(&stamps(), b"x\x01", 10).unwrap_err();
        assert_eq!(error.kind(), FilterErrorKind::Failed);
        assert_eq!(error.to_string(), "transfer filter two (id 2): no stamp");
    }

    #[test]
    fn unknown_ids_are_refused() {
        let pipe = XferPipe::from_ids(&[1, 9]).unwrap();
        assert_eq!(
            pipe.on_pack(&stamps(), b"x").unwrap_err().kind(),
            FilterErrorKind::Unknown
        );
        let error = pipe.on_unpack(&stamps(), b"x", 0).unwrap_err();
        assert_eq!(error.to_string(), "unsupported transfer filter id: 9");
        assert!(pipe.names(&stamps()).is_err());
    }

    #[test]
    fn a_pipe_holds_255_filters_and_no_more() {
        let mut pipe = XferPipe::from_ids(&[1; 255]).unwrap();
        let error = pipe.append(&[1]).unwrap_err();
        assert_eq!(
            error.to_string(),
            "too many transfer filters: 256, the limit is 255"
        );
        assert_eq!(pipe.len(), 255);
        let other = pipe.clone();
        assert!(pipe.append_from(&other).is_err());
        pipe.reset();
        pipe.append_from(&other).unwrap();
        assert_eq!(pipe.len(), 255);
    }

    #[test]
    fn a_filter_that_ignores_its_bound_is_caught() {
        let pipe = XferPipe::from_ids(&[1]).unwrap();
        let error = pipe.on_unpack(&stamps(), b"abcdef\x01", 5).unwrap_err();
        assert_eq!(error.kind(), FilterErrorKind::TooLarge);
    }

    #[test]
    fn the_work_of_all_stages_is_bounded() {
        let big = vec![1; 6 << 20];
        let pipe = XferPipe::from_ids(&[1; 40]).unwrap();
        let error = pipe.on_unpack(&stamps(), &big, 6 << 20).unwrap_err();
        assert_eq!(error.kind(), FilterErrorKind::TooLarge);
    }

    #[test]
    fn taken_ids_and_names_are_refused() {
        let error = stamps().register(Stamp(2)).unwrap_err();
        assert_eq!(error.kind(), FilterErrorKind::Taken);
        assert_eq!(
            error.to_string(),
            "transfer filter two (id 2) cannot be registered beside two (id 2)"
        );
    }

    #[test]
    fn range_stops_when_told() {
        let pipe = XferPipe::from_ids(&[1, 2, 9]).unwrap();
        let mut seen = Vec::new();
        pipe.range(&stamps(), |index, filter| {
            seen.push((index, filter.id()));
            index < 1
        })
        .unwrap();
        assert_eq!(seen, [(0, 1), (1, 2)]);
    }
}
