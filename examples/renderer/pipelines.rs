//! Pipelines, the layouts of what shaders read, and the sets that fill them. WGSL becomes SPIR-V when the program
//! starts.

use std::error::Error;

use freestone::ash::{self, vk};

use crate::frames::IN_FLIGHT;
use crate::headless::Vulkan;
use crate::recipe::{Blend, Depth, Input, Recipe, Shader};
use crate::targets::{BLOOM_LEVELS, DEPTH_FORMAT, LIGHT_FORMAT, PICTURE_FORMAT};
use crate::texture_sets::TextureSets;

const SCENE: &str = include_str!("../../shaders/scene.wgsl");
const BLOOM: &str = concat!(include_str!("../../shaders/picture.wgsl"), include_str!("../../shaders/bloom.wgsl"));
const COMPOSE: &str = concat!(include_str!("../../shaders/picture.wgsl"), include_str!("../../shaders/compose.wgsl"));
const SMOOTH: &str = concat!(include_str!("../../shaders/picture.wgsl"), include_str!("../../shaders/smooth.wgsl"));
const OVERLAY: &str = include_str!("../../shaders/overlay.wgsl");

/// Sets of two textures: one for each bloom pass, one for each of the last two passes.
const PICTURE_SET_COUNT: u32 = 2 * BLOOM_LEVELS as u32 + 1;

/// Everything that is made once.
pub(crate) struct Pipelines<'a> {
    device: &'a ash::Device,
    pub(crate) layouts: Layouts,
    samplers: Samplers,
    pool: vk::DescriptorPool,
    /// One for each frame in flight: what all draws of the scene read.
    pub(crate) scene_sets: [vk::DescriptorSet; IN_FLIGHT],
    /// What the passes on whole pictures read, in the order in which they run.
    pub(crate) picture_sets: Vec<vk::DescriptorSet>,
    pub(crate) shadow: vk::Pipeline,
    pub(crate) stone: vk::Pipeline,
    pub(crate) water: vk::Pipeline,
    pub(crate) sky: vk::Pipeline,
    pub(crate) down: vk::Pipeline,
    pub(crate) up: vk::Pipeline,
    pub(crate) compose: vk::Pipeline,
    pub(crate) smooth: vk::Pipeline,
    pub(crate) overlay: vk::Pipeline,
}

/// Layouts of sets and pipelines.
#[derive(Clone, Copy, Default)]
pub(crate) struct Layouts {
    scene_set: vk::DescriptorSetLayout,
    texture_set: vk::DescriptorSetLayout,
    picture_set: vk::DescriptorSetLayout,
    /// Set 0: the frame, instances, the shadow map. Set 1: a texture.
    pub(crate) scene: vk::PipelineLayout,
    /// Set 0: two pictures.
    pub(crate) picture: vk::PipelineLayout,
    /// Set 0: the font, a texture.
    pub(crate) overlay: vk::PipelineLayout,
}

#[derive(Clone, Copy, Default)]
struct Samplers {
    /// Compares depths.
    shadow: vk::Sampler,
    /// Repeats, between mip levels too.
    stone: vk::Sampler,
    /// Stays inside.
    picture: vk::Sampler,
}

impl<'a> Pipelines<'a> {
    /// Makes all of them, for a screen of this format.
    ///
    /// # Errors
    /// Where a shader does not compile or a call of Vulkan fails.
    pub(crate) fn new(vulkan: &'a Vulkan<'a>, screen: vk::Format) -> Result<Self, Box<dyn Error>> {
        let device = vulkan.device;
        let null = vk::Pipeline::null();
        let mut made = Self {
            device,
            layouts: Layouts::default(),
            samplers: Samplers::default(),
            pool: vk::DescriptorPool::null(),
            scene_sets: Default::default(),
            picture_sets: Vec::new(),
            shadow: null,
            stone: null,
            water: null,
            sky: null,
            down: null,
            up: null,
            compose: null,
            smooth: null,
            overlay: null,
        };
        made.make_samplers(vulkan)?;
        made.make_layouts()?;
        made.make_sets()?;
        made.make_scene_pipelines()?;
        made.make_picture_pipelines(screen)?;
        Ok(made)
    }

