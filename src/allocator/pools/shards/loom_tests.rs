//! Shards that open while other threads look for theirs, in every order.

use std::sync::Arc;

use loom::thread;

use super::super::Home;
use super::*;
use crate::block::growth::GrowthSettings;
use crate::device::Mapping;
use crate::pool::{BlockClass, PoolSettings};
use crate::suballocator::{self, Algorithm};
use crate::sync::explore;

fn make(shard: usize) -> NumberedPool {
    let settings = PoolSettings {
        memory_type_index: 0,
        class: BlockClass::default(),
        algorithm: Algorithm::Tlsf,
        suballocator: suballocator::Settings::plain(64),
        growth: GrowthSettings::for_heap(1 << 30, 1 << 30),
        min_block_count: 0,
        max_block_count: u32::MAX,
        min_alignment: 1,
        max_object_size: 1 << 30,
        mapping: Mapping::None,
        non_linear_page: 1,
        is_non_coherent: false,
        is_lazy: false,
        may_own: true,
        priority: None,
    };
    NumberedPool::new(1, 64 * shard, Home::Default { is_further: shard > 0 }, settings).expect("a small index")
}

/// Collides until a shard opens, and looks for its own as the allocator does.
fn collide(shards: &Shards, times: u32) {
    for _ in 0..times {
        shards.note_collision();
    }
    let own = shards.own(make);
    let shard = usize::from(own.index()) / 64;
    assert!(shards.get(shard).is_some_and(|found| core::ptr::eq(found, own)), "H2: one pool for each shard");
    if let Some(ready) = shards.own_if_ready() {
        assert!(shards.all().any(|shard| core::ptr::eq(shard, ready)));
    }
}

#[test]
fn loom_two_threads_open_one_shard() {
    explore("shards: two threads collide and look for theirs", Some(3), || {
        let shards = Arc::new(Shards::new(make(0)));
        let other = Arc::clone(&shards);
        let worker = thread::spawn(move || collide(&other, COLLISIONS_TO_OPEN));
        collide(&shards, COLLISIONS_TO_OPEN);
        worker.join().expect("it does not panic");
        let open = shards.open.load(Ordering::Relaxed);
        assert!([1, 2].contains(&open), "H1: {open} for two threads");
        assert!(shards.all().count() <= 2);
    });
}

/// Both come to a shard that nobody has made, as threads do whose numbers agree modulo the shards that are open.
#[test]
fn loom_two_threads_make_a_shard_once() {
    explore("shards: two threads at a shard that nobody has made", Some(3), || {
        let shards = Arc::new(Shards::new(make(0)));
        thread_number();
        shards.open.store(2, Ordering::Relaxed);
        let workers = [(); 2].map(|()| {
            let shards = Arc::clone(&shards);
            thread::spawn(move || collide(&shards, 1))
        });
        for worker in workers {
            worker.join().expect("it does not panic");
        }
        let mut indices: Vec<u16> = shards.all().map(NumberedPool::index).collect();
        indices.dedup();
        assert_eq!(indices.len(), shards.all().count());
    });
}
