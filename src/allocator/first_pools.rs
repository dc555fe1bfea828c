//! Where a plain request looks first: by intent, the memory type that is best of all, and its default pools.
//!
//! A table that is made once, so that the fast path asks neither selector nor template: two loads and a test.

use super::pools::Pools;
use crate::memory_type::{Intent, Selector};
use crate::pool::Kind;

/// The first choice of each intent.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct FirstPools([First; Intent::ALL.len()]);

#[derive(Clone, Copy, Debug, Default)]
struct First {
    /// The bit of the best memory type; 0 where there is none.
    memory_type_bit: u32,
    /// The indices of its default pools, by kind.
    pools: [u8; 2],
}

impl FirstPools {
    /// Makes the table of a device.
    pub(super) fn new(selector: &Selector, pools: &Pools) -> Self {
        Self(Intent::ALL.map(|intent| match selector.first(intent) {
            Some(index) => First {
                memory_type_bit: 1 << index,
                pools: [Kind::Linear, Kind::NonLinear].map(|kind| index_of(pools, index, kind)),
            },
            None => First::default(),
        }))
    }

    /// Returns the index of the default pool that serves best, if the resource may lie in the memory type that is best
    /// of all.
    #[inline]
    pub(super) fn get(&self, intent: Intent, kind: Kind, memory_type_bits: u32) -> Option<u8> {
        let First { memory_type_bit, pools } = self.0[intent as usize];
        if memory_type_bits & memory_type_bit != 0 { Some(pools[kind as usize]) } else { None }
    }
}

fn index_of(pools: &Pools, memory_type_index: u32, kind: Kind) -> u8 {
    u8::try_from(pools.default_index(memory_type_index, kind)).expect("there are 64 default pools")
}
