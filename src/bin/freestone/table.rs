//! The table that people read: one row a trace, a row of totals, and below it why resources fell back.

use std::collections::BTreeMap;
use std::io::{self, Write};

use freestone::trace::AppMemory;

use crate::json::Record;
use crate::units::{bytes, nanoseconds, ratio};

/// One row: a record, and what is known beside it.
#[derive(Clone, Debug)]
pub(crate) struct Row {
    /// The replay.
    pub(crate) record: Record,
    /// What the recorded application's own allocator took, where that is known.
    pub(crate) app: Option<AppMemory>,
    /// How many resources fell back for each reason.
    pub(crate) fallbacks: BTreeMap<String, u64>,
}

/// What stands above the columns; `app` is the recorded application's own allocator.
const HEADER: [&str; 15] = [
    "trace",
    "allocs",
    "fell back",
    "driver allocs",
    "app's",
    "peak live",
    "peak reserved",
    "ratio",
    "app reserved",
    "ratio",
    "at end",
    "trimmed",
    "alloc median/p99",
    "free median/p99",
    "messages",
];

/// Writes the table and the list of fallbacks.
///
/// # Errors
/// What the output answers.
pub(crate) fn write(rows: &[Row], out: &mut dyn Write) -> io::Result<()> {
    let mut lines = vec![HEADER.map(String::from)];
    lines.extend(rows.iter().map(cells));
    if rows.len() > 1 {
        lines.push(totals(rows));
    }
    write_aligned(&lines, out)?;
    for row in rows {
        for (reason, count) in &row.fallbacks {
            writeln!(out, "{}: {count} of {} fell back: {reason}", row.record.trace, row.record.allocations)?;
        }
    }
    Ok(())
}

fn cells(row: &Row) -> [String; 15] {
    let Record { peak_live_bytes: live, peak_reserved_bytes: reserved, .. } = row.record;
    let of_app = |show: &dyn Fn(&AppMemory) -> String| row.app.as_ref().map_or_else(|| "-".into(), show);
    let times = |median, p99| format!("{} / {}", nanoseconds(median), nanoseconds(p99));
    let record = &row.record;
    [
        record.trace.clone(),
        record.allocations.to_string(),
        record.fell_back.to_string(),
        record.driver_allocations.to_string(),
        of_app(&|app| app.driver_allocations.to_string()),
        bytes(live),
        bytes(reserved),
        ratio(reserved, live),
        of_app(&|app| bytes(app.peak_live_bytes)),
        of_app(&|app| ratio(app.peak_live_bytes, live)),
        bytes(record.reserved_at_end_bytes),
        bytes(record.reserved_after_trim_bytes),
        times(record.allocate_ns.median, record.allocate_ns.p99),
        times(record.free_ns.median, record.free_ns.p99),
        (record.violations + record.validation_messages).to_string(),
    ]
}

/// Sums what can be summed; the ratios are those of the sums. The application's columns are summed only where every
/// application is known, else the ratio would compare different sets. Sums end at 2^64: a file can say anything.
fn totals(rows: &[Row]) -> [String; 15] {
    let sum = |of: fn(&Record) -> u64| rows.iter().map(|row| of(&row.record)).fold(0, u64::saturating_add);
    let app_sum = |of: fn(&AppMemory) -> u64| {
        rows.iter().try_fold(0_u64, |sum, row| Some(sum.saturating_add(row.app.as_ref().map(of)?)))
    };
    let (live, reserved) = (sum(|record| record.peak_live_bytes), sum(|record| record.peak_reserved_bytes));
    let app_reserved = app_sum(|app| app.peak_live_bytes);
    let unknown = || "-".to_owned();
    [
        "all".into(),
        sum(|record| record.allocations).to_string(),
        sum(|record| record.fell_back).to_string(),
        sum(|record| record.driver_allocations).to_string(),
        app_sum(|app| app.driver_allocations).map_or_else(unknown, |sum| sum.to_string()),
        bytes(live),
        bytes(reserved),
        ratio(reserved, live),
        app_reserved.map_or_else(unknown, bytes),
        app_reserved.map_or_else(unknown, |app_reserved| ratio(app_reserved, live)),
        bytes(sum(|record| record.reserved_at_end_bytes)),
        bytes(sum(|record| record.reserved_after_trim_bytes)),
        String::new(),
        String::new(),
        sum(|record| record.violations + record.validation_messages).to_string(),
    ]
}

