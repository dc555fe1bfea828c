//! The plan of the house: which room is on which floor, and where `unsafe` may be.

/// The floors, from the ground up. A room may import rooms of lower floors only.
pub(crate) const FLOORS: [&[&str]; 11] = [
    &["sync"],
    &["suballocator"],
    &["device"],
    &["memory_type"],
    &["block"],
    &["pool"],
    &["allocator"],
    &["resource"],
    &["frame_ring", "upload", "arena", "transient", "retire", "defragmentation"],
    &["report", "trace"],
    &["bin"],
];

/// The room apart: it imports nothing of the crate, and only the crate's root, tests and programs name it.
pub(crate) const APART: &str = "sim";

/// The room of pure arithmetic: it imports no other room, not even the ground, and none of these crates.
pub(crate) const PURE: &str = "suballocator";
pub(crate) const NOT_PURE: [&str; 6] = ["std", "ash", "log", "parking_lot", "lock_api", "bytemuck"];

/// Rooms, and single files, that may hold `unsafe`.
const UNSAFE: [&str; 16] = [
    "sync/spin_lock.rs",
    "device/",
    "allocator/mod.rs",
    "allocator/allocation.rs",
    // Tests that make an allocator of a simulated device.
    "allocator/loom_tests.rs",
    "allocator/pools/tests.rs",
    "allocator/tests.rs",
    "resource/",
    "frame_ring/",
    "upload/",
    "arena/",
    "transient/",
    "retire/",
    "defragmentation/",
    "sim/",
    "bin/",
];

/// Returns the floor of a room, counted from the ground.
pub(crate) fn floor(room: &str) -> Option<usize> {
    FLOORS.iter().position(|rooms| rooms.contains(&room))
}

pub(crate) fn is_room(name: &str) -> bool {
    name == APART || floor(name).is_some()
}

/// Tells whether the file, named from `src/`, may hold `unsafe`.
pub(crate) fn may_be_unsafe(path: &str) -> bool {
    UNSAFE.iter().any(|place| path == *place || (place.ends_with('/') && path.starts_with(place)))
}
