//! The measuring client: callers in a closed loop, each waiting for its reply before it calls
//! again.

use std::future::Future;
use std::net::SocketAddr;
use std::sync::Arc;
use std::time::{Duration, Instant};

use bytes::Bytes;
use hdrhistogram::Histogram;
use teleport_benches::BenchmarkMessage;
use tokio::sync::{Barrier, Semaphore};

use crate::Result;
use crate::args::{Client, Mode};
use crate::process;
use crate::report::{self, Allocations, Sample};

/// The bytes of a call in the mode big.
const BIG: usize = 1 << 20;

/// What each caller calls before anything is measured.
const WARM_UP: usize = 5;

/// How many connections are made at a time.
const CONNECTING: usize = 64;

/// How long idle sessions are left alone before the server's memory is read.
const SETTLE: Duration = Duration::from_secs(2);

/// The longest latency that is told from longer ones, in nanoseconds: ten minutes.
const LONGEST: u64 = 600_000_000_000;

/// What is measured.
pub trait Stack: Send + Sync + 'static {
    /// A connection, which several callers may use.
    type Link: Clone + Send + Sync + 'static;
    const NAME: &'static str;

    fn connect(
        &self,
        addr: SocketAddr,
        callers: usize,
    ) -> impl Future<Output = Result<Self::Link>> + Send;

    /// Makes a call; tells whether the reply is the right one.
    fn call(
        link: &Self::Link,
        message: &BenchmarkMessage,
    ) -> impl Future<Output = Result<bool>> + Send;

    /// Sends bytes and tells how many came back.
    fn echo(link: &Self::Link, bytes: &Bytes) -> impl Future<Output = Result<usize>> + Send;

    /// The allocations that the server has made.
    #[cfg(feature = "count-alloc")]
    fn server_allocations(link: &Self::Link) -> impl Future<Output = Result<u64>> + Send;
}

/// What all callers share.
struct Run<S> {
    stack: S,
    client: Client,
    message: BenchmarkMessage,
    big: Bytes,
    connecting: Semaphore,
    /// Everybody has warmed up; the clock is read; everybody starts; everybody is done.
    warm: Barrier,
    start: Barrier,
    done: Barrier,
}

/// What one caller saw.
struct Seen {
    nanos: Vec<u64>,
    ok: u64,
    errors: u64,
    first_error: Option<String>,
}

/// Measures as the command line says, and gives the line to print.
pub async fn run<S: Stack>(stack: S, mut client: Client) -> Result<String> {
    client.callers = client.callers.max(1);
    if client.mode == Mode::Idle {
        return idle(stack, client).await;
    }
    let together = client.callers + 1;
    let run = Arc::new(Run {
        stack,
        client,
        message: BenchmarkMessage::filled(),
        big: Bytes::from(vec![b'x'; BIG]),
        connecting: Semaphore::new(CONNECTING),
        warm: Barrier::new(together),
        start: Barrier::new(together),
        done: Barrier::new(together),
    });
    let client = &run.client;
    let set_up = Instant::now();
    let shared = match client.mode {
        Mode::One | Mode::Big => Some(run.stack.connect(client.addr, client.callers).await?),
        Mode::Many | Mode::Idle => None,
    };
    let callers: Vec<_> = (0..client.callers)
        .map(|_| tokio::spawn(caller(Arc::clone(&run), shared.clone())))
        .collect();

    run.warm.wait().await;
    let allocations = Counts::before(&run, shared.as_ref()).await?;
    let (cpu, server_cpu) = cpu(client);
    let started = Instant::now();
    run.start.wait().await;
    run.done.wait().await;
    let wall = started.elapsed();
    let (cpu_after, server_cpu_after) = self::cpu(client);
    let allocations = allocations.after().await?;

    let mut sample = Sample {
        wall,
        wall_with_setup: set_up.elapsed(),
        latencies: Histogram::new_with_bounds(1, LONGEST, 3)?,
        ok: 0,
        errors: 0,
        client_cpu: cpu_after - cpu,
        server_cpu: server_cpu_after
            .zip(server_cpu)
            .map(|(after, before)| after - before),
        allocations,
    };
    for caller in callers {
        let seen = caller.await??;
        sample.ok += seen.ok;
        if let Some(error) = seen.first_error.filter(|_| sample.errors == 0) {
            eprintln!("first error: {error}");
        }
        sample.errors += seen.errors;
        for nanos in seen.nanos {
            sample.latencies.saturating_record(nanos.max(1));
        }
    }
    Ok(report::line(S::NAME, client, &sample)?)
}

