//! Every public operation of what stands on the allocator, arenas, transient memory, uploads, readbacks and frame
//! rings, in one table: what it does when the driver fails.
//!
//! An operation either *may fail*: then each of its driver calls fails once, with each result it may have, and nothing
//! leaks, no counter changes, nothing is lost, and the same operation succeeds afterwards. Or it is *silent*: it calls
//! no function of the driver that can fail, and works on a lost device. A test reads the source and finds operations
//! that the table lacks.

#[path = "../common/mod.rs"]
mod common;
mod frame_ring;
mod memory;
mod silent;
#[path = "../upload/stage.rs"]
#[expect(dead_code, reason = "not all of it is needed here")]
mod stage;
mod upload;

use std::collections::BTreeSet;

use ash::vk;
use common::every_device;
use common::failing::Tally;
use common::operations::{assert_complete, public_operations};
use freestone::sim::Profile;

/// The operations whose failures are tested here, and in which file.
const MAY_FAIL: [(&str, &str); 21] = [
    ("Arena::allocate", "memory.rs"),
    ("Arena::write", "memory.rs"),
    ("TransientMemory::image_request", "memory.rs"),
    ("TransientMemory::buffer_request", "memory.rs"),
    ("TransientMemory::plan", "memory.rs"),
    ("TransientMemory::create_image", "memory.rs"),
    ("TransientMemory::create_buffer", "memory.rs"),
    ("Uploader::new", "upload.rs"),
    ("Uploader::record", "upload.rs"),
    ("Uploader::record_or_write", "upload.rs"),
    ("Uploader::record_or_write_owned", "upload.rs"),
    ("Readback::new", "upload.rs"),
    ("Readback::record", "upload.rs"),
    ("Readback::read", "upload.rs"),
    ("FrameRing::new", "frame_ring.rs"),
    ("FrameRing::begin_frame", "frame_ring.rs"),
    ("Frame::push", "frame_ring.rs"),
    ("Frame::push_aligned", "frame_ring.rs"),
    ("Frame::reserve", "frame_ring.rs"),
    ("Frame::end", "frame_ring.rs"),
    ("Frame::end_owned", "frame_ring.rs"),
];

/// A writer pushes as its frame does: tested beside it.
const MAY_FAIL_TOO: [&str; 3] = ["FrameWriter::push", "FrameWriter::push_aligned", "FrameWriter::reserve"];

/// The operations that call nothing that can fail: tested in `silent.rs`.
const SILENT: [&str; 41] = [
    "Arena::new",
    "Arena::free",
    "Arena::is_alive",
    "Arena::clear",
    "Arena::trim",
    "Arena::buffers",
    "Arena::statistics",
    "Arena::validate",
    "Arena::drop",
    "TransientMemory::new",
    "TransientMemory::layout",
    "TransientMemory::memory",
    "TransientMemory::bytes",
    "TransientMemory::clear",
    "TransientMemory::drop",
    "Uploader::record_acquire",
    "Uploader::submitted",
    "Uploader::collect",
    "Uploader::discard_recorded",
    "Uploader::rewind",
    "Uploader::trim",
    "Uploader::ring_bytes",
    "Uploader::used_bytes",
    "Uploader::drop",
    "Readback::submitted",
    "Readback::collect",
    "Readback::release",
    "Readback::rewind",
    "Readback::trim",
    "Readback::ring_bytes",
    "Readback::used_bytes",
    "Readback::drop",
    "Ticket::drop",
    "FrameRing::reclaim",
    "FrameRing::reclaim_frame",
    "FrameRing::statistics",
    "FrameRing::alignment",
    "FrameRing::drop",
    "Frame::writer",
    "Frame::drop",
    "FrameWriter::drop",
];

/// Types that hold no allocator and so can call nothing.
const PLAIN: [&str; 14] = [
    "ArenaCreateInfo",
    "ArenaRange",
    "TransientRequest",
    "TransientPlan",
    "StagingCreateInfo",
    "ImageTarget",
    "ResourceUse",
    "Upload",
    "Download",
    "Ticket",
    "FrameRingCreateInfo",
    "FrameSlice",
    "EndedFrame",
    "Reservation",
];

#[test]
fn the_table_names_every_public_operation() {
    let folders = ["arena", "transient", "upload", "frame_ring"];
    let mut found: BTreeSet<String> = folders.iter().flat_map(|folder| public_operations(folder, &[])).collect();
    found.retain(|name| !PLAIN.iter().any(|plain| name.split("::").next() == Some(plain)));
    found.extend(SILENT.iter().filter(|name| name.ends_with("::drop")).map(|&name| name.to_owned()));
    assert_complete(&found, MAY_FAIL.iter().map(|(name, _)| *name).chain(MAY_FAIL_TOO).chain(SILENT));
}

/// Returns every device, and one none of whose memory is coherent.
fn devices() -> Vec<Profile> {
    every_device().into_iter().chain([stage::incoherent()]).collect()
}

/// Adds up what scenarios came to.
fn sum(tallies: impl IntoIterator<Item = Tally>) -> Tally {
    let add =
        |one: Tally, other: Tally| Tally { failed: one.failed + other.failed, survived: one.survived + other.survived };
    tallies.into_iter().fold(Tally::default(), add)
}

/// What buffers here are used for.
fn both_ways() -> vk::BufferUsageFlags {
    vk::BufferUsageFlags::TRANSFER_SRC | vk::BufferUsageFlags::TRANSFER_DST
}
