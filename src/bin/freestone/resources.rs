//! From a recorded resource to what the device at hand is asked to create.
//!
//! A [`Recipe`] is a create-info that the device supports, or the raw requirements to fall back to, with the reason.
//! Usages of extensions that the device was not created with are left out: they say what an application meant to do
//! with a resource, and the resource can be made without. The rest must be supported as it is.
//!
//! Requirements on a real driver are the driver's own; those of a fallback are the recorded ones.

use std::collections::HashMap;

use ash::vk;
use freestone::trace::{Resource, Shape};

use crate::image_info::{FormatQuery, image_create_info};
use crate::stage::Stage;
use crate::vulkan::{Driver, Enabled};

/// What to create for a recorded resource.
#[derive(Clone, Copy, Debug)]
pub(crate) enum Recipe {
    /// A buffer.
    Buffer(vk::BufferCreateInfo<'static>),
    /// An image.
    Image(vk::ImageCreateInfo<'static>),
}

/// What the device was created with, as far as recorded usages ask for it. All false by default.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct Support {
    /// `bufferDeviceAddress`.
    pub(crate) device_address: bool,
    /// `VK_EXT_transform_feedback`.
    pub(crate) transform_feedback: bool,
    /// `VK_EXT_attachment_feedback_loop_layout`.
    pub(crate) attachment_feedback_loop: bool,
}

/// The buffer usages of Vulkan 1.0. Source: `VkBufferUsageFlagBits`.
const CORE_BUFFER_USAGES: u32 = 0x1ff;
/// The image usages of Vulkan 1.0. Source: `VkImageUsageFlagBits`.
const CORE_IMAGE_USAGES: u32 = 0xff;

impl Support {
    /// Returns what was enabled on a device.
    pub(crate) fn of(enabled: &Enabled) -> Self {
        Self {
            device_address: enabled.buffer_device_address,
            transform_feedback: enabled.transform_feedback,
            attachment_feedback_loop: enabled.attachment_feedback_loop,
        }
    }

    /// Returns the buffer usages that may be asked for.
    fn buffer_usages(self) -> vk::BufferUsageFlags {
        let transform_feedback = vk::BufferUsageFlags::TRANSFORM_FEEDBACK_BUFFER_EXT
            | vk::BufferUsageFlags::TRANSFORM_FEEDBACK_COUNTER_BUFFER_EXT;
        let optional = [
            (self.device_address, vk::BufferUsageFlags::SHADER_DEVICE_ADDRESS),
            (self.transform_feedback, transform_feedback),
        ];
        let granted = optional.into_iter().filter_map(|(has, usages)| has.then_some(usages));
        granted.fold(vk::BufferUsageFlags::from_raw(CORE_BUFFER_USAGES), |all, usages| all | usages)
    }

    /// Returns the image usages that may be asked for.
    fn image_usages(self) -> vk::ImageUsageFlags {
        let core = vk::ImageUsageFlags::from_raw(CORE_IMAGE_USAGES);
        let feedback_loop = vk::ImageUsageFlags::ATTACHMENT_FEEDBACK_LOOP_EXT;
        if self.attachment_feedback_loop { core | feedback_loop } else { core }
    }
}

/// Answers [`FormatQuery`] for one physical device: `None` where it does not support the combination.
pub(crate) type FormatAnswers<'a> = dyn Fn(&FormatQuery) -> Option<vk::ImageFormatProperties> + 'a;

/// Turns recorded resources into recipes for one device; asks the driver about each combination once.
pub(crate) struct Cookbook<'a> {
    support: Support,
    ask: Box<FormatAnswers<'a>>,
    answers: HashMap<FormatQuery, Option<vk::ImageFormatProperties>>,
}

impl<'a> Cookbook<'a> {
    /// Prepares for a device, real or simulated.
    pub(crate) fn for_device(stage: &'a Stage) -> Self {
        let ask = |query: &FormatQuery| {
            let is_refused = contradicts_itself(stage.driver(), query.format);
            let may_be_served = !is_refused && query.may_be_served(features(stage, query));
            if may_be_served { properties(stage, query) } else { None }
        };
        Self::new(stage.support(), Box::new(ask))
    }

    /// Prepares for a device with this support, whose formats `ask` knows.
    pub(crate) fn new(support: Support, ask: Box<FormatAnswers<'a>>) -> Self {
        Self { support, ask, answers: HashMap::new() }
    }

    /// Returns what to create for a resource, or why the device cannot have it.
    pub(crate) fn recipe(&mut self, resource: &Resource) -> Result<Recipe, String> {
        match &resource.shape {
            Shape::Buffer { usage } => self.buffer(resource.size, *usage),
            Shape::Image { is_linear, usage, description } => {
                let tiling = if *is_linear { vk::ImageTiling::LINEAR } else { vk::ImageTiling::OPTIMAL };
                let usage = *usage & self.support.image_usages();
                if usage.is_empty() {
                    return Err("an image of no usage that the device has".into());
                }
                let Self { ask, answers, .. } = self;
                let answer = |query: &FormatQuery| *answers.entry(*query).or_insert_with(|| ask(query));
                image_create_info(description, tiling, usage, answer).map(Recipe::Image)
            }
        }
    }

