//! What `Control` promises: failures, delays, gates, budgets, callbacks.

use super::super::{Function, ObjectKind, Profile, SimDevice};
use super::{allocate, buffer, destroy_buffer, free, rules};
use ash::vk;
use core::ffi::c_void;
use core::time::Duration;

const OUT: vk::Result = vk::Result::ERROR_OUT_OF_DEVICE_MEMORY;
const LONG: Duration = Duration::from_secs(30);

#[test]
fn the_nth_call_fails_once() {
    let sim = SimDevice::new(Profile::unified());
    let before = sim.control().snapshot();
    sim.control().fail_nth(2, OUT);
    let one = buffer(&sim, 16);
    assert_eq!(allocate(&sim, 16, 0), Err(OUT));
    let memory = allocate(&sim, 16, 0).unwrap();
    sim.control().fail_nth_of(Function::AllocateMemory, 2, vk::Result::ERROR_TOO_MANY_OBJECTS);
    let second = allocate(&sim, 16, 0).unwrap();
    destroy_buffer(&sim, buffer(&sim, 16));
    assert_eq!(allocate(&sim, 16, 0), Err(vk::Result::ERROR_TOO_MANY_OBJECTS));
    let fired = [(Function::AllocateMemory, OUT), (Function::AllocateMemory, vk::Result::ERROR_TOO_MANY_OBJECTS)];
    assert_eq!(sim.control().faults_fired(), fired);
    free(&sim, memory);
    free(&sim, second);
    destroy_buffer(&sim, one);
    assert_eq!(sim.control().snapshot(), before);
    assert_eq!(sim.finish(), []);
}

#[test]
fn calls_fail_by_size_and_by_predicate() {
    let sim = SimDevice::new(Profile::unified());
    sim.control().refuse_allocations_above(Some(1024));
    assert_eq!(allocate(&sim, 1025, 0), Err(OUT));
    free(&sim, allocate(&sim, 1024, 0).unwrap());
    sim.control().refuse_allocations_above(None);
    sim.control().fail_when(|call| (call.memory_type_index == Some(1)).then_some(OUT));
    assert_eq!(allocate(&sim, 1025, 1), Err(OUT));
    free(&sim, allocate(&sim, 1025, 0).unwrap());
    sim.control().clear_faults();
    free(&sim, allocate(&sim, 1025, 1).unwrap());
    assert_eq!(sim.finish(), []);
}

#[test]
fn a_gate_holds_one_function_up_and_nothing_else() {
    let sim = SimDevice::new(Profile::unified());
    let gate = sim.control().block(Function::AllocateMemory);
    std::thread::scope(|scope| {
        let waiting = scope.spawn(|| allocate(&sim, 16, 0));
        assert!(gate.wait_for_arrivals(1, LONG));
        destroy_buffer(&sim, buffer(&sim, 16));
        assert_eq!(sim.control().live(ObjectKind::DeviceMemory), 0);
        gate.open();
        free(&sim, waiting.join().unwrap().unwrap());
    });
    assert_eq!(gate.arrivals(), 1);
    free(&sim, allocate(&sim, 16, 0).unwrap());
    assert_eq!(sim.finish(), []);
}

#[test]
#[cfg_attr(miri, ignore = "needs the clock")]
fn a_delayed_call_takes_its_time() {
    let sim = SimDevice::new(Profile::unified());
    sim.control().delay(Function::AllocateMemory, Duration::from_millis(20));
    let start = std::time::Instant::now();
    free(&sim, allocate(&sim, 16, 0).unwrap());
    assert!(start.elapsed() >= Duration::from_millis(20));
    sim.control().delay(Function::AllocateMemory, Duration::ZERO);
}

fn budget(sim: &SimDevice) -> (u64, u64) {
    let mut budget = vk::PhysicalDeviceMemoryBudgetPropertiesEXT::default();
    let mut properties = vk::PhysicalDeviceMemoryProperties2::default().push_next(&mut budget);
    // SAFETY: the physical device is of this instance.
    unsafe {
        sim.instance().get_physical_device_memory_properties2(sim.physical_device(), &mut properties);
    };
    (budget.heap_usage[0], budget.heap_budget[0])
}

#[test]
fn budgets_follow_the_books_and_the_tester() {
    let sim = SimDevice::new(Profile::unified());
    let size = sim.profile().heaps[0].size;
    assert_eq!(budget(&sim), (0, size));
    let memory = allocate(&sim, 100, 0).unwrap();
    sim.control().set_foreign_usage(0, 1000);
    assert_eq!(budget(&sim), (4096, size - 1000));
    sim.control().set_budget(0, Some(0));
    assert_eq!(budget(&sim), (4096, 0));
    assert_eq!(sim.control().budget_queries(), 3);
    free(&sim, memory);
    let without = SimDevice::new(Profile::unified().without_extension(c"VK_EXT_memory_budget"));
    assert_eq!(budget(&without), (0, 0));
    assert_eq!(rules(&without), ["VUID-VkPhysicalDeviceMemoryProperties2-pNext-pNext"]);
}

