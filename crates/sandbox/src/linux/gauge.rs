//! What a jail's processes have of the memory, and which of them the kernel ended for want of it, as the host
//! sees them.

use std::fs;
use std::path::{Path, PathBuf};

use super::cgroup::JailCgroup;
use super::descent::{below, parents};

/// What a jail holds, asked from outside: without its help and in the time that reading takes.
#[derive(Debug, Clone)]
pub struct JailGauge {
    outer: u32,
    stat: Option<PathBuf>,
}

/// Processes that the kernel has ended for lack of memory: of one jail, or of the whole machine where the
/// jail's are not counted.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, PartialOrd, Ord)]
pub struct MemoryKills(u64);

impl JailGauge {
    pub(crate) fn new(outer: u32, cgroup: Option<&JailCgroup>) -> Self {
        Self { outer, stat: cgroup.and_then(JailCgroup::memory) }
    }

    /// In bytes: what its cgroup counts, else what its processes have in memory. Of the latter, what no
    /// process has mapped is not seen.
    pub fn memory_bytes(&self) -> u64 {
        self.stat.as_deref().and_then(held_bytes).unwrap_or_else(|| resident_bytes(self.outer))
    }

    /// How many there were so far; none where the kernel does not count them.
    pub fn kills(&self) -> MemoryKills {
        let beside =
            |name: &str| kills(&fs::read_to_string(self.stat.as_deref()?.with_file_name(name)).ok()?);
        let machine = || kills(&fs::read_to_string("/proc/vmstat").ok()?);
        MemoryKills(CGROUP_KILLS.into_iter().find_map(beside).or_else(machine).unwrap_or_default())
    }
}

/// Memory in a `memory.stat` of either version that nothing but its end gives back, in bytes.
fn held_bytes(stat: &Path) -> Option<u64> {
    let text = fs::read_to_string(stat).ok()?;
    Some(held(&text))
}

fn held(stat: &str) -> u64 {
    let counted = ["anon", "shmem", "kernel", "sock", "rss"];
    let fields = stat.lines().filter_map(|line| line.split_once(' '));
    fields.filter(|(name, _)| counted.contains(name)).filter_map(|(_, bytes)| bytes.parse::<u64>().ok()).sum()
}

fn resident_bytes(outer: u32) -> u64 {
    let page = rustix::param::page_size() as u64;
    let resident = |pid: &u32| {
        let statm = fs::read_to_string(format!("/proc/{pid}/statm")).ok()?;
        statm.split(' ').nth(1)?.parse::<u64>().ok()
    };
    below(outer, &parents()).iter().filter_map(resident).sum::<u64>() * page
}

/// Where a cgroup of either version counts them, beside its memory.stat.
const CGROUP_KILLS: [&str; 2] = ["memory.events", "memory.oom_control"];

fn kills(text: &str) -> Option<u64> {
    text.lines().find_map(|line| line.strip_prefix("oom_kill ")?.trim().parse().ok())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_the_kernel_ended_is_read_beside_the_statistics_and_else_for_the_machine() {
        let events = "low 0\nhigh 0\nmax 31\noom 2\noom_kill 7\noom_group_kill 1\n";
        assert_eq!(kills(events), Some(7));
        assert_eq!(kills("oom_kill_disable 0\nunder_oom 0\noom_kill 3\n"), Some(3));
        assert_eq!(kills("oom_kill_disable 0\nunder_oom 0\n"), None);
        let place = tempfile::tempdir().unwrap();
        let gauge = JailGauge { outer: 1, stat: Some(place.path().join("memory.stat")) };
        fs::write(place.path().join("memory.oom_control"), "oom_kill 3\n").unwrap();
        assert_eq!(gauge.kills(), MemoryKills(3));
        fs::write(place.path().join("memory.events"), events).unwrap();
        assert_eq!(gauge.kills(), MemoryKills(7));
    }

    #[test]
    fn what_only_an_end_gives_back_is_counted_and_the_cache_is_not() {
        assert_eq!(held("anon 5\nfile 1000\nkernel 7\nshmem 30\nsock 1\ninactive_file 900\n"), 43);
        assert_eq!(held("cache 1000\nrss 5\nshmem 30\ntotal_rss 5\n"), 35);
    }
}
