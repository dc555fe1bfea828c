//! What a reading of the library against its contract found wrong, each with the case that showed it.

mod common;

use ash::vk;
use common::{Rig, attempts, image_info, linear, mib, requirements, state_of};
use freestone::sim::{Function, KIB, Profile};
use freestone::{
    Algorithm, AliasError, Allocation, AllocationCreateInfo, AllocationError, AllocationRequirements, AttemptKind,
    CreatePoolError, CustomPool, DedicatedPreference, DedicatedUse, Intent, Kind, PoolCreateInfo, Reason,
};

fn free_all(rig: &Rig, allocations: impl IntoIterator<Item = Allocation>) {
    allocations.into_iter().for_each(|allocation| rig.free(allocation).expect("it is alive"));
}

fn pool_of(rig: &Rig, info: &PoolCreateInfo) -> CustomPool {
    rig.create_pool(info).expect("there is memory")
}

/// An attachment whose contents no frame keeps.
fn transient_image() -> vk::ImageCreateInfo<'static> {
    image_info(64)
        .usage(vk::ImageUsageFlags::TRANSIENT_ATTACHMENT | vk::ImageUsageFlags::COLOR_ATTACHMENT)
        .flags(vk::ImageCreateFlags::ALIAS)
}

/// Lets every mapping fail.
fn fail_mappings(rig: &Rig) {
    rig.control()
        .fail_when(|call| (call.function == Function::MapMemory).then_some(vk::Result::ERROR_MEMORY_MAP_FAILED));
}

#[test]
fn lazy_memory_that_can_alias_carries_no_dedicated_info() {
    let rig = Rig::new(Profile::noncoherent());
    let info = transient_image();
    let wishes = AllocationCreateInfo::transient().can_alias();
    // SAFETY: the create-info is valid; nothing is submitted.
    let (first, memory) = unsafe { rig.create_image(&info, &wishes) }.expect("there is lazy memory");
    assert_eq!(memory.memory_type_index(), 4, "the lazily allocated type");
    // SAFETY: as above.
    let second = unsafe { rig.create_aliasing_image(&info, &memory, 0) }.expect("the memory can alias");
    // SAFETY: the GPU has never seen it.
    unsafe { rig.vulkan.device().destroy_image(second, None) };
    // SAFETY: as above.
    unsafe { rig.destroy_image(first, memory) }.expect("it is alive");
    rig.finish();
}

#[test]
fn a_linear_resource_stays_off_the_pages_of_non_linear_neighbours() {
    let rig = Rig::new(Profile::noncoherent());
    let wishes = AllocationCreateInfo::gpu_only().can_alias();
    let room = rig.allocate(&requirements(4096, 256, Kind::NonLinear), &wishes).expect("there is memory");
    let neighbour = rig.allocate(&requirements(4096, 256, Kind::NonLinear), &wishes).expect("there is memory");
    let page = |allocation: &Allocation| (allocation.memory(), allocation.offset() / (64 * KIB));
    assert_eq!(page(&room), page(&neighbour), "kinds have blocks of their own here: pages are shared within a kind");
    // SAFETY: the create-info is valid; nothing is submitted.
    let refused = unsafe { rig.create_aliasing_buffer(&common::buffer_info(256), &room, 0) };
    assert!(matches!(refused, Err(AllocationError::Alias(AliasError::SharedPage { .. }))), "{refused:?}");
    free_all(&rig, [room, neighbour]);
    rig.finish();
}

#[test]
fn what_no_slot_can_serve_opens_no_memory_and_is_planned_so() {
    let rig = Rig::new(Profile::discrete_rebar());
    let pool = pool_of(&rig, &PoolCreateInfo::for_memory_type(0).algorithm(Algorithm::Fixed { slot_size: 6 * KIB }));
    let wishes = AllocationCreateInfo::gpu_only().pool(&pool);
    for request in [requirements(6 * KIB + 1, 256, Kind::Linear), requirements(100, 4096, Kind::Linear)] {
        let error = rig.allocate(&request, &wishes).expect_err("no slot is so large, or so aligned");
        assert_eq!(rig.control().count(Function::AllocateMemory), 0, "{request:?}: {error}");
        rig.plan(&request, &wishes).expect_err("a plan says what would happen");
        assert!(attempts(&error).iter().all(|record| record.attempt != AttemptKind::TrimHeap), "{error}");
    }
    rig.destroy_pool(pool).expect("nothing of it is alive");
    rig.finish();
}

