//! What freestone chooses on the memory of real devices: a golden table, and the rules that no choice may break.
//!
//! The table is `tests/golden/memory_types.txt`. It is written anew by
//! `UPDATE_GOLDEN=1 cargo test --all-features --test devices`; whoever does that reads what changed.
#![cfg(not(miri))]

mod common;

use std::fmt::Write as _;
use std::path::Path;

use ash::vk;
use common::{Rig, buffer_info, every_device, image_info, linear, mib, requirements};
use freestone::sim::{MIB, Profile};
use freestone::{
    Allocation, AllocationCreateInfo, AllocationRequirements, DeviceAddress, Intent, Kind, TypeVerdict, Verdict,
};

/// What each intent is asked for: the kind of resource that it is meant for.
const SUBJECTS: [(Intent, Subject); 7] = [
    (Intent::GpuOnly, Subject::Buffer),
    (Intent::GpuOnly, Subject::Image),
    (Intent::Transient, Subject::Attachment),
    (Intent::Upload, Subject::Buffer),
    (Intent::Stream, Subject::Buffer),
    (Intent::Readback, Subject::Buffer),
    (Intent::Readback, Subject::LinearImage),
];

#[derive(Clone, Copy, Debug)]
enum Subject {
    Buffer,
    Image,
    Attachment,
    LinearImage,
}

impl Subject {
    fn name(self) -> &'static str {
        match self {
            Self::Buffer => "buffer",
            Self::Image => "image",
            Self::Attachment => "transient attachment",
            Self::LinearImage => "linear image",
        }
    }

    fn requirements(self, rig: &Rig) -> AllocationRequirements {
        let image = match self {
            Self::Buffer => return buffer_requirements(rig),
            Self::Image => image_info(64),
            Self::Attachment => {
                image_info(64).usage(vk::ImageUsageFlags::COLOR_ATTACHMENT | vk::ImageUsageFlags::TRANSIENT_ATTACHMENT)
            }
            Self::LinearImage => image_info(64).tiling(vk::ImageTiling::LINEAR),
        };
        let device = rig.vulkan.device();
        // SAFETY: the device and the create-info are valid.
        let handle = unsafe { device.create_image(&image, None) }.expect("an image");
        // SAFETY: the image is alive.
        let needs = unsafe { device.get_image_memory_requirements(handle) };
        // SAFETY: nothing uses it.
        unsafe { device.destroy_image(handle, None) };
        let kind = if image.tiling == vk::ImageTiling::LINEAR { Kind::Linear } else { Kind::NonLinear };
        AllocationRequirements::new(needs, kind, DeviceAddress::NotNeeded)
    }
}

fn buffer_requirements(rig: &Rig) -> AllocationRequirements {
    let device = rig.vulkan.device();
    // SAFETY: the device and the create-info are valid.
    let buffer = unsafe { device.create_buffer(&buffer_info(4096), None) }.expect("a buffer");
    // SAFETY: the buffer is alive.
    let needs = unsafe { device.get_buffer_memory_requirements(buffer) };
    // SAFETY: nothing uses it.
    unsafe { device.destroy_buffer(buffer, None) };
    AllocationRequirements::new(needs, Kind::Linear, DeviceAddress::NotNeeded)
}

/// Returns the candidates, best first, as plan tells them.
fn order(verdicts: &[TypeVerdict]) -> Vec<u32> {
    let rank = |verdict: &TypeVerdict| match verdict.verdict {
        Verdict::Candidate { rank, .. } => Some((rank, verdict.memory_type_index)),
        _ => None,
    };
    let mut ranked: Vec<(u32, u32)> = verdicts.iter().filter_map(rank).collect();
    ranked.sort_unstable();
    ranked.into_iter().map(|(_, index)| index).collect()
}

/// Writes a memory type: `3 DEVICE_LOCAL|HOST_VISIBLE@0`.
fn written(profile: &Profile, index: u32) -> String {
    let kind = profile.memory_types[index as usize];
    let flags = format!("{:?}", kind.property_flags).replace(" | ", "|");
    format!("{index} {}@{}", if flags.is_empty() { "-" } else { &flags }, kind.heap_index)
}

fn table() -> String {
    let mut text =
        String::from("# The memory type that each intent chooses on each device, then the next choices, best first.\n");
    for profile in every_device() {
        let rig = Rig::new(profile.clone());
        writeln!(text, "\n{}: {:?}", profile.name, rig.topology()).expect("a string takes all");
        for (intent, subject) in SUBJECTS {
            let request = subject.requirements(&rig);
            let plan = rig.plan(&request, &AllocationCreateInfo::new(intent)).expect("every device serves everything");
            let order = order(&plan.verdicts);
            assert_eq!(order[0], plan.memory_type_index, "{intent} on {}", profile.name);
            let (what, chosen) = (format!("{intent}, {}", subject.name()), written(&profile, order[0]));
            writeln!(text, "  {what:<32} {chosen:<60} {:?}", &order[1..]).expect("a string takes all");
        }
        rig.finish();
    }
    text
}

#[test]
fn the_choices_are_those_of_the_golden_table() {
    let file = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/golden/memory_types.txt");
    let now = table();
    if std::env::var_os("UPDATE_GOLDEN").is_some() {
        std::fs::create_dir_all(file.parent().expect("a folder")).expect("a writable folder");
        std::fs::write(&file, &now).expect("a writable file");
    }
    let golden = std::fs::read_to_string(&file).expect("the golden table");
    let differing = golden.lines().zip(now.lines()).find(|(golden, now)| golden != now);
    assert_eq!(differing, None, "(golden, now); UPDATE_GOLDEN=1 writes the table anew");
    assert_eq!(
        golden.lines().count(),
        now.lines().count(),
        "devices came or went; UPDATE_GOLDEN=1 writes the table anew"
    );
}

