//! Does `validate` notice? Each invariant is broken by hand, and must be named.

use super::super::range_list::TO_FREE;
use super::super::{Algorithm, Request, Settings};
use super::*;

fn settings() -> Settings {
    Settings { slab_limit: 256, high_end_from: 1 << 20, ..Settings::plain(16) }
}

/// Ranges of two regions, used and free, with slabs of several classes, one of them empty.
fn tlsf() -> Tlsf {
    // Slots of a page and more: their first slabs have one slot.
    let large = Settings { slab_limit: 256 << 8, high_end_from: 1 << 28, ..Settings::plain(16 << 8) };
    let mut subject = Suballocator::new(Algorithm::Tlsf, large);
    subject.add_region(256 << 16);
    subject.add_region(256 << 12);
    let sizes = [16, 16, 16, 16, 16, 32, 300, 400, 500, 600, 700, 256];
    let keys: Vec<_> = sizes.iter().filter_map(|&size| subject.allocate(&Request::new(256 * size, 16))).collect();
    for index in [5, 7, 9] {
        subject.free(keys[index].key).expect("the key is live");
    }
    subject.validate().expect("the invariants hold");
    let Suballocator::Tlsf(tlsf) = subject else { unreachable!("it was made as one") };
    tlsf
}

/// Marks a used range as free, and joins it with no neighbour.
fn set_free(node: &mut Node) {
    node.extent = node.extent.wrapping_add(TO_FREE);
}

fn linear() -> Linear {
    let mut subject = Suballocator::new(Algorithm::Linear, settings());
    subject.add_region(1 << 12);
    for size in [16, 32, 64] {
        subject.allocate(&Request::new(size, 16));
        subject.allocate(&Request::new(size, 16).end(super::super::End::High));
    }
    let Suballocator::Linear(linear) = subject else { unreachable!("it was made as one") };
    linear
}

fn fixed() -> Fixed {
    let mut subject = Suballocator::new(Algorithm::Fixed { slot_size: 16 }, settings());
    subject.add_region(16 * 5_000);
    subject.add_region(16);
    (0..100).for_each(|_| assert!(subject.allocate(&Request::new(16, 16)).is_some()));
    let Suballocator::Fixed(fixed) = subject else { unreachable!("it was made as one") };
    fixed
}

#[track_caller]
fn notices_in_tlsf(invariant: &str, corrupt: impl FnOnce(&mut Tlsf)) {
    let mut tlsf = tlsf();
    corrupt(&mut tlsf);
    let found = check_tlsf(&tlsf).expect_err("the corruption is noticed");
    assert_eq!(found.invariant, invariant, "{found}");
}

/// The first used range that is no slab, of those with a free neighbour in front.
fn used_behind_free(tlsf: &Tlsf) -> usize {
    let is_free = |index: u32| !tlsf.ranges.nodes[index as usize].is_used();
    let is_plain = |node: &Node| node.is_used() && node.list_prev == NONE && is_free(node.prev);
    tlsf.ranges.nodes.iter().position(is_plain).expect("one was freed in front of it")
}

#[test]
fn regions() {
    notices_in_tlsf("G1", |tlsf| tlsf.ranges.regions.first_empty = NONE);
    notices_in_tlsf("G1", |tlsf| {
        let empty = tlsf.ranges.regions.first_empty;
        tlsf.ranges.regions.entries[empty as usize].empty_prev = 0;
    });
    notices_in_tlsf("G1", |tlsf| {
        let empty = tlsf.ranges.regions.first_empty;
        tlsf.ranges.regions.entries[empty as usize].empty_next = empty;
    });
    notices_in_tlsf("G2", |tlsf| tlsf.ranges.regions.total_units += 1);
    notices_in_tlsf("G2", |tlsf| tlsf.ranges.regions.empty_units -= 1);
    notices_in_tlsf("A2", |tlsf| tlsf.ranges.regions.entries[1].busy += 1);
}

