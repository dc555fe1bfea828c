//! One replay of one trace on a driver: over resources for counts and bytes, over raw requirements for times.
//!
//! ```text
//!   Stage (a device) ── Counter ── Allocator ── RealResources ──> bytes, counts at the function table
//!         \──────────── Counter ── Allocator ── RawMemory ──────> times; PASSES times, the least of each operation
//! ```
//!
//! A frame of the trace is no tick of the allocator: what others were measured with knows no frames either, and
//! without ticks nothing is given back for its age.

use std::collections::BTreeMap;

use freestone::Allocator;
use freestone::trace::Trace;

use crate::driver::DriverChoice;
use crate::error::CliError;
use crate::json::{DriverCounts, Record};
use crate::progress::Progress;
use crate::replay::{self, Outcome, ReplayError};
use crate::resources::Cookbook;
use crate::sizes::{RawSizes, SizeChoice};
use crate::stage::Stage;
use crate::targets::{RawMemory, RealResources};
use crate::vulkan::{Counter, Layers};

/// Passes of which each operation's least time counts. By taste: an interruption seldom hits one operation in each.
const PASSES: u32 = 5;

/// What is the same for each trace.
#[derive(Clone, Debug)]
pub(crate) struct Settings {
    pub(crate) driver: DriverChoice,
    pub(crate) layers: Layers,
    pub(crate) sizes: SizeChoice,
}

/// The pass over resources, and what was counted at the function table meanwhile.
#[derive(Debug)]
struct Made {
    outcome: Outcome,
    counts: DriverCounts,
}

/// Replays a trace on a fresh device. Returns the record, and how many resources fell back for each reason.
///
/// # Errors
/// No device, or an operation that failed, at its line of the trace.
pub(crate) fn replay(trace: &Trace, settings: &Settings) -> Result<(Record, BTreeMap<String, u64>), CliError> {
    let stage = Stage::open(&settings.driver, settings.layers)?;
    let name = stage.name();
    let made = make(trace, &stage, settings.sizes, |_| ());
    let passes = made.and_then(|made| Ok((made, time(trace, &stage, settings.sizes)?)));
    // Closed in any case: what the layers have to say may explain a failure.
    let faults = stage.close();
    let (made, timed) = passes?;
    let counts =
        DriverCounts { violations: faults.violations, validation_messages: faults.validation_messages, ..made.counts };
    let record = Record::new((&trace.name, &name), &made.outcome, &timed, &counts);
    Ok((record, made.outcome.fallbacks))
}

/// The pass over resources. `watch` sees the allocator when everything is freed, and when it is trimmed.
fn make(trace: &Trace, stage: &Stage, sizes: SizeChoice, mut watch: impl FnMut(&Allocator)) -> Result<Made, CliError> {
    let counter = stage.counter();
    let allocator = stage.allocator(&counter)?;
    let raw = RawSizes::new(stage, sizes);
    let progress = Progress::on_terminal();
    let outcome = match sizes {
        SizeChoice::Created => {
            let cookbook = Cookbook::for_device(stage);
            let mut target = RealResources { allocator: &allocator, counter: &counter, cookbook, sizes: raw };
            replay::replay(trace, &mut target, progress)
        }
        SizeChoice::Recorded { .. } => {
            let reason = "memory of recorded sizes was asked for";
            let mut target = RawMemory { allocator: &allocator, counter: &counter, sizes: raw, reason };
            replay::replay(trace, &mut target, progress)
        }
    }?;
    let at_end = counter.count();
    watch(&allocator);
    allocator.trim();
    let trimmed = counter.count();
    watch(&allocator);
    let counts = DriverCounts {
        allocations: at_end.allocations,
        peak_bytes: at_end.peak_bytes,
        peak_pages_bytes: at_end.peak_pages_bytes,
        at_end_bytes: at_end.live_bytes,
        after_trim_bytes: trimmed.live_bytes,
        ..DriverCounts::default()
    };
    Ok(Made { outcome, counts })
}

/// The passes over raw requirements, joined.
fn time(trace: &Trace, stage: &Stage, sizes: SizeChoice) -> Result<Outcome, CliError> {
    let mut joined = time_once(trace, stage, sizes)?;
    for _ in 1..PASSES {
        let next = time_once(trace, stage, sizes)?;
        joined.allocate = joined.allocate.least(&next.allocate);
        joined.free = joined.free.least(&next.free);
    }
    Ok(joined)
}

fn time_once(trace: &Trace, stage: &Stage, sizes: SizeChoice) -> Result<Outcome, CliError> {
    let counter: Counter = stage.counter();
    let allocator = stage.allocator(&counter)?;
    let sizes = RawSizes::new(stage, sizes);
    let mut target = RawMemory { allocator: &allocator, counter: &counter, sizes, reason: "" };
    let outcome: Result<Outcome, ReplayError> = replay::replay(trace, &mut target, Progress::hidden());
    Ok(outcome?)
}

#[cfg(test)]
#[path = "session_tests.rs"]
mod tests;
