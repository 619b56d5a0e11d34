//! Dice: a small generator (SplitMix64), so that what a test does is its seed and nothing else.

/// Dice that fall the same way for the same seed.
#[derive(Debug, Clone)]
pub struct Dice(u64);

impl Dice {
    /// Dice with this seed.
    pub const fn new(seed: u64) -> Self {
        Self(seed)
    }

    /// The next 64 bits.
    pub fn bits(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut mixed = self.0;
        mixed = (mixed ^ (mixed >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        mixed = (mixed ^ (mixed >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        mixed ^ (mixed >> 31)
    }

    /// A number below `end`; 0 when `end` is 0.
    pub fn below(&mut self, end: u64) -> u64 {
        self.bits().checked_rem(end).unwrap_or(0)
    }

    /// True once in `times`.
    pub fn once_in(&mut self, times: u64) -> bool {
        self.below(times) == 0
    }

    /// One of these; `None` when there are none.
    pub fn pick<'a, T>(&mut self, of: &'a [T]) -> Option<&'a T> {
        of.get(self.below(of.len() as u64) as usize)
    }

    /// One of these, each as likely as its weight says; `None` when nothing has weight.
    pub fn weighted<T: Copy>(&mut self, of: &[(T, u64)]) -> Option<T> {
        let mut left = self.below(of.iter().map(|(_, weight)| weight).sum());
        of.iter().find_map(|(one, weight)| {
            if left < *weight {
                return Some(*one);
            }
            left -= weight;
            None
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_same_seed_falls_the_same_way_and_another_does_not() {
        let fall = |seed| {
            let mut dice = Dice::new(seed);
            (0..8).map(|_| dice.bits()).collect::<Vec<_>>()
        };
        assert_eq!(fall(7), fall(7));
        assert_ne!(fall(7), fall(8));
    }

    #[test]
    fn seeds_of_earlier_failures_still_mean_the_same() {
        let mut dice = Dice::new(1_234_567);
        let falls = [dice.bits(), dice.bits(), dice.bits()];
        assert_eq!(falls, [6_457_827_717_110_365_317, 3_203_168_211_198_807_973, 9_817_491_932_198_370_423]);
    }

    #[test]
    fn weights_say_how_often() {
        let mut dice = Dice::new(1);
        let falls: Vec<_> =
            (0..1_000).filter_map(|_| dice.weighted(&[('a', 9), ('b', 1), ('c', 0)])).collect();
        let often = |of| falls.iter().filter(|one| **one == of).count();
        assert!(often('a') > 800 && often('b') > 50 && often('c') == 0);
        assert_eq!(dice.weighted::<char>(&[]), None);
    }
}