#[test]
fn ranges() {
    notices_in_tlsf("R1", |tlsf| tlsf.ranges.nodes[1].extent += 1);
    notices_in_tlsf("R1", |tlsf| {
        let index = used_behind_free(tlsf);
        tlsf.ranges.nodes[index].place += 1;
    });
    notices_in_tlsf("R1", |tlsf| {
        let index = used_behind_free(tlsf);
        tlsf.ranges.nodes[index].prev = NIL;
    });
    notices_in_tlsf("R1", |tlsf| {
        let index = used_behind_free(tlsf);
        tlsf.ranges.nodes[index].next = NIL;
    });
    notices_in_tlsf("R1", |tlsf| {
        let index = u32::try_from(tlsf.ranges.nodes.len()).expect("it is an index");
        let first = tlsf.ranges.regions.entries[0].first;
        let (last, node) = tlsf.ranges.walk(0).last().expect("a region has ranges");
        let place = tlsf.ranges.nodes[first as usize].place + node.end();
        let empty = Node { place, prev: last, extent: 0, next: NIL, list_prev: NIL, list_next: NIL };
        tlsf.ranges.nodes.push(empty);
        tlsf.ranges.nodes[last as usize].next = index;
        tlsf.ranges.set_used(index, NIL);
    });
    notices_in_tlsf("R2", |tlsf| {
        let index = used_behind_free(tlsf);
        set_free(&mut tlsf.ranges.nodes[index]);
    });
    notices_in_tlsf("R3", |tlsf| tlsf.ranges.spare = 1);
    notices_in_tlsf("R3", |tlsf| tlsf.ranges.nodes[0].extent = 0);
    notices_in_tlsf("R3", |tlsf| tlsf.ranges.nodes[0].next = 1);
    notices_in_tlsf("R3", |tlsf| {
        let lost = Node { place: 0, extent: 0, prev: NIL, next: NIL, list_prev: NIL, list_next: NIL };
        tlsf.ranges.nodes.push(lost);
    });
    notices_in_tlsf("R3", |tlsf| {
        let lost = Node { place: 0, extent: 5, prev: NIL, next: NIL, list_prev: NIL, list_next: tlsf.ranges.spare };
        tlsf.ranges.spare = u32::try_from(tlsf.ranges.nodes.len()).expect("it is an index");
        tlsf.ranges.nodes.push(lost);
    });
}

#[test]
fn lists() {
    let head = |tlsf: &Tlsf| tlsf.lists.heads.iter().position(|&head| head != NIL).expect("something is free");
    notices_in_tlsf("T1", |tlsf| {
        let class = head(tlsf);
        tlsf.lists.heads[class] = NIL;
        tlsf.lists.words[class >> 6] &= !(1 << (class & 63));
    });
    notices_in_tlsf("T1", |tlsf| {
        let class = head(tlsf);
        let node = tlsf.lists.heads[class] as usize;
        tlsf.ranges.nodes[node].list_next = tlsf.lists.heads[class];
    });
    notices_in_tlsf("T1", |tlsf| {
        let last = tlsf.lists.heads.iter().rposition(|&head| head != NIL).expect("something is free");
        let first = head(tlsf);
        tlsf.lists.heads.swap(first, last);
    });
    notices_in_tlsf("T2", |tlsf| {
        let class = head(tlsf);
        tlsf.lists.words[class >> 6] ^= 1 << (class & 63);
    });
}

#[test]
fn slabs() {
    let empty = |tlsf: &Tlsf| tlsf.slabs.empty().next().expect("one slab was emptied") as usize;
    notices_in_tlsf("S1", |tlsf| tlsf.slabs.table[0].offset += 1);
    notices_in_tlsf("S1", |tlsf| {
        let node = tlsf.slabs.table[0].node as usize;
        tlsf.ranges.nodes[node].list_prev = NONE;
    });
    notices_in_tlsf("S1", |tlsf| {
        let (own, other) = (tlsf.slabs.table[0].node as usize, used_behind_free(tlsf));
        (tlsf.ranges.nodes[own].list_prev, tlsf.ranges.nodes[other].list_prev) = (NONE, 0);
    });
    notices_in_tlsf("S1", |tlsf| {
        let other = tlsf.slabs.table[1].node as usize;
        tlsf.ranges.nodes[other].list_prev = 0;
    });
    notices_in_tlsf("S2", |tlsf| tlsf.slabs.table[0].free |= 1 << 63);
    notices_in_tlsf("S3", |tlsf| {
        let Slab { class, place, .. } = tlsf.slabs.table[empty(tlsf)];
        let class = &mut tlsf.slabs.classes[usize::from(class)];
        (class.words[0], class.room) = (class.words[0] | 1 << place, class.room | 1);
    });
    notices_in_tlsf("S3", |tlsf| {
        let class =
            tlsf.slabs.classes.iter_mut().find(|class| class.room == 1).expect("one has room beside used slots");
        (class.words[0], class.room) = (0, 0);
    });
    notices_in_tlsf("S3", |tlsf| tlsf.slabs.classes[0].room ^= 1);
    notices_in_tlsf("S3", |tlsf| tlsf.slabs.classes[0].words[0] |= 1 << 40);
    notices_in_tlsf("S3", |tlsf| tlsf.slabs.classes[0].places[0] = 77);
    notices_in_tlsf("S3", |tlsf| {
        let index = empty(tlsf);
        tlsf.slabs.table[index].place ^= 1;
    });
    notices_in_tlsf("S4", |tlsf| {
        let class = tlsf.slabs.table[empty(tlsf)].class as usize;
        tlsf.slabs.classes[class].empty = NONE;
    });
    notices_in_tlsf("S4", |tlsf| tlsf.slabs.classes[0].slot_count += 1);
    notices_in_tlsf("S4", |tlsf| tlsf.slabs.kept_bytes += 1);
}

