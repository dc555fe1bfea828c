// The quarry: stones in the evening sun, water in the basin, the sky. Colours are linear, and may be brighter than 1.

struct Frame {
    view: mat4x4f,
    sun_view: mat4x4f,
    eye: vec3f,
    time: f32,
    // Towards the sun.
    sun: vec3f,
    // Metres of a texel of the shadow map.
    shadow_texel: f32,
    // From the middle of the picture to its edges, as directions.
    right: vec3f,
    unused_1: f32,
    up: vec3f,
    unused_2: f32,
    forward: vec3f,
    unused_3: f32,
}

// One stone: three rows of its pose, and its two colours. `tint.a` is how much it glows.
struct Instance {
    x: vec4f,
    y: vec4f,
    z: vec4f,
    tint: vec4f,
    vein: vec4f,
}

@group(0) @binding(0) var<uniform> frame: Frame;
@group(0) @binding(1) var<storage, read> instances: array<Instance>;
@group(0) @binding(2) var shadow_map: texture_depth_2d;
@group(0) @binding(3) var shadow_sampler: sampler_comparison;
@group(0) @binding(4) var stone_sampler: sampler;
@group(1) @binding(0) var surface: texture_2d<f32>;

const SUNLIGHT: vec3f = vec3f(3.9, 2.7, 1.6);
const ZENITH: vec3f = vec3f(0.10, 0.25, 0.62);
const MIDDLE: vec3f = vec3f(0.42, 0.66, 0.98);
const HORIZON: vec3f = vec3f(1.30, 0.86, 0.52);
const BOUNCE: vec3f = vec3f(0.26, 0.18, 0.12);

struct Vertex {
    @location(0) position: vec3f,
    @location(1) normal: vec4f,
    @location(2) tangent: vec4f,
    @location(3) uv: vec2f,
}

struct Point {
    @builtin(position) clip: vec4f,
    @location(0) position: vec3f,
    @location(1) normal: vec4f,
    @location(2) tangent: vec3f,
    @location(3) uv: vec2f,
    @location(4) @interpolate(flat) instance: u32,
}

fn placed(instance: Instance, position: vec3f) -> vec3f {
    let point = vec4f(position, 1.0);
    return vec3f(dot(instance.x, point), dot(instance.y, point), dot(instance.z, point));
}

fn turned(instance: Instance, direction: vec3f) -> vec3f {
    return vec3f(dot(instance.x.xyz, direction), dot(instance.y.xyz, direction), dot(instance.z.xyz, direction));
}

@vertex
fn shadow_vertex(@builtin(instance_index) index: u32, @location(0) position: vec3f) -> @builtin(position) vec4f {
    return frame.sun_view * vec4f(placed(instances[index], position), 1.0);
}

@vertex
fn stone_vertex(@builtin(instance_index) index: u32, vertex: Vertex) -> Point {
    let instance = instances[index];
    let position = placed(instance, vertex.position);
    let normal = vec4f(turned(instance, vertex.normal.xyz), vertex.normal.w);
    let tangent = turned(instance, vertex.tangent.xyz);
    return Point(frame.view * vec4f(position, 1.0), position, normal, tangent, vertex.uv, index);
}

// The sky without its sun.
fn sky(direction: vec3f) -> vec3f {
    let height = clamp(direction.y, 0.0, 1.0);
    let towards = max(dot(direction, frame.sun), 0.0);
    let warmth = vec3f(1.0, 0.55, 0.25) * (pow(towards, 6.0) * 0.55 + pow(towards, 48.0) * 1.1);
    let low = mix(HORIZON, MIDDLE, smoothstep(0.0, 0.17, height));
    return mix(low, ZENITH, smoothstep(0.08, 0.75, height)) + warmth * (1.0 - height * 0.6);
}

// How much of the sun a point sees: four taps, each of which the sampler blends from four texels.
fn sunlit(position: vec3f, normal: vec3f) -> f32 {
    let clip = frame.sun_view * vec4f(position + normal * frame.shadow_texel * 1.6, 1.0);
    if any(abs(clip.xy) > vec2f(0.98)) {
        return 1.0;
    }
    let middle = clip.xy * vec2f(0.5, -0.5) + 0.5;
    let near = vec2f(0.9, 0.35) / f32(textureDimensions(shadow_map).x);
    let depth = clip.z - 0.0006;
    let sum = textureSampleCompareLevel(shadow_map, shadow_sampler, middle + near, depth)
        + textureSampleCompareLevel(shadow_map, shadow_sampler, middle - near, depth)
        + textureSampleCompareLevel(shadow_map, shadow_sampler, middle + vec2f(-near.y, near.x), depth)
        + textureSampleCompareLevel(shadow_map, shadow_sampler, middle + vec2f(near.y, -near.x), depth);
    return sum * 0.25;
}

