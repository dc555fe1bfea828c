//! Brings a finished picture back through the readback, and writes it to a file.

use std::error::Error;
use std::fs::File;
use std::io::BufWriter;
use std::path::Path;

use freestone::ash::vk;
use freestone::{
    Allocator, Download, ImageTarget, Readback, Recorded, ResourceUse, StagingCreateInfo, Ticket, TransferError,
};

use crate::swapchain::{Shown, Swapchain};

/// A picture on its way to the host.
pub(crate) struct Screenshot<'a> {
    readback: Readback<&'a Allocator>,
    /// One for each part of the picture.
    tickets: Vec<Ticket>,
    extent: vk::Extent2D,
    format: vk::Format,
}

impl<'a> Screenshot<'a> {
    /// Records the copy of an image that was drawn, and leaves it ready to be shown.
    ///
    /// # Errors
    /// Where there is no memory.
    pub(crate) fn record(
        allocator: &'a Allocator,
        commands: vk::CommandBuffer,
        swapchain: &Swapchain<'_>,
        shown: &Shown,
    ) -> Result<Self, Box<dyn Error>> {
        let (extent, format) = (swapchain.extent, swapchain.format);
        let bytes = u64::from(extent.width) * u64::from(extent.height) * 4;
        // SAFETY: the renderer waits for the device before the picture is read, and so before this is dropped.
        let mut readback = unsafe { Readback::new(allocator, &StagingCreateInfo::new(bytes)) }?;
        let info = vk::ImageCreateInfo::default()
            .image_type(vk::ImageType::TYPE_2D)
            .format(format)
            .extent(extent.into())
            .mip_levels(1)
            .array_layers(1)
            .samples(vk::SampleCountFlags::TYPE_1)
            .usage(vk::ImageUsageFlags::TRANSFER_SRC);
        let target = ImageTarget::new(shown.image, &info);
        let drawn = ResourceUse::image(
            vk::PipelineStageFlags::COLOR_ATTACHMENT_OUTPUT,
            vk::AccessFlags::COLOR_ATTACHMENT_WRITE,
            vk::ImageLayout::COLOR_ATTACHMENT_OPTIMAL,
        );
        let given_back = ResourceUse::image(
            vk::PipelineStageFlags::BOTTOM_OF_PIPE,
            vk::AccessFlags::empty(),
            vk::ImageLayout::PRESENT_SRC_KHR,
        );
        let mut download = Download::of_image(target, target.regions())?.before(drawn).after(given_back);
        let mut tickets = Vec::new();
        while !download.is_done() {
            // SAFETY: recording, outside a pass; the image is alive and its swapchain was made with this usage.
            match unsafe { readback.record(commands, &mut download) }? {
                Recorded::Part(ticket) | Recorded::Last(ticket) => tickets.push(ticket),
                Recorded::Full(_) => return Err("a ring as large as the picture does not take it".into()),
            }
        }
        Ok(Self { readback, tickets, extent, format })
    }

    /// Says that the frame was submitted.
    ///
    /// # Errors
    /// Where the point is not above those before.
    pub(crate) fn submitted(&mut self, point: u64) -> Result<(), TransferError> {
        self.readback.submitted(point)
    }

    /// Writes the picture to a file. The frame is complete.
    ///
    /// # Errors
    /// Where the file cannot be written.
    pub(crate) fn write(mut self, point: u64, path: &Path) -> Result<(), Box<dyn Error>> {
        // SAFETY: the frame is complete: the renderer has waited for the device.
        unsafe { self.readback.collect(point) };
        let mut bytes = vec![0_u8; self.extent.width as usize * self.extent.height as usize * 4];
        for ticket in self.tickets {
            let (start, length) = (ticket.offset() as usize, ticket.len() as usize);
            self.readback.read(ticket, &mut bytes[start..start + length])?;
        }
        if self.format == vk::Format::B8G8R8A8_UNORM {
            bytes.chunks_exact_mut(4).for_each(|pixel| pixel.swap(0, 2));
        }
        let colours: Vec<u8> = bytes.chunks_exact(4).flat_map(|pixel| &pixel[..3]).copied().collect();
        let file = File::create(path).map_err(|error| format!("{}: {error}", path.display()))?;
        let mut encoder = png::Encoder::new(BufWriter::new(file), self.extent.width, self.extent.height);
        encoder.set_color(png::ColorType::Rgb);
        encoder.set_depth(png::BitDepth::Eight);
        encoder.set_compression(png::Compression::High);
        encoder.write_header()?.write_image_data(&colours)?;
        Ok(())
    }
}