#[test]
fn a_refused_block_of_slots_never_shrinks_below_a_slot() {
    let rig = Rig::new(Profile::discrete_rebar());
    let pool = pool_of(&rig, &PoolCreateInfo::for_memory_type(0).algorithm(Algorithm::Fixed { slot_size: mib(3) }));
    rig.control().refuse_allocations_above(Some(mib(1)));
    let wishes = AllocationCreateInfo::gpu_only().pool(&pool);
    let error = rig.allocate(&linear(100), &wishes).expect_err("no block of a slot is to be had");
    assert!(attempts(&error).iter().all(|record| record.bytes == 0 || record.bytes >= mib(3)), "{error}");
    assert_eq!(rig.control().count(Function::FreeMemory), 0, "nothing was opened in vain");
    rig.destroy_pool(pool).expect("nothing of it is alive");
    rig.finish();
}

#[test]
fn a_size_that_overflows_is_refused_with_a_reason() {
    let rig = Rig::new(Profile::discrete_rebar());
    for size in [u64::MAX, u64::MAX - 255, u64::MAX / 2, 1 << 63] {
        for alignment in [1, 256, 1 << 63] {
            for kind in [Kind::Linear, Kind::NonLinear] {
                let request = requirements(size, alignment, kind);
                let error =
                    rig.allocate(&request, &AllocationCreateInfo::gpu_only()).expect_err("no memory is so large");
                assert!(!attempts(&error).is_empty(), "{request:?}: {error}");
            }
        }
    }
    assert_eq!(rig.control().count(Function::AllocateMemory), 0);
    rig.finish();
}

#[test]
fn prewarmed_blocks_survive_others_that_become_empty() {
    let rig = Rig::new(Profile::discrete_rebar());
    rig.prewarm(Intent::GpuOnly, mib(96)).expect("there is memory");
    let wishes = AllocationCreateInfo::gpu_only();
    let live: Vec<_> = (0..120).map(|_| rig.allocate(&linear(mib(1)), &wishes).expect("there is memory")).collect();
    free_all(&rig, live);
    assert!(rig.statistics().total.empty_bytes >= mib(96), "{:?}", rig.statistics().total);
    for _ in 0..400 {
        rig.tick();
    }
    assert!(rig.statistics().total.empty_bytes >= mib(96), "{:?}", rig.statistics().total);
    rig.trim();
    assert_eq!(rig.statistics().total.reserved_bytes(), 0);
    rig.finish();
}

#[test]
fn memory_that_cannot_be_mapped_is_not_prewarmed() {
    let rig = Rig::new(Profile::discrete_rebar());
    fail_mappings(&rig);
    let before = state_of(&rig);
    rig.prewarm(Intent::Upload, mib(4)).expect_err("no allocation of the intent would find room in it");
    assert_eq!(state_of(&rig), before);
    rig.finish();
}

#[test]
fn prewarming_lazy_memory_opens_nothing() {
    let rig = Rig::new(Profile::noncoherent());
    let before = rig.control().memory_object_count();
    let warmed = rig.prewarm(Intent::Transient, mib(1));
    assert_eq!(rig.control().memory_object_count(), before, "{warmed:?}: no transient image is ever placed there");
    rig.finish();
}

#[test]
fn a_memory_type_past_the_heaps_serves_no_pool() {
    let mut profile = Profile::discrete_rebar();
    profile.memory_types[1].heap_index = 7;
    let rig = Rig::new(profile);
    let refused = rig.create_pool(&PoolCreateInfo::for_memory_type(1));
    let _ = rig.statistics();
    assert!(refused.is_err(), "{refused:?}");
    rig.finish();
}

#[test]
fn a_pool_at_its_block_limit_uses_what_its_empty_blocks_hold() {
    let rig = Rig::new(Profile::discrete_rebar());
    let pool = pool_of(&rig, &PoolCreateInfo::for_memory_type(0).max_block_count(1));
    let wishes = AllocationCreateInfo::gpu_only().pool(&pool);
    let small = rig.allocate(&linear(100), &wishes).expect("there is memory");
    free_all(&rig, [small]);
    let large = rig.allocate(&linear(mib(2)), &wishes).expect("nothing of the pool is in use");
    free_all(&rig, [large]);
    rig.destroy_pool(pool).expect("nothing of it is alive");
    rig.finish();
}