/// What a host allocator has given out and not got back.
struct Given(Vec<*mut u8>);

const LAYOUT: std::alloc::Layout = match std::alloc::Layout::from_size_align(64, 16) {
    Ok(layout) => layout,
    Err(_) => unreachable!(),
};

unsafe extern "system" fn give(
    user_data: *mut c_void,
    size: usize,
    alignment: usize,
    _: vk::SystemAllocationScope,
) -> *mut c_void {
    assert_eq!((size, alignment), (LAYOUT.size(), LAYOUT.align()));
    // SAFETY: the layout is not empty.
    let memory = unsafe { std::alloc::alloc(LAYOUT) };
    // SAFETY: the user data is a live `Given`, used by one thread.
    unsafe { (*user_data.cast::<Given>()).0.push(memory) };
    memory.cast()
}

unsafe extern "system" fn take_back(user_data: *mut c_void, memory: *mut c_void) {
    // SAFETY: the user data is a live `Given`, used by one thread.
    let given = unsafe { &mut *user_data.cast::<Given>() };
    given.0.retain(|given| *given != memory.cast());
    // SAFETY: `give` took it with this layout.
    unsafe { std::alloc::dealloc(memory.cast(), LAYOUT) };
}

#[test]
fn allocation_callbacks_are_called_recorded_and_compared() {
    let sim = SimDevice::new(Profile::unified());
    let mut given = Given(Vec::new());
    let mut callbacks = vk::AllocationCallbacks::default().user_data((&raw mut given).cast());
    callbacks.pfn_allocation = Some(give);
    callbacks.pfn_free = Some(take_back);
    let info = vk::BufferCreateInfo::default().size(16).usage(vk::BufferUsageFlags::TRANSFER_SRC);
    // SAFETY: the device, the create-info and the callbacks are valid.
    let one = unsafe { sim.device().create_buffer(&info, Some(&callbacks)) }.unwrap();
    assert_eq!(sim.control().callback_uses().len(), 1);
    // SAFETY: as above.
    unsafe { sim.device().destroy_buffer(one, Some(&callbacks)) };
    assert_eq!(rules(&sim), [""; 0]);
    // SAFETY: as above.
    let two = unsafe { sim.device().create_buffer(&info, Some(&callbacks)) }.unwrap();
    destroy_buffer(&sim, two);
    assert_eq!(rules(&sim), ["VUID-vkDestroyBuffer-buffer-00923"]);
    let three = buffer(&sim, 16);
    // SAFETY: wrong on purpose, the driver's to find.
    unsafe { sim.device().destroy_buffer(three, Some(&callbacks)) };
    assert_eq!(rules(&sim), ["VUID-vkDestroyBuffer-buffer-00924"]);
    assert_eq!(sim.control().count(Function::DestroyBuffer), 3);
    assert_eq!(given.0.len(), 1, "the second one's memory could not be given back");
    for memory in given.0 {
        // SAFETY: `give` took it with this layout, and nobody gave it back.
        unsafe { std::alloc::dealloc(memory, LAYOUT) };
    }
}

#[test]
fn threads_agree_with_the_books() {
    let rounds = if cfg!(miri) { 4 } else { 500 };
    let sim = SimDevice::new(Profile::unified());
    let before = sim.control().snapshot();
    std::thread::scope(|scope| {
        for _ in 0..4 {
            scope.spawn(|| {
                for size in 1..rounds {
                    let (memory, one) = (allocate(&sim, size * 16, 1).unwrap(), buffer(&sim, size));
                    super::bind_buffer(&sim, one, memory, 0).unwrap();
                    destroy_buffer(&sim, one);
                    free(&sim, memory);
                }
            });
        }
    });
    assert_eq!(sim.control().snapshot(), before);
    assert_eq!(sim.control().count(Function::AllocateMemory), 4 * (rounds - 1));
    assert_eq!(sim.finish(), []);
}