/// Writes lines of cells: the first column to the left, the others to the right.
pub(crate) fn write_aligned<const N: usize>(lines: &[[String; N]], out: &mut dyn Write) -> io::Result<()> {
    let width = |column: usize| lines.iter().map(|line| line[column].chars().count()).max().unwrap_or(0);
    let widths: Vec<usize> = (0..N).map(width).collect();
    for line in lines {
        let mut text = String::new();
        for (column, (cell, &width)) in line.iter().zip(&widths).enumerate() {
            let padded = if column == 0 { format!("{cell:<width$}") } else { format!("  {cell:>width$}") };
            text.push_str(&padded);
        }
        writeln!(out, "{}", text.trim_end())?;
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::{AppMemory, BTreeMap, Record, Row, write, write_aligned};

    fn row(trace: &str, live: u64, reserved: u64) -> Row {
        let record = Record {
            trace: trace.into(),
            allocations: 5,
            fell_back: 1,
            peak_live_bytes: live,
            peak_reserved_bytes: reserved,
            ..Record::default()
        };
        let app = AppMemory { driver_allocations: 3, peak_live_objects: 3, peak_live_bytes: 2 * reserved };
        Row { record, app: Some(app), fallbacks: BTreeMap::from([("R9: no such format".into(), 1)]) }
    }

    fn written(rows: &[Row]) -> Vec<String> {
        let mut out = Vec::new();
        write(rows, &mut out).expect("memory");
        String::from_utf8(out).expect("text").lines().map(String::from).collect()
    }

    #[test]
    fn cells_stand_below_each_other() {
        let mut out = Vec::new();
        let lines = [["a", "count"].map(String::from), ["longer", "7"].map(String::from)];
        write_aligned(&lines, &mut out).expect("memory");
        assert_eq!(String::from_utf8(out).expect("text"), "a       count\nlonger      7\n");
    }

    #[test]
    fn one_trace_has_no_totals_and_lists_why_it_fell_back() {
        let lines = written(&[row("vkcube", 1 << 20, 3 << 19)]);
        assert_eq!(lines.len(), 3);
        assert!(lines[1].starts_with("vkcube") && lines[1].contains("1.0 MiB") && lines[1].contains("1.50"));
        assert_eq!(lines[2], "vkcube: 1 of 5 fell back: R9: no such format");
    }

    #[test]
    fn whatever_was_found_fault_with_is_counted() {
        let faulty = |trace, violations, validation_messages| {
            let row = row(trace, 100, 100);
            Row { record: Record { violations, validation_messages, ..row.record }, ..row }
        };
        let lines = written(&[faulty("a", 2, 3), faulty("b", 7, 0), faulty("c", 0, 30)]);
        let last: Vec<_> = lines[1..=4].iter().filter_map(|line| line.split_whitespace().last()).collect();
        assert_eq!(last, ["5", "7", "30", "42"]);
    }

    #[test]
    fn totals_are_ratios_of_sums() {
        let lines = written(&[row("a", 100, 100), row("b", 300, 700)]);
        assert!(lines[3].starts_with("all") && lines[3].contains("2.00") && lines[3].contains("4.00"), "{}", lines[3]);
        let unknown = written(&[row("a", 100, 100), Row { app: None, ..row("b", 300, 700) }]);
        assert!(!unknown[3].contains("4.00"), "{}", unknown[3]);
    }
}
