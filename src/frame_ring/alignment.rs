//! *Policy*: what an offset in a ring's buffer must be a multiple of. Pure functions of plain data.
//!
//! Two demands meet: that of the buffer's usage, a power of two taken from the device's limits, and the caller's own,
//! which need not be one (a vertex stride, a texel of 12 bytes). A multiple of both satisfies either.

use ash::vk;
use ash::vk::BufferUsageFlags as Usage;

use crate::device::Properties;
use crate::suballocator::align;

/// What no usage that Vulkan knows today exceeds, in bytes; for usages that this file does not know.
///
/// # Source
/// Vulkan specification, "Required Limits": the alignments of offsets are at most 256.
const UNKNOWN_USAGE: u64 = 256;

/// Returns what every offset must be a multiple of for the usages of a buffer, in bytes.
///
/// # Source
/// The limits: VUID-VkWriteDescriptorSet-descriptorType-00327, -00328, VUID-VkBufferViewCreateInfo-offset-02749.
/// Copies, indices and indirect commands: multiples of 4. Addresses: 16, the alignment that shaders assume of a
/// reference unless told otherwise, and that acceleration structures ask of transforms. Shader binding tables: the
/// largest base alignment.
pub(super) fn of_usage(usage: Usage, properties: &Properties) -> u64 {
    let copies = properties.optimal_buffer_copy_offset_alignment.max(4);
    let fours = Usage::INDEX_BUFFER
        | Usage::VERTEX_BUFFER
        | Usage::INDIRECT_BUFFER
        | Usage::CONDITIONAL_RENDERING_EXT
        | Usage::TRANSFORM_FEEDBACK_BUFFER_EXT
        | Usage::TRANSFORM_FEEDBACK_COUNTER_BUFFER_EXT;
    let known = [
        (Usage::UNIFORM_BUFFER, properties.min_uniform_buffer_offset_alignment),
        (Usage::STORAGE_BUFFER, properties.min_storage_buffer_offset_alignment),
        (Usage::UNIFORM_TEXEL_BUFFER | Usage::STORAGE_TEXEL_BUFFER, properties.min_texel_buffer_offset_alignment),
        (Usage::TRANSFER_SRC | Usage::TRANSFER_DST, copies),
        (fours, 4),
        (Usage::SHADER_DEVICE_ADDRESS | Usage::ACCELERATION_STRUCTURE_BUILD_INPUT_READ_ONLY_KHR, 16),
        (Usage::SHADER_BINDING_TABLE_KHR, 64),
    ];
    let unknown = known.iter().fold(usage, |rest, (flags, _)| rest & !*flags);
    let least = if unknown.is_empty() { 1 } else { UNKNOWN_USAGE };
    known.iter().filter(|(flags, _)| usage.intersects(*flags)).fold(least, |most, &(_, alignment)| most.max(alignment))
}

/// Returns the smallest number that is a multiple of both; `None` where one is 0 or it does not fit a `u64`.
#[inline]
pub(super) fn combine(one: vk::DeviceSize, other: vk::DeviceSize) -> Option<u64> {
    if one.is_power_of_two() && other.is_power_of_two() {
        return Some(one.max(other));
    }
    if one == 0 || other == 0 {
        return None;
    }
    let (mut divisor, mut rest) = (one, other);
    while rest != 0 {
        (divisor, rest) = (rest, divisor % rest);
    }
    (one / divisor).checked_mul(other)
}

/// Returns the smallest multiple of `alignment`, any number above 0, that is at least `value`; `None` where it does not
/// fit a `u64`. Nearly all are powers of two, which need no division.
#[inline]
pub(super) fn align_up(value: u64, alignment: u64) -> Option<u64> {
    if alignment.is_power_of_two() {
        return align::align_up(value, alignment);
    }
    value.checked_next_multiple_of(alignment)
}

