//! What is there now, and what came lately.

use std::sync::atomic::{AtomicBool, AtomicU64, AtomicUsize, Ordering};
use std::sync::{Arc, OnceLock};
use std::time::Duration;

use tokio::time::Instant;

use super::load::Limits;

/// Counts for one source, or for all.
#[derive(Debug, Default)]
pub(super) struct Meter {
    sessions: AtomicUsize,
    running: AtomicUsize,
    /// The time, in nanoseconds, at which the rate has nothing left to make up for: it moves on
    /// by an even part of a second with each message, and is at most a burst ahead of the clock.
    due: AtomicU64,
    /// When the clock of this meter began.
    start: OnceLock<Instant>,
}

/// Why a message is not taken.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Refusal {
    /// It came too soon, by so much.
    Rate(Duration),
    Running,
}

impl Meter {
    /// The sessions and the running messages.
    pub(super) fn counts(&self) -> (usize, usize) {
        (
            self.sessions.load(Ordering::SeqCst),
            self.running.load(Ordering::SeqCst),
        )
    }

    /// Whether nothing would be forgotten with it.
    pub(super) fn is_idle(&self) -> bool {
        self.counts() == (0, 0) && self.due.load(Ordering::SeqCst) <= self.now()
    }

    /// Begins a rate anew: nothing is left to make up for.
    pub(super) fn forgive(&self) {
        self.due.store(0, Ordering::SeqCst);
    }

    /// Nanoseconds of the clock that never jumps, since somebody first asked.
    fn now(&self) -> u64 {
        let now = Instant::now();
        let start = *self.start.get_or_init(|| now);
        let since = now.saturating_duration_since(start);
        u64::try_from(since.as_nanos()).unwrap_or(u64::MAX)
    }

    /// Takes a message by its rate.
    fn pass(&self, per_second: u32, burst: u32, now: u64) -> Result<(), Refusal> {
        let part = (1_000_000_000 / u64::from(per_second.max(1))).max(1);
        let ahead = part.saturating_mul(u64::from(burst.max(1)) - 1);
        let latest = now.saturating_add(ahead);
        let passed = self
            .due
            .fetch_update(Ordering::SeqCst, Ordering::SeqCst, |due| {
                (due <= latest).then(|| due.max(now).saturating_add(part))
            });
        match passed {
            Ok(_) => Ok(()),
            Err(due) => Err(Refusal::Rate(Duration::from_nanos(due - latest))),
        }
    }
}

/// Counts one more, unless there are as many as may be.
fn count(counter: &AtomicUsize, most: usize) -> bool {
    let counted = counter.fetch_update(Ordering::SeqCst, Ordering::SeqCst, |count| {
        (count < most).then_some(count + 1)
    });
    counted.is_ok()
}

/// Counts a running message, in at most two places, as long as it lives.
#[derive(Debug, Default)]
pub(super) struct Permit(Vec<Arc<Meter>>);

impl Permit {
    pub(super) fn take(&mut self, meter: Arc<Meter>, limits: &Limits) -> Result<(), Refusal> {
        let running = limits.running();
        if let Some(most) = running
            && !count(&meter.running, most)
        {
            return Err(Refusal::Running);
        }
        let passed = match limits.rate() {
            Some((calls, burst)) => meter.pass(calls, burst, meter.now()),
            None => Ok(()),
        };
        if running.is_some() {
            self.0.push(meter);
        }
        passed
    }

    /// Whether there is nothing to count.
    pub(super) fn is_empty(&self) -> bool {
        self.0.is_empty()
    }
}

impl Drop for Permit {
    fn drop(&mut self) {
        for meter in &self.0 {
            meter.running.fetch_sub(1, Ordering::SeqCst);
        }
    }
}

/// Counts a session, until it is gone or nobody knows it any more.
#[derive(Debug, Default)]
pub(super) struct Seat {
    meters: Vec<Arc<Meter>>,
    left: AtomicBool,
}

impl Seat {
    pub(super) fn take(&mut self, meter: Arc<Meter>, limits: &Limits) -> bool {
        let Some(most) = limits.sessions() else {
            return true;
        };
        let counted = count(&meter.sessions, most);
        if counted {
            self.meters.push(meter);
        }
        counted
    }

    /// Counts the session no longer.
    pub(super) fn leave(&self) {
        if !self.left.swap(true, Ordering::SeqCst) {
            for meter in &self.meters {
                meter.sessions.fetch_sub(1, Ordering::SeqCst);
            }
        }
    }
}

