//! What a workload finds out about one peer.

use crate::clock::{Clock, Percentiles, cpu_ns, median, ticks};
use crate::driver::{self, Driver};
use crate::heap;
use crate::peer::Peer;
use crate::request::Request;
use crate::values::note_all;

/// One row of a table. What was not measured is not a number.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Row {
    /// Nanoseconds of CPU per pair of allocate and free, the driver's own time taken off.
    pub(crate) ns_per_pair: f64,
    pub(crate) allocate: Percentiles,
    pub(crate) free: Percentiles,
    /// Calls of `vkAllocateMemory`, those that were refused too.
    pub(crate) driver_allocations: f64,
    /// Most memory objects alive at once.
    pub(crate) driver_objects: f64,
    /// Peak reserved bytes by peak live bytes.
    pub(crate) peak_ratio: f64,
    /// Reserved by live bytes, the mean over steps.
    pub(crate) mean_ratio: f64,
    /// Reserved by live bytes when nine of ten were freed at random.
    pub(crate) sparse_ratio: f64,
    /// Bytes reserved when all is freed.
    pub(crate) left_bytes: f64,
    /// Bytes of bookkeeping on the host's heap per live allocation, the handle not counted.
    pub(crate) host_bytes: f64,
    pub(crate) handle_bytes: f64,
    /// Calls of the host's heap per pair in the steady state.
    pub(crate) heap_calls: f64,
    /// Requests that were refused.
    pub(crate) refused: f64,
}

const NONE: Percentiles = Percentiles { p50: f64::NAN, p99: f64::NAN, p999: f64::NAN };

impl Default for Row {
    fn default() -> Self {
        let none = f64::NAN;
        Self {
            ns_per_pair: none,
            allocate: NONE,
            free: NONE,
            driver_allocations: none,
            driver_objects: none,
            peak_ratio: none,
            mean_ratio: none,
            sparse_ratio: none,
            left_bytes: none,
            host_bytes: none,
            handle_bytes: none,
            heap_calls: none,
            refused: none,
        }
    }
}

impl Row {
    /// Keeps the figures in the record.
    pub(crate) fn note(&self, workload: &str, peer: &str) {
        let figures = [
            ("ns", self.ns_per_pair),
            ("allocate p99", self.allocate.p99),
            ("allocate p99.9", self.allocate.p999),
            ("free p99", self.free.p99),
            ("free p99.9", self.free.p999),
            ("driver allocations", self.driver_allocations),
            ("objects", self.driver_objects),
            ("peak", self.peak_ratio),
            ("mean", self.mean_ratio),
            ("sparse", self.sparse_ratio),
            ("left", self.left_bytes),
            ("host bytes", self.host_bytes),
            ("handle", self.handle_bytes),
            ("heap calls", self.heap_calls),
        ];
        note_all("workloads", workload, peer, &figures);
    }

    /// Joins the rounds of one peer: the median of each time; what does not vary is the last round's.
    pub(crate) fn join(rounds: &[Self]) -> Self {
        let over = |field: fn(&Self) -> f64| median(&mut rounds.iter().map(field).collect::<Vec<_>>());
        let last = rounds.last().copied().unwrap_or_default();
        let percentiles = |of: fn(&Self) -> Percentiles| {
            let over = |field: fn(&Percentiles) -> f64| {
                median(&mut rounds.iter().map(|row| field(&of(row))).collect::<Vec<_>>())
            };
            Percentiles { p50: over(|p| p.p50), p99: over(|p| p.p99), p999: over(|p| p.p999) }
        };
        Self {
            ns_per_pair: over(|row| row.ns_per_pair),
            allocate: percentiles(|row| row.allocate),
            free: percentiles(|row| row.free),
            ..last
        }
    }
}

/// A peer at work on a driver, and the books over it.
pub(crate) struct Bench<'a, P: Peer> {
    peer: P,
    driver: &'a Driver,
    clock: Clock,
    live_bytes: u64,
    peak_live_bytes: u64,
    refused: u64,
    allocate_samples: Vec<u64>,
    free_samples: Vec<u64>,
    heap_start: u64,
    /// Nanoseconds of one `vkAllocateMemory` or `vkFreeMemory`.
    driver_call_ns: f64,
}

/// A live allocation.
pub(crate) struct Live<P: Peer> {
    handle: P::Handle,
    size: u64,
}

impl<'a, P: Peer> Bench<'a, P> {
    /// Opens a peer on a driver; up to `samples` operations will be timed one by one.
    pub(crate) fn new(driver: &'a Driver, samples: usize) -> Self {
        let samples = || vec![1; samples];
        let (mut allocate_samples, mut free_samples) = (samples(), samples());
        allocate_samples.clear();
        free_samples.clear();
        let heap_start = heap::live_bytes();
        Self {
            peer: P::new(driver),
            driver,
            clock: Clock::new(),
            live_bytes: 0,
            peak_live_bytes: 0,
            refused: 0,
            allocate_samples,
            free_samples,
            heap_start,
            driver_call_ns: if P::IS_DRIVER { 0.0 } else { driver_call_ns() },
        }
    }

    #[inline]
    pub(crate) fn allocate(&mut self, request: &Request) -> Option<Live<P>> {
        let handle = self.peer.allocate(request);
        self.enter(handle, request.size)
    }

