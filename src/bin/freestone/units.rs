//! Numbers as people read them; integers only, so that no rounding depends on a float.

/// Returns bytes with one decimal of a binary unit: "512 B", "17.4 MiB".
pub(crate) fn bytes(bytes: u64) -> String {
    scaled(bytes, 1024, &["B", "KiB", "MiB", "GiB", "TiB"])
}

/// Returns a time with one decimal: "85 ns", "1.2 us".
pub(crate) fn nanoseconds(nanoseconds: u64) -> String {
    scaled(nanoseconds, 1000, &["ns", "us", "ms", "s"])
}

/// Returns a quotient with two decimals, or "-" where there is none.
pub(crate) fn ratio(numerator: u64, denominator: u64) -> String {
    if denominator == 0 {
        return "-".into();
    }
    let hundredths = (u128::from(numerator) * 100 + u128::from(denominator) / 2) / u128::from(denominator);
    format!("{}.{:02}", hundredths / 100, hundredths % 100)
}

fn scaled(number: u64, step: u64, units: &[&str]) -> String {
    let (mut scale, mut unit) = (1_u64, 0);
    while number / scale >= step && unit + 1 < units.len() {
        scale *= step;
        unit += 1;
    }
    if unit == 0 {
        return format!("{number} {}", units[0]);
    }
    let tenths = (u128::from(number) * 10 + u128::from(scale) / 2) / u128::from(scale);
    format!("{}.{} {}", tenths / 10, tenths % 10, units[unit])
}

#[cfg(test)]
mod tests {
    use super::{bytes, nanoseconds, ratio};

    #[test]
    fn readable() {
        assert_eq!(bytes(0), "0 B");
        assert_eq!(bytes(1023), "1023 B");
        assert_eq!(bytes(1024), "1.0 KiB");
        assert_eq!(bytes(268_435_456), "256.0 MiB");
        assert_eq!(bytes(u64::MAX), "16777216.0 TiB");
        assert_eq!(nanoseconds(85), "85 ns");
        assert_eq!(nanoseconds(1_250), "1.3 us");
        assert_eq!((ratio(3, 2), ratio(207, 100), ratio(1, 0)), ("1.50".into(), "2.07".into(), "-".into()));
        assert_eq!(ratio(u64::MAX, u64::MAX), "1.00");
        assert_eq!((ratio(1, 200), ratio(2, 300), ratio(1, 300)), ("0.01".into(), "0.01".into(), "0.00".into()));
    }
}
