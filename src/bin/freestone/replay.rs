//! Drives the events of a trace into a target, and keeps the books.
//!
//! ```text
//! Trace ──events──> replay ──create / destroy──> Target (an allocator on a driver)
//!                     └──> Outcome: counts, live bytes, fallbacks, the time of every operation
//! ```
//!
//! One function serves both passes over a trace: the one that makes real resources (for bytes and counts) and the
//! one over raw requirements (for times). What is still alive after the last event is freed in the order it was
//! made, so that what an allocator keeps of nothing can be read from its driver afterwards.
//!
//! Identities: allocations = created + `fell_back`; frees = allocations when a replay succeeds.

use std::collections::{BTreeMap, HashMap};
use std::path::PathBuf;
use std::time::Instant;

use freestone::trace::{Event, Operation, Resource, Trace};

use crate::progress::Progress;
use crate::timing::{Clock, Samples};

/// What a trace is replayed on.
pub(crate) trait Target {
    /// What is to be made.
    type Order;
    /// What a live resource is held by.
    type Handle;

    /// Works out what to make for a recorded resource, before the clock starts; or says why that cannot be.
    fn prepare(&mut self, resource: &Resource) -> Result<Prepared<Self::Order>, String>;

    /// Makes what was prepared, with memory; or says why that failed.
    fn create(&mut self, order: Self::Order) -> Result<Created<Self::Handle>, String>;

    /// Destroys a resource and frees its memory; or says why that failed.
    fn destroy(&mut self, handle: Self::Handle) -> Result<(), String>;

    /// Returns how many calls of the driver there were so far: of those that allocate, free or map device memory.
    fn driver_calls(&self) -> u64;
}

/// What a [`Target`] is about to make.
#[derive(Debug)]
pub(crate) struct Prepared<O> {
    /// Says what.
    pub(crate) order: O,
    /// Why it is memory without a resource, where it is.
    pub(crate) fallback: Option<String>,
}

/// A resource that a [`Target`] made.
#[derive(Debug)]
pub(crate) struct Created<H> {
    /// Holds it.
    pub(crate) handle: H,
    /// `VkMemoryRequirements::size`, before any rounding of the allocator's.
    pub(crate) bytes: u64,
}

/// The books of a replay.
#[derive(Clone, Debug, Default)]
pub(crate) struct Outcome {
    /// Resources that got memory.
    pub(crate) allocations: u64,
    /// Resources freed: by the trace, and what it left alive.
    pub(crate) frees: u64,
    /// Resources that are real buffers and images.
    pub(crate) created: u64,
    /// Resources that are memory by raw requirements only.
    pub(crate) fell_back: u64,
    /// How many fell back for each reason.
    pub(crate) fallbacks: BTreeMap<String, u64>,
    /// Most bytes of live resources at once.
    pub(crate) peak_live_bytes: u64,
    /// Time of every allocation.
    pub(crate) allocate: Samples,
    /// Time of every free.
    pub(crate) free: Samples,
}

/// An operation that the target refused, at its place in the trace.
#[derive(Debug, thiserror::Error)]
#[error("{}:{line}: {operation} of id {id} failed: {reason}", .file.display())]
pub(crate) struct ReplayError {
    file: PathBuf,
    line: u64,
    operation: &'static str,
    id: u64,
    reason: String,
}

/// Replays a whole trace, then frees what is left.
///
/// # Errors
/// The first operation that the target refused; everything alive was given back to the target before.
pub(crate) fn replay<T: Target>(trace: &Trace, target: &mut T, progress: Progress) -> Result<Outcome, ReplayError> {
    let mut books =
        Books { target, live: HashMap::new(), live_bytes: 0, outcome: Outcome::default(), clock: Clock::new() };
    let result = books.follow(trace, progress);
    books.free_the_rest();
    result.map(|()| books.outcome)
}

struct Books<'a, T: Target> {
    target: &'a mut T,
    live: HashMap<u64, Live<T::Handle>>,
    live_bytes: u64,
    outcome: Outcome,
    clock: Clock,
}

struct Live<H> {
    handle: H,
    bytes: u64,
}

impl<T: Target> Books<'_, T> {
    fn follow(&mut self, trace: &Trace, progress: Progress) -> Result<(), ReplayError> {
        let bar = progress.begin(&trace.name, trace.events.len());
        for event in &trace.events {
            self.apply(event).map_err(|reason| refused(trace, event, operation(event), reason))?;
            bar.advance();
        }
        for event in trace.events.iter().filter(|event| matches!(event.operation, Operation::Allocate(_))) {
            self.free(event.id).map_err(|reason| refused(trace, event, "final free", reason))?;
        }
        Ok(())
    }

    fn apply(&mut self, event: &Event) -> Result<(), String> {
        match &event.operation {
            Operation::Allocate(resource) => self.allocate(event.id, resource),
            Operation::Free => self.free(event.id),
        }
    }

    fn allocate(&mut self, id: u64, resource: &Resource) -> Result<(), String> {
        let Prepared { order, fallback } = self.target.prepare(resource)?;
        let (calls, start) = (self.target.driver_calls(), Instant::now());
        let created = self.target.create(order);
        let elapsed = start.elapsed();
        let called = self.target.driver_calls() != calls;
        let Created { handle, bytes } = created?;
        self.outcome.allocate.push((!called).then(|| self.clock.net(elapsed)));
        self.outcome.allocations += 1;
        match fallback {
            None => self.outcome.created += 1,
            Some(reason) => {
                self.outcome.fell_back += 1;
                *self.outcome.fallbacks.entry(reason).or_default() += 1;
            }
        }
        self.live_bytes += bytes;
        self.outcome.peak_live_bytes = self.outcome.peak_live_bytes.max(self.live_bytes);
        self.live.insert(id, Live { handle, bytes });
        Ok(())
    }

    /// Frees an allocation if it is alive: a trace's own frees are checked when it is read (I1 there).
    fn free(&mut self, id: u64) -> Result<(), String> {
        let Some(Live { handle, bytes }) = self.live.remove(&id) else {
            return Ok(());
        };
        let (calls, start) = (self.target.driver_calls(), Instant::now());
        let destroyed = self.target.destroy(handle);
        let elapsed = start.elapsed();
        let called = self.target.driver_calls() != calls;
        destroyed?;
        self.outcome.free.push((!called).then(|| self.clock.net(elapsed)));
        self.outcome.frees += 1;
        self.live_bytes -= bytes;
        Ok(())
    }

    /// After a refusal: gives back what is alive. A further refusal would only repeat the first.
    fn free_the_rest(&mut self) {
        for live in std::mem::take(&mut self.live).into_values() {
            if let Err(reason) = self.target.destroy(live.handle) {
                log::warn!("not freed after a failed replay: {reason}");
            }
        }
    }
}

fn operation(event: &Event) -> &'static str {
    match &event.operation {
        Operation::Allocate(resource) => resource.kind().as_str(),
        Operation::Free => "free",
    }
}

fn refused(trace: &Trace, event: &Event, operation: &'static str, reason: String) -> ReplayError {
    ReplayError { file: trace.file.clone(), line: event.line, operation, id: event.id, reason }
}

#[cfg(test)]
#[path = "replay_tests.rs"]
mod tests;
