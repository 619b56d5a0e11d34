//! Control groups of version 1, for a server that is root: each controller has a tree of its own.

use std::fs;
use std::io;
use std::path::{Path, PathBuf};

use super::removal::discard;
use crate::plan::JailLimits;

/// The share of CPU of all jails together, where beside them are the server's own threads alone, each with
/// 1024.
const JAILS_SHARES: &str = "512";
/// The same where beside them is all of the host: as much as any session of processes has, so that these do
/// not starve them. The server's own session has more there.
const JAILS_SHARES_AMONG_ALL: &str = "1024";
/// Where a controller's tree is mounted.
const MOUNTS: &str = "/sys/fs/cgroup";

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum CgroupController {
    Memory,
    Cpu,
    Pids,
}

const ALL: [(CgroupController, &str); 3] =
    [(CgroupController::Memory, "memory"), (CgroupController::Cpu, "cpu"), (CgroupController::Pids, "pids")];

/// The server's own cgroups, where cgroups can be made below them.
pub(super) fn places() -> Vec<(CgroupController, PathBuf)> {
    if !rustix::process::geteuid().is_root() {
        return Vec::new();
    }
    let own = fs::read_to_string("/proc/self/cgroup").unwrap_or_default();
    let found = ALL.into_iter().filter_map(|(controller, name)| {
        let place = place(Path::new(MOUNTS), &own, name)?;
        rustix::fs::access(&place, rustix::fs::Access::WRITE_OK).is_ok().then_some((controller, place))
    });
    found.collect()
}

/// The trees of all controllers.
pub(super) fn mounts() -> impl Iterator<Item = PathBuf> {
    ALL.into_iter().map(|(_, name)| Path::new(MOUNTS).join(name))
}

fn place(mounts: &Path, own: &str, name: &str) -> Option<PathBuf> {
    let path = own.lines().find_map(|line| {
        let mut fields = line.splitn(3, ':').skip(1);
        let controllers = fields.next()?;
        controllers.split(',').any(|controller| controller == name).then(|| fields.next()).flatten()
    })?;
    let mount = mounts.join(name);
    let own = mount.join(path.trim_start_matches('/'));
    // In a container the path may be the host's, and the mount what is below it.
    [own, mount].into_iter().find(|place| place.join("cgroup.procs").exists())
}

/// The cgroups of this name that hold all jails.
pub(super) fn parents(name: &str) -> Vec<(CgroupController, PathBuf)> {
    places().into_iter().map(|(controller, place)| (controller, place.join(name))).collect()
}

/// Makes one jail's cgroups and puts the process into them.
pub(super) fn make(
    places: &[(CgroupController, PathBuf)],
    all_bytes: u64,
    pid: u32,
    limits: &JailLimits,
) -> io::Result<Vec<PathBuf>> {
    let mut made = Vec::new();
    for (controller, parent) in places {
        let place = parent.join(format!("jail-{pid}"));
        made.push(place.clone());
        if let Err(error) = one(*controller, parent, &place, all_bytes, pid, limits) {
            for place in &made {
                discard(place);
            }
            return Err(error);
        }
    }
    Ok(made)
}

fn one(
    controller: CgroupController,
    parent: &Path,
    place: &Path,
    all_bytes: u64,
    pid: u32,
    limits: &JailLimits,
) -> io::Result<()> {
    let new = !parent.exists();
    fs::create_dir_all(place)?;
    let set = |place: &Path, file: &str, value: String| fs::write(place.join(file), value);
    match controller {
        CgroupController::Memory => {
            if new {
                set(parent, "memory.limit_in_bytes", all_bytes.to_string())?;
            }
            set(place, "memory.limit_in_bytes", limits.data_bytes.to_string())?;
            // Where swap is counted it is bounded with it.
            set(place, "memory.memsw.limit_in_bytes", limits.data_bytes.to_string()).ok();
        }
        CgroupController::Cpu if new => set(parent, "cpu.shares", shares(parent).into())?,
        CgroupController::Cpu => {}
        CgroupController::Pids => set(place, "pids.max", limits.processes.to_string())?,
    }
    set(place, "cgroup.procs", pid.to_string())
}

/// What all jails together have beside whatever else is where they are.
fn shares(jails: &Path) -> &'static str {
    let among_all = jails.parent().and_then(Path::parent) == Some(Path::new(MOUNTS));
    if among_all { JAILS_SHARES_AMONG_ALL } else { JAILS_SHARES }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn jails_have_as_much_as_any_session_of_the_host_and_less_than_the_server() {
        let shares = |place| shares(Path::new(place));
        assert_eq!(shares("/sys/fs/cgroup/cpu/heddle-jails-1-2-3"), "1024");
        assert_eq!(shares("/sys/fs/cgroup/cpu/system.slice/heddle.service/heddle-jails-1-2-3"), "512");
    }

    #[test]
    fn a_controllers_place_is_the_servers_own_or_what_is_mounted_of_it() {
        let mounts = tempfile::tempdir().unwrap();
        let own = "4:memory:/a/b\n3:cpu,cpuacct:/c\n0::/\n";
        assert_eq!(place(mounts.path(), own, "memory"), None);
        for (folder, found) in [("memory", "memory"), ("memory/a/b", "memory/a/b"), ("cpu/c", "cpu/c")] {
            fs::create_dir_all(mounts.path().join(folder)).unwrap();
            fs::write(mounts.path().join(folder).join("cgroup.procs"), "").unwrap();
            let name = folder.split('/').next().unwrap();
            assert_eq!(place(mounts.path(), own, name), Some(mounts.path().join(found)));
        }
        assert_eq!(place(mounts.path(), own, "pids"), None);
    }
}
