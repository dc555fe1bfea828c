//! How much of the machine was ours while threads ran.

use std::time::Instant;

use crate::clock::cpu_ns;

/// What one thread got from the machine while it watched.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Share {
    cpu_ns: f64,
    /// Time ready to run without a core; not a number where the system does not tell.
    waited_ns: f64,
    from: Instant,
    to: Instant,
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
        let (now, start) = (now(), self.start);
        let (cpu_ns, waited_ns) = (now.cpu_ns - start.cpu_ns, now.waited_ns - start.waited_ns);
        Share { cpu_ns, waited_ns, from: start.to, to: now.to }
    }
}

/// Returns the seconds from the first thread's begin to the last one's end.
pub(crate) fn seconds(shares: &[Share]) -> f64 {
    let (from, to) = (shares.iter().map(|share| share.from).min(), shares.iter().map(|share| share.to).max());
    from.zip(to).map_or(f64::NAN, |(from, to)| (to - from).as_secs_f64())
}

/// Adds up the shares of all threads, over the time from the first one's begin to the last one's end.
pub(crate) fn of_all(shares: &[Share]) -> Cores {
    let cpu: f64 = shares.iter().map(|share| share.cpu_ns).sum();
    let waited: f64 = shares.iter().map(|share| share.waited_ns).sum();
    Cores { used: cpu / (seconds(shares) * 1e9), kept_waiting: waited / (cpu + waited) }
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
    let at = Instant::now();
    Share { cpu_ns: cpu_ns(), waited_ns, from: at, to: at }
}