/// The first choice of each intent, and all others, on every device and for every kind of resource.
#[test]
fn no_choice_breaks_a_rule() {
    for profile in every_device() {
        let rig = Rig::new(profile.clone());
        for (intent, subject) in SUBJECTS {
            let request = subject.requirements(&rig);
            let plan = rig.plan(&request, &AllocationCreateInfo::new(intent)).expect("every device serves everything");
            let flags = |index: u32| {
                profile.memory_types.get(index as usize).map(|kind| kind.property_flags).unwrap_or_default()
            };
            let order = order(&plan.verdicts);
            let has = |wanted| {
                let allowed = |index: &u32| request.memory_type_bits >> index & 1 == 1;
                (0..32).filter(allowed).any(|index| flags(index).contains(wanted))
            };
            let what = format!("{intent} for a {} on {}: {order:?}", subject.name(), profile.name);
            let cached = vk::MemoryPropertyFlags::HOST_VISIBLE | vk::MemoryPropertyFlags::HOST_CACHED;
            let is_readback = intent == Intent::Readback;
            assert!(!is_readback || !has(cached) || flags(order[0]).contains(cached), "{what}: not cached");
            let lazy = vk::MemoryPropertyFlags::LAZILY_ALLOCATED;
            let is_transient = intent == Intent::Transient;
            assert!(!is_transient || flags(order[0]).contains(lazy) == has(lazy), "{what}: not lazily allocated");
            for index in order {
                let guarded = vk::MemoryPropertyFlags::DEVICE_COHERENT_AMD
                    | vk::MemoryPropertyFlags::DEVICE_UNCACHED_AMD
                    | vk::MemoryPropertyFlags::PROTECTED;
                assert!(!flags(index).intersects(guarded), "{what}: {index} needs a feature");
                assert!(is_transient || !flags(index).contains(lazy), "{what}: {index} is lazily allocated");
                assert!(request.memory_type_bits >> index & 1 == 1, "{what}: {index} may not hold it");
            }
        }
        rig.finish();
    }
}

/// Allocates so many bytes for one intent, in pieces.
fn flood(rig: &Rig, intent: Intent, total: u64) -> Vec<Allocation> {
    let info = AllocationCreateInfo::new(intent);
    let piece = mib(4);
    (0..total / piece).map(|_| rig.allocate(&linear(piece), &info).expect("there is memory elsewhere")).collect()
}

fn free_all(rig: &Rig, live: Vec<Allocation>) {
    for allocation in live {
        rig.free(allocation).expect("it is alive");
    }
}

/// Small BAR heaps are never flooded: `stream` stops at 7/8 of them and goes on in system memory, the others never
/// begin.
#[test]
fn a_small_bar_is_never_flooded() {
    let mut seen = 0;
    for profile in every_device() {
        let rig = Rig::new(profile.clone());
        let Some(bar) = rig.topology().small_bar_heap() else {
            rig.finish();
            continue;
        };
        seen += 1;
        let heap_size = profile.heaps[bar as usize].size;
        let taken = |rig: &Rig| rig.control().heap(bar).expect("the heap").page_bytes;
        for intent in [Intent::Upload, Intent::Readback, Intent::GpuOnly] {
            let live = flood(&rig, intent, heap_size * 2);
            assert_eq!(taken(&rig), 0, "{intent} lies in the BAR of {}", profile.name);
            free_all(&rig, live);
        }
        let live = flood(&rig, Intent::Stream, heap_size * 2);
        let most = heap_size - heap_size / 8;
        assert!(taken(&rig) <= most, "{} of {most} bytes of the BAR of {}", taken(&rig), profile.name);
        assert!(taken(&rig) > most / 2, "it is used for what it is for: {} on {}", taken(&rig), profile.name);
        let is_elsewhere = |allocation: &&Allocation| {
            let kind = profile.memory_types[allocation.memory_type_index() as usize];
            kind.heap_index != bar && !kind.property_flags.contains(vk::MemoryPropertyFlags::DEVICE_LOCAL)
        };
        let elsewhere = live.iter().filter(is_elsewhere).map(Allocation::size).sum::<u64>();
        assert!(elsewhere >= heap_size, "the rest spills to system memory on {}", profile.name);
        free_all(&rig, live);
        rig.finish();
    }
    assert!(seen >= 5, "{seen} devices have a small BAR");
}

/// What only the GPU touches stays out of the BAR even when the rest of the card is full, as long as there is system
/// memory.
#[test]
fn a_full_card_spills_to_system_memory_before_the_bar() {
    for name in ["geforce-rtx-3070", "radeon-bar256", "intel-arc-a770-bar256"] {
        let mut profile = Profile::by_name(name).expect("a device of the corpus");
        profile.heaps[0].size = 300 * MIB;
        let rig = Rig::new(profile);
        let image = requirements(mib(4), 65_536, Kind::NonLinear);
        let info = AllocationCreateInfo::gpu_only();
        let live: Vec<_> = (0..100).map(|_| rig.allocate(&image, &info).expect("there is system memory")).collect();
        assert!(rig.control().heap(0).expect("a heap").bytes > mib(150), "the card comes first on {name}");
        assert!(rig.control().heap(1).expect("a heap").bytes > mib(100), "then system memory on {name}");
        assert_eq!(rig.control().heap(2).expect("a heap").bytes, 0, "never the BAR on {name}");
        free_all(&rig, live);
        rig.finish();
    }
}
