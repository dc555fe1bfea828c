//! Resources inside an existing allocation: what is allowed, what is refused, and that the driver sees no conflict.

mod common;

use ash::vk;
use common::{Rig, buffer_info, image_info, linear, mib, non_linear, requirements, state_of};
use freestone::sim::{Function, KIB, Profile};
use freestone::{
    Algorithm, AliasError, Allocation, AllocationCreateInfo, AllocationError, DedicatedUse, Kind, PoolCreateInfo,
    TransientError, TransientMemory,
};

/// Creates a buffer inside an allocation and destroys it.
fn try_buffer(
    rig: &Rig,
    info: &vk::BufferCreateInfo<'_>,
    room: &Allocation,
    offset: u64,
) -> Result<(), AllocationError> {
    // SAFETY: the create-info is valid; the buffer is destroyed below, unused.
    let buffer = unsafe { rig.create_aliasing_buffer(info, room, offset) }?;
    // SAFETY: the GPU has never seen it.
    unsafe { rig.vulkan.device().destroy_buffer(buffer, None) };
    Ok(())
}

/// Creates an image inside an allocation and destroys it.
fn try_image(rig: &Rig, info: &vk::ImageCreateInfo<'_>, room: &Allocation, offset: u64) -> Result<(), AllocationError> {
    // SAFETY: the create-info is valid; the image is destroyed below, unused.
    let image = unsafe { rig.create_aliasing_image(info, room, offset) }?;
    // SAFETY: the GPU has never seen it.
    unsafe { rig.vulkan.device().destroy_image(image, None) };
    Ok(())
}

#[track_caller]
fn refusal(outcome: Result<(), AllocationError>) -> AliasError {
    match outcome {
        Err(AllocationError::Alias(refusal)) => refusal,
        other => panic!("{other:?}"),
    }
}

/// `DRM_FORMAT_MOD_LINEAR` is linear and no other modifier is; which an image gets, the driver chooses.
#[test]
fn an_image_that_may_be_of_either_kind_shares_its_pages_with_nothing() {
    for granularity in [1, KIB, 64 * KIB] {
        let mut profile = Profile::discrete_rebar();
        profile.buffer_image_granularity = granularity;
        let rig = Rig::new(profile);
        let gpu_only = AllocationCreateInfo::gpu_only();
        let mut modifier = vk::ImageDrmFormatModifierExplicitCreateInfoEXT::default();
        let optimal = image_info(16);
        let drm = optimal.tiling(vk::ImageTiling::DRM_FORMAT_MODIFIER_EXT).push_next(&mut modifier);
        let made = [optimal, drm, optimal].map(|info| {
            // SAFETY: the create-info is valid; the images are destroyed below, unused.
            unsafe { rig.create_image(&info, &gpu_only) }.expect("there is memory")
        });
        let (own, others) = (&made[1].1, [&made[0].1, &made[2].1]);
        for info in [gpu_only.can_alias(), gpu_only.dedicated(DedicatedUse::Never)] {
            // SAFETY: as above.
            let (image, memory) = unsafe { rig.create_image(&drm, &info) }.expect("no wish is in the way");
            assert_eq!(memory.is_dedicated(), granularity > 1, "{memory:?}");
            // SAFETY: the GPU has never seen it.
            unsafe { rig.destroy_image(image, memory) }.expect("it is alive");
        }
        let pool = PoolCreateInfo::for_memory_type(0).kind(Kind::NonLinear).algorithm(Algorithm::Linear);
        let pool = rig.create_pool(&pool).expect("there is memory");
        // Whether the pool has room at hand or must open a block first.
        let of_pool = [drm, optimal, drm].map(|info| {
            // SAFETY: as above.
            unsafe { rig.create_image(&info, &gpu_only.pool(&pool)) }.expect("there is memory")
        });
        let is_dedicated = of_pool.each_ref().map(|(_, memory)| memory.is_dedicated());
        assert_eq!(is_dedicated, [granularity > 1, false, granularity > 1]);
        for (image, memory) in of_pool {
            // SAFETY: the GPU has never seen it.
            unsafe { rig.destroy_image(image, memory) }.expect("it is alive");
        }
        rig.destroy_pool(pool).expect("nothing of it is alive");
        let mut transients = TransientMemory::new(&*rig, gpu_only);
        // SAFETY: the create-infos are valid.
        let requests =
            [&optimal, &drm].map(|info| unsafe { transients.image_request(info, 0..=0) }.expect("supported"));
        assert_eq!(transients.plan(&requests).is_ok(), granularity == 1, "a place among others is no place for it");
        drop(transients.plan(&requests[..1]).expect("there is memory"));
        // SAFETY: the create-info is valid; nothing is made where kinds keep apart.
        match unsafe { transients.create_image(0, &drm) } {
            Err(TransientError::Dedicated { index: 0 }) => assert!(granularity > 1),
            // SAFETY: the GPU has never seen it.
            made => unsafe { rig.vulkan.device().destroy_image(made.expect("nothing keeps apart"), None) },
        }
        drop(transients);
        let page_of = |memory: &Allocation, offset: u64| (memory.memory(), (memory.offset() + offset) / granularity);
        let ends = |memory: &Allocation| [page_of(memory, 0), page_of(memory, memory.size() - 1)];
        let is_shared = others.iter().any(|other| ends(other).iter().any(|page| ends(own).contains(page)));
        assert!(!is_shared, "granularity {granularity}: {made:?}");
        // A place inside an allocation of the non-linear kind whose page has neighbours of that kind.
        let room = rig.allocate(&non_linear(1024), &gpu_only.can_alias()).expect("there is memory");
        let inside = try_image(&rig, &drm, &room, 0);
        match granularity {
            65_536 => assert_eq!(refusal(inside), AliasError::SharedPage { granularity }),
            _ => inside.expect("the page is the allocation's own"),
        }
        rig.free(room).expect("it is alive");
        for (image, memory) in made {
            // SAFETY: the GPU has never seen it.
            unsafe { rig.destroy_image(image, memory) }.expect("it is alive");
        }
        rig.finish();
    }
}