/// Returns how many bytes may have to be left out before a multiple of `alignment` is reached, from a multiple of
/// `unit`, a power of two.
#[inline]
pub(super) fn padding(unit: u64, alignment: u64) -> u64 {
    if alignment.is_power_of_two() && alignment <= unit { 0 } else { alignment - 1 }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn properties() -> Properties {
        Properties {
            min_uniform_buffer_offset_alignment: 256,
            min_storage_buffer_offset_alignment: 64,
            min_texel_buffer_offset_alignment: 32,
            optimal_buffer_copy_offset_alignment: 128,
            ..Properties::default()
        }
    }

    #[test]
    fn each_usage_brings_its_own() {
        let of = |usage| of_usage(usage, &properties());
        assert_eq!(of(Usage::UNIFORM_BUFFER), 256);
        assert_eq!(of(Usage::STORAGE_BUFFER), 64);
        assert_eq!(of(Usage::STORAGE_TEXEL_BUFFER), 32);
        assert_eq!(of(Usage::TRANSFER_SRC), 128);
        assert_eq!(of(Usage::VERTEX_BUFFER | Usage::INDEX_BUFFER), 4);
        assert_eq!(of(Usage::VERTEX_BUFFER | Usage::SHADER_DEVICE_ADDRESS), 16);
        assert_eq!(of(Usage::STORAGE_BUFFER | Usage::UNIFORM_BUFFER | Usage::INDEX_BUFFER), 256);
        assert_eq!(of(Usage::ACCELERATION_STRUCTURE_STORAGE_KHR | Usage::INDEX_BUFFER), 256, "not known here");
        assert_eq!(of_usage(Usage::TRANSFER_SRC, &Properties::default()), 4);
    }

    #[test]
    fn no_usage_that_is_known_is_taken_for_an_unknown_one() {
        for (usage, expected) in [
            (Usage::UNIFORM_TEXEL_BUFFER, 32),
            (Usage::TRANSFER_DST, 128),
            (Usage::INDEX_BUFFER, 4),
            (Usage::VERTEX_BUFFER, 4),
            (Usage::INDIRECT_BUFFER, 4),
            (Usage::CONDITIONAL_RENDERING_EXT, 4),
            (Usage::TRANSFORM_FEEDBACK_BUFFER_EXT, 4),
            (Usage::TRANSFORM_FEEDBACK_COUNTER_BUFFER_EXT, 4),
            (Usage::SHADER_DEVICE_ADDRESS, 16),
            (Usage::ACCELERATION_STRUCTURE_BUILD_INPUT_READ_ONLY_KHR, 16),
            (Usage::SHADER_BINDING_TABLE_KHR, 64),
            (Usage::empty(), 1),
        ] {
            assert_eq!(of_usage(usage, &properties()), expected, "{usage:?}");
        }
    }

    #[test]
    fn the_common_multiple_satisfies_both() {
        assert_eq!(combine(256, 64), Some(256));
        assert_eq!(combine(256, 12), Some(768));
        assert_eq!(combine(4, 12), Some(12));
        assert_eq!(combine(1, 1), Some(1));
    }

    #[test]
    fn offsets_are_rounded_up_to_any_number() {
        for alignment in [1, 2, 3, 12, 64, 768] {
            for value in [0, 1, 11, 12, 13, 63, 64, 65, 767, 768, 769] {
                let rounded = align_up(value, alignment).expect("small");
                assert!(rounded.is_multiple_of(alignment) && rounded >= value && rounded < value + alignment);
                let from_unit = align_up(64 * value, alignment).expect("small") - 64 * value;
                assert!(from_unit <= padding(64, alignment), "{value}, {alignment}");
            }
        }
        assert_eq!((align_up(u64::MAX, 2), align_up(u64::MAX, 7)), (None, None));
        assert_eq!((padding(64, 64), padding(64, 128), padding(64, 12)), (0, 127, 11));
    }

    #[test]
    fn what_has_no_common_multiple_is_none() {
        assert_eq!(combine(256, 0), None);
        assert_eq!(combine(0, 256), None);
        assert_eq!(combine(256, u64::MAX), None);
        assert_eq!(combine(256, 1 << 63), Some(1 << 63));
    }
}
