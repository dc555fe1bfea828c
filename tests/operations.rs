//! Every public operation of the allocator, in one table: what it does when the driver fails.
//!
//! An operation either *may fail*: then each of its driver calls fails once, with each result it may have, and nothing
//! leaks, no counter changes, and the same operation succeeds afterwards. Or it is *silent*: it calls no function of
//! the driver that can fail, and works on a lost device. A test reads the source and finds operations that the table
//! lacks.

mod common;

use std::collections::BTreeSet;

use common::failing::{Made, Operation, fail_each_call, furnished, on_every_profile, silently};
use common::operations::{assert_complete, public_operations};
use common::{Rig, buffer_info, every_device, image_info, linear, mib, requirements};
use freestone::sim::{KIB, Profile};
use freestone::{
    AccessError, Algorithm, Allocation, AllocationCreateInfo, AllocationRange, Allocator, Buffer, DedicatedUse, Image,
    Intent, Kind, PoolCreateInfo,
};

use ash::vk;

/// The operations whose failures are tested: here, or where it says.
const MAY_FAIL: [(&str, &str); 27] = [
    ("Allocator::new", "failures.rs"),
    ("Allocator::allocate", "failures.rs, and here from custom pools"),
    ("Allocator::allocate_many", "failures.rs"),
    ("Allocator::create_pool", "failures.rs, and here with every algorithm"),
    ("Allocator::prewarm", "failures.rs"),
    ("Allocator::create_buffer", "failures.rs"),
    ("Allocator::create_image", "failures.rs"),
    ("Allocator::create_aliasing_buffer", "failures.rs"),
    ("Allocator::create_aliasing_image", "failures.rs"),
    ("Allocator::allocate_for_buffer", "here"),
    ("Allocator::allocate_for_image", "here"),
    ("Allocator::write", "here"),
    ("Allocator::read", "here"),
    ("Allocator::flush", "here"),
    ("Allocator::flush_many", "here"),
    ("Allocator::invalidate", "here"),
    ("Allocator::invalidate_many", "here"),
    ("Buffer::new", "here"),
    ("Image::new", "here"),
    ("Buffer::write", "here"),
    ("Buffer::read", "here"),
    ("Buffer::flush", "here"),
    ("Buffer::slice", "here"),
    ("Image::write", "here"),
    ("Image::read", "here"),
    ("Image::flush", "here"),
    ("Image::slice", "here"),
];

/// The operations that call nothing that can fail: tested in `silent_operations_work_on_a_lost_device`.
const SILENT: [&str; 40] = [
    "Allocator::free",
    "Allocator::free_many",
    "Allocator::destroy_buffer",
    "Allocator::destroy_image",
    "Allocator::destroy_pool",
    "Allocator::trim",
    "Allocator::tick",
    "Allocator::update_budget",
    "Allocator::budget_age",
    "Allocator::plan",
    "Allocator::plan_many",
    "Allocator::limits",
    "Allocator::statistics",
    "Allocator::detailed_statistics",
    "Allocator::memory_map",
    "Allocator::pool_statistics",
    "Allocator::heap_usage",
    "Allocator::properties",
    "Allocator::topology",
    "Allocator::name_of",
    "Allocator::set_name",
    "Allocator::validate",
    "Allocator::buffer_device_address",
    "Allocator::requirements_of_buffer",
    "Allocator::requirements_of_image",
    "Buffer::handle",
    "Buffer::allocation",
    "Buffer::into_parts",
    "Buffer::size",
    "Buffer::set_name",
    "Buffer::uninit_slice_mut",
    "Buffer::zeroed_slice_mut",
    "Image::handle",
    "Image::allocation",
    "Image::into_parts",
    "Image::size",
    "Image::set_name",
    "Image::uninit_slice_mut",
    "Image::zeroed_slice_mut",
    "Buffer::drop",
];

#[test]
fn the_table_names_every_public_operation() {
    let mut found = BTreeSet::from(["Buffer::drop".to_owned()]);
    found.extend(public_operations("allocator", &[]).into_iter().filter(|name| name.starts_with("Allocator::")));
    let of_owners = |name: &String| ["Allocator::", "Buffer::", "Image::"].iter().any(|owner| name.starts_with(owner));
    found.extend(public_operations("resource", &["Buffer", "Image"]).into_iter().filter(of_owners));
    assert_complete(&found, MAY_FAIL.iter().map(|(name, _)| *name).chain(SILENT));
}

