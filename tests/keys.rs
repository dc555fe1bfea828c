//! What a user holds: keys that only their allocator takes, memory that outlives it, and the ways to its bytes.

mod common;

use core::mem::MaybeUninit;
use std::rc::Rc;
use std::sync::{Arc, Mutex};

use ash::vk;
use common::{Rig, buffer_info, create_info, image_info, linear, mib, requirements, state_of};
use freestone::sim::{Function, KIB, ObjectKind, Profile, SimDevice};
use freestone::{
    AccessError, Algorithm, AliasError, AllocationCreateInfo, AllocationError, AllocationRange, AllocationRequirements,
    Allocator, AllocatorCreateInfo, Buffer, CreateError, DedicatedUse, DeviceAddress, DeviceError, Features,
    FreeErrorReason, Image, Intent, Kind, LeakReport, MemoryCallbacks, PoolCreateInfo,
};

#[test]
fn a_foreign_key_is_handed_back_untouched() {
    let vulkan = SimDevice::new(Profile::noncoherent());
    // SAFETY: the objects belong together; the allocators are dropped before the device.
    let [own, foreign] = [(), ()].map(|()| unsafe { Allocator::new(create_info(&vulkan)) }.expect("an allocator"));
    let info = AllocationCreateInfo::stream().name("somebody else's");
    let mine = own.allocate(&linear(4096), &info).expect("there is memory");
    let mut theirs = foreign.allocate(&linear(4096), &info).expect("there is memory");
    let before = (own.statistics(), foreign.statistics(), vulkan.control().total_calls());
    let error = own.free(theirs).expect_err("it is not its own");
    assert_eq!(error.reason, FreeErrorReason::Foreign);
    assert_eq!(error.to_string(), "the allocation belongs to another allocator; the allocation is handed back");
    theirs = error.allocation;
    // SAFETY: the create-info is valid; nothing is submitted.
    let buffer = unsafe { vulkan.device().create_buffer(&buffer_info(100), None) }.expect("a buffer");
    // SAFETY: the buffer is alive; the allocator refuses before it touches it.
    theirs = unsafe { own.destroy_buffer(buffer, theirs) }.expect_err("it is not its own").allocation;
    assert_eq!(own.write(&mut theirs, 0, &[1_u8]), Err(AccessError::Foreign));
    assert_eq!(own.flush(&theirs, 0, 1), Err(AccessError::Foreign));
    assert_eq!(own.invalidate(&theirs, 0, 1), Err(AccessError::Foreign));
    let ranges = [AllocationRange::whole(&mine), AllocationRange::whole(&theirs)];
    let flushes = vulkan.control().count(Function::FlushMappedMemoryRanges);
    assert_eq!(own.flush_many(&ranges), Err(AccessError::Foreign));
    assert_eq!(vulkan.control().count(Function::FlushMappedMemoryRanges), flushes, "not even its own range");
    assert_eq!(own.name_of(&theirs), None);
    assert_eq!(foreign.name_of(&theirs).as_deref(), Some("somebody else's"));
    // SAFETY: the create-info is valid.
    let alias = unsafe { own.create_aliasing_buffer(&buffer_info(16), &theirs, 0) };
    assert!(matches!(alias, Err(AllocationError::Alias(AliasError::Foreign))));
    assert_eq!(vulkan.control().live(ObjectKind::Buffer), 1, "the buffer handed in is alive, the alias is not");
    assert_eq!((own.statistics(), foreign.statistics()), (before.0, before.1));
    // SAFETY: the GPU has never seen it.
    unsafe { foreign.destroy_buffer(buffer, theirs) }.expect("its own allocator takes it");
    own.free(mine).expect("its own allocator takes it");
    drop((own, foreign));
    assert!(vulkan.finish().is_empty());
}

