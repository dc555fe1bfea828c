//! The images that the window shows, made anew whenever the window changes its size.

use std::error::Error;

use freestone::ash::{khr, vk};

use crate::commands::colour_view;
use crate::headless::Vulkan;
use crate::window::Surface;

/// What the last pass writes: it encodes colours itself, so the format is a plain one.
const FORMATS: [vk::Format; 2] = [vk::Format::B8G8R8A8_UNORM, vk::Format::R8G8B8A8_UNORM];

pub(crate) struct Swapchain<'a> {
    vulkan: &'a Vulkan<'a>,
    surface: &'a Surface,
    functions: khr::swapchain::Device,
    pub(crate) format: vk::Format,
    pub(crate) extent: vk::Extent2D,
    handle: vk::SwapchainKHR,
    images: Vec<Shown>,
}

/// An image of the swapchain, with what tells the screen that it was drawn.
#[derive(Clone, Copy)]
pub(crate) struct Shown {
    pub(crate) image: vk::Image,
    pub(crate) view: vk::ImageView,
    pub(crate) drawn: vk::Semaphore,
}

impl<'a> Swapchain<'a> {
    /// Makes an empty swapchain; [`fit`](Self::fit) gives it images.
    ///
    /// # Errors
    /// Where the surface has none of the formats, or a call of Vulkan fails.
    pub(crate) fn new(vulkan: &'a Vulkan<'a>, surface: &'a Surface) -> Result<Self, Box<dyn Error>> {
        // SAFETY: device and surface belong to the instance.
        let offered =
            unsafe { surface.functions.get_physical_device_surface_formats(vulkan.physical_device, surface.handle) }?;
        let is_offered = |format: &vk::Format| offered.iter().any(|offer| offer.format == *format);
        let format = FORMATS.into_iter().find(is_offered).ok_or("the window has no format of four plain bytes")?;
        Ok(Self {
            vulkan,
            surface,
            functions: khr::swapchain::Device::new(vulkan.instance, vulkan.device),
            format,
            extent: vk::Extent2D::default(),
            handle: vk::SwapchainKHR::null(),
            images: Vec::new(),
        })
    }

    /// Makes the images anew, as large as the window is. The device is idle. A window without an inside, as a minimised
    /// one is on some systems, has no images: the extent is zero then, and nothing is to be drawn.
    ///
    /// # Errors
    /// Where a call of Vulkan fails.
    pub(crate) fn fit(&mut self, window: vk::Extent2D) -> Result<(), vk::Result> {
        let (device, surface) = (self.vulkan.physical_device, self.surface.handle);
        let surfaces = &self.surface.functions;
        // SAFETY: device and surface belong to the instance.
        let offer = unsafe { surfaces.get_physical_device_surface_capabilities(device, surface) }?;
        let extent = extent_of(&offer, window);
        self.destroy_images();
        self.extent = extent;
        if extent.width == 0 {
            return Ok(());
        }
        let old = self.handle;
        let info = self.info(&offer, old);
        // SAFETY: format and extent are offered; the old swapchain is not in use: the device is idle.
        self.handle = unsafe { self.functions.create_swapchain(&info, None) }?;
        // SAFETY: it was replaced, and its images' views are gone.
        unsafe { self.functions.destroy_swapchain(old, None) };
        self.adopt_images()
    }