impl Drop for Seat {
    fn drop(&mut self) {
        self.leave();
    }
}

#[cfg(test)]
mod tests {
    use super::super::Load;
    use super::*;

    const SECOND: u64 = 1_000_000_000;

    #[test]
    fn a_rate_takes_a_burst_and_then_one_each_part_of_a_second() {
        let meter = Meter::default();
        let start = 5 * SECOND;
        for _ in 0..3 {
            assert_eq!(meter.pass(10, 3, start), Ok(()));
        }
        let tenth = Duration::from_millis(100);
        assert_eq!(meter.pass(10, 3, start), Err(Refusal::Rate(tenth)));
        // What is refused takes nothing.
        assert_eq!(meter.pass(10, 3, start), Err(Refusal::Rate(tenth)));
        let half = start + SECOND / 20;
        assert_eq!(meter.pass(10, 3, half), Err(Refusal::Rate(tenth / 2)));
        assert_eq!(meter.pass(10, 3, start + SECOND / 10), Ok(()));
        assert!(meter.pass(10, 3, start + SECOND / 10).is_err());
        // After a long silence there is one burst, and no more.
        let later = start + 100 * SECOND;
        for _ in 0..3 {
            assert_eq!(meter.pass(10, 3, later), Ok(()));
        }
        assert!(meter.pass(10, 3, later).is_err());
    }

    #[test]
    fn rates_hold_over_any_time_and_at_any_extreme() {
        for (per_second, burst) in [(1, 1), (3, 1), (7, 20), (1000, 1), (999_983, 5)] {
            let meter = Meter::default();
            let mut taken = 0_u64;
            // In steps that are no part of a second.
            for step in 0..10_000_u64 {
                let now = SECOND + step * 1_000_003;
                taken += u64::from(meter.pass(per_second, burst, now).is_ok());
            }
            let most = u64::from(per_second) * 10 + u64::from(burst) + 1;
            assert!(taken <= most && taken > 0, "{per_second}: {taken}");
        }
        let meter = Meter::default();
        for (per_second, burst, now) in [
            (u32::MAX, u32::MAX, u64::MAX),
            (1, u32::MAX, u64::MAX),
            (u32::MAX, 1, 0),
            (0, 0, 0),
        ] {
            let _ = meter.pass(per_second, burst, now);
        }
    }

    #[test]
    fn a_rate_that_is_changed_counts_at_once() {
        let meter = Meter::default();
        let start = 5 * SECOND;
        // An hour's worth of a slow rate, all at once.
        for _ in 0..3600 {
            assert_eq!(meter.pass(1, 3600, start), Ok(()));
        }
        let second = Duration::from_secs(1);
        assert_eq!(meter.pass(1, 3600, start), Err(Refusal::Rate(second)));
        // With a faster one nothing of it is left to make up for.
        meter.forgive();
        assert_eq!(meter.pass(1000, 1, start), Ok(()));
        let milli = Duration::from_millis(1);
        assert_eq!(meter.pass(1000, 1, start), Err(Refusal::Rate(milli)));
        assert_eq!(meter.pass(1000, 1, start + SECOND / 1000), Ok(()));
    }

    fn limits(load: &Load) -> Limits {
        let limits = Limits::default();
        limits.set(load);
        assert_eq!(&limits.load(), load);
        limits
    }

    #[test]
    fn limits_are_kept_to_the_last_digit() {
        for load in [
            Load::new(),
            Load::new().sessions(usize::MAX).running(usize::MAX),
            Load::new().per_second(u32::MAX).burst(u32::MAX),
            Load::new().per_second(1).burst(u32::MAX),
        ] {
            limits(&load);
        }
    }

    #[test]
    fn what_is_counted_is_given_back_however_it_ends() {
        let meter = Arc::new(Meter::default());
        let load = limits(&Load::new().running(2).sessions(1).per_second(1).burst(1));
        let mut permit = Permit::default();
        assert_eq!(permit.take(Arc::clone(&meter), &load), Ok(()));
        // Refused by its rate, it does not stay counted as running.
        let mut second = Permit::default();
        assert!(matches!(
            second.take(Arc::clone(&meter), &load),
            Err(Refusal::Rate(_))
        ));
        drop(second);
        assert_eq!(meter.counts(), (0, 1));
        drop(permit);
        let mut seat = Seat::default();
        assert!(seat.take(Arc::clone(&meter), &load));
        assert!(!Seat::default().take(Arc::clone(&meter), &load));
        seat.leave();
        drop(seat);
        assert_eq!(meter.counts(), (0, 0));
    }
}
