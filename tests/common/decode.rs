//! Programs from bytes: what a fuzzer mutates. The same steps as those of [`program`](super::program).

use std::sync::OnceLock;

use arbitrary::{Result, Unstructured};
use ash::vk;
use freestone::sim::Profile;
use freestone::{Algorithm, DedicatedPreference, DedicatedUse, Intent, Kind};

use super::mib;
use super::program::{More, PoolWish, Step, Wish};

/// Returns a program; it ends where the bytes do, or after so many steps.
pub(crate) fn program(u: &mut Unstructured<'_>, max_steps: usize) -> Vec<Step> {
    let mut steps = Vec::new();
    while steps.len() < max_steps && !u.is_empty() {
        let Ok(step) = step(u) else { break };
        steps.push(step);
    }
    steps
}

/// Returns a device: a model, one whose heaps are small, or one of the corpus.
pub(crate) fn profile(u: &mut Unstructured<'_>) -> Result<Profile> {
    static MODELS: OnceLock<Vec<Profile>> = OnceLock::new();
    static CORPUS: OnceLock<Vec<Profile>> = OnceLock::new();
    // Read once: to read them for each program would take a fifth of its time.
    let devices = if u.ratio(1, 2)? {
        MODELS.get_or_init(|| MODEL_NAMES.map(super::program::profile).to_vec())
    } else {
        CORPUS.get_or_init(Profile::corpus)
    };
    u.choose(devices).cloned()
}

/// The models, and one whose heaps are small.
const MODEL_NAMES: [&str; 5] = ["discrete-rebar", "discrete-bar256", "unified", "noncoherent", "two-heaps"];

fn step(u: &mut Unstructured<'_>) -> Result<Step> {
    Ok(match u.int_in_range(0..=63)? {
        0..20 => Step::Allocate(wish(u)?),
        20..32 => Step::Free(u.arbitrary::<u8>()?.into()),
        32 => Step::FreeMost(u.int_in_range(2..=8)?),
        33 => Step::Trim,
        34 => Step::Prewarm(intent(u)?, u.int_in_range(1..=mib(4))?),
        35 => Step::Tick(u.int_in_range(1..=400)?),
        36 | 37 => Step::Budget { heap_index: u.int_in_range(0..=2)?, bytes: u.int_in_range(1..=mib(48))? },
        38 => Step::Foreign { heap_index: u.int_in_range(0..=2)?, bytes: u.int_in_range(1..=mib(16))? },
        39..42 => Step::Fail { n: u.int_in_range(1..=4)?, result: result(u)? },
        42 => Step::AllocateMany((0..u.int_in_range(1..=5)?).map(|_| wish(u)).collect::<Result<_>>()?),
        43 | 44 => Step::Plan(wish(u)?),
        45..48 => Step::CreatePool(pool_wish(u)?),
        48 => Step::DestroyPool(u.arbitrary::<u8>()?.into()),
        49..55 => Step::AllocateInPool(u.arbitrary::<u8>()?.into(), wish(u)?),
        55..58 => Step::CreateBuffer(wish(u)?),
        58..61 => Step::CreateImage(wish(u)?),
        _ => Step::Access(u.arbitrary::<u8>()?.into()),
    })
}

/// A failure that most of the functions may answer, or one that stops everything.
fn result(u: &mut Unstructured<'_>) -> Result<vk::Result> {
    u.choose(&[
        vk::Result::ERROR_OUT_OF_DEVICE_MEMORY,
        vk::Result::ERROR_OUT_OF_HOST_MEMORY,
        vk::Result::ERROR_TOO_MANY_OBJECTS,
        vk::Result::ERROR_MEMORY_MAP_FAILED,
        vk::Result::ERROR_DEVICE_LOST,
        vk::Result::ERROR_UNKNOWN,
    ])
    .copied()
}

fn intent(u: &mut Unstructured<'_>) -> Result<Intent> {
    u.choose(&Intent::ALL).copied()
}

fn wish(u: &mut Unstructured<'_>) -> Result<Wish> {
    let magnitude = u.int_in_range(0..=20)?;
    let size =
        if u.ratio(1, 8)? { u.int_in_range(mib(1)..=mib(24))? } else { 1 + u.int_in_range(0..=1 << magnitude)? };
    let flags: u8 = u.arbitrary()?;
    let preference = match u.int_in_range(0..=9)? {
        0 => DedicatedPreference::Preferred,
        1 => DedicatedPreference::Required,
        _ => DedicatedPreference::None,
    };
    let dedicated = match u.int_in_range(0..=9)? {
        0 => DedicatedUse::Always,
        1 => DedicatedUse::Never,
        _ => DedicatedUse::Auto,
    };
    Ok(Wish {
        size,
        alignment: 1 << u.int_in_range(0..=16)?,
        is_linear: flags & 0b1 != 0,
        intent: intent(u)?,
        preference,
        dedicated,
        within_budget: flags & 0b10 != 0,
        may_spill: flags & 0b1100 != 0,
        more: more(flags >> 4),
    })
}

/// What else there is to wish for, by four bits.
fn more(bits: u8) -> More {
    match bits {
        8 => More::ShortLived,
        9 => More::Required(vk::MemoryPropertyFlags::HOST_VISIBLE),
        10 => More::Required(vk::MemoryPropertyFlags::DEVICE_LOCAL),
        11 => More::Preferred(vk::MemoryPropertyFlags::HOST_CACHED),
        12 => More::Preferred(vk::MemoryPropertyFlags::DEVICE_LOCAL),
        13 => More::Avoided(vk::MemoryPropertyFlags::DEVICE_LOCAL),
        14 => More::Priority(0),
        15 => More::Priority(2),
        _ => More::Nothing,
    }
}

fn pool_wish(u: &mut Unstructured<'_>) -> Result<PoolWish> {
    let algorithm = match u.int_in_range(0..=3)? {
        0 => Algorithm::Linear,
        1 => Algorithm::Fixed { slot_size: u.int_in_range(1..=100_000)? },
        _ => Algorithm::Tlsf,
    };
    Ok(PoolWish {
        intent: intent(u)?,
        algorithm,
        block_size: if u.arbitrary()? { Some(u.int_in_range(1..=mib(2))?) } else { None },
        min_block_count: u.int_in_range(0..=2)?,
        more_blocks: if u.arbitrary()? { u32::MAX } else { u.int_in_range(0..=2)? },
        min_alignment: 1 << u.int_in_range(0..=9)?,
        kind: match u.int_in_range(0..=3)? {
            0 => Some(Kind::Linear),
            1 => Some(Kind::NonLinear),
            _ => None,
        },
    })
}
