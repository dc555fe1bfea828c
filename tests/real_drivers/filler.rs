//! A compute shader that fills buffers and images: no two words of one are the same, so bytes that were moved or
//! swapped show too.
//!
//! An image's words are its texels, row by row, as a copy to a buffer lays them out; so both take the same way: a
//! descriptor set each, an order, and one invocation a word. Only the entry point and the binding differ.

use ash::vk;
use freestone::AllocationCreateInfo;

use crate::gpu::{COLOUR, COPIED, Gpu, UNUSED, Use, change};
use crate::vulkan::Headless;
use crate::world::{FORMAT, Shape, Thing, World};

/// Bytes between two orders: the largest alignment that a device may ask of a uniform buffer's offset.
const STEP: u64 = 256;
/// Invocations of a workgroup, and workgroups of a dispatch at most.
const GROUP: u32 = 64;
const MAX_GROUPS: u32 = 65_535;

/// The shader's bindings, and what each is.
const WORDS: (u32, vk::DescriptorType) = (0, vk::DescriptorType::STORAGE_BUFFER);
const TEXELS: (u32, vk::DescriptorType) = (1, vk::DescriptorType::STORAGE_IMAGE);
const ORDER: (u32, vk::DescriptorType) = (2, vk::DescriptorType::UNIFORM_BUFFER);

/// Word `i` becomes `seed ^ (i * 0x9E3779B1)`.
const FILL: &str = "
struct Order { seed: u32, count: u32, width: u32 }
@group(0) @binding(0) var<storage, read_write> words: array<u32>;
@group(0) @binding(1) var texels: texture_storage_2d<r32uint, write>;
@group(0) @binding(2) var<uniform> order: Order;
fn word(i: u32) -> u32 {
    return order.seed ^ (i * 0x9E3779B1u);
}
@compute @workgroup_size(64)
fn fill_buffer(@builtin(global_invocation_id) id: vec3<u32>) {
    if id.x < order.count {
        words[id.x] = word(id.x);
    }
}
@compute @workgroup_size(64)
fn fill_image(@builtin(global_invocation_id) id: vec3<u32>) {
    if id.x < order.count {
        textureStore(texels, vec2(id.x % order.width, id.x / order.width), vec4(word(id.x)));
    }
}
";

/// What word `index` is after the shader.
pub(crate) fn expected(thing: &Thing, index: usize) -> u32 {
    let index = u32::try_from(index).expect("a small thing");
    thing.pattern ^ index.wrapping_mul(0x9E37_79B1)
}

/// While the shader writes an image.
const WRITTEN: Use =
    Use(vk::ImageLayout::GENERAL, vk::PipelineStageFlags::COMPUTE_SHADER, vk::AccessFlags::SHADER_WRITE);

/// The pipelines that fill, and a descriptor set for each thing of a round.
pub(crate) struct Filler<'a> {
    headless: &'a Headless,
    set_layout: vk::DescriptorSetLayout,
    layout: vk::PipelineLayout,
    /// Of buffers, of images.
    pipelines: [vk::Pipeline; 2],
    pool: vk::DescriptorPool,
    sets: Vec<vk::DescriptorSet>,
}

impl<'a> Filler<'a> {
    /// Makes one that fills at most `room` things at a time.
    pub(crate) fn new(headless: &'a Headless, room: usize) -> Self {
        let device = &headless.device;
        let bindings = [WORDS, TEXELS, ORDER].map(|(binding, kind)| {
            vk::DescriptorSetLayoutBinding::default()
                .binding(binding)
                .descriptor_type(kind)
                .descriptor_count(1)
                .stage_flags(vk::ShaderStageFlags::COMPUTE)
        });
        let info = vk::DescriptorSetLayoutCreateInfo::default().bindings(&bindings);
        // SAFETY: the create-info is valid, as are all those below.
        let set_layout = unsafe { device.create_descriptor_set_layout(&info, None) }.expect("a set layout");
        let layouts = [set_layout];
        let info = vk::PipelineLayoutCreateInfo::default().set_layouts(&layouts);
        // SAFETY: as above.
        let layout = unsafe { device.create_pipeline_layout(&info, None) }.expect("a pipeline layout");
        let pipelines = pipelines(device, layout);
        let count = u32::try_from(room).expect("a small count");
        let sizes =
            [WORDS, TEXELS, ORDER].map(|(_, kind)| vk::DescriptorPoolSize::default().ty(kind).descriptor_count(count));
        let info = vk::DescriptorPoolCreateInfo::default().max_sets(count).pool_sizes(&sizes);
        // SAFETY: as above.
        let pool = unsafe { device.create_descriptor_pool(&info, None) }.expect("a descriptor pool");
        let layouts = vec![set_layout; room];
        let info = vk::DescriptorSetAllocateInfo::default().descriptor_pool(pool).set_layouts(&layouts);
        // SAFETY: the pool has room for as many.
        let sets = unsafe { device.allocate_descriptor_sets(&info) }.expect("descriptor sets");
        Self { headless, set_layout, layout, pipelines, pool, sets }
    }

