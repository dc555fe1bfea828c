//! An allocator on the driver at hand, with what is alive in it, and the end of a test: all gone, all silent.

use std::sync::Arc;
use std::sync::atomic::{AtomicU32, AtomicU64, Ordering};

use ash::vk;
use freestone::{Allocation, AllocationCreateInfo, Allocator, AllocatorCreateInfo, Features, Intent, MemoryCallbacks};

use crate::gpu::Gpu;
use crate::vulkan::{Driver, Generation, Headless, Program};

/// What the tests keep in an image: one word a texel, so that a cleared image is its pattern.
pub(crate) const FORMAT: vk::Format = vk::Format::R32_UINT;

/// Memory objects as the callbacks hear of them.
#[derive(Debug, Default)]
struct Live {
    objects: AtomicU64,
    bytes: AtomicU64,
    leaks: AtomicU64,
}

/// Numbers what is made, for patterns of its own.
static NEXT_PATTERN: AtomicU32 = AtomicU32::new(1);

/// A device with an allocator.
pub(crate) struct World {
    /// Gone before the device.
    pub(crate) allocator: Allocator,
    pub(crate) headless: Headless,
    live: Arc<Live>,
}

/// A buffer or an image with its memory, and the word that it is filled with.
#[derive(Debug)]
pub(crate) struct Thing {
    pub(crate) shape: Shape,
    pub(crate) pattern: u32,
    memory: Allocation,
}

#[derive(Clone, Copy, Debug)]
pub(crate) enum Shape {
    Buffer { buffer: vk::Buffer, size: u64 },
    Image { image: vk::Image, width: u32, height: u32 },
}

impl Thing {
    pub(crate) fn memory(&self) -> &Allocation {
        &self.memory
    }

    pub(crate) fn memory_mut(&mut self) -> &mut Allocation {
        &mut self.memory
    }

    /// Returns the bytes of its contents.
    pub(crate) fn size(&self) -> u64 {
        match self.shape {
            Shape::Buffer { size, .. } => size,
            Shape::Image { width, height, .. } => 4 * u64::from(width) * u64::from(height),
        }
    }
}

/// A small generator of numbers that are the same on each run (xorshift).
#[derive(Debug)]
pub(crate) struct Random(pub(crate) u64);

impl Random {
    pub(crate) fn next(&mut self) -> u64 {
        self.0 ^= self.0 << 13;
        self.0 ^= self.0 >> 7;
        self.0 ^= self.0 << 17;
        self.0
    }

    pub(crate) fn below(&mut self, end: u64) -> u64 {
        self.next() % end
    }

    pub(crate) fn index(&mut self, len: usize) -> usize {
        usize::try_from(self.below(len as u64)).expect("below a length")
    }
}

pub(crate) fn buffer_info(size: u64) -> vk::BufferCreateInfo<'static> {
    let usage = vk::BufferUsageFlags::TRANSFER_SRC | vk::BufferUsageFlags::TRANSFER_DST;
    vk::BufferCreateInfo::default().size(size).usage(usage).sharing_mode(vk::SharingMode::EXCLUSIVE)
}

pub(crate) fn image_info(width: u32, height: u32, tiling: vk::ImageTiling) -> vk::ImageCreateInfo<'static> {
    vk::ImageCreateInfo::default()
        .image_type(vk::ImageType::TYPE_2D)
        .format(FORMAT)
        .extent(vk::Extent3D { width, height, depth: 1 })
        .mip_levels(1)
        .array_layers(1)
        .samples(vk::SampleCountFlags::TYPE_1)
        .tiling(tiling)
        .usage(vk::ImageUsageFlags::TRANSFER_SRC | vk::ImageUsageFlags::TRANSFER_DST)
        .sharing_mode(vk::SharingMode::EXCLUSIVE)
        .initial_layout(vk::ImageLayout::UNDEFINED)
}

impl World {
    /// Opens the driver at hand, or says that there is none.
    pub(crate) fn open() -> Option<Self> {
        Self::open_for(Program::Test)
    }

    /// Opens it so that the layers watch what shaders access; `None` where they can't, which is said.
    pub(crate) fn open_watched() -> Option<Self> {
        let test = Headless::for_test(Program::Test)?;
        let generation = test.validation().expect("layers are required").generation();
        let driver = test.enabled.driver;
        test.close();
        let reason = match (driver, generation) {
            (Driver::Mock, _) => "the mock driver executes nothing",
            (_, Generation::Before14) => "the older layers do not hear a shader that writes too far",
            _ => return Self::open_for(Program::WatchedShaders),
        };
        eprintln!("not watched: shaders, since {reason}");
        None
    }

