//! The shaders' algorithm on the CPU, function by function, to check the GPU's pixels against.

use std::f32::consts::TAU;

use crate::scene::{Frame, Scene};
use crate::vector::{Vec3, vec3};

const FAR: f32 = 1.0e9;
const EDGE: f32 = 0.05;
const SUNLIGHT: Vec3 = vec3(4.3, 3.1, 1.9);
const PRIMES: [u32; 3] = [73_856_093, 19_349_663, 83_492_791];
const EXPOSURE: f32 = 0.62;
const UP: Vec3 = vec3(0.0, 1.0, 0.0);

#[derive(Clone, Copy)]
enum Thing {
    Floor,
    Slab(usize),
    Stone(usize),
}

#[derive(Clone, Copy)]
struct Hit {
    distance: f32,
    what: Option<Thing>,
}

struct Surface {
    position: Vec3,
    face: Vec3,
    normal: Vec3,
    albedo: Vec3,
}

/// Traces one pixel with the samples of the passes before `frame`'s; returns red, green and blue of 8 bits.
pub(crate) fn pixel(scene: &Scene, frame: &Frame, x: u32, y: u32) -> [u8; 3] {
    let passes = (0..frame.pass_index).map(|pass_index| Frame { pass_index, ..*frame });
    let sum = passes.fold(Vec3::default(), |sum, frame| sum + Tracer { scene, frame }.sample(x, y));
    let mean = sum * (1.0 / frame.pass_index as f32);
    [level(mean.x), level(mean.y), level(mean.z)]
}

fn level(value: f32) -> u8 {
    let x = value * EXPOSURE;
    let film = (x * (2.51 * x + 0.03) / (x * (2.43 * x + 0.59) + 0.14)).clamp(0.0, 1.0);
    (film.powf(1.0 / 2.2) * 255.0 + 0.5) as u8
}

fn hash(value: u32) -> u32 {
    let state = value.wrapping_mul(747_796_405).wrapping_add(2_891_336_453);
    let word = ((state >> ((state >> 28) + 4)) ^ state).wrapping_mul(277_803_737);
    (word >> 22) ^ word
}

fn unit(value: u32) -> f32 {
    (value >> 8) as f32 / 16_777_216.0
}

fn noise(position: Vec3) -> f32 {
    let floored = position.map(f32::floor);
    let w = (position - floored).map(|f| f * f * (3.0 - 2.0 * f));
    let here = [floored.x, floored.y, floored.z].map(|value| value as i32 as u32);
    let at = |axis: usize, step: u32| here[axis].wrapping_add(step).wrapping_mul(PRIMES[axis]);
    let corner = |x, y, z| unit(hash(at(0, x) ^ at(1, y) ^ at(2, z)));
    let mix = |a: f32, b: f32, share: f32| a * (1.0 - share) + b * share;
    let line = |y, z| mix(corner(0, y, z), corner(1, y, z), w.x);
    let plane = |z| mix(line(0, z), line(1, z), w.y);
    mix(plane(0), plane(1), w.z)
}

fn unpack(colour: u32) -> Vec3 {
    let [red, green, blue, _] = colour.to_le_bytes().map(f32::from);
    vec3(red, green, blue) * (1.0 / 255.0)
}

fn sky(direction: Vec3) -> Vec3 {
    let height = direction.y.clamp(0.0, 1.0);
    vec3(0.80, 0.64, 0.50).mix(vec3(0.22, 0.36, 0.66), height.powf(0.45))
}

fn inverse_of(direction: Vec3) -> Vec3 {
    direction.map(|value| if value >= 0.0 { 1.0 } else { -1.0 } / value.abs().max(1.0e-7))
}

/// Returns how far a ray travels to a box and through it.
fn span(origin: Vec3, inverse: Vec3, low: Vec3, high: Vec3) -> (f32, f32) {
    let (a, b) = ((low - origin) * inverse, (high - origin) * inverse);
    let (first, last) = (a.min(b), a.max(b));
    (first.x.max(first.y).max(first.z), last.x.min(last.y).min(last.z))
}

fn entry(origin: Vec3, inverse: Vec3, (low, high): (Vec3, Vec3), limit: f32) -> f32 {
    let (near, far) = span(origin, inverse, low, high);
    if near <= far && near > 0.0 && near < limit { near } else { FAR }
}