#[expect(clippy::needless_pass_by_value, reason = "handed to `map_err`")]
fn text(error: impl ToString) -> String {
    error.to_string()
}

#[test]
fn owned_resources_undo_everything() {
    for info in [AllocationCreateInfo::upload().without_spilling(), AllocationCreateInfo::gpu_only().name("owned")] {
        let buffers = on_every_profile(&|rig| {
            // SAFETY: the create-info is valid; nothing is submitted.
            let buffer = unsafe { Buffer::new(&**rig, &buffer_info(mib(5)), &info) }.map_err(text)?;
            let (buffer, allocation, _) = buffer.into_parts();
            Ok(Made { buffers: vec![buffer], ..Made::of(vec![allocation]) })
        });
        assert!(buffers.failed >= 40, "{buffers:?}");
    }
    let images = on_every_profile(&|rig| {
        // SAFETY: as above.
        let image = unsafe { Image::new(&**rig, &image_info(300), &AllocationCreateInfo::gpu_only()) }.map_err(text)?;
        let (image, allocation, _) = image.into_parts();
        Ok(Made { images: vec![image], ..Made::of(vec![allocation]) })
    });
    assert!(images.failed >= 40, "{images:?}");
}

#[test]
fn memory_for_a_resource_is_taken_or_not() {
    for profile in every_device() {
        let (rig, live) = furnished(profile);
        let device = rig.vulkan.device();
        // SAFETY: the create-infos are valid.
        let buffer = unsafe { device.create_buffer(&buffer_info(mib(3)), None) }.expect("a buffer");
        // SAFETY: as above.
        let image = unsafe { device.create_image(&image_info(1024), None) }.expect("an image");
        let for_buffer = fail_each_call(&rig, &|rig| {
            // SAFETY: the buffer is alive and stays unbound.
            let made = unsafe { rig.allocate_for_buffer(buffer, &AllocationCreateInfo::gpu_only()) };
            Ok(Made::of(vec![made.map_err(text)?]))
        });
        let for_image = fail_each_call(&rig, &|rig| {
            // SAFETY: the image is alive and stays unbound.
            let made = unsafe { rig.allocate_for_image(image, Kind::NonLinear, &AllocationCreateInfo::gpu_only()) };
            Ok(Made::of(vec![made.map_err(text)?]))
        });
        assert!(for_buffer.failed + for_buffer.survived >= 2, "{}: {for_buffer:?}", rig.properties().device_name);
        assert!(for_image.failed + for_image.survived >= 2, "{}: {for_image:?}", rig.properties().device_name);
        Made { buffers: vec![buffer], images: vec![image], ..Made::of(live) }.undo(&rig);
        rig.finish();
    }
}

#[test]
fn pools_of_every_algorithm_grow_or_do_not() {
    for algorithm in [Algorithm::Tlsf, Algorithm::Linear, Algorithm::Fixed { slot_size: 64 * KIB }] {
        let pool_info = PoolCreateInfo::for_intent(Intent::Upload).algorithm(algorithm);
        for info in [pool_info.clone().block_size(256 * KIB), pool_info.clone().min_block_count(2), pool_info] {
            let created = on_every_profile(&|rig| {
                let pool = rig.create_pool(&info).map_err(text)?;
                let request = requirements(50 * KIB, 256, Kind::Linear);
                match rig.allocate_many(&[request; 7], &AllocationCreateInfo::upload().pool(&pool)) {
                    Ok(allocations) => Ok(Made { pools: vec![pool], ..Made::of(allocations) }),
                    Err(error) => {
                        rig.destroy_pool(pool).expect("nothing of it is alive");
                        Err(text(error))
                    }
                }
            });
            assert!(created.failed > 4 && created.failed + created.survived > 40, "{algorithm:?}: {created:?}");
        }
    }
}

/// Returns the devices on which an access calls the driver: those with cached memory that is not coherent.
fn non_coherent_devices() -> Vec<Profile> {
    let is_cached_alone = |flags: vk::MemoryPropertyFlags| {
        flags.contains(vk::MemoryPropertyFlags::HOST_CACHED) && !flags.contains(vk::MemoryPropertyFlags::HOST_COHERENT)
    };
    let mut devices = every_device();
    devices.retain(|profile| profile.memory_types.iter().any(|one| is_cached_alone(one.property_flags)));
    assert!(devices.len() >= 2, "{devices:?}");
    devices
}

