//! The sources that something came from lately.

use std::net::{IpAddr, Ipv4Addr};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use dashmap::DashMap;
use tokio::time::Instant;

use super::Meter;

/// How many sources are remembered.
const MOST: usize = 65_536;

/// How often all sources are looked through for those that can be forgotten.
const SWEEP: Duration = Duration::from_secs(1);

/// Who is counted as one.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
enum Source {
    V4(Ipv4Addr),
    /// The first 64 bits.
    V6(u64),
}

impl Source {
    fn of(ip: IpAddr) -> Self {
        match ip.to_canonical() {
            IpAddr::V4(ip) => Self::V4(ip),
            IpAddr::V6(ip) => Self::V6((ip.to_bits() >> 64) as u64),
        }
    }
}

/// A table of meters that does not grow beyond a bound, whatever addresses come.
#[derive(Debug, Default)]
pub(super) struct Sources {
    meters: DashMap<Source, Arc<Meter>>,
    /// Counts for all sources that there was no place for.
    crowd: Arc<Meter>,
    swept: Mutex<Option<Instant>>,
}

impl Sources {
    /// The meter of an address.
    pub(super) fn get(&self, ip: IpAddr) -> Arc<Meter> {
        let source = Source::of(ip);
        if let Some(meter) = self.meters.get(&source) {
            return Arc::clone(&meter);
        }
        if self.meters.len() >= MOST && !self.sweep() {
            return Arc::clone(&self.crowd);
        }
        Arc::clone(&self.meters.entry(source).or_default())
    }

    /// Begins the rates of all anew.
    pub(super) fn forgive(&self) {
        self.crowd.forgive();
        self.meters.iter().for_each(|meter| meter.forgive());
    }

    pub(super) fn len(&self) -> usize {
        self.meters.len()
    }

    /// Forgets whoever can be forgotten without anybody noticing. Tells whether there is room.
    #[cold]
    fn sweep(&self) -> bool {
        // While one looks, and for a while after, the others need not.
        let Ok(mut swept) = self.swept.try_lock() else {
            return false;
        };
        if swept.is_some_and(|at| at.elapsed() < SWEEP) {
            return self.meters.len() < MOST;
        }
        *swept = Some(Instant::now());
        // Whoever is about to count something has a handle of its own.
        self.meters
            .retain(|_, meter| Arc::strong_count(meter) > 1 || !meter.is_idle());
        self.meters.len() < MOST
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, reason = "tests")]
    use super::super::Load;
    use super::super::load::Limits;
    use super::super::meter::Permit;
    use super::*;

    fn v6(network: u64, host: u64) -> IpAddr {
        IpAddr::V6((u128::from(network) << 64 | u128::from(host)).into())
    }

    #[test]
    fn a_source_is_an_address_or_a_network() {
        let of = |text: &str| Source::of(text.parse().unwrap());
        assert_eq!(of("1.2.3.4"), of("::ffff:1.2.3.4"));
        assert_ne!(of("1.2.3.4"), of("1.2.3.5"));
        assert_eq!(of("2001:db8::1"), of("2001:db8::ffff:ffff:ffff:ffff"));
        assert_ne!(of("2001:db8::1"), of("2001:db8:0:1::1"));
    }

    #[test]
    fn a_flood_of_networks_takes_a_bounded_place() {
        let sources = Sources::default();
        let load = Limits::default();
        load.set(&Load::new().running(1).per_second(1));
        let mut kept = Vec::new();
        for network in 0..MOST as u64 {
            let mut permit = Permit::default();
            assert_eq!(permit.take(sources.get(v6(network, 1)), &load), Ok(()));
            kept.push(permit);
        }
        // All of them are busy: whoever comes now counts together with the others that do.
        let mut taken = 0;
        for network in 0..1000 {
            let mut permit = Permit::default();
            let meter = sources.get(v6((1 << 40) + network, 1));
            taken += usize::from(permit.take(meter, &load).is_ok());
            kept.push(permit);
        }
        assert_eq!((taken, sources.len()), (1, MOST));
        // The known ones are still known.
        let mut permit = Permit::default();
        assert!(permit.take(sources.get(v6(5, 77)), &load).is_err());
    }

    #[tokio::test(start_paused = true)]
    async fn those_who_are_quiet_make_place() {
        let sources = Sources::default();
        let busy = sources.get(v6(0, 1));
        for network in 0..MOST as u64 {
            sources.get(v6(network, 1));
        }
        tokio::time::advance(2 * SWEEP).await;
        sources.get(v6(1 << 40, 1));
        assert_eq!(sources.len(), 2);
        assert!(Arc::ptr_eq(&busy, &sources.get(v6(0, 2))));
    }
}
