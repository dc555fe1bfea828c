//! Generated programs over the whole allocator, on every profile, against a shadow: what lives lies where nothing else
//! does, every invariant holds after each step, and at the end nothing is left.

mod common;

use common::model::{Compare, Held, Model};
use common::{Rig, buffer_info, image_info, program, state_of};
use freestone::Allocation;
use proptest::collection::vec;
use proptest::prelude::{ProptestConfig, proptest};

proptest! {
    #![proptest_config(ProptestConfig { cases: 150, ..ProptestConfig::default() })]

    #[test]
    fn programs_agree_with_the_shadow(
        profile in program::profile_name(),
        steps in vec(program::step_with_failures(), 1..80),
    ) {
        Model::new(Rig::new(program::profile(&profile))).run(&steps, Compare::AfterEachStep);
    }

    /// Custom pools of every algorithm, resources, accesses and plans, between everything else.
    #[test]
    fn programs_of_every_operation_agree_with_the_shadow(
        profile in program::profile_name(),
        steps in vec(program::any_step(), 1..60),
    ) {
        Model::new(Rig::new(program::profile(&profile))).run(&steps, Compare::AfterEachStep);
    }

    /// The same calls give the same placement.
    #[test]
    fn programs_are_deterministic(profile in program::profile_name(), steps in vec(program::step(), 1..60)) {
        let run = || {
            let mut model = Model::new(Rig::new(program::profile(&profile)));
            for step in &steps {
                model.take(step);
            }
            // Handles of two devices differ: a memory object is told by its place among those alive.
            let objects = model.rig.vulkan.memory_objects();
            let place = |allocation: &Allocation| objects.iter().position(|object| object.memory == allocation.memory());
            let spot = |held: &Held| (place(&held.allocation), held.allocation.offset());
            let spots: Vec<_> = model.live.iter().map(spot).collect();
            let state = state_of(&model.rig);
            model.run(&[], Compare::AtTheEnd);
            (spots, state)
        };
        assert_eq!(run(), run());
    }
}

/// Where devices are drawn, one may be passed by; here none is.
#[test]
fn programs_agree_with_the_shadow_on_every_device() {
    program::on_every_device(3, &vec(program::any_step(), 1..60), |profile, steps| {
        Model::new(Rig::new(profile)).run(&steps, Compare::AfterEachStep);
    });
}

/// Buffers and images of every size and intent, created, bound, freed: the driver checks each bind.
#[test]
fn resources_of_every_size_are_bound_where_they_may_be() {
    for profile in common::every_device() {
        let rig = Rig::new(profile);
        let mut random = common::Random(11);
        let mut live = Vec::new();
        for _ in 0..400 {
            let info = freestone::AllocationCreateInfo::new(
                freestone::Intent::ALL[usize::try_from(random.below(5)).expect("small")],
            );
            // SAFETY: the create-info is valid; nothing is submitted.
            live.push(unsafe { rig.create_buffer(&buffer_info(random.size(22)), &info) }.expect("there is memory"));
            let edge = u32::try_from(random.size(10)).expect("small");
            // SAFETY: as above.
            let image = unsafe { rig.create_image(&image_info(edge), &freestone::AllocationCreateInfo::gpu_only()) };
            let (image, memory) = image.expect("there is memory");
            if live.len() > 20 {
                let index = usize::try_from(random.below(live.len() as u64)).expect("small");
                let (buffer, memory) = live.swap_remove(index);
                // SAFETY: the GPU has never seen it.
                unsafe { rig.destroy_buffer(buffer, memory) }.expect("it is alive");
            }
            // SAFETY: as above.
            unsafe { rig.destroy_image(image, memory) }.expect("it is alive");
        }
        for (buffer, memory) in live {
            // SAFETY: the GPU has never seen it.
            unsafe { rig.destroy_buffer(buffer, memory) }.expect("it is alive");
        }
        rig.finish();
    }
}
