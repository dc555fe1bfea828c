//! One line of text to one event; knows nothing of files or of other lines.

use std::str::FromStr;

use ash::vk;

use super::error::{Problem, quote};
use super::event::{
    Class, Dedicated, Dimension, Event, Extent, ImageDescription, Kind, Operation, Resource, Shape, Sharing,
};
use super::format::format_from_name;

/// Longest debug name, in bytes. Vulkan has no limit, and ours have less than a hundred; by taste.
pub(super) const NAME_LIMIT: usize = 1024;
/// Columns of an `alloc` line.
const ALLOCATE_COLUMNS: usize = 13;
/// Columns of a `free` line.
const FREE_COLUMNS: usize = 5;

/// Reads one event.
///
/// # Errors
/// Every [`Problem`] of a single line: the number of columns, a column's text, a size or an alignment.
pub(super) fn event(text: &str, line: u64) -> Result<Event, Problem> {
    let columns: Columns<'_> = Columns::of(text);
    let op = columns.get(3);
    let is_allocation = match op {
        "alloc" => true,
        "free" => false,
        _ if columns.count < FREE_COLUMNS => {
            return Err(columns.wrong_count("an event", FREE_COLUMNS));
        }
        _ => return Err(malformed("op", op, "\"alloc\" or \"free\"")),
    };
    columns.expect_count(is_allocation)?;
    let id = number("id", columns.get(4))?;
    Ok(Event {
        line,
        time_us: number("time_us", columns.get(0))?,
        frame: number("frame", columns.get(1))?,
        thread: number("thread", columns.get(2))?,
        id,
        operation: if is_allocation { Operation::Allocate(resource(&columns, id)?) } else { Operation::Free },
    })
}

/// The line's columns; no more are kept than a line may have.
struct Columns<'a> {
    text: [&'a str; ALLOCATE_COLUMNS],
    count: usize,
}

impl<'a> Columns<'a> {
    fn of(line: &'a str) -> Self {
        let mut columns = Self { text: [""; ALLOCATE_COLUMNS], count: 0 };
        for column in line.split(',') {
            if let Some(place) = columns.text.get_mut(columns.count) {
                *place = column;
            }
            columns.count += 1;
        }
        columns
    }

    fn get(&self, index: usize) -> &'a str {
        self.text[index]
    }

    fn expect_count(&self, is_allocation: bool) -> Result<(), Problem> {
        let (op, expected) =
            if is_allocation { ("an alloc line", ALLOCATE_COLUMNS) } else { ("a free line", FREE_COLUMNS) };
        if self.count == expected { Ok(()) } else { Err(self.wrong_count(op, expected)) }
    }

    fn wrong_count(&self, op: &'static str, expected: usize) -> Problem {
        Problem::ColumnCount { op, found: self.count, expected }
    }
}

fn resource(columns: &Columns<'_>, id: u64) -> Result<Resource, Problem> {
    let kind = kind(columns.get(5))?;
    let size = number("size", columns.get(6))?;
    if size == 0 {
        return Err(Problem::ZeroSize { id });
    }
    let alignment: u64 = number("alignment", columns.get(7))?;
    if !alignment.is_power_of_two() {
        return Err(Problem::Alignment { id, alignment });
    }
    let mut parts = columns.get(12).split(';');
    let shape = shape(kind, hexadecimal("usage", columns.get(11))?, &mut parts)?;
    let (name, sharing) = name_and_sharing(parts);
    check_name(name.as_deref(), id)?;
    Ok(Resource {
        size,
        alignment,
        memory_type_bits: hexadecimal("memory_type_bits", columns.get(8))?,
        class: class(columns.get(9))?,
        dedicated: dedicated(columns.get(10))?,
        shape,
        name,
        sharing,
    })
}

fn kind(text: &str) -> Result<Kind, Problem> {
    [Kind::Buffer, Kind::ImageLinear, Kind::ImageOptimal]
        .into_iter()
        .find(|kind| kind.as_str() == text)
        .ok_or_else(|| malformed("kind", text, "\"buffer\", \"image_linear\" or \"image_optimal\""))
}

fn class(text: &str) -> Result<Class, Problem> {
    Class::ALL
        .into_iter()
        .find(|class| class.as_str() == text)
        .ok_or_else(|| malformed("class", text, "\"device\", \"upload\", \"device_upload\" or \"readback\""))
}

