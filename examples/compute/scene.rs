//! The picture as data: boxes of stone in tables, the camera, and how memory is laid out as a landscape.
//!
//! ```text
//!   block of device memory  ->  slab, the wider the larger; offsets run along its rows, from the back to the front
//!   allocation              ->  a stone on it, cut where a row ends; the taller the older
//! ```
//!
//! The structures have the layout that `shaders/quarry.wgsl` declares.

use bytemuck::{Pod, Zeroable};

use crate::vector::{Vec3, vec3};

/// Every slab has so many rows; its width follows from the block's size.
const ROW_COUNT: u64 = 8;
const ROW_DEPTH: f32 = 1.0;
/// Bytes of device memory to a unit of a row's width.
const UNIT_BYTES: f32 = 32.0 * 1024.0;
/// Slabs stand on so many shelves, one behind the other.
const SHELF_COUNT: usize = 3;
/// Between slabs.
const ALLEY: f32 = 0.9;
/// The rim of a slab, around its rows.
const RIM: f32 = 0.16;
/// Stones of a row that a ray meets or passes together.
const BAY: usize = 6;
/// Half of the joint between two stones.
const JOINT: f32 = 0.025;
/// The top of the slabs.
const BASE: f32 = 0.45;

/// A box that holds boxes; `first` and `count` name them in the next table.
#[derive(Clone, Copy, Debug, Pod, Zeroable)]
#[repr(C)]
pub(crate) struct Group {
    pub(crate) low: Vec3,
    pub(crate) first: u32,
    pub(crate) high: Vec3,
    pub(crate) count: u32,
}

/// A box of stone.
#[derive(Clone, Copy, Debug, Pod, Zeroable)]
#[repr(C)]
pub(crate) struct Stone {
    pub(crate) low: Vec3,
    /// Red in the lowest byte.
    pub(crate) colour: u32,
    pub(crate) high: Vec3,
    /// What tells its grain from others', below 1.
    pub(crate) grain: f32,
}

/// What one pass is told.
#[derive(Clone, Copy, Debug, Pod, Zeroable)]
#[repr(C)]
pub(crate) struct Frame {
    pub(crate) eye: Vec3,
    pub(crate) pass_index: u32,
    pub(crate) right: Vec3,
    pub(crate) width: u32,
    pub(crate) up: Vec3,
    pub(crate) height: u32,
    pub(crate) forward: Vec3,
    pub(crate) slab_count: u32,
    pub(crate) sun: Vec3,
    /// A power of two.
    pub(crate) pass_count: u32,
    pub(crate) aperture: f32,
    pub(crate) focus: f32,
    pub(crate) base: f32,
    pub(crate) unused: f32,
}

/// A block of device memory and what lies in it.
#[derive(Clone, Debug)]
pub(crate) struct Block {
    pub(crate) size: u64,
    pub(crate) pieces: Vec<Piece>,
}

/// An allocation, as far as the picture goes.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Piece {
    pub(crate) offset: u64,
    pub(crate) size: u64,
    pub(crate) colour: u32,
    /// From 0 (new) to 1 (as old as the oldest).
    pub(crate) age: f32,
    /// Whose piece it is.
    pub(crate) owner: usize,
}

/// The whole landscape. Each stone knows the owner of its piece.
#[derive(Clone, Debug, Default)]
pub(crate) struct Scene {
    pub(crate) slabs: Vec<Group>,
    /// Neighbours in a row.
    pub(crate) bays: Vec<Group>,
    pub(crate) stones: Vec<Stone>,
    pub(crate) owners: Vec<usize>,
}

impl Scene {
    /// Lays blocks out, the largest first, each on the shelf that is shortest so far.
    pub(crate) fn of(mut blocks: Vec<Block>) -> Self {
        blocks.sort_by_key(|block| std::cmp::Reverse(block.size));
        let mut shelves: [Vec<Block>; SHELF_COUNT] = Default::default();
        for block in blocks {
            let width = |shelf: &&mut Vec<Block>| shelf.iter().map(|block| block.size).sum::<u64>();
            if let Some(shelf) = shelves.iter_mut().min_by_key(width) {
                shelf.push(block);
            }
        }
        let mut scene = Self::default();
        for (shelf, z) in shelves.iter().zip([1, 0, 2]) {
            let widths: f32 = shelf.iter().map(|block| slab_width(block) + ALLEY).sum();
            let mut corner = vec3((ALLEY - widths) * 0.5, 0.0, z as f32 * (SLAB_DEPTH + ALLEY));
            for block in shelf {
                scene.add_block(block, corner);
                corner.x += slab_width(block) + ALLEY;
            }
        }
        scene
    }

