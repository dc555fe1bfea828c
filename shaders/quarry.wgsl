// Traces light through a quarry: slabs of stone (blocks of device memory) with pieces standing on them (allocations).
//
//   slabs -> bays -> stones      three tables of boxes, so that a ray looks at few of them
//
// One invocation adds one sample to one pixel: a ray through the lens, what the sun and the sky give where it hits, and
// one bounce. examples/compute/reference.rs does the same on the CPU; keep the two alike.

struct Frame {
    eye: vec3f,
    pass_index: u32,
    right: vec3f,
    width: u32,
    up: vec3f,
    height: u32,
    forward: vec3f,
    slab_count: u32,
    sun: vec3f,
    pass_count: u32,
    aperture: f32,
    focus: f32,
    base: f32,
    unused: f32,
}

// A box that holds boxes: `first` and `count` name them in the next table.
struct Group {
    low: vec3f,
    first: u32,
    high: vec3f,
    count: u32,
}

struct Stone {
    low: vec3f,
    colour: u32,
    high: vec3f,
    grain: f32,
}

@group(0) @binding(0) var<uniform> frame: Frame;
@group(0) @binding(1) var<storage, read> slabs: array<Group>;
@group(0) @binding(2) var<storage, read> bays: array<Group>;
@group(0) @binding(3) var<storage, read> stones: array<Stone>;
@group(0) @binding(4) var<storage, read_write> light: array<vec4f>;

const FAR: f32 = 1.0e9;
const NOTHING: u32 = 0xffffffffu;
const FLOOR: u32 = 0xfffffffeu;
const SLABS: u32 = 0x80000000u;
const EDGE: f32 = 0.05;
const PRIMES: vec3u = vec3u(73856093u, 19349663u, 83492791u);
const SUNLIGHT: vec3f = vec3f(4.3, 3.1, 1.9);

struct Hit {
    distance: f32,
    what: u32,
}

struct Surface {
    position: vec3f,
    face: vec3f,
    normal: vec3f,
    albedo: vec3f,
}

fn hash(value: u32) -> u32 {
    let state = value * 747796405u + 2891336453u;
    let word = ((state >> ((state >> 28u) + 4u)) ^ state) * 277803737u;
    return (word >> 22u) ^ word;
}

fn unit(value: u32) -> f32 {
    return f32(value >> 8u) / 16777216.0;
}

// Two numbers below 1 for one decision of a pixel: over the passes they fill the square evenly.
fn sample_pair(pixel: u32, decision: u32) -> vec2f {
    let key = hash(pixel * 8u + decision);
    let index = f32(frame.pass_index ^ (hash(key) & (frame.pass_count - 1u)));
    let shift = vec2f(unit(hash(key + 1u)), unit(hash(key + 2u)));
    return fract(shift + index * vec2f(0.7548777, 0.5698403));
}

// A number below 1 for each point of a grid, blended between the points.
fn noise(position: vec3f) -> f32 {
    let floored = floor(position);
    let f = position - floored;
    let w = f * f * (3.0 - 2.0 * f);
    let here = bitcast<vec3u>(vec3i(floored)) * PRIMES;
    let next = here + PRIMES;
    let near = mix(mix(unit(hash(here.x ^ here.y ^ here.z)), unit(hash(next.x ^ here.y ^ here.z)), w.x),
        mix(unit(hash(here.x ^ next.y ^ here.z)), unit(hash(next.x ^ next.y ^ here.z)), w.x), w.y);
    let far = mix(mix(unit(hash(here.x ^ here.y ^ next.z)), unit(hash(next.x ^ here.y ^ next.z)), w.x),
        mix(unit(hash(here.x ^ next.y ^ next.z)), unit(hash(next.x ^ next.y ^ next.z)), w.x), w.y);
    return mix(near, far, w.z);
}

fn unpack(colour: u32) -> vec3f {
    return vec3f(f32(colour & 255u), f32((colour >> 8u) & 255u), f32((colour >> 16u) & 255u)) / 255.0;
}

fn sky(direction: vec3f) -> vec3f {
    let height = clamp(direction.y, 0.0, 1.0);
    return mix(vec3f(0.80, 0.64, 0.50), vec3f(0.22, 0.36, 0.66), pow(height, 0.45));
}

fn inverse_of(direction: vec3f) -> vec3f {
    let signs = select(vec3f(-1.0), vec3f(1.0), direction >= vec3f(0.0));
    return signs / max(abs(direction), vec3f(1.0e-7));
}

