//! Compression states, kept by each thread for the next message: one of them takes a quarter of a
//! megabyte, and setting it up costs more than a small message does.

use std::cell::RefCell;

use flate2::{Compress, Compression, Decompress};

/// How many deflaters a thread keeps: one for each of the levels used last.
const DEFLATERS: usize = 2;

#[derive(Default)]
struct Pool {
    deflaters: Vec<(u8, Compress)>,
    inflater: Option<Decompress>,
}

thread_local! {
    static POOL: RefCell<Pool> = RefCell::default();
}

/// Runs `f` on the pool of this thread; not while the thread ends, or inside another run.
fn with<R>(f: impl FnOnce(&mut Pool) -> R) -> Option<R> {
    POOL.try_with(|pool| pool.try_borrow_mut().ok().map(|mut pool| f(&mut pool)))
        .ok()
        .flatten()
}

/// A deflater at the start of a stream. One that is not given back, as after an error or a panic,
/// is simply dropped.
pub(super) fn deflater(level: u8) -> Compress {
    let kept = with(|pool| {
        let at = pool.deflaters.iter().position(|(of, _)| *of == level)?;
        Some(pool.deflaters.remove(at).1)
    });
    match kept.flatten() {
        Some(mut state) => {
            state.reset();
            state
        }
        None => Compress::new(Compression::new(u32::from(level)), false),
    }
}

pub(super) fn keep_deflater(level: u8, state: Compress) {
    with(|pool| {
        if pool.deflaters.len() == DEFLATERS {
            pool.deflaters.remove(0);
        }
        pool.deflaters.push((level, state));
    });
}

/// An inflater at the start of a stream.
pub(super) fn inflater() -> Decompress {
    match with(|pool| pool.inflater.take()).flatten() {
        Some(mut state) => {
            state.reset(false);
            state
        }
        None => Decompress::new(false),
    }
}

pub(super) fn keep_inflater(state: Decompress) {
    with(|pool| pool.inflater = Some(state));
}
