//! The quarry, as plain data: which stones there are, where they stand, what moves, who looks. No Vulkan here.
//!
//! Around a basin lie twelve sites, each with stones of one kind; behind them the ledges that they were cut from. A
//! site is the unit that is streamed: its meshes and its texture come and go together.

use std::f32::consts::{PI, TAU};

use bytemuck::{Pod, Zeroable};

use crate::matrix::{Pose, Projection, View};
use crate::noise::Random;
use crate::shapes::{Detail, Shape, ground_height};
use crate::targets::SHADOW_SIDE;
use crate::textures::Kind;
use crate::vector::{Vec3, vec3};
use crate::works;

/// Sites whose detail follows the camera; those behind them in the list are always fine.
pub(crate) const STREAMED_COUNT: usize = 12;
/// Seconds in which the camera goes around the basin once.
const ORBIT: f32 = 40.0;
/// So much of the world, in metres to each side of the basin, throws shadows.
const SHADOW_REACH: f32 = 21.0;

/// A stone of a site.
pub(crate) struct Piece {
    pub(crate) shape: Shape,
    pub(crate) pose: Pose,
    pub(crate) motion: Motion,
    pub(crate) look: Look,
}

/// The two colours of a stone, and how much it glows.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Look {
    pub(crate) tint: Vec3,
    pub(crate) vein: Vec3,
    pub(crate) glow: f32,
}

/// How a piece moves.
#[derive(Clone, Copy, Debug)]
pub(crate) enum Motion {
    Still,
    /// Turns to and fro with the boom of its derrick, about the mast; the load on its rope swings besides.
    Boom {
        mast: Vec3,
        phase: f32,
        swing: f32,
    },
    /// Flickers, as a flame does.
    Flame {
        phase: f32,
    },
}

/// What is made, loaded and drawn together: stones of one texture.
pub(crate) struct Site {
    pub(crate) pieces: Vec<Piece>,
    pub(crate) kind: Kind,
    pub(crate) seed: f32,
    pub(crate) is_water: bool,
}

/// Who sees a stone in a frame.
#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct Seen {
    pub(crate) by_camera: bool,
    pub(crate) by_sun: bool,
}

/// One stone, as shaders see it.
#[derive(Clone, Copy, Debug, Pod, Zeroable)]
#[repr(C)]
pub(crate) struct Instance {
    pose: Pose,
    tint: [f32; 4],
    vein: [f32; 4],
}

/// What all draws of a frame share, as shaders see it.
#[derive(Clone, Copy, Debug, Pod, Zeroable)]
#[repr(C)]
pub(crate) struct FrameData {
    view: Projection,
    sun_view: Projection,
    eye: Vec3,
    time: f32,
    sun: Vec3,
    shadow_texel: f32,
    right: Vec3,
    unused_1: f32,
    up: Vec3,
    unused_2: f32,
    forward: Vec3,
    unused_3: f32,
}

pub(crate) struct Scene {
    pub(crate) sites: Vec<Site>,
    /// The number of each site's first stone.
    first_pieces: Vec<u32>,
}

impl Scene {
    /// Lays out the quarry that belongs to a seed.
    pub(crate) fn new(seed: u64) -> Self {
        let around = (0..STREAMED_COUNT).map(|index| works::site(index, Random::new(seed, index as u64)));
        let mut random = Random::new(seed, 100);
        let (derricks, lanterns) = (works::derricks(&mut random), works::lanterns(&mut random));
        let rest = [derricks, lanterns, works::ledges(&mut random), works::ground(), works::water()];
        let sites: Vec<Site> = around.chain(rest).collect();
        let counts = sites.iter().map(|site| site.pieces.len() as u32);
        let first_pieces = counts.scan(0, |next, count| Some(std::mem::replace(next, *next + count)));
        Self { first_pieces: first_pieces.collect(), sites }
    }

    /// Returns how many stones there are.
    pub(crate) fn piece_count(&self) -> usize {
        self.sites.iter().map(|site| site.pieces.len()).sum()
    }

