//! Stones as triangles: cut blocks, column drums, boulders, the ground. No Vulkan here.
//!
//! Most shapes are one: a block with rounded edges, each of its six faces a grid of quads, roughened by noise and then
//! bent. A finer grid gives the same stone with more detail.

use std::f32::consts::TAU;

use bytemuck::{Pod, Zeroable};

use crate::noise::layered;
use crate::vector::{Vec3, vec3};

/// Metres of stone that one repetition of a texture covers.
const TILE: f32 = 2.4;
/// The length over which noise is differentiated, in metres.
const STEP: f32 = 0.02;

/// A point of a mesh: 28 bytes, which is no power of two; the arena does not mind.
#[derive(Clone, Copy, Debug, Pod, Zeroable)]
#[repr(C)]
pub(crate) struct Vertex {
    pub(crate) position: Vec3,
    /// Signed and normalised; the last is how much of the sky the point sees.
    pub(crate) normal: [i8; 4],
    /// The direction in which the texture's first coordinate grows.
    pub(crate) tangent: [i8; 4],
    pub(crate) uv: [f32; 2],
}

/// Triangles.
#[derive(Clone, Debug, Default)]
pub(crate) struct Geometry {
    pub(crate) vertices: Vec<Vertex>,
    pub(crate) indices: Vec<u16>,
}

/// How finely a shape is made.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Detail {
    Coarse,
    Fine,
}

/// What a stone is cut to. Sizes are in metres.
#[derive(Clone, Copy, Debug)]
pub(crate) enum Shape {
    /// A block: its size, how round its edges are, how rough its faces, how much narrower its top is.
    Block { size: Vec3, round: f32, rough: f32, taper: f32 },
    /// A drum of a fluted column: its radius and height.
    Drum { radius: f32, height: f32 },
    /// Natural ground around a basin, so many metres across.
    Ground { side: f32 },
    /// A level sheet, so many metres across.
    Sheet { side: f32 },
}

/// A corner of the grid that a face is made of.
#[derive(Clone, Copy)]
struct Point {
    position: Vec3,
    normal: Vec3,
    tangent: Vec3,
    uv: [f32; 2],
    open: f32,
}

impl Shape {
    /// Returns the radius of a ball about the middle that holds all of it, in metres.
    pub(crate) fn reach(&self) -> f32 {
        match *self {
            Self::Block { size, rough, taper, .. } => size.dot(size).sqrt() * 0.5 * (1.0 + taper.abs()) + rough,
            Self::Drum { radius, height } => radius + height * 0.5,
            Self::Ground { side } | Self::Sheet { side } => side,
        }
    }

    /// Makes the shape. Equal seeds give equal stones.
    pub(crate) fn make(&self, detail: Detail, seed: f32) -> Geometry {
        let mut geometry = Geometry::default();
        match *self {
            Self::Block { size, round, rough, taper } => {
                let cells = match detail {
                    Detail::Coarse if rough < 0.1 => 3,
                    Detail::Coarse => 5,
                    Detail::Fine if rough < 0.1 => 5,
                    Detail::Fine => 7,
                };
                let block = Block { half: size * 0.5, round, rough, taper, seed, cells };
                for face in &FACES {
                    geometry.grid((cells, cells), |s, t| block.point(face, s, t));
                }
            }
            Self::Drum { radius, height } => drum(&mut geometry, (radius, height), detail),
            Self::Ground { side } => geometry.grid((72, 72), |s, t| ground_point(side, s, t)),
            Self::Sheet { side } => geometry
                .grid((8, 8), |s, t| level_point(vec3((s - 0.5) * side, 0.0, (0.5 - t) * side), vec3(0.0, 1.0, 0.0))),
        }
        geometry
    }
}

