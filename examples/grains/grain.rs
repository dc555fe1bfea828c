//! The ways to cut device memory that are compared, each through the library's public face.

use std::collections::HashMap;

use freestone::{
    Algorithm, Allocation, AllocationCreateInfo, Allocator, CustomPool, DedicatedUse, Intent, PoolCreateInfo,
};

use crate::workload::Wish;

/// How memory is cut.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Grain {
    Dedicated,
    FixedSlots,
    Linear,
    TlsfInLargeBlocks,
    Tlsf,
    Combination,
}

/// The size of large blocks: what a pool of a fixed block size is often given.
const LARGE_BLOCK: u64 = 64 << 20;

impl Grain {
    /// From coarse to fine.
    pub(crate) const ALL: [Self; 6] =
        [Self::Dedicated, Self::FixedSlots, Self::Linear, Self::TlsfInLargeBlocks, Self::Tlsf, Self::Combination];

    pub(crate) fn name(self) -> &'static str {
        match self {
            Self::Dedicated => "dedicated",
            Self::FixedSlots => "fixed slots",
            Self::Linear => "linear",
            Self::TlsfInLargeBlocks => "TLSF, large",
            Self::Tlsf => "TLSF",
            Self::Combination => "the combination",
        }
    }

    pub(crate) fn explanation(self) -> &'static str {
        match self {
            Self::Dedicated => "an object for each resource",
            Self::FixedSlots => "pools of equal slots, 2ⁿ bytes",
            Self::Linear => "blocks cut front to back",
            Self::TlsfInLargeBlocks => "any size, 64 MiB blocks",
            Self::Tlsf => "any size, blocks that grow",
            Self::Combination => "freestone's default",
        }
    }
}

/// The pools that a grain has opened, by intent and slot size.
#[derive(Debug)]
pub(crate) struct Cutter<'a> {
    grain: Grain,
    allocator: &'a Allocator,
    pools: HashMap<(Intent, u64), CustomPool>,
}

impl<'a> Cutter<'a> {
    pub(crate) fn new(grain: Grain, allocator: &'a Allocator) -> Self {
        Self { grain, allocator, pools: HashMap::new() }
    }

    /// Allocates in the way of the grain.
    pub(crate) fn allocate(&mut self, wish: &Wish) -> Allocation {
        let allocator = self.allocator;
        let info = AllocationCreateInfo::new(wish.intent);
        let info = match self.grain {
            Grain::Combination => info,
            Grain::Dedicated => info.dedicated(DedicatedUse::Always),
            // Nothing larger than a block fits a pool of large blocks.
            Grain::TlsfInLargeBlocks if wish.requirements.size > LARGE_BLOCK => info.dedicated(DedicatedUse::Always),
            Grain::Tlsf | Grain::TlsfInLargeBlocks => info.pool(self.pool(wish, 0, Algorithm::Tlsf)),
            Grain::Linear => info.pool(self.pool(wish, 0, Algorithm::Linear)),
            Grain::FixedSlots => {
                // A slot holds the size at its alignment, in whole pages of the granularity.
                let granularity = allocator.properties().buffer_image_granularity;
                let least = wish.requirements.alignment.max(granularity);
                let slot_size = wish.requirements.size.next_power_of_two().max(least);
                info.pool(self.pool(wish, slot_size, Algorithm::Fixed { slot_size }))
            }
        };
        allocator.allocate(&wish.requirements, &info).expect("the simulated card has room")
    }

    pub(crate) fn free(&self, allocation: Allocation) {
        self.allocator.free(allocation).expect("it is alive");
    }

    /// Returns the pool for a wish, and opens it at its first use.
    fn pool(&mut self, wish: &Wish, slot_size: u64, algorithm: Algorithm) -> &CustomPool {
        self.pools.entry((wish.intent, slot_size)).or_insert_with(|| {
            let info = PoolCreateInfo::for_intent(wish.intent)
                .memory_type_bits(wish.requirements.memory_type_bits)
                .algorithm(algorithm);
            let info = if self.grain == Grain::TlsfInLargeBlocks { info.block_size(LARGE_BLOCK) } else { info };
            self.allocator.create_pool(&info).expect("the simulated card has such a memory type")
        })
    }

    /// Gives the pools back; nothing of them is alive any more.
    pub(crate) fn finish(self) {
        for (_, pool) in self.pools {
            self.allocator.destroy_pool(pool).expect("nothing of it is alive");
        }
    }
}