#[test]
fn an_allocator_dropped_with_live_allocations_leaves_them_readable_and_reports_them() {
    let reports = Arc::new(Mutex::new(Vec::<LeakReport>::new()));
    let vulkan = SimDevice::new(Profile::unified());
    let control = vulkan.control().clone();
    let heard = Arc::clone(&reports);
    let info = create_info(&vulkan).on_leak(move |report| heard.lock().expect("nobody panics").push(report.clone()));
    // SAFETY: the objects belong together; every allocation is gone before the device.
    let allocator = unsafe { Allocator::new(info) }.expect("an allocator");
    let upload = AllocationCreateInfo::upload();
    let mut shared = allocator.allocate(&linear(1000), &upload.name("shared")).expect("there is memory");
    let mut own = allocator.allocate(&linear(mib(5)), &upload.name("own block")).expect("there is memory");
    let dedicated = upload.dedicated(DedicatedUse::Always).name("dedicated");
    let mut dedicated = allocator.allocate(&linear(2000), &dedicated).expect("there is memory");
    let unnamed = allocator.allocate(&linear(100), &upload).expect("there is memory");
    let freed = allocator.allocate(&linear(100), &upload.name("freed")).expect("there is memory");
    allocator.free(freed).expect("it is alive");
    let empty = allocator.allocate(&linear(mib(7)), &AllocationCreateInfo::gpu_only()).expect("there is memory");
    allocator.free(empty).expect("it is alive");
    shared.fill(0, 1000, 7).expect("it is mapped");
    let objects = control.memory_object_count();
    drop(allocator);
    assert!(control.memory_object_count() < objects, "what nobody uses went back");
    assert_eq!(control.memory_object_count(), 3, "what somebody holds did not");
    for allocation in [&mut shared, &mut own, &mut dedicated] {
        let size = allocation.size();
        allocation.fill(0, size, 9).expect("it is still mapped");
        let mut last = [0_u8];
        // SAFETY: it was filled just now; no device writes it.
        unsafe { allocation.read(size - 1, &mut last) }.expect("it is still mapped");
        assert_eq!(last, [9]);
    }
    let reports = reports.lock().expect("nobody panics");
    let [report] = reports.as_slice() else { panic!("one report, not {}", reports.len()) };
    let names: Vec<_> = report.leaks.iter().map(|leak| (leak.name.as_str(), leak.size)).collect();
    assert_eq!(names, [("shared", 1000), ("own block", mib(5)), ("dedicated", 2000)], "in the order of their making");
    assert_eq!(report.allocation_count, 4);
    assert!(report.allocation_bytes >= mib(5) + 3100);
    drop((shared, own, dedicated, unnamed));
    control.assert_clean();
    assert_eq!(vulkan.finish().len(), 3, "the driver misses the three objects");
}

#[test]
fn every_allocation_is_tracked_where_asked_for() {
    let reports = Arc::new(Mutex::new(Vec::<LeakReport>::new()));
    let heard = Arc::clone(&reports);
    let on_leak = move |report: &LeakReport| heard.lock().expect("nobody panics").push(report.clone());
    let rig =
        Rig::with(SimDevice::new(Profile::unified()), |info| info.track_all().record_backtraces().on_leak(on_leak));
    let allocate = || rig.allocate(&linear(10), &AllocationCreateInfo::gpu_only()).expect("there is memory");
    let (freed, leaked) = (allocate(), allocate());
    assert_eq!([&freed, &leaked].map(|one| rig.name_of(one)), [Some(String::new()), Some(String::new())]);
    rig.free(freed).expect("it is alive");
    drop(rig);
    let reports = reports.lock().expect("nobody panics");
    let [leak] = reports[0].leaks.as_slice() else { panic!("{reports:?}") };
    assert_eq!((leak.name.as_str(), leak.size, leak.birth), ("", 10, 2));
    assert!(leak.backtrace.as_ref().is_some_and(|trace| trace.contains("keys")), "{leak:?}");
    let text = reports[0].to_string();
    assert!(
        text.contains("1 allocations (64 bytes) were alive\nnever freed: an allocation without a name, 10 bytes"),
        "{text}"
    );
    assert!(text.contains("keys"), "the text says where it was made: {text}");
}

/// What is at hand in a custom pool is tracked like all else.
#[test]
fn every_allocation_of_a_custom_pool_is_tracked_where_asked_for() {
    let rig =
        Rig::with(SimDevice::new(Profile::unified()), |info| info.track_all().on_leak(|report| panic!("{report:?}")));
    for algorithm in [Algorithm::Tlsf, Algorithm::Linear, Algorithm::Fixed { slot_size: 256 }] {
        let info = PoolCreateInfo::for_intent(Intent::GpuOnly).algorithm(algorithm);
        let pool = rig.create_pool(&info).expect("there is room for a pool");
        let wishes = AllocationCreateInfo::gpu_only().pool(&pool);
        let live: Vec<_> = (0..3).map(|_| rig.allocate(&linear(256), &wishes).expect("there is memory")).collect();
        for allocation in live {
            assert_eq!(rig.name_of(&allocation), Some(String::new()), "{algorithm:?}");
            rig.free(allocation).expect("it is alive");
        }
        rig.destroy_pool(pool).expect("nothing of it is alive");
    }
    rig.finish();
}

