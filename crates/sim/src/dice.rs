//! The dice of the storms, which also throw the entropy of an input.

pub use dice::Dice;
use kernel::Seed;

/// Dice that a kernel's seed can be thrown with.
pub(crate) trait Entropy {
    /// Entropy for one input.
    fn seed(&mut self) -> Seed;
}

impl Entropy for Dice {
    fn seed(&mut self) -> Seed {
        Seed::new(u128::from(self.bits()) << 64 | u128::from(self.bits()))
    }
}
