//! Every resource of every recorded trace is created on the driver at hand, under the validation layers, which must
//! have nothing to say; on lavapipe, where the traces were recorded, the driver must ask for the recorded sizes.
//!
//! Runs on whatever driver and layers the environment names (`scripts/with-driver`).

use std::collections::BTreeMap;
use std::path::PathBuf;

use freestone::trace::{Operation, Resource, Trace};

use ash::vk;

use crate::image_info::FormatQuery;
use crate::resources::{Cookbook, Recipe, properties};
use crate::stage::{Faults, Stage};
use crate::vulkan::{Driver, Headless, Program};

/// Share of a trace's resources that may fall back on lavapipe: one in a hundred.
const FALLBACK_SHARE: u64 = 100;

fn traces() -> Vec<Trace> {
    let folder = PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("tests/traces");
    let entries = std::fs::read_dir(folder).expect("the recorded traces");
    let mut files: Vec<PathBuf> = entries.map(|entry| entry.expect("readable").path()).collect();
    files.retain(|file| file.extension().is_some_and(|ending| ending == "zst"));
    files.sort();
    files.iter().map(|file| Trace::read(file).expect("a good trace")).collect()
}

/// What became of a trace's resources.
#[derive(Default)]
struct Tally {
    resources: u64,
    fell_back: BTreeMap<String, u64>,
    other_sizes: u64,
}

impl Tally {
    fn of(trace: &Trace, stage: &Stage) -> Self {
        let (mut tally, mut cookbook) = (Self::default(), Cookbook::for_device(stage));
        for event in &trace.events {
            if let Operation::Allocate(resource) = &event.operation {
                tally.add(resource, cookbook.recipe(resource), stage);
            }
        }
        tally
    }

    fn add(&mut self, resource: &Resource, recipe: Result<Recipe, String>, stage: &Stage) {
        self.resources += 1;
        match recipe {
            Ok(recipe) => {
                self.other_sizes += u64::from(required_size(&recipe, stage) != resource.size);
            }
            Err(reason) => *self.fell_back.entry(reason).or_default() += 1,
        }
    }
}

/// Creates the resource, asks for its size, destroys it.
fn required_size(recipe: &Recipe, stage: &Stage) -> u64 {
    let device = stage.device();
    match recipe {
        Recipe::Buffer(info) => {
            // SAFETY: the device is alive and the info holds no pointer.
            let buffer = unsafe { device.create_buffer(info, None) }.expect("a buffer");
            // SAFETY: created above.
            let requirements = unsafe { device.get_buffer_memory_requirements(buffer) };
            // SAFETY: created above, never used.
            unsafe { device.destroy_buffer(buffer, None) };
            requirements.size
        }
        Recipe::Image(info) => {
            // SAFETY: the device is alive and the info holds no pointer.
            let image = unsafe { device.create_image(info, None) }.expect("an image");
            // SAFETY: created above.
            let requirements = unsafe { device.get_image_memory_requirements(image) };
            // SAFETY: created above, never used.
            unsafe { device.destroy_image(image, None) };
            requirements.size
        }
    }
}

#[test]
fn recorded_resources_are_created_in_silence() {
    let Some(headless) = Headless::for_test(Program::Replay) else {
        return;
    };
    let stage = Stage::Real(headless);
    for trace in traces() {
        let Tally { resources, fell_back, other_sizes } = Tally::of(&trace, &stage);
        println!("{}: {resources} resources, {other_sizes} of other sizes, fell back: {fell_back:?}", trace.name);
        if stage.driver() == Driver::Lavapipe {
            let count: u64 = fell_back.values().sum();
            assert!(count * FALLBACK_SHARE <= resources, "{}: {fell_back:?}", trace.name);
            assert_eq!(other_sizes, 0, "{}: lavapipe asks for other sizes than it did", trace.name);
        }
    }
    assert_eq!(stage.close(), Faults::default());
}

/// Watches the one exception that `resources::contradicts_itself` makes.
#[test]
fn the_mock_driver_still_refuses_a_format_that_it_reports() {
    let Some(headless) = Headless::for_test(Program::Replay) else {
        return;
    };
    let query = FormatQuery {
        format: vk::Format::E5B9G9R9_UFLOAT_PACK32,
        image_type: vk::ImageType::TYPE_2D,
        tiling: vk::ImageTiling::OPTIMAL,
        usage: vk::ImageUsageFlags::SAMPLED,
        flags: vk::ImageCreateFlags::empty(),
    };
    let stage = Stage::Real(headless);
    assert_eq!(properties(&stage, &query).is_none(), stage.driver() == Driver::Mock);
}
