//! A recorded application as requests and frees, in the sizes of a graphics card.

use std::collections::HashMap;
use std::path::Path;

use ash::vk;
use freestone::sim::Profile;
use freestone::trace::{self, Class, Model, Operation, Trace, TraceError};
use freestone::{AllocationRequirements, DeviceAddress, Intent, Kind};

use crate::replay::{grouped, mib};

/// One allocation of the application.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Wish {
    pub(crate) requirements: AllocationRequirements,
    pub(crate) intent: Intent,
}

/// One event; slots stand for the recorded numbers.
#[derive(Clone, Copy, Debug)]
pub(crate) enum Step {
    Allocate(usize, Wish),
    Free(usize),
}

/// All events of an application; what it left alive is freed at the end.
pub(crate) struct Workload {
    pub(crate) name: String,
    pub(crate) steps: Vec<Step>,
    pub(crate) slot_count: usize,
    pub(crate) peak_live: u64,
}

/// The device that the application runs on: a card whose local memory the host can reach.
pub(crate) fn profile() -> Profile {
    Profile::discrete_rebar()
}

impl Workload {
    pub(crate) fn read(file: &Path) -> Result<Self, TraceError> {
        let trace = Trace::read(file)?;
        let name = file.file_name().unwrap_or_default().to_string_lossy();
        let name = name.split('.').next().unwrap_or_default().to_owned();
        let profile = profile();
        let model = Model {
            offset_alignment: 256,
            granularity: profile.buffer_image_granularity,
            memory_type_bits: u32::MAX >> (32 - profile.memory_types.len()),
        };
        let mut workload = Self { name, steps: Vec::new(), slot_count: 0, peak_live: 0 };
        let mut slots = HashMap::new();
        for event in trace.events {
            match event.operation {
                Operation::Allocate(resource) => {
                    let Some(wish) = wish(&resource, &model) else { continue };
                    slots.insert(event.id, workload.slot_count);
                    workload.steps.push(Step::Allocate(workload.slot_count, wish));
                    workload.slot_count += 1;
                }
                Operation::Free => workload.steps.extend(slots.remove(&event.id).map(Step::Free)),
            }
        }
        let mut left: Vec<usize> = slots.into_values().collect();
        left.sort_unstable();
        workload.steps.extend(left.into_iter().map(Step::Free));
        workload.peak_live = workload.live().into_iter().max().unwrap_or(0);
        Ok(workload)
    }

    /// Returns the bytes alive after each step.
    pub(crate) fn live(&self) -> Vec<u64> {
        let (mut sizes, mut live) = (vec![0; self.slot_count], 0);
        let after = |step: &Step| {
            match step {
                Step::Allocate(slot, wish) => {
                    sizes[*slot] = wish.requirements.size;
                    live += wish.requirements.size;
                }
                Step::Free(slot) => live -= sizes[*slot],
            }
            live
        };
        self.steps.iter().map(after).collect()
    }

    pub(crate) fn summary(&self) -> String {
        format!("{} allocations, at most {} alive", grouped(self.slot_count as u64), mib(self.peak_live))
    }
}

/// Returns what a card would ask for; `None` for what no card could hold.
fn wish(resource: &trace::Resource, model: &Model) -> Option<Wish> {
    let trace::Requirements { size, alignment, memory_type_bits } = model.requirements(resource)?;
    let kind = match resource.kind() {
        trace::Kind::Buffer | trace::Kind::ImageLinear => Kind::Linear,
        trace::Kind::ImageOptimal => Kind::NonLinear,
    };
    let intent = match resource.class {
        Class::Device => Intent::GpuOnly,
        Class::Upload => Intent::Upload,
        Class::DeviceUpload => Intent::Stream,
        Class::Readback => Intent::Readback,
    };
    let requirements = vk::MemoryRequirements { size, alignment, memory_type_bits };
    Some(Wish { requirements: AllocationRequirements::new(requirements, kind, DeviceAddress::NotNeeded), intent })
}
