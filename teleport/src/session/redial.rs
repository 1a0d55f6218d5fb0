//! How often and when a session dials again: plain data, and the pauses that follow from it.

use std::hash::{BuildHasher, RandomState};
use std::time::Duration;

use serde::Deserialize;
use tokio::time::Instant;

use crate::peer::PeerConfig;

/// How the pauses between two attempts are chosen.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "lowercase")]
#[non_exhaustive]
pub enum Backoff {
    /// A time drawn evenly between zero and a bound, so that clients that lost one server at one
    /// moment do not come back at one moment. The bound of the first attempt is four times the
    /// interval; it doubles with each attempt, up to the longest interval.
    #[default]
    Jittered,
    /// The interval itself, each time, as in the original.
    Fixed,
}

/// How a dialled session dials again after its connection was lost; see
/// [`Dial::redial`](crate::peer::Dial::redial).
///
/// # Examples
///
/// ```
/// use std::time::Duration;
/// use teleport::session::{Backoff, Redial};
///
/// let patient = Redial::forever().max_interval(Duration::from_secs(5));
/// let as_in_the_original = Redial::times(3).backoff(Backoff::Fixed);
/// assert_eq!((patient.times, as_in_the_original.times), (-1, 3));
/// ```
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct Redial {
    /// How often to try: 0 never, below 0 without end. The count starts again after a connection
    /// that was stable. Default: 0.
    pub times: i32,
    /// How the pauses are chosen. Default: [`Backoff::Jittered`].
    pub backoff: Backoff,
    /// What the pauses are made of. Default: 100 ms, as in the original. A longer one is gentler
    /// to a server that comes back, and finds it later.
    pub interval: Duration,
    /// The bound of jittered pauses. Default: 30 s.
    pub max_interval: Duration,
    /// How long a connection must have lasted for the count and the pauses to start again. Default:
    /// 10 s. They also do when the other end says that it is going away, as one that shuts down or
    /// reboots: that is no failure, unless it goes on more than once a second. So a server that accepts and drops at once is not dialled in a hot loop.
    pub stable_after: Duration,
    /// How long one attempt may take to open a stream, where dialling has no limit of its own
    /// ([`Dial::timeout`](crate::peer::Dial::timeout)). Default: 10 s; zero: no limit, and an attempt
    /// that hangs is the last. What plugins take afterwards has that of `handshake_timeout`.
    pub attempt_timeout: Duration,
    /// How many calls and pushes may wait for the next connection; their bodies together may take
    /// the peer's `queue_limit`. More are refused with [`Busy`](crate::ErrorKind::Busy). Default:
    /// 1024.
    pub max_waiting: usize,
    seed: Option<u64>,
}

impl Redial {
    /// Never dials again.
    #[must_use]
    pub const fn never() -> Self {
        Self::times(0)
    }

    /// Tries so many times; without end, if it is below 0.
    #[must_use]
    pub const fn times(times: i32) -> Self {
        Self {
            times,
            backoff: Backoff::Jittered,
            interval: Duration::from_millis(100),
            max_interval: Duration::from_secs(30),
            stable_after: Duration::from_secs(10),
            attempt_timeout: Duration::from_secs(10),
            max_waiting: 1024,
            seed: None,
        }
    }

    /// Tries without end.
    #[must_use]
    pub const fn forever() -> Self {
        Self::times(-1)
    }

    /// What the configuration of a peer says.
    #[must_use]
    pub fn of(config: &PeerConfig) -> Self {
        Self {
            backoff: config.redial_backoff,
            interval: config.redial_interval,
            max_interval: config.redial_max_interval,
            stable_after: config.redial_stable_after,
            attempt_timeout: config.redial_attempt_timeout,
            max_waiting: config.redial_max_waiting,
            ..Self::times(config.redial_times)
        }
    }

    /// Sets how the pauses are chosen.
    #[must_use]
    pub const fn backoff(mut self, backoff: Backoff) -> Self {
        self.backoff = backoff;
        self
    }

    /// Sets what the pauses are made of.
    #[must_use]
    pub const fn interval(mut self, interval: Duration) -> Self {
        self.interval = interval;
        self
    }

    /// Sets the bound of jittered pauses.
    #[must_use]
    pub const fn max_interval(mut self, longest: Duration) -> Self {
        self.max_interval = longest;
        self
    }

