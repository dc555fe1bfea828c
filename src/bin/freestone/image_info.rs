//! From a recorded image to the create-info of one like it, as far as the device at hand allows.
//!
//! ```text
//! ImageDescription + usage + tiling ──> candidates of create flags, the likeliest first
//!                                        └─ the first whose format properties hold the image ──> ImageCreateInfo
//!                                        └─ none ──> the reason, for the list of fallbacks
//! ```
//!
//! Create flags are not recorded. Two matter to what a device may be asked: `CUBE_COMPATIBLE`, which every cube map
//! has (six square layers are taken for one), and `MUTABLE_FORMAT` with `EXTENDED_USAGE`, without which a usage
//! that only another format of the same class supports (storage of an sRGB image, say) is not allowed.
//!
//! Calls no driver: [`FormatQuery`] is the question, the caller has the answer.
//!
//! Source: Vulkan 1.3.281, `VkImageCreateInfo`, VUID-VkImageCreateInfo-imageCreateMaxMipLevels-02251 and after.

use ash::vk;
use freestone::trace::{Dimension, Extent, ImageDescription, format_name};

/// The parameters of `vkGetPhysicalDeviceImageFormatProperties`.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub(crate) struct FormatQuery {
    pub(crate) format: vk::Format,
    pub(crate) image_type: vk::ImageType,
    pub(crate) tiling: vk::ImageTiling,
    pub(crate) usage: vk::ImageUsageFlags,
    pub(crate) flags: vk::ImageCreateFlags,
}

impl FormatQuery {
    /// Whether the features that the device reports for the format and tiling can serve the usage at all.
    ///
    /// Asked first, because drivers may answer the full query with an error only, which the best-practices layer
    /// reports. A format of extended usage needs any feature: its usages may be another format's.
    ///
    /// Source: Vulkan 1.3.281, section 12.3, image format features and image usage.
    pub(crate) fn may_be_served(&self, features: vk::FormatFeatureFlags) -> bool {
        use vk::FormatFeatureFlags as Feature;
        use vk::ImageUsageFlags as Usage;
        let attachment = Feature::COLOR_ATTACHMENT | Feature::DEPTH_STENCIL_ATTACHMENT;
        let needs = [
            (Usage::SAMPLED, Feature::SAMPLED_IMAGE),
            (Usage::STORAGE, Feature::STORAGE_IMAGE),
            (Usage::COLOR_ATTACHMENT, Feature::COLOR_ATTACHMENT),
            (Usage::DEPTH_STENCIL_ATTACHMENT, Feature::DEPTH_STENCIL_ATTACHMENT),
            (Usage::INPUT_ATTACHMENT, attachment),
        ];
        if self.flags.contains(vk::ImageCreateFlags::EXTENDED_USAGE) {
            return !features.is_empty();
        }
        let is_served =
            |&(usage, any_of): &(Usage, Feature)| !self.usage.intersects(usage) || features.intersects(any_of);
        !features.is_empty() && needs.iter().all(is_served)
    }
}

/// Builds a create-info that the device supports, or tells why there is none.
///
/// `properties` answers a query; `None` means that the device does not support the combination.
pub(crate) fn image_create_info(
    description: &ImageDescription,
    tiling: vk::ImageTiling,
    usage: vk::ImageUsageFlags,
    mut properties: impl FnMut(&FormatQuery) -> Option<vk::ImageFormatProperties>,
) -> Result<vk::ImageCreateInfo<'static>, String> {
    let image_type = image_type(description.dimension);
    let mut reason = None;
    for flags in flag_candidates(description) {
        let query = FormatQuery { format: description.format, image_type, tiling, usage, flags };
        match check(description, properties(&query)) {
            Ok(()) => return Ok(create_info(description, &query)),
            Err(refused) => reason = reason.or(Some(refused)),
        }
    }
    let refused = reason.unwrap_or_default();
    let format = format_name(description.format);
    Err(format!("{format}, {tiling:?} tiling, usage {usage:?}: {refused}"))
}

/// Lists sets of create flags worth trying, the likeliest first.
fn flag_candidates(description: &ImageDescription) -> Vec<vk::ImageCreateFlags> {
    let none = vk::ImageCreateFlags::empty();
    let cube = if is_cube(description) { vk::ImageCreateFlags::CUBE_COMPATIBLE } else { none };
    let foreign = vk::ImageCreateFlags::MUTABLE_FORMAT | vk::ImageCreateFlags::EXTENDED_USAGE;
    let mut candidates = vec![cube, none, cube | foreign, foreign];
    candidates.dedup();
    candidates
}

fn is_cube(description: &ImageDescription) -> bool {
    let ImageDescription { extent, array_layers, samples, .. } = description;
    description.dimension == Dimension::Two
        && extent.width == extent.height
        && array_layers % 6 == 0
        && *samples == vk::SampleCountFlags::TYPE_1
}

