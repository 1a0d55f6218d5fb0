//! What is too much, and how that is changed while it counts.

use std::sync::atomic::{AtomicU64, AtomicUsize, Ordering};

/// How much is taken at once; what is not set is not limited.
///
/// Calls and pushes count alike.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Load {
    pub(super) sessions: Option<usize>,
    pub(super) per_second: Option<u32>,
    pub(super) burst: Option<u32>,
    pub(super) running: Option<usize>,
}

impl Load {
    /// No limits.
    #[must_use]
    pub fn new() -> Self {
        Self::default()
    }

    /// Limits the sessions that are accepted, handshakes included. At the limit a new connection is
    /// told error 503 and closed. Each session counted costs about 600 bytes.
    #[must_use]
    pub fn sessions(mut self, sessions: usize) -> Self {
        self.sessions = Some(sessions);
        self
    }

    /// Limits the calls and pushes per second, evenly: after the [burst](Self::burst) one more is
    /// taken each time its part of a second has passed.
    #[must_use]
    pub fn per_second(mut self, calls: u32) -> Self {
        self.per_second = Some(calls);
        self
    }

    /// Sets how many calls and pushes may come at once after a time of silence. Default: as many
    /// as there may be per second.
    #[must_use]
    pub fn burst(mut self, calls: u32) -> Self {
        self.burst = Some(calls);
        self
    }

    /// Limits the calls and pushes that run at the same time, from their first hook to the writing
    /// of the reply.
    #[must_use]
    pub fn running(mut self, calls: usize) -> Self {
        self.running = Some(calls);
        self
    }

    pub(super) const fn limits_messages(&self) -> bool {
        self.per_second.is_some() || self.running.is_some()
    }

    pub(super) const fn limits_sessions(&self) -> bool {
        self.sessions.is_some()
    }

    /// Says what is wrong with the limits.
    pub(super) fn check(&self) -> Result<(), &'static str> {
        if self.sessions == Some(0) {
            return Err("sessions is 0, which lets nobody in; write at least 1, for what comes");
        }
        if self.per_second == Some(0) {
            return Err("per_second is 0, which takes nothing; write at least 1, for what comes");
        }
        if self.burst == Some(0) {
            return Err("burst is 0, which takes nothing; write at least 1, for what comes");
        }
        if self.burst.is_some() && self.per_second.is_none() {
            return Err("burst is set without per_second; set both, for what comes");
        }
        if self.running == Some(0) {
            return Err("running is 0, which takes nothing; write at least 1, for what comes");
        }
        Ok(())
    }
}

/// The limits that count now. Each is read and changed by itself, without a lock; 0 is none.
#[derive(Debug, Default)]
pub(super) struct Limits {
    sessions: AtomicUsize,
    /// The calls per second in the upper half, the burst in the lower.
    rate: AtomicU64,
    running: AtomicUsize,
}

impl Limits {
    pub(super) fn set(&self, load: &Load) {
        let per_second = load.per_second.unwrap_or(0);
        let burst = load.burst.unwrap_or(per_second);
        let rate = u64::from(per_second) << 32 | u64::from(burst);
        self.sessions
            .store(load.sessions.unwrap_or(0), Ordering::Relaxed);
        self.rate.store(rate, Ordering::Relaxed);
        self.running
            .store(load.running.unwrap_or(0), Ordering::Relaxed);
    }

    pub(super) fn sessions(&self) -> Option<usize> {
        Some(self.sessions.load(Ordering::Relaxed)).filter(|most| *most > 0)
    }

    pub(super) fn running(&self) -> Option<usize> {
        Some(self.running.load(Ordering::Relaxed)).filter(|most| *most > 0)
    }

    /// The calls per second and the burst.
    pub(super) fn rate(&self) -> Option<(u32, u32)> {
        let rate = self.rate.load(Ordering::Relaxed);
        let half = |bits: u64| u32::try_from(bits & u64::from(u32::MAX)).unwrap_or(u32::MAX);
        Some((half(rate >> 32), half(rate))).filter(|(per_second, _)| *per_second > 0)
    }

    pub(super) fn load(&self) -> Load {
        Load {
            sessions: self.sessions(),
            per_second: self.rate().map(|(per_second, _)| per_second),
            burst: self.rate().map(|(_, burst)| burst),
            running: self.running(),
        }
    }

    pub(super) fn limit_sessions(&self) -> bool {
        self.sessions().is_some()
    }

    pub(super) fn limit_messages(&self) -> bool {
        self.rate().is_some() || self.running().is_some()
    }
}
