// The last pass: smooths edges that go through pixels. Along an edge, a pixel becomes the mean of its neighbours on both
// sides; where nothing differs much, nothing happens. After the idea of Timothy Lottes (FXAA, 2009).

@group(0) @binding(0) var picture: texture_2d<f32>;
@group(0) @binding(1) var other: texture_2d<f32>;
@group(0) @binding(2) var clamped: sampler;

// Differences in brightness that are no edge: in all, and as a share of the brightest.
const LEAST: f32 = 0.035;
const LEAST_SHARE: f32 = 0.11;
// How far along the edge is looked at most, in pixels.
const REACH: f32 = 6.0;

fn brightness(at: vec2i, last: vec2i) -> f32 {
    return textureLoad(picture, clamp(at, vec2i(0), last), 0).a;
}

@fragment
fn smooth_fragment(pixel: Pixel) -> @location(0) vec4f {
    let size = vec2i(textureDimensions(picture));
    let here = vec2i(pixel.clip.xy);
    let last = size - 1;
    let middle = textureLoad(picture, here, 0);
    let left_up = brightness(here + vec2i(-1, -1), last);
    let right_up = brightness(here + vec2i(1, -1), last);
    let left_down = brightness(here + vec2i(-1, 1), last);
    let right_down = brightness(here + vec2i(1, 1), last);
    let darkest = min(middle.a, min(min(left_up, right_up), min(left_down, right_down)));
    let brightest = max(middle.a, max(max(left_up, right_up), max(left_down, right_down)));
    if brightest - darkest < max(LEAST, brightest * LEAST_SHARE) {
        return vec4f(middle.rgb, 1.0);
    }
    // The edge runs at a right angle to the way in which brightness grows.
    let along = vec2f(left_down + right_down - left_up - right_up, left_up + left_down - right_up - right_down);
    let least = (left_up + right_up + left_down + right_down) * 0.03 + 0.004;
    let step = clamp(along / (min(abs(along.x), abs(along.y)) + least), vec2f(-REACH), vec2f(REACH)) / vec2f(size);
    let near = textureSampleLevel(picture, clamped, pixel.uv - step / 6.0, 0.0)
        + textureSampleLevel(picture, clamped, pixel.uv + step / 6.0, 0.0);
    let far = textureSampleLevel(picture, clamped, pixel.uv - step / 2.0, 0.0)
        + textureSampleLevel(picture, clamped, pixel.uv + step / 2.0, 0.0);
    let wide = (near + far) * 0.25;
    // Too far: it has met something else.
    let is_outside = wide.a < darkest || wide.a > brightest;
    return vec4f(select(wide.rgb, near.rgb * 0.5, is_outside), 1.0);
}