impl Geometry {
    /// Adds a grid of quads; `at` is given its parameters, from 0 to 1.
    fn grid(&mut self, (columns, rows): (u16, u16), at: impl Fn(f32, f32) -> Point) {
        let first = self.vertices.len() as u16;
        for row in 0..=rows {
            for column in 0..=columns {
                let point = at(f32::from(column) / f32::from(columns), f32::from(row) / f32::from(rows));
                self.vertices.push(Vertex::of(&point));
            }
        }
        let line = columns + 1;
        for row in 0..rows {
            for column in 0..columns {
                let corner = first + row * line + column;
                let (next, above) = (corner + 1, corner + line);
                self.indices.extend([corner, next, above, above, next, above + 1]);
            }
        }
    }
}

impl Vertex {
    fn of(point: &Point) -> Self {
        let signed = |value: f32| (value.clamp(-1.0, 1.0) * 127.0).round() as i8;
        let packed = |vector: Vec3, last: f32| [signed(vector.x), signed(vector.y), signed(vector.z), signed(last)];
        Self {
            position: point.position,
            normal: packed(point.normal, point.open),
            tangent: packed(point.tangent, 0.0),
            uv: point.uv,
        }
    }
}

/// A face of a cube: the way out, and two directions along it, which with it make a right hand.
struct Face {
    out: Vec3,
    right: Vec3,
    up: Vec3,
}

const FACES: [Face; 6] = [
    Face { out: vec3(1.0, 0.0, 0.0), right: vec3(0.0, 0.0, -1.0), up: vec3(0.0, 1.0, 0.0) },
    Face { out: vec3(-1.0, 0.0, 0.0), right: vec3(0.0, 0.0, 1.0), up: vec3(0.0, 1.0, 0.0) },
    Face { out: vec3(0.0, 1.0, 0.0), right: vec3(1.0, 0.0, 0.0), up: vec3(0.0, 0.0, -1.0) },
    Face { out: vec3(0.0, -1.0, 0.0), right: vec3(1.0, 0.0, 0.0), up: vec3(0.0, 0.0, 1.0) },
    Face { out: vec3(0.0, 0.0, 1.0), right: vec3(1.0, 0.0, 0.0), up: vec3(0.0, 1.0, 0.0) },
    Face { out: vec3(0.0, 0.0, -1.0), right: vec3(-1.0, 0.0, 0.0), up: vec3(0.0, 1.0, 0.0) },
];

struct Block {
    half: Vec3,
    round: f32,
    rough: f32,
    taper: f32,
    seed: f32,
    cells: u16,
}

impl Block {
    fn point(&self, face: &Face, s: f32, t: f32) -> Point {
        let along = |axis: Vec3, share: f32| axis * self.stop(axis, share);
        let on_cube = face.out * self.reach(face.out) + along(face.right, s) + along(face.up, t);
        let core = self.half - Vec3::all(self.round);
        let inner = on_cube.max(-core).min(core);
        let normal = (on_cube - inner).normalize();
        let (height, slope) = self.roughness(inner + normal * self.round);
        let position = inner + normal * (self.round + height);
        let uv = [position.dot(face.right), position.dot(face.up)].map(|metres| metres / TILE + self.seed);
        let narrow = 1.0 - self.taper * (0.5 + 0.5 * position.y / self.half.y);
        Point {
            position: position * vec3(narrow, 1.0, narrow),
            normal: (normal - (slope - normal * slope.dot(normal))).normalize(),
            tangent: face.right,
            uv,
            open: (0.45 + 0.6 * (position.y + self.half.y)).min(1.0),
        }
    }

    /// Returns where a line of the grid lies: the outermost cells are the rounded edge, the others are even.
    fn stop(&self, axis: Vec3, share: f32) -> f32 {
        let reach = self.reach(axis);
        let cells = f32::from(self.cells);
        let evenly = (share * cells - 1.0) / (cells - 2.0) * 2.0 - 1.0;
        if share <= 0.0 || share >= 1.0 { reach * evenly.signum() } else { (reach - self.round) * evenly }
    }

    fn reach(&self, axis: Vec3) -> f32 {
        axis.map(f32::abs).dot(self.half)
    }