/// What a thing is, is often known only when it is in use.
#[test]
fn an_allocation_is_named_and_named_anew_while_it_lives() {
    let reports = Arc::new(Mutex::new(Vec::<LeakReport>::new()));
    let heard = Arc::clone(&reports);
    let on_leak = move |report: &LeakReport| heard.lock().expect("nobody panics").push(report.clone());
    let rig = Rig::with(SimDevice::new(Profile::unified()), |info| info.on_leak(on_leak));
    let other = Rig::new(Profile::unified());
    let info = AllocationCreateInfo::gpu_only();
    for wishes in [info, info.name("first"), info.dedicated(DedicatedUse::Always)] {
        let mut allocation = rig.allocate(&linear(10), &wishes).expect("there is memory");
        for name in ["a rock", "", "moss"] {
            rig.set_name(&mut allocation, name).expect("its own");
            assert_eq!(rig.name_of(&allocation).as_deref(), Some(name));
        }
        assert_eq!(other.set_name(&mut allocation, "stone"), Err(AccessError::Foreign));
        let named: Vec<_> = rig.memory_map().objects.iter().flat_map(|object| object.ranges.clone()).collect();
        assert_eq!(named.iter().filter_map(|range| range.name.as_deref()).collect::<Vec<_>>(), ["moss"]);
        rig.free(allocation).expect("it is alive");
    }
    // A place that was named has no name for the next one.
    let unnamed = rig.allocate(&linear(10), &info).expect("there is memory");
    assert_eq!(rig.name_of(&unnamed), None);
    rig.free(unnamed).expect("it is alive");
    // SAFETY: the create-info is valid; the GPU never sees the buffer.
    let mut buffer = unsafe { Buffer::new(&*rig, &buffer_info(256), &info) }.expect("there is memory");
    buffer.set_name("uniforms");
    assert_eq!(rig.name_of(buffer.allocation()).as_deref(), Some("uniforms"));
    drop(buffer);
    let mut leaked = [(); 2].map(|()| rig.allocate(&linear(10), &info).expect("there is memory"));
    for (allocation, name) in leaked.iter_mut().zip(["earth", "water"]) {
        rig.set_name(allocation, name).expect("its own");
    }
    rig.set_name(&mut leaked[0], "fire").expect("its own");
    drop(leaked);
    drop(rig);
    let reports = reports.lock().expect("nobody panics");
    let leaks = reports[0].leaks.iter().map(|leak| (leak.name.as_str(), leak.size));
    assert_eq!(leaks.collect::<Vec<_>>(), [("fire", 10), ("water", 10)], "in the order of their first naming");
    other.finish();
}

#[test]
fn an_allocator_dropped_empty_reports_nothing() {
    let rig = Rig::with(SimDevice::new(Profile::unified()), |info| info.on_leak(|report| panic!("{report:?}")));
    let allocation = rig.allocate(&linear(10), &AllocationCreateInfo::gpu_only().name("freed")).expect("memory");
    rig.free(allocation).expect("it is alive");
    rig.finish();
}

#[test]
fn bytes_go_in_and_come_out_on_every_profile() {
    for profile in Profile::all() {
        let rig = Rig::new(profile);
        for info in [AllocationCreateInfo::upload(), AllocationCreateInfo::stream(), AllocationCreateInfo::readback()] {
            let mut allocation = rig.allocate(&linear(4096), &info).expect("there is memory");
            let values: Vec<u32> = (0..100).collect();
            rig.write(&mut allocation, 12, &values).expect("in bounds");
            let mut read = vec![0_u32; 100];
            // SAFETY: the values were written just now; no device writes them.
            unsafe { allocation.read(12, &mut read) }.expect("in bounds");
            assert_eq!(read, values);
            // SAFETY: as above.
            assert_eq!(unsafe { allocation.slice::<u32>(12, 100) }.expect("aligned"), values);
            let zeroed = allocation.zeroed_slice_mut::<u64>(64, 8).expect("aligned");
            assert_eq!(zeroed, [0; 8]);
            zeroed[3] = 0xfeed;
            // SAFETY: as above.
            assert_eq!(unsafe { allocation.slice::<u64>(64, 4) }.expect("aligned"), [0, 0, 0, 0xfeed]);
            allocation.write(1, &[0x0102_0304_u32]).expect("any offset will do");
            rig.flush(&allocation, 0, 4096).expect("in bounds");
            rig.free(allocation).expect("it is alive");
        }
        rig.finish();
    }
}

