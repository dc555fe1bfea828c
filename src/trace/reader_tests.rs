//! Files: the recorded ones, damaged ones, and lines that contradict each other.

use std::io::{BufReader, Read};
use std::path::{Path, PathBuf};

use proptest::prelude::{Strategy, any, prop, prop_assert, proptest};
use proptest::sample::Index;

use super::{Frames, Problem, Trace, TraceError};
use crate::trace::Statistics;

fn folder() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/traces")
}

fn recorded() -> Vec<PathBuf> {
    let entries = std::fs::read_dir(folder()).expect("the recorded traces");
    let mut files: Vec<PathBuf> = entries.map(|entry| entry.expect("readable").path()).collect();
    files.retain(|file| file.extension().is_some_and(|ending| ending == "zst"));
    files.sort();
    files
}

fn read(text: &str) -> Result<Trace, TraceError> {
    Trace::read_from(text.as_bytes(), "folder/some.csv")
}

fn alloc(id: u64) -> String {
    format!("0,0,0,alloc,{id},buffer,36,64,f,device,none,82,\n")
}

fn decompress(bytes: &[u8]) -> std::io::Result<Vec<u8>> {
    let mut text = Vec::new();
    Frames::new(bytes).read_to_end(&mut text).map(|_| text)
}

#[test]
fn the_recorded_traces_are_read_and_hold_what_the_recorder_counted() {
    let files = recorded();
    assert_eq!(files.len(), 14);
    for file in files {
        let trace = Trace::read(&file).expect("a good trace");
        let counted = Statistics::beside(&file).expect("readable").expect("each has its statistics");
        assert_eq!(trace.allocation_count(), counted.allocs, "{}", trace.name);
        assert_eq!(trace.events.len() as u64, counted.allocs + counted.frees, "{}", trace.name);
        assert_eq!(trace.live_at_end().len() as u64, counted.allocs - counted.frees, "{}", trace.name);
        assert_eq!(trace.header.app.as_deref(), Some(counted.app.as_str()));
        assert!(!trace.name.contains('.') && file.to_string_lossy().contains(&trace.name));
    }
}

#[test]
fn contradictions_name_both_lines() {
    let head = "# freestone-trace 1\n# app: x\n";
    let cases = [
        (format!("{head}{}0,0,0,free,2\n", alloc(1)), "folder/some.csv:4: free of id 2, which no line above allocates"),
        (
            format!("{head}{0}0,0,0,free,1\n0,0,0,free,1\n", alloc(1)),
            "folder/some.csv:5: free of id 1, which line 4 frees already",
        ),
        (format!("{head}{0}{0}", alloc(1)), "folder/some.csv:4: id 1 is used twice: line 3 allocates it already"),
        (
            format!("{head}{0}0,0,0,free,1\n{0}", alloc(1)),
            "folder/some.csv:5: id 1 is used twice: line 3 allocates it already",
        ),
        (head.into(), "folder/some.csv: holds no event; a trace has one event a line after its header"),
        (
            "# freestone-trace 2\n".into(),
            "folder/some.csv:1: \"freestone-trace 2\" is not a format this version reads; it reads \"freestone-trace 1\"",
        ),
    ];
    for (text, message) in cases {
        assert_eq!(read(&text).expect_err("bad").to_string(), message);
    }
}

#[test]
fn windows_line_ends_and_empty_lines_are_fine_and_counted() {
    let trace = read(&format!("# freestone-trace 1\r\n\r\n{}", alloc(0).replace('\n', "\r\n"))).expect("a good trace");
    assert_eq!((trace.name.as_str(), trace.events[0].line), ("some", 3));
}

#[test]
fn a_missing_file_is_named() {
    let error = Trace::read("no/such.csv").expect_err("missing");
    assert!(error.to_string().starts_with("no/such.csv: cannot be opened: "), "{error}");
}

#[test]
fn endless_lines_and_bytes_that_are_no_text() {
    let long = Trace::read_from(BufReader::new(std::io::repeat(b'7')), "x.csv").expect_err("endless");
    assert!(matches!(long.problem, Problem::LineTooLong(_)), "{long}");
    let binary = Trace::read_from(&b"\xff\xfe\n"[..], "x.csv").expect_err("binary");
    assert!(matches!((&binary.problem, binary.line), (Problem::NotText, Some(1))), "{binary}");
}

#[test]
fn every_cut_of_a_compressed_trace_is_noticed() {
    let whole = std::fs::read(folder().join("vkcube.csv.zst")).expect("readable");
    assert!(decompress(&whole).is_ok());
    for length in 0..whole.len() {
        assert!(decompress(&whole[..length]).is_err(), "the first {length} of {} bytes pass", whole.len());
    }
}

