//! Pictures of three bytes a pixel: read, written, shrunk, compared.

use std::fs::File;
use std::io::{BufReader, BufWriter};
use std::path::Path;

/// Red, green and blue.
pub(crate) type Colour = [u8; 3];

#[derive(Debug)]
pub(crate) struct Picture {
    pub(crate) width: usize,
    pub(crate) height: usize,
    pub(crate) pixels: Vec<Colour>,
}

impl Picture {
    pub(crate) fn read(path: &Path) -> Self {
        let file = File::open(path).unwrap_or_else(|error| panic!("{}: {error}", path.display()));
        let mut reader = png::Decoder::new(BufReader::new(file)).read_info().expect("it is a PNG");
        let mut bytes = vec![0; reader.output_buffer_size().expect("it fits in memory")];
        let info = reader.next_frame(&mut bytes).expect("it is whole");
        assert_eq!(info.color_type, png::ColorType::Rgb);
        let pixels = bytes.chunks_exact(3).map(|pixel| [pixel[0], pixel[1], pixel[2]]).collect();
        Self { width: info.width as usize, height: info.height as usize, pixels }
    }

    pub(crate) fn write(&self, path: &Path) {
        let file = File::create(path).unwrap_or_else(|error| panic!("{}: {error}", path.display()));
        let side = |length: usize| u32::try_from(length).expect("a small picture");
        let mut encoder = png::Encoder::new(BufWriter::new(file), side(self.width), side(self.height));
        encoder.set_color(png::ColorType::Rgb);
        encoder.set_compression(png::Compression::High);
        let mut writer = encoder.write_header().expect("the disk has room");
        writer.write_image_data(self.pixels.as_flattened()).expect("the disk has room");
    }

    /// Returns the mean of the pixels around a point.
    pub(crate) fn mean(&self, (x, y): (usize, usize), (width, height): (usize, usize)) -> Colour {
        let columns = x.saturating_sub(width / 2)..(x + width.div_ceil(2)).min(self.width);
        let rows = y.saturating_sub(height / 2)..(y + height.div_ceil(2)).min(self.height);
        let pixels = || rows.clone().flat_map(|row| columns.clone().map(move |column| row * self.width + column));
        let count = pixels().count().max(1);
        [0, 1, 2].map(|channel| {
            let sum: usize = pixels().map(|index| usize::from(self.pixels[index][channel])).sum();
            u8::try_from(sum / count).unwrap_or(u8::MAX)
        })
    }

    /// Returns a picture each of whose pixels is the mean of a square of this one's.
    pub(crate) fn shrunk(&self, cell: usize) -> Self {
        let (width, height) = (self.width / cell, self.height / cell);
        let middle = |index: usize| index * cell + cell / 2;
        let pixel = |index: usize| self.mean((middle(index % width), middle(index / width)), (cell, cell));
        Self { width, height, pixels: (0..width * height).map(pixel).collect() }
    }
}

/// Returns by how much two colours differ where they differ most.
pub(crate) fn distance(a: Colour, b: Colour) -> u8 {
    a.iter().zip(b).map(|(a, b)| a.abs_diff(b)).max().unwrap_or(0)
}

/// Returns by how much two colours differ on all channels together.
pub(crate) fn total_distance(a: Colour, b: Colour) -> u32 {
    a.iter().zip(b).map(|(a, b)| u32::from(a.abs_diff(b))).sum()
}
