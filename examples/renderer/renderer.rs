//! Draws frames: waits for a slot, streams, fills the ring, records the passes, shows the picture.
//!
//! ```text
//!   wait for the slot ─► collect: ring, uploader, retire queue ─► acquire ─► uploads ─► uniforms, instances, letters
//!      ─► shadow ─► scene ─► bloom ─► compose, overlay ─► submit (point n) ─► present
//! ```

use std::error::Error;
use std::path::Path;

use freestone::ash::vk;
use freestone::{Allocator, FrameRing, FrameRingCreateInfo, FrameSlice};

use crate::font;
use crate::frames::{Frames, IN_FLIGHT, Slot};
use crate::headless::Vulkan;
use crate::heap;
use crate::overlay::{Overlay, Quad, Report};
use crate::passes::{Bound, Passes};
use crate::pipelines::Pipelines;
use crate::scene::{FrameData, Instance, STREAMED_COUNT, Scene, Seen, frame_data};
use crate::screenshot::Screenshot;
use crate::shapes::Detail;
use crate::streaming::{Stock, Streaming};
use crate::swapchain::Swapchain;
use crate::targets::Targets;
use crate::textures::{Texels, Texture};
use crate::window::Surface;

/// Bytes of the ring's one buffer: what two frames need, with room to spare.
const RING_BYTES: u64 = 512 << 10;
/// Frames after which the overlay is written again.
const OVERLAY_EVERY: u64 = 15;

pub(crate) struct Renderer<'a> {
    // Fields are dropped in this order: what is used by others comes behind them.
    streaming: Streaming<'a>,
    targets: Targets<'a>,
    pipelines: Pipelines<'a>,
    ring: FrameRing<&'a Allocator>,
    frames: Frames<'a>,
    swapchain: Swapchain<'a>,
    vulkan: &'a Vulkan<'a>,
    allocator: &'a Allocator,
    scene: Scene,
    /// What each site has on the GPU.
    stocks: Vec<Option<Stock<'a>>>,
    /// Which stones this frame draws, in the order of the instances.
    seen: Vec<Seen>,
    font: Option<Texture<'a>>,
    overlay: Overlay,
    /// The buffers that each slot's set names.
    named: [[vk::Buffer; 2]; IN_FLIGHT],
    screenshot: Option<(Screenshot<'a>, u64)>,
    /// The first frame that was drawn into the window; those before have loaded the quarry.
    first_point: u64,
    /// Whether the window has changed since the images were made.
    is_outdated: bool,
}

/// What becomes of a frame's picture besides being shown.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Keep {
    Nothing,
    Picture,
}

/// What a frame came to.
#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct Drawn {
    /// Whether there was anything to draw to.
    pub(crate) is_shown: bool,
    /// Whether anything was streamed, retired or made anew in it, or its picture kept.
    pub(crate) is_busy: bool,
    /// Heap calls of this thread, the writing of the overlay left out.
    pub(crate) heap_calls: u64,
}

impl<'a> Renderer<'a> {
    /// Makes everything, and loads the quarry.
    ///
    /// # Errors
    /// Where there is no memory, a shader does not compile, or a call of Vulkan fails.
    pub(crate) fn new(
        vulkan: &'a Vulkan<'a>,
        allocator: &'a Allocator,
        surface: &'a Surface,
        seed: u64,
    ) -> Result<Self, Box<dyn Error>> {
        let swapchain = Swapchain::new(vulkan, surface)?;
        let pipelines = Pipelines::new(vulkan, swapchain.format)?;
        let usage = vk::BufferUsageFlags::UNIFORM_BUFFER
            | vk::BufferUsageFlags::STORAGE_BUFFER
            | vk::BufferUsageFlags::VERTEX_BUFFER;
        let info = FrameRingCreateInfo::new(usage).frames_in_flight(IN_FLIGHT as u32).initial_size(RING_BYTES);
        // SAFETY: the usage is valid; `draw` reclaims a frame when its fence was waited for, and submits it after its
        // end; the device outlives the renderer, and is idle when it ends.
        let ring = unsafe { FrameRing::new(allocator, &info) }?;
        let scene = Scene::new(seed);
        let mut renderer = Self {
            streaming: Streaming::new(vulkan, allocator, pipelines.texture_sets()?)?,
            targets: Targets::new(vulkan, allocator),
            frames: Frames::new(vulkan)?,
            stocks: scene.sites.iter().map(|_| None).collect(),
            seen: vec![Seen::default(); scene.piece_count()],
            font: None,
            overlay: Overlay::default(),
            named: Default::default(),
            screenshot: None,
            first_point: 0,
            is_outdated: true,
            pipelines,
            ring,
            swapchain,
            vulkan,
            allocator,
            scene,
        };
        renderer.load()?;
        Ok(renderer)
    }

