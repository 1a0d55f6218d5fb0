//! A buffer that belongs to a thread, for what has to be written twice: a payload before its
//! filters, a text without its escapes. It is out while it is lent, so nested use gets a fresh one.

use std::cell::RefCell;

use bytes::BytesMut;

/// A buffer above this is let go rather than kept.
const KEPT: usize = 64 << 10;

thread_local! {
    static SPARE: RefCell<BytesMut> = RefCell::new(BytesMut::new());
}

/// Takes an empty buffer.
pub(super) fn take() -> BytesMut {
    SPARE.with_borrow_mut(std::mem::take)
}

/// Gives a buffer back, or up.
pub(super) fn give(mut buffer: BytesMut) {
    buffer.clear();
    if buffer.capacity() == 0 || buffer.capacity() > KEPT {
        return;
    }
    // A thread that ends has no place for it any more.
    let _ = SPARE.try_with(|spare| {
        if let Ok(mut spare) = spare.try_borrow_mut()
            && spare.capacity() < buffer.capacity()
        {
            *spare = buffer;
        }
    });
}