#[test]
fn fresh_memory_is_lent_as_maybe_uninit_only() {
    let rig = Rig::new(Profile::discrete_rebar());
    let mut allocation = rig.allocate(&linear(256), &AllocationCreateInfo::upload()).expect("there is memory");
    let fresh: &mut [MaybeUninit<[f32; 4]>] = allocation.uninit_slice_mut(0, 16).expect("in bounds");
    for value in fresh {
        value.write([1.0; 4]);
    }
    // SAFETY: every value was written just now; no device writes them.
    let written = unsafe { allocation.slice::<u32>(0, 64) }.expect("in bounds");
    assert_eq!(written, [1.0_f32.to_bits(); 64]);
    rig.free(allocation).expect("it is alive");
    rig.finish();
}

#[test]
fn accesses_out_of_bounds_misaligned_or_unmapped_are_errors() {
    let rig = Rig::new(Profile::discrete_rebar());
    let mut mapped = rig.allocate(&linear(100), &AllocationCreateInfo::upload()).expect("there is memory");
    let out = |offset, len| AccessError::OutOfBounds { offset, len, size: 100 };
    mapped.write(0, &[1_u8; 100]).expect("exactly in bounds");
    mapped.write::<u8>(100, &[]).expect("nothing, at the end");
    assert_eq!(mapped.write(1, &[1_u8; 100]), Err(out(1, 100)));
    assert_eq!(mapped.write(u64::MAX, &[1_u8]), Err(out(u64::MAX, 1)));
    assert_eq!(mapped.fill(99, 2, 0), Err(out(99, 2)));
    assert_eq!(mapped.fill(0, u64::MAX, 0), Err(out(0, u64::MAX)));
    assert!(matches!(mapped.uninit_slice_mut::<u64>(0, usize::MAX), Err(AccessError::OutOfBounds { .. })));
    let misaligned = AccessError::Misaligned { offset: 2, alignment: 4 };
    assert_eq!(mapped.uninit_slice_mut::<u32>(2, 1).map(|_| ()), Err(misaligned));
    assert_eq!(mapped.zeroed_slice_mut::<u32>(2, 1).map(|_| ()), Err(misaligned));
    assert_eq!(mapped.zeroed_slice_mut::<u32>(100, 1).map(|_| ()), Err(out(100, 4)));
    // SAFETY: all bytes were written above, and each call is refused.
    assert_eq!(unsafe { mapped.slice::<u32>(2, 1) }.map(|_| ()), Err(misaligned));
    // SAFETY: as above.
    assert_eq!(unsafe { mapped.read(98, &mut [0_u32]) }, Err(out(98, 4)));
    assert_eq!(rig.flush(&mapped, 50, 51), Err(out(50, 51)));
    assert_eq!(rig.invalidate(&mapped, 101, 0), Err(out(101, 0)));
    let device = AllocationCreateInfo::gpu_only();
    let mut unmapped = rig.allocate(&linear(100), &device).expect("there is memory");
    assert!(unmapped.mapped_ptr().is_none());
    assert_eq!(rig.write(&mut unmapped, 0, &[1_u8]), Err(AccessError::NotMapped));
    assert_eq!(unmapped.fill(0, 1, 0), Err(AccessError::NotMapped));
    assert_eq!(rig.flush(&unmapped, 0, 1), Err(AccessError::NotMapped));
    rig.free(mapped).expect("it is alive");
    rig.free(unmapped).expect("it is alive");
    rig.finish();
}