#[test]
fn each_algorithm_is_checked() {
    let (mut tlsf, mut linear, mut fixed) = (tlsf(), linear(), fixed());
    tlsf.range_count += 1;
    linear.range_count += 1;
    fixed.range_count += 1;
    let broken = [Suballocator::Tlsf(tlsf), Suballocator::Linear(linear), Suballocator::Fixed(fixed)];
    let found = broken.map(|subject| subject.validate().map_err(|violation| violation.invariant));
    assert_eq!(found, [Err("A1"), Err("A1"), Err("F3")]);
}

#[test]
fn a_class_of_more_than_64_slabs_is_checked() {
    let settings = Settings { slab_limit: 256 << 10, high_end_from: 1 << 28, ..Settings::plain(64) };
    let mut subject = Suballocator::new(Algorithm::Tlsf, settings);
    subject.add_region(256 << 20);
    let request = Request::new(256 << 10, 64);
    let keys: Vec<_> = (0..200).filter_map(|_| subject.allocate(&request)).map(|range| range.key).collect();
    subject.free(keys[190]).expect("the key is live");
    subject.validate().expect("the invariants hold");
    let Suballocator::Tlsf(mut tlsf) = subject else { unreachable!("it was made as one") };
    let class = tlsf.slabs.classes.last_mut().expect("there are classes");
    assert_eq!(class.room, 0b10, "only a slab of the second word has room");
    class.room = 0b01;
    assert_eq!(check_tlsf(&tlsf).map_err(|violation| violation.invariant), Err("S3"));
}

#[test]
fn accounts() {
    notices_in_tlsf("A1", |tlsf| tlsf.used_bytes += 1);
    notices_in_tlsf("A1", |tlsf| tlsf.range_count -= 1);
}

#[test]
fn fronts_of_linear_regions() {
    let notices = |invariant: &str, corrupt: &dyn Fn(&mut Linear)| {
        let mut linear = linear();
        check_linear(&linear).expect("the invariants hold");
        corrupt(&mut linear);
        assert_eq!(check_linear(&linear).expect_err("it is noticed").invariant, invariant);
    };
    let upper = |linear: &Linear| linear.nodes.table.iter().position(LinearNode::is_upper).expect("there are three");
    notices("L1", &|linear| {
        // A ring without an upper stack, whose head is no node of it.
        linear.nodes.table.iter_mut().for_each(|node| node.home &= !super::super::linear::UPPER);
        (linear.fronts[0].upper, linear.fronts[0].head) = (0, NONE);
    });
    notices("L1", &|linear| {
        let index = upper(linear);
        (linear.fronts[0].upper, linear.fronts[0].head) = (0, u32::try_from(index).expect("it is an index"));
    });
    notices("L2", &|linear| linear.fronts[0].head = linear.fronts[0].border);
    notices("L2", &|linear| linear.fronts[0].upper -= 1);
    notices("L2", &|linear| {
        let index = upper(linear);
        linear.nodes.table[index].home &= !super::super::linear::UPPER;
    });
    notices("A1", &|linear| linear.used_units += 1);
    notices("A1", &|linear| linear.range_count += 1);
    notices("A2", &|linear| linear.regions.entries[0].busy += 1);
    notices("L1", &|linear| linear.fronts.clear());
}

#[test]
fn an_absent_region_has_no_front_and_no_slots() {
    let mut subject = Suballocator::new(Algorithm::Linear, settings());
    assert!((subject.add_region(1 << 12), subject.remove_region(0)) == (0, true));
    subject.validate().expect("the invariants hold");
    let Suballocator::Linear(mut linear) = subject else { unreachable!("it was made as one") };
    linear.fronts[0].head = 0;
    assert_eq!(check_linear(&linear).map_err(|violation| violation.invariant), Err("L1"));
    let mut fixed = fixed();
    let absent = fixed.add_region(1 << 12);
    assert!(fixed.remove_region(absent));
    fixed.slots[absent as usize] = FixedRegion { stamp: absent << GENERATION_BITS, ..fixed.slots[1].clone() };
    assert_eq!(check_fixed(&fixed).map_err(|violation| violation.invariant), Err("F2"));
}

