//! Matrices: how a stone stands in the world, and how the world falls onto a picture.

use bytemuck::{Pod, Zeroable};

use crate::vector::{Vec3, vec3};

/// Turns, scales and moves points: three rows of a matrix whose fourth is (0, 0, 0, 1).
#[derive(Clone, Copy, Debug, PartialEq, Pod, Zeroable)]
#[repr(C)]
pub(crate) struct Pose {
    rows: [[f32; 4]; 3],
}

impl Pose {
    /// Moves by a vector.
    pub(crate) fn at(Vec3 { x, y, z }: Vec3) -> Self {
        Self { rows: [[1.0, 0.0, 0.0, x], [0.0, 1.0, 0.0, y], [0.0, 0.0, 1.0, z]] }
    }

    /// Turns about the upright axis, by an angle in radians.
    pub(crate) fn turned(angle: f32) -> Self {
        let (sine, cosine) = angle.sin_cos();
        Self { rows: [[cosine, 0.0, sine, 0.0], [0.0, 1.0, 0.0, 0.0], [-sine, 0.0, cosine, 0.0]] }
    }

    /// Tilts about the axis of depth, by an angle in radians.
    pub(crate) fn tilted(angle: f32) -> Self {
        let (sine, cosine) = angle.sin_cos();
        Self { rows: [[cosine, -sine, 0.0, 0.0], [sine, cosine, 0.0, 0.0], [0.0, 0.0, 1.0, 0.0]] }
    }

    /// Returns where the origin goes.
    pub(crate) fn place(&self) -> Vec3 {
        let [x, y, z] = self.rows.map(|row| row[3]);
        vec3(x, y, z)
    }

    /// Does `inner` first, then this.
    pub(crate) fn then(&self, inner: &Self) -> Self {
        let row = |row: [f32; 4]| {
            [0, 1, 2, 3].map(|column| {
                let turned: f32 = (0..3).map(|k| row[k] * inner.rows[k][column]).sum();
                turned + if column == 3 { row[3] } else { 0.0 }
            })
        };
        Self { rows: self.rows.map(row) }
    }
}

/// Four columns, as shaders take them.
#[derive(Clone, Copy, Debug, PartialEq, Pod, Zeroable)]
#[repr(C)]
pub(crate) struct Projection {
    columns: [[f32; 4]; 4],
}

/// Where somebody stands, and three directions at right angles.
#[derive(Clone, Copy, Debug)]
pub(crate) struct View {
    pub(crate) eye: Vec3,
    pub(crate) right: Vec3,
    pub(crate) up: Vec3,
    pub(crate) forward: Vec3,
}

impl View {
    /// Stands at `eye` and looks at `target`.
    pub(crate) fn new(eye: Vec3, target: Vec3) -> Self {
        let forward = (target - eye).normalize();
        let right = forward.cross(vec3(0.0, 1.0, 0.0)).normalize();
        Self { eye, right, up: right.cross(forward), forward }
    }

    /// Projects with a vanishing point: `reach` is the tangent of half the field of view, across and up; depth runs
    /// from 0 at `near` to 1 at infinity.
    pub(crate) fn perspective(&self, reach: (f32, f32), near: f32) -> Projection {
        let across = self.row(self.right * (1.0 / reach.0));
        let up = self.row(self.up * (1.0 / reach.1));
        let [x, y, z, w] = self.row(self.forward);
        Projection::of_rows([across, up, [x, y, z, w - near], [x, y, z, w]])
    }

    /// Projects in parallel: so many metres to each side, and from 0 to `far` in depth.
    pub(crate) fn parallel(&self, half: f32, far: f32) -> Projection {
        let across = self.row(self.right * (1.0 / half));
        let up = self.row(self.up * (1.0 / half));
        let depth = self.row(self.forward * (1.0 / far));
        Projection::of_rows([across, up, depth, [0.0, 0.0, 0.0, 1.0]])
    }

    /// Measures along an axis, from the eye on.
    fn row(&self, axis: Vec3) -> [f32; 4] {
        [axis.x, axis.y, axis.z, -axis.dot(self.eye)]
    }
}

impl Projection {
    /// Tells whether a ball may be seen: whether it reaches inside the four planes at the edges of the picture.
    pub(crate) fn sees(&self, middle: Vec3, radius: f32) -> bool {
        let row = |number: usize| self.columns.map(|column| column[number]);
        let (across, up, [wx, wy, wz, ww]) = (row(0), row(1), row(3));
        let is_inside = |[x, y, z, w]: [f32; 4], side: f32| {
            let inward = vec3(wx + x * side, wy + y * side, wz + z * side);
            inward.dot(middle) + ww + w * side >= -radius * inward.dot(inward).sqrt()
        };
        [across, up].into_iter().all(|row| is_inside(row, 1.0) && is_inside(row, -1.0))
    }

    fn of_rows(rows: [[f32; 4]; 4]) -> Self {
        Self { columns: [0, 1, 2, 3].map(|column| rows.map(|row| row[column])) }
    }
}
