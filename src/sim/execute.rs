//! Carries recorded commands out on the bytes, as the device sees them.
//!
//! ```text
//!   Command ──► resolve: resource alive, bound, its memory alive ──► bounds ──► device view of the bytes ──► copy
//! ```
//!
//! A command whose resources are wrong is recorded and skipped. Images of combined depth-stencil and multi-planar
//! formats are left alone, since their aspects have layouts of their own; copies of the former are judged nevertheless.
//!
//! # Source
//!
//! "Copy Commands" of the Vulkan specification, and "Buffer and Image Addressing" for the rows of a region.

use super::command::Command;
use super::format::ImageShape;
use super::function::Function;
use super::handle::ObjectKind;
use super::layer::{Layer, judge_region};
use super::mapping::judge_device_read;
use super::memory::ensure_storage;
use super::object::{DeviceObject, Mode};
use super::range_rules::CLEAR;
use super::world::{ResourceId, World};
use ash::vk;
use core::ops::Range;

/// Bytes of a resource: where it lies.
#[derive(Clone, Copy)]
pub(super) struct Place {
    memory: u64,
    offset: u64,
    pub(super) size: u64,
    pub(super) shape: Option<ImageShape>,
}

/// The executor of one command.
pub(super) struct Executor<'a> {
    pub(super) device: &'a DeviceObject,
    world: &'a mut World,
    mode: Mode,
    pub(super) function: Function,
}

/// Judges one command and carries it out.
pub(super) fn execute(device: &DeviceObject, world: &mut World, mode: Mode, command: &Command) {
    let function = command.function();
    let mut executor = Executor { device, world, mode, function };
    match command {
        Command::CopyBuffer { source, destination, regions } => executor.copy_buffer(*source, *destination, regions),
        Command::FillBuffer { destination, offset, size, word } => {
            executor.fill_buffer(*destination, *offset, *size, *word);
        }
        Command::UpdateBuffer { destination, offset, bytes } => executor.update_buffer(*destination, *offset, bytes),
        Command::CopyBufferToImage { buffer, image, regions } => {
            let buffer = executor.source_of(
                ObjectKind::Buffer,
                *buffer,
                ["VUID-vkCmdCopyBufferToImage-srcBuffer-00176", "VUID-vkCmdCopyBufferToImage-srcBuffer-00174"],
            );
            let image = executor.destination_of(
                ObjectKind::Image,
                *image,
                ["VUID-vkCmdCopyBufferToImage-dstImage-07966", "VUID-vkCmdCopyBufferToImage-dstImage-00177"],
            );
            executor.copy_image(buffer, image, regions, Direction::IntoImage);
        }
        Command::CopyImageToBuffer { image, buffer, regions } => {
            let image = executor.source_of(
                ObjectKind::Image,
                *image,
                ["VUID-vkCmdCopyImageToBuffer-srcImage-07966", "VUID-vkCmdCopyImageToBuffer-srcImage-00186"],
            );
            let buffer = executor.destination_of(
                ObjectKind::Buffer,
                *buffer,
                ["VUID-vkCmdCopyImageToBuffer-dstBuffer-00192", "VUID-vkCmdCopyImageToBuffer-dstBuffer-00191"],
            );
            executor.copy_image(buffer, image, regions, Direction::OutOfImage);
        }
        Command::ClearImage { image, word, ranges } => executor.clear_image(*image, *word, ranges),
        Command::Barriers { buffers, images, .. } => executor.barriers(buffers, images),
        Command::Dispatch { .. } => {}
    }
}

/// Which way bytes go between a buffer and an image.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Direction {
    IntoImage,
    OutOfImage,
}