/// Asks for cached memory that is not coherent.
fn non_coherent() -> AllocationCreateInfo<'static> {
    AllocationCreateInfo::readback()
        .required_flags(vk::MemoryPropertyFlags::HOST_CACHED)
        .avoided_flags(vk::MemoryPropertyFlags::HOST_COHERENT)
}

/// Lets each driver call of an access to some memory fail once: the error is reported, and the next time it works.
fn fail_each_access<M>(rig: &Rig, memory: M, access: impl Fn(&Rig, &mut M) -> Result<(), AccessError>) -> M {
    let memory = std::cell::RefCell::new(memory);
    let run: Operation<'_> = &|rig| access(rig, &mut memory.borrow_mut()).map(|()| Made::default()).map_err(text);
    let tally = fail_each_call(rig, run);
    assert!(tally.failed >= 2 && tally.survived == 0, "{}: {tally:?}", rig.properties().device_name);
    memory.into_inner()
}

/// Runs operations on two allocations of non-coherent memory, each of whose driver calls fails once.
fn on_non_coherent_memory(operation: impl Fn(&Rig, &mut [Allocation; 2]) -> Result<(), AccessError>) {
    for profile in non_coherent_devices() {
        let rig = Rig::new(profile);
        let mut pair = [100, 5000].map(|size| rig.allocate(&linear(size), &non_coherent()).expect("there is memory"));
        for allocation in &mut pair {
            assert!(allocation.is_non_coherent());
            rig.write(allocation, 0, &[1_u8; 100]).expect("it is mapped");
        }
        let pair = fail_each_access(&rig, pair, &operation);
        Made::of(pair.into()).undo(&rig);
        rig.finish();
    }
}

#[test]
fn accesses_report_each_failure_and_work_afterwards() {
    on_non_coherent_memory(|rig, [one, _]| rig.write(one, 3, &[5_u8; 90]));
    on_non_coherent_memory(|rig, [one, _]| rig.flush(one, 0, 100));
    on_non_coherent_memory(|rig, [one, _]| rig.invalidate(one, 0, 100));
    on_non_coherent_memory(|rig, pair| rig.flush_many(&pair.each_ref().map(AllocationRange::whole)));
    on_non_coherent_memory(|rig, pair| rig.invalidate_many(&pair.each_ref().map(AllocationRange::whole)));
    on_non_coherent_memory(|rig, [one, _]| {
        // SAFETY: the bytes were written by `on_non_coherent_memory`; no device writes them.
        unsafe { rig.read(one, 0, &mut [0_u8; 100]) }
    });
}

#[test]
fn accesses_to_owned_resources_report_each_failure_and_work_afterwards() {
    for profile in non_coherent_devices() {
        let rig = Rig::new(profile);
        // SAFETY: the create-info is valid; nothing is submitted.
        let buffer = unsafe { Buffer::new(&*rig, &buffer_info(200), &non_coherent()) }.expect("there is memory");
        let buffer = fail_each_access(&rig, buffer, |_, buffer| buffer.write(3, &[5_u8; 90]));
        // SAFETY: the bytes were written just now; no device writes them.
        let buffer = fail_each_access(&rig, buffer, |_, buffer| unsafe { buffer.read(3, &mut [0_u8; 90]) });
        let buffer = fail_each_access(&rig, buffer, |_, buffer| buffer.flush(3, 90));
        // SAFETY: as above.
        let buffer = fail_each_access(&rig, buffer, |_, buffer| unsafe { buffer.slice::<u8>(3, 90) }.map(|_| ()));
        let rows = image_info(16).tiling(vk::ImageTiling::LINEAR);
        // SAFETY: as above.
        let image = unsafe { Image::new(&*rig, &rows, &non_coherent()) }.expect("there is memory");
        let image = fail_each_access(&rig, image, |_, image| image.write(3, &[5_u8; 90]));
        // SAFETY: as above.
        let image = fail_each_access(&rig, image, |_, image| unsafe { image.read(3, &mut [0_u8; 90]) });
        let image = fail_each_access(&rig, image, |_, image| image.flush(3, 90));
        // SAFETY: as above.
        let image = fail_each_access(&rig, image, |_, image| unsafe { image.slice::<u8>(3, 90) }.map(|_| ()));
        drop((buffer, image));
        rig.finish();
    }
}

