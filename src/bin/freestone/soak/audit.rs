//! The books: what the allocator counts, what the driver was asked for at the function table, and what the soak knows.
//!
//! Asked while no thread works, since the counters of several pools are of several moments otherwise.

use freestone::Allocator;

use crate::vulkan::Counter;

/// Checks every invariant, and every counter against every other.
///
/// # Errors
/// The first that is wrong.
pub(crate) fn audit(allocator: &Allocator, counter: &Counter, live_count: u64) -> Result<(), String> {
    allocator.validate()?;
    let (statistics, asked) = (allocator.statistics(), counter.count());
    let total = statistics.total;
    equal("allocations alive", total.allocation_count, live_count)?;
    equal("allocations made less freed", total.allocated_count - total.freed_count, live_count)?;
    equal("reserved bytes", total.reserved_bytes(), asked.live_bytes)?;
    equal("memory objects", total.object_count(), asked.allocations - asked.frees)?;
    equal("memory objects in the budget", u64::from(statistics.object_count), total.object_count())?;
    for heap in &statistics.heaps {
        let reserved = heap.counters.reserved_bytes();
        let what = format!("own usage of heap {}", heap.heap_index);
        // Lazily allocated memory is charged by its commitment, which may be less.
        if heap.usage.own > reserved {
            return Err(format!("{what}: {} bytes, but {reserved} are reserved", heap.usage.own));
        }
        at_most("bytes of allocations", heap.counters.allocation_bytes, reserved)?;
        at_most("bytes of empty blocks", heap.counters.empty_bytes, heap.counters.block_bytes)?;
    }
    let found = allocator.detailed_statistics();
    equal("used ranges", found.ranges.used_count, live_count)?;
    equal("blocks walked", found.blocks.len() as u64, total.object_count())?;
    let ranges = found.ranges;
    let bytes = ranges.used_bytes + ranges.free_bytes + ranges.free_slot_bytes + ranges.unusable_bytes;
    equal("bytes of all ranges", bytes, total.reserved_bytes())
}

/// Checks that nothing is left of all that was made.
///
/// # Errors
/// What is left.
pub(crate) fn nothing_left(counter: &Counter) -> Result<(), String> {
    let count = counter.count();
    equal("bytes left at the driver", count.live_bytes, 0)?;
    equal("memory objects freed", count.frees, count.allocations)
}

fn equal(what: &str, found: u64, expected: u64) -> Result<(), String> {
    if found == expected { Ok(()) } else { Err(format!("{what}: {found}, but {expected} are expected")) }
}

fn at_most(what: &str, found: u64, limit: u64) -> Result<(), String> {
    if found <= limit { Ok(()) } else { Err(format!("{what}: {found}, which is more than {limit}")) }
}

#[cfg(test)]
mod tests {
    use super::{audit, nothing_left};
    use crate::stage::Stage;
    use crate::vulkan::Layers;
    use freestone::{AllocationCreateInfo, Intent};

    #[test]
    fn a_wrong_count_and_what_is_left_are_found() {
        let stage = Stage::open(&"sim:unified".parse().expect("good"), Layers::Off).expect("a device");
        let counter = stage.counter();
        let allocator = stage.allocator(&counter).expect("an allocator");
        let info = ash::vk::BufferCreateInfo::default().size(64).usage(ash::vk::BufferUsageFlags::TRANSFER_SRC);
        // SAFETY: the create-info is valid; nothing is submitted.
        let made = unsafe { allocator.create_buffer(&info, &AllocationCreateInfo::new(Intent::GpuOnly)) };
        let (buffer, memory) = made.expect("a buffer");
        assert_eq!(audit(&allocator, &counter, 1), Ok(()));
        assert!(audit(&allocator, &counter, 2).is_err_and(|what| what.starts_with("allocations alive: 1")));
        assert!(nothing_left(&counter).is_err_and(|what| what.starts_with("bytes left at the driver: ")));
        // SAFETY: the GPU has never seen it.
        unsafe { allocator.destroy_buffer(buffer, memory) }.expect("it is alive");
        drop(allocator);
        assert_eq!(nothing_left(&counter), Ok(()));
    }
}