fn cpu(client: &Client) -> (f64, Option<f64>) {
    (
        process::cpu_seconds(std::process::id()),
        client.server_pid.map(process::cpu_seconds),
    )
}

/// One caller, with a connection of its own if it is given none.
async fn caller<S: Stack>(run: Arc<Run<S>>, shared: Option<S::Link>) -> Result<Seen> {
    let link = match shared {
        Some(link) => link,
        None => {
            let _turn = run.connecting.acquire().await?;
            must(run.stack.connect(run.client.addr, 1).await, "connecting")
        }
    };
    for _ in 0..WARM_UP {
        must(exchange(&run, &link).await, "a call of the warm-up");
    }
    let calls = run.client.calls.div_ceil(run.client.callers);
    let mut seen = Seen {
        nanos: Vec::with_capacity(calls),
        ok: 0,
        errors: 0,
        first_error: None,
    };
    run.warm.wait().await;
    run.start.wait().await;
    for _ in 0..calls {
        let started = Instant::now();
        let result = exchange(&run, &link).await;
        let nanos = started.elapsed().as_nanos();
        seen.nanos.push(u64::try_from(nanos).unwrap_or(u64::MAX));
        match result {
            Ok(right) => seen.ok += u64::from(right),
            Err(error) => {
                seen.errors += 1;
                seen.first_error.get_or_insert_with(|| error.to_string());
            }
        }
    }
    run.done.wait().await;
    Ok(seen)
}

async fn exchange<S: Stack>(run: &Run<S>, link: &S::Link) -> Result<bool> {
    if run.client.mode == Mode::Big {
        Ok(S::echo(link, &run.big).await? == BIG)
    } else {
        S::call(link, &run.message).await
    }
}

/// Ends the process when there is nothing to measure: the other callers wait for this one.
fn must<T>(result: Result<T>, what: &str) -> T {
    result.unwrap_or_else(|error| {
        eprintln!("{what} failed: {error}");
        std::process::exit(1);
    })
}

/// Makes connections that call once and stay, and reads the server's memory.
async fn idle<S: Stack>(stack: S, client: Client) -> Result<String> {
    let message = BenchmarkMessage::filled();
    // What the server sets up with its first connection is not counted.
    let first = stack.connect(client.addr, 1).await?;
    S::call(&first, &message).await?;
    let before = client.server_pid.map(process::memory);
    let mut links = Vec::with_capacity(client.callers);
    let (mut ok, mut errors) = (0, 0);
    for _ in 0..client.callers {
        let link = stack.connect(client.addr, 1).await?;
        match S::call(&link, &message).await {
            Ok(right) => ok += u64::from(right),
            Err(error) => {
                if errors == 0 {
                    eprintln!("first error: {error}");
                }
                errors += 1;
            }
        }
        links.push(link);
    }
    tokio::time::sleep(SETTLE).await;
    let line = report::idle_line(S::NAME, &client, before, ok, errors)?;
    drop((first, links));
    Ok(line)
}

/// The allocations on both sides, where they are counted.
#[cfg(feature = "count-alloc")]
struct Counts<S: Stack> {
    link: S::Link,
    client: u64,
    server: u64,
}

#[cfg(feature = "count-alloc")]
impl<S: Stack> Counts<S> {
    async fn before(run: &Run<S>, shared: Option<&S::Link>) -> Result<Self> {
        let link = match shared {
            Some(link) => link.clone(),
            None => run.stack.connect(run.client.addr, 1).await?,
        };
        // The first answer pays for what is set up once.
        S::server_allocations(&link).await?;
        let server = S::server_allocations(&link).await?;
        Ok(Self {
            link,
            client: crate::count::allocations(),
            server,
        })
    }

    async fn after(self) -> Result<Option<Allocations>> {
        let client = crate::count::allocations() - self.client;
        let server = S::server_allocations(&self.link).await? - self.server;
        let codec = crate::count::of_codec();
        Ok(Some(Allocations {
            client,
            server,
            codec,
        }))
    }
}

#[cfg(not(feature = "count-alloc"))]
struct Counts;

#[cfg(not(feature = "count-alloc"))]
impl Counts {
    async fn before<S: Stack>(_: &Run<S>, _: Option<&S::Link>) -> Result<Self> {
        Ok(Self)
    }

    async fn after(self) -> Result<Option<Allocations>> {
        Ok(None)
    }
}