    /// Adds a slab whose far left corner is given.
    fn add_block(&mut self, block: &Block, corner: Vec3) {
        let (first, mut top) = (self.bays.len(), BASE);
        for row in 0..ROW_COUNT {
            let start = corner + vec3(RIM, BASE, RIM + row as f32 * ROW_DEPTH);
            top = top.max(self.add_row(block, row, start));
        }
        let high = corner + vec3(slab_width(block), top, SLAB_DEPTH);
        self.slabs.push(Group { low: corner, first: first as u32, high, count: (self.bays.len() - first) as u32 });
    }

    /// Adds the stones of a row that starts at a point; returns the top of the highest.
    fn add_row(&mut self, block: &Block, row: u64, start: Vec3) -> f32 {
        let (from, to) = (row * row_bytes(block), (row + 1) * row_bytes(block));
        let first = self.stones.len();
        let place = |offset: u64| start.x + (offset - from) as f32 / UNIT_BYTES;
        for piece in &block.pieces {
            let low = piece.offset.max(from);
            let high = (piece.offset + piece.size).min(to);
            if low >= high {
                continue;
            }
            let grain = (piece.offset.wrapping_mul(0x9E37_79B9_7F4A_7C15) >> 40) as f32 / (1 << 24) as f32;
            let height = 0.15 + 2.9 * piece.age + 0.35 * grain;
            let joint = JOINT.min((place(high) - place(low)) / 8.0);
            self.owners.push(piece.owner);
            self.stones.push(Stone {
                low: vec3(place(low) + joint, start.y, start.z + JOINT),
                colour: piece.colour,
                high: vec3(place(high) - joint, start.y + height, start.z + ROW_DEPTH - JOINT),
                grain,
            });
        }
        let mut top = start.y;
        for bay in (first..self.stones.len()).step_by(BAY) {
            let stones = &self.stones[bay..self.stones.len().min(bay + BAY)];
            let Some(bounds) = stones.iter().map(|stone| (stone.low, stone.high)).reduce(join) else { continue };
            self.bays.push(Group { low: bounds.0, first: bay as u32, high: bounds.1, count: stones.len() as u32 });
            top = top.max(bounds.1.y);
        }
        top
    }

    /// Says from where the landscape is seen, and in what light.
    pub(crate) fn frame(&self, (width, height): (u32, u32), pass_count: u32) -> Frame {
        let bounds = self.slabs.iter().map(|slab| (slab.low, slab.high)).reduce(join).unwrap_or_default();
        let size = bounds.1 - bounds.0;
        let centre = (bounds.0 + bounds.1) * 0.5;
        let eye = centre + vec3(-0.26, 0.56, 0.95).normalize() * (size.x * 1.58);
        let aim = centre + vec3(size.x * 0.008, 0.0, size.z * 0.12);
        let forward = (aim - eye).normalize();
        let right = forward.cross(vec3(0.0, 1.0, 0.0)).normalize();
        let half = 0.213_f32;
        Frame {
            eye,
            pass_index: 0,
            right: right * (half * width as f32 / height as f32),
            width,
            up: right.cross(forward) * half,
            height,
            forward,
            slab_count: self.slabs.len() as u32,
            sun: vec3(-0.78, 0.52, -0.34).normalize(),
            pass_count,
            aperture: 0.16,
            focus: (aim - eye).dot(forward) * 0.97,
            base: BASE,
            unused: 0.0,
        }
    }
}

/// The depth of a slab with its rims.
const SLAB_DEPTH: f32 = ROW_COUNT as f32 * ROW_DEPTH + 2.0 * RIM;

fn row_bytes(block: &Block) -> u64 {
    block.size.div_ceil(ROW_COUNT)
}

fn slab_width(block: &Block) -> f32 {
    row_bytes(block) as f32 / UNIT_BYTES + 2.0 * RIM
}

fn join(a: (Vec3, Vec3), b: (Vec3, Vec3)) -> (Vec3, Vec3) {
    (a.0.min(b.0), a.1.max(b.1))
}
