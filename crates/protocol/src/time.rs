//! A moment in time: microseconds since 1970, written as RFC 3339 in UTC.

use core::{fmt, str::FromStr, time::Duration};

use serde::{Deserialize, Deserializer, Serialize, Serializer};

/// Microseconds since the Unix epoch. Written `2026-11-21T09:43:00.000001Z`, always six digits;
/// read with any offset and 0 to 9 digits, never without a zone (docs/rules.md 12).
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Default)]
pub struct Timestamp(i64);

impl Timestamp {
    /// The moment this many microseconds after the epoch, held inside the years -9999 to 9999.
    pub const fn from_micros(micros: i64) -> Self {
        Self(micros)
    }

    /// Microseconds since the epoch.
    pub const fn micros(self) -> i64 {
        self.0
    }

    /// This moment moved on by `duration`.
    #[must_use]
    pub fn after(self, duration: Duration) -> Self {
        Self(self.0.saturating_add(i64::try_from(duration.as_micros()).unwrap_or(i64::MAX)))
    }

    /// The time from `earlier` to here; zero when `earlier` is later.
    pub fn since(self, earlier: Self) -> Duration {
        Duration::from_micros(u64::try_from(self.0.saturating_sub(earlier.0)).unwrap_or(0))
    }
}

impl fmt::Display for Timestamp {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let timestamp = jiff::Timestamp::from_microsecond(self.0).map_err(|_| fmt::Error)?;
        write!(f, "{timestamp:.6}")
    }
}

impl FromStr for Timestamp {
    type Err = jiff::Error;

    fn from_str(text: &str) -> Result<Self, jiff::Error> {
        text.parse::<jiff::Timestamp>().map(|timestamp| Self(timestamp.as_microsecond()))
    }
}

impl Serialize for Timestamp {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_str(self)
    }
}

impl<'de> Deserialize<'de> for Timestamp {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let text = alloc::borrow::Cow::<'de, str>::deserialize(deserializer)?;
        text.parse().map_err(serde::de::Error::custom)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use alloc::string::ToString;
    use proptest::prelude::*;

    #[test]
    fn a_stamp_is_written_with_six_digits_in_utc() {
        assert_eq!(Timestamp::from_micros(1_000_000).to_string(), "1970-01-01T00:00:01.000000Z");
    }

    #[test]
    fn a_time_without_a_zone_is_refused() {
        assert!("2026-11-21T09:43:00".parse::<Timestamp>().is_err());
        assert_eq!(
            "1970-01-01T01:00:01+01:00".parse::<Timestamp>().ok(),
            Some(Timestamp::from_micros(1_000_000))
        );
    }

    proptest! {
        #[test]
        fn what_is_written_reads_back(micros in 0_i64..4_000_000_000_000_000) {
            let stamp = Timestamp::from_micros(micros);
            prop_assert_eq!(stamp.to_string().parse::<Timestamp>().ok(), Some(stamp));
        }
    }
}
