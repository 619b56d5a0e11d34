//! How much memory there is, on the machine or in the container that the server is in.

use std::fs;
use std::path::Path;

const KIB: u64 = 1024;

/// Memory of the machine, or of the container that the server is in, in bytes.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct MachineMemory {
    pub total_bytes: u64,
    /// What can still be used without anything being ended.
    pub available_bytes: u64,
}

/// What there is now; `None` where the system does not say.
pub fn memory() -> Option<MachineMemory> {
    let machine = of_machine(&fs::read_to_string("/proc/meminfo").ok()?)?;
    let container =
        ["/sys/fs/cgroup", "/sys/fs/cgroup/memory"].iter().find_map(|place| of_container(Path::new(place)));
    Some(container.map_or(machine, |container| MachineMemory {
        total_bytes: machine.total_bytes.min(container.total_bytes),
        available_bytes: machine.available_bytes.min(container.available_bytes),
    }))
}

pub(super) fn total_bytes() -> u64 {
    memory().map_or(u64::MAX, |memory| memory.total_bytes)
}

fn of_machine(meminfo: &str) -> Option<MachineMemory> {
    let field = |name: &str| {
        let line = meminfo.lines().find_map(|line| line.strip_prefix(name)?.strip_prefix(':'))?;
        line.trim().strip_suffix(" kB")?.parse::<u64>().ok().map(|kib| kib * KIB)
    };
    Some(MachineMemory { total_bytes: field("MemTotal")?, available_bytes: field("MemAvailable")? })
}

/// The limit of the cgroup at the top of what we see, of either version; what is only cached counts as
/// available.
fn of_container(place: &Path) -> Option<MachineMemory> {
    let number = |name: &str| fs::read_to_string(place.join(name)).ok()?.trim().parse::<u64>().ok();
    let total_bytes = number("memory.max").or_else(|| number("memory.limit_in_bytes"))?;
    let used = number("memory.current").or_else(|| number("memory.usage_in_bytes"))?;
    let stat = fs::read_to_string(place.join("memory.stat")).ok()?;
    let cached = stat.lines().filter_map(|line| line.strip_prefix("inactive_file ")?.parse::<u64>().ok());
    let used = used.saturating_sub(cached.sum());
    Some(MachineMemory { total_bytes, available_bytes: total_bytes.saturating_sub(used) })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_machines_memory_is_read_and_a_containers_is_less() {
        let text = "MemTotal:       24000 kB\nMemFree:  1 kB\nMemAvailable:   100 kB\n";
        assert_eq!(
            of_machine(text),
            Some(MachineMemory { total_bytes: 24_000 * KIB, available_bytes: 100 * KIB })
        );
        let place = tempfile::tempdir().unwrap();
        assert_eq!(of_container(place.path()), None);
        for (name, text) in [
            ("memory.max", "1000\n"),
            ("memory.current", "900\n"),
            ("memory.stat", "anon 1\ninactive_file 300\n"),
        ] {
            fs::write(place.path().join(name), text).unwrap();
        }
        assert_eq!(
            of_container(place.path()),
            Some(MachineMemory { total_bytes: 1000, available_bytes: 400 })
        );
        fs::write(place.path().join("memory.max"), "max\n").unwrap();
        assert_eq!(of_container(place.path()), None);
    }
}