    /// Sets how long a connection must have lasted for the count and the pauses to start again.
    #[must_use]
    pub const fn stable_after(mut self, stable: Duration) -> Self {
        self.stable_after = stable;
        self
    }

    /// Sets how long one attempt may take to open a stream.
    #[must_use]
    pub const fn attempt_timeout(mut self, longest: Duration) -> Self {
        self.attempt_timeout = longest;
        self
    }

    /// Sets how many calls and pushes may wait for the next connection.
    #[must_use]
    pub const fn max_waiting(mut self, waiting: usize) -> Self {
        self.max_waiting = waiting;
        self
    }

    /// Draws the pauses from a seed, for tests: the same ones each time.
    #[must_use]
    pub const fn seed(mut self, seed: u64) -> Self {
        self.seed = Some(seed);
        self
    }

    /// Whether so many attempts are too many.
    pub(super) fn is_over(&self, attempts: u32) -> bool {
        u32::try_from(self.times).is_ok_and(|times| attempts >= times)
    }
}

/// The first bound of jittered pauses, in intervals.
const FIRST_BOUND: u32 = 4;

/// Shorter intervals than this would be a hot loop.
const SHORTEST: Duration = Duration::from_millis(1);

/// The pauses of one session, one after the other.
#[derive(Debug)]
pub(super) struct Pauses {
    random: u64,
    step: u32,
}

impl Pauses {
    pub(super) fn new(policy: &Redial) -> Self {
        Self {
            random: policy
                .seed
                .unwrap_or_else(|| RandomState::new().hash_one(0)),
            step: 0,
        }
    }

    /// Starts again with the shortest.
    pub(super) fn reset(&mut self) {
        self.step = 0;
    }

    pub(super) fn next(&mut self, policy: &Redial) -> Duration {
        match policy.backoff {
            Backoff::Fixed => policy.interval.max(SHORTEST),
            Backoff::Jittered => {
                let bound = self.bound(policy);
                self.step = self.step.saturating_add(1).min(31);
                self.below(bound)
            }
        }
    }

    /// A pause beside the others, drawn from a time that is shorter than the bound of the next.
    pub(super) fn within(&mut self, policy: &Redial, spread: Duration) -> Option<Duration> {
        let is_shorter = policy.backoff == Backoff::Jittered && spread < self.bound(policy);
        is_shorter.then(|| self.below(spread))
    }

    /// What the next pause stays below.
    fn bound(&self, policy: &Redial) -> Duration {
        let interval = policy.interval.max(SHORTEST);
        let factor = 1_u32.checked_shl(self.step).unwrap_or(u32::MAX);
        interval
            .saturating_mul(FIRST_BOUND)
            .saturating_mul(factor)
            .min(policy.max_interval.max(interval))
    }

    fn below(&mut self, bound: Duration) -> Duration {
        let nanos = u64::try_from(bound.as_nanos()).unwrap_or(u64::MAX);
        let drawn = (u128::from(self.draw()) * u128::from(nanos)) >> u64::BITS;
        Duration::from_nanos(u64::try_from(drawn).unwrap_or(nanos))
    }

