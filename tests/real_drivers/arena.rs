//! Ranges of an arena, filled by the GPU: they keep their contents, whatever is allocated and freed around them.

use ash::vk;
use freestone::{AllocationCreateInfo, Allocator, Arena, ArenaCreateInfo, ArenaRange, Intent};

use crate::gpu::{Gpu, show_to_host};
use crate::world::{Random, Shape, World, words_in};
use crate::{KIB, MIB};

const ROUNDS: u32 = 24;
const STRIDES: [u64; 6] = [4, 12, 20, 36, 256, 768];

/// A range with the word that it is filled with.
#[derive(Debug)]
struct Filled {
    range: ArenaRange,
    word: u32,
}

fn arena<'a>(allocator: &'a Allocator, memory: AllocationCreateInfo<'static>) -> Arena<&'a Allocator> {
    let usage = vk::BufferUsageFlags::TRANSFER_SRC | vk::BufferUsageFlags::TRANSFER_DST;
    let info = ArenaCreateInfo::new(usage).buffer_size(MIB).memory(memory);
    // SAFETY: the usage is valid for buffers of any size; `Gpu` waits for the device before it returns.
    unsafe { Arena::new(allocator, &info) }.expect("a sound description")
}

fn fill(gpu: &Gpu<'_>, filled: &[Filled]) {
    gpu.run(|device, commands| {
        for Filled { range, word } in filled {
            // SAFETY: recording; the range lies inside its buffer, in whole words, and the buffer takes transfers.
            unsafe { device.cmd_fill_buffer(commands, range.buffer(), range.offset(), range.size(), *word) };
        }
    });
}

/// Copies ranges out and compares them with their words.
#[track_caller]
fn assert_kept(world: &World, gpu: &Gpu<'_>, filled: &[Filled]) {
    let bytes: u64 = filled.iter().map(|it| it.range.size()).sum();
    let target = world.buffer(bytes.max(4), Intent::Readback);
    let Shape::Buffer { buffer: into, .. } = target.shape else { unreachable!("made as a buffer") };
    gpu.run(|device, commands| {
        let mut dst_offset = 0;
        for Filled { range, .. } in filled {
            let region = vk::BufferCopy { src_offset: range.offset(), dst_offset, size: range.size() };
            // SAFETY: recording; both buffers take transfers and hold the region.
            unsafe { device.cmd_copy_buffer(commands, range.buffer(), into, &[region]) };
            dst_offset += range.size();
        }
        show_to_host(device, commands);
    });
    if !world.is_mock() {
        let words = world.read_mapped(&target);
        let mut rest = &words[..];
        for Filled { range, word } in filled {
            let (mine, others) = rest.split_at(words_in(range.size()));
            assert!(mine.iter().all(|found| found == word), "{range:?} should hold {word:#x}: {:#x?}", &mine[..1]);
            rest = others;
        }
    }
    world.destroy(target);
}

#[test]
fn arena_ranges_keep_what_the_gpu_wrote() {
    let Some(world) = World::open() else { return };
    let gpu = Gpu::new(&world.headless);
    let arena = arena(&world.allocator, AllocationCreateInfo::gpu_only());
    let mut random = Random(0xA1E4A);
    let mut live: Vec<Filled> = Vec::new();
    let (mut steps, mut next) = (0, 1_u32);
    for round in 0..ROUNDS {
        let first = live.len();
        for _ in 0..128 {
            let stride = STRIDES[random.index(STRIDES.len())];
            let most = if random.below(40) == 0 { MIB + MIB / 2 } else { 24 * KIB };
            let size = 4 * (1 + random.below(most / 4));
            let range = arena.allocate(size, stride).expect("there is memory");
            assert_eq!(range.offset() % stride, 0);
            next = next.wrapping_add(0x9E37_79B9);
            live.push(Filled { range, word: next });
        }
        fill(&gpu, &live[first..]);
        let leaving: Vec<Filled> = (0..110).map(|_| live.swap_remove(random.index(live.len()))).collect();
        assert_kept(&world, &gpu, &leaving);
        steps += 128 + leaving.len();
        for it in leaving {
            arena.free(it.range).expect("it is alive");
        }
        if round % 8 == 7 {
            arena.trim();
        }
    }
    assert!(steps > 5000, "{steps} steps");
    arena.validate().expect("every invariant holds");
    assert_kept(&world, &gpu, &live);
    drop((arena, gpu));
    world.finish();
}

#[test]
fn what_the_host_writes_into_an_arena_the_gpu_copies() {
    let Some(world) = World::open() else { return };
    let gpu = Gpu::new(&world.headless);
    let arena = arena(&world.allocator, AllocationCreateInfo::stream());
    let filled: Vec<Filled> = (1..100)
        .map(|word| {
            let size = 12 * u64::from(word);
            let mut range = arena.allocate(size, 12).expect("there is memory");
            arena.write(&mut range, 0, &vec![word; words_in(size)]).expect("it is mapped");
            Filled { range, word }
        })
        .collect();
    assert_kept(&world, &gpu, &filled);
    drop((arena, gpu));
    world.finish();
}