    /// Lets the shader fill things, at most as many as there is room for. Images end in the layout from which they are
    /// copied.
    pub(crate) fn fill(&self, world: &World, gpu: &Gpu<'_>, things: &[Thing]) {
        self.fill_described(world, gpu, things, vk::WHOLE_SIZE);
    }

    /// Does so while each buffer is described as having so many bytes.
    pub(crate) fn fill_described(&self, world: &World, gpu: &Gpu<'_>, things: &[Thing], described: u64) {
        assert!(things.len() <= self.sets.len(), "{} are too many at a time", things.len());
        let orders = self.orders(world, things);
        let views: Vec<_> = things.iter().map(|thing| self.view(thing)).collect();
        for (number, (thing, view)) in things.iter().zip(&views).enumerate() {
            self.describe(number, (thing, described), *view, &orders);
        }
        gpu.run(|device, commands| {
            change_images(device, commands, things, &[UNUSED, WRITTEN]);
            for (thing, set) in things.iter().zip(&self.sets) {
                self.dispatch(commands, thing, *set);
            }
            change_images(device, commands, things, &[WRITTEN, COPIED]);
            show_to_copies(device, commands);
        });
        for view in views {
            // SAFETY: the device is done with it; of a buffer it is null, which is allowed.
            unsafe { self.headless.device.destroy_image_view(view, None) };
        }
        world.destroy(orders);
    }

    /// Tells the shader what to do with each thing.
    fn orders(&self, world: &World, things: &[Thing]) -> Thing {
        let usage = vk::BufferUsageFlags::UNIFORM_BUFFER;
        let mut orders = world.buffer_for(STEP * self.sets.len() as u64, usage, &AllocationCreateInfo::stream());
        for (number, thing) in (0..).zip(things) {
            let width = match thing.shape {
                Shape::Buffer { .. } => 0,
                Shape::Image { width, .. } => width,
            };
            let order = [thing.pattern, count_of(thing), width];
            world.allocator.write(orders.memory_mut(), number * STEP, &order).expect("mapped");
        }
        orders
    }

    /// Makes the view through which the shader writes an image; a buffer needs none.
    fn view(&self, thing: &Thing) -> vk::ImageView {
        let Shape::Image { image, .. } = thing.shape else { return vk::ImageView::null() };
        let info = vk::ImageViewCreateInfo::default()
            .image(image)
            .view_type(vk::ImageViewType::TYPE_2D)
            .format(FORMAT)
            .subresource_range(COLOUR);
        // SAFETY: the image is bound and made for storage.
        unsafe { self.headless.device.create_image_view(&info, None) }.expect("a view")
    }

    /// Binds a thing, and the order for it, to a set of its own.
    fn describe(&self, number: usize, (thing, described): (&Thing, u64), view: vk::ImageView, orders: &Thing) {
        let Shape::Buffer { buffer: orders, .. } = orders.shape else { unreachable!("made as a buffer") };
        let write = |(binding, kind)| {
            vk::WriteDescriptorSet::default().dst_set(self.sets[number]).dst_binding(binding).descriptor_type(kind)
        };
        let order = [vk::DescriptorBufferInfo::default().buffer(orders).offset(number as u64 * STEP).range(12)];
        let texels = [vk::DescriptorImageInfo::default().image_view(view).image_layout(WRITTEN.0)];
        let mut words = [vk::DescriptorBufferInfo::default().range(described)];
        let target = match thing.shape {
            Shape::Buffer { buffer, .. } => {
                words[0].buffer = buffer;
                write(WORDS).buffer_info(&words)
            }
            Shape::Image { .. } => write(TEXELS).image_info(&texels),
        };
        // SAFETY: no work in flight uses the set; all that is bound is alive and has the usage.
        unsafe { self.headless.device.update_descriptor_sets(&[target, write(ORDER).buffer_info(&order)], &[]) };
    }