    fn open_for(program: Program) -> Option<Self> {
        let headless = Headless::for_test(program)?;
        let live = Arc::new(Live::default());
        let (after, before, leaks) = (live.clone(), live.clone(), live.clone());
        let callbacks = MemoryCallbacks::new()
            .after_allocate(move |event| {
                after.objects.fetch_add(1, Ordering::Relaxed);
                after.bytes.fetch_add(event.size, Ordering::Relaxed);
            })
            .before_free(move |event| {
                before.objects.fetch_sub(1, Ordering::Relaxed);
                before.bytes.fetch_sub(event.size, Ordering::Relaxed);
            });
        let enabled = &headless.enabled;
        let features = Features {
            buffer_device_address: enabled.buffer_device_address,
            device_coherent_memory: enabled.device_coherent_memory,
            memory_priority: enabled.memory_priority,
            maintenance4: enabled.maintenance4,
            dedicated_allocation: enabled.has(ash::khr::dedicated_allocation::NAME),
            ..Features::default()
        };
        let (instance, physical_device) = (&headless.instance, headless.physical_device);
        let info = AllocatorCreateInfo::new(&instance.entry, &instance.raw, physical_device, &headless.device)
            .api_version(enabled.api_version)
            .features(features)
            .memory_callbacks(callbacks)
            .on_leak(move |report| {
                leaks.leaks.fetch_add(report.allocation_count, Ordering::Relaxed);
            });
        // SAFETY: the four belong together and outlive the allocator, which `World` drops first; version and features
        // are those that were enabled.
        let allocator = unsafe { Allocator::new(info) }.expect("a driver that serves an allocator");
        Some(Self { allocator, headless, live })
    }

    /// Ends a test: nothing is left of what was made, and the layers had nothing to say until the device was gone.
    pub(crate) fn finish(self) {
        let Self { allocator, headless, live } = self;
        drop(allocator);
        assert_eq!(live.leaks.load(Ordering::Relaxed), 0, "allocations were never freed");
        assert_eq!(live.objects.load(Ordering::Relaxed), 0, "memory objects were never freed");
        let validation = headless.close().expect("layers are required");
        validation.print();
        assert_eq!(validation.count(), 0);
        let unused = validation.unused_exceptions();
        assert!(unused.is_empty(), "exceptions that are no longer needed: {unused:?}");
    }

    /// Returns how many memory objects are alive, as the driver was asked.
    pub(crate) fn memory_objects(&self) -> u64 {
        self.live.objects.load(Ordering::Relaxed)
    }

    /// Returns their bytes.
    pub(crate) fn memory_bytes(&self) -> u64 {
        self.live.bytes.load(Ordering::Relaxed)
    }

    pub(crate) fn is_mock(&self) -> bool {
        self.headless.enabled.driver == Driver::Mock
    }

    /// Lists the memory types that the host can reach, that may hold a buffer (RADV keeps some for itself) and that no
    /// feature must be declared for.
    pub(crate) fn host_visible_types(&self) -> Vec<u32> {
        let device = &self.headless.device;
        // SAFETY: the device and the create-info are valid.
        let buffer = unsafe { device.create_buffer(&buffer_info(64), None) }.expect("a buffer");
        // SAFETY: the buffer is alive.
        let allowed = unsafe { device.get_buffer_memory_requirements(buffer) }.memory_type_bits;
        // SAFETY: nothing uses it.
        unsafe { device.destroy_buffer(buffer, None) };
        let usual = vk::MemoryPropertyFlags::from_raw(0b1111);
        let is_usable = |flags: vk::MemoryPropertyFlags| {
            flags.contains(vk::MemoryPropertyFlags::HOST_VISIBLE) && usual.contains(flags)
        };
        let types = (0..).zip(&self.allocator.properties().memory_types);
        let usable = types.filter(|(_, memory_type)| is_usable(memory_type.property_flags));
        usable.map(|(index, _)| index).filter(|index| allowed >> index & 1 == 1).collect()
    }

    /// Whether images of linear tiling can be filled and copied.
    pub(crate) fn can_copy_linear_images(&self) -> bool {
        let Headless { instance, physical_device, .. } = &self.headless;
        // SAFETY: the physical device is one of this instance's.
        let features = unsafe { instance.raw.get_physical_device_format_properties(*physical_device, FORMAT) };
        let needed = vk::FormatFeatureFlags::TRANSFER_SRC | vk::FormatFeatureFlags::TRANSFER_DST;
        features.linear_tiling_features.contains(needed)
    }

    pub(crate) fn buffer(&self, size: u64, intent: Intent) -> Thing {
        self.buffer_in(size, &AllocationCreateInfo::new(intent))
    }

