//! Charts as SVG: bars in groups and lines over a logarithmic axis. Readable on white and on dark backgrounds.

use core::fmt::Write as _;

const WIDTH: f64 = 760.0;
const HEIGHT: f64 = 380.0;
const LEFT: f64 = 70.0;
const RIGHT: f64 = 20.0;
const TOP: f64 = 74.0;
const BOTTOM: f64 = 66.0;
/// Text and lines: a grey with contrast on white and on black.
const INK: &str = "#7d8590";
/// Okabe and Ito's colours, which most colour-blind people can tell apart; those that show on both backgrounds. A peer
/// has the same colour in every chart.
const COLOURS: [(&str, &str); 4] =
    [("freestone", "#e69f00"), ("gpu-alloc", "#0099dd"), ("VMA", "#cc79a7"), ("gpu-allocator", "#009e73")];

/// One peer's values, one for each position on the horizontal axis; not a number where there is none.
#[derive(Clone, Debug)]
pub(crate) struct Series {
    pub(crate) name: String,
    pub(crate) values: Vec<f64>,
}

impl Series {
    fn colour(&self) -> &'static str {
        COLOURS.iter().find(|(name, _)| *name == self.name).map_or(INK, |(_, colour)| colour)
    }
}

/// How values become heights.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Scale {
    Linear,
    Logarithmic,
}

/// What a chart shows.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Form {
    Bars,
    Lines,
}

/// A chart before it is drawn.
#[derive(Clone, Debug)]
pub(crate) struct Chart {
    pub(crate) title: String,
    /// Horizontal axis: what it is, and its positions.
    pub(crate) across: String,
    pub(crate) positions: Vec<String>,
    /// Vertical axis: what it is, with its unit.
    pub(crate) up: String,
    pub(crate) scale: Scale,
    pub(crate) form: Form,
    /// A line across at this value.
    pub(crate) mark: Option<f64>,
    /// Values above are cut off, with the value written.
    pub(crate) highest: f64,
    pub(crate) series: Vec<Series>,
}

impl Chart {
    /// Draws the chart.
    pub(crate) fn svg(&self) -> String {
        let mut svg = format!(
            "<svg xmlns=\"http://www.w3.org/2000/svg\" viewBox=\"0 0 {WIDTH} {HEIGHT}\" font-family=\"sans-serif\" \
             font-size=\"12\" fill=\"{INK}\">\n<title>{}</title>\n",
            escape(&self.title)
        );
        let axis = Axis::new(self);
        text(&mut svg, (LEFT, 22.0), "font-size=\"15\" font-weight=\"bold\"", &self.title);
        self.legend(&mut svg);
        self.grid(&mut svg, &axis);
        match self.form {
            Form::Bars => self.bars(&mut svg, &axis),
            Form::Lines => self.lines(&mut svg, &axis),
        }
        svg.push_str("</svg>\n");
        svg
    }

    fn legend(&self, svg: &mut String) {
        let mut left = LEFT;
        for series in &self.series {
            let colour = series.colour();
            let _ = writeln!(svg, "<rect x=\"{left}\" y=\"36\" width=\"12\" height=\"12\" fill=\"{colour}\"/>");
            text(svg, (left + 17.0, 46.0), "", &series.name);
            left += 36.0 + 7.0 * series.name.len() as f64;
        }
    }

    fn grid(&self, svg: &mut String, axis: &Axis) {
        for value in axis.ticks() {
            let y = axis.y(value);
            let _ = writeln!(
                svg,
                "<line x1=\"{LEFT}\" y1=\"{y:.1}\" x2=\"{:.1}\" y2=\"{y:.1}\" stroke=\"{INK}\" stroke-opacity=\"0.35\"/>",
                WIDTH - RIGHT
            );
            text(svg, (LEFT - 8.0, y + 4.0), "text-anchor=\"end\"", &plain(value));
        }
        if let Some(mark) = self.mark {
            let y = axis.y(mark);
            let _ = writeln!(
                svg,
                "<line x1=\"{LEFT}\" y1=\"{y:.1}\" x2=\"{:.1}\" y2=\"{y:.1}\" stroke=\"{INK}\" stroke-width=\"1.5\" \
                 stroke-dasharray=\"6 4\"/>",
                WIDTH - RIGHT
            );
        }
        for (index, position) in self.positions.iter().enumerate() {
            let x = self.x(index);
            if self.positions.iter().map(String::len).sum::<usize>() > 100 {
                let turned =
                    format!("text-anchor=\"end\" transform=\"rotate(-30 {x:.1} {:.1})\"", HEIGHT - BOTTOM + 14.0);
                text(svg, (x, HEIGHT - BOTTOM + 14.0), &turned, position);
            } else {
                text(svg, (x, HEIGHT - BOTTOM + 18.0), "text-anchor=\"middle\"", position);
            }
        }
        let middle = (LEFT + WIDTH - RIGHT) / 2.0;
        text(svg, (middle, HEIGHT - 8.0), "text-anchor=\"middle\"", &self.across);
        let middle = (TOP + HEIGHT - BOTTOM) / 2.0;
        let turned = format!("text-anchor=\"middle\" transform=\"rotate(-90 16 {middle})\"");
        text(svg, (16.0, middle), &turned, &self.up);
    }

