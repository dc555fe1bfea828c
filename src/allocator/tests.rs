//! What cannot be told from outside: an allocator whose invariants are broken, and wishes that a driver grants anyway.

use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::atomic::Ordering;

use ash::vk;

use super::custom_pool::PoolCreateInfo;
use super::descent::{Descent, Perform};
use super::first_pools::FirstPools;
use super::request::AllocationRequest;
use super::{AllocationCreateInfo, AllocationRequirements, Allocator, AllocatorCreateInfo, DeviceAddress};
use crate::device::Site;
use crate::memory_type::{Bound, Charge, Intent};
use crate::pool::{AtLimit, Attempt, Kind};
use crate::sim::{Profile, SimDevice};
use crate::suballocator::Request;

/// Makes an allocator of a simulated device, which must outlive it, and a small request.
fn beginning(vulkan: &SimDevice) -> (Allocator, AllocationRequirements) {
    let info = AllocatorCreateInfo::new(vulkan.entry(), vulkan.instance(), vulkan.physical_device(), vulkan.device());
    #[expect(unsafe_code, reason = "a test makes its own allocator")]
    // SAFETY: the objects belong together; the tests below drop the allocator before the device.
    let allocator = unsafe { Allocator::new(info) }.expect("an allocator");
    let requirements = vk::MemoryRequirements { size: 256, alignment: 256, memory_type_bits: !0 };
    (allocator, AllocationRequirements::new(requirements, Kind::Linear, DeviceAddress::NotNeeded))
}

#[test]
fn a_broken_invariant_panics_once_while_unwinding() {
    let vulkan = SimDevice::new(Profile::unified());
    let unwound = catch_unwind(AssertUnwindSafe(|| {
        let (allocator, requirements) = beginning(&vulkan);
        let info = AllocationCreateInfo::upload();
        let allocation = allocator.allocate(&requirements, &info).expect("there is memory");
        let heap_index = allocator.heap_of(allocation.memory_type_index());
        allocator.free(allocation).expect("it is alive");
        let kept = allocator.budget().reserved_bytes();
        assert!(kept > 0, "one small block stays");
        // Now the budget knows nothing of the block that the drop gives back.
        drop(allocator.budget().begin_release(heap_index, Charge::whole(kept)));
        panic!("the first panic");
    }));
    let payload = unwound.expect_err("it panicked");
    assert_eq!(payload.downcast_ref::<&str>(), Some(&"the first panic"));
}

#[test]
fn a_transient_buffer_asks_for_no_lazy_memory() {
    let wished = [AllocationCreateInfo::transient(), AllocationCreateInfo::stream()];
    assert_eq!(wished.map(|info| info.for_buffer().intent), [Intent::GpuOnly, Intent::Stream]);
}

#[test]
fn the_table_of_first_pools_says_what_selector_and_pools_say() {
    let nothing = FirstPools::default();
    for profile in Profile::all() {
        let vulkan = SimDevice::new(profile);
        let (allocator, _) = beginning(&vulkan);
        let kinds = [Kind::Linear, Kind::NonLinear];
        for (intent, kind) in Intent::ALL.into_iter().flat_map(|intent| kinds.map(|kind| (intent, kind))) {
            let best = allocator.selector.best(&intent.into(), u32::MAX);
            let index = best.map(|index| allocator.pools.default_index(index, kind));
            let first = |bits| allocator.first_pools.get(intent, kind, bits).map(usize::from);
            assert_eq!(first(u32::MAX), index);
            assert_eq!(first(best.map_or(u32::MAX, |index| !(1 << index))), None, "the best one is not allowed");
            assert_eq!(nothing.get(intent, kind, u32::MAX), None);
        }
    }
}

