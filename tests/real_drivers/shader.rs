//! Contents that a shader has written survive: each live buffer is filled by a compute shader with words that name the
//! buffer and the place, and read back after thousands of allocations and frees around it.
//!
//! The fill command of `gpu.rs` writes one word all over; here no two words of a buffer are the same, so bytes that were
//! moved or swapped show too.

use ash::vk;
use freestone::{AllocationCreateInfo, DedicatedUse, Intent, PoolCreateInfo};

use crate::gpu::Gpu;
use crate::vulkan::Headless;
use crate::world::{Random, Shape, Thing, World};
use crate::{KIB, MIB};

/// Rounds of allocating, and buffers made in each.
const ROUNDS: usize = 40;
/// Rounds where the layers watch each access.
const WATCHED_ROUNDS: usize = 8;
const FRESH: usize = 64;
/// Buffers alive after each round.
const KEPT: usize = 90;
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
fn expected(thing: &Thing, index: usize) -> u32 {
    let index = u32::try_from(index).expect("a small buffer");
    thing.pattern ^ index.wrapping_mul(0x9E37_79B1)
}

/// The pipeline that fills, and one descriptor set for each buffer of a round.
struct Filler<'a> {
    headless: &'a Headless,
    set_layout: vk::DescriptorSetLayout,
    layout: vk::PipelineLayout,
    pipeline: vk::Pipeline,
    pool: vk::DescriptorPool,
    sets: Vec<vk::DescriptorSet>,
}

impl<'a> Filler<'a> {
    fn new(headless: &'a Headless) -> Self {
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
        let count = u32::try_from(FRESH).expect("a small count");
        let size = |kind| vk::DescriptorPoolSize::default().ty(kind).descriptor_count(count);
        let sizes = [size(storage), size(uniform)];
        let info = vk::DescriptorPoolCreateInfo::default().max_sets(count).pool_sizes(&sizes);
        // SAFETY: as above.
        let pool = unsafe { device.create_descriptor_pool(&info, None) }.expect("a descriptor pool");
        let layouts = vec![set_layout; FRESH];
        let info = vk::DescriptorSetAllocateInfo::default().descriptor_pool(pool).set_layouts(&layouts);
        // SAFETY: the pool has room for as many.
        let sets = unsafe { device.allocate_descriptor_sets(&info) }.expect("descriptor sets");
        Self { headless, set_layout, layout, pipeline, pool, sets }
    }

    /// Lets the shader fill buffers, at most as many as there are sets.
    fn fill(&self, world: &World, gpu: &Gpu<'_>, things: &[Thing]) {
        self.fill_described(world, gpu, things, vk::WHOLE_SIZE);
    }

    /// Does so while each buffer is described as having so many bytes.
    fn fill_described(&self, world: &World, gpu: &Gpu<'_>, things: &[Thing], described: u64) {
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

/// Copies buffers out and compares every word.
#[track_caller]
fn assert_kept(world: &World, gpu: &Gpu<'_>, things: &[Thing]) {
    let copies = gpu.copy_out(&things.iter().collect::<Vec<_>>(), world);
    if world.is_mock() {
        return;
    }
    for (thing, copy) in things.iter().zip(copies) {
        let wrong = copy.iter().enumerate().find(|&(index, &word)| word != expected(thing, index));
        assert_eq!(wrong, None, "{thing:?} does not hold what the shader wrote");
    }
}

#[test]
fn what_a_shader_wrote_survives_thousands_of_steps() {
    if let Some(world) = World::open() {
        fill_and_compare(world, ROUNDS);
    }
}

#[test]
fn shaders_that_the_layers_watch_stay_inside_their_buffers() {
    if let Some(world) = World::open_watched() {
        fill_and_compare(world, WATCHED_ROUNDS);
    }
}

#[test]
fn a_shader_that_writes_too_far_is_heard() {
    let Some(world) = World::open_watched() else { return };
    let gpu = Gpu::new(&world.headless);
    let filler = Filler::new(&world.headless);
    let usage = vk::BufferUsageFlags::STORAGE_BUFFER | vk::BufferUsageFlags::TRANSFER_SRC;
    let thing = world.buffer_for(4 * KIB, usage, &AllocationCreateInfo::gpu_only());
    // The shader is told of a half of the buffer and sent through all of it: too far for the layers, harmless for a driver.
    filler.fill_described(&world, &gpu, core::slice::from_ref(&thing), 2 * KIB);
    let validation = world.headless.validation().expect("layers are required");
    let messages = validation.take();
    assert!(messages.iter().any(|message| message.text.contains("out of bounds")), "heard only {messages:?}");
    world.destroy(thing);
    drop((gpu, filler));
    world.finish();
}

/// Lets a shader fill buffers that come and go, and compares each when it goes.
fn fill_and_compare(world: World, rounds: usize) {
    let gpu = Gpu::new(&world.headless);
    // The mock driver executes nothing, and reports limits by which no layout is allowed.
    let filler = (!world.is_mock()).then(|| Filler::new(&world.headless));
    if filler.is_none() {
        eprintln!("not compared: what a shader writes, since the mock driver executes nothing");
    }
    let pool = world.allocator.create_pool(&PoolCreateInfo::for_intent(Intent::GpuOnly)).expect("a pool");
    let usage = vk::BufferUsageFlags::STORAGE_BUFFER | vk::BufferUsageFlags::TRANSFER_SRC;
    let (mut random, mut live) = (Random(0xF111), Vec::new());
    for round in 0..rounds {
        let fresh: Vec<Thing> = (0..FRESH)
            .map(|number| {
                let intents = [Intent::GpuOnly, Intent::Upload, Intent::Stream, Intent::Readback];
                let mut info = AllocationCreateInfo::new(intents[random.index(intents.len())]);
                let scale = random.below(12);
                let mut size = 4 * (1 + random.below(16 << scale));
                if number % 5 == 0 {
                    info = AllocationCreateInfo::gpu_only().pool(&pool).name("of a pool");
                } else if number == 1 {
                    (size, info) = (MIB + 4 * KIB, info.dedicated(DedicatedUse::Always));
                }
                world.buffer_for(size, usage, &info)
            })
            .collect();
        assert!(fresh.iter().all(|thing| count_of(thing).div_ceil(GROUP) <= MAX_GROUPS));
        if let Some(filler) = &filler {
            filler.fill(&world, &gpu, &fresh);
        }
        live.extend(fresh);
        // What leaves was filled up to many rounds ago; whoever overlapped it since would have changed it.
        let leaving: Vec<Thing> = (KEPT..live.len()).map(|_| live.swap_remove(random.index(live.len()))).collect();
        assert_kept(&world, &gpu, &leaving);
        world.destroy_all(leaving);
        world.allocator.tick();
        if round % 8 == 7 {
            world.allocator.trim();
        }
    }
    world.allocator.validate().expect("every invariant holds");
    assert_kept(&world, &gpu, &live);
    world.destroy_all(live);
    world.allocator.destroy_pool(pool).expect("nothing of it lives");
    drop((gpu, filler));
    world.finish();
}