/// The checksum that a recorded frame ends with holds for its bytes; the sizes of others are part of their heads.
#[test]
fn a_frame_is_held_to_its_checksum_and_its_length() {
    let mut whole = std::fs::read(folder().join("vkcube.csv.zst")).expect("readable");
    *whole.last_mut().expect("not empty") ^= 1;
    let error = decompress(&whole).expect_err("another checksum");
    assert_eq!(error.to_string(), "a frame's checksum is wrong");
    // One block, the last of its frame, which repeats a byte.
    let repeats = |size: u8, count: u8| [0x28, 0xB5, 0x2F, 0xFD, 0x20, size, 3 | count << 3, 0, 0, b'\n'];
    assert_eq!(decompress(&repeats(9, 9)).expect("as long as it says"), b"\n".repeat(9));
    for count in [8, 10] {
        let error = decompress(&repeats(9, count)).expect_err("another length");
        assert_eq!(error.to_string(), "a frame has another length than its head says");
    }
}

#[test]
fn frames_one_after_another_are_one_stream() {
    let once = std::fs::read(folder().join("vkcube.csv.zst")).expect("readable");
    let text = decompress(&once).expect("a good frame");
    assert_eq!(decompress(&[once.clone(), once].concat()).expect("two good frames"), text.repeat(2));
}

/// `pzstd` and seekable archives put such frames before, between and behind the others.
#[test]
fn frames_to_be_skipped_are_skipped() {
    let skipped = [0x50, 0x2A, 0x4D, 0x18, 1, 0, 0, 0, 7];
    let empty = [0x5F, 0x2A, 0x4D, 0x18, 0, 0, 0, 0];
    let frame = std::fs::read(folder().join("vkcube.csv.zst")).expect("readable");
    let text = decompress(&frame).expect("a good frame");
    let file = [&skipped[..], &empty, &frame, &skipped, &frame, &empty].concat();
    assert_eq!(decompress(&file).expect("two good frames"), text.repeat(2));
    assert_eq!(decompress(&skipped).expect("a good frame"), b"");
    for length in 1..skipped.len() {
        let cut = decompress(&[&frame, &skipped[..length]].concat()).expect_err("cut off");
        assert_eq!(cut.kind(), std::io::ErrorKind::InvalidData, "{length}: {cut}");
    }
}

/// Gives some bytes, then what a disk gives that has broken.
struct Broken<'a>(&'a [u8]);

impl Read for Broken<'_> {
    fn read(&mut self, out: &mut [u8]) -> std::io::Result<usize> {
        if self.0.is_empty() { Err(std::io::Error::other("bad sector")) } else { self.0.read(out) }
    }
}

#[test]
fn a_broken_disk_is_no_damaged_file() {
    let whole = std::fs::read(folder().join("vkcube.csv.zst")).expect("readable");
    for length in [0, 3, 9, whole.len() / 2, whole.len()] {
        let text = BufReader::new(Frames::new(Broken(&whole[..length])));
        let error = Trace::read_from(text, "x.csv.zst").expect_err("broken");
        assert!(matches!(error.problem, Problem::Read(_)), "{length}: {error}");
        assert!(error.to_string().contains("bad sector"), "{error}");
    }
}

#[test]
fn a_byte_order_mark_is_no_text() {
    let trace = read(&format!("\u{feff}# freestone-trace 1\n{}", alloc(0))).expect("a good trace");
    assert_eq!(trace.events.len(), 1);
    assert_eq!(read(&format!("\u{feff}{}", alloc(0))).expect("a good trace").events.len(), 1);
    assert!(read(&format!("{}\u{feff}{}", alloc(0), alloc(1))).is_err(), "only at the beginning");
}

/// Bytes of a good trace with some replaced, dropped or doubled.
fn mutated(original: Vec<u8>) -> impl Strategy<Value = Vec<u8>> {
    let change = (any::<Index>(), any::<u8>(), 0..3_u8);
    prop::collection::vec(change, 1..8).prop_map(move |changes| {
        let mut bytes = original.clone();
        for (place, value, how) in changes {
            let place = place.index(bytes.len());
            match how {
                0 => bytes[place] = value,
                1 => drop(bytes.remove(place)),
                _ => bytes.insert(place, value),
            }
        }
        bytes
    })
}

proptest! {
    #[test]
    fn changed_text_yields_a_trace_or_one_line(
        text in mutated(decompress(&std::fs::read(folder().join("vkcube.csv.zst")).expect("readable")).expect("good"))
    ) {
        if let Err(error) = Trace::read_from(&text[..], "x.csv") {
            let message = error.to_string();
            prop_assert!(message.starts_with("x.csv:") && !message.contains('\n'), "{message:?}");
        }
    }

    #[test]
    fn changed_compressed_bytes_never_panic(
        bytes in mutated(std::fs::read(folder().join("vkcube.csv.zst")).expect("readable"))
    ) {
        let text = BufReader::new(Frames::new(&bytes[..]));
        if let Err(error) = Trace::read_from(text, "x.csv.zst") {
            prop_assert!(!error.to_string().contains('\n'), "{error}");
        }
    }
}

#[test]
fn a_header_says_what_was_recorded_and_where() {
    let lines =
        "# freestone-trace 1\n# app: a game\n# scenario: a level\n# device: a card\n# frame counter: presents\n";
    let header = read(&format!("{lines}{}", alloc(1))).expect("a good trace").header;
    let said = [header.app, header.scenario, header.device, header.frame_counter];
    assert_eq!(said.each_ref().map(|value| value.as_deref()), ["a game", "a level", "a card", "presents"].map(Some));
}
