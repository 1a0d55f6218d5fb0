//! The line of JSON that a measurement ends with.

use std::time::Duration;

use hdrhistogram::Histogram;
use serde::Serialize;

use crate::args::{Client, Mode};
use crate::process::{self, Memory};

/// What was measured.
pub struct Sample {
    /// From the moment when all callers had warmed up.
    pub wall: Duration,
    /// From before the first connection.
    pub wall_with_setup: Duration,
    pub latencies: Histogram<u64>,
    pub ok: u64,
    pub errors: u64,
    pub client_cpu: f64,
    pub server_cpu: Option<f64>,
    pub allocations: Option<Allocations>,
}

/// Allocations of the measured part.
#[derive(Clone, Copy)]
pub struct Allocations {
    pub client: u64,
    pub server: u64,
    /// What decoding and encoding one message takes.
    pub codec: u64,
}

#[derive(Serialize)]
struct Line {
    peer: &'static str,
    mode: &'static str,
    c: usize,
    n: u64,
    ok: u64,
    errors: u64,
    calls_per_s: f64,
    calls_per_s_with_setup: f64,
    wall_s: f64,
    mean_us: f64,
    p50_us: f64,
    p99_us: f64,
    p999_us: f64,
    max_us: f64,
    client_cpu_us_per_call: f64,
    server_cpu_us_per_call: Option<f64>,
    client_peak_rss_kib: u64,
    server_peak_rss_kib: Option<u64>,
    #[serde(skip_serializing_if = "Option::is_none")]
    mib_per_s: Option<f64>,
    #[serde(skip_serializing_if = "Option::is_none", flatten)]
    allocations: Option<AllocationsPerCall>,
}

#[derive(Serialize)]
struct AllocationsPerCall {
    client_allocs_per_call: f64,
    server_allocs_per_call: f64,
    codec_allocs_per_call: u64,
}

#[allow(clippy::cast_precision_loss, reason = "these counts are small")]
pub fn line(peer: &'static str, client: &Client, sample: &Sample) -> serde_json::Result<String> {
    let calls = sample.latencies.len();
    let per_call = |total: f64| total / calls.max(1) as f64;
    let micros = |nanos: f64| rounded(nanos / 1e3, 10.0);
    let quantile = |q: f64| micros(sample.latencies.value_at_quantile(q) as f64);
    let per_second = calls as f64 / sample.wall.as_secs_f64();
    serde_json::to_string(&Line {
        peer,
        mode: client.mode.name(),
        c: client.callers,
        n: calls,
        ok: sample.ok,
        errors: sample.errors,
        calls_per_s: per_second.round(),
        calls_per_s_with_setup: (calls as f64 / sample.wall_with_setup.as_secs_f64()).round(),
        wall_s: rounded(sample.wall.as_secs_f64(), 1e4),
        mean_us: micros(sample.latencies.mean()),
        p50_us: quantile(0.5),
        p99_us: quantile(0.99),
        p999_us: quantile(0.999),
        max_us: micros(sample.latencies.max() as f64),
        client_cpu_us_per_call: micros(per_call(sample.client_cpu * 1e9)),
        server_cpu_us_per_call: sample.server_cpu.map(|cpu| micros(per_call(cpu * 1e9))),
        client_peak_rss_kib: process::memory(std::process::id()).peak,
        server_peak_rss_kib: client.server_pid.map(|pid| process::memory(pid).peak),
        mib_per_s: (client.mode == Mode::Big).then(|| rounded(per_second, 10.0)),
        allocations: sample.allocations.map(|a| AllocationsPerCall {
            client_allocs_per_call: rounded(per_call(a.client as f64), 1e3),
            server_allocs_per_call: rounded(per_call(a.server as f64), 1e3),
            codec_allocs_per_call: a.codec,
        }),
    })
}

#[derive(Serialize)]
struct IdleLine {
    peer: &'static str,
    mode: &'static str,
    c: usize,
    n: usize,
    ok: u64,
    errors: u64,
    server_rss_before_kib: Option<u64>,
    server_rss_after_kib: Option<u64>,
    server_kib_per_conn: Option<f64>,
    client_rss_kib: u64,
    client_peak_rss_kib: u64,
    server_peak_rss_kib: Option<u64>,
}

/// The line of the mode idle; `before` is the server's memory with its first connection.
#[allow(clippy::cast_precision_loss, reason = "these counts are small")]
pub fn idle_line(
    peer: &'static str,
    client: &Client,
    before: Option<Memory>,
    ok: u64,
    errors: u64,
) -> serde_json::Result<String> {
    let own = process::memory(std::process::id());
    let after = client.server_pid.map(process::memory);
    let grown = before
        .zip(after)
        .map(|(before, after)| after.now.saturating_sub(before.now));
    serde_json::to_string(&IdleLine {
        peer,
        mode: client.mode.name(),
        c: client.callers,
        n: client.callers,
        ok,
        errors,
        server_rss_before_kib: before.map(|memory| memory.now),
        server_rss_after_kib: after.map(|memory| memory.now),
        server_kib_per_conn: grown
            .map(|grown| rounded(grown as f64 / client.callers.max(1) as f64, 10.0)),
        client_rss_kib: own.now,
        client_peak_rss_kib: own.peak,
        server_peak_rss_kib: after.map(|memory| memory.peak),
    })
}

fn rounded(value: f64, steps: f64) -> f64 {
    (value * steps).round() / steps
}
