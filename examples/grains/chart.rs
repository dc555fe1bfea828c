//! The outcomes as an SVG: a row for each grain, a column of bars for each figure.

use std::fmt::Write as _;

use crate::grain::Grain;
use crate::replay::{Figure, Outcome};
use crate::workload::Workload;

const WIDTH: u32 = 1060;
const ROW: u32 = 58;
const TOP: u32 = 136;
/// Where the bars begin, and how far apart the columns are.
const LEFT: u32 = 218;
const COLUMN: u32 = 206;
const BAR_WIDTH: u32 = 104;
const BAR_HEIGHT: u32 = 24;

const PLAIN: &str = "#a9b4bd";
const OURS: &str = "#c8693a";
const INK: &str = "#22272e";
const FAINT: &str = "#68727d";
const LINE: &str = "#e4e7ea";

const COLUMNS: [(&str, &str); 4] = [
    ("Wasted bytes", "reserved but not alive, mean"),
    ("Time", "allocate and free, one thread"),
    ("Bookkeeping", "host memory, at most"),
    ("Driver calls", "vkAllocateMemory, vkFreeMemory"),
];

/// Draws the chart.
pub(crate) fn draw(workload: &Workload, outcomes: &[(Grain, Outcome)]) -> String {
    let rows = u32::try_from(outcomes.len()).unwrap_or(u32::MAX);
    let height = TOP + rows * ROW + 46;
    let mut svg = format!(
        "<svg xmlns=\"http://www.w3.org/2000/svg\" viewBox=\"0 0 {WIDTH} {height}\" width=\"{WIDTH}\" height=\"{height}\" \
         font-family=\"Inter, 'Helvetica Neue', Arial, sans-serif\" role=\"img\">\n\
         <title>Coarse and fine: what each way to cut device memory costs</title>\n\
         <rect width=\"{WIDTH}\" height=\"{height}\" rx=\"10\" fill=\"#fcfcfb\" stroke=\"{LINE}\"/>\n"
    );
    text(&mut svg, (28, 40), "Coarse and fine: what each way to cut device memory costs", (20, INK, "600"));
    let subtitle = format!("{}: {}. Shorter is better.", workload.name, workload.summary());
    text(&mut svg, (28, 64), &subtitle, (13, FAINT, "400"));
    for (column, (title, unit)) in (0..).zip(COLUMNS) {
        text(&mut svg, (LEFT + column * COLUMN, TOP - 36), title, (14, INK, "600"));
        text(&mut svg, (LEFT + column * COLUMN, TOP - 18), unit, (11, FAINT, "400"));
    }
    let figures: Vec<[Figure; 4]> = outcomes.iter().map(|(_, outcome)| outcome.figures()).collect();
    let most: [u64; 4] = [0, 1, 2, 3].map(|column| figures.iter().map(|row| row[column].value).max().unwrap_or(0));
    for (row, ((grain, _), figures)) in (0..).zip(outcomes.iter().zip(&figures)) {
        draw_row(&mut svg, TOP + row * ROW, *grain, figures, most);
    }
    let note = "On a simulated card, whose driver calls take less than a microsecond. A real driver's take microseconds to \
                milliseconds each.";
    text(&mut svg, (28, height - 18), note, (11, FAINT, "400"));
    svg.push_str("</svg>\n");
    svg
}

fn draw_row(svg: &mut String, top: u32, grain: Grain, figures: &[Figure; 4], most: [u64; 4]) {
    let is_ours = grain == Grain::Combination;
    let (colour, weight) = if is_ours { (OURS, "600") } else { (PLAIN, "400") };
    line(svg, &format!("M28 {top}H{}", WIDTH - 28));
    text(svg, (28, top + 27), grain.name(), (14, INK, if is_ours { "600" } else { "500" }));
    text(svg, (28, top + 44), grain.explanation(), (11, FAINT, "400"));
    for (column, (figure, most)) in (0..).zip(figures.iter().zip(most)) {
        let left = LEFT + column * COLUMN;
        let width = bar_width(figure.value, most);
        let bar_top = top + (ROW - BAR_HEIGHT) / 2;
        let written = writeln!(
            svg,
            "<rect x=\"{left}\" y=\"{bar_top}\" width=\"{width}\" height=\"{BAR_HEIGHT}\" rx=\"3\" fill=\"{colour}\"/>"
        );
        debug_assert!(written.is_ok(), "a string takes whatever is written");
        text(svg, (left + width + 7, top + ROW / 2 + 5), &figure.label, (13, INK, weight));
    }
}

/// Returns the length of a bar: at least 2, so that one sees it.
fn bar_width(value: u64, most: u64) -> u32 {
    let width = u128::from(value) * u128::from(BAR_WIDTH) / u128::from(most.max(1));
    u32::try_from(width).unwrap_or(BAR_WIDTH).max(2)
}

fn text(svg: &mut String, (x, y): (u32, u32), words: &str, (size, colour, weight): (u32, &str, &str)) {
    let words = words.replace('&', "&amp;").replace('<', "&lt;");
    let written = writeln!(
        svg,
        "<text x=\"{x}\" y=\"{y}\" font-size=\"{size}\" fill=\"{colour}\" font-weight=\"{weight}\">{words}</text>"
    );
    debug_assert!(written.is_ok(), "a string takes whatever is written");
}

fn line(svg: &mut String, path: &str) {
    let written = writeln!(svg, "<path d=\"{path}\" stroke=\"{LINE}\"/>");
    debug_assert!(written.is_ok(), "a string takes whatever is written");
}
