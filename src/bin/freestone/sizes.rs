//! Which sizes a replay asks for, and the raw requirements that follow.

use std::str::FromStr;

use ash::vk;
use freestone::trace::{Class, Kind, Model, Resource, Shape};
use freestone::{AllocationCreateInfo, AllocationRequirements, DeviceAddress};

use crate::stage::Stage;

/// The value of `--sizes`.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) enum SizeChoice {
    /// Real buffers and images, whose requirements are the driver's own.
    #[default]
    Created,
    /// Raw requirements as recorded, each size times so many hundredths: what other allocators were measured with.
    Recorded {
        /// 100: as recorded.
        percent: u64,
    },
}

impl FromStr for SizeChoice {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        match text.split_once(':') {
            None if text == "created" => Ok(Self::Created),
            None if text == "recorded" => Ok(Self::Recorded { percent: 100 }),
            Some(("recorded", percent)) => match percent.parse() {
                Ok(percent @ 1..=1000) => Ok(Self::Recorded { percent }),
                _ => Err("PERCENT is a whole number from 1 to 1000".into()),
            },
            _ => Err("neither \"created\" nor \"recorded[:PERCENT]\"".into()),
        }
    }
}

/// Turns recorded resources into raw requirements for one device.
#[derive(Clone, Copy, Debug)]
pub(crate) struct RawSizes {
    rule: Rule,
    /// One bit for each memory type of the device: the recorded bits name another device's.
    memory_type_bits: u32,
    has_device_addresses: bool,
}

#[derive(Clone, Copy, Debug)]
enum Rule {
    Recorded { percent: u64 },
    Modelled(Model),
}

impl RawSizes {
    /// Chooses the rule: the recorded sizes where they are asked for, and on real drivers; on a simulated one those of
    /// [`Model`], with the device's granularity and alignments.
    pub(crate) fn new(stage: &Stage, choice: SizeChoice) -> Self {
        let model = Model::new(&stage.limits(), stage.memory_type_count());
        let rule = match (choice, stage) {
            (SizeChoice::Recorded { percent }, _) => Rule::Recorded { percent },
            (SizeChoice::Created, Stage::Real(_)) => Rule::Recorded { percent: 100 },
            (SizeChoice::Created, Stage::Simulated(_)) => Rule::Modelled(model),
        };
        Self {
            rule,
            memory_type_bits: model.memory_type_bits,
            has_device_addresses: stage.features().buffer_device_address,
        }
    }

    /// Returns the requirements to allocate by, in place of those of a resource.
    ///
    /// # Errors
    /// The size is beyond 64 bits.
    pub(crate) fn requirements(&self, resource: &Resource) -> Result<AllocationRequirements, String> {
        let (size, alignment) = self.size_and_alignment(resource).ok_or("a size of more than 64 bits")?;
        let requirements = vk::MemoryRequirements { size, alignment, memory_type_bits: self.memory_type_bits };
        let kind = match resource.kind() {
            Kind::Buffer | Kind::ImageLinear => freestone::Kind::Linear,
            Kind::ImageOptimal => freestone::Kind::NonLinear,
        };
        Ok(AllocationRequirements::new(requirements, kind, self.device_address(resource)))
    }

    fn size_and_alignment(&self, resource: &Resource) -> Option<(u64, u64)> {
        match self.rule {
            Rule::Recorded { percent } => {
                let size = u128::from(resource.size) * u128::from(percent) / 100;
                Some((u64::try_from(size).ok()?.max(1), resource.alignment))
            }
            Rule::Modelled(model) => model.requirements(resource).map(|asked| (asked.size, asked.alignment)),
        }
    }

    fn device_address(&self, resource: &Resource) -> DeviceAddress {
        let asks = matches!(&resource.shape, Shape::Buffer { usage }
            if usage.contains(vk::BufferUsageFlags::SHADER_DEVICE_ADDRESS));
        if asks && self.has_device_addresses { DeviceAddress::Needed } else { DeviceAddress::NotNeeded }
    }
}

/// Returns the wishes that stand for a recorded class of memory.
pub(crate) fn create_info(class: Class) -> AllocationCreateInfo<'static> {
    match class {
        Class::Device => AllocationCreateInfo::gpu_only(),
        Class::Upload => AllocationCreateInfo::upload(),
        Class::DeviceUpload => AllocationCreateInfo::stream(),
        Class::Readback => AllocationCreateInfo::readback(),
    }
}

#[cfg(test)]
mod tests {
    use super::{RawSizes, SizeChoice, Stage};
    use freestone::sim::Profile;
    use freestone::trace::{Operation, Resource, Trace};
    use freestone::{DeviceAddress, Kind};

    fn resource(columns: &str) -> Resource {
        let trace = Trace::read_from(format!("0,0,0,alloc,0,{columns}").as_bytes(), "x.csv").expect("a good line");
        match trace.events.into_iter().next().map(|event| event.operation) {
            Some(Operation::Allocate(resource)) => resource,
            other => panic!("{other:?}"),
        }
    }

    #[test]
    fn reads_choices() {
        assert_eq!("created".parse(), Ok(SizeChoice::Created));
        assert_eq!("recorded".parse(), Ok(SizeChoice::Recorded { percent: 100 }));
        assert_eq!("recorded:71".parse(), Ok(SizeChoice::Recorded { percent: 71 }));
        for text in ["", "model", "recorded:", "recorded:0", "recorded:1001", "recorded:x", "created:5"] {
            assert!(text.parse::<SizeChoice>().is_err(), "{text}");
        }
    }

    #[test]
    fn recorded_sizes_are_scaled_and_modelled_ones_follow_the_device() {
        let stage = Stage::simulated(Profile::discrete_bar256());
        let uniform = resource("buffer,1000,64,f,upload,none,20010,");
        let asked = |choice| RawSizes::new(&stage, choice).requirements(&uniform).expect("small");
        let recorded = asked(SizeChoice::Recorded { percent: 71 });
        assert_eq!((recorded.size, recorded.alignment, recorded.memory_type_bits), (710, 64, 0b1_1111));
        assert_eq!((recorded.kind, recorded.device_address), (Kind::Linear, DeviceAddress::Needed));
        let modelled = asked(SizeChoice::Created);
        assert_eq!((modelled.size, modelled.alignment), (1024, 256));
        assert_eq!(stage.close(), super::super::stage::Faults::default());
    }

    #[test]
    fn sizes_beyond_64_bits_are_refused_and_no_size_becomes_nothing() {
        let stage = Stage::simulated(Profile::unified());
        let (huge, tiny) = (u64::MAX.to_string(), "1".to_owned());
        let asked = |size: &str, percent| {
            let image = resource(&format!("image_optimal,{size},16,f,device,none,4,2d:R8_UNORM:8x8x1:m1:l1:s1"));
            RawSizes::new(&stage, SizeChoice::Recorded { percent }).requirements(&image).map(|asked| asked.size)
        };
        assert!(asked(&huge, 130).is_err());
        assert_eq!(asked(&tiny, 10), Ok(1));
    }
}