    /// Returns how far noise moves the surface out, in metres, and how that changes along the axes.
    fn roughness(&self, at: Vec3) -> (f32, Vec3) {
        if self.rough == 0.0 {
            return (0.0, Vec3::default());
        }
        let depth = |at: Vec3| (layered(at * 1.7 + Vec3::all(self.seed), 3, None) - 0.5) * 2.0 * self.rough;
        let here = depth(at);
        let change = |axis: Vec3| (depth(at + axis * STEP) - here) / STEP;
        let slope = vec3(change(vec3(1.0, 0.0, 0.0)), change(vec3(0.0, 1.0, 0.0)), change(vec3(0.0, 0.0, 1.0)));
        (here, slope)
    }
}

/// Adds a drum: its fluted side, and both ends.
fn drum(geometry: &mut Geometry, (radius, height): (f32, f32), detail: Detail) {
    const FLUTES: f32 = 16.0;
    let columns = match detail {
        Detail::Coarse => 32,
        Detail::Fine => 64,
    };
    let depth = |angle: f32| radius * (1.0 - 0.045 * (1.0 - (angle * FLUTES).cos()));
    let steepness = |angle: f32| -0.045 * FLUTES * (angle * FLUTES).sin();
    geometry.grid((columns, 3), |s, t| {
        let angle = -s * TAU;
        let (sine, cosine) = angle.sin_cos();
        // The ends are drawn in a little, as if the edges were dressed.
        let is_end = t <= 0.0 || t >= 1.0;
        let y = height * if is_end { t } else { 0.04 + 0.92 * (t * 3.0 - 1.0) };
        let radius = depth(angle) * if is_end { 0.965 } else { 1.0 };
        let (out, along) = (vec3(cosine, 0.0, sine), vec3(-sine, 0.0, cosine));
        Point {
            position: out * radius + vec3(0.0, y - height * 0.5, 0.0),
            normal: (out - along * steepness(angle)).normalize(),
            tangent: -along,
            uv: [s * TAU * radius / TILE, y / TILE],
            open: 0.75 + 0.25 * t,
        }
    });
    for up in [1.0, -1.0] {
        geometry.grid((columns, 1), |s, t| {
            let angle = -s * TAU * up;
            let radius = depth(angle) * 0.965 * (1.0 - t);
            level_point(vec3(angle.cos() * radius, height * 0.5 * up, angle.sin() * radius), vec3(0.0, up, 0.0))
        });
    }
}

/// Returns the height of the ground, in metres: a basin in the middle, level around it, uneven everywhere.
pub(crate) fn ground_height(x: f32, z: f32) -> f32 {
    let distance = (x * x + z * z).sqrt();
    let shore = 5.2 + 1.6 * (layered(vec3(x * 0.22, z * 0.22, 3.0), 2, None) - 0.5);
    let inland = ((distance - shore + 1.2) / 2.4).clamp(0.0, 1.0);
    let bank = inland * inland * (3.0 - 2.0 * inland);
    let uneven = layered(vec3(x * 0.45, z * 0.45, 0.0), 3, None) - 0.5;
    (bank - 1.0) * 1.6 + uneven * (0.25 + 0.5 * (1.0 - bank))
}

fn ground_point(side: f32, s: f32, t: f32) -> Point {
    let (x, z) = ((s - 0.5) * side, (0.5 - t) * side);
    let height = ground_height(x, z);
    let slope_x = (ground_height(x + 0.1, z) - height) / 0.1;
    let slope_z = (ground_height(x, z + 0.1) - height) / 0.1;
    level_point(vec3(x, height, z), vec3(-slope_x, 1.0, -slope_z).normalize())
}

fn level_point(position: Vec3, normal: Vec3) -> Point {
    let uv = [position.x / TILE, -position.z / TILE];
    Point { position, normal, tangent: vec3(1.0, 0.0, 0.0), uv, open: 1.0 }
}