#[test]
fn nodes_of_linear_regions() {
    let notices = |invariant: &str, corrupt: &dyn Fn(&mut Linear)| {
        let mut linear = linear();
        corrupt(&mut linear);
        assert_eq!(check_linear(&linear).expect_err("it is noticed").invariant, invariant);
    };
    notices("N1", &|linear| linear.nodes.table[1].end += 1 << 12);
    notices("N1", &|linear| linear.nodes.table[1].end = linear.nodes.table[1].start);
    notices("N1", &|linear| linear.nodes.table[3].start -= 1);
    notices("N1", &|linear| linear.nodes.table[1].home += 1);
    notices("N1", &|linear| linear.nodes.table[1].prev = 1);
    notices("N1", &|linear| linear.nodes.table[1].next = NONE);
    notices("N1", &|linear| linear.nodes.table[0].start += 1);
    notices("N1", &|linear| linear.fronts[0].border = NONE);
    notices("N2", &|linear| linear.nodes.spare = 1);
    notices("N2", &|linear| linear.nodes.table.extend_from_within(0..1));
    notices("N2", &|linear| {
        let beyond = u32::try_from(linear.nodes.table.len()).expect("it is an index");
        let last = linear.nodes.table.iter_mut().rfind(|node| node.next == NONE).expect("there are spare nodes");
        last.next = beyond;
    });
    notices("N3", &|linear| linear.nodes.table[1].stamp += 1);
    notices("N3", &|linear| {
        linear.nodes.spare = u32::try_from(linear.nodes.table.len()).expect("it is an index");
        linear.nodes.table.push(LinearNode { next: NONE, ..linear.nodes.table[1] });
    });
}

#[test]
fn the_newest_range_of_a_linear_region_lies_in_it() {
    let mut subject = Suballocator::new(Algorithm::Linear, settings());
    for _ in 0..2 {
        let region = subject.add_region(1 << 12);
        subject.allocate_in(region, &Request::new(16, 16)).expect("there is room");
    }
    subject.validate().expect("the invariants hold");
    let Suballocator::Linear(mut linear) = subject else { unreachable!("it was made as one") };
    linear.fronts[0].head = linear.fronts[1].head;
    assert_eq!(check_linear(&linear).map_err(|violation| violation.invariant), Err("L1"));
}

#[test]
fn slots_of_fixed_regions() {
    let notices = |invariant: &str, corrupt: &dyn Fn(&mut Fixed)| {
        let mut fixed = fixed();
        check_fixed(&fixed).expect("the invariants hold");
        corrupt(&mut fixed);
        assert_eq!(check_fixed(&fixed).expect_err("it is noticed").invariant, invariant);
    };
    notices("F1", &|fixed| fixed.slots[0].bits[0] ^= 1 << 5);
    notices("F1", &|fixed| *fixed.slots[0].bits.last_mut().expect("it has words") |= 1 << 63);
    notices("F1", &|fixed| fixed.slots[0].bits.push(0));
    notices("F1", &|fixed| fixed.slots[0].groups.remove(1));
    notices("F1", &|fixed| fixed.slots[0].groups.levels[0][0] |= 1 << 2);
    notices("F1", &|fixed| fixed.slots[0].groups.levels.clear());
    notices("F1", &|fixed| fixed.open.levels[0].push(0));
    notices("F2", &|fixed| fixed.slots.extend_from_within(1..2));
    notices("F2", &|fixed| fixed.slot_size += 64);
    notices("F2", &|fixed| fixed.open.remove(1));
    notices("F3", &|fixed| fixed.slots[0].bits[64] &= !1);
    notices("F5", &|fixed| fixed.lowest = 1);
    notices("F5", &|fixed| fixed.slots[0].group = 1);
    notices("F3", &|fixed| fixed.slots[0].used += 1);
    notices("F3", &|fixed| fixed.regions.entries[0].busy = 2);
    notices("F3", &|fixed| fixed.range_count += 1);
    notices("F4", &|fixed| fixed.slots[1].stamp = fixed.slots[0].stamp);
    notices("G2", &|fixed| fixed.regions.total_units += 1);
}
