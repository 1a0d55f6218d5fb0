//! The system's allocator with a counter before it.

use std::alloc::{GlobalAlloc, Layout, System};
use std::hint::black_box;
use std::sync::atomic::{AtomicU64, Ordering};

use prost::Message;
use teleport_benches::BenchmarkMessage;

struct Counting;

static ALLOCATIONS: AtomicU64 = AtomicU64::new(0);

#[global_allocator]
static COUNTING: Counting = Counting;

// SAFETY: all is handed to the system's allocator as it came.
unsafe impl GlobalAlloc for Counting {
    unsafe fn alloc(&self, layout: Layout) -> *mut u8 {
        ALLOCATIONS.fetch_add(1, Ordering::Relaxed);
        // SAFETY: the caller keeps the rules of `alloc`.
        unsafe { System.alloc(layout) }
    }

    unsafe fn dealloc(&self, place: *mut u8, layout: Layout) {
        // SAFETY: the caller keeps the rules of `dealloc`.
        unsafe { System.dealloc(place, layout) }
    }

    unsafe fn alloc_zeroed(&self, layout: Layout) -> *mut u8 {
        ALLOCATIONS.fetch_add(1, Ordering::Relaxed);
        // SAFETY: the caller keeps the rules of `alloc_zeroed`.
        unsafe { System.alloc_zeroed(layout) }
    }

    unsafe fn realloc(&self, place: *mut u8, layout: Layout, size: usize) -> *mut u8 {
        ALLOCATIONS.fetch_add(1, Ordering::Relaxed);
        // SAFETY: the caller keeps the rules of `realloc`.
        unsafe { System.realloc(place, layout, size) }
    }
}

/// The allocations of this process so far, counting those that move.
pub fn allocations() -> u64 {
    ALLOCATIONS.load(Ordering::Relaxed)
}

/// What decoding and encoding the message costs by itself, on either side of a call.
pub fn of_codec() -> u64 {
    let bytes = BenchmarkMessage::filled().encode_to_vec();
    let mut room = Vec::with_capacity(bytes.len());
    let before = allocations();
    if let Ok(message) = BenchmarkMessage::decode(&*bytes) {
        // There is room, and so this cannot fail.
        let _ = black_box(message.answered()).encode(&mut room);
    }
    let after = allocations();
    black_box(room);
    after - before
}
