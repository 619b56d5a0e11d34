//! Counts of what passed and failed, read from what test programs print.

use std::fmt;

/// What passed and what failed.
#[derive(Debug, Default, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Tally {
    pub(crate) passed: u64,
    pub(crate) failed: u64,
}

/// How a program tells its counts.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Told {
    /// It has none; its exit status says all.
    Nowhere,
    /// `test result: ok. 5 passed; 0 failed; …`, a line for each test binary.
    ByCargo,
    /// `5 passed, 0 failed`, alone on a line, or with `, 1 skipped` behind it.
    Plainly,
}

impl Told {
    /// The counts in a line of output, if it tells any.
    pub(crate) fn read(self, line: &str) -> Option<Tally> {
        let words: Vec<&str> = line.split_whitespace().collect();
        match (self, words.as_slice()) {
            (Self::ByCargo, ["test", "result:", _, passed, "passed;", failed, "failed;", ..])
            | (
                Self::Plainly,
                [passed, "passed,", failed, "failed"] | [passed, "passed,", failed, "failed,", _, "skipped"],
            ) => Some(Tally { passed: passed.parse().ok()?, failed: failed.parse().ok()? }),
            (Self::Nowhere | Self::ByCargo | Self::Plainly, _) => None,
        }
    }

    /// What a line of output names as failed, if it does.
    pub(crate) fn failed(self, line: &str) -> Option<&str> {
        match self {
            Self::Nowhere => None,
            Self::ByCargo => line.strip_prefix("test ")?.strip_suffix(" ... FAILED"),
            Self::Plainly => line.strip_prefix("FAILED  "),
        }
    }
}

impl Tally {
    pub(crate) fn plus(self, more: Self) -> Self {
        Self {
            passed: self.passed.saturating_add(more.passed),
            failed: self.failed.saturating_add(more.failed),
        }
    }
}

impl fmt::Display for Tally {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} passed, {} failed", self.passed, self.failed)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_way_of_telling_is_read_and_no_other() {
        let cargo = "test result: FAILED. 12 passed; 3 failed; 0 ignored; 0 measured; 0 filtered out";
        let plain = "20000 passed, 1 failed";
        assert_eq!(Told::ByCargo.read(cargo), Some(Tally { passed: 12, failed: 3 }));
        assert_eq!(Told::Plainly.read(plain), Some(Tally { passed: 20000, failed: 1 }));
        let skipped = "5 passed, 0 failed, 2 skipped";
        assert_eq!(Told::Plainly.read(skipped), Some(Tally { passed: 5, failed: 0 }));
        assert_eq!(Told::ByCargo.read(plain), None);
        assert_eq!(Told::Plainly.read(cargo), None);
        assert_eq!(Told::Plainly.read("about 3 passed, 1 failed"), None);
        assert_eq!(Told::Plainly.read("x passed, 1 failed"), None);
        assert_eq!(Told::Nowhere.read(plain), None);
    }

    #[test]
    fn what_failed_is_read_by_its_name() {
        let lines = ["test a::b ... FAILED", "test a::c ... ok", "FAILED  guest (1 s)", "   FAILED: why"];
        let read = |told: Told| lines.iter().filter_map(|line| told.failed(line)).collect::<Vec<_>>();
        assert_eq!(read(Told::ByCargo), ["a::b"]);
        assert_eq!(read(Told::Plainly), ["guest (1 s)"]);
        assert_eq!(read(Told::Nowhere), Vec::<&str>::new());
    }
}
