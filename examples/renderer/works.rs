//! What is to be seen in the quarry: stacks, columns, arches, walls, boulders, ledges, derricks.

use std::f32::consts::{PI, TAU};

use crate::matrix::Pose;
use crate::noise::Random;
use crate::scene::{Look, Motion, Piece, STREAMED_COUNT, Site, on_ground};
use crate::shapes::Shape;
use crate::textures::Kind;
use crate::vector::{Vec3, vec3};

/// How far from the middle the sites lie, in metres.
const RING: f32 = 9.4;

/// Returns the direction in which a site lies, from the middle.
pub(crate) fn angle_of(site: usize) -> f32 {
    site as f32 / STREAMED_COUNT as f32 * TAU
}

/// A kind of stone with its colours.
struct Stone {
    kind: Kind,
    tint: Vec3,
    vein: Vec3,
}

const STONES: [Stone; 6] = [
    Stone { kind: Kind::Limestone, tint: vec3(0.80, 0.70, 0.54), vein: vec3(0.66, 0.54, 0.38) },
    Stone { kind: Kind::Marble, tint: vec3(0.84, 0.80, 0.75), vein: vec3(0.36, 0.40, 0.42) },
    Stone { kind: Kind::Sandstone, tint: vec3(0.80, 0.48, 0.26), vein: vec3(0.50, 0.22, 0.12) },
    Stone { kind: Kind::Granite, tint: vec3(0.52, 0.52, 0.54), vein: vec3(0.16, 0.16, 0.18) },
    Stone { kind: Kind::Sandstone, tint: vec3(0.86, 0.70, 0.42), vein: vec3(0.66, 0.42, 0.20) },
    Stone { kind: Kind::Granite, tint: vec3(0.60, 0.42, 0.38), vein: vec3(0.22, 0.14, 0.14) },
];

/// Builds a site: pieces are placed in its own frame, in which z leads away from the basin.
struct Builder {
    frame: Pose,
    random: Random,
    stone: &'static Stone,
    pieces: Vec<Piece>,
}

/// Lays out one of the sites around the basin.
pub(crate) fn site(index: usize, random: Random) -> Site {
    let angle = angle_of(index);
    let ground = on_ground(angle.sin() * RING, angle.cos() * RING);
    let frame = Pose::at(ground + vec3(0.0, -0.06, 0.0)).then(&Pose::turned(angle));
    let stone = &STONES[(index * 5 + index / 6) % STONES.len()];
    let mut builder = Builder { frame, random, stone, pieces: Vec::new() };
    match index % 6 {
        0 => builder.stack(),
        1 => builder.colonnade(),
        2 => builder.wall(),
        3 => builder.arch(),
        4 => builder.yard(),
        _ => builder.boulders(),
    }
    Site { pieces: builder.pieces, kind: stone.kind, seed: index as f32 * 3.7, is_water: false }
}

impl Builder {
    /// Adds a block with a little difference in size and colour.
    fn block(&mut self, size: Vec3, pose: Pose) {
        self.shape(Shape::Block { size, round: 0.045, rough: 0.012, taper: 0.0 }, pose);
    }

    fn shape(&mut self, shape: Shape, pose: Pose) {
        let bright = self.random.between(0.78, 1.08);
        let look = Look { tint: self.stone.tint * bright, vein: self.stone.vein * bright, glow: 0.0 };
        self.pieces.push(Piece { shape, pose: self.frame.then(&pose), motion: Motion::Still, look });
    }

    /// Stacks blocks as masons leave them: each course shorter than the one below.
    fn stack(&mut self) {
        let (length, height) = (0.98, 0.56);
        for (course, count) in [6, 5, 4, 3, 2].into_iter().enumerate() {
            for row in 0..if course < 2 { 2 } else { 1 } {
                for number in 0..count {
                    let x = (number as f32 - (count as f32 - 1.0) * 0.5) * length + self.random.around(0.025);
                    let z = if course < 2 { row as f32 * 0.9 - 0.45 } else { self.random.around(0.12) };
                    let size = vec3(length - self.random.between(0.03, 0.10), height, 0.84);
                    let turn = Pose::turned(self.random.around(0.05));
                    self.block(size, Pose::at(vec3(x, height * (course as f32 + 0.5), z)).then(&turn));
                }
            }
        }
    }

    /// Raises columns from drums; some are not finished.
    fn colonnade(&mut self) {
        let drum = 0.66;
        for (column, drums) in [5, 5, 5, 3, 2].into_iter().enumerate() {
            let x = column as f32 * 1.35 - 2.7;
            self.block(vec3(1.0, 0.24, 1.0), Pose::at(vec3(x, 0.12, 0.0)));
            for number in 0..drums {
                let radius = 0.37 - 0.012 * number as f32;
                let at = vec3(x + self.random.around(0.012), 0.24 + drum * (number as f32 + 0.5), 0.0);
                let turn = Pose::turned(self.random.unit() * 0.4);
                self.shape(Shape::Drum { radius, height: drum }, Pose::at(at).then(&turn));
            }
            if drums == 5 {
                self.block(vec3(0.95, 0.2, 0.95), Pose::at(vec3(x, 0.24 + drum * 5.0 + 0.1, 0.0)));
            }
        }
        for number in 0..2 {
            let x = number as f32 * 1.35 - 2.025;
            self.block(vec3(1.33, 0.42, 0.8), Pose::at(vec3(x, 0.24 + drum * 5.0 + 0.41, 0.0)));
        }
    }

