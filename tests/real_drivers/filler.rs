//! A compute shader that fills buffers: no two words of one are the same, so bytes that were moved or swapped show too.

use ash::vk;
use freestone::AllocationCreateInfo;

use crate::gpu::Gpu;
use crate::vulkan::Headless;
use crate::world::{Shape, Thing, World};

/// Bytes between two orders: the largest alignment that a device may ask of a uniform buffer's offset.
const STEP: u64 = 256;
/// Invocations of a workgroup, and workgroups of a dispatch at most.
const GROUP: u32 = 64;
const MAX_GROUPS: u32 = 65_535;

/// Word `i` of a buffer becomes `seed ^ (i * 0x9E3779B1)`.
const FILL: &str = "
struct Order { seed: u32, count: u32 }
@group(0) @binding(0) var<storage, read_write> words: array<u32>;
@group(0) @binding(1) var<uniform> order: Order;
@compute @workgroup_size(64)
fn main(@builtin(global_invocation_id) id: vec3<u32>) {
    if id.x < order.count {
        words[id.x] = order.seed ^ (id.x * 0x9E3779B1u);
    }
}
";

/// What word `index` of a buffer is after the shader.
pub(crate) fn expected(thing: &Thing, index: usize) -> u32 {
    let index = u32::try_from(index).expect("a small buffer");
    thing.pattern ^ index.wrapping_mul(0x9E37_79B1)
}

/// The pipeline that fills, and a descriptor set for each buffer of a round.
pub(crate) struct Filler<'a> {
    headless: &'a Headless,
    set_layout: vk::DescriptorSetLayout,
    layout: vk::PipelineLayout,
    pipeline: vk::Pipeline,
    pool: vk::DescriptorPool,
    sets: Vec<vk::DescriptorSet>,
}

impl<'a> Filler<'a> {
    /// Makes one that fills at most `room` buffers at a time.
    pub(crate) fn new(headless: &'a Headless, room: usize) -> Self {
        let device = &headless.device;
        let binding = |binding, kind| {
            vk::DescriptorSetLayoutBinding::default()
                .binding(binding)
                .descriptor_type(kind)
                .descriptor_count(1)
                .stage_flags(vk::ShaderStageFlags::COMPUTE)
        };
        let (storage, uniform) = (vk::DescriptorType::STORAGE_BUFFER, vk::DescriptorType::UNIFORM_BUFFER);
        let bindings = [binding(0, storage), binding(1, uniform)];
        let info = vk::DescriptorSetLayoutCreateInfo::default().bindings(&bindings);
        // SAFETY: the create-info is valid, as are all those below.
        let set_layout = unsafe { device.create_descriptor_set_layout(&info, None) }.expect("a set layout");
        let layouts = [set_layout];
        let info = vk::PipelineLayoutCreateInfo::default().set_layouts(&layouts);
        // SAFETY: as above.
        let layout = unsafe { device.create_pipeline_layout(&info, None) }.expect("a pipeline layout");
        let pipeline = pipeline(device, layout);
        let count = u32::try_from(room).expect("a small count");
        let size = |kind| vk::DescriptorPoolSize::default().ty(kind).descriptor_count(count);
        let sizes = [size(storage), size(uniform)];
        let info = vk::DescriptorPoolCreateInfo::default().max_sets(count).pool_sizes(&sizes);
        // SAFETY: as above.
        let pool = unsafe { device.create_descriptor_pool(&info, None) }.expect("a descriptor pool");
        let layouts = vec![set_layout; room];
        let info = vk::DescriptorSetAllocateInfo::default().descriptor_pool(pool).set_layouts(&layouts);
        // SAFETY: the pool has room for as many.
        let sets = unsafe { device.allocate_descriptor_sets(&info) }.expect("descriptor sets");
        Self { headless, set_layout, layout, pipeline, pool, sets }
    }

    /// Lets the shader fill buffers, at most as many as there is room for.
    pub(crate) fn fill(&self, world: &World, gpu: &Gpu<'_>, things: &[Thing]) {
        self.fill_described(world, gpu, things, vk::WHOLE_SIZE);
    }

    /// Does so while each buffer is described as having so many bytes.
    pub(crate) fn fill_described(&self, world: &World, gpu: &Gpu<'_>, things: &[Thing], described: u64) {
        assert!(things.len() <= self.sets.len(), "{} are too many at a time", things.len());
        let orders = self.orders(world, things);
        self.describe(things, &orders, described);
        gpu.run(|device, commands| {
            let compute = vk::PipelineBindPoint::COMPUTE;
            // SAFETY: recording; the pipeline is alive.
            unsafe { device.cmd_bind_pipeline(commands, compute, self.pipeline) };
            for (thing, set) in things.iter().zip(&self.sets) {
                let sets = [*set];
                // SAFETY: recording; the set has the pipeline's layout.
                unsafe { device.cmd_bind_descriptor_sets(commands, compute, self.layout, 0, &sets, &[]) };
                let groups = count_of(thing).div_ceil(GROUP);
                assert!(groups <= MAX_GROUPS, "{thing:?} is too large for a dispatch");
                // SAFETY: recording; the shader stays inside the buffer.
                unsafe { device.cmd_dispatch(commands, groups, 1, 1) };
            }
            show_to_copies(device, commands);
        });
        world.destroy(orders);
    }

