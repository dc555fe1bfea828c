//! Tests of the table of regions.

use alloc::vec;

use super::*;

fn table(sizes: &[u64]) -> RegionTable {
    let mut table = RegionTable::new();
    for &units in sizes {
        table.add(units);
    }
    table
}

fn busy(table: &RegionTable, number: u32) -> Option<u32> {
    table.get(number).map(|region| region.busy)
}

#[test]
fn what_is_counted_in_is_counted_out() {
    let mut table = table(&[8, 8]);
    assert_eq!((busy(&table, 0), table.is_empty(0)), (Some(0), true));
    (0..3).for_each(|_| table.occupy(0));
    assert_eq!(busy(&table, 0), Some(3));
    assert!(!table.vacate(0));
    assert_eq!((busy(&table, 0), busy(&table, 1)), (Some(2), Some(0)));
    assert!(!table.vacate(0) && table.vacate(0), "the second one was the last");
    assert_eq!((busy(&table, 0), table.is_empty(0)), (Some(0), true));
}

#[test]
fn empty_regions_are_known_newest_first() {
    let mut table = table(&[1, 2, 4, 8]);
    let empty = |table: &RegionTable| (table.empty().collect::<Vec<_>>(), table.empty_units);
    assert_eq!(empty(&table), (vec![(3, 8), (2, 4), (1, 2), (0, 1)], 15));
    table.occupy(2);
    table.occupy(0);
    assert_eq!(empty(&table), (vec![(3, 8), (1, 2)], 10));
    assert!(table.vacate(0));
    assert_eq!(empty(&table), (vec![(0, 1), (3, 8), (1, 2)], 11));
    table.remove(3);
    assert_eq!((empty(&table), table.total_units), ((vec![(0, 1), (1, 2)], 3), 7));
    assert_eq!((table.get(3).is_some(), table.is_present(3), table.is_empty(3), table.len()), (false, false, false, 4));
    table.reset();
    assert_eq!(empty(&table), (vec![(0, 1), (1, 2), (2, 4)], 7));
    assert_eq!(table.add(16), 3, "the lowest free number");
    assert_eq!((empty(&table), table.total_units), ((vec![(3, 16), (0, 1), (1, 2), (2, 4)], 23), 23));
}

#[test]
fn the_host_pays_three_words_for_each_region() {
    let table = table(&[1; 100]);
    let entries = 100 * size_of::<Region>();
    assert_eq!(entries, 2400);
    assert!((entries..=2 * entries).contains(&table.host_bytes()), "{} bytes", table.host_bytes());
}