    /// Builds a wall in bond, whose upper courses are ruined.
    fn wall(&mut self) {
        let (length, height) = (0.92, 0.46);
        for course in 0..7_u16 {
            for number in 0..7_u16 {
                let x = (f32::from(number) - 3.0 + f32::from(course % 2) * 0.5) * length;
                let top = 6.6 - x.abs() * 0.75 + self.random.around(0.9) + x * 0.45;
                if f32::from(course) > top {
                    continue;
                }
                let size = vec3(length - 0.03, height - 0.015, 0.62 + self.random.around(0.05));
                let turn = Pose::turned(self.random.around(0.02));
                self.block(size, Pose::at(vec3(x, height * (f32::from(course) + 0.5), 0.0)).then(&turn));
            }
        }
    }

    /// Sets an arch of wedges on two piers.
    fn arch(&mut self) {
        const WEDGES: u16 = 11;
        let (radius, pier) = (1.7, 1.5);
        for side in [-1.0, 1.0] {
            for course in 0..3_u16 {
                let at = vec3(side * radius, pier / 3.0 * (f32::from(course) + 0.5), 0.0);
                self.block(vec3(0.78, pier / 3.0 - 0.012, 0.9), Pose::at(at));
            }
        }
        for wedge in 0..WEDGES {
            let angle = PI * ((f32::from(wedge) + 0.5) / f32::from(WEDGES) - 0.5);
            let at = vec3(-angle.sin() * radius, pier + angle.cos() * radius, 0.0);
            let size = vec3(0.60, 0.78, 0.9);
            // The block's top is its outer side: a wedge is narrower inside.
            let shape = Shape::Block { size, round: 0.03, rough: 0.012, taper: -0.34 };
            self.shape(shape, Pose::at(at).then(&Pose::tilted(angle)));
        }
        for side in [-1.0_f32, 1.0] {
            self.block(vec3(0.7, 0.4, 0.6), Pose::at(vec3(side * 3.0, 0.2, 0.3)).then(&Pose::turned(side * 0.4)));
        }
    }

    /// Scatters large blocks that wait to be split.
    fn yard(&mut self) {
        for number in 0..15_u16 {
            let (row, column) = (f32::from(number / 5), f32::from(number % 5));
            let size =
                vec3(self.random.between(0.7, 1.15), self.random.between(0.45, 0.95), self.random.between(0.6, 0.95));
            let at = vec3(column * 1.25 - 2.5 + self.random.around(0.2), size.y * 0.5, row * 1.2 - 1.2);
            let turn = Pose::turned(self.random.around(0.5));
            self.block(size, Pose::at(at).then(&turn));
            if number % 3 == 1 {
                let upper = vec3(size.x * 0.8, 0.4, size.z * 0.75);
                let at = at + vec3(0.0, size.y * 0.5 + 0.2, 0.0);
                let turn = Pose::turned(self.random.around(0.7));
                self.block(upper, Pose::at(at).then(&turn));
            }
        }
    }

    /// Leaves boulders around an upright stone.
    fn boulders(&mut self) {
        self.shape(
            Shape::Block { size: vec3(1.0, 4.6, 1.0), round: 0.05, rough: 0.02, taper: 0.42 },
            Pose::at(vec3(0.0, 2.3, 0.0)),
        );
        for number in 0..16_u16 {
            let angle = f32::from(number) / 16.0 * TAU + self.random.around(0.2);
            let (size, away) = (self.random.between(0.5, 1.25), self.random.between(1.3, 2.9));
            let half = size * 0.5;
            let shape = Shape::Block {
                size: vec3(size, size * 0.8, size * 0.9),
                round: half * 0.7,
                rough: size * 0.13,
                taper: 0.1,
            };
            self.shape(
                shape,
                Pose::at(vec3(angle.cos() * away, half * 0.6, angle.sin() * away)).then(&Pose::turned(angle)),
            );
        }
    }
}

/// Cuts the ledges behind the sites: three steps of living rock.
pub(crate) fn ledges(random: &mut Random) -> Site {
    let mut pieces = Vec::new();
    for (step, count) in [26_u16, 30, 34].into_iter().enumerate() {
        let step = step as f32;
        for number in 0..count {
            let angle = (f32::from(number) + step * 0.5) / f32::from(count) * TAU + random.around(0.03);
            let radius = 18.6 + step * 3.4 + random.around(0.5);
            let size = vec3(5.4 + random.around(0.5), 2.6 + step * 2.5 + random.around(0.5), 4.4);
            let bright = random.between(0.8, 1.05);
            let look = Look { tint: vec3(0.74, 0.60, 0.44) * bright, vein: vec3(0.50, 0.34, 0.22) * bright, glow: 0.0 };
            let at = vec3(angle.sin() * radius, size.y * 0.5 - 0.5, angle.cos() * radius);
            let pose = Pose::at(at).then(&Pose::turned(angle + random.around(0.06)));
            let shape = Shape::Block { size, round: 0.16, rough: 0.14, taper: 0.03 };
            pieces.push(Piece { shape, pose, motion: Motion::Still, look });
        }
    }
    Site { pieces, kind: Kind::Sandstone, seed: 71.0, is_water: false }
}

