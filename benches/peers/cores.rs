//! How much of the machine was ours while threads ran.

use std::time::Instant;

use crate::clock::cpu_ns;

/// What one thread got from the machine since it began to watch.
#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct Share {
    pub(crate) cpu_ns: f64,
    /// Time ready to run without a core; not a number where the system does not tell.
    pub(crate) waited_ns: f64,
}

/// Watches the thread that made it.
#[derive(Debug)]
pub(crate) struct Watch {
    start: Share,
}

impl Watch {
    pub(crate) fn new() -> Self {
        Self { start: now() }
    }

    pub(crate) fn read(&self) -> Share {
        let now = now();
        Share { cpu_ns: now.cpu_ns - self.start.cpu_ns, waited_ns: now.waited_ns - self.start.waited_ns }
    }
}

/// Adds up the shares of all threads, over the wall time since `start`.
pub(crate) fn of_all(shares: &[Share], start: Instant) -> Cores {
    let wall = start.elapsed().as_nanos() as f64;
    let cpu: f64 = shares.iter().map(|share| share.cpu_ns).sum();
    let waited: f64 = shares.iter().map(|share| share.waited_ns).sum();
    Cores { used: cpu / wall, kept_waiting: waited / (cpu + waited) }
}

/// How many cores a run had.
#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct Cores {
    /// CPU time by wall time.
    pub(crate) used: f64,
    /// Share of the time in which threads could have run and had no core.
    pub(crate) kept_waiting: f64,
}

fn now() -> Share {
    // Linux: time on a core, time ready and waiting for one, number of turns.
    let text = std::fs::read_to_string("/proc/thread-self/schedstat").unwrap_or_default();
    let waited_ns = text.split_whitespace().nth(1).and_then(|field| field.parse().ok()).unwrap_or(f64::NAN);
    Share { cpu_ns: cpu_ns(), waited_ns }
}