/// One range and many, up to what one driver call carries and past it.
#[test]
fn every_range_of_a_list_is_flushed_but_those_without_a_byte() {
    let rig = Rig::new(Profile::noncoherent());
    let info = AllocationCreateInfo::readback().required_flags(vk::MemoryPropertyFlags::HOST_CACHED);
    for count in [1, 2, 3, 15, 16, 17, 33] {
        let mut written: Vec<_> = (0..count).map(|_| rig.allocate(&linear(300), &info).expect("memory")).collect();
        for allocation in &mut written {
            allocation.fill(0, 300, 7).expect("it is mapped");
        }
        rig.control().take_calls();
        rig.flush_many(&written.iter().map(AllocationRange::whole).collect::<Vec<_>>()).expect("in bounds");
        let nothing = |allocation| AllocationRange { allocation, offset: 100, size: 0 };
        rig.flush_many(&written.iter().map(nothing).collect::<Vec<_>>()).expect("in bounds");
        assert_eq!(rig.control().take_calls().len(), usize::div_ceil(count, 16), "{count} ranges, 16 to a call");
        // What was not flushed would be lost here, and the driver would say so.
        for allocation in written {
            rig.invalidate(&allocation, 0, 300).expect("in bounds");
            // SAFETY: all bytes were written; no device writes them.
            let bytes = unsafe { allocation.slice::<u8>(0, 300) }.expect("it is mapped");
            assert_eq!(bytes, [7; 300], "of {count}");
            rig.free(allocation).expect("it is alive");
        }
    }
    rig.finish();
}

/// Neighbours in non-coherent memory: each writes, and flushes ranges that begin and end within atoms.
#[test]
fn flush_and_invalidate_keep_the_neighbours_writes_and_the_tail() {
    let rig = Rig::new(Profile::noncoherent());
    let atom = rig.properties().non_coherent_atom_size;
    assert_eq!(atom, 256);
    let info = AllocationCreateInfo::readback().required_flags(vk::MemoryPropertyFlags::HOST_CACHED);
    let mut neighbours: Vec<_> = (1..40)
        .map(|n| rig.allocate(&requirements(n * 13, 1, Kind::Linear), &info).expect("there is memory"))
        .collect();
    for allocation in &neighbours {
        assert!(allocation.is_non_coherent());
        assert_eq!(allocation.offset() % atom, 0, "no atom has two owners");
    }
    for (value, allocation) in (1_u8..).zip(&mut neighbours) {
        allocation.fill(0, allocation.size(), value).expect("it is mapped");
    }
    // Every second one is invalidated while its neighbours' writes are not flushed: those must survive.
    for allocation in neighbours.iter().step_by(2) {
        rig.flush(allocation, 0, allocation.size()).expect("in bounds");
        rig.invalidate(allocation, 3, allocation.size() - 3).expect("in bounds");
    }
    let tail = |allocation| AllocationRange { allocation, offset: 5, size: allocation.size() - 5 };
    let rest: Vec<_> = neighbours.iter().skip(1).step_by(2).map(tail).collect();
    let calls = rig.control().count(Function::FlushMappedMemoryRanges);
    rig.flush_many(&rest).expect("in bounds");
    assert_eq!(rig.control().count(Function::FlushMappedMemoryRanges), calls + 2, "19 ranges, 16 to a call");
    rig.invalidate_many(&neighbours.iter().map(AllocationRange::whole).collect::<Vec<_>>()).expect("in bounds");
    for (value, allocation) in (1_u8..).zip(&neighbours) {
        let size = usize::try_from(allocation.size()).expect("small");
        // SAFETY: all bytes were written; no device writes them.
        let bytes = unsafe { allocation.slice::<u8>(0, size) }.expect("it is mapped");
        assert!(bytes.iter().all(|byte| *byte == value), "of {size} bytes of {value}: {bytes:?}");
    }
    // The last bytes of the memory object itself: the range is clamped, not past its end.
    let whole = info.dedicated(DedicatedUse::Always);
    let mut odd = rig.allocate(&linear(1000), &whole).expect("there is memory");
    rig.write(&mut odd, 990, &[1_u8; 10]).expect("in bounds");
    rig.invalidate(&odd, 0, 1000).expect("in bounds");
    rig.free(odd).expect("it is alive");
    for allocation in neighbours {
        rig.free(allocation).expect("it is alive");
    }
    rig.finish();
}

#[test]
fn coherent_memory_is_flushed_without_a_driver_call() {
    let rig = Rig::new(Profile::discrete_rebar());
    let mut allocation = rig.allocate(&linear(4096), &AllocationCreateInfo::upload()).expect("there is memory");
    let calls = rig.control().total_calls();
    rig.write(&mut allocation, 0, &[1_u8; 4096]).expect("in bounds");
    rig.invalidate(&allocation, 0, 4096).expect("in bounds");
    assert_eq!(rig.control().total_calls(), calls);
    rig.free(allocation).expect("it is alive");
    rig.finish();
}

