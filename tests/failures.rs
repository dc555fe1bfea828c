//! Every driver call of every operation fails once, with every result it may have: nothing leaks, no counter changes,
//! and the same call then succeeds.
//!
//! Where the allocator survives the failure (another memory type, a smaller block), that is a success, and all is as
//! before once its result was freed and what is empty was given back.

mod common;

use ash::vk;
use ash::vk::Handle;
use common::failing::{Made, Tally, fail_each_call, furnished, on_every_profile};
use common::{Rig, buffer_info, create_info, image_info, linear, mib, requirements, state_of};
use freestone::sim::{Function, KIB, Profile, SimDevice};
use freestone::{
    AllocationCreateInfo, AllocationRequirements, Allocator, DedicatedPreference, DedicatedUse, Intent, Kind,
    PoolCreateInfo,
};

fn allocate(rig: &Rig, request: &AllocationRequirements, info: &AllocationCreateInfo<'_>) -> Result<Made, String> {
    let allocation = rig.allocate(request, info).map_err(|error| error.to_string())?;
    Ok(Made::of(vec![allocation]))
}

/// Opens every kind of memory, for every intent.
#[test]
fn allocate_survives_or_undoes_every_failure() {
    let required = AllocationRequirements { dedicated: DedicatedPreference::Required, ..linear(mib(2)) };
    let preferred = AllocationRequirements { dedicated: DedicatedPreference::Preferred, ..linear(mib(2)) };
    let kinds = [linear(4096), linear(mib(6)), required, preferred, requirements(mib(1), 65_536, Kind::NonLinear)];
    let mut sum = Tally::default();
    for request in kinds {
        for intent in Intent::ALL {
            let tally = on_every_profile(&|rig| allocate(rig, &request, &AllocationCreateInfo::new(intent)));
            sum = Tally { failed: sum.failed + tally.failed, survived: sum.survived + tally.survived };
        }
    }
    assert!(sum.failed > 100 && sum.survived > 100, "both were seen: {sum:?}");
}

#[test]
fn without_another_type_a_dedicated_allocation_survives_a_shortage_of_host_memory_alone() {
    let info = AllocationCreateInfo::upload().dedicated(DedicatedUse::Always).without_spilling();
    let tally = on_every_profile(&|rig| allocate(rig, &linear(mib(2)), &info));
    // Of the results of vkAllocateMemory one is retried: OUT_OF_HOST_MEMORY. Mapping and the others fail at once.
    assert!(tally.survived > 0 && tally.failed > 2 * tally.survived, "{tally:?}");
}

#[test]
fn allocate_many_keeps_all_or_nothing() {
    let requests = [linear(4096), linear(mib(6)), requirements(mib(1), 65_536, Kind::NonLinear), linear(mib(2))];
    for info in [AllocationCreateInfo::gpu_only(), AllocationCreateInfo::upload().without_spilling()] {
        let tally = on_every_profile(&|rig| {
            Ok(Made::of(rig.allocate_many(&requests, &info).map_err(|error| error.to_string())?))
        });
        assert!(tally.failed >= 20, "{tally:?}");
    }
}

#[test]
fn create_buffer_undoes_everything() {
    for size in [1000, mib(8)] {
        for intent in [Intent::GpuOnly, Intent::Upload, Intent::Readback] {
            let info = AllocationCreateInfo::new(intent).name("under test").without_spilling();
            let tally = on_every_profile(&|rig| {
                // SAFETY: the create-info is valid; nothing is submitted.
                let made = unsafe { rig.create_buffer(&buffer_info(size), &info) };
                let (buffer, allocation) = made.map_err(|error| error.to_string())?;
                Ok(Made { buffers: vec![buffer], ..Made::of(vec![allocation]) })
            });
            assert!(tally.failed >= 40, "{tally:?}");
        }
    }
}