#[test]
fn silent_operations_work_on_a_lost_device() {
    for profile in every_device() {
        let (rig, live) = furnished(profile);
        let info = AllocationCreateInfo::upload().name("to be freed");
        let made = [info, info.dedicated(DedicatedUse::Always)].map(|info| {
            // SAFETY: the create-info is valid; nothing is submitted.
            unsafe { rig.create_buffer(&buffer_info(mib(1)), &info) }.expect("there is memory")
        });
        // SAFETY: as above.
        let image = unsafe { rig.create_image(&image_info(100), &AllocationCreateInfo::gpu_only()) };
        let (image, image_memory) = image.expect("there is memory");
        // SAFETY: as above.
        let mut owned = unsafe { Buffer::new(&*rig, &addressed(&rig), &info) }.expect("there is memory");
        // SAFETY: as above.
        let picture = unsafe { Image::new(&*rig, &image_info(100), &AllocationCreateInfo::gpu_only()) };
        let mut picture = picture.expect("there is memory");
        let pool = PoolCreateInfo::for_intent(Intent::Upload).min_block_count(2);
        let pool = rig.create_pool(&pool).expect("there is memory");
        let mut loose = rig.allocate(&linear(1000), &info.pool(&pool)).expect("there is memory");
        let another = rig.allocate(&linear(1000), &info.dedicated(DedicatedUse::Always)).expect("there is memory");
        silently(&rig, || look_at_everything(&rig, &live[0], &owned));
        silently(&rig, || {
            assert_eq!(rig.pool_statistics(&pool).map(|counters| counters.allocation_count), Some(1));
            rig.set_name(&mut loose, "later").expect("its own");
            owned.set_name("later");
            picture.set_name("later");
            for named in [&loose, owned.allocation(), picture.allocation()] {
                assert_eq!(rig.name_of(named).as_deref(), Some("later"));
            }
            rig.free_many(&mut vec![loose, another]).expect("both are alive");
            rig.destroy_pool(pool).expect("nothing of it is alive");
            drop((owned, picture));
            for (buffer, memory) in made {
                // SAFETY: the GPU has never seen it.
                unsafe { rig.destroy_buffer(buffer, memory) }.expect("it is alive");
            }
            // SAFETY: as above.
            unsafe { rig.destroy_image(image, image_memory) }.expect("it is alive");
            Made::of(live).undo(&rig);
            rig.trim();
        });
        assert_eq!(rig.control().reserved_bytes(), 0);
        rig.finish();
    }
}

/// Describes a buffer with an address, where the device has the feature.
fn addressed(rig: &Rig) -> vk::BufferCreateInfo<'static> {
    let info = buffer_info(100);
    let has_addresses = common::declared(&rig.vulkan).buffer_device_address;
    if has_addresses { info.usage(info.usage | vk::BufferUsageFlags::SHADER_DEVICE_ADDRESS) } else { info }
}

/// Everything that only looks.
fn look_at_everything(rig: &Rig, live: &Allocation, owned: &Buffer<&Allocator>) {
    let request = linear(mib(3));
    let info = AllocationCreateInfo::stream();
    rig.plan(&request, &info).expect("there is memory");
    rig.plan_many(&[request; 3], &info).expect("there is memory");
    rig.limits(Intent::GpuOnly).expect("there is a memory type");
    (0..310).for_each(|_| rig.tick());
    let has_budget = rig.properties().has_memory_budget;
    assert_eq!(rig.update_budget(), has_budget);
    assert!(!has_budget || rig.budget_age().operations == 0);
    rig.validate().expect("every invariant holds");
    assert_eq!(rig.statistics().total.allocation_count, rig.detailed_statistics().ranges.used_count);
    assert!(rig.memory_map().objects.iter().any(|object| object.memory == live.memory()));
    assert_eq!(rig.heap_usage(0).size, rig.properties().memory_heaps[0].size);
    assert_eq!((rig.name_of(live), rig.topology()), (None, rig.topology()));
    assert!(owned.allocation().size() >= 100);
    // SAFETY: the buffer is alive and bound, and has the usage where the device has the feature.
    let address = unsafe { rig.buffer_device_address(owned.handle()) };
    assert_eq!(address.is_some(), common::declared(&rig.vulkan).buffer_device_address);
    let is_asked = rig.vulkan.api_version() >= vk::API_VERSION_1_3 || common::declared(&rig.vulkan).maintenance4;
    // SAFETY: the create-infos are valid.
    assert!(unsafe { rig.requirements_of_buffer(&buffer_info(100)) }.is_ok_and(|needs| needs.is_some() == is_asked));
    // SAFETY: as above.
    assert!(unsafe { rig.requirements_of_image(&image_info(100)) }.is_ok_and(|needs| needs.is_some() == is_asked));
}
