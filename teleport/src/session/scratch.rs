//! Buffers that belong to a thread and are lent to whoever works on it.
//!
//! A buffer is out of its thread's store while it is lent, so nested use gets a fresh one. Few
//! and small ones are kept: what an idle thread holds is bounded.

use std::cell::RefCell;

use bytes::BytesMut;

/// How much is read at once.
pub(super) const READ_LEN: usize = 64 * 1024;

/// A packing buffer above this is let go rather than kept.
const KEPT_CAPACITY: usize = 64 * 1024;

/// How many packing buffers a thread keeps.
const KEPT_BUFFERS: usize = 16;

/// How many reply buffers a thread keeps, and how large one may be.
const KEPT_REPLIES: usize = 64;
const KEPT_REPLY_CAPACITY: usize = 4 * 1024;

struct Store {
    read: Option<Box<[u8]>>,
    pack: Vec<BytesMut>,
    replies: Vec<Vec<u8>>,
}

thread_local! {
    static STORE: RefCell<Store> = const {
        RefCell::new(Store {
            read: None,
            pack: Vec::new(),
            replies: Vec::new(),
        })
    };
}

/// Takes a buffer to read into, [`READ_LEN`] long.
pub(super) fn take_read() -> Box<[u8]> {
    STORE
        .with_borrow_mut(|store| store.read.take())
        .unwrap_or_else(|| vec![0; READ_LEN].into_boxed_slice())
}

pub(super) fn give_read(buffer: Box<[u8]>) {
    STORE.with_borrow_mut(|store| store.read = Some(buffer));
}

/// Takes an empty buffer to pack into.
pub(crate) fn take_pack() -> BytesMut {
    STORE
        .with_borrow_mut(|store| store.pack.pop())
        .unwrap_or_default()
}

pub(crate) fn give_pack(mut buffer: BytesMut) {
    // A buffer that was split shares its memory; `clear` keeps what is this one's own.
    buffer.clear();
    if buffer.capacity() == 0 || buffer.capacity() > KEPT_CAPACITY {
        return;
    }
    STORE.with_borrow_mut(|store| {
        if store.pack.len() < KEPT_BUFFERS {
            store.pack.push(buffer);
        }
    });
}

/// Takes an empty buffer for the body of a reply.
pub(super) fn take_reply() -> Vec<u8> {
    STORE
        .with_borrow_mut(|store| store.replies.pop())
        .unwrap_or_default()
}

pub(super) fn give_reply(mut buffer: Vec<u8>) {
    buffer.clear();
    if buffer.capacity() == 0 || buffer.capacity() > KEPT_REPLY_CAPACITY {
        return;
    }
    STORE.with_borrow_mut(|store| {
        if store.replies.len() < KEPT_REPLIES {
            store.replies.push(buffer);
        }
    });
}
