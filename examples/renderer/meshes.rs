//! Meshes: ranges of vertices and indices in an arena, which few buffers hold for all of them.

use freestone::ash::vk;
use freestone::{AllocationCreateInfo, Allocator, Arena, ArenaCreateInfo, ArenaError, ArenaRange, ResourceUse, Upload};

use crate::commands::Pass;
use crate::shapes::{Geometry, Vertex};
use crate::streaming::{Bytes, Trouble};

/// Bytes of one buffer: room for all stones in full detail.
const BUFFER_BYTES: u64 = 8 << 20;
const STRIDE: u64 = size_of::<Vertex>() as u64;
const INDEX: u64 = size_of::<u16>() as u64;

/// A mesh on the GPU.
#[derive(Debug)]
pub(crate) struct Mesh {
    pub(crate) vertices: ArenaRange,
    pub(crate) indices: ArenaRange,
    first_vertex: i32,
    first_index: u32,
    index_count: u32,
}

/// Makes the arena that all meshes lie in.
///
/// # Errors
/// Where the device allows no buffer of the size.
pub(crate) fn arena(allocator: &Allocator) -> Result<Arena<&Allocator>, ArenaError> {
    let usage =
        vk::BufferUsageFlags::VERTEX_BUFFER | vk::BufferUsageFlags::INDEX_BUFFER | vk::BufferUsageFlags::TRANSFER_DST;
    let memory = AllocationCreateInfo::gpu_only().name("meshes");
    // SAFETY: the usage is valid; ranges are freed through the queue that waits for the GPU, and the device outlives
    // all.
    unsafe { Arena::new(allocator, &ArenaCreateInfo::new(usage).buffer_size(BUFFER_BYTES).memory(memory)) }
}

impl Mesh {
    /// Takes ranges for a mesh, and returns it with the uploads that fill them.
    ///
    /// # Errors
    /// Where the arena can have no further buffer.
    pub(crate) fn new(arena: &Arena<&Allocator>, geometry: &Geometry) -> Result<(Self, [Upload<Bytes>; 2]), Trouble> {
        let vertices = arena.allocate(size_of_val(&geometry.vertices[..]) as u64, STRIDE)?;
        let indices = arena.allocate(size_of_val(&geometry.indices[..]) as u64, INDEX)?;
        let first = |range: &ArenaRange, stride| range.first_element(stride).ok_or("a range past 4 GiB");
        let mesh = Self {
            first_vertex: i32::try_from(first(&vertices, STRIDE)?)?,
            first_index: first(&indices, INDEX)?,
            index_count: geometry.indices.len() as u32,
            vertices,
            indices,
        };
        let uploads = [
            upload(&mesh.vertices, bytemuck::cast_slice(&geometry.vertices))?,
            upload(&mesh.indices, bytemuck::cast_slice(&geometry.indices))?,
        ];
        Ok((mesh, uploads))
    }
}

/// Describes how bytes get into a range, and what reads them there: both uses, whichever it is. Vertices and indices
/// lie in one buffer, and validation layers of 2023 take an indexed draw to read all of its vertex buffer.
fn upload(range: &ArenaRange, bytes: &[u8]) -> Result<Upload<Bytes>, Trouble> {
    let access = vk::AccessFlags::VERTEX_ATTRIBUTE_READ | vk::AccessFlags::INDEX_READ;
    let read = ResourceUse::buffer(vk::PipelineStageFlags::VERTEX_INPUT, access);
    let (offset, end) = (range.offset(), range.offset() + range.size());
    Ok(Upload::to_buffer(range.buffer(), end, offset, bytes.to_vec())?.after(read))
}

/// Draws meshes, and binds buffers only where the next mesh lies in another one.
pub(crate) struct MeshDraws<'a> {
    pass: &'a Pass<'a>,
    vertices: vk::Buffer,
    indices: vk::Buffer,
}

impl<'a> MeshDraws<'a> {
    pub(crate) fn new(pass: &'a Pass<'a>) -> Self {
        Self { pass, vertices: vk::Buffer::null(), indices: vk::Buffer::null() }
    }

    /// Draws a mesh once, as the instance of this number.
    pub(crate) fn draw(&mut self, mesh: &Mesh, instance: u32) {
        if self.vertices != mesh.vertices.buffer() {
            self.vertices = mesh.vertices.buffer();
            self.pass.vertices(self.vertices, 0);
        }
        if self.indices != mesh.indices.buffer() {
            self.indices = mesh.indices.buffer();
            self.pass.indices(self.indices);
        }
        let Pass { device, commands } = *self.pass;
        let (count, first_index, first_vertex) = (mesh.index_count, mesh.first_index, mesh.first_vertex);
        // SAFETY: recording, with everything bound that the pipeline reads; the ranges are alive until the frame is
        // done.
        unsafe { device.cmd_draw_indexed(commands, count, 1, first_index, first_vertex, instance) };
    }
}
