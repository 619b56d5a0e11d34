//! Control groups: each jail in one of its own wherever the host lets us make them.
//!
//! Found, not configured, once at the server's start. Of version 2: below the server's own cgroup when it was
//! given to us to divide (systemd's `Delegate=yes`, a container whose tree can be written); the server then
//! moves into a leaf beside the jails, because a cgroup that is divided may hold no process itself. For root
//! elsewhere, a subtree of our own. Of version 1, for root, below the server's own. Without any of these the
//! limits of each process stand alone, and the server's watch over memory.

use std::fs;
use std::io;
use std::path::{Path, PathBuf};
use std::sync::OnceLock;

use rustix::fs::{Access, access};

use super::removal::{discard, name_of_jails, tidy, turn};
use super::{legacy, memory, removal};
use crate::plan::JailLimits;

/// The server's own leaf, where it must leave a cgroup to divide it.
const LEAF: &str = "heddle-server";
const MOUNTS: [&str; 2] = ["/sys/fs/cgroup", "/sys/fs/cgroup/unified"];
/// What must be there, and what is used where it is.
const NEEDED: [&str; 2] = ["memory", "pids"];
const WANTED: [&str; 4] = ["cpu", "io", "memory", "pids"];
/// Shares of CPU and disk: 100 is what everything on the host has that nobody gave another. Beside the server
/// alone; and beside everything of the host, which is not to starve them.
const JAILS_WEIGHT: &str = "20";
const JAILS_WEIGHT_AMONG_ALL: &str = "50";
const SERVER_WEIGHT: &str = "1000";
/// Memory of the server that is not taken back while others have some.
const SERVER_MEMORY_LOW_BYTES: u64 = 256 * 1024 * 1024;
/// Where this server's jails are; nothing until [`divide`] found a place.
static GROUND: OnceLock<JailCgroups> = OnceLock::new();
/// The cgroup, or cgroups, that hold the jails of this server.
#[derive(Debug)]
enum JailCgroups {
    Unified { jails: PathBuf, controllers: Vec<&'static str>, weight: &'static str, all_bytes: u64 },
    Legacy(Vec<(legacy::CgroupController, PathBuf)>, u64),
}

/// The cgroup of one jail: of version 1, one for each controller.
#[derive(Debug)]
pub(crate) struct JailCgroup(Vec<PathBuf>);

impl JailCgroup {
    /// Puts the process, and with it whatever it starts, into a cgroup of its own. `None` where that is not
    /// possible.
    pub(crate) fn hold(pid: u32, limits: &JailLimits) -> Option<Self> {
        let ground = GROUND.get()?;
        let mut left = turn();
        tidy(&mut left);
        match ground {
            JailCgroups::Unified { jails, controllers, weight, all_bytes } => {
                parent(jails, controllers, weight, *all_bytes).ok()?;
                Self::make(jails, pid, limits).ok()
            }
            JailCgroups::Legacy(places, all_bytes) => {
                legacy::make(places, *all_bytes, pid, limits).ok().map(Self)
            }
        }
    }

    fn make(jails: &Path, pid: u32, limits: &JailLimits) -> io::Result<Self> {
        let place = jails.join(format!("jail-{pid}"));
        // One of this number may be there still, in which the kernel has not let go of the last process.
        fs::create_dir_all(&place)?;
        let made = Self(vec![place.clone()]);
        let set = |file: &str, value: String| fs::write(place.join(file), value);
        let filled = set("memory.max", limits.data_bytes.to_string())
            .and_then(|()| set("pids.max", limits.processes.to_string()))
            .and_then(|()| {
                // Without swap there is no such file; a kernel before 4.19 knows no group.
                set("memory.swap.max", "0".into()).ok();
                set("memory.oom.group", "1".into()).ok();
                set("cgroup.procs", pid.to_string())
            });
        match filled {
            Ok(()) => Ok(made),
            Err(error) => {
                made.remove();
                Err(error)
            }
        }
    }

    /// Kills whatever is still in it, and removes it once the kernel has let go of the last process.
    pub(crate) fn end(self) {
        let mut left = turn();
        left.extend(self.remove());
        tidy(&mut left);
    }

    /// Answers what is still there.
    fn remove(&self) -> Vec<PathBuf> {
        self.0.iter().filter(|place| !discard(place)).cloned().collect()
    }

    /// Where its memory is counted.
    pub(crate) fn memory(&self) -> Option<PathBuf> {
        self.0.iter().map(|place| place.join("memory.stat")).find(|file| file.exists())
    }
}

/// A cgroup of version 2 that can be divided.
#[derive(Debug, PartialEq, Eq)]
struct CgroupBase {
    place: PathBuf,
    /// Whether the processes in it must move to a leaf first.
    leave: bool,
    /// Whether it holds all of the host, the server being somewhere below.
    whole: bool,
}

