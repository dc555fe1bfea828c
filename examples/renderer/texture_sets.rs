//! Sets of one texture each, which come and go with it.

use freestone::ash::{self, vk};

use crate::pipelines::image_info;

/// How many textures may be alive, those on their way out included.
const TEXTURE_COUNT: u32 = 96;
/// The pool that the sets are of.
pub(crate) struct TextureSets<'a> {
    device: &'a ash::Device,
    layout: vk::DescriptorSetLayout,
    pool: vk::DescriptorPool,
}

impl<'a> TextureSets<'a> {
    /// Makes the pool.
    ///
    /// # Errors
    /// Where the call fails.
    pub(crate) fn new(device: &'a ash::Device, layout: vk::DescriptorSetLayout) -> Result<Self, vk::Result> {
        let sizes =
            [vk::DescriptorPoolSize::default().ty(vk::DescriptorType::SAMPLED_IMAGE).descriptor_count(TEXTURE_COUNT)];
        let info = vk::DescriptorPoolCreateInfo::default()
            .flags(vk::DescriptorPoolCreateFlags::FREE_DESCRIPTOR_SET)
            .max_sets(TEXTURE_COUNT)
            .pool_sizes(&sizes);
        // SAFETY: the create-info is valid.
        let pool = unsafe { device.create_descriptor_pool(&info, None) }?;
        Ok(Self { device, layout, pool })
    }

    /// Makes a set that names a texture.
    ///
    /// # Errors
    /// Where too many textures are alive.
    pub(crate) fn allocate(&self, view: vk::ImageView) -> Result<vk::DescriptorSet, vk::Result> {
        let layouts = [self.layout];
        let info = vk::DescriptorSetAllocateInfo::default().descriptor_pool(self.pool).set_layouts(&layouts);
        // SAFETY: pool and layout are alive; the pool is used by this thread only.
        let set = unsafe { self.device.allocate_descriptor_sets(&info) }?[0];
        let image = [image_info(view)];
        let writes = [vk::WriteDescriptorSet::default()
            .dst_set(set)
            .descriptor_type(vk::DescriptorType::SAMPLED_IMAGE)
            .image_info(&image)];
        // SAFETY: the set is new; the view is alive.
        unsafe { self.device.update_descriptor_sets(&writes, &[]) };
        Ok(set)
    }

    /// Frees a set that no frame reads any more.
    pub(crate) fn free(&self, set: vk::DescriptorSet) {
        // SAFETY: the set is of this pool, and the GPU is done with it.
        let freed = unsafe { self.device.free_descriptor_sets(self.pool, &[set]) };
        debug_assert!(freed.is_ok(), "vkFreeDescriptorSets has no way to fail");
    }
}

impl Drop for TextureSets<'_> {
    fn drop(&mut self) {
        // SAFETY: the device is idle when the renderer ends.
        unsafe { self.device.destroy_descriptor_pool(self.pool, None) };
    }
}
