//! Generated programs over the whole allocator, on every profile, against a shadow: what lives lies where nothing else
//! does, every invariant holds after each step, and at the end nothing is left.

mod common;

use std::collections::BTreeMap;

use ash::vk::Handle;
use common::program::{self, Step, Wish};
use common::{Rig, Shadow, buffer_info, image_info, state_of};
use freestone::sim::Loan;
use freestone::{Allocation, AllocationError};
use proptest::collection::vec;
use proptest::prelude::{ProptestConfig, proptest};

/// An allocator with its shadow.
struct Model {
    rig: Rig,
    shadow: Shadow,
    live: Vec<(Allocation, u8)>,
    /// The mapped bytes of those that live: the driver sees when they are freed or unmapped, or given out twice.
    loans: BTreeMap<(u64, u64), Loan>,
    made: u64,
}

impl Model {
    fn new(rig: Rig) -> Self {
        Self { rig, shadow: Shadow::default(), live: Vec::new(), loans: BTreeMap::new(), made: 0 }
    }

    fn run(mut self, steps: &[Step]) {
        for step in steps {
            self.take(step);
            self.rig.validate().unwrap_or_else(|violation| panic!("after {step:?}: {violation}"));
            self.compare();
        }
        self.rig.control().clear_faults();
        for (allocation, pattern) in std::mem::take(&mut self.live) {
            self.free(allocation, pattern);
        }
        self.rig.trim();
        self.compare();
        assert_eq!(self.rig.control().reserved_bytes(), 0, "nothing is left");
        self.rig.finish();
    }

    fn take(&mut self, step: &Step) {
        match step {
            Step::Allocate(wish) => self.allocate(wish),
            Step::Free(number) if !self.live.is_empty() => {
                let (allocation, pattern) = self.live.swap_remove(number % self.live.len());
                self.free(allocation, pattern);
            }
            Step::Free(_) => {}
            Step::FreeMost(keep) => {
                for (number, (allocation, pattern)) in std::mem::take(&mut self.live).into_iter().enumerate() {
                    if number % keep == 0 {
                        self.live.push((allocation, pattern));
                    } else {
                        self.free(allocation, pattern);
                    }
                }
            }
            Step::Trim => drop(self.rig.trim()),
            Step::Prewarm(intent, bytes) => drop(self.rig.prewarm(*intent, *bytes)),
            Step::Tick(count) => (0..*count).for_each(|_| self.rig.tick()),
            Step::Budget { heap_index, bytes } => {
                self.rig.control().set_budget(*heap_index, Some(*bytes));
                self.rig.update_budget();
            }
            Step::Foreign { heap_index, bytes } => {
                self.rig.control().set_foreign_usage(*heap_index, *bytes);
                self.rig.update_budget();
            }
            Step::Fail { n, result } => self.rig.control().fail_nth(*n, *result),
        }
    }

    fn allocate(&mut self, wish: &Wish) {
        let granularity = self.rig.properties().buffer_image_granularity;
        let before = self.rig.statistics().total;
        match self.rig.allocate(&wish.requirements(), &wish.info()) {
            Ok(mut allocation) => {
                assert_eq!(allocation.offset() % wish.alignment, 0, "{wish:?}");
                assert_eq!(allocation.size(), wish.size, "{wish:?}");
                self.shadow.enter(&allocation, granularity);
                assert!(allocation.mapped_ptr().is_some() || !wish.intent.needs_host_access(), "{wish:?}");
                self.made += 1;
                let pattern = u8::try_from(self.made % 251).expect("a byte");
                fill_ends(&mut allocation, pattern);
                if allocation.mapped_ptr().is_some() {
                    let (memory, start) = (allocation.memory(), allocation.offset());
                    let loan = self.rig.vulkan.lend(memory, start..start + allocation.size());
                    self.loans.insert((memory.as_raw(), start), loan);
                }
                self.live.push((allocation, pattern));
            }
            Err(AllocationError::OutOfMemory { .. } | AllocationError::Driver { .. }) => {
                let after = self.rig.statistics().total;
                assert_eq!(
                    (before.allocation_count, before.allocation_bytes, before.allocated_count, before.dedicated_bytes),
                    (after.allocation_count, after.allocation_bytes, after.allocated_count, after.dedicated_bytes),
                );
                assert!(after.block_bytes <= before.block_bytes, "{wish:?}");
            }
            Err(AllocationError::DedicatedConflict { .. }) => {}
            Err(error) => panic!("{wish:?}: {error}"),
        }
    }

    fn free(&mut self, allocation: Allocation, pattern: u8) {
        check_ends(&allocation, pattern);
        self.shadow.strike(&allocation);
        self.loans.remove(&(allocation.memory().as_raw(), allocation.offset()));
        self.rig.free(allocation).expect("it is alive");
    }