#[test]
fn owned_resources_go_when_they_are_dropped_behind_every_reference() {
    let vulkan = SimDevice::new(Profile::discrete_bar256());
    let control = vulkan.control().clone();
    // SAFETY: the objects belong together; everything is dropped before the device.
    let allocator = || unsafe { Allocator::new(create_info(&vulkan)) }.expect("an allocator");
    let info = AllocationCreateInfo::upload();
    let (arc, rc, borrowed) = (Arc::new(allocator()), Rc::new(allocator()), allocator());
    // SAFETY: the create-infos are valid; nothing is submitted; the device outlives the values.
    let mut of_atomic = unsafe { Buffer::new(Arc::clone(&arc), &buffer_info(100), &info) }.expect("a buffer");
    // SAFETY: as above.
    let of_count = unsafe { Image::new(Rc::clone(&rc), &image_info(64), &AllocationCreateInfo::gpu_only()) };
    let of_count = of_count.expect("an image");
    // SAFETY: as above.
    let of_box = unsafe { Buffer::new(Box::new(allocator()), &buffer_info(300), &info) }.expect("a buffer");
    // SAFETY: as above.
    let of_borrow = unsafe { Image::new(&borrowed, &image_info(16), &AllocationCreateInfo::gpu_only()) };
    let of_borrow = of_borrow.expect("an image");
    of_atomic.write(0, &[1_u32, 2, 3]).expect("it is mapped");
    assert_eq!(of_box.allocation().size(), 512, "the driver's requirement of 300 bytes");
    assert_ne!(of_count.handle(), of_borrow.handle());
    assert!(format!("{of_atomic:?}").starts_with("Buffer { handle: "));
    assert_eq!((control.live(ObjectKind::Buffer), control.live(ObjectKind::Image)), (2, 2));
    drop(arc);
    std::thread::spawn(move || drop(of_atomic)).join().expect("it may be dropped on another thread");
    drop((of_count, of_box, of_borrow));
    drop((rc, borrowed));
    assert_eq!((control.live(ObjectKind::Buffer), control.live(ObjectKind::Image)), (0, 0));
    assert_eq!(control.memory_object_count(), 0);
    assert!(vulkan.finish().is_empty());
}

#[test]
fn a_declared_feature_without_its_function_is_an_error() {
    let make = |vulkan: &SimDevice, version, features| {
        let info =
            AllocatorCreateInfo::new(vulkan.entry(), vulkan.instance(), vulkan.physical_device(), vulkan.device());
        // SAFETY: the objects belong together; the allocator is dropped at once. What is declared is not true, which
        // the allocator has to find out before it calls anything.
        unsafe { Allocator::new(info.api_version(version).features(features)) }.map(drop)
    };
    let none = Features::default();
    let bare = SimDevice::builder(Profile::unified().vulkan_1_0()).instance_extensions(&[]).build().expect("a device");
    make(&bare, vk::API_VERSION_1_0, none).expect("Vulkan 1.0 alone will do");
    let declared = [
        Features { dedicated_allocation: true, ..none },
        Features { maintenance4: true, ..none },
        Features { get_physical_device_properties2: true, ..none },
    ];
    for features in declared {
        let error = make(&bare, vk::API_VERSION_1_0, features).expect_err("the function is missing");
        assert!(matches!(error, CreateError::Device(DeviceError::MissingFunction { .. })), "{features:?}: {error}");
    }
    let error = make(&bare, vk::API_VERSION_1_3, none).expect_err("the device offers 1.0");
    assert!(matches!(error, CreateError::Device(DeviceError::UnsupportedVersion { .. })), "{error}");
    bare.control().assert_clean();
}

#[test]
fn a_device_of_vulkan_1_0_serves_everything_it_can() {
    for profile in Profile::all() {
        let vulkan = SimDevice::builder(profile.vulkan_1_0()).instance_extensions(&[]).build().expect("a device");
        let rig = Rig::with(vulkan, |info| info.features(Features::default()));
        assert!(!rig.update_budget(), "there is no budget to be had");
        // SAFETY: the create-info is valid; nothing is submitted.
        let made = unsafe { rig.create_buffer(&buffer_info(5000), &AllocationCreateInfo::upload()) };
        let (buffer, mut memory) = made.expect("a buffer");
        rig.write(&mut memory, 0, &[1_u8; 5000]).expect("it is mapped");
        let info = AllocationCreateInfo::gpu_only().dedicated(DedicatedUse::Always);
        // SAFETY: as above.
        let (image, image_memory) = unsafe { rig.create_image(&image_info(700), &info) }.expect("an image");
        // SAFETY: the GPU has never seen them.
        unsafe { rig.destroy_buffer(buffer, memory) }.expect("it is alive");
        // SAFETY: as above.
        unsafe { rig.destroy_image(image, image_memory) }.expect("it is alive");
        rig.finish();
    }
}

