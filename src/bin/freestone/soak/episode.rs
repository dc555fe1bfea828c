//! One episode: threads live on an allocator of a device just opened, everything goes, the device is closed.
//!
//! ```text
//!   an open device ── rounds of steps, an audit after each ── upsets end ── all checked and freed ── audit ── every intent is
//!   served again ── allocator dropped, nothing left at the driver ── device closed, nobody complained
//! ```

use std::any::Any;
use std::sync::Mutex;
use std::thread;
use std::time::Instant;

use freestone::{AllocationCreateInfo, Allocator, Intent};

use super::Settings;
use super::audit::{audit, nothing_left};
use super::gpu::Gpu;
use super::shadow::Shadow;
use super::tally::Tally;
use super::thing::{Ground, lock, transfer_buffer};
use super::upsets::Upsets;
use super::worker::Worker;
use crate::error::CliError;
use crate::stage::{Faults, Stage};
use crate::vulkan::Counter;

/// Steps of each thread in an episode. By taste: some seconds on a software driver, thousands of lifetimes.
pub(crate) const STEPS: u64 = 4000;
/// Steps of each thread between two audits, when several work.
const ROUND: u64 = 500;

/// When an episode ends at the latest.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Limit {
    pub(crate) until: Instant,
    /// Steps of each thread that are left.
    pub(crate) steps: u64,
}

/// Runs one episode on an open device, which it closes. Returns the device's name, and what was done.
///
/// # Errors
/// No allocator on the device; or a [`Finding`].
pub(crate) fn run(stage: Stage, settings: &Settings, seed: u64, limit: Limit) -> Result<(String, Tally), CliError> {
    let (name, mut tally) = (stage.name(), Tally::default());
    let lived = live(&stage, settings, (seed, limit), &mut tally);
    // Closed in any case: what the layers have to say may explain a finding.
    let faults = stage.close();
    let finding = |what| settings.finding(what, seed, tally.steps.div_ceil(u64::from(settings.threads)));
    match lived? {
        Err(what) => Err(Box::new(finding(what)).into()),
        Ok(()) if faults == Faults::default() => Ok((name, tally)),
        Ok(()) => {
            let Faults { validation_messages, violations } = faults;
            let what = format!("{validation_messages} validation messages, {violations} violations");
            Err(Box::new(finding(what)).into())
        }
    }
}

/// Lives on an open device. The outer error: nothing could begin; the inner one: what was found.
fn live(
    stage: &Stage,
    settings: &Settings,
    (seed, limit): (u64, Limit),
    tally: &mut Tally,
) -> Result<Result<(), String>, CliError> {
    let gpu = Gpu::new(stage)?;
    let counter = stage.counter();
    let allocator = stage.allocator(&counter)?;
    let ground = Ground {
        allocator: &allocator,
        device: stage.device(),
        counter: &counter,
        gpu: Mutex::new(gpu),
        shadow: Mutex::new(Shadow::default()),
        upsets: upsets(stage, &allocator),
        has_addresses: stage.features().buffer_device_address,
        is_alone: settings.threads == 1,
    };
    let mut workers: Vec<Worker<'_, '_>> =
        (0..settings.threads).map(|number| Worker::new(&ground, seed, number)).collect();
    let lived = rounds(&ground, &mut workers, limit).and_then(|()| end(&ground, &mut workers));
    if lived.is_err() {
        workers.iter_mut().for_each(Worker::abandon);
    }
    for worker in &workers {
        tally.add(&worker.tally);
    }
    tally.failed_calls = ground.upsets.as_ref().map_or(0, Upsets::failed_calls);
    tally.episodes = 1;
    drop(workers);
    drop(ground);
    drop(allocator);
    Ok(lived.and_then(|()| nothing_left(&counter)))
}

fn upsets(stage: &Stage, allocator: &Allocator) -> Option<Upsets> {
    let control = stage.control()?.clone();
    let heap_count = u32::try_from(allocator.properties().memory_heaps.len()).unwrap_or(1);
    Some(Upsets::new(control, heap_count, stage.limits().max_memory_allocation_count))
}

/// Lets the threads work, and audits whenever all have paused.
fn rounds(ground: &Ground<'_>, workers: &mut [Worker<'_, '_>], limit: Limit) -> Result<(), String> {
    let mut left = limit.steps.min(STEPS);
    while left > 0 && Instant::now() < limit.until {
        let steps = left.min(ROUND);
        left -= steps;
        thread::scope(|scope| {
            let run = |worker| scope.spawn(move || Worker::run(worker, steps, limit.until));
            let threads: Vec<_> = workers.iter_mut().map(run).collect();
            // Every thread is joined before the first finding is looked at.
            let outcomes: Vec<_> = threads
                .into_iter()
                .map(|thread| thread.join().unwrap_or_else(|payload| Err(panicked(&*payload))))
                .collect();
            outcomes.into_iter().collect::<Result<(), String>>()
        })?;
        let live_count = workers.iter().map(Worker::live_count).sum();
        audit(ground.allocator, ground.counter, live_count)?;
        let known = lock(&ground.shadow).count();
        if known != live_count {
            return Err(format!("the shadow knows {known} allocations of {live_count}"));
        }
    }
    Ok(())
}

/// Ends all lifetimes, with a driver that has become reliable again.
fn end(ground: &Ground<'_>, workers: &mut [Worker<'_, '_>]) -> Result<(), String> {
    let allocator = ground.allocator;
    if let Some(upsets) = &ground.upsets {
        upsets.calm();
        allocator.update_budget();
    }
    workers.iter_mut().try_for_each(Worker::finish)?;
    audit(allocator, ground.counter, 0)?;
    for intent in Intent::ALL {
        serve_again(allocator, intent).map_err(|error| format!("after all upsets, {intent} fails: {error}"))?;
    }
    allocator.trim();
    audit(allocator, ground.counter, 0)?;
    left_after_trim(ground.counter)
}

fn serve_again(allocator: &Allocator, intent: Intent) -> Result<(), Box<dyn std::error::Error>> {
    // SAFETY: the create-info is valid; nothing is submitted.
    let made = unsafe { allocator.create_buffer(&transfer_buffer(4096), &AllocationCreateInfo::new(intent)) };
    let (buffer, memory) = made?;
    // SAFETY: the device has never seen it.
    Ok(unsafe { allocator.destroy_buffer(buffer, memory) }?)
}

fn left_after_trim(counter: &Counter) -> Result<(), String> {
    nothing_left(counter).map_err(|what| format!("after a trim of an idle allocator: {what}"))
}

/// Makes a finding of a panic, whose message the panic itself has printed.
fn panicked(payload: &dyn Any) -> String {
    let text = payload.downcast_ref::<String>().map(String::as_str);
    let text = text.or_else(|| payload.downcast_ref::<&str>().copied());
    format!("panicked: {}", text.unwrap_or("without a message"))
}