#[test]
fn what_fits_is_bound_and_what_does_not_is_refused() {
    for profile in Profile::all() {
        let rig = Rig::new(profile);
        let info = AllocationCreateInfo::gpu_only().can_alias();
        let room = rig.allocate(&requirements(mib(1), 65_536, Kind::NonLinear), &info).expect("there is memory");
        let before = state_of(&rig);
        try_buffer(&rig, &buffer_info(mib(1)), &room, 0).expect("all of it");
        try_buffer(&rig, &buffer_info(256), &room, mib(1) - 256).expect("the end of it");
        try_image(&rig, &image_info(256), &room, 0).expect("a quarter of it");
        try_image(&rig, &image_info(8).tiling(vk::ImageTiling::LINEAR), &room, 4096).expect("a little of it");
        let does_not_fit = AliasError::DoesNotFit { offset: 256, size: mib(1), available: mib(1) };
        assert_eq!(refusal(try_buffer(&rig, &buffer_info(mib(1)), &room, 256)), does_not_fit);
        let far = refusal(try_buffer(&rig, &buffer_info(256), &room, u64::MAX - 255));
        assert!(matches!(far, AliasError::DoesNotFit { .. }), "{far}");
        let crooked = refusal(try_buffer(&rig, &buffer_info(256), &room, 100));
        assert_eq!(crooked, AliasError::Misaligned { offset: room.offset() + 100, alignment: 256 });
        assert_eq!(state_of(&rig), before, "every one is gone");
        rig.free(room).expect("it is alive");
        rig.finish();
    }
}

#[test]
fn two_resources_share_bytes() {
    let rig = Rig::new(Profile::unified());
    rig.control().allow_aliasing(true);
    let room = rig.allocate(&linear(64 * KIB), &AllocationCreateInfo::gpu_only().can_alias()).expect("there is memory");
    // SAFETY: the create-infos are valid; nothing is submitted.
    let first = unsafe { rig.create_aliasing_buffer(&buffer_info(4096), &room, 0) }.expect("a buffer");
    try_buffer(&rig, &buffer_info(4096), &room, 2048).expect("the same bytes");
    // SAFETY: the GPU has never seen it.
    unsafe { rig.vulkan.device().destroy_buffer(first, None) };
    rig.free(room).expect("it is alive");
    rig.finish();
}