/// What was found, in words for people.
pub(crate) fn found() -> Option<&'static str> {
    if let Some(base) = base() {
        return Some(if base.leave || base.place.join("cgroup.type").exists() {
            "version 2, given to us to divide"
        } else {
            "version 2, a subtree of our own, because the server is root"
        });
    }
    (!legacy::places().is_empty()).then_some("version 1, below the server's own, because the server is root")
}

/// Finds the place for this server's jails and makes it ready. Says what it found. To be called once, before
/// the first jail; `reserve_bytes` of the machine's memory are for everybody else.
///
/// # Errors
/// There is a place, but it cannot be divided.
pub(crate) fn divide(reserve_bytes: u64) -> io::Result<Option<&'static str>> {
    let Some(found) = found() else { return Ok(None) };
    let all_bytes = memory::total_bytes().saturating_sub(reserve_bytes);
    let ground = match base() {
        Some(base) => unified(&base, all_bytes)?,
        None => JailCgroups::Legacy(legacy::parents(&name_of_jails()), all_bytes),
    };
    // A second call changes nothing.
    let _set = GROUND.set(ground);
    Ok(Some(found))
}

fn unified(base: &CgroupBase, all_bytes: u64) -> io::Result<JailCgroups> {
    if base.leave {
        move_to_leaf(&base.place)?;
    }
    let has = fs::read_to_string(base.place.join("cgroup.controllers"))?;
    let mut controllers = WANTED.to_vec();
    controllers.retain(|name| has.split_whitespace().any(|has| has == *name));
    hand_down(&base.place, &controllers)?;
    let leaf = base.place.join(LEAF);
    for (file, value) in [
        ("cpu.weight", SERVER_WEIGHT.to_owned()),
        ("io.weight", format!("default {SERVER_WEIGHT}")),
        ("memory.low", SERVER_MEMORY_LOW_BYTES.to_string()),
    ] {
        // Not every kernel has all of them, and without a leaf there are none.
        fs::write(leaf.join(file), value).ok();
    }
    let jails = base.place.join(name_of_jails());
    let weight = if base.whole { JAILS_WEIGHT_AMONG_ALL } else { JAILS_WEIGHT };
    parent(&jails, &controllers, weight, all_bytes)?;
    Ok(JailCgroups::Unified { jails, controllers, weight, all_bytes })
}

/// Whether each jail has a cgroup of its own here.
pub(super) fn is_ours() -> bool {
    GROUND.get().is_some_and(|ground| match ground {
        JailCgroups::Unified { .. } => true,
        JailCgroups::Legacy(places, _) => {
            places.iter().any(|(controller, _)| *controller == legacy::CgroupController::Memory)
        }
    })
}

