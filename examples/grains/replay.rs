//! One workload through one grain: bytes after each step, then time.

use std::collections::{BTreeMap, HashMap};
use std::time::Instant;

use ash::vk::Handle as _;
use freestone::sim::{Checks, Control, Function, SimDevice};
use freestone::{Allocation, Allocator, AllocatorCreateInfo};

use crate::grain::{Cutter, Grain};
use crate::workload::{Step, Workload, profile};

/// Replays that are timed; the fastest counts.
const ROUNDS: u32 = 15;
/// Bookkeeping is looked at after every so many steps: it costs a walk.
const LOOK_EVERY: usize = 16;

/// What a grain cost.
#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct Outcome {
    pub(crate) peak_reserved: u64,
    pub(crate) mean_waste: u64,
    pub(crate) peak_host_bytes: u64,
    pub(crate) driver_calls: u64,
    pub(crate) ns_per_pair: u64,
}

/// A number with the words for it.
#[derive(Clone, Debug)]
pub(crate) struct Figure {
    pub(crate) value: u64,
    pub(crate) label: String,
}

impl Outcome {
    /// Returns wasted bytes, time, bookkeeping and driver calls.
    pub(crate) fn figures(&self) -> [Figure; 4] {
        [
            Figure { value: self.mean_waste, label: mib(self.mean_waste) },
            Figure { value: self.ns_per_pair, label: format!("{} ns", self.ns_per_pair) },
            Figure { value: self.peak_host_bytes, label: kib(self.peak_host_bytes) },
            Figure { value: self.driver_calls, label: grouped(self.driver_calls) },
        ]
    }
}

/// Returns bytes in MiB, to a tenth.
pub(crate) fn mib(bytes: u64) -> String {
    let tenths = (bytes * 10 + (1 << 19)) >> 20;
    format!("{}.{} MiB", tenths / 10, tenths % 10)
}

/// Returns a number with its thousands apart.
pub(crate) fn grouped(number: u64) -> String {
    match number {
        0..1000 => number.to_string(),
        _ => format!("{},{:03}", grouped(number / 1000), number % 1000),
    }
}

fn kib(bytes: u64) -> String {
    format!("{} KiB", bytes.div_ceil(1 << 10))
}

pub(crate) fn measure(workload: &Workload, grain: Grain) -> Outcome {
    let mut outcome = on_device(workload, Checks { call_log: false, ..Checks::ALL }, |allocator, control| {
        watched(workload, grain, allocator, control)
    });
    let times = (0..ROUNDS).map(|_| {
        on_device(workload, Checks::NONE, |allocator, _| {
            let mut cutter = Cutter::new(grain, allocator);
            let start = Instant::now();
            play(workload, &mut cutter, |_, _| ());
            let elapsed = start.elapsed();
            cutter.finish();
            elapsed
        })
    });
    let pairs = u128::try_from(workload.slot_count.max(1)).unwrap_or(u128::MAX);
    let fastest = times.min().unwrap_or_default().as_nanos() / pairs;
    outcome.ns_per_pair = u64::try_from(fastest).unwrap_or(u64::MAX);
    outcome
}

/// Runs something on a fresh simulated card, and checks that the driver found nothing wrong and nothing left.
fn on_device<R>(workload: &Workload, checks: Checks, run: impl FnOnce(&Allocator, &Control) -> R) -> R {
    let vulkan = SimDevice::new(profile());
    vulkan.control().set_checks(checks);
    let info = AllocatorCreateInfo::new(vulkan.entry(), vulkan.instance(), vulkan.physical_device(), vulkan.device())
        .api_version(vulkan.api_version());
    // SAFETY: the objects belong together, and the allocator goes before them; no feature is declared.
    let allocator = unsafe { Allocator::new(info) }.expect("the simulated driver has every function");
    let result = run(&allocator, vulkan.control());
    drop(allocator);
    let violations = vulkan.finish();
    assert!(violations.is_empty(), "{}: {violations:?}", workload.name);
    result
}

/// Replays once and looks at everything after each step.
fn watched(workload: &Workload, grain: Grain, allocator: &Allocator, control: &Control) -> Outcome {
    let (live, mut outcome, mut waste, mut step) = (workload.live(), Outcome::default(), 0_u128, 0);
    let mut shadow = Shadow::default();
    let calls = || control.count(Function::AllocateMemory) + control.count(Function::FreeMemory);
    let before = calls();
    let mut cutter = Cutter::new(grain, allocator);
    play(workload, &mut cutter, |slot, allocation| {
        shadow.note(slot, allocation);
        let reserved = control.reserved_bytes();
        outcome.peak_reserved = outcome.peak_reserved.max(reserved);
        waste += u128::from(reserved.saturating_sub(live[step]));
        if step % LOOK_EVERY == 0 {
            let host_bytes = allocator.detailed_statistics().host_bytes as u64;
            outcome.peak_host_bytes = outcome.peak_host_bytes.max(host_bytes);
        }
        step += 1;
    });
    outcome.driver_calls = calls() - before;
    let mean = waste / u128::try_from(live.len().max(1)).unwrap_or(u128::MAX);
    outcome.mean_waste = u64::try_from(mean).unwrap_or(u64::MAX);
    cutter.finish();
    outcome
}

/// Plays all steps, and shows each: the slot, and its allocation where it was made.
fn play(workload: &Workload, cutter: &mut Cutter<'_>, mut seen: impl FnMut(usize, Option<&Allocation>)) {
    let mut live: Vec<Option<Allocation>> = (0..workload.slot_count).map(|_| None).collect();
    for step in &workload.steps {
        match step {
            Step::Allocate(slot, wish) => {
                let allocation = live[*slot].insert(cutter.allocate(wish));
                seen(*slot, Some(allocation));
            }
            Step::Free(slot) => {
                if let Some(allocation) = live[*slot].take() {
                    cutter.free(allocation);
                }
                seen(*slot, None);
            }
        }
    }
}

/// Who has which bytes: no two may share one.
#[derive(Debug, Default)]
struct Shadow {
    /// By memory object and offset: the end.
    ranges: BTreeMap<(u64, u64), u64>,
    places: HashMap<usize, (u64, u64)>,
}

impl Shadow {
    fn note(&mut self, slot: usize, allocation: Option<&Allocation>) {
        let Some(allocation) = allocation else {
            let place = self.places.remove(&slot).expect("it was noted");
            self.ranges.remove(&place);
            return;
        };
        let place = (allocation.memory().as_raw(), allocation.offset());
        let end = place.1 + allocation.size();
        let below = self.ranges.range((place.0, 0)..(place.0, end)).next_back();
        assert!(below.is_none_or(|(_, &end)| end <= place.1), "{allocation:?} lies over another: {below:?}");
        self.ranges.insert(place, end);
        self.places.insert(slot, place);
    }
}