#[test]
fn requests_that_nothing_can_serve_are_refused_before_anything_happens() {
    let rig = Rig::new(Profile::discrete_rebar());
    let info = AllocationCreateInfo::gpu_only();
    let before = (state_of(&rig), rig.control().total_calls());
    assert!(matches!(rig.allocate(&linear(0), &info), Err(AllocationError::ZeroSize)));
    let crooked = AllocationRequirements { alignment: 24, ..linear(8) };
    assert!(matches!(rig.allocate(&crooked, &info), Err(AllocationError::BadAlignment { alignment: 24 })));
    let nowhere = AllocationRequirements { memory_type_bits: 0, ..linear(8) };
    let error = rig.allocate(&nowhere, &info).expect_err("no type is allowed");
    let AllocationError::NoMemoryType { memory_type_bits: 0, verdicts } = &error else { panic!("{error}") };
    assert_eq!(verdicts.len(), 8, "every type has its reason");
    let protected = info.required_flags(vk::MemoryPropertyFlags::PROTECTED);
    assert!(matches!(rig.allocate(&linear(8), &protected), Err(AllocationError::UnsupportedFlags(_))));
    let coherent = info.required_flags(vk::MemoryPropertyFlags::DEVICE_COHERENT_AMD);
    assert!(matches!(rig.allocate(&linear(8), &coherent), Err(AllocationError::UnsupportedFlags(_))));
    let required = AllocationRequirements { dedicated: freestone::DedicatedPreference::Required, ..linear(8) };
    for wish in [info.can_alias(), info.dedicated(DedicatedUse::Never)] {
        assert!(matches!(rig.allocate(&required, &wish), Err(AllocationError::DedicatedConflict { .. })));
    }
    assert_eq!((state_of(&rig), rig.control().total_calls()), before);
    rig.finish();
    let rig = Rig::with(SimDevice::new(Profile::discrete_rebar()), |info| info.features(Features::default()));
    let addressed = AllocationRequirements { device_address: DeviceAddress::Needed, ..linear(8) };
    assert!(matches!(rig.allocate(&addressed, &info), Err(AllocationError::Unsupported { .. })));
    rig.finish();
}

#[test]
fn memory_callbacks_hear_of_every_object() {
    let heard = Arc::new(Mutex::new(Vec::new()));
    let (after, before) = (Arc::clone(&heard), Arc::clone(&heard));
    let callbacks = MemoryCallbacks::new()
        .after_allocate(move |event| after.lock().expect("nobody panics").push(('+', *event)))
        .before_free(move |event| before.lock().expect("nobody panics").push(('-', *event)));
    let rig = Rig::with(SimDevice::new(Profile::unified()), |info| info.memory_callbacks(callbacks));
    let shared = rig.allocate(&linear(100), &AllocationCreateInfo::upload()).expect("there is memory");
    let info = AllocationCreateInfo::gpu_only().dedicated(DedicatedUse::Always);
    let alone = rig.allocate(&linear(64 * KIB), &info).expect("there is memory");
    let handles = [shared.memory(), alone.memory()];
    rig.free(alone).expect("it is alive");
    rig.free(shared).expect("it is alive");
    rig.trim();
    let heard = heard.lock().expect("nobody panics");
    let events: Vec<_> =
        heard.iter().map(|(what, event)| (*what, event.memory, event.memory_type_index, event.size)).collect();
    let expected = [
        ('+', handles[0], 1, mib(1)),
        ('+', handles[1], 0, 64 * KIB),
        ('-', handles[1], 0, 64 * KIB),
        ('-', handles[0], 1, mib(1)),
    ];
    assert_eq!(events, expected);
    drop(heard);
    rig.finish();
}

/// Host memory for the driver, from Rust's allocator; the layout is kept in front.
mod host_memory {
    #![expect(clippy::cast_ptr_alignment, reason = "the layout is aligned to 64 bytes")]

    use core::ffi::c_void;
    use std::alloc::{Layout, alloc, dealloc, realloc};

