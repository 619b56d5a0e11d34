//! A moment: the only window on time and dice.

use protocol::{EventId, Timestamp};
use serde::{Deserialize, Deserializer, Serialize, Serializer, de::Error as _};
use sha2::{Digest, Sha256};

/// The time of an input and sixteen bytes of entropy for it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Moment {
    /// The time; the log's stamps never run back behind it or behind each other.
    pub at: Timestamp,
    /// Where the input's ids and jitter come from.
    pub seed: Seed,
}

/// Sixteen bytes of entropy. Everything random is derived from one, so the same seed gives the same log.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Seed(u128);

impl Seed {
    /// The seed with these bits.
    pub const fn new(bits: u128) -> Self {
        Self(bits)
    }

    /// The `n`th number that this seed gives.
    pub fn draw(self, n: u64) -> u128 {
        let mut hash = Sha256::new();
        hash.update(self.0.to_be_bytes());
        hash.update(n.to_be_bytes());
        let digest: [u8; 32] = hash.finalize().into();
        digest.iter().take(16).fold(0, |bits, byte| (bits << 8) | u128::from(*byte))
    }

    /// The id of the event that an answer's block `index` makes, for a request that was started when the
    /// log stood at `position` (docs/rules.md 7): the preview and the final event derive the same one.
    pub fn event(self, index: usize, position: u64) -> EventId {
        EventId::minted(self.draw(index as u64), position)
    }
}

impl Serialize for Seed {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_str(&format_args!("{:032x}", self.0))
    }
}

impl<'de> Deserialize<'de> for Seed {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let digits = alloc::borrow::Cow::<'de, str>::deserialize(deserializer)?;
        u128::from_str_radix(&digits, 16).map(Self).map_err(D::Error::custom)
    }
}

/// Draws from a moment's seed, one number after the other.
#[derive(Debug, Clone)]
pub(crate) struct Dice {
    seed: Seed,
    drawn: u64,
}

impl Dice {
    pub(crate) const fn new(seed: Seed) -> Self {
        Self { seed, drawn: 0 }
    }

    pub(crate) fn draw(&mut self) -> u128 {
        self.drawn += 1;
        self.seed.draw(self.drawn)
    }
}