    /// Loads all sites, those that are streamed without much detail, and waits for them.
    fn load(&mut self) -> Result<(), Box<dyn Error>> {
        self.font = Some(self.streaming.texture(Texels::plain(font::texture_size(), font::texels()))?);
        for site in 0..self.scene.sites.len() {
            self.streaming.request(site, if site < STREAMED_COUNT { Detail::Coarse } else { Detail::Fine });
            while self.stocks[site].is_none() {
                let point = self.frames.next_point;
                let mut arrived = Ok(None);
                let (streaming, sites) = (&mut self.streaming, &self.scene.sites);
                self.vulkan.submit(|_, commands| arrived = streaming.advance(commands, sites))?;
                self.streaming.submitted(point)?;
                self.streaming.collect(point);
                self.frames.next_point += 1;
                if let Some((site, stock)) = arrived? {
                    self.stocks[site] = Some(stock);
                }
            }
        }
        self.first_point = self.frames.next_point;
        Ok(())
    }

    /// Says that the window has changed, or may have.
    pub(crate) fn note_change(&mut self) {
        self.is_outdated = true;
    }

    /// Returns how large the picture is.
    pub(crate) fn extent(&self) -> vk::Extent2D {
        self.swapchain.extent
    }

    /// Draws one frame of a time, in seconds, into a window of this size.
    ///
    /// # Errors
    /// Where there is no memory, or a call of Vulkan fails.
    pub(crate) fn draw(&mut self, time: f32, window: vk::Extent2D, keep: Keep) -> Result<Drawn, Box<dyn Error>> {
        let (was_outdated, was_busy) = (self.is_outdated, self.streaming.is_busy());
        if was_outdated {
            self.fit(window)?;
        }
        if self.swapchain.extent.width == 0 {
            return Ok(Drawn { is_busy: true, ..Drawn::default() });
        }
        let number = self.frames.next_point - self.first_point;
        if number.is_multiple_of(OVERLAY_EVERY) || was_outdated {
            self.write_overlay();
        }
        let heap_before = heap::calls();
        let is_shown = self.draw_fitting(time, keep)?;
        let heap_calls = heap::calls() - heap_before;
        let is_busy = keep == Keep::Picture || was_outdated || was_busy || self.streaming.is_busy();
        Ok(Drawn { is_shown, is_busy, heap_calls })
    }

    fn draw_fitting(&mut self, time: f32, keep: Keep) -> Result<bool, Box<dyn Error>> {
        let (slot, completed) = self.frames.wait()?;
        self.ring.reclaim(completed);
        self.streaming.collect(completed);
        self.allocator.tick();
        let Some(image) = self.swapchain.acquire(slot.acquired)? else {
            self.is_outdated = true;
            return Ok(false);
        };
        let shown = self.swapchain.shown(image);
        let (commands, point) = (self.frames.begin(&slot)?, self.frames.next_point);
        self.stream(commands, time, point)?;
        let bound = self.fill_ring(&slot, time, point)?;
        let passes = Passes {
            device: self.vulkan.device,
            commands,
            pipelines: &self.pipelines,
            targets: &self.targets,
            scene: &self.scene,
            stocks: &self.stocks,
            seen: &self.seen,
            time,
        };
        passes.record(&bound, &shown, self.swapchain.extent);
        let mut screenshot = match keep {
            Keep::Picture => Some(Screenshot::record(self.allocator, commands, &self.swapchain, &shown)?),
            Keep::Nothing => None,
        };
        if screenshot.is_none() {
            passes.show(&shown);
        }
        self.frames.submit(&slot, shown.drawn)?;
        self.streaming.submitted(point)?;
        if let Some(screenshot) = &mut screenshot {
            screenshot.submitted(point)?;
        }
        self.screenshot = screenshot.map(|screenshot| (screenshot, point));
        self.is_outdated = !self.swapchain.present(image)?;
        Ok(true)
    }

    /// Asks for the detail that the camera needs, and puts what has arrived into its place.
    fn stream(&mut self, commands: vk::CommandBuffer, time: f32, point: u64) -> Result<(), Box<dyn Error>> {
        let stocks = &mut self.stocks;
        let is_wanted = |site: &usize| {
            let has = stocks[*site].as_ref().map(|stock| stock.detail);
            has != Some(Scene::detail(*site, time))
        };
        if let Some(site) = (0..STREAMED_COUNT).find(is_wanted) {
            self.streaming.request(site, Scene::detail(site, time));
        }
        if let Some((site, stock)) = self.streaming.advance(commands, &self.scene.sites)? {
            // Frames up to the last one draw the old stock.
            if let Some(old) = stocks[site].replace(stock) {
                self.streaming.retire(old, point - 1);
            }
        }
        Ok(())
    }