    /// Tells the shader what to do with each buffer.
    fn orders(&self, world: &World, things: &[Thing]) -> Thing {
        let usage = vk::BufferUsageFlags::UNIFORM_BUFFER;
        let mut orders = world.buffer_for(STEP * self.sets.len() as u64, usage, &AllocationCreateInfo::stream());
        for (number, thing) in (0..).zip(things) {
            let order = [thing.pattern, count_of(thing)];
            world.allocator.write(orders.memory_mut(), number * STEP, &order).expect("mapped");
        }
        orders
    }

    /// Binds each buffer, and the order for it, to a set of its own.
    fn describe(&self, things: &[Thing], orders: &Thing, described: u64) {
        let Shape::Buffer { buffer: orders, .. } = orders.shape else { unreachable!("made as a buffer") };
        for (number, (thing, set)) in (0..).zip(things.iter().zip(&self.sets)) {
            let Shape::Buffer { buffer, .. } = thing.shape else { unreachable!("made as a buffer") };
            let target = [vk::DescriptorBufferInfo::default().buffer(buffer).range(described)];
            let order = [vk::DescriptorBufferInfo::default().buffer(orders).offset(number * STEP).range(8)];
            let write = vk::WriteDescriptorSet::default().dst_set(*set);
            let writes = [
                write.dst_binding(0).descriptor_type(vk::DescriptorType::STORAGE_BUFFER).buffer_info(&target),
                write.dst_binding(1).descriptor_type(vk::DescriptorType::UNIFORM_BUFFER).buffer_info(&order),
            ];
            // SAFETY: no work in flight uses the set; both buffers are alive and have the usages.
            unsafe { self.headless.device.update_descriptor_sets(&writes, &[]) };
        }
    }
}

impl Drop for Filler<'_> {
    fn drop(&mut self) {
        let device = &self.headless.device;
        // SAFETY: `Gpu` waits, so nothing here is in use any more; the pool takes its sets with it.
        unsafe { device.destroy_descriptor_pool(self.pool, None) };
        // SAFETY: as above.
        unsafe { device.destroy_pipeline(self.pipeline, None) };
        // SAFETY: as above.
        unsafe { device.destroy_pipeline_layout(self.layout, None) };
        // SAFETY: as above.
        unsafe { device.destroy_descriptor_set_layout(self.set_layout, None) };
    }
}

fn pipeline(device: &ash::Device, layout: vk::PipelineLayout) -> vk::Pipeline {
    use naga::{back::spv, front::wgsl, valid};
    let module = wgsl::parse_str(FILL).expect("good WGSL");
    let mut validator = valid::Validator::new(valid::ValidationFlags::all(), valid::Capabilities::empty());
    let checked = validator.validate(&module).expect("a valid shader");
    let options = spv::Options { lang_version: (1, 0), force_loop_bounding: false, ..spv::Options::default() };
    let words = spv::write_vec(&module, &checked, &options, None).expect("SPIR-V");
    let info = vk::ShaderModuleCreateInfo::default().code(&words);
    // SAFETY: naga has validated the shader and writes valid SPIR-V.
    let module = unsafe { device.create_shader_module(&info, None) }.expect("a shader module");
    let stage =
        vk::PipelineShaderStageCreateInfo::default().stage(vk::ShaderStageFlags::COMPUTE).module(module).name(c"main");
    let info = [vk::ComputePipelineCreateInfo::default().stage(stage).layout(layout)];
    // SAFETY: module and layout are alive, and the layout has the shader's bindings.
    let made = unsafe { device.create_compute_pipelines(vk::PipelineCache::null(), &info, None) };
    // SAFETY: a pipeline does not need its module once it is made.
    unsafe { device.destroy_shader_module(module, None) };
    made.expect("a pipeline")[0]
}

fn count_of(thing: &Thing) -> u32 {
    u32::try_from(thing.size() / 4).expect("a small buffer")
}

/// Lets later copies see what the shader wrote.
fn show_to_copies(device: &ash::Device, commands: vk::CommandBuffer) {
    let written = vk::MemoryBarrier::default()
        .src_access_mask(vk::AccessFlags::SHADER_WRITE)
        .dst_access_mask(vk::AccessFlags::TRANSFER_READ | vk::AccessFlags::HOST_READ);
    let (after, none) = (vk::PipelineStageFlags::COMPUTE_SHADER, vk::DependencyFlags::empty());
    let before = vk::PipelineStageFlags::TRANSFER | vk::PipelineStageFlags::HOST;
    // SAFETY: recording, outside a render pass.
    unsafe { device.cmd_pipeline_barrier(commands, after, before, none, &[written], &[], &[]) };
}