fn touches(origin: Vec3, inverse: Vec3, (low, high): (Vec3, Vec3), limit: f32) -> bool {
    let (near, far) = span(origin, inverse, low, high);
    near <= far && far > 0.0 && near < limit
}

fn face_at(position: Vec3, low: Vec3, high: Vec3) -> Vec3 {
    let (below, above) = ((position - low).map(f32::abs), (high - position).map(f32::abs));
    let nearer = below.min(above);
    let sign = |above: f32, below: f32| if above < below { 1.0 } else { -1.0 };
    if nearer.x < nearer.y && nearer.x < nearer.z {
        return vec3(sign(above.x, below.x), 0.0, 0.0);
    }
    if nearer.y < nearer.z {
        return vec3(0.0, sign(above.y, below.y), 0.0);
    }
    vec3(0.0, 0.0, sign(above.z, below.z))
}

fn bent(position: Vec3, low: Vec3, high: Vec3) -> Vec3 {
    let edge = Vec3::all(EDGE).min((high - low) * (1.0 / 3.0));
    let within = |distance: Vec3| (edge - distance).zip(edge, |a, b| a / b).map(|value| value.clamp(0.0, 1.0));
    (within(high - position) - within(position - low) * vec3(1.0, 0.0, 1.0)).normalize()
}

fn around(normal: Vec3, pair: [f32; 2], spread: f32) -> Vec3 {
    let side = if normal.y.abs() > 0.9 { vec3(1.0, 0.0, 0.0) } else { UP };
    let tangent = side.cross(normal).normalize();
    let angle = TAU * pair[0];
    let radius = pair[1].sqrt() * spread;
    let across = tangent * angle.cos() + normal.cross(tangent) * angle.sin();
    (across * radius + normal * (1.0 - radius * radius).sqrt()).normalize()
}

/// One pass over one scene.
struct Tracer<'a> {
    scene: &'a Scene,
    frame: Frame,
}

