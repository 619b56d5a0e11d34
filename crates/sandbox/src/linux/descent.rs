//! Which process descends from which, as far as they can be seen.

use std::collections::{BTreeMap, BTreeSet};
use std::fs;

/// All processes that can be seen, each with its parent.
pub(super) fn parents() -> BTreeMap<u32, u32> {
    let entries = fs::read_dir("/proc").into_iter().flatten().flatten();
    let pids = entries.filter_map(|entry| entry.file_name().to_str()?.parse::<u32>().ok());
    pids.filter_map(|pid| {
        let stat = fs::read_to_string(format!("/proc/{pid}/stat")).ok()?;
        Some((pid, stat.rsplit_once(") ")?.1.split(' ').nth(1)?.parse().ok()?))
    })
    .collect()
}

/// A process and all that descend from it.
pub(super) fn below(top: u32, parents: &BTreeMap<u32, u32>) -> BTreeSet<u32> {
    let mut found = BTreeSet::from([top]);
    loop {
        let before = found.len();
        found.extend(
            parents
                .iter()
                .filter(|(_, parent)| found.contains(parent))
                .map(|(pid, _)| *pid)
                .collect::<Vec<_>>(),
        );
        if found.len() == before {
            return found;
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn those_that_descend_from_a_process_are_found() {
        let parents = BTreeMap::from([(2, 1), (3, 2), (4, 3), (9, 1)]);
        assert_eq!(below(2, &parents), BTreeSet::from([2, 3, 4]));
    }
}
