// Turns gathered light into a picture of 8 bits a channel. examples/compute/reference.rs does the same on the CPU.

@group(0) @binding(4) var<storage, read> light: array<vec4f>;
@group(0) @binding(5) var<storage, read_write> picture: array<u32>;

const EXPOSURE: f32 = 0.62;

// The film curve of Narkowicz (2015), an approximation of ACES.
fn film(x: f32) -> f32 {
    return clamp(x * (2.51 * x + 0.03) / (x * (2.43 * x + 0.59) + 0.14), 0.0, 1.0);
}

fn level(value: f32) -> u32 {
    return u32(pow(film(value * EXPOSURE), 1.0 / 2.2) * 255.0 + 0.5);
}

@compute @workgroup_size(64)
fn main(@builtin(global_invocation_id) id: vec3u) {
    if id.x >= arrayLength(&picture) {
        return;
    }
    let gathered = light[id.x];
    let mean = gathered.xyz / gathered.w;
    picture[id.x] = level(mean.x) | (level(mean.y) << 8u) | (level(mean.z) << 16u) | 0xff000000u;
}