#[test]
fn the_best_memory_type_is_the_one_that_serves() {
    for profile in Profile::all() {
        let vulkan = SimDevice::new(profile);
        let (allocator, requirements) = beginning(&vulkan);
        for intent in Intent::ALL {
            let allocation = allocator.allocate(&requirements, &AllocationCreateInfo::new(intent)).expect("memory");
            let types = allocator.memory_types_for(&AllocationCreateInfo::new(intent)).expect("there is one");
            assert_eq!(types.first(), Some(allocation.memory_type_index()), "{intent:?}");
            allocator.free(allocation).expect("it is alive");
        }
    }
}

#[test]
fn the_memory_types_of_a_pool_of_one_kind_are_its_own() {
    let vulkan = SimDevice::new(Profile::noncoherent());
    let (allocator, _) = beginning(&vulkan);
    for kind in [Kind::Linear, Kind::NonLinear] {
        let pool = allocator.create_pool(&PoolCreateInfo::for_memory_type(0).kind(kind)).expect("a pool");
        let types = allocator.memory_types_for(&AllocationCreateInfo::gpu_only().pool(&pool)).expect("there is one");
        assert_eq!(types.first(), Some(0), "{kind:?}");
        allocator.destroy_pool(pool).expect("nothing of it is alive");
    }
}

/// Between a thread's look at the blocks and its look at their number another one opens the only one that there may be.
#[test]
fn at_the_block_limit_the_blocks_are_looked_at_once_more() {
    let vulkan = SimDevice::new(Profile::discrete_rebar());
    let (allocator, requirements) = beginning(&vulkan);
    let info = PoolCreateInfo::for_memory_type(0).block_size(1 << 20).max_block_count(1);
    let custom = allocator.create_pool(&info).expect("a pool");
    let info = AllocationCreateInfo::gpu_only().pool(&custom);
    let first = allocator.allocate(&requirements, &info).expect("there is memory");
    let request = AllocationRequest::new(&requirements, &info);
    let request = request.for_pool(&custom.pool, Bound::WithinBudget).expect("it does not overflow");
    let growth = Attempt::Grow { bytes: 1 << 20 };
    let served = Perform::default().attempt(&allocator, &custom.pool, growth, &request);
    let (placement, _) = served.expect("the block is nearly empty");
    assert_eq!(placement.site.memory(), first.memory());
    custom.pool.free(allocator.backing(), placement.key, 0).expect("it is alive");
    allocator.free(first).expect("it is alive");
    allocator.destroy_pool(custom).expect("nothing of it is alive");
}

/// Who was refused by the limit looks whether there is a place by now: nobody is told that a pool is full which is not.
#[test]
fn a_pool_is_full_when_no_block_has_a_place() {
    let vulkan = SimDevice::new(Profile::discrete_rebar());
    let (allocator, requirements) = beginning(&vulkan);
    let requirements = AllocationRequirements { size: 1 << 20, ..requirements };
    let info = PoolCreateInfo::for_memory_type(0).block_size(1 << 20).max_block_count(2);
    let custom = allocator.create_pool(&info).expect("a pool");
    let info = AllocationCreateInfo::gpu_only().pool(&custom);
    let range = Request::new(1 << 20, 256);
    let first = allocator.allocate(&requirements, &info).expect("there is memory");
    assert!(matches!(custom.pool.allocate_at_limit(&range), AtLimit::Changed), "there may be another block");
    let second = allocator.allocate(&requirements, &info).expect("there is memory");
    assert!(matches!(custom.pool.allocate_at_limit(&range), AtLimit::Full), "both blocks are full");
    allocator.free(first).expect("it is alive");
    let AtLimit::Placed(placement) = custom.pool.allocate_at_limit(&range) else { panic!("a block is empty") };
    custom.pool.free(allocator.backing(), placement.key, 0).expect("it is alive");
    allocator.free(second).expect("it is alive");
    allocator.destroy_pool(custom).expect("nothing of it is alive");
}

