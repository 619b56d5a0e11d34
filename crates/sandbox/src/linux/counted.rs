//! What the kernel counts for a user of the host or for the whole machine, and no namespace divides: how much
//! of it one jail may have.

use std::fs;
use std::path::Path;

use rustix::process::{Resource, getrlimit};

use crate::fault::JailFault;
use crate::limits;
use crate::plan::JailLimits;

/// Of each of these `/proc/sys/user/max_<name>` at most, however many the host has; the least that a jail can
/// work with; and what the host has.
const WATCHES: [(&str, u64, u64, &str); 2] = [
    ("inotify_instances", 128, 4, "fs/inotify/max_user_instances"),
    ("inotify_watches", 65_536, 1_024, "fs/inotify/max_user_watches"),
];

/// Kinds of namespaces and others that nobody makes inside. The filter forbids them too; this costs nothing.
const NONE: [&str; 9] = [
    "cgroup_namespaces",
    "fanotify_groups",
    "fanotify_marks",
    "ipc_namespaces",
    "mnt_namespaces",
    "net_namespaces",
    "pid_namespaces",
    "time_namespaces",
    "uts_namespaces",
];

/// Limits of the system of which a jail has its share: the name, the most, the least.
const LIMITS: [(Resource, u64, u64); 3] = [
    (Resource::Sigpending, 1_024, 64),
    (Resource::Msgqueue, 819_200, 0),
    (Resource::Memlock, 8 * 1024 * 1024, 64 * 1024),
];

/// Open files of one process at least: what programs expect of every Unix.
const FILES: u64 = 1_024;

/// What one jail may have.
#[derive(Debug)]
pub(crate) struct JailShares {
    neighbours: u64,
    files: u64,
}

impl JailShares {
    /// Of a jail that shares its user's with so many, itself included.
    pub(crate) fn of(limits: &JailLimits, neighbours: u32) -> Self {
        Self { neighbours: u64::from(neighbours.max(1)), files: files(limits) }
    }

    /// Writes those that belong to the user namespace whose root this process is; `proc` is a /proc.
    pub(crate) fn write(&self, proc: &Path) {
        let place = proc.join("sys/user");
        for (name, most, least, all) in WATCHES {
            let all = host(all).unwrap_or(most);
            let share = self.share(all, most, least);
            // A kernel that is too old has no such file, and no such count.
            fs::write(place.join(format!("max_{name}")), share.to_string()).ok();
        }
        for name in NONE {
            fs::write(place.join(format!("max_{name}")), "0").ok();
        }
    }

    /// Sets the limits of this process and all that it starts.
    pub(crate) fn limit(&self) -> Result<(), JailFault> {
        let shares = LIMITS.map(|(resource, most, least)| {
            let all = getrlimit(resource).maximum.unwrap_or(most.saturating_mul(self.neighbours));
            (resource, self.share(all, most, least))
        });
        limits::set(shares.into_iter().chain([(Resource::Nofile, self.files)]))
    }

    fn share(&self, all: u64, most: u64, least: u64) -> u64 {
        (all / self.neighbours).clamp(least, most)
    }
}

/// Open files of one process: half of the machine's, were every process to open as many as it may; and no
/// more than this process may have itself.
pub(super) fn files(limits: &JailLimits) -> u64 {
    let share = host("fs/file-max").map_or(limits.files, |all| all / (2 * limits.processes.max(1)));
    let own = getrlimit(Resource::Nofile).maximum.unwrap_or(u64::MAX);
    share.max(FILES).min(limits.files).min(own)
}

/// A number of the host's.
pub(crate) fn host(name: &str) -> Option<u64> {
    fs::read_to_string(Path::new("/proc/sys").join(name)).ok()?.trim().parse().ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_jail_of_its_own_user_has_all_and_others_share() {
        let share = |neighbours, all| JailShares { neighbours, files: 0 }.share(all, 128, 4);
        assert_eq!([share(1, 128), share(1, 8_192), share(64, 8_192), share(64, 128)], [128, 128, 128, 4]);
        assert!(JailShares::of(&JailLimits::default(), 1).files >= FILES);
    }
}