    fn make_samplers(&mut self, vulkan: &Vulkan<'_>) -> Result<(), vk::Result> {
        // SAFETY: the physical device belongs to the instance.
        let properties =
            unsafe { vulkan.instance.get_physical_device_format_properties(vulkan.physical_device, DEPTH_FORMAT) };
        let is_linear =
            properties.optimal_tiling_features.contains(vk::FormatFeatureFlags::SAMPLED_IMAGE_FILTER_LINEAR);
        let between = if is_linear { vk::Filter::LINEAR } else { vk::Filter::NEAREST };
        let clamped = sampler_info(vk::SamplerAddressMode::CLAMP_TO_EDGE, vk::Filter::LINEAR);
        let compared = sampler_info(vk::SamplerAddressMode::CLAMP_TO_EDGE, between)
            .compare_enable(true)
            .compare_op(vk::CompareOp::LESS_OR_EQUAL);
        let repeated = sampler_info(vk::SamplerAddressMode::REPEAT, vk::Filter::LINEAR)
            .mipmap_mode(vk::SamplerMipmapMode::LINEAR)
            .max_lod(vk::LOD_CLAMP_NONE);
        let make = |info: &vk::SamplerCreateInfo<'_>| {
            // SAFETY: the create-info is valid.
            unsafe { self.device.create_sampler(info, None) }
        };
        self.samplers = Samplers { shadow: make(&compared)?, stone: make(&repeated)?, picture: make(&clamped)? };
        Ok(())
    }

    fn make_layouts(&mut self) -> Result<(), vk::Result> {
        use vk::DescriptorType as Kind;
        let device = self.device;
        let layouts = &mut self.layouts;
        let scene = [
            Kind::UNIFORM_BUFFER_DYNAMIC,
            Kind::STORAGE_BUFFER_DYNAMIC,
            Kind::SAMPLED_IMAGE,
            Kind::SAMPLER,
            Kind::SAMPLER,
        ];
        layouts.scene_set = set_layout(device, &scene)?;
        layouts.texture_set = set_layout(device, &[Kind::SAMPLED_IMAGE])?;
        layouts.picture_set = set_layout(device, &[Kind::SAMPLED_IMAGE, Kind::SAMPLED_IMAGE, Kind::SAMPLER])?;
        layouts.scene = pipeline_layout(device, &[layouts.scene_set, layouts.texture_set])?;
        layouts.picture = pipeline_layout(device, &[layouts.picture_set])?;
        layouts.overlay = pipeline_layout(device, &[layouts.texture_set])?;
        Ok(())
    }

    fn make_sets(&mut self) -> Result<(), vk::Result> {
        let (frames, pictures) = (IN_FLIGHT as u32, PICTURE_SET_COUNT);
        let size = |kind, count| vk::DescriptorPoolSize::default().ty(kind).descriptor_count(count);
        let sizes = [
            size(vk::DescriptorType::UNIFORM_BUFFER_DYNAMIC, frames),
            size(vk::DescriptorType::STORAGE_BUFFER_DYNAMIC, frames),
            size(vk::DescriptorType::SAMPLED_IMAGE, frames + 2 * pictures),
            size(vk::DescriptorType::SAMPLER, 2 * frames + pictures),
        ];
        let info = vk::DescriptorPoolCreateInfo::default().max_sets(frames + pictures).pool_sizes(&sizes);
        // SAFETY: the create-info is valid.
        self.pool = unsafe { self.device.create_descriptor_pool(&info, None) }?;
        let mut layouts = vec![self.layouts.scene_set; IN_FLIGHT];
        layouts.resize(IN_FLIGHT + pictures as usize, self.layouts.picture_set);
        let info = vk::DescriptorSetAllocateInfo::default().descriptor_pool(self.pool).set_layouts(&layouts);
        // SAFETY: the pool has room for these sets.
        let sets = unsafe { self.device.allocate_descriptor_sets(&info) }?;
        self.scene_sets.copy_from_slice(&sets[..IN_FLIGHT]);
        self.picture_sets.extend_from_slice(&sets[IN_FLIGHT..]);
        Ok(())
    }

    fn make_scene_pipelines(&mut self) -> Result<(), Box<dyn Error>> {
        let shader = Shader::new(self.device, SCENE)?;
        let stone = Recipe {
            shader: &shader,
            vertex: c"stone_vertex",
            fragment: Some(c"stone_fragment"),
            layout: self.layouts.scene,
            input: Input::Mesh,
            colour: Some(LIGHT_FORMAT),
            depth: Depth::Written,
            blend: Blend::Replace,
        };
        let water = Recipe { fragment: Some(c"water_fragment"), ..stone };
        let shadow = Recipe {
            vertex: c"shadow_vertex",
            fragment: None,
            input: Input::MeshShape,
            colour: None,
            depth: Depth::Shadow,
            ..stone
        };
        let sky = Recipe {
            vertex: c"sky_vertex",
            fragment: Some(c"sky_fragment"),
            input: Input::Nothing,
            depth: Depth::Behind,
            ..stone
        };
        self.shadow = shadow.make(self.device)?;
        self.stone = stone.make(self.device)?;
        self.water = water.make(self.device)?;
        self.sky = sky.make(self.device)?;
        Ok(())
    }

    fn make_picture_pipelines(&mut self, screen: vk::Format) -> Result<(), Box<dyn Error>> {
        let bloom = Shader::new(self.device, BLOOM)?;
        let compose = Shader::new(self.device, COMPOSE)?;
        let smooth = Shader::new(self.device, SMOOTH)?;
        let overlay = Shader::new(self.device, OVERLAY)?;
        let picture = |shader, fragment, format| Recipe {
            shader,
            vertex: c"picture_vertex",
            fragment: Some(fragment),
            layout: self.layouts.picture,
            input: Input::Nothing,
            colour: Some(format),
            depth: Depth::None,
            blend: Blend::Replace,
        };
        let down = picture(&bloom, c"down_fragment", LIGHT_FORMAT);
        let up = Recipe { blend: Blend::Add, ..picture(&bloom, c"up_fragment", LIGHT_FORMAT) };
        let compose = picture(&compose, c"compose_fragment", PICTURE_FORMAT);
        let smooth = picture(&smooth, c"smooth_fragment", screen);
        let overlay = Recipe {
            vertex: c"overlay_vertex",
            layout: self.layouts.overlay,
            input: Input::Quads,
            blend: Blend::Over,
            ..picture(&overlay, c"overlay_fragment", screen)
        };
        let device = self.device;
        self.down = down.make(device)?;
        self.up = up.make(device)?;
        self.compose = compose.make(device)?;
        self.smooth = smooth.make(device)?;
        self.overlay = overlay.make(device)?;
        Ok(())
    }

    /// Points a frame's set at the buffers that its uniforms and instances lie in. Where they begin is said when the
    /// set is bound, so a ring that keeps its buffer keeps its sets, too.
    pub(crate) fn point_scene_set(&self, frame: usize, buffers: [(vk::Buffer, u64); 2]) {
        let infos = buffers.map(|(buffer, range)| [vk::DescriptorBufferInfo { buffer, offset: 0, range }]);
        let write =
            |binding: u32| vk::WriteDescriptorSet::default().dst_set(self.scene_sets[frame]).dst_binding(binding);
        let writes = [
            write(0).descriptor_type(vk::DescriptorType::UNIFORM_BUFFER_DYNAMIC).buffer_info(&infos[0]),
            write(1).descriptor_type(vk::DescriptorType::STORAGE_BUFFER_DYNAMIC).buffer_info(&infos[1]),
        ];
        // SAFETY: the frame that used the set is complete; the buffers are alive and have the usage.
        unsafe { self.device.update_descriptor_sets(&writes, &[]) };
    }

    /// Points all frames' sets at a shadow map. The device is idle.
    pub(crate) fn point_at_shadow(&self, view: vk::ImageView) {
        let map = [image_info(view)];
        let (compare, repeat) = (sampler_only(self.samplers.shadow), sampler_only(self.samplers.stone));
        for &set in &self.scene_sets {
            let write = |binding: u32| vk::WriteDescriptorSet::default().dst_set(set).dst_binding(binding);
            let writes = [
                write(2).descriptor_type(vk::DescriptorType::SAMPLED_IMAGE).image_info(&map),
                write(3).descriptor_type(vk::DescriptorType::SAMPLER).image_info(&compare),
                write(4).descriptor_type(vk::DescriptorType::SAMPLER).image_info(&repeat),
            ];
            // SAFETY: the device is idle; views and samplers are alive.
            unsafe { self.device.update_descriptor_sets(&writes, &[]) };
        }
    }

    /// Points the set of one pass at the two pictures that it reads. The device is idle.
    pub(crate) fn point_at_pictures(&self, pass: usize, views: [vk::ImageView; 2]) {
        let infos = views.map(|view| [image_info(view)]);
        let sampler = sampler_only(self.samplers.picture);
        let set = self.picture_sets[pass];
        let write = |binding: u32| vk::WriteDescriptorSet::default().dst_set(set).dst_binding(binding);
        let writes = [
            write(0).descriptor_type(vk::DescriptorType::SAMPLED_IMAGE).image_info(&infos[0]),
            write(1).descriptor_type(vk::DescriptorType::SAMPLED_IMAGE).image_info(&infos[1]),
            write(2).descriptor_type(vk::DescriptorType::SAMPLER).image_info(&sampler),
        ];
        // SAFETY: the device is idle; views and sampler are alive.
        unsafe { self.device.update_descriptor_sets(&writes, &[]) };
    }

    /// Makes the pool of the sets that textures have.
    ///
    /// # Errors
    /// Where the call fails.
    pub(crate) fn texture_sets(&self) -> Result<TextureSets<'a>, vk::Result> {
        TextureSets::new(self.device, self.layouts.texture_set)
    }
}

