//! Names of formats, as traces write them.
//!
//! The names are those that `ash` prints, so no second list of Vulkan's formats is kept here: the table is made
//! once, by asking for the name of every number that Vulkan 1.3 and its ratified extensions use.

use crate::sync::OnceLock;
use std::collections::HashMap;

use ash::vk;

/// Numbers of formats: the core's, then those that extensions brought.
///
/// Source: Vulkan 1.3.281, `VkFormat`.
const NUMBERS: [std::ops::RangeInclusive<i32>; 7] = [
    0..=184,
    1_000_054_000..=1_000_054_007,
    1_000_066_000..=1_000_066_013,
    1_000_156_000..=1_000_156_033,
    1_000_330_000..=1_000_330_003,
    1_000_340_000..=1_000_340_001,
    1_000_464_000..=1_000_464_000,
];

/// Endings of names that traces may leave out: each says what the rest of the name says already.
const ENDINGS: [&str; 4] = ["_PACK8", "_PACK16", "_PACK32", "_BLOCK"];

/// Returns the format of this name, or `None` where Vulkan has none.
///
/// Accepted are Vulkan's name without `VK_FORMAT_`, the same without `_PACK8`, `_PACK16`, `_PACK32` or `_BLOCK` at
/// its end, and `formatN` for the format of number N.
pub fn format_from_name(name: &str) -> Option<vk::Format> {
    static TABLE: OnceLock<HashMap<String, vk::Format>> = OnceLock::new();
    if let Some(number) = name.strip_prefix("format") {
        // As numbers of formats are written: without a sign, or zeros in front.
        let is_written_so = |parsed: &i32| *parsed >= 0 && parsed.to_string() == number;
        return number.parse().ok().filter(is_written_so).map(vk::Format::from_raw);
    }
    TABLE.get_or_init(table).get(shorten(name)).copied()
}

/// Returns the name of a format as a trace would write it, in its short form.
pub fn format_name(format: vk::Format) -> String {
    let name = format!("{format:?}");
    let is_known = name.starts_with(|first: char| first.is_ascii_alphabetic());
    if is_known { shorten(&name).into() } else { format!("format{}", format.as_raw()) }
}

fn table() -> HashMap<String, vk::Format> {
    let formats = NUMBERS.into_iter().flatten().map(vk::Format::from_raw);
    formats.map(|format| (format_name(format), format)).collect()
}

fn shorten(name: &str) -> &str {
    ENDINGS.iter().find_map(|ending| name.strip_suffix(ending)).unwrap_or(name)
}

#[cfg(test)]
mod tests {
    use super::{NUMBERS, format_from_name, format_name, vk};

    #[test]
    fn every_format_has_its_own_name_and_is_found_by_it() {
        for format in NUMBERS.into_iter().flatten().map(vk::Format::from_raw) {
            let name = format_name(format);
            assert!(!name.starts_with("format"), "{name} has no name: the list of numbers is wrong");
            assert_eq!(format_from_name(&name), Some(format), "{name}");
            assert_eq!(format_from_name(&format!("{format:?}")), Some(format), "{name}");
        }
    }

    #[test]
    fn the_forms_that_the_recorder_writes() {
        assert_eq!(format_from_name("X8_D24_UNORM"), Some(vk::Format::X8_D24_UNORM_PACK32));
        assert_eq!(format_from_name("BC3_UNORM"), Some(vk::Format::BC3_UNORM_BLOCK));
        assert_eq!(format_from_name("format74"), Some(vk::Format::R16_UINT));
        assert_eq!(["format", "format+5", "format-5", "format05", "format 5"].map(format_from_name), [None; 5]);
        assert_eq!(format_from_name("R9_UNORM"), None);
        assert_eq!(format_name(vk::Format::from_raw(77_777)), "format77777");
    }
}
