//! What goes wrong with a driver: failing calls, budgets that change, refusals, delays. Simulated drivers only.
//!
//! Each upset is as likely to be taken back as to be made, so a run sees a device under pressure and one without.

use std::time::Duration;

use freestone::sim::{Control, Function, KIB, MIB};

use super::random::Random;

/// The driver functions that an allocator calls and that can fail.
const FUNCTIONS: [Function; 10] = [
    Function::AllocateMemory,
    Function::MapMemory,
    Function::FlushMappedMemoryRanges,
    Function::InvalidateMappedMemoryRanges,
    Function::CreateBuffer,
    Function::CreateImage,
    Function::BindBufferMemory,
    Function::BindBufferMemory2,
    Function::BindImageMemory,
    Function::BindImageMemory2,
];

/// The upsets of one simulated device.
#[derive(Debug)]
pub(crate) struct Upsets {
    control: Control,
    heap_count: u32,
    max_object_count: u32,
}

impl Upsets {
    pub(crate) fn new(control: Control, heap_count: u32, max_object_count: u32) -> Self {
        Self { control, heap_count, max_object_count }
    }

    /// Makes an upset, or takes one back.
    pub(crate) fn strike(&self, random: &mut Random) {
        let is_relief = random.one_in(2);
        let heap_index = u32::try_from(random.below(u64::from(self.heap_count))).unwrap_or(0);
        match random.below(10) {
            0 => self.control.clear_faults(),
            1..6 => self.fail(random),
            6 => self.control.set_budget(heap_index, (!is_relief).then(|| random.below(96 * MIB))),
            7 if is_relief => self.control.set_foreign_usage(heap_index, 0),
            7 => self.control.leave_free(heap_index, random.below(32 * MIB)),
            8 => self.control.refuse_allocations_above((!is_relief).then(|| (64 * KIB) << random.below(10))),
            _ if is_relief => self.calm_objects(),
            _ => {
                let spare = u32::try_from(random.below(6)).unwrap_or(0);
                self.control.refuse_objects_above(self.control.memory_object_count() + spare);
                self.control.delay(Function::AllocateMemory, Duration::from_micros(random.below(300)));
            }
        }
    }

    /// Takes every upset back.
    pub(crate) fn calm(&self) {
        self.control.clear_faults();
        for heap_index in 0..self.heap_count {
            self.control.set_budget(heap_index, None);
            self.control.set_foreign_usage(heap_index, 0);
        }
        self.control.refuse_allocations_above(None);
        self.calm_objects();
    }

    /// Returns how many calls failed on demand.
    pub(crate) fn failed_calls(&self) -> u64 {
        self.control.faults_fired().len() as u64
    }

    /// Lets one call fail, of the next few of a function.
    fn fail(&self, random: &mut Random) {
        let function = random.pick(&FUNCTIONS);
        self.control.fail_nth_of(function, 1 + random.below(4), random.pick(function.failures()));
    }

    fn calm_objects(&self) {
        self.control.refuse_objects_above(self.max_object_count);
        self.control.delay(Function::AllocateMemory, Duration::ZERO);
    }
}

#[cfg(test)]
mod tests {
    use super::{FUNCTIONS, Random, Upsets};
    use freestone::sim::{Profile, SimDevice};

    #[test]
    fn every_function_here_can_fail() {
        assert!(FUNCTIONS.iter().all(|function| function.can_fail()));
    }

    #[test]
    fn calm_is_as_before() {
        let device = SimDevice::new(Profile::discrete_bar256());
        let control = device.control();
        let (before, mut random) = ((0..3).map(|heap| control.heap(heap)).collect::<Vec<_>>(), Random::new(3));
        let upsets = Upsets::new(control.clone(), 3, device.profile().max_memory_allocation_count);
        (0..100).for_each(|_| upsets.strike(&mut random));
        assert_ne!(before, (0..3).map(|heap| control.heap(heap)).collect::<Vec<_>>());
        upsets.calm();
        assert_eq!(before, (0..3).map(|heap| control.heap(heap)).collect::<Vec<_>>());
    }
}
