//! What the allocator holds, written over the picture: heaps, blocks, live bytes, and what the renderer's own memory
//! is.

use std::fmt::Write;

use bytemuck::{Pod, Zeroable};
use freestone::ash::vk;
use freestone::{DetailedStatistics, Statistics};

use crate::font::{self, ADVANCE, HEIGHT, LINE};

const MARGIN: f32 = 6.0;
/// Letters in a line.
const COLUMNS: u32 = 34;
const BAR: f32 = 5.0;

type Colour = [u8; 4];
const PAPER: Colour = [14, 16, 20, 168];
const INK: Colour = [240, 234, 222, 255];
const FAINT: Colour = [178, 172, 160, 255];
const TITLE: Colour = [255, 190, 108, 255];
const EMPTY: Colour = [88, 84, 78, 255];
const USED: Colour = [236, 164, 86, 255];
const HELD: Colour = [112, 150, 158, 255];

/// A rectangle of the overlay, as the shader sees it.
#[derive(Clone, Copy, Debug, Pod, Zeroable)]
#[repr(C)]
pub(crate) struct Quad {
    pub(crate) place: [f32; 4],
    pub(crate) texels: [f32; 4],
    pub(crate) colour: Colour,
}

/// What is told.
pub(crate) struct Report {
    pub(crate) frame: u64,
    pub(crate) statistics: Statistics,
    pub(crate) details: DetailedStatistics,
    pub(crate) mesh_bytes: (u64, u64),
    pub(crate) mesh_count: usize,
    pub(crate) target_bytes: (u64, u64),
    pub(crate) ring_bytes: u64,
    pub(crate) staging_bytes: u64,
    pub(crate) site_counts: (u32, u32),
}

/// The rectangles of the page as it was written last.
#[derive(Debug, Default)]
pub(crate) struct Overlay {
    quads: Vec<Quad>,
}

impl Overlay {
    pub(crate) fn quads(&self) -> &[Quad] {
        &self.quads
    }

    /// Writes the page anew, for a screen of this size.
    pub(crate) fn write(&mut self, screen: vk::Extent2D, report: &Report) {
        self.quads.clear();
        let mut page = Page::new(&mut self.quads, screen);
        page.paper();
        page.title(report.frame);
        page.heaps(&report.statistics);
        page.totals(&report.statistics);
        page.blocks(&report.details);
        page.own_memory(report);
        page.fit_paper();
    }
}

/// A page that is being written: dots are grouped so that letters stay legible on large screens.
struct Page<'a> {
    quads: &'a mut Vec<Quad>,
    /// Pixels of a dot.
    scale: f32,
    screen: vk::Extent2D,
    x: f32,
    y: f32,
    line: String,
}

impl<'a> Page<'a> {
    fn new(quads: &'a mut Vec<Quad>, screen: vk::Extent2D) -> Self {
        let scale = (screen.height / 360).max(1) as f32;
        Self { quads, scale, screen, x: MARGIN + 5.0, y: MARGIN + 5.0, line: String::new() }
    }

    /// Adds a rectangle: place and size in dots.
    fn quad(&mut self, (x, y): (f32, f32), (width, height): (f32, f32), texels: [f32; 4], colour: Colour) {
        let across = |dots: f32| dots * self.scale / self.screen.width as f32 * 2.0 - 1.0;
        let up = |dots: f32| 1.0 - dots * self.scale / self.screen.height as f32 * 2.0;
        self.quads.push(Quad { place: [across(x), up(y), across(x + width), up(y + height)], texels, colour });
    }

    fn bar(&mut self, at: (f32, f32), size: (f32, f32), colour: Colour) {
        self.quad(at, size, [1.0, 1.0, 1.0, 1.0], colour);
    }

    fn paper(&mut self) {
        self.bar((MARGIN, MARGIN), (1.0, 1.0), PAPER);
    }

    /// Makes the paper, the first rectangle, as large as what was written.
    fn fit_paper(&mut self) {
        let (width, height) = ((COLUMNS * ADVANCE) as f32 + 9.0, self.y - MARGIN + 2.0);
        self.bar((MARGIN, MARGIN), (width, height), PAPER);
        self.quads.swap_remove(0);
    }

