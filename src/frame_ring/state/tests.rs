//! Which block serves: what cannot be told from outside.

use ash::vk;

use super::super::block::BufferTraits;
use super::*;
use crate::allocator::{Allocator, AllocatorCreateInfo};
use crate::memory_type::Intent;
use crate::sim::{Profile, SimDevice};

const SIZING: Sizing = Sizing { unit: 1024, first: 4096, limit: 1 << 20, block_limit: 1 << 20, frame_count: 2 };
const WANT: Want = Want { size: 1024, alignment: 4, chunk: 1024 };

/// A state with two blocks of 4 KiB, of which the first is to go, and an open frame.
fn with_two_blocks(allocator: &Allocator) -> (State, u32) {
    let (mut state, frame) = with_two_that_serve(allocator);
    state.drain_others();
    (state, frame)
}

fn with_two_that_serve(allocator: &Allocator) -> (State, u32) {
    let mut state = State::new(&SIZING);
    let usage = vk::BufferUsageFlags::VERTEX_BUFFER;
    let traits = BufferTraits { usage, intent: Intent::Stream, queue_families: Vec::new() };
    for _ in 0..2 {
        state.add_block(Block::open(allocator, &traits, 4096).expect("there is memory"));
    }
    let frame = state.begin().expect("the first");
    (state, frame)
}

fn take(state: &mut State, frame: u32) -> Option<u32> {
    state.take_chunk(frame, &WANT, &SIZING).map(|grant| grant.source.region)
}

fn with_allocator(run: impl FnOnce(&Allocator)) {
    with_allocator_of(Profile::unified(), run);
}

fn with_allocator_of(profile: Profile, run: impl FnOnce(&Allocator)) {
    let vulkan = SimDevice::new(profile);
    let info = AllocatorCreateInfo::new(vulkan.entry(), vulkan.instance(), vulkan.physical_device(), vulkan.device());
    #[expect(unsafe_code, reason = "a test makes its own allocator")]
    // SAFETY: the objects belong together and outlive the allocator.
    let allocator = unsafe { Allocator::new(info) }.expect("an allocator");
    run(&allocator);
    drop(allocator);
    assert_eq!(vulkan.finish(), []);
}

#[test]
fn a_block_that_is_to_go_is_the_last_resort() {
    with_allocator(|allocator| {
        let (mut state, frame) = with_two_blocks(allocator);
        let first: Vec<_> = (0..4).map(|_| take(&mut state, frame)).collect();
        assert_eq!(first, [Some(1); 4], "while the other has room, nothing is cut from it");
        let other = state.begin().expect("the second");
        assert_eq!(take(&mut state, other), Some(0), "better than to grow");
        assert_eq!(state.growth(1024, &SIZING), Growth::Open(8192));
        state.release(frame);
        assert_eq!(take(&mut state, other), Some(1), "and never for longer than that");
        assert!(state.take_drained().is_empty(), "a chunk of it is in use");
        state.release(other);
        let drained = state.take_drained();
        assert_eq!(drained.len(), 1);
        drained.into_iter().chain(state.take_everything()).for_each(|block| block.close(allocator));
    });
}

#[test]
fn what_is_full_takes_nothing() {
    with_allocator(|allocator| {
        let (mut state, frame) = with_two_blocks(allocator);
        assert_eq!((0..).map_while(|_| take(&mut state, frame)).count(), 8);
        assert_eq!(state.statistics().in_use, 8192);
        assert!(state.take_all_empty().is_empty());
        state.release(frame);
        assert_eq!(state.growth(1 << 20, &SIZING), Growth::GiveBackEmpty);
        assert_eq!(state.growth((1 << 20) + 1, &SIZING), Growth::Full);
        state.take_all_empty().into_iter().for_each(|block| block.close(allocator));
        assert_eq!(state.statistics().block_count, 0);
        assert_eq!(state.growth(1 << 20, &SIZING), Growth::Open(1 << 20));
    });
}

/// A frame stays in one buffer as long as that has room, whatever has become free in others.
#[test]
fn the_block_that_served_last_is_asked_first() {
    with_allocator(|allocator| {
        let (mut state, frame) = with_two_that_serve(allocator);
        assert_eq!((0..4).map(|_| take(&mut state, frame)).collect::<Vec<_>>(), [Some(1); 4]);
        let other = state.begin().expect("the second");
        assert_eq!(take(&mut state, other), Some(0), "the one with room");
        state.release(frame);
        assert_eq!((0..3).map(|_| take(&mut state, other)).collect::<Vec<_>>(), [Some(0); 3]);
        assert_eq!(take(&mut state, other), Some(1), "it is full");
        state.take_everything().for_each(|block| block.close(allocator));
    });
}

#[test]
fn chunks_side_by_side_are_flushed_as_one_and_once() {
    let mut profile = Profile::noncoherent();
    profile.memory_types.retain(|own| !own.property_flags.contains(vk::MemoryPropertyFlags::HOST_COHERENT));
    with_allocator_of(profile, |allocator| {
        let (mut state, frame) = with_two_blocks(allocator);
        assert_eq!((0..3).map(|_| take(&mut state, frame)).collect::<Vec<_>>(), [Some(1); 3]);
        let tail = Tail { region: 1, position: 2048 + 512, end: 3072 };
        let batch = state.written(frame, 0, tail);
        let block = &state.blocks[1].as_ref().expect("it serves").block;
        let written = block.written(0, tail.position);
        assert!(written.is_some(), "memory that is not coherent");
        assert_eq!((batch.ranges[0], batch.ranges[1], batch.next_chunk), (written, None, 3));
        state.take_everything().for_each(|block| block.close(allocator));
    });
}