fn image_type(dimension: Dimension) -> vk::ImageType {
    match dimension {
        Dimension::One => vk::ImageType::TYPE_1D,
        Dimension::Two => vk::ImageType::TYPE_2D,
        Dimension::Three => vk::ImageType::TYPE_3D,
    }
}

fn create_info(description: &ImageDescription, query: &FormatQuery) -> vk::ImageCreateInfo<'static> {
    vk::ImageCreateInfo::default()
        .flags(query.flags)
        .image_type(query.image_type)
        .format(query.format)
        .extent(extent(description))
        .mip_levels(description.mip_levels)
        .array_layers(description.array_layers)
        .samples(description.samples)
        .tiling(query.tiling)
        .usage(query.usage)
        .sharing_mode(vk::SharingMode::EXCLUSIVE)
        .initial_layout(vk::ImageLayout::UNDEFINED)
}

fn extent(description: &ImageDescription) -> vk::Extent3D {
    let Extent { width, height, depth } = description.extent;
    vk::Extent3D { width, height, depth }
}

/// Holds an image to what the device allows for its format and to what Vulkan allows for any.
fn check(description: &ImageDescription, allowed: Option<vk::ImageFormatProperties>) -> Result<(), &'static str> {
    let allowed = allowed.ok_or("the device does not support this combination")?;
    let (asked, most) = (extent(description), allowed.max_extent);
    if asked.width > most.width || asked.height > most.height || asked.depth > most.depth {
        return Err("larger than the device's images can be");
    }
    if description.mip_levels > allowed.max_mip_levels || description.mip_levels > full_chain(asked) {
        return Err("more mip levels than an image of this size and format has");
    }
    if description.array_layers > allowed.max_array_layers {
        return Err("more layers than the device's images can have");
    }
    if !allowed.sample_counts.contains(description.samples) {
        return Err("a sample count that the device does not have for this format");
    }
    if description.samples != vk::SampleCountFlags::TYPE_1 && description.mip_levels > 1 {
        return Err("several samples and several mip levels, which no Vulkan image has");
    }
    check_dimension(description.dimension, asked, description.array_layers)
}

/// An image has no sides beyond its dimension, and a volume no layers.
fn check_dimension(dimension: Dimension, extent: vk::Extent3D, layers: u32) -> Result<(), &'static str> {
    let is_flat = match dimension {
        Dimension::One => extent.height == 1 && extent.depth == 1,
        Dimension::Two => extent.depth == 1,
        Dimension::Three => layers == 1,
    };
    if is_flat { Ok(()) } else { Err("an extent that does not go with the dimension") }
}

/// Number of mip levels down to one texel.
fn full_chain(extent: vk::Extent3D) -> u32 {
    let longest = extent.width.max(extent.height).max(extent.depth).max(1);
    longest.ilog2() + 1
}

#[cfg(test)]
mod tests {
    use super::{FormatQuery, image_create_info, vk};
    use freestone::trace::{Dimension, Extent, ImageDescription};

    const ANYTHING: vk::ImageFormatProperties = vk::ImageFormatProperties {
        max_extent: vk::Extent3D { width: 4096, height: 4096, depth: 256 },
        max_mip_levels: 13,
        max_array_layers: 256,
        sample_counts: vk::SampleCountFlags::from_raw(5),
        max_resource_size: 1 << 31,
    };

    fn description() -> ImageDescription {
        ImageDescription {
            dimension: Dimension::Two,
            format: vk::Format::R8G8B8A8_SRGB,
            extent: Extent { width: 64, height: 64, depth: 1 },
            mip_levels: 7,
            array_layers: 1,
            samples: vk::SampleCountFlags::TYPE_1,
        }
    }