/// Makes the cgroup that holds the jails, or finds it there.
fn parent(jails: &Path, controllers: &[&'static str], weight: &str, all_bytes: u64) -> io::Result<()> {
    match fs::create_dir(jails) {
        Err(error) if error.kind() == io::ErrorKind::AlreadyExists => return Ok(()),
        made => made?,
    }
    hand_down(jails, controllers)?;
    fs::write(jails.join("memory.max"), all_bytes.to_string())?;
    fs::write(jails.join("cpu.weight"), weight).ok();
    // Holds where the disk's scheduler looks at weights.
    fs::write(jails.join("io.weight"), format!("default {weight}")).ok();
    Ok(())
}

/// Lets the cgroups below have these controllers. The needed ones must be had.
fn hand_down(place: &Path, controllers: &[&'static str]) -> io::Result<()> {
    for name in controllers {
        let given = fs::write(place.join("cgroup.subtree_control"), format!("+{name}"));
        if NEEDED.contains(name) {
            given?;
        }
    }
    Ok(())
}

/// Moves every process of a cgroup into the leaf; those that are forked meanwhile are found by looking again.
fn move_to_leaf(place: &Path) -> io::Result<()> {
    let leaf = place.join(LEAF);
    match fs::create_dir(&leaf) {
        Err(error) if error.kind() == io::ErrorKind::AlreadyExists => {}
        made => made?,
    }
    for _ in 0..16 {
        let listed = fs::read_to_string(place.join("cgroup.procs"))?;
        if listed.trim().is_empty() {
            break;
        }
        for pid in listed.lines() {
            // It may be gone by now.
            fs::write(leaf.join("cgroup.procs"), pid).ok();
        }
    }
    Ok(())
}

/// Ends what is left of the jails of servers that were killed, wherever these were when they ran, and removes
/// what was not to be removed before.
pub(super) fn sweep() {
    removal::sweep(MOUNTS.iter().map(PathBuf::from).chain(legacy::mounts()));
}

fn base() -> Option<CgroupBase> {
    let own = fs::read_to_string("/proc/self/cgroup").ok()?;
    let root = rustix::process::geteuid().is_root();
    MOUNTS.iter().find_map(|mount| base_in(Path::new(mount), &own, root))
}

fn base_in(mount: &Path, own: &str, root: bool) -> Option<CgroupBase> {
    let own = own.lines().find_map(|line| line.strip_prefix("0::/"))?;
    let own = if own.is_empty() { mount.to_owned() } else { mount.join(own) };
    let usable = |place: &Path| {
        let has = fs::read_to_string(place.join("cgroup.controllers")).unwrap_or_default();
        let writable = [place.to_owned(), place.join("cgroup.procs"), place.join("cgroup.subtree_control")];
        NEEDED.iter().all(|name| has.split_whitespace().any(|has| has == *name))
            && writable.iter().all(|path| access(path, Access::WRITE_OK).is_ok())
    };
    // The root of the whole hierarchy has no type; that of a container has.
    let is_whole = |place: &Path| !place.join("cgroup.type").exists();
    if let Some(above) = own.parent().filter(|above| above.starts_with(mount))
        && (own.ends_with(LEAF) || (marked(above) && !marked(&own)))
        && usable(above)
    {
        return Some(CgroupBase { place: above.to_owned(), leave: false, whole: false });
    }
    if (marked(&own) || own == mount) && !is_whole(&own) && usable(&own) {
        return Some(CgroupBase { place: own, leave: true, whole: false });
    }
    (root && is_whole(mount) && usable(mount)).then(|| CgroupBase {
        place: mount.to_owned(),
        leave: false,
        whole: true,
    })
}

/// Whether systemd gave this cgroup away.
fn marked(place: &Path) -> bool {
    ["user.delegate", "trusted.delegate"].iter().any(|name| {
        let mut value = [0u8; 1];
        rustix::fs::getxattr(place, *name, &mut value[..]) == Ok(1) && value == *b"1"
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    /// A folder in place of the kernel's.
    fn cgroup(place: &Path, controllers: &str, part: bool) {
        fs::create_dir_all(place).unwrap();
        for (file, text) in
            [("cgroup.controllers", controllers), ("cgroup.procs", ""), ("cgroup.subtree_control", "")]
        {
            fs::write(place.join(file), text).unwrap();
        }
        if part {
            fs::write(place.join("cgroup.type"), "domain").unwrap();
        }
    }

    #[test]
    fn a_cgroup_is_given_its_limits_and_its_process() {
        let parent = tempfile::tempdir().unwrap();
        let cgroup = JailCgroup::make(parent.path(), 42, &JailLimits::default()).unwrap();
        let read = |name: &str| fs::read_to_string(parent.path().join("jail-42").join(name)).unwrap();
        let written = ["memory.max", "memory.swap.max", "memory.oom.group", "pids.max", "cgroup.procs"];
        assert_eq!(written.map(read), ["4294967296", "0", "1", "512", "42"]);
        for file in fs::read_dir(parent.path().join("jail-42")).unwrap() {
            fs::remove_file(file.unwrap().path()).unwrap();
        }
        // The kernel's own files vanish with their directory; this one does not.
        fs::write(parent.path().join("kept"), "").unwrap();
        cgroup.end();
        assert_eq!(read("cgroup.kill"), "1");
    }

    #[test]
    fn the_place_is_a_marked_cgroup_a_containers_root_or_for_root_the_whole() {
        let tree = tempfile::tempdir().unwrap();
        let mount = tree.path();
        let base = |own: &str, root| base_in(mount, own, root);
        cgroup(mount, "cpu memory pids", false);
        assert_eq!(base("0::/\n", false), None);
        assert_eq!(base("0::/\n", true), Some(CgroupBase { place: mount.into(), leave: false, whole: true }));
        let unit = mount.join("system.slice/heddle.service");
        cgroup(&unit, "memory pids", true);
        assert_eq!(base("1:name=systemd:/\n0::/system.slice/heddle.service\n", false), None);
        // Not every file system of a build machine has attributes; where it has none this part is not tried.
        if rustix::fs::setxattr(&unit, "user.delegate", b"1", rustix::fs::XattrFlags::empty()).is_ok() {
            let given = Some(CgroupBase { place: unit.clone(), leave: true, whole: false });
            assert_eq!(base("0::/system.slice/heddle.service\n", false), given);
            cgroup(&unit.join("server"), "memory pids", true);
            let below = Some(CgroupBase { place: unit.clone(), leave: false, whole: false });
            assert_eq!(base("0::/system.slice/heddle.service/server\n", false), below);
        }
        cgroup(&unit.join(LEAF), "memory pids", true);
        let moved = Some(CgroupBase { place: unit.clone(), leave: false, whole: false });
        assert_eq!(base("0::/system.slice/heddle.service/heddle-server\n", false), moved);
        fs::write(mount.join("cgroup.type"), "domain").unwrap();
        assert_eq!(
            base("0::/\n", false),
            Some(CgroupBase { place: mount.into(), leave: true, whole: false })
        );
        fs::write(mount.join("cgroup.controllers"), "memory").unwrap();
        assert_eq!(base("0::/\n", false), None);
    }
}