    fn info(&self, offer: &vk::SurfaceCapabilitiesKHR, old: vk::SwapchainKHR) -> vk::SwapchainCreateInfoKHR<'static> {
        let most = if offer.max_image_count == 0 { u32::MAX } else { offer.max_image_count };
        let usage = vk::ImageUsageFlags::COLOR_ATTACHMENT | vk::ImageUsageFlags::TRANSFER_SRC;
        vk::SwapchainCreateInfoKHR::default()
            .surface(self.surface.handle)
            .min_image_count((offer.min_image_count + 1).clamp(3, most.max(3)).min(most))
            .image_format(self.format)
            .image_color_space(vk::ColorSpaceKHR::SRGB_NONLINEAR)
            .image_extent(self.extent)
            .image_array_layers(1)
            .image_usage(usage & offer.supported_usage_flags)
            .pre_transform(offer.current_transform)
            .composite_alpha(vk::CompositeAlphaFlagsKHR::OPAQUE)
            .present_mode(vk::PresentModeKHR::FIFO)
            .clipped(true)
            .old_swapchain(old)
    }

    fn adopt_images(&mut self) -> Result<(), vk::Result> {
        let device = self.vulkan.device;
        // SAFETY: the swapchain was made a moment ago.
        for image in unsafe { self.functions.get_swapchain_images(self.handle) }? {
            let info = vk::SemaphoreCreateInfo::default();
            // SAFETY: the create-info is valid.
            let drawn = unsafe { device.create_semaphore(&info, None) }?;
            self.images.push(Shown { image, view: vk::ImageView::null(), drawn });
            let view = colour_view(device, image, self.format, 1)?;
            self.images.last_mut().into_iter().for_each(|shown| shown.view = view);
        }
        Ok(())
    }

    /// Asks for the next image, which is free when the semaphore says so; `None` if the window has changed.
    ///
    /// # Errors
    /// Where a call of Vulkan fails.
    pub(crate) fn acquire(&self, free: vk::Semaphore) -> Result<Option<u32>, vk::Result> {
        // SAFETY: the semaphore is unsignalled and nothing waits for it: its frame was waited for.
        match unsafe { self.functions.acquire_next_image(self.handle, u64::MAX, free, vk::Fence::null()) } {
            Ok((index, _)) => Ok(Some(index)),
            Err(vk::Result::ERROR_OUT_OF_DATE_KHR) => Ok(None),
            Err(error) => Err(error),
        }
    }

    /// Returns an image by the number that `acquire` gave.
    pub(crate) fn shown(&self, index: u32) -> Shown {
        self.images[index as usize]
    }

    /// Shows an image when it is drawn; tells whether the window is still as it was.
    ///
    /// # Errors
    /// Where a call of Vulkan fails.
    pub(crate) fn present(&self, index: u32) -> Result<bool, vk::Result> {
        let (waits, swapchains, indices) = ([self.shown(index).drawn], [self.handle], [index]);
        let info =
            vk::PresentInfoKHR::default().wait_semaphores(&waits).swapchains(&swapchains).image_indices(&indices);
        // SAFETY: the image was acquired, and the frame that was submitted signals its semaphore.
        match unsafe { self.functions.queue_present(self.vulkan.queue, &info) } {
            Ok(is_suboptimal) => Ok(!is_suboptimal),
            Err(vk::Result::ERROR_OUT_OF_DATE_KHR) => Ok(false),
            Err(error) => Err(error),
        }
    }

    fn destroy_images(&mut self) {
        for Shown { view, drawn, .. } in self.images.drain(..) {
            // SAFETY: the device is idle; the images are the swapchain's.
            unsafe { self.vulkan.device.destroy_image_view(view, None) };
            // SAFETY: as above.
            unsafe { self.vulkan.device.destroy_semaphore(drawn, None) };
        }
    }
}

/// Returns how large the images are to be: as the surface says, or, where it leaves that to us, as the window is.
fn extent_of(offer: &vk::SurfaceCapabilitiesKHR, window: vk::Extent2D) -> vk::Extent2D {
    if window.width == 0 || window.height == 0 {
        return vk::Extent2D::default();
    }
    if offer.current_extent.width != u32::MAX {
        return offer.current_extent;
    }
    let (least, most) = (offer.min_image_extent, offer.max_image_extent);
    vk::Extent2D {
        width: window.width.clamp(least.width, most.width),
        height: window.height.clamp(least.height, most.height),
    }
}

impl Drop for Swapchain<'_> {
    fn drop(&mut self) {
        self.destroy_images();
        // SAFETY: the device is idle when the renderer ends; null is allowed.
        unsafe { self.functions.destroy_swapchain(self.handle, None) };
    }
}