    fn text(&mut self, x: f32, text: &str, colour: Colour) {
        for (index, letter) in text.chars().enumerate() {
            let Some(cell) = font::cell_of(letter) else { continue };
            let (left, width, height) = (cell as f32, font::WIDTH as f32, HEIGHT as f32);
            let at = (x + index as f32 * ADVANCE as f32, self.y);
            self.quad(at, (width, height), [left, 0.0, left + width, height], colour);
        }
    }

    /// Writes a line: what it is about, and to the right what there is of it.
    fn line(&mut self, name: &str, value: impl FnOnce(&mut String) -> std::fmt::Result) {
        let mut line = std::mem::take(&mut self.line);
        line.clear();
        // Writing to a string does not fail.
        let _ = value(&mut line);
        self.text(self.x, name, FAINT);
        let indent = COLUMNS.saturating_sub(line.chars().count() as u32) * ADVANCE;
        self.text(self.x + indent as f32, &line, INK);
        self.line = line;
        self.y += LINE as f32;
    }

    fn title(&mut self, frame: u64) {
        self.text(self.x, "FREESTONE", TITLE);
        self.line("", |line| write!(line, "FRAME {frame}"));
        self.y += 2.0;
    }

    /// Writes each heap in use, with a bar: live bytes, bytes held in blocks, all of the budget.
    fn heaps(&mut self, statistics: &Statistics) {
        for heap in statistics.heaps.iter().filter(|heap| heap.counters.reserved_bytes() > 0) {
            let (live, held) = (heap.counters.allocation_bytes, heap.counters.reserved_bytes());
            self.line(&format!("HEAP {}", heap.heap_index), |line| {
                write!(line, "{:.1} OF {:.1} MIB LIVE", mib(live), mib(held))
            });
            let width = (COLUMNS * ADVANCE) as f32;
            self.bar((self.x, self.y - 1.0), (width, BAR), HELD);
            self.bar((self.x, self.y - 1.0), (width * share(live, held), BAR), USED);
            self.y += BAR + 4.0;
        }
    }

    fn totals(&mut self, statistics: &Statistics) {
        let total = &statistics.total;
        self.line("BLOCKS", |line| write!(line, "{} + {} DEDICATED", total.block_count, total.dedicated_count));
        self.line("ALLOCATIONS", |line| write!(line, "{}", total.allocation_count));
    }

    /// Draws each block as wide as it is large, filled as far as it is used.
    fn blocks(&mut self, details: &DetailedStatistics) {
        let all: u64 = details.blocks.iter().map(|block| block.size).sum();
        let gaps = details.blocks.len().saturating_sub(1) as f32;
        let width = (COLUMNS * ADVANCE) as f32 - gaps;
        self.y += 1.0;
        let mut x = self.x;
        for block in &details.blocks {
            let whole = width * share(block.size, all);
            self.bar((x, self.y - 1.0), (whole, BAR), EMPTY);
            self.bar((x, self.y - 1.0), (whole * share(block.ranges.used_bytes, block.size), BAR), USED);
            x += whole + 1.0;
        }
        self.y += BAR + 5.0;
    }

    fn own_memory(&mut self, report: &Report) {
        let Report { mesh_bytes, mesh_count, target_bytes, ring_bytes, staging_bytes, site_counts, .. } = *report;
        self.line("ARENA", |line| {
            write!(line, "{mesh_count} MESHES, {:.1} OF {:.1} MIB", mib(mesh_bytes.0), mib(mesh_bytes.1))
        });
        self.line("TRANSIENT", |line| write!(line, "{:.1} IN {:.1} MIB", mib(target_bytes.0), mib(target_bytes.1)));
        self.line("FRAME RING", |line| write!(line, "{} KIB", ring_bytes >> 10));
        self.line("STAGING", |line| write!(line, "{} KIB", staging_bytes >> 10));
        self.line("SITES", |line| write!(line, "{} IN, {} OUT", site_counts.0, site_counts.1));
    }
}

fn mib(bytes: u64) -> f64 {
    bytes as f64 / f64::from(1 << 20)
}

fn share(part: u64, whole: u64) -> f32 {
    if whole == 0 { 0.0 } else { (part as f64 / whole as f64) as f32 }
}
