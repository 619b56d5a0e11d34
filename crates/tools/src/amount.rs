//! Amounts as a model reads them.

const MIB: u64 = 1 << 20;
const GIB: u64 = 1 << 30;

/// Bytes: whole GiB as such, whatever else is not small in MiB.
pub(crate) fn size(bytes: u64) -> String {
    match bytes {
        ..MIB => format!("{} KiB", bytes >> 10),
        _ if bytes.is_multiple_of(GIB) => format!("{} GiB", bytes / GIB),
        _ => format!("{} MiB", bytes as f64 / MIB as f64),
    }
}

/// A number with a comma before each three digits.
pub(crate) fn number(number: usize) -> String {
    if number < 1_000 {
        return number.to_string();
    }
    format!("{},{:03}", self::number(number / 1_000), number % 1_000)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_amount_is_as_short_as_it_can_be_said() {
        let sizes = [16 << 10, MIB, 15 * MIB / 4, 1_536 * MIB, 4 * GIB].map(size);
        assert_eq!(sizes, ["16 KiB", "1 MiB", "3.75 MiB", "1536 MiB", "4 GiB"]);
        assert_eq!([7, 8_000, 100_020, 1_002_003].map(number), ["7", "8,000", "100,020", "1,002,003"]);
    }
}