    /// The next random number, by splitmix64: it spreads seeds that lie side by side.
    fn draw(&mut self) -> u64 {
        self.random = self.random.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut z = self.random;
        z = (z ^ (z >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        z ^ (z >> 31)
    }
}

/// How many planned losses in a row are no reason for longer pauses, and how many more each second:
/// an end that takes connections only to say that it is going away is not dialled in a hot loop.
const FORGIVEN: u32 = 16;

/// The planned losses that are forgiven yet.
#[derive(Debug)]
pub(super) struct Forgiven {
    left: u32,
    since: Instant,
}

impl Forgiven {
    pub(super) fn new(now: Instant) -> Self {
        Self {
            left: FORGIVEN,
            since: now,
        }
    }

    /// Takes one, if one is left.
    pub(super) fn take(&mut self, now: Instant) -> bool {
        let seconds = now.saturating_duration_since(self.since).as_secs();
        if seconds > 0 {
            let more = u32::try_from(seconds).unwrap_or(u32::MAX);
            self.left = self.left.saturating_add(more).min(FORGIVEN);
            self.since = now;
        }
        let is_left = self.left > 0;
        self.left = self.left.saturating_sub(1);
        is_left
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, clippy::indexing_slicing, reason = "tests")]
    use super::*;

    fn pauses(policy: &Redial, count: usize) -> Vec<Duration> {
        let mut pauses = Pauses::new(policy);
        (0..count).map(|_| pauses.next(policy)).collect()
    }

    #[test]
    fn jittered_pauses_stay_below_bounds_that_double_up_to_the_longest() {
        let mut longest = [Duration::ZERO; 12];
        for seed in 0..2000 {
            let policy = Redial::forever().seed(seed);
            for (longest, pause) in longest.iter_mut().zip(pauses(&policy, 12)) {
                *longest = pause.max(*longest);
            }
        }
        for (step, longest) in longest.into_iter().enumerate() {
            let bound = Duration::from_millis(400 << step).min(Duration::from_secs(30));
            assert!(longest <= bound, "{step}: {longest:?} > {bound:?}");
            assert!(longest > bound * 9 / 10, "{step}: {longest:?} of {bound:?}");
        }
    }

    #[test]
    fn the_first_attempts_of_many_are_spread() {
        let mut tenths = [0; 4];
        for seed in 0..1000 {
            let policy = Redial::forever().seed(seed);
            let first = pauses(&policy, 1)[0];
            tenths[usize::try_from(first.as_millis() / 100).unwrap()] += 1;
        }
        assert!(
            tenths.iter().all(|n| (200..300).contains(n)),
            "{tenths:?} in each 100 ms"
        );
    }

    #[test]
    fn a_seed_repeats_the_pauses_and_a_reset_starts_them_again() {
        let policy = Redial::times(3).seed(7);
        assert_eq!(pauses(&policy, 5), pauses(&policy, 5));
        let mut pauses = Pauses::new(&policy);
        for _ in 0..20 {
            pauses.next(&policy);
        }
        pauses.reset();
        assert!(pauses.next(&policy) <= Duration::from_millis(400));
    }

    #[test]
    fn fixed_pauses_are_the_interval_and_never_nothing() {
        let policy = Redial::times(-1).backoff(Backoff::Fixed);
        assert_eq!(pauses(&policy, 3), [Duration::from_millis(100); 3]);
        let policy = policy.interval(Duration::ZERO);
        assert_eq!(pauses(&policy, 2), [Duration::from_millis(1); 2]);
    }

    #[test]
    fn a_prompt_pause_is_shorter_than_the_first_and_does_not_count_among_them() {
        let policy = Redial::forever().seed(1);
        let mut pauses = Pauses::new(&policy);
        let ms = Duration::from_millis;
        for _ in 0..100 {
            assert!(pauses.within(&policy, ms(20)).unwrap() < ms(20));
        }
        assert_eq!(pauses.within(&policy, ms(400)), None);
        assert!(pauses.next(&policy) <= ms(400));
        let fixed = policy.backoff(Backoff::Fixed);
        assert_eq!(pauses.within(&fixed, ms(1)), None);
    }

    #[test]
    fn planned_losses_are_forgiven_up_to_a_number_and_then_by_time() {
        let now = Instant::now();
        let mut forgiven = Forgiven::new(now);
        let mut taken = |at| (0..100).filter(|_| forgiven.take(at)).count();
        assert_eq!(taken(now), 16);
        assert_eq!(taken(now + Duration::from_millis(900)), 0);
        assert_eq!(taken(now + Duration::from_millis(2100)), 2);
        assert_eq!(taken(now + Duration::from_secs(1 << 40)), 16);
    }

    #[test]
    fn no_number_is_too_large_for_the_pauses() {
        let policy = Redial::forever()
            .interval(Duration::MAX)
            .max_interval(Duration::MAX);
        assert!(pauses(&policy, 70).iter().all(|p| *p <= Duration::MAX));
    }

    #[test]
    fn the_count_of_attempts_has_an_end_only_if_it_is_not_below_zero() {
        assert!(Redial::never().is_over(0));
        assert!(!Redial::times(2).is_over(1));
        assert!(Redial::times(2).is_over(2));
        assert!(!Redial::forever().is_over(u32::MAX));
    }
}