impl Drop for Pipelines<'_> {
    fn drop(&mut self) {
        let Layouts { scene_set, texture_set, picture_set, scene, picture, overlay } = self.layouts;
        let Samplers { shadow, stone, picture: clamped } = self.samplers;
        let drawn = [self.shadow, self.stone, self.water, self.sky];
        let pictures = [self.down, self.up, self.compose, self.smooth, self.overlay];
        for pipeline in drawn.into_iter().chain(pictures) {
            // SAFETY: the device is idle when the renderer ends, here and below; null handles are allowed.
            unsafe { self.device.destroy_pipeline(pipeline, None) };
        }
        // SAFETY: as above; the pool takes its sets with it.
        unsafe { self.device.destroy_descriptor_pool(self.pool, None) };
        for layout in [scene, picture, overlay] {
            // SAFETY: as above.
            unsafe { self.device.destroy_pipeline_layout(layout, None) };
        }
        for layout in [scene_set, texture_set, picture_set] {
            // SAFETY: as above.
            unsafe { self.device.destroy_descriptor_set_layout(layout, None) };
        }
        for sampler in [shadow, stone, clamped] {
            // SAFETY: as above.
            unsafe { self.device.destroy_sampler(sampler, None) };
        }
    }
}

/// Names a picture that shaders read.
pub(crate) fn image_info(view: vk::ImageView) -> vk::DescriptorImageInfo {
    vk::DescriptorImageInfo::default().image_view(view).image_layout(vk::ImageLayout::SHADER_READ_ONLY_OPTIMAL)
}

