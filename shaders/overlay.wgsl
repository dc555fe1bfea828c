// Letters and bars over the finished picture.

@group(0) @binding(0) var font: texture_2d<f32>;

struct Quad {
    // Corners on the screen: left, top, right, bottom, from -1 to 1, up is positive.
    @location(0) place: vec4f,
    // The same corners in the font, in texels.
    @location(1) texels: vec4f,
    @location(2) colour: vec4f,
}

struct Pixel {
    @builtin(position) clip: vec4f,
    @location(0) texel: vec2f,
    @location(1) colour: vec4f,
}

@vertex
fn overlay_vertex(@builtin(vertex_index) index: u32, quad: Quad) -> Pixel {
    // Two triangles: corners 0, 1, 2 and 1, 2, 3.
    let corner = select(index, index - 2u, index > 2u);
    let share = vec2f(f32(corner & 1u), f32(corner >> 1u));
    let place = mix(quad.place.xy, quad.place.zw, share);
    return Pixel(vec4f(place, 0.0, 1.0), mix(quad.texels.xy, quad.texels.zw, share), quad.colour);
}

@fragment
fn overlay_fragment(pixel: Pixel) -> @location(0) vec4f {
    let ink = textureLoad(font, vec2i(pixel.texel), 0).r;
    return vec4f(pixel.colour.rgb, pixel.colour.a * ink);
}
