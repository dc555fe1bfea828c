//! Lines, good and bad.

use ash::vk;

use super::{Class, Dedicated, Dimension, Event, Extent, Operation, Problem, Resource, Shape, Sharing, event};

const BUFFER: &str = "1268397,3,1,alloc,4,buffer,36,64,f,device,none,82,vertices";
const IMAGE: &str = "5,0,0,alloc,1,image_optimal,8192,16,f,upload,app,6,2d:format74:64x32x1:m7:l6:s4;lut;alias;export";

fn allocated(line: &str) -> Resource {
    match event(line, 1) {
        Ok(Event { operation: Operation::Allocate(resource), .. }) => resource,
        other => panic!("{other:?}"),
    }
}

fn complaint(line: &str) -> String {
    event(line, 1).expect_err(line).to_string()
}

#[test]
fn a_buffer() {
    let event = event(BUFFER, 7).expect("a good line");
    assert_eq!((event.line, event.time_us, event.frame, event.thread, event.id), (7, 1_268_397, 3, 1, 4));
    let resource = allocated(BUFFER);
    assert_eq!((resource.size, resource.alignment, resource.memory_type_bits), (36, 64, 0xf));
    assert_eq!((resource.class, resource.dedicated), (Class::Device, Dedicated::None));
    let usage = vk::BufferUsageFlags::VERTEX_BUFFER | vk::BufferUsageFlags::TRANSFER_DST;
    assert_eq!(resource.shape, Shape::Buffer { usage });
    assert_eq!((resource.name.as_deref(), resource.sharing), (Some("vertices"), Sharing::default()));
}

#[test]
fn an_image() {
    let resource = allocated(IMAGE);
    let Shape::Image { is_linear: false, usage, description } = resource.shape else { panic!("{resource:?}") };
    assert_eq!(usage, vk::ImageUsageFlags::TRANSFER_DST | vk::ImageUsageFlags::SAMPLED);
    assert_eq!((description.dimension, description.format), (Dimension::Two, vk::Format::R16_UINT));
    assert_eq!(description.extent, Extent { width: 64, height: 32, depth: 1 });
    assert_eq!((description.mip_levels, description.array_layers), (7, 6));
    assert_eq!(description.samples, vk::SampleCountFlags::TYPE_4);
    assert_eq!(resource.name.as_deref(), Some("lut"));
    assert_eq!(resource.sharing, Sharing { is_alias: true, is_import: false, is_export: true });
}

#[test]
fn a_free_ends_after_the_id() {
    let event = event("9,8,7,free,6", 1).expect("a good line");
    assert_eq!((event.id, event.operation), (6, Operation::Free));
    assert!(matches!(super::event("9,8,7,free,6,", 1), Err(Problem::ColumnCount { found: 6, expected: 5, .. })));
}

#[test]
fn wrong_counts_of_columns_are_counted() {
    assert!(matches!(event("9,8,7", 1), Err(Problem::ColumnCount { found: 3, expected: 5, .. })));
    let short = BUFFER.rsplit_once(',').expect("has commas").0;
    assert!(matches!(event(short, 1), Err(Problem::ColumnCount { found: 12, expected: 13, .. })));
    assert!(matches!(event(&format!("{BUFFER},x"), 1), Err(Problem::ColumnCount { found: 14, expected: 13, .. })));
}

#[test]
fn every_column_is_checked_by_name() {
    let bad = [
        (0, "-1", "time_us"),
        (1, "", "frame"),
        (2, "4294967296", "thread"),
        (3, "alloca", "op"),
        (4, "+4", "id"),
        (5, "image", "kind"),
        (6, "1e3", "size"),
        (7, "x", "alignment"),
        (8, "0xf", "memory_type_bits"),
        (9, "bar", "class"),
        (10, "maybe", "dedicated"),
        (11, "123456789", "usage"),
    ];
    for (column, text, name) in bad {
        let mut columns: Vec<&str> = BUFFER.split(',').collect();
        columns[column] = text;
        let complaint = complaint(&columns.join(","));
        assert!(complaint.starts_with(&format!("column {name}: \"{text}\" is not ")), "{complaint}");
    }
}

#[test]
fn image_descriptions_are_checked_part_by_part() {
    let good = "2d:format74:64x32x1:m7:l6:s4";
    let bad = [
        "",
        "2d",
        "4d:format74:64x32x1:m7:l6:s4",
        "2d:R9:64x32x1:m7:l6:s4",
        "2d:format74:64x32:m7:l6:s4",
        "2d:format74:64x32x1x1:m7:l6:s4",
        "2d:format74:0x32x1:m7:l6:s4",
        "2d:format74:64x32x1:7:l6:s4",
        "2d:format74:64x32x1:m0:l6:s4",
        "2d:format74:64x32x1:m7:l6:s3",
        "2d:format74:64x32x1:m7:l6:s128",
        "2d:format74:64x32x1:m7:l6:s4:x",
    ];
    assert!(super::parse_image_description(good).is_some());
    for text in bad {
        let complaint = complaint(&IMAGE.replace(good, text));
        assert!(complaint.starts_with("column name"), "{text}: {complaint}");
    }
}

#[test]
fn sizes_and_alignments() {
    assert!(matches!(event(&BUFFER.replace(",36,", ",0,"), 1), Err(Problem::ZeroSize { id: 4 })));
    for alignment in [0, 48] {
        let line = BUFFER.replace(",64,", &format!(",{alignment},"));
        assert!(matches!(event(&line, 1), Err(Problem::Alignment { id: 4, alignment: found }) if found == alignment));
    }
}

#[test]
fn a_name_is_no_novel() {
    let name = "n".repeat(1024);
    assert_eq!(allocated(&BUFFER.replace("vertices", &name)).name, Some(name));
    let text = complaint(&BUFFER.replace("vertices", &"n".repeat(1025)));
    assert_eq!(text, "the name of id 4 has 1025 bytes; shorten it to 1024 or fewer");
}

#[test]
fn messages_quote_no_more_than_a_line_can_hold() {
    let complaint = complaint(&BUFFER.replace("buffer", &"\u{1b}".repeat(5000)));
    assert!(complaint.len() < 400 && !complaint.contains('\u{1b}'), "{complaint}");
}

#[test]
fn every_word_of_a_column_has_its_meaning() {
    let said = ["none", "prefers", "requires", "app"].map(|word| allocated(&BUFFER.replace("none", word)).dedicated);
    assert_eq!(said, [Dedicated::None, Dedicated::Prefers, Dedicated::Requires, Dedicated::App]);
    for class in Class::ALL {
        let resource = allocated(&BUFFER.replace("device", class.as_str()));
        assert_eq!(resource.class, class);
        let names = crate::memory_type::Intent::ALL.map(|intent| intent.to_string());
        assert!(names.iter().any(|name| name == class.intent_name()), "{names:?}");
    }
    let resource = allocated(&BUFFER.replace("vertices", "import;a;b"));
    assert_eq!((resource.name.as_deref(), resource.sharing.is_import), (Some("a;b"), true));
    assert!(!resource.sharing.is_alias && !resource.sharing.is_export);
}
