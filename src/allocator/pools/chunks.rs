//! A table that grows and never moves: whoever looks takes no lock, and what is found stays where it is.
//!
//! ```text
//!   chunk 0   16 entries │ chunk 1   32 │ chunk 2   64 │ …       made when needed, never given back
//! ```

use crate::sync::OnceLock;

/// Entries of the first chunk; each further one has twice as many.
const FIRST_CHUNK: usize = if cfg!(loom) { 1 } else { 16 };
/// Enough for 2^16 - 16 entries.
const CHUNK_COUNT: usize = if cfg!(loom) { 4 } else { 12 };

/// The table.
#[derive(Debug)]
pub(super) struct Chunks<T>([OnceLock<Box<[T]>>; CHUNK_COUNT]);

impl<T> Chunks<T> {
    pub(super) fn new() -> Self {
        Self(core::array::from_fn(|_| OnceLock::new()))
    }

    /// Returns an entry; `None` where its chunk was never needed.
    #[inline]
    pub(super) fn get(&self, number: usize) -> Option<&T> {
        let (chunk, index) = place(number);
        self.0.get(chunk)?.get()?.get(index)
    }

    /// Returns an entry, and makes its chunk if nobody has; `None` where the table ends before.
    pub(super) fn get_or_make(&self, number: usize, make: impl Fn() -> T) -> Option<&T> {
        let (chunk, index) = place(number);
        self.0.get(chunk)?.get_or_init(|| (0..FIRST_CHUNK << chunk).map(|_| make()).collect()).get(index)
    }
}

/// Returns the chunk of a number and its index there.
#[inline]
const fn place(number: usize) -> (usize, usize) {
    let from_first = number + FIRST_CHUNK;
    let chunk = (from_first.ilog2() - FIRST_CHUNK.ilog2()) as usize;
    (chunk, from_first - (FIRST_CHUNK << chunk))
}

#[cfg(all(test, not(loom)))]
mod tests {
    use core::cell::Cell;

    use super::*;

    #[test]
    fn places_follow_each_other_through_all_chunks() {
        let mut expected = (0, 0);
        for number in 0..(1 << 16) - FIRST_CHUNK {
            assert_eq!(place(number), expected, "number {number}");
            assert!(expected.0 < CHUNK_COUNT);
            expected = match expected {
                (chunk, index) if index + 1 == FIRST_CHUNK << chunk => (chunk + 1, 0),
                (chunk, index) => (chunk, index + 1),
            };
        }
        assert_eq!(expected, (CHUNK_COUNT, 0), "there are no more");
    }

    #[test]
    fn an_entry_is_there_once_its_chunk_was_needed_and_stays_in_its_place() {
        let table = Chunks::new();
        assert!(table.get(0).is_none());
        let count = Cell::new(0);
        let make = || count.replace(count.get() + 1);
        let first: *const i32 = table.get_or_make(3, make).expect("the table is longer");
        assert_eq!((count.get(), table.get(3)), (16, Some(&3)));
        assert!(table.get(16).is_none());
        assert_eq!((table.get_or_make(47, make), count.get()), (Some(&47), 48));
        assert!(core::ptr::eq(first, table.get_or_make(3, make).expect("it is there")) && count.get() == 48);
        assert!(table.get_or_make(1 << 16, make).is_none() && table.get(1 << 20).is_none());
    }
}
