//! Brings meshes and textures to the GPU while frames are drawn, and takes them away again.
//!
//! ```text
//!   wanted detail ──► task: a site is made again, some pieces a frame ──► uploads ──► Uploader, into the frame's commands
//!                                                 all recorded: the new stock takes the old one's place
//!                                                 the old stock ──► RetireQueue ──► freed when the GPU has passed
//! ```

use std::collections::VecDeque;
use std::error::Error;

use freestone::ash::vk;
use freestone::{
    Allocator, Arena, ArenaRange, Progress, RetireQueue, StagingCreateInfo, TransferError, Upload, Uploader,
};

use crate::headless::Vulkan;
use crate::meshes::{self, Mesh};
use crate::scene::Site;
use crate::shapes::Detail;
use crate::texture_sets::TextureSets;
use crate::textures::{Texels, Texture};

/// The bytes of an upload.
pub(crate) type Bytes = Vec<u8>;
/// Whatever goes wrong.
pub(crate) type Trouble = Box<dyn Error>;

/// Staging memory: less than a texture and its meshes, so that a site takes several frames.
const STAGING_BYTES: u64 = 256 << 10;
/// How many pieces are made in one frame, which bounds its time.
const PIECES_PER_FRAME: usize = 4;
/// How many resources go in one frame.
const RELEASED_PER_FRAME: usize = 32;

/// What is on the GPU for a site: one mesh for each piece, and the texture.
pub(crate) struct Stock<'a> {
    pub(crate) meshes: Vec<Mesh>,
    pub(crate) texture: Texture<'a>,
    pub(crate) detail: Detail,
}

/// A site that is being made again.
struct Task<'a> {
    site: usize,
    detail: Detail,
    meshes: Vec<Mesh>,
    texture: Option<Texture<'a>>,
}

/// What waits until the GPU is done with it.
enum Gone<'a> {
    Range(ArenaRange),
    Texture(Texture<'a>),
}

/// What has come and gone, for the overlay.
#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct Traffic {
    pub(crate) in_count: u32,
    pub(crate) in_bytes: u64,
    pub(crate) out_count: u32,
}

pub(crate) struct Streaming<'a> {
    vulkan: &'a Vulkan<'a>,
    allocator: &'a Allocator,
    pub(crate) arena: Arena<&'a Allocator>,
    pub(crate) uploader: Uploader<&'a Allocator>,
    sets: TextureSets<'a>,
    waiting: VecDeque<Upload<Bytes>>,
    task: Option<Task<'a>>,
    gone: RetireQueue<Gone<'a>>,
    pub(crate) traffic: Traffic,
}

impl<'a> Streaming<'a> {
    /// Makes arena, uploader and queue.
    ///
    /// # Errors
    /// Where there is no memory for them.
    pub(crate) fn new(
        vulkan: &'a Vulkan<'a>,
        allocator: &'a Allocator,
        sets: TextureSets<'a>,
    ) -> Result<Self, Trouble> {
        // SAFETY: the device is idle when the renderer ends, and outlives it.
        let uploader = unsafe { Uploader::new(allocator, &StagingCreateInfo::new(STAGING_BYTES)) }?;
        Ok(Self {
            vulkan,
            allocator,
            arena: meshes::arena(allocator)?,
            uploader,
            sets,
            waiting: VecDeque::new(),
            task: None,
            gone: RetireQueue::with_capacity(256),
            traffic: Traffic::default(),
        })
    }

    /// Tells whether anything is on its way, in or out.
    pub(crate) fn is_busy(&self) -> bool {
        self.task.is_some() || !self.waiting.is_empty() || !self.gone.is_empty()
    }

    /// Starts to make a site again, unless one is being made.
    pub(crate) fn request(&mut self, site: usize, detail: Detail) {
        if self.task.is_none() {
            self.task = Some(Task { site, detail, meshes: Vec::new(), texture: None });
        }
    }

    /// Takes back what the GPU is done with.
    pub(crate) fn collect(&mut self, completed: u64) {
        // SAFETY: the frames up to this point are complete.
        unsafe { self.uploader.collect(completed) };
        let Self { gone, arena, sets, vulkan, .. } = self;
        gone.collect_with(completed, RELEASED_PER_FRAME, |gone| release(gone, arena, sets, vulkan));
    }