    /// Writes what this frame's shaders read.
    fn fill_ring(&mut self, slot: &Slot, time: f32, point: u64) -> Result<Bound, Box<dyn Error>> {
        let vk::Extent2D { width, height } = self.swapchain.extent;
        let mut frame = self.ring.begin_frame()?;
        let data = frame_data(time, width as f32 / height as f32);
        let uniforms = frame.push(&[data])?;
        let bytes = self.scene.piece_count() * size_of::<Instance>();
        let instances = frame.reserve(bytes as u64, size_of::<Instance>() as u64)?;
        let room = instances.bytes.chunks_exact_mut(size_of::<Instance>());
        for ((place, seen), (shape, instance)) in room.zip(&mut self.seen).zip(self.scene.instances(time)) {
            for (to, byte) in place.iter_mut().zip(bytemuck::bytes_of(&instance)) {
                to.write(*byte);
            }
            *seen = data.sees(shape, &instance);
        }
        let instances = instances.slice;
        let letters = frame.push_aligned(self.overlay.quads(), size_of::<Quad>() as u64)?;
        frame.end(point)?;
        drop(frame);
        self.name_buffers(slot, &uniforms, &instances);
        let font = self.font.as_ref().map_or(vk::DescriptorSet::null(), |font| font.set);
        Ok(Bound {
            set: self.pipelines.scene_sets[slot.index],
            offsets: [uniforms.offset as u32, instances.offset as u32],
            letters: (letters.buffer, letters.offset, self.overlay.quads().len() as u32),
            font,
        })
    }

    /// Sees to it that the slot's set names the ring's buffers: once, unless the ring grows.
    fn name_buffers(&mut self, slot: &Slot, uniforms: &FrameSlice, instances: &FrameSlice) {
        let buffers = [uniforms.buffer, instances.buffer];
        if self.named[slot.index] != buffers {
            self.named[slot.index] = buffers;
            let ranges = [size_of::<FrameData>() as u64, instances.size];
            self.pipelines.point_scene_set(slot.index, [(buffers[0], ranges[0]), (buffers[1], ranges[1])]);
        }
    }

    /// Makes all that depends on the window's size anew.
    fn fit(&mut self, window: vk::Extent2D) -> Result<(), Box<dyn Error>> {
        // SAFETY: the queue is used by this thread only.
        unsafe { self.vulkan.device.device_wait_idle() }?;
        let before = self.swapchain.extent;
        self.swapchain.fit(window)?;
        self.is_outdated = false;
        let extent = self.swapchain.extent;
        if extent.width != 0 && extent != before {
            self.targets.fit(extent)?;
            Passes::point_sets(&self.pipelines, &self.targets);
        }
        Ok(())
    }

    fn write_overlay(&mut self) {
        let arena = self.streaming.arena.statistics();
        let traffic = self.streaming.traffic;
        let report = Report {
            frame: self.frames.next_point - self.first_point,
            statistics: self.allocator.statistics(),
            details: self.allocator.detailed_statistics(),
            mesh_bytes: (arena.used_bytes, arena.reserved_bytes),
            mesh_count: self.stocks.iter().flatten().map(|stock| stock.meshes.len()).sum(),
            target_bytes: self.targets.bytes(),
            ring_bytes: self.ring.statistics().capacity,
            staging_bytes: self.streaming.uploader.ring_bytes(),
            site_counts: (traffic.in_count, traffic.out_count),
        };
        self.overlay.write(self.swapchain.extent, &report);
    }

    /// Waits for the GPU, and writes the picture that was kept.
    ///
    /// # Errors
    /// Where a call of Vulkan fails, the file cannot be written, or no picture was kept.
    pub(crate) fn write_screenshot(&mut self, path: &Path) -> Result<(), Box<dyn Error>> {
        // SAFETY: the queue is used by this thread only.
        unsafe { self.vulkan.device.device_wait_idle() }?;
        let (screenshot, point) = self.screenshot.take().ok_or("no frame was drawn at the end to take a picture of")?;
        screenshot.write(point, path)
    }
}

impl Drop for Renderer<'_> {
    /// Waits for the GPU; then everything may go.
    fn drop(&mut self) {
        // SAFETY: the queue is used by this thread only.
        if let Err(error) = unsafe { self.vulkan.device.device_wait_idle() } {
            eprintln!("vkDeviceWaitIdle failed: {error}");
        }
        let point = self.frames.next_point;
        for stock in self.stocks.drain(..).flatten() {
            self.streaming.retire(stock, point);
        }
        if let Some(font) = self.font.take() {
            self.streaming.retire_texture(font, point);
        }
    }
}