    fn bars(&self, svg: &mut String, axis: &Axis) {
        let width = 0.8 * self.step() / self.series.len() as f64;
        for (order, series) in self.series.iter().enumerate() {
            let colour = series.colour();
            for (index, value) in series.values.iter().enumerate().filter(|(_, value)| value.is_finite()) {
                let left = self.x(index) - 0.4 * self.step() + order as f64 * width;
                let (y, bottom) = (axis.y(*value), HEIGHT - BOTTOM);
                let _ = writeln!(
                    svg,
                    "<rect x=\"{left:.1}\" y=\"{y:.1}\" width=\"{:.1}\" height=\"{:.1}\" fill=\"{colour}\"/>",
                    (width - 1.0).max(1.0),
                    (bottom - y).max(0.5)
                );
                if *value > self.highest {
                    let place = "text-anchor=\"middle\" font-size=\"10\"";
                    text(svg, (left + width / 2.0, y - 3.0), place, &plain(*value));
                }
            }
        }
    }

    fn lines(&self, svg: &mut String, axis: &Axis) {
        for series in &self.series {
            let colour = series.colour();
            let finite = series.values.iter().enumerate().filter(|(_, value)| value.is_finite());
            let points: Vec<(f64, f64)> = finite.map(|(index, value)| (self.x(index), axis.y(*value))).collect();
            let path: Vec<String> = points.iter().map(|(x, y)| format!("{x:.1},{y:.1}")).collect();
            let path = path.join(" ");
            let _ =
                writeln!(svg, "<polyline points=\"{path}\" fill=\"none\" stroke=\"{colour}\" stroke-width=\"2.5\"/>");
            for (x, y) in points {
                let _ = writeln!(svg, "<circle cx=\"{x:.1}\" cy=\"{y:.1}\" r=\"4\" fill=\"{colour}\"/>");
            }
        }
    }

    fn step(&self) -> f64 {
        (WIDTH - LEFT - RIGHT) / self.positions.len() as f64
    }

    /// Returns where the middle of a position lies.
    fn x(&self, index: usize) -> f64 {
        LEFT + (index as f64 + 0.5) * self.step()
    }
}

/// The vertical axis.
struct Axis {
    scale: Scale,
    low: f64,
    high: f64,
}

impl Axis {
    fn new(chart: &Chart) -> Self {
        let values = chart.series.iter().flat_map(|series| &series.values).copied().chain(chart.mark);
        let values: Vec<f64> = values.filter(|value| value.is_finite()).map(|value| value.min(chart.highest)).collect();
        let highest = values.iter().copied().fold(f64::MIN_POSITIVE, f64::max);
        let lowest = values.iter().copied().filter(|value| *value > 0.0).fold(highest, f64::min);
        match chart.scale {
            Scale::Linear => Self { scale: chart.scale, low: 0.0, high: highest * 1.05 },
            Scale::Logarithmic => {
                let (low, high) = (10_f64.powf(lowest.log10().floor()), 10_f64.powf(highest.log10().ceil()));
                Self { scale: chart.scale, low, high: high.max(low * 10.0) }
            }
        }
    }

    fn y(&self, value: f64) -> f64 {
        let value = value.clamp(self.low, self.high);
        let share = match self.scale {
            Scale::Linear => (value - self.low) / (self.high - self.low),
            Scale::Logarithmic => (value / self.low).log10() / (self.high / self.low).log10(),
        };
        HEIGHT - BOTTOM - share * (HEIGHT - TOP - BOTTOM)
    }

    fn ticks(&self) -> Vec<f64> {
        if self.scale == Scale::Logarithmic {
            let powers = core::iter::successors(Some(self.low), |value| Some(value * 10.0));
            return powers.take_while(|value| *value <= self.high * 1.001).collect();
        }
        let rough = self.high / 5.0;
        let power = 10_f64.powf(rough.log10().floor());
        let step = [1.0, 2.0, 5.0, 10.0].map(|factor| factor * power).into_iter().find(|step| *step >= rough);
        let step = step.unwrap_or(rough);
        (0..=5).map(|index| f64::from(index) * step).take_while(|value| *value <= self.high).collect()
    }
}

fn text(svg: &mut String, (x, y): (f64, f64), attributes: &str, words: &str) {
    let _ = writeln!(svg, "<text x=\"{x:.1}\" y=\"{y:.1}\" {attributes}>{}</text>", escape(words));
}

fn escape(words: &str) -> String {
    words.replace('&', "&amp;").replace('<', "&lt;").replace('>', "&gt;")
}

/// Writes a value as briefly as it can be.
fn plain(value: f64) -> String {
    match value {
        value if value >= 1e6 => format!("{}M", trimmed(value / 1e6)),
        value if value >= 1e4 => format!("{}k", trimmed(value / 1e3)),
        value => trimmed(value),
    }
}

fn trimmed(value: f64) -> String {
    let text = if value < 10.0 { format!("{value:.2}") } else { format!("{value:.0}") };
    if text.contains('.') { text.trim_end_matches('0').trim_end_matches('.').to_owned() } else { text }
}