    const HEAD: usize = 64;

    fn layout(size: usize) -> Layout {
        Layout::from_size_align(size + HEAD, HEAD).expect("small")
    }

    pub(super) unsafe extern "system" fn allocate(
        _: *mut c_void,
        size: usize,
        alignment: usize,
        _: ash::vk::SystemAllocationScope,
    ) -> *mut c_void {
        assert!(alignment <= HEAD);
        // SAFETY: the layout has a size above 0.
        let start = unsafe { alloc(layout(size)) };
        // SAFETY: the head is inside, and aligned for a size.
        unsafe { start.cast::<usize>().write(size) };
        // SAFETY: the head is inside.
        unsafe { start.add(HEAD) }.cast()
    }

    pub(super) unsafe extern "system" fn reallocate(
        _: *mut c_void,
        old: *mut c_void,
        size: usize,
        _: usize,
        _: ash::vk::SystemAllocationScope,
    ) -> *mut c_void {
        // SAFETY: `allocate` put the head in front.
        let start = unsafe { old.cast::<u8>().sub(HEAD) };
        // SAFETY: as above.
        let before = unsafe { start.cast::<usize>().read() };
        // SAFETY: the layout is the one it was allocated with.
        unsafe { realloc(start, layout(before), size + HEAD) }.wrapping_add(HEAD).cast()
    }

    pub(super) unsafe extern "system" fn free(_: *mut c_void, memory: *mut c_void) {
        if memory.is_null() {
            return;
        }
        // SAFETY: `allocate` put the head in front.
        let start = unsafe { memory.cast::<u8>().sub(HEAD) };
        // SAFETY: as above.
        let size = unsafe { start.cast::<usize>().read() };
        // SAFETY: the layout is the one it was allocated with.
        unsafe { dealloc(start, layout(size)) };
    }
}

#[test]
fn allocation_callbacks_are_passed_to_every_call_that_takes_them() {
    let mut tag = 0xbeef_u64;
    let callbacks = vk::AllocationCallbacks {
        p_user_data: (&raw mut tag).cast(),
        pfn_allocation: Some(host_memory::allocate),
        pfn_reallocation: Some(host_memory::reallocate),
        pfn_free: Some(host_memory::free),
        ..vk::AllocationCallbacks::default()
    };
    let rig = Rig::with(SimDevice::new(Profile::unified()), |info| info.allocation_callbacks(callbacks));
    // SAFETY: the create-infos are valid; nothing is submitted.
    let (buffer, memory) =
        unsafe { rig.create_buffer(&buffer_info(64), &AllocationCreateInfo::upload()) }.expect("one");
    // SAFETY: as above.
    let (image, image_memory) =
        unsafe { rig.create_image(&image_info(8), &AllocationCreateInfo::gpu_only()) }.expect("one");
    // SAFETY: the GPU has never seen them.
    unsafe { rig.destroy_buffer(buffer, memory) }.expect("it is alive");
    // SAFETY: as above.
    unsafe { rig.destroy_image(image, image_memory) }.expect("it is alive");
    rig.trim();
    let uses = rig.control().callback_uses();
    let expected = (&raw mut tag).addr();
    assert!(uses.iter().all(|used| used.user_data == expected), "{uses:?}");
    for function in [
        Function::CreateBuffer,
        Function::CreateImage,
        Function::AllocateMemory,
        Function::DestroyBuffer,
        Function::DestroyImage,
        Function::FreeMemory,
    ] {
        let count = uses.iter().filter(|used| used.function == function).count();
        assert_eq!(count as u64, rig.control().count(function), "{function}");
        assert!(count > 0, "{function}");
    }
    rig.finish();
}

#[cfg(feature = "serde")]
#[test]
fn statistics_survive_being_serialised() {
    let rig = Rig::new(Profile::discrete_rebar());
    let kept = rig.allocate(&linear(300), &AllocationCreateInfo::gpu_only()).expect("there is memory");
    let (statistics, details) = (rig.statistics(), rig.detailed_statistics());
    let text = serde_json::to_string(&(&statistics, &details)).expect("plain data");
    let back: (freestone::Statistics, freestone::DetailedStatistics) = serde_json::from_str(&text).expect("JSON");
    assert_eq!(back, (statistics, details));
    assert_ne!(back.1.blocks[0].memory, vk::DeviceMemory::null());
    rig.free(kept).expect("it is alive");
    rig.finish();
}
