//! wgpu: `gfx-rs/wgpu`, as a user of allocators.

use ash::vk;
use freestone::sim::{Features, Profile, SimDevice};
use freestone::{AllocationCreateInfo, AllocationError, AllocationRequirements, Intent};

use super::common::{Rig, image_info, linear};
use super::{CACHED, allocate, bytes_of, free_all};

/// #8533: lazily allocated memory was marked as unusable, and a transient attachment crashed.
///
/// Seen to fail with: lazily allocated types that no intent may use.
#[test]
fn wgpu_8533_transient_attachments_lie_in_lazy_memory() {
    let rig = Rig::new(Profile::noncoherent());
    let usage = vk::ImageUsageFlags::TRANSIENT_ATTACHMENT | vk::ImageUsageFlags::COLOR_ATTACHMENT;
    // SAFETY: the create-info is valid; nothing is submitted.
    let made = unsafe { rig.create_image(&image_info(512).usage(usage), &AllocationCreateInfo::transient()) };
    let (image, memory) = made.expect("there is memory");
    let flags = rig.properties().flags_of(memory.memory_type_index());
    assert!(flags.contains(vk::MemoryPropertyFlags::LAZILY_ALLOCATED));
    // SAFETY: the GPU has never seen it.
    unsafe { rig.destroy_image(image, memory) }.expect("it is alive");
    rig.finish();
}

/// #718: a device-coherent memory type of AMD's was chosen without its feature.
///
/// Seen to fail with: a guard of those types that takes the feature for declared.
#[test]
fn wgpu_718_amds_device_coherent_types_need_their_feature() {
    let amd = vk::MemoryPropertyFlags::DEVICE_COHERENT_AMD | vk::MemoryPropertyFlags::DEVICE_UNCACHED_AMD;
    let vulkan = SimDevice::new(Profile::discrete_rebar());
    assert!(!vulkan.features().contains(Features::DEVICE_COHERENT_MEMORY));
    let rig = Rig::with(vulkan, |info| info);
    for intent in Intent::ALL {
        let wish = AllocationCreateInfo::new(intent).preferred_flags(amd);
        let allocation = allocate(&rig, &linear(4096), &wish);
        assert!(!rig.properties().flags_of(allocation.memory_type_index()).intersects(amd), "{intent}");
        free_all(&rig, [allocation]);
        let only_those = AllocationRequirements { memory_type_bits: 0b1111_0000, ..linear(4096) };
        let error = rig.allocate(&only_those, &wish).expect_err("nothing else is allowed");
        assert!(matches!(error, AllocationError::NoMemoryType { .. }), "{error}");
    }
    rig.finish();
}

/// No thread (found by reading): a range's offset was rounded down and its length up, each on its own, so that a range
/// over an atom's border lost its tail.
///
/// Seen to fail with: a flush that rounds the length without the rest of the offset.
#[test]
fn wgpu_a_flush_keeps_the_tail_of_an_unaligned_range() {
    let rig = Rig::new(Profile::noncoherent());
    let atom = rig.properties().non_coherent_atom_size;
    let info = AllocationCreateInfo::readback().required_flags(CACHED);
    let mut allocation = allocate(&rig, &linear(4 * atom), &info);
    for (offset, len) in [(atom - 1, 2), (1, atom), (atom + 5, 2 * atom)] {
        let values = vec![7_u8; usize::try_from(len).expect("small")];
        allocation.write(offset, &values).expect("in bounds");
        rig.flush(&allocation, offset, len).expect("in bounds");
        rig.invalidate(&allocation, 0, 4 * atom).expect("in bounds");
        assert_eq!(bytes_of(&allocation, offset, values.len()), values, "{len} bytes at {offset}");
        allocation.fill(0, 4 * atom, 0).expect("in bounds");
        rig.flush(&allocation, 0, 4 * atom).expect("in bounds");
    }
    free_all(&rig, [allocation]);
    rig.finish();
}
