//! One word, repeated: what an allocation holds from when it is made until it is freed.

/// Words that are written or compared at once, so that no step makes a copy as large as the allocation.
const PIECE: usize = 16 << 10;

/// Returns the `number`th pattern. Neighbours differ in every byte that an overlap could mix.
pub(crate) fn word(number: u32) -> u32 {
    number.wrapping_mul(0x9E37_79B9) | 1
}

/// Returns where words first differ from a pattern, in bytes, and what is there.
pub(crate) fn first_difference(words: &[u32], pattern: u32) -> Option<(u64, u32)> {
    // Whole pieces are compared in one go; only a piece that differs is looked at word by word.
    let expected = vec![pattern; PIECE.min(words.len())];
    let (number, piece) = (0_u64..).zip(words.chunks(PIECE)).find(|(_, piece)| *piece != &expected[..piece.len()])?;
    let (place, &found) = (0_u64..).zip(piece).find(|&(_, &word)| word != pattern)?;
    Some((4 * (number * PIECE as u64 + place), found))
}

/// Cuts a range of bytes into pieces: the offset of each, and its bytes, which repeat the pattern from its first byte.
pub(crate) fn pieces(size: u64, pattern: u32) -> impl Iterator<Item = (u64, Vec<u8>)> {
    let step = 4 * PIECE as u64;
    let whole = pattern.to_ne_bytes().repeat(usize::try_from(size.div_ceil(4)).unwrap_or(PIECE).min(PIECE));
    (0..size.div_ceil(step)).map(move |number| {
        let offset = number * step;
        let length = usize::try_from((size - offset).min(step)).unwrap_or(0);
        (offset, whole[..length].to_vec())
    })
}

#[cfg(test)]
mod tests {
    use super::{PIECE, first_difference, pieces, word};

    #[test]
    fn differences_are_found_wherever_they_are() {
        let mut words = vec![7; 3 * PIECE + 5];
        assert_eq!(first_difference(&words, 7), None);
        assert_eq!(first_difference(&[], 7), None);
        for place in [0, 1, PIECE - 1, PIECE, 3 * PIECE + 4] {
            words[place] = 9;
            assert_eq!(first_difference(&words, 7), Some((4 * place as u64, 9)));
            words[place] = 7;
        }
    }

    #[test]
    fn pieces_cover_every_byte_with_the_pattern() {
        for size in [1, 4, 7, 4 * PIECE as u64, 4 * PIECE as u64 + 1, 9 * PIECE as u64 + 3] {
            let mut end = 0;
            for (offset, bytes) in pieces(size, 0x0403_0201) {
                assert_eq!(offset, end);
                let expected = 0x0403_0201_u32.to_ne_bytes();
                assert!(bytes.iter().enumerate().all(|(at, &byte)| byte == expected[at % 4]), "{size}");
                end += bytes.len() as u64;
            }
            assert_eq!(end, size);
        }
    }

    #[test]
    fn neighbouring_patterns_differ() {
        assert!((0..1000).all(|number| word(number) != word(number + 1)));
    }
}