// How far a ray travels to a box; FAR where it misses, starts inside, or arrives later than at `limit`.
fn entry(origin: vec3f, inverse: vec3f, low: vec3f, high: vec3f, limit: f32) -> f32 {
    let a = (low - origin) * inverse;
    let b = (high - origin) * inverse;
    let near = max(max(min(a.x, b.x), min(a.y, b.y)), min(a.z, b.z));
    let far = min(min(max(a.x, b.x), max(a.y, b.y)), max(a.z, b.z));
    return select(FAR, near, near <= far && near > 0.0 && near < limit);
}

// Whether a ray comes through a box at all before `limit`.
fn touches(origin: vec3f, inverse: vec3f, low: vec3f, high: vec3f, limit: f32) -> bool {
    let a = (low - origin) * inverse;
    let b = (high - origin) * inverse;
    let near = max(max(min(a.x, b.x), min(a.y, b.y)), min(a.z, b.z));
    let far = min(min(max(a.x, b.x), max(a.y, b.y)), max(a.z, b.z));
    return near <= far && far > 0.0 && near < limit;
}

fn nearest(origin: vec3f, direction: vec3f) -> Hit {
    let inverse = inverse_of(direction);
    var hit = Hit(FAR, NOTHING);
    if direction.y < 0.0 {
        hit = Hit(-origin.y * inverse.y, FLOOR);
    }
    for (var s = 0u; s < frame.slab_count; s++) {
        let slab = slabs[s];
        if !touches(origin, inverse, slab.low, slab.high, hit.distance) {
            continue;
        }
        let top = vec3f(slab.high.x, frame.base, slab.high.z);
        let distance = entry(origin, inverse, slab.low, top, hit.distance);
        if distance < hit.distance {
            hit = Hit(distance, SLABS + s);
        }
        for (var b = slab.first; b < slab.first + slab.count; b++) {
            let bay = bays[b];
            if !touches(origin, inverse, bay.low, bay.high, hit.distance) {
                continue;
            }
            for (var i = bay.first; i < bay.first + bay.count; i++) {
                let distance = entry(origin, inverse, stones[i].low, stones[i].high, hit.distance);
                if distance < hit.distance {
                    hit = Hit(distance, i);
                }
            }
        }
    }
    return hit;
}

fn is_lit(origin: vec3f, direction: vec3f) -> bool {
    let inverse = inverse_of(direction);
    for (var s = 0u; s < frame.slab_count; s++) {
        let slab = slabs[s];
        if !touches(origin, inverse, slab.low, slab.high, FAR) {
            continue;
        }
        let top = vec3f(slab.high.x, frame.base, slab.high.z);
        if entry(origin, inverse, slab.low, top, FAR) < FAR {
            return false;
        }
        for (var b = slab.first; b < slab.first + slab.count; b++) {
            let bay = bays[b];
            if !touches(origin, inverse, bay.low, bay.high, FAR) {
                continue;
            }
            for (var i = bay.first; i < bay.first + bay.count; i++) {
                if entry(origin, inverse, stones[i].low, stones[i].high, FAR) < FAR {
                    return false;
                }
            }
        }
    }
    return true;
}

// The face that a point of a box lies on.
fn face_at(position: vec3f, low: vec3f, high: vec3f) -> vec3f {
    let below = abs(position - low);
    let above = abs(high - position);
    let nearer = min(below, above);
    let signs = select(vec3f(-1.0), vec3f(1.0), above < below);
    if nearer.x < nearer.y && nearer.x < nearer.z {
        return vec3f(signs.x, 0.0, 0.0);
    }
    if nearer.y < nearer.z {
        return vec3f(0.0, signs.y, 0.0);
    }
    return vec3f(0.0, 0.0, signs.z);
}

// The same, bent outward near the upper and the upright edges, as if they were rounded.
fn bent(position: vec3f, low: vec3f, high: vec3f) -> vec3f {
    let edge = min(vec3f(EDGE), (high - low) / 3.0);
    let above = clamp((edge - (high - position)) / edge, vec3f(0.0), vec3f(1.0));
    let below = clamp((edge - (position - low)) / edge, vec3f(0.0), vec3f(1.0));
    return normalize(above - below * vec3f(1.0, 0.0, 1.0));
}

// What a ray has met, as it looks from afar.
fn plain_surface_of(hit: Hit, origin: vec3f, direction: vec3f) -> Surface {
    let position = origin + direction * hit.distance;
    if hit.what == FLOOR {
        return Surface(position, vec3f(0.0, 1.0, 0.0), vec3f(0.0, 1.0, 0.0), vec3f(0.42, 0.385, 0.345));
    }
    if hit.what >= SLABS {
        let slab = slabs[hit.what - SLABS];
        let face = face_at(position, slab.low, vec3f(slab.high.x, frame.base, slab.high.z));
        return Surface(position, face, face, vec3f(0.40, 0.385, 0.375));
    }
    let stone = stones[hit.what];
    let face = face_at(position, stone.low, stone.high);
    return Surface(position, face, face, unpack(stone.colour) * (0.90 + 0.20 * stone.grain));
}

