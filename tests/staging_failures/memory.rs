//! Arenas and transient memory.

use ash::vk;
use freestone::sim::{KIB, Profile};
use freestone::{
    AllocationCreateInfo, Allocator, Arena, ArenaCreateInfo, Intent, OutdatedMemory, TransientMemory, TransientRequest,
};

use crate::common::failing::{Probe, Tally, fail_each_attempt};
use crate::common::{Rig, buffer_info, every_device, image_info, mib};
use crate::{both_ways, devices, stage, sum};

fn arena<'a>(rig: &'a Rig, info: &ArenaCreateInfo) -> Arena<&'a Allocator> {
    // SAFETY: the usage is valid for buffers of any size; the GPU never sees a range.
    unsafe { Arena::new(&**rig, info) }.expect("a sound description")
}

/// A first buffer, a further one, and one larger than usual.
fn arenas_grow(rig: &Rig, memory: AllocationCreateInfo<'static>) -> Tally {
    let info = ArenaCreateInfo::new(both_ways()).buffer_size(256 * KIB).memory(memory.name("arena"));
    let sizes = [(0, 100 * KIB), (256 * KIB, 100 * KIB), (100 * KIB, mib(3))];
    sum(sizes.map(|(kept, size)| {
        fail_each_attempt(rig, &|probe: &Probe<'_>| {
            let arena = arena(rig, &info);
            let kept = (kept > 0).then(|| arena.allocate(kept, 4).expect("there is memory"));
            let range =
                probe.attempt(&mut (), |()| (arena.statistics(), arena.buffers()), |()| arena.allocate(size, 12));
            assert!(arena.is_alive(&range) && kept.iter().all(|kept| arena.is_alive(kept)));
            arena.validate().expect("every invariant holds");
            for range in kept.into_iter().chain([range]) {
                arena.free(range).expect("it is alive");
            }
        })
    }))
}

#[test]
fn arenas_grow_or_stay_as_they_are() {
    let mut tally = Tally::default();
    for profile in devices() {
        let rig = Rig::new(profile);
        for intent in [Intent::GpuOnly, Intent::Upload, Intent::Stream] {
            tally = sum([tally, arenas_grow(&rig, AllocationCreateInfo::new(intent))]);
        }
        rig.finish();
    }
    assert!(tally.failed > 2000 && tally.survived > 500, "{tally:?}");
}

/// At its limit an arena gives back what is empty before it asks for more: that is gone then, and nothing else.
#[test]
fn arenas_at_their_limit_keep_every_range() {
    for profile in devices() {
        let rig = Rig::new(profile);
        let memory = AllocationCreateInfo::gpu_only();
        let info = ArenaCreateInfo::new(both_ways()).buffer_size(256 * KIB).memory(memory).max_buffer_count(2);
        let tally = fail_each_attempt(&rig, &|probe: &Probe<'_>| {
            let arena = arena(&rig, &info);
            let [kept, gone] = [200 * KIB, 200 * KIB].map(|size| arena.allocate(size, 4).expect("there is memory"));
            arena.free(gone).expect("it is alive");
            let look = |(): &()| {
                let now = arena.statistics();
                (now.range_count, now.requested_bytes, now.used_bytes, arena.is_alive(&kept))
            };
            let range = probe.attempt_alone(&mut (), look, |()| arena.allocate(mib(1), 4));
            arena.validate().expect("every invariant holds");
            assert_eq!(arena.statistics().buffer_count, 2);
            for range in [kept, range] {
                arena.free(range).expect("it is alive");
            }
        });
        assert!(tally.failed > 10, "{tally:?}");
        rig.finish();
    }
}

#[test]
fn a_write_into_an_arena_that_is_not_flushed_is_written_again() {
    let rig = Rig::new(stage::incoherent());
    let info = ArenaCreateInfo::new(both_ways()).buffer_size(256 * KIB).memory(AllocationCreateInfo::stream());
    let tally = fail_each_attempt(&rig, &|probe: &Probe<'_>| {
        let arena = arena(&rig, &info);
        let [mut range, other] = [3000, 3000].map(|size| arena.allocate(size, 12).expect("there is memory"));
        let look = |range: &_| (arena.statistics(), arena.is_alive(range));
        probe.attempt(&mut range, look, |range| arena.write(range, 100, &[7_u8; 1000]));
        let start = range.mapped_ptr().expect("it is mapped").cast::<[u8; 1100]>();
        // SAFETY: the range is as long; memory of the simulated driver is initialised, and nobody writes it meanwhile.
        assert_eq!(unsafe { start.read() }[100..], [7; 1000]);
        for range in [range, other] {
            arena.free(range).expect("it is alive");
        }
    });
    assert!(tally.failed >= 4 && tally.survived == 0, "{tally:?}");
    rig.finish();
}

fn target(edge: u32) -> vk::ImageCreateInfo<'static> {
    image_info(edge).usage(vk::ImageUsageFlags::COLOR_ATTACHMENT | vk::ImageUsageFlags::SAMPLED)
}

fn transients(rig: &Rig) -> TransientMemory<&Allocator> {
    TransientMemory::new(&**rig, AllocationCreateInfo::gpu_only().name("transients"))
}

