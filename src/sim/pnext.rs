//! Walks `pNext` chains.
//!
//! The one place that trusts `sType`: a structure that carries the tag of `T` is a `T`.

use ash::vk;
use core::ffi::c_void;

/// Returns the first structure of type `T` in an input chain.
///
/// # Safety
///
/// 1. `next` is null or starts a valid chain that lives for `'a`, as the Vulkan specification demands of `pNext`.
pub(super) unsafe fn find<'a, T: vk::TaggedStructure>(next: *const c_void) -> Option<&'a T> {
    // SAFETY: duty 1 is the caller's; the chain is only read.
    let found = unsafe { find_pointer(next.cast(), T::STRUCTURE_TYPE) };
    // SAFETY: a structure tagged with `T::STRUCTURE_TYPE` is a `T`, valid for `'a` (1).
    unsafe { found.cast::<T>().as_ref() }
}

/// Returns the first structure of type `T` in an output chain, to be filled.
///
/// # Safety
///
/// 1. As for `find`; and nothing else refers to the structures of the chain during `'a`.
pub(super) unsafe fn find_mut<'a, T: vk::TaggedStructure>(next: *mut c_void) -> Option<&'a mut T> {
    // SAFETY: duty 1 is the caller's; the chain is only read here.
    let found = unsafe { find_pointer(next.cast_const().cast(), T::STRUCTURE_TYPE) };
    // SAFETY: a structure tagged with `T::STRUCTURE_TYPE` is a `T`, valid and unshared for `'a` (1).
    unsafe { found.cast_mut().cast::<T>().as_mut() }
}

/// Returns the address of the first structure with that tag, or null.
///
/// # Safety
///
/// 1. `next` is null or starts a valid chain.
pub(super) unsafe fn find_pointer(mut next: *const vk::BaseInStructure<'_>, tag: vk::StructureType) -> *const c_void {
    // SAFETY: each pointer of the chain is null or valid (1).
    while let Some(structure) = unsafe { next.as_ref() } {
        if structure.s_type == tag {
            return next.cast();
        }
        next = structure.p_next.cast();
    }
    core::ptr::null()
}

/// Returns the tags of the structures in a chain, in order.
///
/// # Safety
///
/// 1. `next` is null or starts a valid chain.
pub(super) unsafe fn tags(next: *const c_void) -> Vec<vk::StructureType> {
    let mut next: *const vk::BaseInStructure<'_> = next.cast();
    let mut tags = Vec::new();
    // SAFETY: each pointer of the chain is null or valid (1).
    while let Some(structure) = unsafe { next.as_ref() } {
        tags.push(structure.s_type);
        next = structure.p_next.cast();
    }
    tags
}

/// Returns the array that Vulkan passes as a count and a pointer.
///
/// # Safety
///
/// 1. `pointer` is null or points to `count` valid values that live for `'a`.
pub(super) unsafe fn array<'a, T>(pointer: *const T, count: u32) -> &'a [T] {
    if pointer.is_null() {
        return &[];
    }
    // SAFETY: not null, hence valid for `count` values (1).
    unsafe { core::slice::from_raw_parts(pointer, count as usize) }
}

/// Answers a call of Vulkan's "tell the count, then fill the array" kind.
///
/// # Safety
///
/// 1. `output` is null or points to room for `*count` values.
pub(super) unsafe fn enumerate<T: Clone>(values: &[T], count: &mut u32, output: *mut T) -> vk::Result {
    let total = u32::try_from(values.len()).unwrap_or(u32::MAX);
    if output.is_null() {
        *count = total;
        return vk::Result::SUCCESS;
    }
    let room = *count;
    *count = total.min(room);
    for (index, value) in values.iter().take(room as usize).enumerate() {
        // SAFETY: `index < *count`, so it is inside the room (1).
        let place = unsafe { output.add(index) };
        // SAFETY: the place is inside the room (1), and may be uninitialised: `write` does not drop.
        unsafe { place.write(value.clone()) };
    }
    if total > room { vk::Result::INCOMPLETE } else { vk::Result::SUCCESS }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn finds_the_tagged_structure_and_only_that() {
        let mut budget = vk::PhysicalDeviceMemoryBudgetPropertiesEXT::default();
        let mut head = vk::PhysicalDeviceMemoryProperties2::default().push_next(&mut budget);
        let chain: *mut c_void = (&raw mut head).cast();
        // SAFETY: the chain is valid and nothing else refers to it.
        let found = unsafe { find_mut::<vk::PhysicalDeviceMemoryBudgetPropertiesEXT<'_>>(chain) };
        found.unwrap().heap_usage[0] = 7;
        // SAFETY: the chain is valid.
        let missing = unsafe { find::<vk::MemoryAllocateInfo<'_>>(chain) };
        assert!(missing.is_none());
        assert_eq!(budget.heap_usage[0], 7);
    }

    #[test]
    fn enumerates_in_two_calls_and_says_when_room_is_short() {
        let values = [1_u8, 2, 3];
        let mut count = 0;
        // SAFETY: a null output is allowed.
        let first = unsafe { enumerate(&values, &mut count, core::ptr::null_mut()) };
        assert_eq!((first, count), (vk::Result::SUCCESS, 3));
        let mut room = [0; 2];
        count = 2;
        // SAFETY: there is room for two values.
        let second = unsafe { enumerate(&values, &mut count, room.as_mut_ptr()) };
        assert_eq!((second, count, room), (vk::Result::INCOMPLETE, 2, [1, 2]));
    }
}
