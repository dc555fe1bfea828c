//! What calls nothing that can fail, on a lost device.

use ash::vk;
use freestone::sim::KIB;
use freestone::{
    AllocationCreateInfo, Allocator, Arena, ArenaCreateInfo, Download, FrameRing, FrameRingCreateInfo, Progress,
    QueueFamilies, Readback, Recorded, ResourceUse, StagingCreateInfo, TransientMemory, Upload, Uploader,
};

use crate::common::failing::silently;
use crate::common::{Rig, buffer_info, mib};
use crate::stage::{Stage, pattern};
use crate::{both_ways, devices};

#[test]
fn arenas_and_transients_work_on_a_lost_device() {
    for profile in devices() {
        let rig = Rig::new(profile);
        let info = ArenaCreateInfo::new(both_ways()).buffer_size(256 * KIB);
        // SAFETY: the usage is valid for buffers of any size; the GPU never sees a range.
        let mut arena = silently(&rig, || unsafe { Arena::new(&*rig, &info) }).expect("a sound description");
        let [one, other] = [100, 300 * KIB].map(|size| arena.allocate(size, 12).expect("there is memory"));
        silently(&rig, || {
            assert!(arena.is_alive(&one) && arena.buffers().len() == 2);
            arena.free(other).expect("it is alive");
            assert_eq!((arena.trim() > 0, arena.statistics().buffer_count), (true, 1));
            arena.clear();
            arena.validate().expect("every invariant holds");
            drop(arena);
        });
        let mut transients = silently(&rig, || TransientMemory::new(&*rig, AllocationCreateInfo::gpu_only()));
        // SAFETY: the create-info is valid.
        let request = unsafe { transients.buffer_request(&buffer_info(mib(1)), 0..=1) }.expect("supported");
        let mut change = transients.plan(&[request]).expect("there is memory");
        assert!(!change.is_same);
        silently(&rig, || {
            assert_eq!((transients.layout().placements().len(), transients.bytes() >= mib(1)), (1, true));
            assert_eq!(transients.memory(0).map(|(_, offset)| offset).ok(), Some(0));
            change.outdated.allocations.append(&mut transients.clear().allocations);
            change.outdated.allocations.into_iter().for_each(|memory| rig.free(memory).expect("it is alive"));
        });
        assert!(!transients.plan(&[request]).expect("there is memory").is_same);
        silently(&rig, || drop(transients));
        rig.finish();
    }
}

/// Records so many bytes, in an uploader's and a readback's further block too.
fn fill(
    stage: &Stage,
    target: vk::Buffer,
    commands: vk::CommandBuffer,
) -> (Uploader<&Allocator>, Upload<Vec<u8>>, Readback<&Allocator>, Recorded, Download) {
    let info = StagingCreateInfo::new(16 * KIB).max_bytes(32 * KIB);
    // SAFETY: nothing is submitted.
    let mut uploader = unsafe { Uploader::new(stage.allocator(), &info) }.expect("a ring");
    // SAFETY: as above.
    let mut readback = unsafe { Readback::new(stage.allocator(), &info) }.expect("a ring");
    let mut upload = Upload::to_buffer(target, 32 * KIB, 0, pattern(1, 32 * KIB)).expect("it fits");
    upload = upload.hand_over(ResourceUse::undefined(), QueueFamilies { from: 0, to: 1 });
    // SAFETY: recording; the target lives on.
    let progress = unsafe { uploader.record(commands, &mut upload) }.expect("there is memory");
    assert!(matches!(progress, Progress::Done(_)));
    let mut download = Download::of_buffer(target, 32 * KIB, 0, 32 * KIB).expect("it fits");
    // SAFETY: as above.
    let recorded = unsafe { readback.record(commands, &mut download) }.expect("there is memory");
    // SAFETY: as above.
    let rest = unsafe { readback.record(commands, &mut download) }.expect("there is memory");
    drop(rest);
    (uploader, upload, readback, recorded, download)
}

#[test]
fn uploads_and_readbacks_work_on_a_lost_device() {
    for profile in devices() {
        let stage = Stage::new(profile);
        let target = stage.buffer(32 * KIB);
        let commands = stage.begin();
        let (mut uploader, mut upload, mut readback, recorded, mut download) = fill(&stage, target.handle(), commands);
        let Recorded::Part(ticket) = recorded else { panic!("{recorded:?}") };
        silently(&stage.rig, || {
            assert_eq!((uploader.ring_bytes(), uploader.used_bytes()), (32 * KIB, 32 * KIB));
            assert_eq!((readback.ring_bytes(), readback.used_bytes()), (32 * KIB, 32 * KIB));
            // SAFETY: recording; it is never submitted.
            assert!(unsafe { uploader.record_acquire(commands, &upload) });
            // SAFETY: as above.
            unsafe { uploader.discard_recorded() };
            assert!(uploader.rewind(&mut upload) && !upload.is_done());
            uploader.submitted(1).expect("the first");
            // SAFETY: nothing was submitted.
            unsafe { readback.release(ticket) }.expect("its own");
            assert!(readback.rewind(&mut download));
            readback.submitted(1).expect("the first");
            // SAFETY: as above.
            unsafe { uploader.collect(1) };
            // SAFETY: as above; the ticket that was dropped is not read.
            unsafe { readback.collect(1) };
            assert_eq!((uploader.used_bytes(), readback.used_bytes()), (0, 0));
            assert_eq!((uploader.trim(), readback.trim()), (16 * KIB, 16 * KIB));
            drop((uploader, readback));
        });
        stage.forget(commands);
        drop(target);
        stage.finish();
    }
}

#[test]
fn frame_rings_work_on_a_lost_device() {
    for profile in devices() {
        let world = Rig::new(profile);
        let info = FrameRingCreateInfo::new(vk::BufferUsageFlags::UNIFORM_BUFFER).initial_size(16 * KIB);
        let info = info.frames_in_flight(4);
        // SAFETY: the usage is valid; nothing is submitted.
        let ring = unsafe { FrameRing::new(&*world, &info) }.expect("a ring");
        let [mut plain, mut owned, mut dropped] = [(); 3].map(|()| ring.begin_frame().expect("not too many"));
        for frame in [&mut plain, &mut owned, &mut dropped] {
            frame.push(&vec![1_u8; 20_000]).expect("there is room");
        }
        plain.end(1).expect("in order");
        let key = owned.end_owned().expect("it is open");
        silently(&world, || {
            let mut writer = dropped.writer();
            writer.push(&[1_u8]).expect("there is room");
            drop(writer);
            assert_eq!((ring.alignment() >= 4, ring.statistics().frames_in_flight), (true, 3));
            drop((plain, owned, dropped));
            assert_eq!(ring.reclaim(1), 1);
            ring.reclaim_frame(key).expect("its own");
            assert_eq!(ring.statistics().in_use, 0);
            let mut forgotten = ring.begin_frame().expect("not too many");
            forgotten.push(&[1_u8]).expect("there is room");
            drop(forgotten);
        });
        silently(&world, || drop(ring));
        world.finish();
    }
}