impl Executor<'_> {
    fn violate(&self, rule: &'static str, message: String) {
        self.device.violate(rule, self.function, message);
    }

    /// Finds the bytes of a resource that is read; the rules are that it is bound and has the usage.
    fn source_of(&mut self, kind: ObjectKind, handle: u64, [bound, usage]: [&'static str; 2]) -> Option<Place> {
        if self.world.resources(kind).get(handle).is_ok_and(|resource| !resource.is_source) {
            self.violate(usage, format!("{kind:?} {handle:#x} has no usage TRANSFER_SRC"));
        }
        self.resolve(kind, handle, bound)
    }

    /// Finds the bytes of a resource that is written; the rules are as before.
    fn destination_of(&mut self, kind: ObjectKind, handle: u64, [bound, usage]: [&'static str; 2]) -> Option<Place> {
        if self.world.resources(kind).get(handle).is_ok_and(|resource| !resource.is_destination) {
            self.violate(usage, format!("{kind:?} {handle:#x} has no usage TRANSFER_DST"));
        }
        self.resolve(kind, handle, bound)
    }

    /// Finds the bytes of a resource, or records why there are none; of a sparse one nothing is known.
    pub(super) fn resolve(&mut self, kind: ObjectKind, handle: u64, unbound: &'static str) -> Option<Place> {
        let id = ResourceId { kind, handle };
        let resource = match self.world.resources(kind).get(handle) {
            Ok(resource) => resource,
            Err(bad) => {
                self.violate("SIM-use-after-destroy", format!("{kind:?} {handle:#x} {bad}"));
                return None;
            }
        };
        let (size, shape, binding) = (resource.size, resource.shape, resource.binding);
        let is_sparse = resource.is_sparse;
        let Some((memory, offset)) = binding else {
            if is_sparse {
                return None;
            }
            self.violate(unbound, format!("{:?} {:#x} is not bound to memory", id.kind, id.handle));
            return None;
        };
        if let Err(bad) = self.world.memories.get(memory) {
            self.violate(
                "SIM-use-after-free",
                format!("{kind:?} {handle:#x} is bound to memory {memory:#x}, which {bad}"),
            );
            return None;
        }
        Some(Place { memory, offset, size, shape })
    }

    /// Checks that a range lies in a resource.
    fn is_inside(&self, place: Place, range: &Range<u64>, rule: &'static str) -> bool {
        let is_inside = range.start <= range.end && range.end <= place.size;
        if !is_inside {
            self.violate(rule, format!("bytes {range:?} of a resource of {}", place.size));
        }
        is_inside
    }

    /// Returns where the device sees byte `offset` of a resource; `None` where nothing is to be carried out.
    fn bytes(&mut self, place: Place, offset: u64) -> Option<*mut u8> {
        if self.mode == Mode::Refuse {
            return None;
        }
        let memory = self.world.memories.get_mut(place.memory).ok()?;
        Some(ensure_storage(self.device, memory)?.device(place.offset + offset))
    }

    /// Returns where the device reads a range of a resource, recording host writes that it misses.
    fn source(&mut self, place: Place, range: &Range<u64>) -> Option<*const u8> {
        let memory = self.world.memories.get(place.memory).ok()?;
        let in_memory = place.offset + range.start..place.offset + range.end;
        judge_device_read(self.device, self.function, (place.memory, memory), in_memory);
        self.bytes(place, range.start).map(<*mut _>::cast_const)
    }

    /// Copies bytes between two resources, whose bounds were checked.
    fn copy(&mut self, from: Place, from_offset: u64, to: Place, to_offset: u64, size: u64) {
        let length = usize::try_from(size).unwrap_or(0);
        let source = self.source(from, &(from_offset..from_offset + size));
        let destination = self.bytes(to, to_offset);
        if let (Some(source), Some(destination)) = (source, destination) {
            // SAFETY: both ranges lie inside their resources and those inside their memory (checked at bind); the bytes
            // live as long as the memory objects, which the locked world holds. They may overlap and be uninitialised.
            unsafe { core::ptr::copy(source, destination, length) };
        }
    }

    fn copy_buffer(&mut self, source: u64, destination: u64, regions: &[vk::BufferCopy]) {
        let from = self.source_of(
            ObjectKind::Buffer,
            source,
            ["VUID-vkCmdCopyBuffer-srcBuffer-00119", "VUID-vkCmdCopyBuffer-srcBuffer-00118"],
        );
        let to = self.destination_of(
            ObjectKind::Buffer,
            destination,
            ["VUID-vkCmdCopyBuffer-dstBuffer-00121", "VUID-vkCmdCopyBuffer-dstBuffer-00120"],
        );
        let (Some(from), Some(to)) = (from, to) else {
            return;
        };
        for region in regions {
            #[rustfmt::skip]
            let checks = [
                (region.size > 0, "VUID-VkBufferCopy-size-01988", "there are no bytes"),
                (region.src_offset < from.size, "VUID-vkCmdCopyBuffer-srcOffset-00113", "the source begins outside"),
                (region.dst_offset < to.size, "VUID-vkCmdCopyBuffer-dstOffset-00114", "the destination begins outside"),
            ];
            self.device.judge(self.function, &checks, || format!("{region:?}"));
            let source = region.src_offset..region.src_offset.saturating_add(region.size);
            let destination = region.dst_offset..region.dst_offset.saturating_add(region.size);
            let is_right = self.is_inside(from, &source, "VUID-vkCmdCopyBuffer-size-00115")
                & self.is_inside(to, &destination, "VUID-vkCmdCopyBuffer-size-00116");
            if is_right {
                self.copy(from, region.src_offset, to, region.dst_offset, region.size);
            }
        }
    }

    fn fill_buffer(&mut self, destination: u64, offset: u64, size: u64, word: u32) {
        let Some(to) = self.destination_of(
            ObjectKind::Buffer,
            destination,
            ["VUID-vkCmdFillBuffer-dstBuffer-00031", "VUID-vkCmdFillBuffer-dstBuffer-00029"],
        ) else {
            return;
        };
        let is_whole = size == vk::WHOLE_SIZE;
        #[rustfmt::skip]
        let checks = [
            (offset < to.size, "VUID-vkCmdFillBuffer-dstOffset-00024", "the offset is not inside the buffer"),
            (offset.is_multiple_of(4), "VUID-vkCmdFillBuffer-dstOffset-00025", "the offset is no multiple of 4"),
            (size > 0, "VUID-vkCmdFillBuffer-size-00026", "there are no bytes"),
            (is_whole || size.is_multiple_of(4), "VUID-vkCmdFillBuffer-size-00028", "the bytes are no multiple of 4"),
        ];
        self.device.judge(self.function, &checks, || format!("{size} bytes at offset {offset}"));
        let end = if is_whole { to.size.max(offset) } else { offset.saturating_add(size) };
        if !self.is_inside(to, &(offset..end), "VUID-vkCmdFillBuffer-size-00027") {
            return;
        }
        self.fill(to, &(offset..end), word);
    }

    /// Repeats a word in a range of a resource, whose bounds were checked.
    fn fill(&mut self, to: Place, range: &Range<u64>, word: u32) {
        let Some(bytes) = self.bytes(to, range.start) else {
            return;
        };
        let length = usize::try_from(range.end - range.start).unwrap_or(0) / 4 * 4;
        for (index, byte) in (0..length).zip(word.to_ne_bytes().iter().cycle()) {
            // SAFETY: `range.start + index < range.end`, which is inside the resource, and that inside its memory.
            let place = unsafe { bytes.add(index) };
            // SAFETY: as above; the locked world keeps the memory alive.
            unsafe { place.write(*byte) };
        }
    }

    /// Clears the subresources of an image whose texels are words; others are judged and left as they are.
    fn clear_image(&mut self, image: u64, word: u32, ranges: &[vk::ImageSubresourceRange]) {
        let Some(to) = self.destination_of(
            ObjectKind::Image,
            image,
            ["VUID-vkCmdClearColorImage-image-00003", "VUID-vkCmdClearColorImage-image-00002"],
        ) else {
            return;
        };
        let Some(shape) = to.shape else {
            return;
        };
        let count = |given: u32, base: u32, all: u32| given.min(all.saturating_sub(base));
        for range in ranges {
            let is_right = self.device.judge(self.function, &CLEAR.checks(range, &shape), || format!("{range:?}"));
            if !is_right || !shape.is_word {
                continue;
            }
            let (level, layer) = (range.base_mip_level, range.base_array_layer);
            for level in (level..).take(count(range.level_count, level, shape.mip_levels) as usize) {
                for layer in (layer..).take(count(range.layer_count, layer, shape.array_layers) as usize) {
                    if let Some(part) = shape.subresource(level, layer) {
                        self.fill(to, &(part.offset..part.offset + part.size), word);
                    }
                }
            }
        }
    }

    fn update_buffer(&mut self, destination: u64, offset: u64, bytes: &[u8]) {
        let Some(to) = self.destination_of(
            ObjectKind::Buffer,
            destination,
            ["VUID-vkCmdUpdateBuffer-dstBuffer-00035", "VUID-vkCmdUpdateBuffer-dstBuffer-00034"],
        ) else {
            return;
        };
        let size = bytes.len();
        #[rustfmt::skip]
        let checks = [
            (offset < to.size, "VUID-vkCmdUpdateBuffer-dstOffset-00032", "the offset is not inside the buffer"),
            (offset.is_multiple_of(4), "VUID-vkCmdUpdateBuffer-dstOffset-00036", "the offset is no multiple of 4"),
            (size > 0, "VUID-vkCmdUpdateBuffer-dataSize-arraylength", "there are no bytes"),
            (size <= 65_536, "VUID-vkCmdUpdateBuffer-dataSize-00037", "there are more than 65536 bytes"),
            (size.is_multiple_of(4), "VUID-vkCmdUpdateBuffer-dataSize-00038", "the bytes are no multiple of 4"),
        ];
        self.device.judge(self.function, &checks, || format!("{size} bytes to offset {offset}"));
        let range = offset..offset.saturating_add(size as u64);
        if !self.is_inside(to, &range, "VUID-vkCmdUpdateBuffer-dataSize-00033") {
            return;
        }
        if let Some(place) = self.bytes(to, offset) {
            // SAFETY: the range is inside the resource, and that inside its memory; `bytes` is elsewhere.
            unsafe { core::ptr::copy_nonoverlapping(bytes.as_ptr(), place, bytes.len()) };
        }
    }

    fn copy_image(
        &mut self,
        buffer: Option<Place>,
        image: Option<Place>,
        regions: &[vk::BufferImageCopy],
        direction: Direction,
    ) {
        let (Some(buffer), Some(image)) = (buffer, image) else {
            return;
        };
        let Some(shape) = image.shape else {
            return;
        };
        for region in regions {
            self.judge_buffer_offset(&shape, region.buffer_offset, direction);
            if !judge_region(self.device, self.function, region) {
                continue;
            }
            let layers = region.image_subresource;
            let packed = shape.of_aspect(layers.aspect_mask);
            for layer in 0..layers.layer_count {
                let Some(part) = shape.subresource(layers.mip_level, layers.base_array_layer.saturating_add(layer))
                else {
                    let rule = direction.rule(
                        "VUID-vkCmdCopyBufferToImage-imageSubresource-07967",
                        "VUID-vkCmdCopyImageToBuffer-imageSubresource-07967",
                    );
                    self.violate(rule, format!("the image has no {layers:?}"));
                    break;
                };
                if let Some(packed) = &packed {
                    self.copy_layer((buffer, image), &Layer::new(packed, part, region, layer), direction);
                }
            }
        }
    }

    /// Rules of images that are not in several planes.
    fn judge_buffer_offset(&self, shape: &ImageShape, offset: u64, direction: Direction) {
        let into = ["VUID-vkCmdCopyBufferToImage-dstImage-07978", "VUID-vkCmdCopyBufferToImage-dstImage-07975"];
        let out_of = ["VUID-vkCmdCopyImageToBuffer-srcImage-07978", "VUID-vkCmdCopyImageToBuffer-srcImage-07975"];
        let [depth, color] = if direction == Direction::IntoImage { into } else { out_of };
        let (rule, unit) = if shape.is_depth_stencil { (depth, 4) } else { (color, u64::from(shape.block.bytes)) };
        if (shape.is_depth_stencil || shape.is_plain) && !offset.is_multiple_of(unit) {
            self.violate(rule, format!("bufferOffset {offset} is no multiple of {unit}"));
        }
    }

    fn copy_layer(&mut self, (buffer, image): (Place, Place), layer: &Layer, direction: Direction) {
        if !layer.is_inside_image {
            let rule = direction.rule(
                "VUID-vkCmdCopyBufferToImage-imageSubresource-07970",
                "VUID-vkCmdCopyImageToBuffer-imageSubresource-07970",
            );
            return self.violate(rule, "the region ends outside the image".to_owned());
        }
        let Some(end) = layer.buffer_end() else {
            return;
        };
        let rule =
            direction.rule("VUID-vkCmdCopyBufferToImage-pRegions-00171", "VUID-vkCmdCopyImageToBuffer-pRegions-00183");
        if !self.is_inside(buffer, &(layer.buffer_start..end), rule) {
            return;
        }
        for slice in 0..layer.slices {
            for row in 0..layer.rows {
                let in_buffer = layer.buffer_start + slice * layer.buffer_slice + row * layer.buffer_row;
                let in_image = layer.image_start + slice * layer.image_slice + row * layer.image_row;
                match direction {
                    // An aspect among others is read from the buffer, and goes nowhere.
                    Direction::IntoImage if !layer.is_plain => {
                        let _ = self.source(buffer, &(in_buffer..in_buffer + layer.row_bytes));
                    }
                    Direction::OutOfImage if !layer.is_plain => {}
                    Direction::IntoImage => {
                        self.copy(buffer, in_buffer, image, in_image, layer.row_bytes);
                    }
                    Direction::OutOfImage => {
                        self.copy(image, in_image, buffer, in_buffer, layer.row_bytes);
                    }
                }
            }
        }
    }
}

impl Direction {
    fn rule(self, into_image: &'static str, out_of_image: &'static str) -> &'static str {
        if self == Self::IntoImage { into_image } else { out_of_image }
    }
}