#[test]
fn create_image_undoes_everything() {
    let attachment = image_info(1024).usage(vk::ImageUsageFlags::COLOR_ATTACHMENT);
    for image_info in [image_info(60), attachment, image_info(32).tiling(vk::ImageTiling::LINEAR)] {
        let tally = on_every_profile(&|rig| {
            // SAFETY: the create-info is valid; nothing is submitted.
            let made = unsafe { rig.create_image(&image_info, &AllocationCreateInfo::gpu_only()) };
            let (image, allocation) = made.map_err(|error| error.to_string())?;
            Ok(Made { images: vec![image], ..Made::of(vec![allocation]) })
        });
        assert!(tally.failed >= 40, "{tally:?}");
    }
}

#[test]
fn aliasing_creation_undoes_everything() {
    for profile in common::every_device() {
        let rig = Rig::new(profile);
        rig.control().allow_aliasing(true);
        let room = requirements(mib(1), 65_536, Kind::NonLinear);
        let room = rig.allocate(&room, &AllocationCreateInfo::gpu_only().can_alias()).expect("there is memory");
        let buffers = fail_each_call(&rig, &|rig| {
            // SAFETY: the create-info is valid; nothing is submitted.
            let buffer = unsafe { rig.create_aliasing_buffer(&buffer_info(512), &room, 256) };
            Ok(Made { buffers: vec![buffer.map_err(|error| error.to_string())?], ..Made::default() })
        });
        assert!(buffers.failed >= 5 && buffers.survived == 0, "{buffers:?}");
        let images = fail_each_call(&rig, &|rig| {
            // SAFETY: the create-info is valid; nothing is submitted.
            let image = unsafe { rig.create_aliasing_image(&image_info(100), &room, 0) };
            Ok(Made { images: vec![image.map_err(|error| error.to_string())?], ..Made::default() })
        });
        assert!(images.failed >= 5 && images.survived == 0, "{images:?}");
        Made::of(vec![room]).undo(&rig);
        rig.finish();
    }
}

#[test]
fn prewarm_and_create_pool_keep_nothing() {
    let tally = on_every_profile(&|rig| {
        rig.prewarm(Intent::Upload, mib(3)).map_err(|error| error.to_string())?;
        Ok(Made { is_kept: true, ..Made::default() })
    });
    // What is out of host memory is tried once more.
    assert!(tally.failed > 30 && tally.survived < tally.failed, "{tally:?}");
    let tally = on_every_profile(&|rig| {
        let info = PoolCreateInfo::for_intent(Intent::Upload).block_size(64 * KIB).min_block_count(3);
        let pool = rig.create_pool(&info).map_err(|error| error.to_string())?;
        Ok(Made { pools: vec![pool], ..Made::default() })
    });
    assert!(tally.failed > 30, "{tally:?}");
}

/// Freeing calls only functions that cannot fail, whatever else does.
#[test]
fn free_and_trim_call_nothing_that_can_fail() {
    for profile in common::every_device() {
        let (rig, live) = furnished(profile);
        let more = rig.allocate(&linear(mib(40)), &AllocationCreateInfo::gpu_only().dedicated(DedicatedUse::Always));
        rig.prewarm(Intent::GpuOnly, mib(2)).expect("there is memory");
        let before = rig.control().failable_calls();
        rig.control().fail_when(|_| Some(vk::Result::ERROR_DEVICE_LOST));
        Made::of(live).undo(&rig);
        Made::of(more.into_iter().collect()).undo(&rig);
        assert!(rig.trim() > 0);
        assert_eq!(rig.control().failable_calls(), before);
        assert_eq!(rig.control().reserved_bytes(), 0);
        assert_eq!(rig.statistics().total.reserved_bytes(), 0);
        rig.finish();
    }
}