    /// Returns the numbers of all sites, with those of their first stones, in the order in which they are best drawn:
    /// what is near first, since it hides the rest; water last, which has a pipeline of its own.
    pub(crate) fn front_to_back(&self, time: f32) -> impl Iterator<Item = (usize, u32)> {
        let nearest = (camera_angle(time) / TAU * STREAMED_COUNT as f32).round() as usize;
        // To the right and to the left by turns.
        let neighbour = move |step: usize| {
            let away = step.div_ceil(2);
            nearest + if step.is_multiple_of(2) { STREAMED_COUNT - away } else { away }
        };
        let around = (0..STREAMED_COUNT).map(move |step| neighbour(step) % STREAMED_COUNT);
        around.chain(STREAMED_COUNT..self.sites.len()).map(|site| (site, self.first_pieces[site]))
    }

    /// Returns every stone, and how it stands at a time, in seconds, in the order of sites and pieces.
    pub(crate) fn instances(&self, time: f32) -> impl Iterator<Item = (&Shape, Instance)> {
        self.sites.iter().flat_map(|site| &site.pieces).map(move |piece| (&piece.shape, piece.instance(time)))
    }

    /// Returns how finely a site is to be made, as the camera stands at a time: the nearer half is fine.
    pub(crate) fn detail(site: usize, time: f32) -> Detail {
        let angle = works::angle_of(site) - camera_angle(time);
        if angle.cos() > 0.1 { Detail::Fine } else { Detail::Coarse }
    }
}

impl Piece {
    fn instance(&self, time: f32) -> Instance {
        let Look { tint, vein, glow } = self.look;
        let (pose, glow) = match self.motion {
            Motion::Still => (self.pose, glow),
            Motion::Boom { mast, phase, swing } => {
                let turn = Pose::turned((time * 0.35 + phase).sin() * 0.9);
                let sway = Pose::tilted((time * 1.6 + phase).sin() * swing);
                let about = |turn: &Pose| Pose::at(mast).then(turn);
                (about(&turn).then(&self.pose).then(&sway), glow)
            }
            Motion::Flame { phase } => {
                let flicker = 0.85 + 0.15 * (time * 9.0 + phase).sin() * (time * 5.3 + phase * 2.0).cos();
                (self.pose, glow * flicker)
            }
        };
        Instance { pose, tint: [tint.x, tint.y, tint.z, glow], vein: [vein.x, vein.y, vein.z, 0.0] }
    }
}

impl FrameData {
    /// Tells who sees a stone of this shape.
    pub(crate) fn sees(&self, shape: &Shape, instance: &Instance) -> Seen {
        let (middle, radius) = (instance.pose.place(), shape.reach());
        Seen { by_camera: self.view.sees(middle, radius), by_sun: self.sun_view.sees(middle, radius) }
    }
}

fn camera_angle(time: f32) -> f32 {
    time * TAU / ORBIT + 0.4
}

/// Returns what a frame's shaders are told: the camera circles the basin, the sun wanders a little.
pub(crate) fn frame_data(time: f32, aspect: f32) -> FrameData {
    let angle = camera_angle(time);
    let radius = 16.2 + 0.8 * (time * 0.21).sin();
    let height = 5.6 + 0.7 * (time * 0.17).cos();
    let eye = vec3(angle.sin() * radius, height, angle.cos() * radius);
    let view = View::new(eye, vec3(-angle.sin() * 2.0, 1.9, -angle.cos() * 2.0));
    let reach = (0.72 * aspect / 1.777, 0.72 / 1.777);
    let sun = sun(time);
    let from = View::new(sun * 40.0, Vec3::default());
    FrameData {
        view: view.perspective(reach, 0.2),
        sun_view: from.parallel(SHADOW_REACH, 80.0),
        eye,
        time,
        sun,
        shadow_texel: 2.0 * SHADOW_REACH / SHADOW_SIDE as f32,
        right: view.right * reach.0,
        unused_1: 0.0,
        up: view.up * reach.1,
        unused_2: 0.0,
        forward: view.forward,
        unused_3: 0.0,
    }
}

/// Returns the direction of the sun: low, in the evening.
fn sun(time: f32) -> Vec3 {
    let angle = PI * 1.13 + time * 0.02;
    vec3(angle.cos(), 0.47, angle.sin()).normalize()
}

/// Returns where something stands on the ground.
pub(crate) fn on_ground(x: f32, z: f32) -> Vec3 {
    vec3(x, ground_height(x, z), z)
}
