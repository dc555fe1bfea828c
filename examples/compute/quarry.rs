//! The allocator at work: buffers and images of many sizes, created and destroyed in a random but repeatable order.
//!
//! Each living one then carries the record of its own stones through the GPU's memory, at its far end, while the rest
//! of it is overwritten: were two allocations to overlap, the picture would show it.

use std::error::Error;
use std::sync::{Arc, Mutex, PoisonError};

use freestone::ash::{self, vk};
use freestone::{Allocation, AllocationCreateInfo, AllocationError, Allocator, Buffer, Image, MemoryCallbacks};

use crate::headless::{Vulkan, memory_barrier, move_layout};
use crate::scene::{Block, Piece, Scene, Stone};

/// So many pieces are alive when the quarry is at work.
const PIECE_COUNT: usize = 260;
const RECORD_BYTES: u64 = size_of::<Stone>() as u64;
/// Texels of four bytes that hold a record.
const RECORD_TEXELS: u32 = size_of::<Stone>() as u32 / 4;

/// Something a renderer would allocate: name, sizes in KiB from and to, colour (blue, green, red), how many in 16.
const TRADES: [(&str, u32, u32, u32, u32); 5] = [
    ("uniforms", 4, 24, 0x90_62_38, 3),
    ("indices", 12, 96, 0x22_3C_A0, 3),
    ("vertices", 24, 224, 0x3A_80_C8, 4),
    ("particles", 24, 160, 0x4A_70_58, 2),
    ("texture", 24, 512, 0x9C_BE_D0, 4),
];

/// The memory objects of the driver that are alive, in the order in which they came.
#[derive(Clone, Debug, Default)]
pub(crate) struct Objects(Arc<Mutex<Vec<(vk::DeviceMemory, u64)>>>);

impl Objects {
    /// Returns callbacks that keep the list up to date.
    pub(crate) fn callbacks(&self) -> MemoryCallbacks {
        let (born, gone) = (self.clone(), self.clone());
        MemoryCallbacks::new()
            .after_allocate(move |event| born.change(|list| list.push((event.memory, event.size))))
            .before_free(move |event| gone.change(|list| list.retain(|&(memory, _)| memory != event.memory)))
    }

    fn change<R>(&self, change: impl FnOnce(&mut Vec<(vk::DeviceMemory, u64)>) -> R) -> R {
        change(&mut self.0.lock().unwrap_or_else(PoisonError::into_inner))
    }
}

enum Cut<'a> {
    Buffer(Buffer<&'a Allocator>),
    /// A square image and the texels of its side.
    Image(Image<&'a Allocator>, u32),
}

/// A resource that is alive.
struct Living<'a> {
    cut: Cut<'a>,
    colour: u32,
    born: u32,
}

impl Living<'_> {
    fn allocation(&self) -> &Allocation {
        match &self.cut {
            Cut::Buffer(buffer) => buffer.allocation(),
            Cut::Image(image, _) => image.allocation(),
        }
    }
}

pub(crate) struct Quarry<'a> {
    allocator: &'a Allocator,
    living: Vec<Living<'a>>,
    made: u32,
    state: u64,
}

impl<'a> Quarry<'a> {
    /// Opens a quarry whose work follows from `seed`.
    pub(crate) fn new(allocator: &'a Allocator, seed: u64) -> Self {
        let state = seed.wrapping_mul(0x9E37_79B9_7F4A_7C15) | 1;
        Self { allocator, living: Vec::new(), made: 0, state }
    }

    /// Creates or destroys one resource, so many times.
    ///
    /// # Errors
    /// Where the allocator has no memory.
    pub(crate) fn work(&mut self, step_count: u32) -> Result<(), AllocationError> {
        for _ in 0..step_count {
            let wanted = PIECE_COUNT + self.below(PIECE_COUNT as u32 / 5) as usize;
            if self.living.len() < wanted {
                let living = self.cut()?;
                self.living.push(living);
            } else {
                let index = self.below(self.living.len() as u32);
                // The GPU has no use of it: it is in no submitted work that is not complete.
                self.living.swap_remove(index as usize);
            }
        }
        Ok(())
    }