fn dedicated(text: &str) -> Result<Dedicated, Problem> {
    Ok(match text {
        "none" => Dedicated::None,
        "prefers" => Dedicated::Prefers,
        "requires" => Dedicated::Requires,
        "app" => Dedicated::App,
        _ => {
            return Err(malformed("dedicated", text, "\"none\", \"prefers\", \"requires\" or \"app\""));
        }
    })
}

fn shape<'a>(kind: Kind, usage: u32, parts: &mut impl Iterator<Item = &'a str>) -> Result<Shape, Problem> {
    if kind == Kind::Buffer {
        return Ok(Shape::Buffer { usage: vk::BufferUsageFlags::from_raw(usage) });
    }
    Ok(Shape::Image {
        is_linear: kind == Kind::ImageLinear,
        usage: vk::ImageUsageFlags::from_raw(usage),
        description: image_description(parts.next().unwrap_or_default())?,
    })
}

fn image_description(text: &str) -> Result<ImageDescription, Problem> {
    parse_image_description(text)
        .ok_or_else(|| malformed("name", text, "an image like 2d:R8G8B8A8_UNORM:64x32x1:m7:l1:s1"))
}

fn parse_image_description(text: &str) -> Option<ImageDescription> {
    let mut parts = text.split(':');
    let description = ImageDescription {
        dimension: dimension(parts.next()?)?,
        format: format_from_name(parts.next()?)?,
        extent: extent(parts.next()?)?,
        mip_levels: counted('m', parts.next()?)?,
        array_layers: counted('l', parts.next()?)?,
        samples: samples(parts.next()?)?,
    };
    parts.next().is_none().then_some(description)
}

fn dimension(text: &str) -> Option<Dimension> {
    match text {
        "1d" => Some(Dimension::One),
        "2d" => Some(Dimension::Two),
        "3d" => Some(Dimension::Three),
        _ => None,
    }
}

fn extent(text: &str) -> Option<Extent> {
    let mut sides = text.split('x').map(positive);
    let extent = Extent { width: sides.next()??, height: sides.next()??, depth: sides.next()?? };
    sides.next().is_none().then_some(extent)
}

fn samples(text: &str) -> Option<vk::SampleCountFlags> {
    let count = counted('s', text)?;
    (count.is_power_of_two() && count <= vk::SampleCountFlags::TYPE_64.as_raw())
        .then(|| vk::SampleCountFlags::from_raw(count))
}

fn counted(letter: char, text: &str) -> Option<u32> {
    text.strip_prefix(letter).and_then(positive)
}

fn positive(text: &str) -> Option<u32> {
    digits(text).filter(|&number| number > 0)
}

/// Tells flags from the debug name, which may hold a `;` itself.
fn name_and_sharing<'a>(parts: impl Iterator<Item = &'a str>) -> (Option<String>, Sharing) {
    let (mut name, mut sharing) = (String::new(), Sharing::default());
    for part in parts {
        match part {
            "alias" => sharing.is_alias = true,
            "import" => sharing.is_import = true,
            "export" => sharing.is_export = true,
            _ if name.is_empty() => name.push_str(part),
            _ => name.extend([";", part]),
        }
    }
    ((!name.is_empty()).then_some(name), sharing)
}

/// Holds a name to what is kept of each event.
fn check_name(name: Option<&str>, id: u64) -> Result<(), Problem> {
    match name.map_or(0, str::len) {
        bytes if bytes > NAME_LIMIT => Err(Problem::NameTooLong { id, bytes, limit: NAME_LIMIT }),
        _ => Ok(()),
    }
}

fn number<T: FromStr>(column: &'static str, text: &str) -> Result<T, Problem> {
    digits(text).ok_or_else(|| malformed(column, text, "a whole number in range"))
}

/// Digits only: Rust's own parser takes a leading `+`, which no trace has.
fn digits<T: FromStr>(text: &str) -> Option<T> {
    text.bytes().all(|byte| byte.is_ascii_digit()).then(|| text.parse().ok()).flatten()
}

fn hexadecimal(column: &'static str, text: &str) -> Result<u32, Problem> {
    let is_hexadecimal = text.bytes().all(|byte| byte.is_ascii_hexdigit());
    is_hexadecimal
        .then(|| u32::from_str_radix(text, 16).ok())
        .flatten()
        .ok_or_else(|| malformed(column, text, "a hexadecimal number of 32 bits"))
}

fn malformed(column: &'static str, text: &str, expected: &'static str) -> Problem {
    Problem::Column { column, text: quote(text), expected }
}

#[cfg(test)]
#[path = "parse_tests.rs"]
mod tests;
