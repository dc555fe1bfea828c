//! The steps that a generated program of the ring is made of.

use ash::vk;
use proptest::prelude::{Just, Strategy, any, prop_oneof};

use super::model::{KIB, LIMIT};

/// How bytes are pushed.
#[derive(Clone, Copy, Debug)]
pub(crate) enum Way {
    Copied,
    InPlace,
    /// By a writer of the frame, beside another that has pushed a byte before and pushes one afterwards.
    ByWriter,
}

/// One step of a program.
#[derive(Clone, Copy, Debug)]
pub(crate) enum Step {
    Begin,
    Push {
        frame: usize,
        size: u64,
        alignment: u64,
        way: Way,
    },
    /// Ends a frame with the last point, or one so much above or below it.
    End {
        frame: usize,
        above: i64,
    },
    EndOwned {
        frame: usize,
    },
    Cancel {
        frame: usize,
    },
    /// Reclaims up to the last point, or so much below it.
    Reclaim {
        below: u64,
    },
    ReclaimOwned {
        frame: usize,
    },
    /// Lets the nth call from here fail.
    Fail {
        n: u64,
        result: vk::Result,
    },
    /// Begins, pushes, ends and reclaims frames that are alike, so that windows pass.
    Frames {
        count: u64,
        size: u64,
    },
}

pub(crate) fn step() -> impl Strategy<Value = Step> {
    let frame = any::<usize>;
    let size = prop_oneof![
        12 => 1..2 * KIB,
        4 => 1..40 * KIB,
        1 => 1..LIMIT * 2,
        1 => prop_oneof![Just(0), Just(u64::MAX), Just(u64::MAX - 100), Just(LIMIT), Just(1 << 63)],
    ];
    let alignment = prop_oneof![
        6 => Just(1),
        6 => prop_oneof![Just(4_u64), Just(12), Just(16), Just(256), Just(768), Just(36)],
        1 => prop_oneof![Just(0_u64), Just(1 << 20), Just(u64::MAX), Just(1 << 63), Just(4096)],
    ];
    let way = prop_oneof![3 => Just(Way::Copied), 3 => Just(Way::InPlace), 1 => Just(Way::ByWriter)];
    let results = [
        vk::Result::ERROR_OUT_OF_DEVICE_MEMORY,
        vk::Result::ERROR_OUT_OF_HOST_MEMORY,
        vk::Result::ERROR_TOO_MANY_OBJECTS,
        vk::Result::ERROR_MEMORY_MAP_FAILED,
    ];
    prop_oneof![
        6 => Just(Step::Begin),
        24 => (frame(), size, alignment, way)
            .prop_map(|(frame, size, alignment, way)| Step::Push { frame, size, alignment, way }),
        5 => (frame(), -1_i64..3).prop_map(|(frame, above)| Step::End { frame, above }),
        2 => frame().prop_map(|frame| Step::EndOwned { frame }),
        1 => frame().prop_map(|frame| Step::Cancel { frame }),
        4 => prop_oneof![Just(0), 0_u64..4, Just(u64::MAX)].prop_map(|below| Step::Reclaim { below }),
        3 => frame().prop_map(|frame| Step::ReclaimOwned { frame }),
        1 => (1_u64..4, 0..results.len()).prop_map(move |(n, index)| Step::Fail { n, result: results[index] }),
        1 => (1_u64..300, 1..30 * KIB).prop_map(|(count, size)| Step::Frames { count, size }),
    ]
}