/// Small images in every place of linear allocations: the driver sees the neighbours, and would tell.
#[test]
fn a_page_that_a_neighbour_of_the_other_kind_may_share_is_refused() {
    let mut profile = Profile::discrete_bar256();
    profile.images.optimal_steps = vec![(0, 256)];
    let rig = Rig::new(profile);
    rig.control().allow_aliasing(true);
    let granularity = rig.properties().buffer_image_granularity;
    let info = AllocationCreateInfo::gpu_only().can_alias();
    // SAFETY: the create-infos are valid; nothing is submitted.
    let create = || unsafe { rig.create_buffer(&buffer_info(2304), &info) }.expect("a buffer");
    let rooms: Vec<_> = (0..4).map(|_| create()).collect();
    let (mut allowed, mut refused) = (0, 0);
    for (buffer, room) in &rooms {
        for offset in (0..2304).step_by(256) {
            let page = (room.offset() + offset) / granularity * granularity;
            let is_own = page >= room.offset() && page + granularity <= room.offset() + 2304;
            match try_image(&rig, &image_info(8), room, offset) {
                Ok(()) if is_own => allowed += 1,
                Err(AllocationError::Alias(AliasError::SharedPage { granularity: 1024 })) if !is_own => refused += 1,
                other => panic!("{buffer:?} at {} + {offset}: {other:?}", room.offset()),
            }
        }
    }
    assert!(allowed > 0 && refused > 0, "{allowed} allowed, {refused} refused");
    for (buffer, room) in rooms {
        // SAFETY: the GPU has never seen it.
        unsafe { rig.destroy_buffer(buffer, room) }.expect("it is alive");
    }
    rig.finish();
}

#[test]
fn a_dedicated_allocation_takes_no_second_resource() {
    let rig = Rig::new(Profile::discrete_rebar());
    let info = AllocationCreateInfo::gpu_only().dedicated(DedicatedUse::Always);
    // SAFETY: the create-info is valid; nothing is submitted.
    let (buffer, memory) = unsafe { rig.create_buffer(&buffer_info(4096), &info) }.expect("a buffer");
    assert!(memory.is_dedicated());
    assert!(rig.vulkan.memory_objects()[0].dedicated_to.is_some(), "the driver was told");
    assert_eq!(refusal(try_buffer(&rig, &buffer_info(256), &memory, 0)), AliasError::Dedicated);
    // SAFETY: the GPU has never seen it.
    unsafe { rig.destroy_buffer(buffer, memory) }.expect("it is alive");
    // Memory of its own without the info may be shared.
    let room = rig.allocate(&linear(4096), &info).expect("there is memory");
    try_buffer(&rig, &buffer_info(256), &room, 256).expect("no info is attached");
    rig.free(room).expect("it is alive");
    rig.finish();
}

/// What ties memory to a resource is the info that the driver got, not that the memory serves one resource.
#[test]
fn memory_of_its_own_that_carries_no_info_takes_a_second_resource() {
    let unmapped = Rig::new(Profile::unified());
    unmapped
        .control()
        .fail_when(|call| (call.function == Function::MapMemory).then_some(vk::Result::ERROR_MEMORY_MAP_FAILED));
    let visible = AllocationCreateInfo::gpu_only().preferred_flags(vk::MemoryPropertyFlags::HOST_VISIBLE);
    let untold = Rig::new(Profile::discrete_rebar().vulkan_1_0());
    let always = AllocationCreateInfo::gpu_only().dedicated(DedicatedUse::Always);
    for (rig, info) in [(unmapped, visible), (untold, always)] {
        rig.control().allow_aliasing(true);
        // SAFETY: the create-info is valid; nothing is submitted.
        let (buffer, memory) = unsafe { rig.create_buffer(&buffer_info(4096), &info) }.expect("a buffer");
        assert!(memory.is_dedicated() && memory.mapped_ptr().is_none());
        assert!(rig.vulkan.memory_objects()[0].dedicated_to.is_none(), "no info is attached");
        try_buffer(&rig, &buffer_info(256), &memory, 0).expect("nothing ties the memory to the first");
        // SAFETY: the GPU has never seen it.
        unsafe { rig.destroy_buffer(buffer, memory) }.expect("it is alive");
        rig.finish();
    }
}