    /// Compares the allocator's counters with the driver's and the shadow's.
    #[track_caller]
    fn compare(&self) {
        let statistics = self.rig.statistics();
        let control = self.rig.control();
        assert_eq!(statistics.total.allocation_count, self.live.len() as u64);
        assert_eq!(self.shadow.len(), self.live.len());
        assert_eq!(statistics.object_count, control.memory_object_count());
        assert_eq!(statistics.total.object_count(), u64::from(control.memory_object_count()));
        for heap in &statistics.heaps {
            let driver = control.heap(heap.heap_index).expect("the heap exists");
            assert_eq!(heap.counters.reserved_bytes(), driver.bytes + driver.lazy_bytes, "{heap:?}");
            assert!(heap.counters.allocation_bytes <= heap.counters.reserved_bytes(), "{heap:?}");
            assert!(heap.counters.empty_bytes <= heap.counters.block_bytes, "{heap:?}");
        }
        let detailed = self.rig.detailed_statistics();
        assert_eq!(detailed.blocks.len() as u64, statistics.total.object_count());
        assert_eq!(detailed.ranges.used_count, statistics.total.allocation_count);
        assert_eq!(detailed.blocks.iter().map(|block| block.size).sum::<u64>(), statistics.total.reserved_bytes());
        let ranges = detailed.ranges;
        assert_eq!(ranges.used_bytes + ranges.free_bytes + ranges.free_slot_bytes, statistics.total.reserved_bytes());
        self.shadow.check(&self.rig.vulkan);
    }
}

/// Writes a pattern to both ends of an allocation: a neighbour that overlaps would write over it.
fn fill_ends(allocation: &mut Allocation, pattern: u8) {
    if allocation.mapped_ptr().is_some() {
        let len = allocation.size().min(64);
        allocation.fill(0, len, pattern).expect("it is mapped");
        allocation.fill(allocation.size() - len, len, pattern).expect("it is mapped");
    }
}

fn check_ends(allocation: &Allocation, pattern: u8) {
    if allocation.mapped_ptr().is_some() {
        let len = usize::try_from(allocation.size().min(64)).expect("small");
        for offset in [0, allocation.size() - len as u64] {
            // SAFETY: `fill_ends` wrote these bytes; no device writes them.
            let bytes = unsafe { allocation.slice::<u8>(offset, len) }.expect("it is mapped");
            assert!(bytes.iter().all(|byte| *byte == pattern), "somebody else wrote into {allocation:?}");
        }
    }
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 150, failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn programs_agree_with_the_shadow(
        profile in program::profile_name(),
        steps in vec(program::step_with_failures(), 1..80),
    ) {
        Model::new(Rig::new(program::profile(&profile))).run(&steps);
    }

    /// The same calls give the same placement.
    #[test]
    fn programs_are_deterministic(profile in program::profile_name(), steps in vec(program::step(), 1..60)) {
        let run = || {
            let mut model = Model::new(Rig::new(program::profile(&profile)));
            for step in &steps {
                model.take(step);
            }
            // Handles of two devices differ: a memory object is told by its place among those alive.
            let objects = model.rig.vulkan.memory_objects();
            let place = |allocation: &Allocation| objects.iter().position(|object| object.memory == allocation.memory());
            let spot = |(allocation, _): &(Allocation, u8)| (place(allocation), allocation.offset());
            let spots: Vec<_> = model.live.iter().map(spot).collect();
            let state = state_of(&model.rig);
            model.run(&[]);
            (spots, state)
        };
        assert_eq!(run(), run());
    }
}

/// Buffers and images of every size and intent, created, bound, freed: the driver checks each bind.
#[test]
fn resources_of_every_size_are_bound_where_they_may_be() {
    for profile in common::every_device() {
        let rig = Rig::new(profile);
        let mut random = common::Random(11);
        let mut live = Vec::new();
        for _ in 0..400 {
            let info = freestone::AllocationCreateInfo::new(
                freestone::Intent::ALL[usize::try_from(random.below(5)).expect("small")],
            );
            // SAFETY: the create-info is valid; nothing is submitted.
            live.push(unsafe { rig.create_buffer(&buffer_info(random.size(22)), &info) }.expect("there is memory"));
            let edge = u32::try_from(random.size(10)).expect("small");
            // SAFETY: as above.
            let image = unsafe { rig.create_image(&image_info(edge), &freestone::AllocationCreateInfo::gpu_only()) };
            let (image, memory) = image.expect("there is memory");
            if live.len() > 20 {
                let index = usize::try_from(random.below(live.len() as u64)).expect("small");
                let (buffer, memory) = live.swap_remove(index);
                // SAFETY: the GPU has never seen it.
                unsafe { rig.destroy_buffer(buffer, memory) }.expect("it is alive");
            }
            // SAFETY: as above.
            unsafe { rig.destroy_image(image, memory) }.expect("it is alive");
        }
        for (buffer, memory) in live {
            // SAFETY: the GPU has never seen it.
            unsafe { rig.destroy_buffer(buffer, memory) }.expect("it is alive");
        }
        rig.finish();
    }
}
