//! The batch of replies that a read loop packs while it works through one read.
//!
//! It is a thread's, set for as long as the loop runs handlers, so that a reply made in place
//! finds it from wherever it is made. It is taken out while somebody packs into it: a body that
//! sends something itself while it is being encoded goes by the queue.

use std::cell::Cell;

use bytes::BytesMut;

use super::scratch;

struct Batch {
    session: u64,
    buffer: BytesMut,
}

thread_local! {
    static BATCH: Cell<Option<Batch>> = const { Cell::new(None) };
}

/// Makes this thread collect the replies of a session, until [`Open::finish`].
pub(super) fn open(session: u64) -> Open {
    let buffer = scratch::take_pack();
    let outer = BATCH.replace(Some(Batch { session, buffer }));
    Open { outer }
}

/// A batch that is being collected. Dropped by a panic it is lost.
pub(super) struct Open {
    outer: Option<Batch>,
}

impl Drop for Open {
    fn drop(&mut self) {
        BATCH.set(self.outer.take());
    }
}

impl Open {
    /// Ends the collecting and hands over what there is.
    pub(super) fn finish(self) -> BytesMut {
        BATCH.take().map(|batch| batch.buffer).unwrap_or_default()
    }
}

/// Lends the batch of this session, if this thread is collecting for it.
///
/// When `work` panics the batch is put back; it is up to `work` to leave whole frames in it.
pub(super) fn with<R>(session: u64, work: impl FnOnce(&mut BytesMut) -> R) -> Option<R> {
    let mut lent = Lent(BATCH.take());
    match &mut lent.0 {
        Some(batch) if batch.session == session => Some(work(&mut batch.buffer)),
        _ => None,
    }
}

/// A batch that is out; it goes back when it is dropped.
struct Lent(Option<Batch>);

impl Drop for Lent {
    fn drop(&mut self) {
        if let Some(batch) = self.0.take() {
            BATCH.set(Some(batch));
        }
    }
}