    pub(crate) fn buffer_in(&self, size: u64, info: &AllocationCreateInfo<'_>) -> Thing {
        // SAFETY: the create-info is valid; the device is done with the buffer whenever `Gpu` returns.
        let (buffer, memory) = unsafe { self.allocator.create_buffer(&buffer_info(size), info) }.expect("a buffer");
        thing(Shape::Buffer { buffer, size }, memory)
    }

    /// Makes a buffer of another usage than transfers.
    pub(crate) fn buffer_for(&self, size: u64, usage: vk::BufferUsageFlags, info: &AllocationCreateInfo<'_>) -> Thing {
        // SAFETY: as above.
        let made = unsafe { self.allocator.create_buffer(&buffer_info(size).usage(usage), info) };
        let (buffer, memory) = made.expect("a buffer");
        thing(Shape::Buffer { buffer, size }, memory)
    }

    pub(crate) fn image(&self, width: u32, height: u32, tiling: vk::ImageTiling, intent: Intent) -> Thing {
        self.image_in(width, height, tiling, &AllocationCreateInfo::new(intent))
    }

    pub(crate) fn image_in(
        &self,
        width: u32,
        height: u32,
        tiling: vk::ImageTiling,
        info: &AllocationCreateInfo<'_>,
    ) -> Thing {
        self.image_for(&image_info(width, height, tiling), info)
    }

    /// Makes an image of any such kind.
    pub(crate) fn image_for(&self, kind: &vk::ImageCreateInfo<'_>, info: &AllocationCreateInfo<'_>) -> Thing {
        // SAFETY: as for buffers.
        let (image, memory) = unsafe { self.allocator.create_image(kind, info) }.expect("an image");
        let vk::Extent3D { width, height, .. } = kind.extent;
        thing(Shape::Image { image, width, height }, memory)
    }

    /// Makes a buffer (five of six) or an image of some size and intent; small ones are the likeliest.
    pub(crate) fn random_thing(&self, random: &mut Random) -> Thing {
        let scale = random.below(11);
        if random.below(6) == 0 {
            let mut edge = || u32::try_from(1 + random.below(8 << scale.min(5))).expect("at most 256");
            return self.image(edge(), edge(), vk::ImageTiling::OPTIMAL, Intent::GpuOnly);
        }
        let intents = [Intent::GpuOnly, Intent::Upload, Intent::Stream, Intent::Readback];
        self.buffer(4 * (1 + random.below(64 << scale)), intents[random.index(4)])
    }

    pub(crate) fn destroy(&self, thing: Thing) {
        match thing.shape {
            // SAFETY: `Gpu` waits for the device before it returns.
            Shape::Buffer { buffer, .. } => unsafe { self.allocator.destroy_buffer(buffer, thing.memory) },
            // SAFETY: as above.
            Shape::Image { image, .. } => unsafe { self.allocator.destroy_image(image, thing.memory) },
        }
        .expect("it is alive");
    }

    pub(crate) fn destroy_all(&self, things: impl IntoIterator<Item = Thing>) {
        for thing in things {
            self.destroy(thing);
        }
    }

    /// Compares everything with its pattern.
    pub(crate) fn assert_filled(&self, gpu: &Gpu<'_>, things: &[Thing]) {
        let copies = gpu.copy_out(&things.iter().collect::<Vec<_>>(), self);
        if self.is_mock() {
            eprintln!(
                "not compared: the contents of {} resources, since the mock driver executes nothing",
                things.len()
            );
            return;
        }
        for (thing, copy) in things.iter().zip(copies) {
            let wrong = copy.iter().position(|&word| word != thing.pattern);
            assert_eq!(wrong, None, "{thing:?} holds {:#x} there", copy[wrong.unwrap_or(0)]);
        }
    }

    /// Reads a buffer through its mapping.
    pub(crate) fn read_mapped(&self, thing: &Thing) -> Vec<u32> {
        self.allocator.invalidate(thing.memory(), 0, thing.size()).expect("mapped");
        let mut words = vec![0; words_in(thing.size())];
        // SAFETY: everything that was written to it is visible: the device is done, and it was invalidated.
        unsafe { thing.memory().read(0, &mut words) }.expect("mapped");
        words
    }
}

/// Returns how many words so many bytes are.
pub(crate) fn words_in(bytes: u64) -> usize {
    usize::try_from(bytes / 4).expect("what a test allocates")
}

fn thing(shape: Shape, memory: Allocation) -> Thing {
    // Odd, so that neighbours differ in every byte that an overlap could mix.
    let pattern = NEXT_PATTERN.fetch_add(1, Ordering::Relaxed).wrapping_mul(0x9E37_79B9);
    Thing { shape, pattern, memory }
}