    fn cut(&mut self) -> Result<Living<'a>, AllocationError> {
        let mut draw = self.below(16);
        let is_drawn = |trade: &&(&str, u32, u32, u32, u32)| {
            let is_it = draw < trade.4;
            draw = draw.saturating_sub(trade.4);
            is_it
        };
        let &(name, least, most, colour, _) = TRADES.iter().find(is_drawn).unwrap_or(&TRADES[0]);
        let share = self.below(1 << 16) as f32 / 65_536.0;
        let bytes = (least as f32 * (most as f32 / least as f32).powf(share) * 1024.0) as u32;
        let info = AllocationCreateInfo::gpu_only().name(name);
        self.made += 1;
        let cut = if name == "texture" {
            let side = ((bytes / 4) as f32).sqrt() as u32 / 8 * 8;
            // SAFETY: the create-info is valid; every submission is waited for before anything is dropped.
            Cut::Image(unsafe { Image::new(self.allocator, &image_info(side), &info) }?, side)
        } else {
            let usage = vk::BufferUsageFlags::TRANSFER_SRC | vk::BufferUsageFlags::TRANSFER_DST;
            let buffer_info = vk::BufferCreateInfo::default().size(u64::from(bytes / 4 * 4)).usage(usage);
            // SAFETY: as above.
            Cut::Buffer(unsafe { Buffer::new(self.allocator, &buffer_info, &info) }?)
        };
        Ok(Living { cut, colour, born: self.made })
    }

    /// Says what lies in each of the driver's memory objects.
    pub(crate) fn blocks(&self, objects: &Objects) -> Vec<Block> {
        let oldest = self.living.iter().map(|living| living.born).min().unwrap_or(0);
        let span = (self.made - oldest).max(1) as f32;
        let pieces_in = |memory: vk::DeviceMemory| {
            let inside = self.living.iter().enumerate().filter(|(_, living)| living.allocation().memory() == memory);
            let mut pieces: Vec<Piece> = inside
                .map(|(owner, living)| Piece {
                    offset: living.allocation().offset(),
                    size: living.allocation().size(),
                    colour: living.colour,
                    age: (self.made - living.born) as f32 / span,
                    owner,
                })
                .collect();
            pieces.sort_by_key(|piece| piece.offset);
            pieces
        };
        let list = objects.change(|list| list.clone());
        list.into_iter().map(|(memory, size)| Block { size, pieces: pieces_in(memory) }).collect()
    }

    /// Sends the record of each stone through the resource that it stands for, and gathers them in `table`.
    ///
    /// # Errors
    /// Where a call of Vulkan fails.
    pub(crate) fn carry(&self, vulkan: &Vulkan<'_>, scene: &Scene, table: vk::Buffer) -> Result<(), Box<dyn Error>> {
        let size = scene.stones.len() as u64 * RECORD_BYTES;
        let info = vk::BufferCreateInfo::default().size(size).usage(vk::BufferUsageFlags::TRANSFER_SRC);
        // SAFETY: the create-info is valid; `submit` waits before the buffer is dropped.
        let mut records =
            unsafe { Buffer::new(self.allocator, &info, &AllocationCreateInfo::upload().name("records")) }?;
        records.write(0, &scene.stones)?;
        let journeys = self.journeys(scene);
        vulkan.submit(|device, commands| {
            let carrier = Carrier { device, commands };
            for journey in &journeys {
                carrier.put(records.handle(), journey);
            }
            for journey in &journeys {
                carrier.bury(journey);
            }
            carrier.settle();
            for journey in &journeys {
                carrier.take(table, journey);
            }
        })?;
        Ok(())
    }

    /// Groups the stones by the resource that they stand for.
    fn journeys(&self, scene: &Scene) -> Vec<Journey<'_, 'a>> {
        let stones_of = |owner: usize| {
            let own = scene.owners.iter().enumerate().filter(|&(_, &other)| other == owner);
            own.map(|(stone, _)| stone as u64 * RECORD_BYTES).collect()
        };
        self.living.iter().enumerate().map(|(owner, living)| Journey { living, records: stones_of(owner) }).collect()
    }

    /// Returns a random number below `bound` (xorshift*).
    fn below(&mut self, bound: u32) -> u32 {
        self.state ^= self.state >> 12;
        self.state ^= self.state << 25;
        self.state ^= self.state >> 27;
        let random = self.state.wrapping_mul(0x2545_F491_4F6C_DD1D) >> 32;
        ((random * u64::from(bound)) >> 32) as u32
    }
}

fn image_info(side: u32) -> vk::ImageCreateInfo<'static> {
    vk::ImageCreateInfo::default()
        .image_type(vk::ImageType::TYPE_2D)
        .format(vk::Format::R8G8B8A8_UNORM)
        .extent(vk::Extent3D { width: side, height: side, depth: 1 })
        .mip_levels(1)
        .array_layers(1)
        .samples(vk::SampleCountFlags::TYPE_1)
        .usage(vk::ImageUsageFlags::TRANSFER_SRC | vk::ImageUsageFlags::TRANSFER_DST)
}