    fn build(
        description: &ImageDescription,
        answer: impl FnMut(&FormatQuery) -> Option<vk::ImageFormatProperties>,
    ) -> Result<vk::ImageCreateInfo<'static>, String> {
        image_create_info(description, vk::ImageTiling::OPTIMAL, vk::ImageUsageFlags::STORAGE, answer)
    }

    fn refusal(change: impl FnOnce(&mut ImageDescription)) -> String {
        let mut description = description();
        change(&mut description);
        build(&description, |_| Some(ANYTHING)).expect_err("cannot be made")
    }

    #[test]
    fn says_what_was_recorded() {
        let info = build(&description(), |_| Some(ANYTHING)).expect("allowed");
        assert_eq!((info.format, info.image_type), (vk::Format::R8G8B8A8_SRGB, vk::ImageType::TYPE_2D));
        assert_eq!((info.extent.width, info.mip_levels, info.array_layers), (64, 7, 1));
        assert_eq!((info.tiling, info.usage), (vk::ImageTiling::OPTIMAL, vk::ImageUsageFlags::STORAGE));
        assert_eq!((info.flags, info.samples), (vk::ImageCreateFlags::empty(), vk::SampleCountFlags::TYPE_1));
    }

    #[test]
    fn six_square_layers_are_a_cube_where_the_device_has_such() {
        let cube = ImageDescription { array_layers: 6, ..description() };
        let info = build(&cube, |_| Some(ANYTHING)).expect("allowed");
        assert_eq!(info.flags, vk::ImageCreateFlags::CUBE_COMPATIBLE);
        let flat = build(&cube, |query| query.flags.is_empty().then_some(ANYTHING)).expect("allowed");
        assert_eq!(flat.flags, vk::ImageCreateFlags::empty());
    }

    #[test]
    fn a_usage_of_another_format_makes_the_format_mutable() {
        let foreign = vk::ImageCreateFlags::MUTABLE_FORMAT | vk::ImageCreateFlags::EXTENDED_USAGE;
        for array_layers in [1, 6] {
            let image = ImageDescription { array_layers, ..description() };
            let info = build(&image, |query| query.flags.contains(foreign).then_some(ANYTHING)).expect("allowed");
            assert!(info.flags.contains(foreign));
        }
    }

    #[test]
    fn usages_need_their_features() {
        let query = |usage, flags| FormatQuery {
            format: vk::Format::R8_UNORM,
            image_type: vk::ImageType::TYPE_2D,
            tiling: vk::ImageTiling::OPTIMAL,
            usage,
            flags,
        };
        let (no_flags, extended) = (vk::ImageCreateFlags::empty(), vk::ImageCreateFlags::EXTENDED_USAGE);
        let sampled = query(vk::ImageUsageFlags::SAMPLED | vk::ImageUsageFlags::TRANSFER_DST, no_flags);
        assert!(sampled.may_be_served(vk::FormatFeatureFlags::SAMPLED_IMAGE));
        assert!(!sampled.may_be_served(vk::FormatFeatureFlags::STORAGE_IMAGE));
        let input = query(vk::ImageUsageFlags::INPUT_ATTACHMENT, no_flags);
        assert!(input.may_be_served(vk::FormatFeatureFlags::DEPTH_STENCIL_ATTACHMENT));
        let foreign = query(vk::ImageUsageFlags::STORAGE, extended);
        assert!(foreign.may_be_served(vk::FormatFeatureFlags::SAMPLED_IMAGE));
        assert!(!foreign.may_be_served(vk::FormatFeatureFlags::empty()));
        let copied = query(vk::ImageUsageFlags::TRANSFER_DST, no_flags);
        assert!(!copied.may_be_served(vk::FormatFeatureFlags::empty()));
    }

    #[test]
    fn the_largest_image_that_a_device_has_can_be_made() {
        let extent = Extent { width: 4096, height: 4096, depth: 1 };
        let largest = ImageDescription { extent, mip_levels: 13, ..description() };
        assert!(build(&largest, |_| Some(ANYTHING)).is_ok(), "as large as may be");
        assert!(refusal(|image| image.extent.height = 5000).contains("larger"));
        let volume = Extent { width: 1, height: 1, depth: 256 };
        let deepest = ImageDescription { dimension: Dimension::Three, extent: volume, mip_levels: 1, ..description() };
        assert!(build(&deepest, |_| Some(ANYTHING)).is_ok(), "as deep as may be");
        let line = Extent { width: 64, height: 1, depth: 2 };
        let said = refusal(|image| (image.dimension, image.extent) = (Dimension::One, line));
        assert!(said.contains("dimension"), "{said}");
    }

    #[test]
    fn six_layers_of_several_samples_are_no_cube() {
        let image =
            ImageDescription { array_layers: 6, samples: vk::SampleCountFlags::TYPE_4, mip_levels: 1, ..description() };
        let info = build(&image, |_| Some(ANYTHING)).expect("allowed");
        assert_eq!(info.flags, vk::ImageCreateFlags::empty());
    }

    #[test]
    fn what_cannot_be_made_has_its_reason() {
        let unsupported = build(&description(), |_| None).expect_err("unsupported");
        assert_eq!(
            unsupported,
            "R8G8B8A8_SRGB, OPTIMAL tiling, usage STORAGE: the device does not support this combination"
        );
        assert!(refusal(|image| image.extent.width = 5000).contains("larger"));
        assert!(refusal(|image| image.mip_levels = 8).contains("mip levels"));
        assert!(refusal(|image| image.array_layers = 257).contains("layers"));
        assert!(refusal(|image| image.samples = vk::SampleCountFlags::TYPE_8).contains("sample count"));
        assert!(refusal(|image| image.samples = vk::SampleCountFlags::TYPE_4).contains("several"));
        assert!(refusal(|image| image.dimension = Dimension::One).contains("dimension"));
        assert!(refusal(|image| image.extent.depth = 2).contains("dimension"));
    }
}
