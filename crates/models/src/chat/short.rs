//! Ids of calls for those who take nothing but nine letters and digits.

use std::borrow::Cow;

/// How long such an id is.
const LENGTH: usize = 9;
const LETTERS: &[u8; 62] = b"0123456789ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz";

/// The id itself if it is one, else one that is always the same for it.
pub(super) fn id(given: &str) -> Cow<'_, str> {
    if given.len() == LENGTH && given.bytes().all(|byte| byte.is_ascii_alphanumeric()) {
        return given.into();
    }
    // FNV-1a, over 128 bits: it spreads, and nobody gains by two that meet.
    let mut hash: u128 = 0x6c62_272e_07bb_0142_62b8_2175_6295_c58d;
    for byte in given.bytes() {
        hash = (hash ^ u128::from(byte)).wrapping_mul(0x0000_0000_0100_0000_0000_0000_0000_013b);
    }
    let mut rest = hash ^ (hash >> 64);
    let mut short = String::with_capacity(LENGTH);
    for _ in 0..LENGTH {
        let place = usize::try_from(rest % 62).unwrap_or_default();
        short.extend(LETTERS.get(place).map(|letter| char::from(*letter)));
        rest /= 62;
    }
    short.into()
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::collections::BTreeSet;

    #[test]
    fn ids_stay_apart_and_good_ones_as_they_are() {
        assert_eq!(id("abcDEF123"), "abcDEF123");
        let short: BTreeSet<_> = (0..10_000).map(|place| id(&format!("call_{place}")).into_owned()).collect();
        assert_eq!(short.len(), 10_000);
        assert_eq!(id("call_1"), id("call_1"));
    }
}