#[test]
fn a_broken_invariant_of_a_pool_is_said() {
    let vulkan = SimDevice::new(Profile::unified());
    let (allocator, requirements) = beginning(&vulkan);
    let custom = allocator.create_pool(&PoolCreateInfo::for_intent(Intent::Upload)).expect("a pool");
    let info = AllocationCreateInfo::upload().pool(&custom);
    let live = allocator.allocate(&requirements, &info).expect("there is memory");
    let said = |invariant: &str| {
        let violation = allocator.validate().expect_err("it is broken");
        assert!(violation.starts_with(&format!("pool {}: ", custom.pool.index())), "{violation}");
        assert!(violation.contains(invariant), "{violation}");
    };
    assert_eq!(allocator.validate(), Ok(()));
    custom.pool.tamper(|_, allocated| *allocated = 0);
    said("pool I2");
    custom.pool.tamper(|_, allocated| *allocated = 1);
    let mut site = Site::NOWHERE;
    let mut swap_site =
        || custom.pool.tamper(|blocks, _| blocks.tamper_with_site(|own| core::mem::swap(own, &mut site)));
    swap_site();
    said("I4");
    swap_site();
    assert_eq!(allocator.validate(), Ok(()));
    allocator.free(live).expect("it is alive");
    allocator.destroy_pool(custom).expect("nothing of it is alive");
}

/// Keeps what is logged.
struct Ear(crate::sync::Mutex<Vec<(log::Level, String)>>);

impl log::Log for Ear {
    fn enabled(&self, _: &log::Metadata<'_>) -> bool {
        true
    }

    fn log(&self, record: &log::Record<'_>) {
        self.0.lock().push((record.level(), record.args().to_string()));
    }

    fn flush(&self) {}
}

static EAR: std::sync::OnceLock<Ear> = std::sync::OnceLock::new();

#[test]
fn what_was_never_freed_is_logged_where_nobody_listens() {
    let ear = EAR.get_or_init(|| Ear(crate::sync::Mutex::default()));
    log::set_logger(ear).expect("no other test of this program sets one");
    log::set_max_level(log::LevelFilter::Warn);
    let vulkan = SimDevice::new(Profile::unified());
    let (allocator, requirements) = beginning(&vulkan);
    let named = AllocationCreateInfo::upload().name("left behind by a test of the log");
    let left = allocator.allocate(&requirements, &named).expect("there is memory");
    drop(allocator);
    drop(left);
    let heard = ear.0.lock();
    let own = heard.iter().filter(|(_, text)| text.contains("left behind by a test of the log"));
    let levels: Vec<_> = own.map(|(level, _)| *level).collect();
    assert_eq!(levels, [log::Level::Warn]);
}

/// Two threads: one frees the last there is, and decides whether it may rest; the other uses memory meanwhile, and
/// frees it when the first has not yet decided.
#[test]
fn what_was_used_meanwhile_keeps_an_idle_allocator_from_resting() {
    let vulkan = SimDevice::new(Profile::unified());
    let (allocator, requirements) = beginning(&vulkan);
    let allocate = || allocator.allocate(&requirements, &AllocationCreateInfo::upload()).expect("there is memory");
    let held = allocate();
    let before = allocator.rested_at.load(Ordering::Relaxed);
    let uses: [(&str, &dyn Fn()); 2] = [
        ("freed", &|| allocator.free(allocate()).expect("it is alive")),
        ("taken back", &|| allocator.take_back(allocate())),
    ];
    for (what, use_memory) in uses {
        let use_count = allocator.pools.use_count();
        use_memory();
        allocator.rest(use_count, (before, 7));
        assert_eq!(allocator.rested_at.load(Ordering::Relaxed), before, "{what}");
    }
    allocator.rest(allocator.pools.use_count(), (before + 1, 7));
    assert_eq!(allocator.rested_at.load(Ordering::Relaxed), before, "somebody has trimmed");
    allocator.rest(allocator.pools.use_count(), (before, 7));
    assert_eq!(allocator.rested_at.load(Ordering::Relaxed), 7, "nobody has done anything");
    allocator.free(held).expect("it is alive");
}
