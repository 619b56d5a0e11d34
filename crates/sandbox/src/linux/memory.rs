//! How much memory there is, and what a jail's processes have of it, as the host sees them.

use std::collections::{BTreeMap, BTreeSet};
use std::fs;
use std::path::{Path, PathBuf};

use super::cgroup;

const KIB: u64 = 1024;

/// Memory of the machine, or of the container that the server is in, in bytes.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Memory {
    pub total_bytes: u64,
    /// What can still be used without anything being ended.
    pub available_bytes: u64,
}

/// What there is now; `None` where the system does not say.
pub fn memory() -> Option<Memory> {
    let machine = of_machine(&fs::read_to_string("/proc/meminfo").ok()?)?;
    let container =
        ["/sys/fs/cgroup", "/sys/fs/cgroup/memory"].iter().find_map(|place| of_container(Path::new(place)));
    Some(container.map_or(machine, |container| Memory {
        total_bytes: machine.total_bytes.min(container.total_bytes),
        available_bytes: machine.available_bytes.min(container.available_bytes),
    }))
}

pub(super) fn total_bytes() -> u64 {
    memory().map_or(u64::MAX, |memory| memory.total_bytes)
}

fn of_machine(meminfo: &str) -> Option<Memory> {
    let field = |name: &str| {
        let line = meminfo.lines().find_map(|line| line.strip_prefix(name)?.strip_prefix(':'))?;
        line.trim().strip_suffix(" kB")?.parse::<u64>().ok().map(|kib| kib * KIB)
    };
    Some(Memory { total_bytes: field("MemTotal")?, available_bytes: field("MemAvailable")? })
}

/// The limit of the cgroup at the top of what we see, of either version; what is only cached counts as
/// available.
fn of_container(place: &Path) -> Option<Memory> {
    let number = |name: &str| fs::read_to_string(place.join(name)).ok()?.trim().parse::<u64>().ok();
    let total_bytes = number("memory.max").or_else(|| number("memory.limit_in_bytes"))?;
    let used = number("memory.current").or_else(|| number("memory.usage_in_bytes"))?;
    let stat = fs::read_to_string(place.join("memory.stat")).ok()?;
    let cached = stat.lines().filter_map(|line| line.strip_prefix("inactive_file ")?.parse::<u64>().ok());
    let used = used.saturating_sub(cached.sum());
    Some(Memory { total_bytes, available_bytes: total_bytes.saturating_sub(used) })
}

/// What a jail holds, asked from outside: without its help and in the time that reading takes.
#[derive(Debug, Clone)]
pub struct Gauge {
    outer: u32,
    stat: Option<PathBuf>,
}

/// Processes that the kernel has ended for lack of memory: of one jail, or of the whole machine where the
/// jail's are not counted.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, PartialOrd, Ord)]
pub struct Kills(u64);

impl Gauge {
    pub(crate) fn new(outer: u32, cgroup: Option<&cgroup::Cgroup>) -> Self {
        Self { outer, stat: cgroup.and_then(cgroup::Cgroup::memory) }
    }

    /// In bytes: what its cgroup counts, else what its processes have in memory. Of the latter, what no
    /// process has mapped is not seen.
    pub fn memory_bytes(&self) -> u64 {
        self.stat.as_deref().and_then(cgroup::held_bytes).unwrap_or_else(|| resident_bytes(self.outer))
    }

    /// How many there were so far; none where the kernel does not count them.
    pub fn kills(&self) -> Kills {
        let beside =
            |name: &str| kills(&fs::read_to_string(self.stat.as_deref()?.with_file_name(name)).ok()?);
        let machine = || kills(&fs::read_to_string("/proc/vmstat").ok()?);
        Kills(CGROUP_KILLS.into_iter().find_map(beside).or_else(machine).unwrap_or_default())
    }
}

/// Where a cgroup of either version counts them, beside its memory.stat.
const CGROUP_KILLS: [&str; 2] = ["memory.events", "memory.oom_control"];

fn kills(text: &str) -> Option<u64> {
    text.lines().find_map(|line| line.strip_prefix("oom_kill ")?.trim().parse().ok())
}

fn resident_bytes(outer: u32) -> u64 {
    let page = rustix::param::page_size() as u64;
    let resident = |pid: &u32| {
        let statm = fs::read_to_string(format!("/proc/{pid}/statm")).ok()?;
        statm.split(' ').nth(1)?.parse::<u64>().ok()
    };
    below(outer, &parents()).iter().filter_map(resident).sum::<u64>() * page
}

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
    fn the_machines_memory_is_read_and_a_containers_is_less() {
        let text = "MemTotal:       24000 kB\nMemFree:  1 kB\nMemAvailable:   100 kB\n";
        assert_eq!(of_machine(text), Some(Memory { total_bytes: 24_000 * KIB, available_bytes: 100 * KIB }));
        let place = tempfile::tempdir().unwrap();
        assert_eq!(of_container(place.path()), None);
        for (name, text) in [
            ("memory.max", "1000\n"),
            ("memory.current", "900\n"),
            ("memory.stat", "anon 1\ninactive_file 300\n"),
        ] {
            fs::write(place.path().join(name), text).unwrap();
        }
        assert_eq!(of_container(place.path()), Some(Memory { total_bytes: 1000, available_bytes: 400 }));
        fs::write(place.path().join("memory.max"), "max\n").unwrap();
        assert_eq!(of_container(place.path()), None);
    }

    #[test]
    fn what_the_kernel_ended_is_read_beside_the_statistics_and_else_for_the_machine() {
        let events = "low 0\nhigh 0\nmax 31\noom 2\noom_kill 7\noom_group_kill 1\n";
        assert_eq!(kills(events), Some(7));
        assert_eq!(kills("oom_kill_disable 0\nunder_oom 0\noom_kill 3\n"), Some(3));
        assert_eq!(kills("oom_kill_disable 0\nunder_oom 0\n"), None);
        let place = tempfile::tempdir().unwrap();
        let gauge = Gauge { outer: 1, stat: Some(place.path().join("memory.stat")) };
        fs::write(place.path().join("memory.oom_control"), "oom_kill 3\n").unwrap();
        assert_eq!(gauge.kills(), Kills(3));
        fs::write(place.path().join("memory.events"), events).unwrap();
        assert_eq!(gauge.kills(), Kills(7));
    }

    #[test]
    fn those_that_descend_from_a_process_are_found() {
        let parents = BTreeMap::from([(2, 1), (3, 2), (4, 3), (9, 1)]);
        assert_eq!(below(2, &parents), BTreeSet::from([2, 3, 4]));
    }
}
