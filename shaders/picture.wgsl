// One triangle over the whole picture: what every pass over pictures begins with.

struct Pixel {
    @builtin(position) clip: vec4f,
    @location(0) uv: vec2f,
}

@vertex
fn picture_vertex(@builtin(vertex_index) index: u32) -> Pixel {
    let corner = vec2f(f32((index << 1u) & 2u), f32(index & 2u));
    return Pixel(vec4f(corner * 2.0 - 1.0, 0.0, 1.0), vec2f(corner.x, 1.0 - corner.y));
}
