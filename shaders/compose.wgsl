// What the light of the scene and its bloom look like on a screen, with how bright that looks in the last channel.

@group(0) @binding(0) var light: texture_2d<f32>;
@group(0) @binding(1) var bloom: texture_2d<f32>;
@group(0) @binding(2) var clamped: sampler;

const EXPOSURE: f32 = 0.70;
const BLOOM: f32 = 0.028;

// The film curve of Narkowicz (2015), an approximation of ACES.
fn film(x: vec3f) -> vec3f {
    return clamp(x * (2.51 * x + 0.03) / (x * (2.43 * x + 0.59) + 0.14), vec3f(0.0), vec3f(1.0));
}

@fragment
fn compose_fragment(pixel: Pixel) -> @location(0) vec4f {
    let sharp = textureLoad(light, vec2i(pixel.clip.xy), 0).rgb;
    let soft = textureSample(bloom, clamped, pixel.uv).rgb;
    let corner = (pixel.uv - 0.5) * vec2f(1.1, 0.9);
    let vignette = 1.0 - 0.75 * dot(corner, corner);
    let seen = film((sharp + soft * BLOOM) * EXPOSURE * vignette);
    let encoded = pow(seen, vec3f(1.0 / 2.2));
    return vec4f(encoded, dot(encoded, vec3f(0.299, 0.587, 0.114)));
}