impl Tracer<'_> {
    fn sample(&self, x: u32, y: u32) -> Vec3 {
        let frame = &self.frame;
        let pixel = y * frame.width + x;
        let jitter = self.sample_pair(pixel, 0);
        let across = (x as f32 + jitter[0]) / frame.width as f32 * 2.0 - 1.0;
        let upward = 1.0 - (y as f32 + jitter[1]) / frame.height as f32 * 2.0;
        let aim = frame.eye + (frame.forward + frame.right * across + frame.up * upward) * frame.focus;
        let lens = self.sample_pair(pixel, 1);
        let (radius, angle) = (lens[0].sqrt() * frame.aperture, TAU * lens[1]);
        let shift = frame.right.normalize() * (radius * angle.cos()) + frame.up.normalize() * (radius * angle.sin());
        let origin = frame.eye + shift;
        self.trace(origin, (aim - origin).normalize(), pixel)
    }

    fn sample_pair(&self, pixel: u32, decision: u32) -> [f32; 2] {
        let key = hash(pixel.wrapping_mul(8).wrapping_add(decision));
        let index = (self.frame.pass_index ^ (hash(key) & (self.frame.pass_count - 1))) as f32;
        let shift = [1, 2].map(|step| unit(hash(key.wrapping_add(step))));
        [(shift[0] + index * 0.754_877_7).fract(), (shift[1] + index * 0.569_840_3).fract()]
    }

    fn trace(&self, origin: Vec3, direction: Vec3, pixel: u32) -> Vec3 {
        let first = self.nearest(origin, direction);
        let Some(what) = first.what else { return sky(direction) };
        let surface = self.surface_of(what, origin + direction * first.distance);
        let mut radiance = self.sunlight(&surface, self.sample_pair(pixel, 2));
        let mut onward = around(surface.normal, self.sample_pair(pixel, 3), 0.9999);
        let into = onward.dot(surface.face);
        if into < 0.0 {
            onward = onward - surface.face * (2.0 * into);
        }
        let start = surface.position + surface.face * 0.002;
        let second = self.nearest(start, onward);
        let arriving = match second.what {
            None => sky(onward),
            Some(what) => {
                let beyond = self.plain_surface_of(what, start + onward * second.distance);
                self.sunlight(&beyond, self.sample_pair(pixel, 4)) + beyond.albedo * vec3(0.13, 0.14, 0.17)
            }
        };
        radiance = radiance + surface.albedo * arriving;
        let haze = (first.distance / self.frame.focus * 0.4 - 0.52).clamp(0.0, 1.0);
        radiance.mix(sky(vec3(direction.x, 0.0, direction.z)), haze * haze * (3.0 - 2.0 * haze))
    }

    fn nearest(&self, origin: Vec3, direction: Vec3) -> Hit {
        let inverse = inverse_of(direction);
        let mut hit = Hit { distance: FAR, what: None };
        if direction.y < 0.0 {
            hit = Hit { distance: -origin.y * inverse.y, what: Some(Thing::Floor) };
        }
        self.visit(origin, inverse, |what, distance| {
            if distance < hit.distance {
                hit = Hit { distance, what: Some(what) };
            }
            hit.distance
        });
        hit
    }

    fn is_lit(&self, origin: Vec3, direction: Vec3) -> bool {
        let mut is_lit = true;
        // A limit of 0 ends the search.
        self.visit(origin, inverse_of(direction), |_, distance| {
            is_lit &= distance >= FAR;
            if is_lit { FAR } else { 0.0 }
        });
        is_lit
    }

    /// Shows the boxes that may lie in a ray's way, with the distance; the answer is the limit from then on.
    fn visit(&self, origin: Vec3, inverse: Vec3, mut see: impl FnMut(Thing, f32) -> f32) {
        let Scene { slabs, bays, stones, .. } = self.scene;
        let mut limit = see(Thing::Floor, FAR);
        for (s, slab) in slabs.iter().enumerate() {
            if !touches(origin, inverse, (slab.low, slab.high), limit) {
                continue;
            }
            limit = see(Thing::Slab(s), entry(origin, inverse, (slab.low, self.top_of(s)), limit));
            for bay in &bays[slab.first as usize..][..slab.count as usize] {
                if !touches(origin, inverse, (bay.low, bay.high), limit) {
                    continue;
                }
                for (i, stone) in stones.iter().enumerate().skip(bay.first as usize).take(bay.count as usize) {
                    limit = see(Thing::Stone(i), entry(origin, inverse, (stone.low, stone.high), limit));
                }
            }
        }
    }

    fn top_of(&self, slab: usize) -> Vec3 {
        let high = self.scene.slabs[slab].high;
        vec3(high.x, self.frame.base, high.z)
    }

    fn plain_surface_of(&self, what: Thing, position: Vec3) -> Surface {
        let (face, albedo) = match what {
            Thing::Floor => (UP, vec3(0.42, 0.385, 0.345)),
            Thing::Slab(index) => {
                let face = face_at(position, self.scene.slabs[index].low, self.top_of(index));
                (face, vec3(0.40, 0.385, 0.375))
            }
            Thing::Stone(index) => {
                let stone = &self.scene.stones[index];
                let albedo = unpack(stone.colour) * (0.90 + 0.20 * stone.grain);
                (face_at(position, stone.low, stone.high), albedo)
            }
        };
        Surface { position, face, normal: face, albedo }
    }

    fn surface_of(&self, what: Thing, position: Vec3) -> Surface {
        let mut surface = self.plain_surface_of(what, position);
        let grain = match what {
            Thing::Floor => 0.93 + 0.09 * noise(position * 1.3) + 0.05 * noise(position * 7.0),
            Thing::Slab(_) => {
                let marks = noise(position * vec3(2.0, 18.0, 26.0));
                0.72 + 0.30 * marks + 0.14 * noise(position * 9.0)
            }
            Thing::Stone(index) => {
                let stone = &self.scene.stones[index];
                surface.normal = (surface.face * 0.35 + bent(position, stone.low, stone.high)).normalize();
                let here = position + Vec3::all(stone.grain * 61.0);
                let bands = noise(vec3(here.x * 0.35, here.y * 6.5 + 0.8 * noise(here * 0.9), here.z * 0.35));
                0.60 + 0.44 * bands + 0.16 * noise(here * 6.0) + 0.14 * noise(here * 23.0)
            }
        };
        surface.albedo = surface.albedo * grain;
        surface
    }

    fn sunlight(&self, surface: &Surface, pair: [f32; 2]) -> Vec3 {
        let direction = around(self.frame.sun, pair, 0.05);
        let cosine = surface.normal.dot(direction);
        let is_turned_away = cosine <= 0.0 || surface.face.dot(direction) <= 0.0;
        if is_turned_away || !self.is_lit(surface.position + surface.face * 0.002, direction) {
            return Vec3::default();
        }
        surface.albedo * SUNLIGHT * cosine
    }
}
