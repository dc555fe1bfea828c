// Bloom: bright light spreads a little. Each pass down halves the picture, each pass up adds the smaller one, softened.

@group(0) @binding(0) var source: texture_2d<f32>;
@group(0) @binding(1) var other: texture_2d<f32>;
@group(0) @binding(2) var clamped: sampler;

// Four taps at the corners of the texel and one in its middle, which between them cover sixteen texels of the source.
@fragment
fn down_fragment(pixel: Pixel) -> @location(0) vec4f {
    let step = 1.0 / vec2f(textureDimensions(source));
    var sum = textureSample(source, clamped, pixel.uv).rgb * 4.0;
    sum += textureSample(source, clamped, pixel.uv + step * vec2f(1.0, 1.0)).rgb;
    sum += textureSample(source, clamped, pixel.uv + step * vec2f(-1.0, 1.0)).rgb;
    sum += textureSample(source, clamped, pixel.uv + step * vec2f(1.0, -1.0)).rgb;
    sum += textureSample(source, clamped, pixel.uv + step * vec2f(-1.0, -1.0)).rgb;
    // Single pixels of extreme brightness would flicker.
    return vec4f(min(sum / 8.0, vec3f(24.0)), 1.0);
}

// A tent over nine texels, made of four taps between them.
@fragment
fn up_fragment(pixel: Pixel) -> @location(0) vec4f {
    let step = 0.75 / vec2f(textureDimensions(source));
    var sum = textureSample(source, clamped, pixel.uv + step * vec2f(1.0, 1.0)).rgb;
    sum += textureSample(source, clamped, pixel.uv + step * vec2f(-1.0, 1.0)).rgb;
    sum += textureSample(source, clamped, pixel.uv + step * vec2f(1.0, -1.0)).rgb;
    sum += textureSample(source, clamped, pixel.uv + step * vec2f(-1.0, -1.0)).rgb;
    return vec4f(sum / 4.0, 1.0);
}