#[test]
fn can_alias_attaches_no_info_even_where_the_driver_prefers_it() {
    let rig = Rig::new(Profile::discrete_rebar());
    let target = image_info(1024).usage(vk::ImageUsageFlags::COLOR_ATTACHMENT);
    let gpu_only = AllocationCreateInfo::gpu_only();
    for (info, is_told) in [(gpu_only, true), (gpu_only.can_alias(), false)] {
        // SAFETY: the create-info is valid; nothing is submitted.
        let (image, memory) = unsafe { rig.create_image(&target, &info) }.expect("an image");
        let told = rig.vulkan.memory_objects().iter().any(|object| object.dedicated_to.is_some());
        assert_eq!((told, memory.is_dedicated()), (is_told, is_told));
        // SAFETY: the GPU has never seen it.
        unsafe { rig.destroy_image(image, memory) }.expect("it is alive");
    }
    rig.finish();
}

#[test]
fn a_memory_type_that_the_resource_does_not_allow_is_refused() {
    let rig = Rig::new(Profile::discrete_bar256());
    let room = rig.allocate(&linear(64 * KIB), &AllocationCreateInfo::stream()).expect("there is memory");
    assert_eq!(room.memory_type_index(), 4);
    let refused = refusal(try_image(&rig, &image_info(16), &room, 0));
    assert_eq!(refused, AliasError::WrongMemoryType { memory_type_index: 4, memory_type_bits: 0b0_0111 });
    rig.free(room).expect("it is alive");
    rig.finish();
}

/// Buffers and images of all sizes, mixed: the driver sees no page with two kinds on any profile.
#[test]
fn no_page_has_two_kinds() {
    for profile in Profile::all() {
        let rig = Rig::new(profile);
        let info = AllocationCreateInfo::gpu_only();
        let mut random = common::Random(7);
        let (mut buffers, mut images) = (Vec::new(), Vec::new());
        for round in 0..300 {
            if random.below(2) == 0 {
                // SAFETY: the create-info is valid; nothing is submitted.
                buffers.push(unsafe { rig.create_buffer(&buffer_info(random.size(15)), &info) }.expect("a buffer"));
            } else {
                let edge = u32::try_from(1 + random.below(100)).expect("small");
                let tiling = if random.below(4) == 0 { vk::ImageTiling::LINEAR } else { vk::ImageTiling::OPTIMAL };
                // SAFETY: as above.
                images.push(unsafe { rig.create_image(&image_info(edge).tiling(tiling), &info) }.expect("an image"));
            }
            if round % 3 == 2 {
                let take = |count: usize| usize::try_from(round * 31).expect("small") % count.max(1);
                if !buffers.is_empty() {
                    let (buffer, memory) = buffers.swap_remove(take(buffers.len()));
                    // SAFETY: the GPU has never seen it.
                    unsafe { rig.destroy_buffer(buffer, memory) }.expect("it is alive");
                }
                if !images.is_empty() {
                    let (image, memory) = images.swap_remove(take(images.len()));
                    // SAFETY: as above.
                    unsafe { rig.destroy_image(image, memory) }.expect("it is alive");
                }
            }
        }
        for (buffer, memory) in buffers {
            // SAFETY: the GPU has never seen it.
            unsafe { rig.destroy_buffer(buffer, memory) }.expect("it is alive");
        }
        for (image, memory) in images {
            // SAFETY: as above.
            unsafe { rig.destroy_image(image, memory) }.expect("it is alive");
        }
        rig.finish();
    }
}

/// VUID-vkBindImageMemory-image-01445 and VUID-vkBindBufferMemory-buffer-01444.
#[test]
fn a_resource_that_requires_memory_of_its_own_shares_none() {
    let mut profile = Profile::discrete_rebar();
    profile.dedicated.require_images_from = Some(1);
    profile.dedicated.require_buffers_from = Some(mib(1));
    let rig = Rig::new(profile);
    let room = rig.allocate(&non_linear(mib(1)), &AllocationCreateInfo::gpu_only().can_alias()).expect("memory");
    let before = state_of(&rig);
    let refused = refusal(try_image(&rig, &image_info(16), &room, 0));
    assert_eq!(refused, AliasError::RequiresDedicated);
    assert!(refused.to_string().contains("`create_image`"), "what to do is said: {refused}");
    assert_eq!(refusal(try_buffer(&rig, &buffer_info(mib(1)), &room, 0)), AliasError::RequiresDedicated);
    try_buffer(&rig, &buffer_info(256), &room, 0).expect("a small buffer requires nothing");
    assert_eq!(state_of(&rig), before, "every one is gone");
    rig.free(room).expect("it is alive");
    rig.finish();
}
