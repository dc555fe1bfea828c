//! Ranges of subresources, as barriers and clears name them: they lie inside the image, and have something in them.
//!
//! # Source
//!
//! "Valid Usage" of `VkImageSubresourceRange`, `VkImageMemoryBarrier` and `vkCmdClearColorImage` in the Vulkan
//! specification.

use super::format::ImageShape;
use super::object::Check;
use ash::vk;

/// The rules of one user of ranges.
pub(super) struct RangeRules {
    pub(super) level: &'static str,
    pub(super) levels: &'static str,
    pub(super) layer: &'static str,
    pub(super) layers: &'static str,
}

/// Rules of `vkCmdClearColorImage`.
pub(super) const CLEAR: RangeRules = RangeRules {
    level: "VUID-vkCmdClearColorImage-baseMipLevel-01470",
    levels: "VUID-vkCmdClearColorImage-pRanges-01692",
    layer: "VUID-vkCmdClearColorImage-baseArrayLayer-01472",
    layers: "VUID-vkCmdClearColorImage-pRanges-01693",
};

impl RangeRules {
    /// Applies the rules to a range of an image.
    pub(super) fn checks(&self, range: &vk::ImageSubresourceRange, shape: &ImageShape) -> [Check; 6] {
        let starts = (range.base_mip_level < shape.mip_levels, range.base_array_layer < shape.array_layers);
        let fits = |base: u32, count: u32, all: u32| count == u32::MAX || count <= all.saturating_sub(base);
        let levels = !starts.0 || fits(range.base_mip_level, range.level_count, shape.mip_levels);
        let layers = !starts.1 || fits(range.base_array_layer, range.layer_count, shape.array_layers);
        let (level_rule, layer_rule) =
            ("VUID-VkImageSubresourceRange-levelCount-01720", "VUID-VkImageSubresourceRange-layerCount-01721");
        [
            (starts.0, self.level, "the image has no such mip level"),
            (levels, self.levels, "the image has not so many mip levels"),
            (starts.1, self.layer, "the image has no such array layer"),
            (layers, self.layers, "the image has not so many array layers"),
            (range.level_count > 0, level_rule, "there is no mip level in it"),
            (range.layer_count > 0, layer_rule, "there is no array layer in it"),
        ]
    }
}
