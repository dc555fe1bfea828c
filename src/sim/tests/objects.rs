//! Instances, devices, leaks, wrong handles.

use super::super::{Features, ObjectKind, Profile, SimDevice, entry};
use super::{allocate, buffer, destroy_buffer, free, rules};
use ash::vk;

#[test]
fn an_instance_lists_the_built_in_profiles() {
    let entry = entry();
    let application = vk::ApplicationInfo::default().api_version(vk::API_VERSION_1_3);
    let info = vk::InstanceCreateInfo::default().application_info(&application);
    // SAFETY: the create-info is valid.
    let instance = unsafe { entry.create_instance(&info, None) }.unwrap();
    // SAFETY: the instance is valid.
    let devices = unsafe { instance.enumerate_physical_devices() }.unwrap();
    let mut names = Vec::new();
    for device in &devices {
        // SAFETY: the physical device is of this instance.
        let properties = unsafe { instance.get_physical_device_properties(*device) };
        names.push(
            properties
                .device_name_as_c_str()
                .unwrap()
                .to_str()
                .unwrap()
                .to_owned(),
        );
    }
    assert_eq!(
        names,
        [
            "discrete-rebar",
            "discrete-bar256",
            "unified",
            "noncoherent"
        ]
    );
    // SAFETY: nothing was made from the instance.
    unsafe { instance.destroy_instance(None) };
}

#[test]
fn every_profile_makes_a_clean_device() {
    for profile in Profile::all() {
        let sim = SimDevice::new(profile);
        let before = sim.control().snapshot();
        for index in 0..u32::try_from(sim.profile().memory_types.len()).unwrap() {
            let flags = sim.profile().memory_types[index as usize].property_flags;
            if flags.intersects(
                vk::MemoryPropertyFlags::PROTECTED | vk::MemoryPropertyFlags::DEVICE_COHERENT_AMD,
            ) {
                continue;
            }
            let memory = allocate(&sim, 4096, index).unwrap();
            assert_ne!(sim.control().snapshot(), before);
            free(&sim, memory);
        }
        assert_eq!(sim.control().snapshot(), before);
        assert_eq!(sim.finish(), []);
    }
}

#[test]
fn what_is_left_alive_is_reported_and_taken_out_of_the_books() {
    let sim = SimDevice::new(Profile::unified());
    let control = sim.control().clone();
    let _memory = allocate(&sim, 4096, 1).unwrap();
    let _buffer = buffer(&sim, 16);
    let leaks: Vec<_> = sim
        .finish()
        .iter()
        .map(|violation| violation.rule)
        .collect();
    assert_eq!(leaks, ["VUID-vkDestroyDevice-device-05137"; 2]);
    assert_eq!(control.reserved_bytes(), 0);
    assert!(ObjectKind::ALL.iter().all(|kind| control.live(*kind) == 0));
}

#[test]
fn destroying_twice_is_recorded_and_harmless() {
    let sim = SimDevice::new(Profile::unified());
    let first = buffer(&sim, 16);
    destroy_buffer(&sim, first);
    destroy_buffer(&sim, first);
    assert_eq!(rules(&sim), ["VUID-vkDestroyBuffer-buffer-parameter"]);
    let memory = allocate(&sim, 4096, 0).unwrap();
    free(&sim, memory);
    free(&sim, memory);
    assert_eq!(rules(&sim), ["VUID-vkFreeMemory-memory-parameter"]);
    free(&sim, vk::DeviceMemory::null());
    assert_eq!(sim.finish(), []);
}

#[test]
fn missing_extensions_and_features_refuse_the_device() {
    let unified = || SimDevice::builder(Profile::unified());
    let extension = unified()
        .extensions(&[c"VK_AMD_device_coherent_memory"])
        .build();
    assert_eq!(
        extension.err(),
        Some(vk::Result::ERROR_EXTENSION_NOT_PRESENT)
    );
    let feature = unified().with_features(Features::PROTECTED_MEMORY).build();
    assert_eq!(feature.err(), Some(vk::Result::ERROR_FEATURE_NOT_PRESENT));
}