/// A resource, and where its records lie in the table, in bytes.
struct Journey<'q, 'a> {
    living: &'q Living<'a>,
    records: Vec<u64>,
}

impl Journey<'_, '_> {
    /// Returns the bytes of a buffer that precede its records.
    fn bytes_before(&self) -> u64 {
        self.living.allocation().size() / 4 * 4 - self.records.len() as u64 * RECORD_BYTES
    }

    fn buffer_regions(&self) -> Vec<vk::BufferCopy> {
        let places = (0..).map(|index| self.bytes_before() + index * RECORD_BYTES);
        let region = |(&record, place)| vk::BufferCopy { src_offset: record, dst_offset: place, size: RECORD_BYTES };
        self.records.iter().zip(places).map(region).collect()
    }

    fn image_regions(&self, side: u32) -> Vec<vk::BufferImageCopy> {
        let layers = vk::ImageSubresourceLayers::default().aspect_mask(vk::ImageAspectFlags::COLOR).layer_count(1);
        let corner = |index: i32| vk::Offset3D { x: index * RECORD_TEXELS as i32, y: side as i32 - 1, z: 0 };
        let region = |(&record, index): (&u64, i32)| {
            vk::BufferImageCopy::default()
                .buffer_offset(record)
                .image_subresource(layers)
                .image_offset(corner(index))
                .image_extent(vk::Extent3D { width: RECORD_TEXELS, height: 1, depth: 1 })
        };
        self.records.iter().zip(0..).map(region).collect()
    }
}

/// Records the copies.
struct Carrier<'a> {
    device: &'a ash::Device,
    commands: vk::CommandBuffer,
}

impl Carrier<'_> {
    /// Copies the records to the far end of the resource.
    fn put(&self, records: vk::Buffer, journey: &Journey<'_, '_>) {
        match &journey.living.cut {
            Cut::Buffer(buffer) => {
                // SAFETY: recording; both buffers are alive, made for transfers, and the regions lie inside them.
                unsafe {
                    self.device.cmd_copy_buffer(self.commands, records, buffer.handle(), &journey.buffer_regions());
                };
            }
            Cut::Image(image, side) => {
                let (image, writable) = (image.handle(), vk::ImageLayout::TRANSFER_DST_OPTIMAL);
                let regions = journey.image_regions(*side);
                move_layout(self.device, self.commands, image, (vk::ImageLayout::UNDEFINED, writable));
                // SAFETY: recording; as above, and the image is in this layout.
                unsafe { self.device.cmd_copy_buffer_to_image(self.commands, records, image, writable, &regions) };
                move_layout(self.device, self.commands, image, (writable, vk::ImageLayout::TRANSFER_SRC_OPTIMAL));
            }
        }
    }

    /// Overwrites what precedes the records in a buffer.
    fn bury(&self, journey: &Journey<'_, '_>) {
        let (Cut::Buffer(buffer), bytes @ 1..) = (&journey.living.cut, journey.bytes_before()) else { return };
        // SAFETY: recording; the buffer is alive, made for transfers and longer than this.
        unsafe { self.device.cmd_fill_buffer(self.commands, buffer.handle(), 0, bytes, 0x5EED_5EED) };
    }

    /// Copies the records to their places in the table.
    fn take(&self, table: vk::Buffer, journey: &Journey<'_, '_>) {
        match &journey.living.cut {
            Cut::Buffer(buffer) => {
                let back = |region: vk::BufferCopy| vk::BufferCopy {
                    src_offset: region.dst_offset,
                    dst_offset: region.src_offset,
                    size: region.size,
                };
                let regions: Vec<_> = journey.buffer_regions().into_iter().map(back).collect();
                // SAFETY: recording; both buffers are alive, made for transfers, and the regions lie inside them.
                unsafe { self.device.cmd_copy_buffer(self.commands, buffer.handle(), table, &regions) };
            }
            Cut::Image(image, side) => {
                let (image, readable) = (image.handle(), vk::ImageLayout::TRANSFER_SRC_OPTIMAL);
                let regions = journey.image_regions(*side);
                // SAFETY: recording; as above, and the image is in this layout.
                unsafe { self.device.cmd_copy_image_to_buffer(self.commands, image, readable, table, &regions) };
            }
        }
    }

    /// Lets the copies so far end before those that follow begin.
    fn settle(&self) {
        let transfer = vk::PipelineStageFlags::TRANSFER;
        let used = vk::AccessFlags::TRANSFER_READ | vk::AccessFlags::TRANSFER_WRITE;
        memory_barrier(self.device, self.commands, (transfer, vk::AccessFlags::TRANSFER_WRITE), (transfer, used));
    }
}