    #[inline]
    pub(crate) fn free(&mut self, live: Live<P>) {
        self.live_bytes -= live.size;
        self.peer.free(live.handle);
    }

    /// Allocates, and remembers how long it took unless the driver was called.
    pub(crate) fn allocate_timed(&mut self, request: &Request) -> Option<Live<P>> {
        let calls = self.driver.calls();
        let start = ticks();
        let handle = self.peer.allocate(request);
        let elapsed = ticks() - start;
        if P::IS_DRIVER || self.driver.calls() == calls {
            self.allocate_samples.push(elapsed);
        }
        self.enter(handle, request.size)
    }

    /// Frees, and remembers how long it took unless the driver was called.
    pub(crate) fn free_timed(&mut self, live: Live<P>) {
        self.live_bytes -= live.size;
        let calls = self.driver.calls();
        let start = ticks();
        self.peer.free(live.handle);
        let elapsed = ticks() - start;
        if P::IS_DRIVER || self.driver.calls() == calls {
            self.free_samples.push(elapsed);
        }
    }

    /// Runs a chunk and returns its CPU nanoseconds per pair, the driver's own time taken off.
    pub(crate) fn time(&mut self, pairs: usize, chunk: impl FnOnce(&mut Self)) -> f64 {
        let (driver, call_ns) = (self.driver, self.driver_call_ns);
        net_ns((driver, call_ns), pairs, || chunk(self))
    }

    /// Returns the peer's bytes on the host's heap per live allocation; the driver's own are taken off. Not for mapped
    /// memory: the simulated driver keeps its bytes on the same heap.
    pub(crate) fn host_bytes_per(&self, count: usize) -> f64 {
        let all = heap::live_bytes().saturating_sub(self.heap_start);
        let objects = self.driver.control().peak_memory_object_count();
        all.saturating_sub(driver_heap_bytes(objects)) as f64 / count as f64
    }

    /// Returns reserved by live bytes.
    pub(crate) fn ratio(&self) -> f64 {
        self.driver.reserved() as f64 / self.live_bytes as f64
    }

    /// Closes the books: frees nine of ten at random, then the rest.
    pub(crate) fn finish(mut self, live: &mut [Option<Live<P>>], row: Row) -> Row {
        let control = self.driver.control();
        let mut row = Row {
            allocate: self.clock.percentiles(&mut self.allocate_samples),
            free: self.clock.percentiles(&mut self.free_samples),
            driver_allocations: self.driver.allocations() as f64,
            driver_objects: f64::from(control.peak_memory_object_count()),
            peak_ratio: control.peak_reserved_bytes() as f64 / self.peak_live_bytes as f64,
            handle_bytes: size_of::<P::Handle>() as f64,
            refused: self.refused as f64,
            ..row
        };
        let mut random = crate::random::Random::new(5);
        for slot in live.iter_mut() {
            if random.below(10) > 0 {
                self.free_slot(slot);
            }
        }
        row.sparse_ratio = self.ratio();
        for slot in live {
            self.free_slot(slot);
        }
        row.left_bytes = self.driver.reserved() as f64;
        row
    }

    fn free_slot(&mut self, slot: &mut Option<Live<P>>) {
        if let Some(live) = slot.take() {
            self.free(live);
        }
    }

    #[inline]
    fn enter(&mut self, handle: Option<P::Handle>, size: u64) -> Option<Live<P>> {
        let Some(handle) = handle else {
            self.refused += 1;
            return None;
        };
        self.live_bytes += size;
        self.peak_live_bytes = self.peak_live_bytes.max(self.live_bytes);
        Some(Live { handle, size })
    }
}

/// Runs work of so many pairs and returns its CPU nanoseconds per pair, those of the driver's calls taken off.
pub(crate) fn net_ns((driver, call_ns): (&Driver, f64), pairs: usize, work: impl FnOnce()) -> f64 {
    let (calls, start) = (driver.calls(), cpu_ns());
    work();
    let elapsed = cpu_ns() - start;
    let driver_ns = (driver.calls() - calls) as f64 * call_ns;
    (elapsed - driver_ns).max(0.0) / pairs as f64
}

/// Measures what one driver call for memory takes on the simulated driver.
pub(crate) fn driver_call_ns() -> f64 {
    static MEASURED: std::sync::OnceLock<f64> = std::sync::OnceLock::new();
    *MEASURED.get_or_init(|| {
        let driver = Driver::new(driver::Objects::Promised);
        driver::exercise(&driver, 1000, || ());
        let rounds = (0..21).map(|_| {
            let start = cpu_ns();
            driver::exercise(&driver, 1000, || ());
            (cpu_ns() - start) / 2000.0
        });
        median(&mut rounds.collect::<Vec<_>>())
    })
}

/// Measures what the simulated driver keeps on the heap for so many memory objects.
fn driver_heap_bytes(objects: u32) -> u64 {
    let driver = Driver::new(driver::Objects::Unlimited);
    let (before, mut peak) = (heap::live_bytes(), 0);
    driver::exercise(&driver, objects, || peak = heap::live_bytes());
    // The list of handles that the exercise itself holds.
    let handles = u64::from(objects) * size_of::<ash::vk::DeviceMemory>() as u64;
    peak.saturating_sub(before + handles)
}
