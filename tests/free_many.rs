//! Allocations that are freed together: whatever they are, whoever made them, and what is refused.

mod common;

use std::sync::mpsc;
use std::thread;

use common::{Random, Rig, linear, mib, non_linear};
use freestone::sim::{KIB, Profile};
use freestone::{Algorithm, Allocation, AllocationCreateInfo, DedicatedUse, FreeErrorReason, Intent, PoolCreateInfo};

/// Puts a vector in random order.
fn shuffle(random: &mut Random, allocations: &mut [Allocation]) {
    for end in (1..allocations.len()).rev() {
        allocations.swap(end, usize::try_from(random.below(end as u64 + 1)).expect("small"));
    }
}

/// Slots and ranges of several memory types, dedicated memory, named allocations, and all kinds of custom pools.
#[test]
fn whatever_it_is_it_is_freed() {
    for profile in [Profile::discrete_rebar(), Profile::unified(), Profile::noncoherent()] {
        let rig = Rig::new(profile);
        let mut random = Random(11);
        let pools = [Algorithm::Tlsf, Algorithm::Linear, Algorithm::Fixed { slot_size: 64 * KIB }].map(|algorithm| {
            let info = PoolCreateInfo::for_intent(Intent::Upload).algorithm(algorithm).block_size(mib(1));
            rig.create_pool(&info).expect("there is memory")
        });
        let mut allocations = Vec::new();
        for round in 0..600 {
            let upload = AllocationCreateInfo::upload();
            let info = match round % 8 {
                0 => AllocationCreateInfo::gpu_only(),
                1 => AllocationCreateInfo::gpu_only().dedicated(DedicatedUse::Always),
                2 => upload.name("named"),
                number @ 3..6 => upload.pool(&pools[number - 3]),
                _ => upload,
            };
            let size = random.size(16);
            let request = if round % 8 == 0 && round % 3 == 0 { non_linear(size * 32) } else { linear(size) };
            allocations.push(rig.allocate(&request, &info).expect("there is memory"));
        }
        shuffle(&mut random, &mut allocations);
        let mut half = allocations.split_off(300);
        rig.free_many(&mut half).expect("all are alive");
        rig.validate().expect("every invariant holds");
        let total = rig.statistics().total;
        assert_eq!((half.len(), total.allocation_count, total.freed_count), (0, 300, 300));
        rig.free_many(&mut allocations).expect("all are alive");
        assert_eq!((allocations.len(), rig.statistics().total.allocation_count), (0, 0));
        for pool in pools {
            rig.destroy_pool(pool).expect("nothing of it is alive");
        }
        rig.trim();
        assert_eq!(rig.control().reserved_bytes(), 0);
        rig.finish();
    }
}

#[test]
fn nothing_to_free_is_nothing() {
    let rig = Rig::new(Profile::unified());
    assert_eq!(rig.free_many(&mut Vec::new()), Ok(()));
    rig.finish();
}

#[test]
fn what_is_foreign_stays_in_its_order_and_all_else_is_freed() {
    let (own, foreign) = (Rig::new(Profile::unified()), Rig::new(Profile::unified()));
    let of = |rig: &Rig, size| rig.allocate(&linear(size), &AllocationCreateInfo::gpu_only()).expect("there is memory");
    let mut allocations = Vec::new();
    for number in 1..=100 {
        allocations.push(of(&own, 512));
        if number % 40 == 0 {
            allocations.push(of(&foreign, number));
        }
    }
    let named = AllocationCreateInfo::upload().name("somebody else's");
    allocations.insert(0, foreign.allocate(&linear(7), &named).expect("there is memory"));
    let error = own.free_many(&mut allocations).expect_err("three are not its own");
    assert_eq!((error.refused_count, error.reason), (3, FreeErrorReason::Foreign));
    assert_eq!(
        error.to_string(),
        "3 of the allocations could not be freed and stay in the vector; the last of them: the allocation belongs to \
         another allocator"
    );
    assert_eq!(allocations.iter().map(Allocation::size).collect::<Vec<_>>(), [7, 40, 80]);
    assert_eq!(own.statistics().total.allocation_count, 0);
    assert_eq!(foreign.name_of(&allocations[0]).as_deref(), Some("somebody else's"));
    foreign.free_many(&mut allocations).expect("its own allocator takes them");
    own.finish();
    foreign.finish();
}

/// What is left to the allocator is what single frees in that order leave, in use or idle.
#[test]
fn a_batch_leaves_what_single_frees_leave() {
    let (together, single) = (Rig::new(Profile::discrete_rebar()), Rig::new(Profile::discrete_rebar()));
    let requests = [linear(512), linear(mib(3)), linear(300 * KIB)].repeat(50);
    for kept in [10, 0, 1, 0] {
        let [mut batch, mut others] = [&together, &single]
            .map(|rig| rig.allocate_many(&requests, &AllocationCreateInfo::gpu_only()).expect("there is memory"));
        let mut rest = [batch.drain(..kept).collect::<Vec<_>>(), others.drain(..kept).collect()];
        together.free_many(&mut batch).expect("all are alive");
        others.into_iter().rev().for_each(|one| single.free(one).expect("it is alive"));
        assert_eq!(together.statistics(), single.statistics());
        together.free_many(&mut rest[0]).expect("all are alive");
        std::mem::take(&mut rest[1]).into_iter().rev().for_each(|one| single.free(one).expect("it is alive"));
        assert_eq!(together.statistics(), single.statistics());
    }
    together.finish();
    single.finish();
}

/// Two threads make, two others free what those have made, batch by batch.
#[test]
fn other_threads_free_what_threads_have_made() {
    let rig = Rig::new(Profile::discrete_rebar());
    thread::scope(|scope| {
        for seed in 0..2 {
            let (sender, receiver) = mpsc::sync_channel::<Vec<Allocation>>(4);
            let rig = &rig;
            scope.spawn(move || {
                let mut random = Random(seed);
                for _ in 0..200 {
                    let requests: Vec<_> = (0..50).map(|_| linear(random.size(19))).collect();
                    let batch = rig.allocate_many(&requests, &AllocationCreateInfo::gpu_only());
                    sender.send(batch.expect("there is memory")).expect("somebody frees");
                }
            });
            scope.spawn(move || {
                for mut batch in receiver {
                    rig.free_many(&mut batch).expect("all are alive");
                }
            });
        }
    });
    rig.validate().expect("every invariant holds");
    let total = rig.statistics().total;
    assert_eq!((total.allocation_count, total.allocated_count, total.freed_count), (0, 20_000, 20_000));
    rig.finish();
}