    fn buffer(&self, size: u64, usage: vk::BufferUsageFlags) -> Result<Recipe, String> {
        let usage = usage & self.support.buffer_usages();
        if usage.is_empty() {
            return Err("a buffer of no usage that the device has".into());
        }
        Ok(Recipe::Buffer(
            vk::BufferCreateInfo::default().size(size).usage(usage).sharing_mode(vk::SharingMode::EXCLUSIVE),
        ))
    }
}

/// Whether a driver reports features for a format and refuses every image of it all the same.
///
/// The refusal is an error, which the best-practices layer reports; so such a format is not asked about. The Khronos
/// mock driver does this to one format on purpose; a test watches that it still does.
fn contradicts_itself(driver: Driver, format: vk::Format) -> bool {
    driver == Driver::Mock && format == vk::Format::E5B9G9R9_UFLOAT_PACK32
}

fn features(stage: &Stage, query: &FormatQuery) -> vk::FormatFeatureFlags {
    let (instance, physical_device) = (stage.instance(), stage.physical_device());
    // SAFETY: the physical device is one of this instance's, which `stage` keeps alive.
    let all = unsafe { instance.get_physical_device_format_properties(physical_device, query.format) };
    if query.tiling == vk::ImageTiling::LINEAR { all.linear_tiling_features } else { all.optimal_tiling_features }
}

/// Asks the driver about one combination; `None` where it answers with an error.
pub(crate) fn properties(stage: &Stage, query: &FormatQuery) -> Option<vk::ImageFormatProperties> {
    let FormatQuery { format, image_type, tiling, usage, flags } = *query;
    let (instance, physical_device) = (stage.instance(), stage.physical_device());
    // SAFETY: the physical device is one of this instance's, which `stage` keeps alive; the usages asked about are
    // those that its device was created with (see `Support`), and never empty (see `Cookbook::recipe`).
    let answer = unsafe {
        instance.get_physical_device_image_format_properties(physical_device, format, image_type, tiling, usage, flags)
    };
    answer.ok()
}

impl std::fmt::Debug for Cookbook<'_> {
    fn fmt(&self, out: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        out.debug_struct("Cookbook").field("support", &self.support).finish_non_exhaustive()
    }
}

#[cfg(test)]
mod tests {
    use std::cell::Cell;

    use super::{Cookbook, Driver, Recipe, Support, contradicts_itself, vk};
    use freestone::trace::{Operation, Resource, Trace};

    fn resource(columns: &str) -> Resource {
        let trace = Trace::read_from(format!("0,0,0,alloc,0,{columns}").as_bytes(), "x.csv").expect("a good line");
        match trace.events.into_iter().next().map(|event| event.operation) {
            Some(Operation::Allocate(resource)) => resource,
            other => panic!("{other:?}"),
        }
    }

    fn buffer_usage(support: Support, usage: &str) -> Result<u32, String> {
        let resource = resource(&format!("buffer,36,64,f,device,none,{usage},"));
        let recipe = Cookbook::new(support, Box::new(|_| None)).recipe(&resource)?;
        let Recipe::Buffer(info) = recipe else { panic!("{recipe:?}") };
        assert_eq!(info.size, 36);
        Ok(info.usage.as_raw())
    }

    #[test]
    fn usages_of_absent_extensions_are_left_out() {
        let all = Support { device_address: true, transform_feedback: true, attachment_feedback_loop: true };
        assert_eq!(buffer_usage(all, "219ff"), Ok(0x219ff));
        assert_eq!(buffer_usage(Support::default(), "21bff"), Ok(0x1ff));
        assert_eq!(buffer_usage(Support { device_address: true, ..Support::default() }, "21bff"), Ok(0x201ff));
        assert!(buffer_usage(Support::default(), "20000").is_err());
    }

    #[test]
    fn one_driver_says_of_one_format_what_is_not_so() {
        let (odd, usual) = (vk::Format::E5B9G9R9_UFLOAT_PACK32, vk::Format::R8_UNORM);
        let said = [(Driver::Mock, odd), (Driver::Mock, usual), (Driver::Other, odd), (Driver::Other, usual)];
        let refused = said.map(|(driver, format)| contradicts_itself(driver, format));
        assert_eq!(refused, [true, false, false, false]);
    }

    #[test]
    fn each_combination_is_asked_once_and_refusals_are_remembered() {
        let (calls, image) =
            (Cell::new(0), resource("image_linear,36,64,f,upload,none,80006,2d:R8_UNORM:8x8x1:m1:l1:s1"));
        let mut cookbook = Cookbook::new(
            Support::default(),
            Box::new(|query| {
                calls.set(calls.get() + 1);
                assert_eq!((query.usage.as_raw(), query.tiling), (6, vk::ImageTiling::LINEAR));
                None
            }),
        );
        let first = cookbook.recipe(&image).expect_err("refused");
        let asked = calls.get();
        assert_eq!(cookbook.recipe(&image).expect_err("refused"), first);
        assert_eq!(calls.get(), asked);
    }
}
