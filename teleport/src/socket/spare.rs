//! Buffers that a thread keeps for whichever socket reads or writes next, so that an idle socket
//! holds none.

use std::cell::RefCell;

use bytes::BytesMut;

/// The size of a spare buffer: what the first read of a frame, or a batch of frames, may fill.
pub(super) const SPARE: usize = 64 << 10;

/// More than a reader and a writer at work at once on one thread have no use for.
const KEPT: usize = 4;

thread_local! {
    static SPARES: RefCell<Vec<BytesMut>> = const { RefCell::new(Vec::new()) };
}

/// Gives an empty buffer of [`SPARE`] bytes.
pub(super) fn take() -> BytesMut {
    // While a thread ends its spares may be gone already.
    let kept = SPARES.try_with(|spares| spares.try_borrow_mut().ok()?.pop());
    kept.ok()
        .flatten()
        .unwrap_or_else(|| BytesMut::with_capacity(SPARE))
}

/// Takes a buffer back that is not needed any more. It is kept when it is of the right size and
/// nobody else holds a part of it.
pub(super) fn give(mut buf: BytesMut) {
    buf.clear();
    if !buf.try_reclaim(SPARE) || buf.capacity() > SPARE {
        return;
    }
    let _ = SPARES.try_with(|spares| {
        if let Ok(mut spares) = spares.try_borrow_mut()
            && spares.len() < KEPT
        {
            spares.push(buf);
        }
    });
}

#[cfg(test)]
mod tests {
    use super::*;
    use bytes::Buf;

    #[test]
    fn a_buffer_comes_back_whole_and_only_when_nobody_holds_a_part() {
        let mut buf = take();
        buf.extend_from_slice(&[1; 100]);
        let place = buf.as_ptr();
        let part = buf.split_to(10).freeze();
        give(buf);
        let mut other = take();
        assert_ne!(other.as_ptr(), place);
        drop(part);

        other.extend_from_slice(&[1; 100]);
        let place = other.as_ptr();
        other.advance(60);
        give(other);
        let again = take();
        assert_eq!(
            (again.as_ptr(), again.len(), again.capacity()),
            (place, 0, SPARE)
        );

        give(BytesMut::with_capacity(2 * SPARE));
        give(BytesMut::with_capacity(SPARE / 2));
        assert_eq!(take().capacity(), SPARE);
    }
}