/// Where the peak leaves room for both, so that only the pool's limit is in the way.
#[test]
fn at_its_block_limit_a_pool_gives_an_empty_block_up_for_a_larger_one() {
    let rig = Rig::new(Profile::discrete_rebar());
    let info = AllocationCreateInfo::gpu_only();
    let peak = rig.allocate(&linear(mib(64)), &info.dedicated(DedicatedUse::Always)).expect("there is memory");
    free_all(&rig, [peak]);
    let pool = pool_of(&rig, &PoolCreateInfo::for_memory_type(0).max_block_count(1));
    let wishes = info.pool(&pool);
    let small = rig.allocate(&linear(100), &wishes).expect("there is memory");
    free_all(&rig, [small]);
    assert_eq!(rig.statistics().total.empty_bytes, mib(1), "one small block is kept");
    let large = rig.allocate(&linear(mib(2)), &wishes).expect("the empty block makes way");
    let error = rig.allocate(&linear(mib(64)), &wishes).expect_err("nothing is empty now");
    let has_reason = attempts(&error).iter().any(|record| matches!(record.reason, Reason::BlockLimit { max: 1 }));
    assert!(has_reason, "{error}");
    free_all(&rig, [large]);
    rig.destroy_pool(pool).expect("nothing of it is alive");
    rig.finish();
}

#[test]
fn a_slot_serves_what_is_as_large_as_itself() {
    let rig = Rig::new(Profile::discrete_rebar());
    let pool = pool_of(&rig, &PoolCreateInfo::for_memory_type(0).algorithm(Algorithm::Fixed { slot_size: 6 * KIB }));
    let whole = rig.allocate(&linear(6 * KIB), &AllocationCreateInfo::gpu_only().pool(&pool)).expect("a slot");
    free_all(&rig, [whole]);
    rig.destroy_pool(pool).expect("nothing of it is alive");
    rig.finish();
}

/// What lazily allocated memory takes is known when it is looked at.
#[test]
fn lazy_memory_is_charged_with_what_it_has_committed() {
    let rig = Rig::new(Profile::noncoherent());
    // SAFETY: the create-info is valid; nothing is submitted.
    let (image, memory) = unsafe { rig.create_image(&transient_image(), &AllocationCreateInfo::transient()) }
        .expect("there is lazy memory");
    let heap = rig.properties().memory_types[memory.memory_type_index() as usize].heap_index as usize;
    let charged = |percent| {
        rig.control().set_lazy_commitment(percent);
        rig.tick();
        rig.statistics().heaps[heap].usage.own
    };
    assert_eq!(memory.size(), 64 * 64 * 4);
    // The driver reckons in whole hundredths of 163 bytes.
    assert_eq!([charged(100), charged(0), charged(50)], [16300, 0, 8150]);
    // SAFETY: the GPU has never seen it.
    unsafe { rig.destroy_image(image, memory) }.expect("it is alive");
    rig.finish();
}

#[test]
fn slots_larger_than_any_memory_object_are_refused() {
    let rig = Rig::new(Profile::discrete_rebar());
    for slot_size in [u64::MAX, u64::MAX / 2, 1 << 40] {
        let refused = rig.create_pool(&PoolCreateInfo::for_memory_type(0).algorithm(Algorithm::Fixed { slot_size }));
        assert!(matches!(refused, Err(CreatePoolError::SlotTooLarge { .. })), "{refused:?}");
    }
    rig.finish();
}

#[test]
fn a_linear_pool_names_the_limit_that_refused() {
    let rig = Rig::new(common::two_heaps(mib(800), mib(256)));
    let pool = pool_of(&rig, &PoolCreateInfo::for_memory_type(0).algorithm(Algorithm::Linear));
    let request = linear(mib(200));
    let error = rig
        .allocate(&request, &AllocationCreateInfo::gpu_only().pool(&pool))
        .expect_err("blocks end at an eighth of the heap");
    let named =
        attempts(&error).iter().any(|record| matches!(record.reason, Reason::TooLarge { limit } if limit < mib(200)));
    assert!(named, "{error}");
    rig.destroy_pool(pool).expect("nothing of it is alive");
    rig.finish();
}

