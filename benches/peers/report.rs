//! Tables in Markdown.

use crate::clock::Percentiles;
use crate::row::Row;

/// Prints the head of a table of rows.
pub(crate) fn head(title: &str) {
    println!("\n### {title}\n");
    println!(
        "| peer | ns/pair | allocate p50 / p99 / p99.9 ns | free p50 / p99 / p99.9 ns | driver allocations (peak objects) \
         | reserved / live: peak, mean, 90 % freed | left, MiB | host B per live + handle | heap calls per pair |"
    );
    println!("|---|---|---|---|---|---|---|---|---|");
}

/// Prints one row.
pub(crate) fn row(peer: &str, row: &Row) {
    let note = if row.refused > 0.0 { format!(" ({} refused)", row.refused) } else { String::new() };
    println!(
        "| {peer}{note} | {} | {} | {} | {} ({}) | {}, {}, {} | {} | {} + {} | {} |",
        short(row.ns_per_pair),
        percentiles(&row.allocate),
        percentiles(&row.free),
        short(row.driver_allocations),
        short(row.driver_objects),
        ratio(row.peak_ratio),
        ratio(row.mean_ratio),
        ratio(row.sparse_ratio),
        short(row.left_bytes / f64::from(1 << 20)),
        short(row.host_bytes),
        short(row.handle_bytes),
        ratio(row.heap_calls),
    );
}

/// Writes a number with three digits or so; a dash for what was not measured.
pub(crate) fn short(value: f64) -> String {
    if !value.is_finite() {
        "-".into()
    } else if value >= 1e6 {
        format!("{:.2}M", value / 1e6)
    } else if value >= 1e4 {
        format!("{:.1}k", value / 1e3)
    } else if value >= 100.0 || value.fract() == 0.0 {
        format!("{value:.0}")
    } else {
        format!("{value:.1}")
    }
}

/// Writes a ratio with two decimals; a dash for what was not measured.
pub(crate) fn ratio(value: f64) -> String {
    if value.is_finite() { format!("{value:.2}") } else { "-".into() }
}

fn percentiles(of: &Percentiles) -> String {
    if of.p50.is_finite() { format!("{} / {} / {}", short(of.p50), short(of.p99), short(of.p999)) } else { "-".into() }
}
