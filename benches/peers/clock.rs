//! Times: CPU time of chunks, and the time of single operations.
//!
//! A chunk is timed by the CPU time of its thread, so that another process on the core does not count (what it takes
//! of caches and memory bandwidth does). A single operation is timed by the processor's time-stamp counter, where there
//! is one; an interruption then shows in the highest percentiles.

use std::time::{Duration, Instant};

/// Returns the CPU time of this thread, in nanoseconds.
#[cfg(unix)]
pub(crate) fn cpu_ns() -> f64 {
    let mut time = libc::timespec { tv_sec: 0, tv_nsec: 0 };
    // SAFETY: `time` is a valid target, and the clock exists on every unix of the last twenty years.
    let result = unsafe { libc::clock_gettime(libc::CLOCK_THREAD_CPUTIME_ID, &raw mut time) };
    assert_eq!(result, 0, "this system has no clock of a thread's CPU time");
    time.tv_sec as f64 * 1e9 + time.tv_nsec as f64
}

/// Returns the time since the first call in nanoseconds, where a thread's CPU time is not to be had.
#[cfg(not(unix))]
pub(crate) fn cpu_ns() -> f64 {
    static START: std::sync::OnceLock<Instant> = std::sync::OnceLock::new();
    START.get_or_init(Instant::now).elapsed().as_nanos() as f64
}

/// Returns ticks of the processor's time-stamp counter.
#[cfg(target_arch = "x86_64")]
#[inline]
pub(crate) fn ticks() -> u64 {
    // SAFETY: every x86-64 processor has the counter.
    unsafe { core::arch::x86_64::_rdtsc() }
}

/// Returns nanoseconds, where there is no time-stamp counter that can be read directly.
#[cfg(not(target_arch = "x86_64"))]
#[inline]
pub(crate) fn ticks() -> u64 {
    static START: std::sync::OnceLock<Instant> = std::sync::OnceLock::new();
    u64::try_from(START.get_or_init(Instant::now).elapsed().as_nanos()).unwrap_or(u64::MAX)
}

/// Knows how long a tick is and what a pair of time stamps costs.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Clock {
    ticks_per_ns: f64,
    cost: u64,
}

impl Clock {
    pub(crate) fn new() -> Self {
        let (start, first) = (Instant::now(), ticks());
        while start.elapsed() < Duration::from_millis(20) {}
        let ticks_per_ns = (ticks() - first) as f64 / start.elapsed().as_nanos() as f64;
        let pair = |_| {
            let start = ticks();
            ticks() - start
        };
        Self { ticks_per_ns, cost: (0..10_000).map(pair).min().unwrap_or(0) }
    }

    /// Sums samples up; sorts them.
    pub(crate) fn percentiles(&self, samples: &mut [u64]) -> Percentiles {
        samples.sort_unstable();
        let at = |fraction: f64| {
            let index = ((samples.len() as f64 * fraction) as usize).min(samples.len().saturating_sub(1));
            samples.get(index).map_or(f64::NAN, |&sample| sample.saturating_sub(self.cost) as f64 / self.ticks_per_ns)
        };
        Percentiles { p50: at(0.5), p99: at(0.99), p999: at(0.999) }
    }
}

/// Percentiles of single operations, in nanoseconds.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Percentiles {
    pub(crate) p50: f64,
    pub(crate) p99: f64,
    pub(crate) p999: f64,
}

/// Returns the median; not a number where there is nothing.
pub(crate) fn median(values: &mut [f64]) -> f64 {
    values.sort_by(f64::total_cmp);
    values.get(values.len() / 2).copied().unwrap_or(f64::NAN)
}