    /// Records the shader's run over a thing.
    fn dispatch(&self, commands: vk::CommandBuffer, thing: &Thing, set: vk::DescriptorSet) {
        let (device, compute) = (&self.headless.device, vk::PipelineBindPoint::COMPUTE);
        let pipeline = self.pipelines[usize::from(matches!(thing.shape, Shape::Image { .. }))];
        // SAFETY: recording; the pipeline is alive.
        unsafe { device.cmd_bind_pipeline(commands, compute, pipeline) };
        // SAFETY: recording; the set has the pipeline's layout.
        unsafe { device.cmd_bind_descriptor_sets(commands, compute, self.layout, 0, &[set], &[]) };
        let groups = count_of(thing).div_ceil(GROUP);
        assert!(groups <= MAX_GROUPS, "{thing:?} is too large for a dispatch");
        // SAFETY: recording; the shader stays inside the thing.
        unsafe { device.cmd_dispatch(commands, groups, 1, 1) };
    }
}

impl Drop for Filler<'_> {
    fn drop(&mut self) {
        let device = &self.headless.device;
        // SAFETY: `Gpu` waits, so nothing here is in use any more; the pool takes its sets with it.
        unsafe { device.destroy_descriptor_pool(self.pool, None) };
        for pipeline in self.pipelines {
            // SAFETY: as above.
            unsafe { device.destroy_pipeline(pipeline, None) };
        }
        // SAFETY: as above.
        unsafe { device.destroy_pipeline_layout(self.layout, None) };
        // SAFETY: as above.
        unsafe { device.destroy_descriptor_set_layout(self.set_layout, None) };
    }
}

/// Makes a pipeline of each entry point, buffers' first.
fn pipelines(device: &ash::Device, layout: vk::PipelineLayout) -> [vk::Pipeline; 2] {
    let words = spirv();
    let info = vk::ShaderModuleCreateInfo::default().code(&words);
    // SAFETY: naga has validated the shader and writes valid SPIR-V.
    let module = unsafe { device.create_shader_module(&info, None) }.expect("a shader module");
    // One call each: the layers advise a cache for several at once.
    let pipelines = [c"fill_buffer", c"fill_image"].map(|name| {
        let stage = vk::PipelineShaderStageCreateInfo::default();
        let stage = stage.stage(vk::ShaderStageFlags::COMPUTE).module(module).name(name);
        let info = [vk::ComputePipelineCreateInfo::default().stage(stage).layout(layout)];
        // SAFETY: module and layout are alive, and the layout has the shader's bindings.
        unsafe { device.create_compute_pipelines(vk::PipelineCache::null(), &info, None) }.expect("a pipeline")[0]
    });
    // SAFETY: a pipeline does not need its module once it is made.
    unsafe { device.destroy_shader_module(module, None) };
    pipelines
}

fn spirv() -> Vec<u32> {
    use naga::{back::spv, front::wgsl, valid};
    let module = wgsl::parse_str(FILL).expect("good WGSL");
    let mut validator = valid::Validator::new(valid::ValidationFlags::all(), valid::Capabilities::empty());
    let checked = validator.validate(&module).expect("a valid shader");
    let options = spv::Options { lang_version: (1, 0), force_loop_bounding: false, ..spv::Options::default() };
    spv::write_vec(&module, &checked, &options, None).expect("SPIR-V")
}

fn count_of(thing: &Thing) -> u32 {
    u32::try_from(thing.size() / 4).expect("a small thing")
}

/// Records the barriers between two uses of all images.
fn change_images(device: &ash::Device, commands: vk::CommandBuffer, things: &[Thing], uses: &[Use; 2]) {
    for thing in things {
        if let Shape::Image { image, .. } = thing.shape {
            change(device, commands, image, uses);
        }
    }
}

/// Lets later copies see what the shader wrote to buffers.
fn show_to_copies(device: &ash::Device, commands: vk::CommandBuffer) {
    let written = vk::MemoryBarrier::default()
        .src_access_mask(vk::AccessFlags::SHADER_WRITE)
        .dst_access_mask(vk::AccessFlags::TRANSFER_READ | vk::AccessFlags::HOST_READ);
    let (after, none) = (vk::PipelineStageFlags::COMPUTE_SHADER, vk::DependencyFlags::empty());
    let before = vk::PipelineStageFlags::TRANSFER | vk::PipelineStageFlags::HOST;
    // SAFETY: recording, outside a render pass.
    unsafe { device.cmd_pipeline_barrier(commands, after, before, none, &[written], &[], &[]) };
}
