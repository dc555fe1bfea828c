//! What a plan must know of a device: which memory types the wishes allow, and which of them are lazily allocated.

use ash::vk;

use super::plan::Rules;
use crate::allocator::{AllocationCreateInfo, AllocationError, Allocator};
use crate::memory_type::Intent;

/// Returns the rules of a device, for memory with these wishes.
///
/// # Errors
/// Why no memory type allows them.
pub(super) fn rules(
    allocator: &Allocator,
    info: &AllocationCreateInfo<'_>,
) -> Result<Rules<impl Fn(u32) -> Option<u32>>, AllocationError> {
    let types = allocator.memory_types_for(info)?;
    Ok(Rules {
        granularity: allocator.granularity(),
        lazy_types: lazy_types(allocator, info),
        best: move |mask| types.iter().find(|index| mask & (1 << index) != 0),
    })
}

/// Returns the wishes for lazily allocated memory.
pub(super) fn lazily<'a>(info: &AllocationCreateInfo<'a>) -> AllocationCreateInfo<'a> {
    let mut wishes = *info;
    wishes.intent = Intent::Transient;
    wishes
}

/// Returns the lazily allocated memory types that the wishes allow.
fn lazy_types(allocator: &Allocator, info: &AllocationCreateInfo<'_>) -> u32 {
    let types = allocator.memory_types_for(&lazily(info));
    types.map_or(0, |types| types.iter().filter(|&it| is_lazy(allocator, it)).fold(0, |mask, it| mask | 1 << it))
}

pub(super) fn is_lazy(allocator: &Allocator, memory_type_index: u32) -> bool {
    allocator.properties().flags_of(memory_type_index).contains(vk::MemoryPropertyFlags::LAZILY_ALLOCATED)
}
