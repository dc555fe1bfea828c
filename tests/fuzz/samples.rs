//! The parsers on samples with mistakes in them.

use std::panic::{AssertUnwindSafe, catch_unwind};

use crate::common::Random;
use crate::targets::parsers;

/// Feeds a target what a sample becomes when bytes are changed, doubled, cut or swapped.
fn feed_variants(seed: u64, runs: u32, sample: &[u8], target: impl Fn(&[u8])) {
    let mut random = Random(seed);
    target(sample);
    for run in 0..runs {
        let mut bytes = sample.to_vec();
        for _ in 0..=random.below(6) {
            vary(&mut bytes, &mut random);
        }
        let outcome = catch_unwind(AssertUnwindSafe(|| target(&bytes)));
        assert!(outcome.is_ok(), "run {run} with seed {seed}: {}", bytes.escape_ascii());
    }
}

fn vary(bytes: &mut Vec<u8>, random: &mut Random) {
    let mut place = || usize::try_from(random.below(bytes.len() as u64)).expect("small");
    if bytes.len() < 2 {
        return bytes.push(b',');
    }
    let (one, other) = (place(), place());
    match random.below(6) {
        0 => bytes[one] = random.next().to_le_bytes()[0],
        1 => bytes[one] ^= 1 << random.below(8),
        2 => bytes.truncate(one.max(1)),
        3 => bytes.swap(one, other),
        4 => bytes.extend_from_within(one.min(other)..one.max(other)),
        _ => drop(bytes.drain(one.min(other)..one.max(other))),
    }
}

const TEXT: &[u8] = b"# freestone-trace 1\n# app: a game, 1.0\n\
    0,0,1,alloc,1,buffer,65536,256,f,device,none,22,vertices\n\
    5,0,1,alloc,2,image_optimal,1048576,65536,1,device,prefers,4,2d:R8G8B8A8_UNORM:512x512x1:m1:l1:s1;wall;alias\n\
    9,1,2,free,1\n\
    9,1,2,alloc,3,image_linear,4096,64,3,readback,app,1,1d:format37:64x1x1:m1:l2:s1\n";

const JSON: &[u8] = br#"{"app": "a game", "allocs": 3, "frees": 1, "peak_live_bytes": 1118208,
    "app_device_memory": {"vkAllocateMemory": 2, "peak_live_objects": 2, "peak_live_bytes": 2097152}}"#;

#[test]
fn trace_text() {
    feed_variants(7, 20_000, TEXT, parsers::trace_text);
}

#[test]
fn trace_compressed() {
    let sample = include_bytes!("../traces/vkcube.csv.zst");
    feed_variants(8, 150, sample, parsers::trace_compressed);
}

#[test]
fn statistics() {
    feed_variants(10, 5000, JSON, parsers::statistics);
}

#[test]
fn format() {
    feed_variants(11, 20_000, b"R8G8B8A8_UNORM", parsers::format);
    feed_variants(12, 5000, b"format1000156000", parsers::format);
}

#[test]
fn profile() {
    let sample = include_bytes!("../../src/sim/devices/steam-deck.device");
    feed_variants(13, 20_000, sample, parsers::profile);
    let odd: Vec<u8> = (128..=255).collect();
    feed_variants(14, 2000, &odd, parsers::profile);
}