/// Spreads the ground.
pub(crate) fn ground() -> Site {
    let look = Look { tint: vec3(0.58, 0.46, 0.33), vein: vec3(0.42, 0.33, 0.24), glow: 0.0 };
    let piece =
        Piece { shape: Shape::Ground { side: 60.0 }, pose: Pose::at(Vec3::default()), motion: Motion::Still, look };
    Site { pieces: vec![piece], kind: Kind::Ground, seed: 13.0, is_water: false }
}

/// Fills the basin.
pub(crate) fn water() -> Site {
    let look = Look { tint: vec3(0.1, 0.4, 0.4), vein: Vec3::default(), glow: 0.0 };
    let shape = Shape::Sheet { side: 15.0 };
    let piece = Piece { shape, pose: Pose::at(vec3(0.0, -0.42, 0.0)), motion: Motion::Still, look };
    Site { pieces: vec![piece], kind: Kind::Limestone, seed: 5.0, is_water: true }
}

/// Raises derricks: a mast, a boom that turns, a rope, and a block on it.
pub(crate) fn derricks(random: &mut Random) -> Site {
    let mut pieces = Vec::new();
    let wood = Look { tint: vec3(0.36, 0.22, 0.12), vein: vec3(0.20, 0.11, 0.06), glow: 0.0 };
    let pale = Look { tint: vec3(0.80, 0.72, 0.58), vein: vec3(0.62, 0.52, 0.40), glow: 0.0 };
    let beam = |size| Shape::Block { size, round: 0.04, rough: 0.006, taper: 0.0 };
    for site in [2_usize, 6, 10] {
        let (angle, phase) = (angle_of(site) + PI / 12.0, random.unit() * TAU);
        let mast = on_ground(angle.sin() * 7.4, angle.cos() * 7.4);
        let mut add = |shape, pose, motion, look| pieces.push(Piece { shape, pose, motion, look });
        let upright = Pose::at(mast + vec3(0.0, 2.4, 0.0));
        add(beam(vec3(0.26, 5.0, 0.26)), upright, Motion::Still, wood);
        for leg in 0..3_u16 {
            let turn = Pose::turned(f32::from(leg) * TAU / 3.0);
            let lean = Pose::at(vec3(0.85, 1.3, 0.0)).then(&Pose::tilted(0.56));
            add(beam(vec3(0.16, 3.2, 0.16)), Pose::at(mast).then(&turn).then(&lean), Motion::Still, wood);
        }
        let turning = |swing| Motion::Boom { mast, phase, swing };
        let rise = Pose::at(vec3(1.5, 4.95, 0.0)).then(&Pose::tilted(0.26));
        add(beam(vec3(3.9, 0.2, 0.2)), rise, turning(0.0), wood);
        // Rope and load hang from the boom's end, and swing about it.
        let end = vec3(3.2, 5.4, 0.0);
        add(beam(vec3(0.09, 2.6, 0.09)), Pose::at(end + vec3(0.0, -1.3, 0.0)), turning(0.02), wood);
        add(beam(vec3(0.95, 0.62, 0.7)), Pose::at(end + vec3(0.0, -2.9, 0.0)), turning(0.05), pale);
    }
    Site { pieces, kind: Kind::Wood, seed: 29.0, is_water: false }
}

/// Sets lanterns on posts around the basin.
pub(crate) fn lanterns(random: &mut Random) -> Site {
    let mut pieces = Vec::new();
    let wood = Look { tint: vec3(0.30, 0.19, 0.11), vein: vec3(0.18, 0.10, 0.06), glow: 0.0 };
    let flame = Look { tint: vec3(1.0, 0.46, 0.12), vein: Vec3::default(), glow: 9.0 };
    for number in 0..12_u16 {
        let angle = (f32::from(number) + 0.5) / 12.0 * TAU;
        let foot = on_ground(angle.sin() * 6.5, angle.cos() * 6.5);
        let beam = |size, round| Shape::Block { size, round, rough: 0.0, taper: 0.0 };
        let mut add = |shape, up, motion, look| {
            pieces.push(Piece { shape, pose: Pose::at(foot + vec3(0.0, up, 0.0)), motion, look });
        };
        add(beam(vec3(0.11, 1.3, 0.11), 0.02), 0.6, Motion::Still, wood);
        add(beam(vec3(0.20, 0.26, 0.20), 0.08), 1.36, Motion::Flame { phase: random.unit() * TAU }, flame);
        add(beam(vec3(0.30, 0.06, 0.30), 0.02), 1.53, Motion::Still, wood);
    }
    Site { pieces, kind: Kind::Wood, seed: 41.0, is_water: false }
}
