//! What the system knows about a process.

use std::fs;

use rustix::process::{Resource, Rlimit, getrlimit, setrlimit};

/// Lets this process open as many files as it may at all. If it cannot, connecting will tell.
pub fn raise_open_files() {
    let maximum = getrlimit(Resource::Nofile).maximum;
    let limit = Rlimit {
        current: maximum,
        maximum,
    };
    let _ = setrlimit(Resource::Nofile, limit);
}

/// The seconds of processor time that a process has used, for itself and within the system.
pub fn cpu_seconds(pid: u32) -> f64 {
    let stat = fs::read_to_string(format!("/proc/{pid}/stat")).unwrap_or_default();
    // The name of the process is in brackets and may hold anything; the two times are the 14th
    // and 15th field, thus the 12th and 13th behind it.
    let fields = stat.rsplit(')').next().unwrap_or_default();
    let ticks: f64 = fields
        .split_whitespace()
        .skip(11)
        .take(2)
        .filter_map(|field| field.parse::<f64>().ok())
        .sum();
    #[allow(clippy::cast_precision_loss, reason = "it is 100")]
    let per_second = rustix::param::clock_ticks_per_second() as f64;
    ticks / per_second
}

/// How much memory a process holds, in KiB.
#[derive(Clone, Copy, Debug, Default)]
pub struct Memory {
    pub now: u64,
    pub peak: u64,
}

pub fn memory(pid: u32) -> Memory {
    let status = fs::read_to_string(format!("/proc/{pid}/status")).unwrap_or_default();
    let value = |key: &str| {
        let line = status.lines().find_map(|line| line.strip_prefix(key))?;
        line.split_whitespace().next()?.parse().ok()
    };
    Memory {
        now: value("VmRSS:").unwrap_or_default(),
        peak: value("VmHWM:").unwrap_or_default(),
    }
}