// Light that has come a long way through dusty air, which glows towards the sun.
fn hazed(colour: vec3f, position: vec3f) -> vec3f {
    let offset = position - frame.eye;
    let distance = length(offset);
    let share = 1.0 - exp2(-max(distance - 12.0, 0.0) * 0.0072);
    let towards = max(dot(offset, frame.sun) / distance, 0.0);
    let glow = towards * towards * towards * towards;
    return mix(colour, vec3f(0.70, 0.60, 0.54) + vec3f(0.85, 0.46, 0.18) * glow, share);
}

@fragment
fn stone_fragment(point: Point) -> @location(0) vec4f {
    let instance = instances[point.instance];
    let texel = textureSample(surface, stone_sampler, point.uv);
    let face = normalize(point.normal.xyz);
    let tangent = normalize(point.tangent - face * dot(point.tangent, face));
    let bumps = texel.xy * 2.0 - 1.0;
    let normal = normalize(face + tangent * bumps.x + cross(face, tangent) * bumps.y);
    let albedo = mix(instance.tint.rgb, instance.vein.rgb, texel.a) * texel.b;
    let open = point.normal.w;
    let cosine = dot(normal, frame.sun);
    var light = vec3f(0.0);
    if cosine > 0.0 && dot(face, frame.sun) > 0.0 {
        let half = normalize(frame.sun + normalize(frame.eye - point.position));
        let gloss = pow(max(dot(normal, half), 0.0), 24.0) * 0.10;
        light = SUNLIGHT * (albedo * cosine + gloss) * sunlit(point.position, face);
    }
    let above = 0.5 + 0.5 * normal.y;
    let ambient = mix(BOUNCE, vec3f(0.34, 0.42, 0.56), above);
    var colour = light + albedo * ambient * open;
    if instance.tint.a > 0.0 {
        colour = instance.tint.rgb * instance.tint.a;
    }
    return vec4f(hazed(colour, point.position), 1.0);
}

// The slope of small waves: four that run across each other, none of them straight.
fn waves(place: vec2f) -> vec2f {
    let across = sin(place.y * 0.9 + frame.time * 0.31) + sin(place.y * 2.3);
    let along = cos(place.x * 0.7 + frame.time * 0.23) + cos(place.x * 1.9);
    let at = place + vec2f(across, along) * 0.45;
    var slope = vec2f(0.0);
    for (var i = 0; i < 4; i++) {
        let n = f32(i);
        let angle = n * 2.4 + 0.6;
        let direction = vec2f(cos(angle), sin(angle));
        let rate = 1.7 + n * 1.9;
        slope += direction * cos(dot(at, direction) * rate + frame.time * (0.8 + 0.35 * n)) * 0.022;
    }
    return slope;
}

@fragment
fn water_fragment(point: Point) -> @location(0) vec4f {
    let texel = textureSample(surface, stone_sampler, point.uv * 0.5 + frame.time * 0.01);
    let slope = waves(point.position.xz) + (texel.xy - 0.5) * 0.06;
    let normal = normalize(vec3f(-slope.x, 1.0, -slope.y));
    let into = normalize(point.position - frame.eye);
    let mirrored = reflect(into, normal);
    let fresnel = 0.03 + 0.97 * pow(1.0 - max(dot(-into, normal), 0.0), 5.0);
    let lit = sunlit(point.position, vec3f(0.0, 1.0, 0.0));
    let shallow = smoothstep(2.6, 5.6, length(point.position.xz) + slope.x * 6.0);
    let body = mix(vec3f(0.012, 0.12, 0.14), vec3f(0.06, 0.36, 0.33), shallow) * (0.45 + 0.75 * lit * frame.sun.y);
    let glint = SUNLIGHT * pow(max(dot(mirrored, frame.sun), 0.0), 420.0) * 9.0 * lit;
    let up = normalize(vec3f(mirrored.x, abs(mirrored.y), mirrored.z));
    return vec4f(hazed(mix(body, sky(up), fresnel) + glint, point.position), 1.0);
}

struct Ray {
    @builtin(position) clip: vec4f,
    @location(0) direction: vec3f,
}

@vertex
fn sky_vertex(@builtin(vertex_index) index: u32) -> Ray {
    let corner = vec2f(f32((index << 1u) & 2u), f32(index & 2u)) * 2.0 - 1.0;
    return Ray(vec4f(corner, 1.0, 1.0), frame.forward + frame.right * corner.x + frame.up * corner.y);
}

@fragment
fn sky_fragment(ray: Ray) -> @location(0) vec4f {
    let direction = normalize(ray.direction);
    let disc = smoothstep(0.9990, 0.9994, dot(direction, frame.sun));
    return vec4f(sky(direction) + vec3f(40.0, 26.0, 14.0) * disc, 1.0);
}