#[test]
fn at_the_object_limit_a_mere_preference_for_dedicated_memory_shares() {
    let mut profile = common::two_heaps(mib(256), mib(256));
    profile.max_memory_allocation_count = 2;
    let rig = Rig::new(profile);
    let with_room = rig.allocate(&linear(mib(3)), &AllocationCreateInfo::upload()).expect("there is memory");
    let always = AllocationCreateInfo::gpu_only().dedicated(DedicatedUse::Always);
    let last_object = rig.allocate(&linear(mib(1)), &always).expect("there is memory");
    let preferred = AllocationRequirements { dedicated: DedicatedPreference::Preferred, ..linear(mib(1)) };
    let shared =
        rig.allocate(&preferred, &AllocationCreateInfo::gpu_only()).expect("a block of the next type has room");
    assert_eq!(shared.memory(), with_room.memory());
    free_all(&rig, [with_room, last_object, shared]);
    rig.finish();
}

#[test]
fn memory_that_could_not_be_mapped_serves_its_opener_alone() {
    let rig = Rig::new(Profile::unified());
    let control = rig.vulkan.control();
    control.fail_when(|call| (call.function == Function::MapMemory).then_some(vk::Result::ERROR_MEMORY_MAP_FAILED));
    let host_visible = AllocationRequirements { memory_type_bits: 0b10, ..linear(1000) };
    let unmapped = rig.allocate(&host_visible, &AllocationCreateInfo::gpu_only()).expect("the host is not needed");
    assert!(unmapped.mapped_ptr().is_none());
    let refused = rig.allocate(&linear(1000), &AllocationCreateInfo::upload());
    assert!(refused.is_err(), "an upload needs the host: {refused:?}");
    control.clear_faults();
    let before = control.count(Function::AllocateMemory);
    let uploads: Vec<Allocation> =
        (0..50).map(|_| rig.allocate(&linear(1000), &AllocationCreateInfo::upload()).expect("maps again")).collect();
    assert_eq!(control.count(Function::AllocateMemory) - before, 1, "one block serves all");
    assert!(uploads.iter().all(|upload| upload.mapped_ptr().is_some()));
    free_all(&rig, uploads);
    free_all(&rig, [unmapped]);
    rig.finish();
}

#[test]
fn prewarming_more_than_there_is_keeps_no_more_than_was_opened() {
    let rig = Rig::new(Profile::discrete_bar256());
    let control = rig.vulkan.control();
    control.fail_when(|call| (call.function == Function::AllocateMemory).then_some(vk::Result::ERROR_DEVICE_LOST));
    let lost = rig.prewarm(Intent::GpuOnly, mib(64));
    assert!(matches!(lost, Err(AllocationError::Driver { result: vk::Result::ERROR_DEVICE_LOST, .. })), "{lost:?}");
    control.clear_faults();
    let large: Vec<Allocation> = (0..40)
        .map(|_| rig.allocate(&linear(mib(8)), &AllocationCreateInfo::gpu_only()).expect("there is memory"))
        .collect();
    let small = rig.allocate(&linear(100), &AllocationCreateInfo::gpu_only()).expect("there is memory");
    free_all(&rig, large);
    assert!(rig.statistics().total.empty_bytes <= mib(64), "a failed prewarming keeps nothing beyond the policy");
    free_all(&rig, [small]);
    rig.finish();
}

#[test]
fn a_refused_opening_is_no_operation_on_the_budget() {
    let rig = Rig::new(Profile::discrete_rebar());
    rig.update_budget();
    rig.control().fail_when(|call| {
        (call.function == Function::AllocateMemory).then_some(vk::Result::ERROR_OUT_OF_DEVICE_MEMORY)
    });
    rig.allocate(&linear(1000), &AllocationCreateInfo::gpu_only()).expect_err("the driver refuses");
    assert_eq!(rig.budget_age().operations, 0, "nothing was opened or given back");
    rig.control().clear_faults();
    let allocation = rig.allocate(&linear(1000), &AllocationCreateInfo::gpu_only()).expect("there is memory");
    assert_eq!(rig.budget_age().operations, 1);
    free_all(&rig, [allocation]);
    rig.finish();
}
