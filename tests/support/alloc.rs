//! An allocator that counts, for one test binary of its own.
#![allow(
    unsafe_code,
    reason = "an allocator cannot be written without; it only counts and passes on"
)]

use std::alloc::{GlobalAlloc, Layout, System};
use std::cell::Cell;
use std::sync::atomic::{AtomicU64, AtomicUsize, Ordering};

const SLOTS: usize = 4;

static COUNTS: [AtomicU64; SLOTS] = [const { AtomicU64::new(0) }; SLOTS];

/// The bytes that are allocated now.
static LIVE: AtomicUsize = AtomicUsize::new(0);

thread_local! {
    static SLOT: Cell<usize> = const { Cell::new(0) };
}

/// Counts the allocations of each thread in the slot that the thread picked, 0 at first.
#[derive(Debug)]
pub struct CountingAlloc;

/// Makes the allocations of this thread count in a slot, below 4.
pub fn count_here_in(slot: usize) {
    assert!(slot < SLOTS);
    SLOT.set(slot);
}

/// The allocations so far of the threads that count in a slot. A growing of something counts as
/// one.
pub fn count(slot: usize) -> u64 {
    COUNTS[slot].load(Ordering::SeqCst)
}

/// The bytes that are allocated now, by all threads.
pub fn live() -> usize {
    LIVE.load(Ordering::SeqCst)
}

fn note() {
    // A thread that ends has no slot any more; what it does then counts for nobody.
    if let Ok(slot) = SLOT.try_with(Cell::get) {
        COUNTS[slot].fetch_add(1, Ordering::SeqCst);
    }
}

// SAFETY: every call goes to the system's allocator as it came.
unsafe impl GlobalAlloc for CountingAlloc {
    unsafe fn alloc(&self, layout: Layout) -> *mut u8 {
        note();
        LIVE.fetch_add(layout.size(), Ordering::Relaxed);
        // SAFETY: the caller's promise is passed on.
        unsafe { System.alloc(layout) }
    }

    unsafe fn alloc_zeroed(&self, layout: Layout) -> *mut u8 {
        note();
        LIVE.fetch_add(layout.size(), Ordering::Relaxed);
        // SAFETY: the caller's promise is passed on.
        unsafe { System.alloc_zeroed(layout) }
    }

    unsafe fn realloc(&self, ptr: *mut u8, layout: Layout, new_size: usize) -> *mut u8 {
        note();
        LIVE.fetch_add(new_size, Ordering::Relaxed);
        LIVE.fetch_sub(layout.size(), Ordering::Relaxed);
        // SAFETY: the caller's promise is passed on.
        unsafe { System.realloc(ptr, layout, new_size) }
    }

    unsafe fn dealloc(&self, ptr: *mut u8, layout: Layout) {
        LIVE.fetch_sub(layout.size(), Ordering::Relaxed);
        // SAFETY: the caller's promise is passed on.
        unsafe { System.dealloc(ptr, layout) }
    }
}