// The same from nearby: with grain, and stones with rounded edges.
fn surface_of(hit: Hit, origin: vec3f, direction: vec3f) -> Surface {
    var surface = plain_surface_of(hit, origin, direction);
    let position = surface.position;
    if hit.what == FLOOR {
        surface.albedo *= 0.93 + 0.09 * noise(position * 1.3) + 0.05 * noise(position * 7.0);
    } else if hit.what >= SLABS {
        // Fresh cuts show the marks of the tool.
        let marks = noise(vec3f(position.x * 2.0, position.y * 18.0, position.z * 26.0));
        surface.albedo *= 0.72 + 0.30 * marks + 0.14 * noise(position * 9.0);
    } else {
        let stone = stones[hit.what];
        surface.normal = normalize(surface.face * 0.35 + bent(position, stone.low, stone.high));
        let here = position + stone.grain * 61.0;
        let bands = noise(vec3f(here.x * 0.35, here.y * 6.5 + 0.8 * noise(here * 0.9), here.z * 0.35));
        surface.albedo *= 0.60 + 0.44 * bands + 0.16 * noise(here * 6.0) + 0.14 * noise(here * 23.0);
    }
    return surface;
}

fn around(normal: vec3f, pair: vec2f, spread: f32) -> vec3f {
    let side = select(vec3f(0.0, 1.0, 0.0), vec3f(1.0, 0.0, 0.0), abs(normal.y) > 0.9);
    let tangent = normalize(cross(side, normal));
    let angle = 6.2831853 * pair.x;
    let radius = sqrt(pair.y) * spread;
    let across = tangent * cos(angle) + cross(normal, tangent) * sin(angle);
    return normalize(across * radius + normal * sqrt(1.0 - radius * radius));
}

fn sunlight(surface: Surface, pair: vec2f) -> vec3f {
    let direction = around(frame.sun, pair, 0.05);
    let cosine = dot(surface.normal, direction);
    if cosine <= 0.0 || dot(surface.face, direction) <= 0.0 || !is_lit(surface.position + surface.face * 0.002, direction) {
        return vec3f(0.0);
    }
    return surface.albedo * SUNLIGHT * cosine;
}

fn trace(origin: vec3f, direction: vec3f, pixel: u32) -> vec3f {
    let first = nearest(origin, direction);
    if first.what == NOTHING {
        return sky(direction);
    }
    let surface = surface_of(first, origin, direction);
    var radiance = sunlight(surface, sample_pair(pixel, 2u));
    var onward = around(surface.normal, sample_pair(pixel, 3u), 0.9999);
    let into = dot(onward, surface.face);
    if into < 0.0 {
        onward -= 2.0 * into * surface.face;
    }
    let second = nearest(surface.position + surface.face * 0.002, onward);
    if second.what == NOTHING {
        radiance += surface.albedo * sky(onward);
    } else {
        let beyond = plain_surface_of(second, surface.position + surface.face * 0.002, onward);
        // What bounces more than once is taken to be a small share of the sky.
        let bounced = sunlight(beyond, sample_pair(pixel, 4u)) + beyond.albedo * vec3f(0.13, 0.14, 0.17);
        radiance += surface.albedo * bounced;
    }
    let haze = clamp(first.distance / frame.focus * 0.4 - 0.52, 0.0, 1.0);
    return mix(radiance, sky(vec3f(direction.x, 0.0, direction.z)), haze * haze * (3.0 - 2.0 * haze));
}

@compute @workgroup_size(8, 8)
fn main(@builtin(global_invocation_id) id: vec3u) {
    if id.x >= frame.width || id.y >= frame.height {
        return;
    }
    let pixel = id.y * frame.width + id.x;
    let jitter = sample_pair(pixel, 0u);
    let x = (f32(id.x) + jitter.x) / f32(frame.width) * 2.0 - 1.0;
    let y = 1.0 - (f32(id.y) + jitter.y) / f32(frame.height) * 2.0;
    let aim = frame.eye + (frame.forward + frame.right * x + frame.up * y) * frame.focus;
    let lens = sample_pair(pixel, 1u);
    let radius = sqrt(lens.x) * frame.aperture;
    let angle = 6.2831853 * lens.y;
    let origin = frame.eye + normalize(frame.right) * (radius * cos(angle)) + normalize(frame.up) * (radius * sin(angle));
    let radiance = trace(origin, normalize(aim - origin), pixel);
    // The first pass finds what an earlier owner of the memory has left.
    let before = select(light[pixel], vec4f(0.0), frame.pass_index == 0u);
    light[pixel] = before + vec4f(radiance, 1.0);
}