fn sampler_only(sampler: vk::Sampler) -> [vk::DescriptorImageInfo; 1] {
    [vk::DescriptorImageInfo::default().sampler(sampler)]
}

fn sampler_info(edge: vk::SamplerAddressMode, filter: vk::Filter) -> vk::SamplerCreateInfo<'static> {
    vk::SamplerCreateInfo::default()
        .mag_filter(filter)
        .min_filter(filter)
        .address_mode_u(edge)
        .address_mode_v(edge)
        .address_mode_w(edge)
}

/// Makes the layout of a set whose bindings, from 0 on, are of these kinds.
fn set_layout(device: &ash::Device, kinds: &[vk::DescriptorType]) -> Result<vk::DescriptorSetLayout, vk::Result> {
    let stages = vk::ShaderStageFlags::VERTEX | vk::ShaderStageFlags::FRAGMENT;
    let binding = |(number, &kind): (u32, &vk::DescriptorType)| {
        vk::DescriptorSetLayoutBinding::default()
            .binding(number)
            .descriptor_type(kind)
            .descriptor_count(1)
            .stage_flags(stages)
    };
    let bindings: Vec<_> = (0..).zip(kinds).map(binding).collect();
    let info = vk::DescriptorSetLayoutCreateInfo::default().bindings(&bindings);
    // SAFETY: the create-info is valid.
    unsafe { device.create_descriptor_set_layout(&info, None) }
}

fn pipeline_layout(device: &ash::Device, sets: &[vk::DescriptorSetLayout]) -> Result<vk::PipelineLayout, vk::Result> {
    let info = vk::PipelineLayoutCreateInfo::default().set_layouts(sets);
    // SAFETY: the layouts are alive.
    unsafe { device.create_pipeline_layout(&info, None) }
}