#[test]
fn every_failure_of_a_sequence_can_be_played() {
    let sim = SimDevice::new(Profile::unified());
    let attempt = || {
        let memory = allocate(&sim, 16, 1)?;
        let mapped = super::map(&sim, memory, 0, 16);
        free(&sim, memory);
        mapped.map(|_| ())
    };
    let (outcome, failures) = sim.control().failures_during(attempt);
    assert_eq!(outcome, Ok(()));
    let expected = Function::AllocateMemory.failures().len() + Function::MapMemory.failures().len();
    assert_eq!(failures.len(), expected);
    let before = sim.control().snapshot();
    for failure in &failures {
        sim.control().arm(failure);
        assert_eq!(attempt(), Err(failure.result), "{failure:?}");
        assert_eq!(sim.control().snapshot(), before, "{failure:?}");
    }
    assert_eq!(sim.finish(), []);
}

#[test]
fn a_heap_can_be_left_with_little() {
    let sim = SimDevice::new(Profile::unified());
    let first = allocate(&sim, 4096, 0).unwrap();
    sim.control().leave_free(0, 8192);
    assert_eq!(allocate(&sim, 8193, 0), Err(OUT));
    let rest = allocate(&sim, 8192, 0).unwrap();
    free(&sim, rest);
    free(&sim, first);
    assert_eq!(sim.finish(), []);
}

/// Also with results that the specification does not list for the function: drivers do that.
#[test]
fn any_call_can_fail_with_any_result() {
    let sim = SimDevice::new(Profile::unified());
    let results = [OUT, vk::Result::ERROR_DEVICE_LOST, vk::Result::ERROR_UNKNOWN, vk::Result::ERROR_FRAGMENTATION];
    let memory = allocate(&sim, 4096, 1).unwrap();
    for result in results {
        let fail = |function| sim.control().fail_nth_of(function, 1, result);
        fail(Function::AllocateMemory);
        assert_eq!(allocate(&sim, 16, 0), Err(result));
        fail(Function::MapMemory);
        assert_eq!(super::map(&sim, memory, 0, 16), Err(result));
        fail(Function::BindBufferMemory);
        let one = buffer(&sim, 16);
        assert_eq!(super::bind_buffer(&sim, one, memory, 0), Err(result));
        destroy_buffer(&sim, one);
        fail(Function::CreateBuffer);
        let info = vk::BufferCreateInfo::default().size(16).usage(vk::BufferUsageFlags::TRANSFER_SRC);
        // SAFETY: the device and the create-info are valid.
        assert_eq!(unsafe { sim.device().create_buffer(&info, None) }, Err(result));
        fail(Function::DeviceWaitIdle);
        // SAFETY: the device is valid.
        assert_eq!(unsafe { sim.device().device_wait_idle() }, Err(result));
    }
    free(&sim, memory);
    assert_eq!(sim.control().faults_fired().len(), 5 * results.len());
    assert_eq!(sim.finish(), []);
}

/// A budget that shrinks, a heap that fills up and empties again, while memory is held.
#[test]
fn budget_and_room_change_under_way() {
    let sim = SimDevice::new(Profile::discrete_bar256());
    let size = sim.profile().heaps[2].size;
    let half = allocate(&sim, size / 2, 4).unwrap();
    sim.control().set_foreign_usage(2, size / 2 - 65_536);
    assert_eq!(allocate(&sim, 65_537, 4), Err(OUT), "the heap has one page left");
    let page = allocate(&sim, 65_536, 4).unwrap();
    assert_eq!(allocate(&sim, 1, 4), Err(OUT), "the heap is full");
    sim.control().set_budget(2, Some(1));
    free(&sim, half);
    let again = allocate(&sim, size / 2, 4).unwrap();
    assert_eq!(sim.control().heap(2).unwrap().budget(), 1, "a budget is advice: the driver serves beyond it");
    free(&sim, page);
    free(&sim, again);
    assert_eq!(sim.finish(), []);
}

#[test]
fn a_wait_that_nothing_ends_is_given_up_and_recorded() {
    let sim = SimDevice::new(Profile::unified());
    let device = sim.device();
    sim.control().set_patience(Duration::from_millis(1));
    // SAFETY: the device and the create-info are valid.
    let fence = unsafe { device.create_fence(&vk::FenceCreateInfo::default(), None) }.unwrap();
    // SAFETY: the fence is alive. A wait with a limit is no mistake, however long it is beside the patience.
    assert_eq!(unsafe { device.wait_for_fences(&[fence], true, 20_000_000) }, Err(vk::Result::TIMEOUT));
    assert_eq!(sim.control().violation_count(), 0);
    // SAFETY: the fence is alive; that nobody signals it is the driver's to find.
    let waited = unsafe { device.wait_for_fences(&[fence], true, u64::MAX) };
    assert_eq!(waited, Err(vk::Result::ERROR_DEVICE_LOST));
    assert_eq!(rules(&sim), ["SIM-endless-wait"]);
    // SAFETY: no submission uses the fence.
    unsafe { device.destroy_fence(fence, None) };
    assert_eq!(sim.finish(), []);
}