/// Two images that share bytes, one beside them that may be lazily allocated, and a buffer.
fn frame(transients: &TransientMemory<&Allocator>, edge: u32) -> Vec<TransientRequest> {
    let depth = target(edge).usage(vk::ImageUsageFlags::COLOR_ATTACHMENT | vk::ImageUsageFlags::TRANSIENT_ATTACHMENT);
    let images = [(target(edge), 0..=1), (target(edge / 2), 2..=3), (depth, 0..=3)];
    let requests = images.into_iter().map(|(info, uses)| {
        // SAFETY: the create-info is valid.
        unsafe { transients.image_request(&info, uses) }.expect("such an image is supported")
    });
    // SAFETY: as above.
    let buffer = unsafe { transients.buffer_request(&buffer_info(mib(1)), 3..=4) }.expect("so is such a buffer");
    requests.chain([buffer]).collect()
}

/// Frees what a plan no longer needs: the GPU has never seen it.
fn free_all(rig: &Rig, outdated: OutdatedMemory) {
    outdated.allocations.into_iter().for_each(|memory| rig.free(memory).expect("it is alive"));
}

/// Returns every device, and one that answers for no resource ahead.
fn old_and_new() -> Vec<Profile> {
    every_device().into_iter().chain([Profile::unified().vulkan_1_0()]).collect()
}

#[test]
fn a_plan_is_made_or_the_one_before_stays() {
    let mut tally = Tally::default();
    for profile in old_and_new() {
        let rig = Rig::new(profile);
        for before in [0, 256] {
            let one = fail_each_attempt(&rig, &|probe: &Probe<'_>| {
                let mut transients = transients(&rig);
                if before > 0 {
                    let change = transients.plan(&frame(&transients, before)).expect("there is memory");
                    free_all(&rig, change.outdated);
                }
                let large = frame(&transients, 2048);
                let look = |transients: &TransientMemory<_>| {
                    let count = transients.layout().placements().len();
                    let places: Vec<_> = (0..count).map(|index| place(transients, index)).collect();
                    (transients.layout().clone(), transients.bytes(), places)
                };
                let change = probe.attempt(&mut transients, look, |transients| transients.plan(&large));
                assert!(!change.is_same);
                free_all(&rig, change.outdated);
                assert!(transients.plan(&large).expect("nothing is needed").is_same);
            });
            tally = sum([tally, one]);
        }
        rig.finish();
    }
    assert!(tally.failed > 200 && tally.survived > 200, "{tally:?}");
}

/// Where a resource of the plan lies.
fn place(transients: &TransientMemory<&Allocator>, index: usize) -> (vk::DeviceMemory, u64) {
    let (memory, offset) = transients.memory(index).expect("it was planned");
    (memory.memory(), memory.offset() + offset)
}

#[test]
fn what_a_resource_needs_is_asked_again() {
    let mut tally = Tally::default();
    for profile in old_and_new() {
        let rig = Rig::new(profile);
        let transients = transients(&rig);
        let mut swapchain = vk::ImageSwapchainCreateInfoKHR::default();
        for info in [target(256), target(256).push_next(&mut swapchain)] {
            let one = fail_each_attempt(&rig, &|probe: &Probe<'_>| {
                // SAFETY: the create-info is valid.
                let request = probe.attempt(&mut (), |()| (), |()| unsafe { transients.image_request(&info, 0..=1) });
                assert!(request.requirements.size >= 256 * 256 * 4);
            });
            tally = sum([tally, one]);
        }
        let one = fail_each_attempt(&rig, &|probe: &Probe<'_>| {
            let info = buffer_info(1000);
            // SAFETY: the create-info is valid.
            let request = probe.attempt(&mut (), |()| (), |()| unsafe { transients.buffer_request(&info, 0..=1) });
            assert!(request.requirements.size >= 1000);
        });
        tally = sum([tally, one]);
        drop(transients);
        rig.finish();
    }
    assert!(tally.failed > 100 && tally.survived == 0, "{tally:?}");
}

#[test]
fn resources_of_a_plan_are_made_or_leave_nothing() {
    for profile in old_and_new() {
        let rig = Rig::new(profile);
        rig.control().allow_aliasing(true);
        let mut transients = transients(&rig);
        free_all(&rig, transients.plan(&frame(&transients, 512)).expect("there is memory").outdated);
        let device = rig.vulkan.device();
        let images = fail_each_attempt(&rig, &|probe: &Probe<'_>| {
            let look = |(): &()| transients.layout().clone();
            // SAFETY: the create-info is valid; it is destroyed below, unused.
            let image = probe.attempt(&mut (), look, |()| unsafe { transients.create_image(1, &target(256)) });
            // SAFETY: the GPU has never seen it.
            unsafe { device.destroy_image(image, None) };
        });
        let buffers = fail_each_attempt(&rig, &|probe: &Probe<'_>| {
            let (look, info) = (|(): &()| transients.layout().clone(), buffer_info(mib(1)));
            // SAFETY: as above.
            let buffer = probe.attempt(&mut (), look, |()| unsafe { transients.create_buffer(3, &info) });
            // SAFETY: the GPU has never seen it.
            unsafe { device.destroy_buffer(buffer, None) };
        });
        for tally in [images, buffers] {
            assert!(tally.failed >= 5 && tally.survived == 0, "{tally:?}");
        }
        drop(transients);
        rig.finish();
    }
}