/// `vkFlushMappedMemoryRanges` and its counterpart fail: the error says so, and nothing else has happened.
#[test]
fn flush_and_invalidate_report_every_failure() {
    let rig = Rig::new(Profile::noncoherent());
    let info = AllocationCreateInfo::readback().required_flags(vk::MemoryPropertyFlags::HOST_CACHED);
    let mut allocation = rig.allocate(&linear(4096), &info).expect("there is memory");
    assert!(allocation.is_non_coherent());
    let before = state_of(&rig);
    for function in [Function::FlushMappedMemoryRanges, Function::InvalidateMappedMemoryRanges] {
        for &result in function.failures() {
            rig.control().fail_nth_of(function, 1, result);
            let outcome = match function {
                Function::FlushMappedMemoryRanges => rig.write(&mut allocation, 0, &[1_u8; 8]),
                _ => rig.invalidate(&allocation, 0, 8),
            };
            let failed = |error: freestone::AccessError| matches!(error, freestone::AccessError::Driver(e) if e.result == result);
            assert!(outcome.is_err_and(failed));
            assert_eq!(state_of(&rig), before);
            rig.write(&mut allocation, 0, &[1_u8; 8]).expect("the second time it succeeds");
        }
    }
    Made::of(vec![allocation]).undo(&rig);
    rig.finish();
}

#[test]
fn a_new_allocator_reports_every_failure_and_leaves_nothing() {
    for profile in common::every_device() {
        let vulkan = SimDevice::new(profile);
        let control = vulkan.control().clone();
        // SAFETY: the objects belong together and outlive the allocator.
        let make = || unsafe { Allocator::new(create_info(&vulkan)) }.map_err(|error| error.to_string());
        let mut failures = 0;
        for n in 1.. {
            control.take_calls();
            drop(make().expect("nothing fails yet"));
            let calls = control.take_calls();
            let nth = usize::try_from(n - 1).expect("few calls");
            let Some(call) = calls.iter().filter(|call| call.function.can_fail()).nth(nth) else { break };
            for &result in call.function.failures() {
                let before = control.snapshot();
                control.fail_nth(n, result);
                let error = make().map(|_| ()).expect_err("it passes the failure on");
                assert!(error.contains(call.function.name()), "{error}");
                assert_eq!(control.snapshot(), before);
                control.clear_faults();
                drop(make().expect("the second time it succeeds"));
                failures += 1;
            }
        }
        assert!(failures >= 4, "{failures}: the extensions are listed in two calls");
        control.assert_clean();
    }
}

/// A name given to what could not be made is forgotten.
#[test]
fn the_ledger_forgets_what_failed() {
    let vulkan = SimDevice::new(Profile::unified());
    let leaks = std::sync::Arc::new(std::sync::Mutex::new(None));
    let heard = leaks.clone();
    let rig = Rig::with(vulkan, |info| {
        info.on_leak(move |report| *heard.lock().expect("nobody panics") = Some(report.clone()))
    });
    rig.control().fail_nth_of(Function::BindBufferMemory, 1, vk::Result::ERROR_OUT_OF_DEVICE_MEMORY);
    rig.control().fail_nth_of(Function::BindBufferMemory2, 1, vk::Result::ERROR_OUT_OF_DEVICE_MEMORY);
    // SAFETY: the create-info is valid; nothing is submitted.
    let made = unsafe { rig.create_buffer(&buffer_info(100), &AllocationCreateInfo::gpu_only().name("never made")) };
    assert!(made.is_err());
    let kept = rig.allocate(&linear(100), &AllocationCreateInfo::gpu_only().name("kept")).expect("there is memory");
    assert!(!kept.memory().is_null());
    let control = rig.control().clone();
    drop(rig);
    let report = leaks.lock().expect("nobody panics").take().expect("one allocation is alive");
    assert_eq!(report.leaks.iter().map(|leak| leak.name.as_str()).collect::<Vec<_>>(), ["kept"]);
    assert_eq!(report.allocation_count, 1);
    assert_eq!(control.violation_count(), 1, "the one object that its owner never freed: {:?}", control.violations());
}
