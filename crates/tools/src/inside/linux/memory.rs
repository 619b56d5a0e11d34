//! How much memory a jail holds, as its first process sees it.

use std::fs;
use std::path::{Path, PathBuf};

use rustix::fs::statvfs;
use sandbox::{Isolation, JailLayout};

use super::{processes, unlinked};

/// What one message and one semaphore take in the kernel beyond their content, about.
const IPC_BYTES: u64 = 64;
const SHARED: &str = "/dev/shm";

/// In bytes: of processes, of file systems and files in memory, and of System V's. What is shared counts for
/// each process that has it; what was sent and not received, and what a process hides, does not.
pub(in crate::inside) fn held_bytes(layout: &JailLayout, isolation: Isolation) -> u64 {
    let shared = Path::new(SHARED);
    // Without a jail these are the machine's.
    let (in_memory, system_v) = match isolation {
        Isolation::Local => (vec![layout.tmp.as_path(), shared], system_v()),
        Isolation::Off => (Vec::new(), 0),
    };
    let disks = [&layout.workspace, &layout.home].map(PathBuf::as_path);
    let named = [layout.tmp.as_path(), shared];
    let file_systems: u64 = in_memory.iter().map(|place| used(place)).sum();
    resident() + file_systems + unlinked::nameless_bytes(&disks, &named) + system_v
}

fn resident() -> u64 {
    let resident = |process: &i32| {
        let statm = fs::read_to_string(format!("/proc/{process}/statm")).ok()?;
        statm.split(' ').nth(1)?.parse::<u64>().ok()
    };
    let pages: u64 = processes::ours().iter().filter_map(resident).sum();
    pages * rustix::param::page_size() as u64
}

fn used(place: &Path) -> u64 {
    statvfs(place).map_or(0, |found| found.f_blocks.saturating_sub(found.f_bfree) * found.f_frsize)
}

fn system_v() -> u64 {
    let table = |name: &str| fs::read_to_string(format!("/proc/sysvipc/{name}")).unwrap_or_default();
    column(&table("shm"), "rss")
        + column(&table("msg"), "cbytes")
        + IPC_BYTES * (column(&table("msg"), "qnum") + column(&table("sem"), "nsems"))
}

/// The sum of a column that the first line names.
fn column(table: &str, name: &str) -> u64 {
    let mut lines = table.lines();
    let Some(at) = lines.next().and_then(|head| head.split_whitespace().position(|field| field == name))
    else {
        return 0;
    };
    lines.filter_map(|line| line.split_whitespace().nth(at)?.parse::<u64>().ok()).sum()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_column_of_a_table_is_summed_and_one_that_is_not_there_is_nothing() {
        let table = "       key      shmid  rss\n 1 2 4096\n 1 3 100\n";
        assert_eq!((column(table, "rss"), column(table, "swap"), column("", "rss")), (4196, 0, 0));
    }
}