    /// Goes on with the task: makes pieces and records uploads into a frame. Returns the stock, with its site's number,
    /// when the frame has the last of it.
    ///
    /// # Errors
    /// Where there is no memory, or a call of Vulkan fails.
    pub(crate) fn advance(
        &mut self,
        commands: vk::CommandBuffer,
        sites: &[Site],
    ) -> Result<Option<(usize, Stock<'a>)>, Trouble> {
        for _ in 0..PIECES_PER_FRAME {
            if self.record(commands)? == Room::Full || !self.make_next(sites)? {
                break;
            }
        }
        if self.record(commands)? == Room::Full {
            return Ok(None);
        }
        let is_whole =
            |task: &mut Task<'_>| task.texture.is_some() && task.meshes.len() == sites[task.site].pieces.len();
        let Some(Task { site, detail, meshes, texture: Some(texture) }) = self.task.take_if(is_whole) else {
            return Ok(None);
        };
        self.traffic.in_count += 1;
        Ok(Some((site, Stock { meshes, texture, detail })))
    }

    /// Says that what was recorded is submitted, and completes with this frame.
    ///
    /// # Errors
    /// Where the point is not above those before.
    pub(crate) fn submitted(&mut self, point: u64) -> Result<(), TransferError> {
        self.uploader.submitted(point)
    }

    /// Takes a stock away when the GPU has passed a frame.
    pub(crate) fn retire(&mut self, stock: Stock<'a>, point: u64) {
        for Mesh { vertices, indices, .. } in stock.meshes {
            self.gone.retire(Gone::Range(vertices), point);
            self.gone.retire(Gone::Range(indices), point);
        }
        self.gone.retire(Gone::Texture(stock.texture), point);
        self.traffic.out_count += 1;
    }

    /// Makes a texture outside of any site, such as the font.
    ///
    /// # Errors
    /// Where there is no memory, or a call of Vulkan fails.
    pub(crate) fn texture(&mut self, texels: Texels) -> Result<Texture<'a>, Trouble> {
        let (texture, upload) = Texture::new(self.vulkan, self.allocator, &self.sets, texels)?;
        self.await_room(upload);
        Ok(texture)
    }

    /// Takes away a texture made by [`texture`](Self::texture).
    pub(crate) fn retire_texture(&mut self, texture: Texture<'a>, point: u64) {
        self.gone.retire(Gone::Texture(texture), point);
    }

    /// Makes the next piece of the task, or its texture; tells whether there was anything to make.
    fn make_next(&mut self, sites: &[Site]) -> Result<bool, Trouble> {
        let Some(mut task) = self.task.take() else { return Ok(false) };
        let site = &sites[task.site];
        let made = if task.texture.is_none() {
            let texels = Texels::of_stone(site.kind, task.detail, site.seed);
            task.texture = Some(self.texture(texels)?);
            true
        } else if let Some(piece) = site.pieces.get(task.meshes.len()) {
            let geometry = piece.shape.make(task.detail, site.seed + task.meshes.len() as f32 * 0.37);
            let (mesh, uploads) = Mesh::new(&self.arena, &geometry)?;
            task.meshes.push(mesh);
            for upload in uploads {
                self.await_room(upload);
            }
            true
        } else {
            false
        };
        self.task = Some(task);
        Ok(made)
    }

    fn await_room(&mut self, upload: Upload<Bytes>) {
        self.traffic.in_bytes += upload.total_bytes();
        self.waiting.push_back(upload);
    }

    /// Records what waits, as far as the staging memory goes.
    fn record(&mut self, commands: vk::CommandBuffer) -> Result<Room, Trouble> {
        while let Some(upload) = self.waiting.front_mut() {
            // SAFETY: recording, outside a pass; the targets are alive until frames that come later are complete, and
            // nothing else uses them before the barrier behind the copies.
            match unsafe { self.uploader.record(commands, upload) }? {
                Progress::Done(_) => self.waiting.pop_front(),
                Progress::Full(_) => return Ok(Room::Full),
            };
        }
        Ok(Room::Left)
    }
}

/// Whether the staging memory takes more in this frame.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Room {
    Left,
    Full,
}

/// Gives back what the GPU is done with.
fn release(gone: Gone<'_>, arena: &Arena<&Allocator>, sets: &TextureSets<'_>, vulkan: &Vulkan<'_>) {
    match gone {
        Gone::Range(range) => {
            let freed = arena.free(range);
            debug_assert!(freed.is_ok(), "the arena has made it");
        }
        Gone::Texture(texture) => texture.destroy(vulkan, sets),
    }
}

impl Drop for Streaming<'_> {
    /// Gives back the task and what waits; the device is idle.
    fn drop(&mut self) {
        let Self { arena, sets, vulkan, gone, task, .. } = self;
        let unfinished = task.take().into_iter().flat_map(|task| {
            let ranges = task.meshes.into_iter().flat_map(|mesh| [mesh.vertices, mesh.indices]);
            ranges.map(Gone::Range).chain(task.texture.map(Gone::Texture))
        });
        unfinished.for_each(|left| release(left, arena, sets, vulkan));
        gone.collect_with(u64::MAX, usize::MAX, |gone| release(gone, arena, sets, vulkan));
    }
}
