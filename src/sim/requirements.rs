//! From create-info to memory requirements, by the profile's model.
//!
//! Rules that hold for every profile: lazily allocated types serve transient attachments only; protected types serve
//! protected resources, and those nothing else; a resource for export requires memory of its own.

use super::format::{ImageShape, TexelBlock, is_depth_stencil, is_plain, is_word, texel_block};
use super::pnext::{array, find};
use super::profile::Profile;
use ash::vk;

/// The modifier of an image that lies row by row, in `drm_fourcc.h` of Linux.
const DRM_FORMAT_MOD_LINEAR: u64 = 0;

/// Memory requirements of one resource.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Requirements {
    pub(super) size: u64,
    pub(super) alignment: u64,
    pub(super) memory_type_bits: u32,
    pub(super) prefers_dedicated: bool,
    pub(super) requires_dedicated: bool,
}

impl Requirements {
    /// Those of nothing.
    pub(super) const NONE: Self =
        Self { size: 0, alignment: 1, memory_type_bits: 0, prefers_dedicated: false, requires_dedicated: false };

    pub(super) fn to_vk(self) -> vk::MemoryRequirements {
        vk::MemoryRequirements { size: self.size, alignment: self.alignment, memory_type_bits: self.memory_type_bits }
    }
}

/// Returns the usage of a buffer in 64 bits, of which the lower half means the same as the usage in 32.
pub(super) fn usage_of(info: &vk::BufferCreateInfo<'_>) -> vk::BufferUsageFlags2KHR {
    // SAFETY: the application hands over a valid chain.
    let given = unsafe { find::<vk::BufferUsageFlags2CreateInfoKHR<'_>>(info.p_next) };
    given.map_or_else(|| widened(info.usage), |given| given.usage)
}

fn widened(usage: vk::BufferUsageFlags) -> vk::BufferUsageFlags2KHR {
    vk::BufferUsageFlags2KHR::from_raw(usage.as_raw().into())
}

/// Returns the requirements of a buffer.
pub(super) fn of_buffer(profile: &Profile, info: &vk::BufferCreateInfo<'_>) -> Requirements {
    let model = profile.buffers;
    let is_strict = usage_of(info).intersects(widened(model.strict_usages));
    let alignment = if is_strict { model.strict_alignment } else { model.alignment }.max(1);
    let size = rounded(profile, info.size.max(1), alignment).unwrap_or(info.size);
    let is_protected = info.flags.contains(vk::BufferCreateFlags::PROTECTED);
    // SAFETY: the application hands over a valid chain.
    let external = unsafe { find::<vk::ExternalMemoryBufferCreateInfo<'_>>(info.p_next) };
    let is_external = external.is_some_and(|external| !external.handle_types.is_empty());
    let reaches = |threshold: Option<u64>| threshold.is_some_and(|from| size >= from);
    let requires_dedicated = is_external || reaches(profile.dedicated.require_buffers_from);
    Requirements {
        size,
        alignment,
        memory_type_bits: model.memory_type_bits & allowed_types(profile, is_protected, false),
        prefers_dedicated: requires_dedicated || reaches(profile.dedicated.prefer_buffers_from),
        requires_dedicated,
    }
}

/// Returns the requirements of an image; `None` if it is too large for 64 bits.
pub(super) fn of_image(profile: &Profile, info: &vk::ImageCreateInfo<'_>) -> Option<Requirements> {
    let bytes = shape(profile, info).size()?.max(1);
    let is_linear = info.tiling == vk::ImageTiling::LINEAR;
    let steps = profile.images.optimal_steps.iter().rev();
    let step = steps.into_iter().find(|(from, _)| bytes >= *from).map_or(1, |(_, alignment)| *alignment);
    let alignment = if is_linear { profile.images.linear_alignment } else { step }.max(1);
    let size = rounded(profile, bytes, alignment)?;
    let model_bits =
        if is_linear { profile.images.linear_memory_type_bits } else { profile.images.optimal_memory_type_bits };
    let is_protected = info.flags.contains(vk::ImageCreateFlags::PROTECTED);
    let is_transient = info.usage.contains(vk::ImageUsageFlags::TRANSIENT_ATTACHMENT);
    // SAFETY: the application hands over a valid chain.
    let external = unsafe { find::<vk::ExternalMemoryImageCreateInfo<'_>>(info.p_next) };
    let is_external = external.is_some_and(|external| !external.handle_types.is_empty());
    let attachments = vk::ImageUsageFlags::COLOR_ATTACHMENT | vk::ImageUsageFlags::DEPTH_STENCIL_ATTACHMENT;
    let model = profile.dedicated;
    let preferred_from =
        if info.usage.intersects(attachments) { model.prefer_attachments_from } else { model.prefer_images_from };
    let reaches = |threshold: Option<u64>| threshold.is_some_and(|from| size >= from);
    let requires_dedicated = is_external || reaches(model.require_images_from);
    Some(Requirements {
        size,
        alignment,
        memory_type_bits: model_bits & allowed_types(profile, is_protected, is_transient),
        prefers_dedicated: requires_dedicated || reaches(preferred_from),
        requires_dedicated,
    })
}

/// Returns the size that the driver demands for so many bytes.
fn rounded(profile: &Profile, bytes: u64, alignment: u64) -> Option<u64> {
    if profile.rounds_sizes { bytes.checked_next_multiple_of(alignment) } else { Some(bytes) }
}

/// Tells whether an image counts as linear where the granularity is concerned.
///
/// # Source
///
/// "Linear Resource" in the glossary of the Vulkan specification. Of several DRM format modifiers the driver chooses
/// one; this one chooses the linear one only where there is no other.
pub(super) fn is_linear(info: &vk::ImageCreateInfo<'_>) -> bool {
    // SAFETY: the application hands over a valid chain.
    let explicit = unsafe { find::<vk::ImageDrmFormatModifierExplicitCreateInfoEXT<'_>>(info.p_next) };
    // SAFETY: as above.
    let list = unsafe { find::<vk::ImageDrmFormatModifierListCreateInfoEXT<'_>>(info.p_next) };
    let is_drm = info.tiling == vk::ImageTiling::DRM_FORMAT_MODIFIER_EXT;
    let is_drm_linear = explicit.map(|explicit| explicit.drm_format_modifier == DRM_FORMAT_MOD_LINEAR).or_else(|| {
        // SAFETY: the application gives that many modifiers.
        let modifiers = list.map(|list| unsafe { array(list.p_drm_format_modifiers, list.drm_format_modifier_count) });
        modifiers.map(|modifiers| modifiers.iter().all(|modifier| *modifier == DRM_FORMAT_MOD_LINEAR))
    });
    info.tiling == vk::ImageTiling::LINEAR || (is_drm && is_drm_linear == Some(true))
}

/// Returns what an image looks like in memory.
pub(super) fn shape(profile: &Profile, info: &vk::ImageCreateInfo<'_>) -> ImageShape {
    let is_linear = info.tiling == vk::ImageTiling::LINEAR;
    ImageShape {
        format: info.format,
        extent: info.extent,
        mip_levels: info.mip_levels,
        array_layers: info.array_layers,
        samples: info.samples.as_raw().max(1),
        block: texel_block(info.format).unwrap_or(TexelBlock { width: 1, height: 1, bytes: 4 }),
        is_plain: is_plain(info.format),
        is_word: is_word(info.format),
        is_depth_stencil: is_depth_stencil(info.format),
        row_alignment: if is_linear { profile.images.linear_row_alignment.max(1) } else { 1 },
    }
}

fn allowed_types(profile: &Profile, is_protected: bool, is_transient: bool) -> u32 {
    profile.type_bits(|flags| {
        let fits_protection = flags.contains(vk::MemoryPropertyFlags::PROTECTED) == is_protected;
        fits_protection && (is_transient || !flags.contains(vk::MemoryPropertyFlags::LAZILY_ALLOCATED))
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn image(usage: vk::ImageUsageFlags) -> vk::ImageCreateInfo<'static> {
        vk::ImageCreateInfo::default()
            .image_type(vk::ImageType::TYPE_2D)
            .format(vk::Format::R8G8B8A8_UNORM)
            .extent(vk::Extent3D { width: 512, height: 512, depth: 1 })
            .mip_levels(1)
            .array_layers(1)
            .samples(vk::SampleCountFlags::TYPE_1)
            .usage(usage)
    }

    #[test]
    fn buffers_follow_the_usage() {
        let profile = Profile::discrete_bar256();
        let info = vk::BufferCreateInfo::default().size(100).usage(vk::BufferUsageFlags::TRANSFER_SRC);
        let plain = of_buffer(&profile, &info);
        assert_eq!((plain.size, plain.alignment, plain.memory_type_bits), (112, 16, 0b1_1111));
        let uniform = of_buffer(&profile, &info.usage(vk::BufferUsageFlags::UNIFORM_BUFFER));
        assert_eq!((uniform.size, uniform.alignment), (256, 256));
    }

    #[test]
    fn sizes_need_not_be_multiples_of_the_alignment() {
        let mut profile = Profile::discrete_bar256();
        let of_both = |profile: &Profile| {
            let info = vk::BufferCreateInfo::default().size(100).usage(vk::BufferUsageFlags::TRANSFER_SRC);
            let small = image(vk::ImageUsageFlags::SAMPLED).extent(vk::Extent3D { width: 9, height: 9, depth: 1 });
            (of_buffer(profile, &info).size, of_image(profile, &small).unwrap().size)
        };
        assert_eq!(of_both(&profile), (112, 1024));
        profile.rounds_sizes = false;
        assert_eq!(of_both(&profile), (100, 324));
    }

    #[test]
    fn images_follow_size_and_use() {
        let profile = Profile::noncoherent();
        let sampled = of_image(&profile, &image(vk::ImageUsageFlags::SAMPLED)).unwrap();
        assert_eq!((sampled.size, sampled.alignment, sampled.memory_type_bits), (1 << 20, 1 << 16, 0b00_1111));
        assert!(!sampled.prefers_dedicated);
        let target = of_image(&profile, &image(vk::ImageUsageFlags::COLOR_ATTACHMENT)).unwrap();
        assert!(target.prefers_dedicated && !target.requires_dedicated);
        let transient = vk::ImageUsageFlags::COLOR_ATTACHMENT | vk::ImageUsageFlags::TRANSIENT_ATTACHMENT;
        assert_eq!(of_image(&profile, &image(transient)).unwrap().memory_type_bits, 0b01_1111);
        let protected = image(vk::ImageUsageFlags::SAMPLED).flags(vk::ImageCreateFlags::PROTECTED);
        assert_eq!(of_image(&profile, &protected).unwrap().memory_type_bits, 0b10_0000);
    }

    #[test]
    fn export_requires_memory_of_its_own() {
        let profile = Profile::unified();
        let mut external =
            vk::ExternalMemoryBufferCreateInfo::default().handle_types(vk::ExternalMemoryHandleTypeFlags::OPAQUE_FD);
        let info = vk::BufferCreateInfo::default().size(64).push_next(&mut external);
        assert!(of_buffer(&profile, &info).requires_dedicated);
    }
}
