//! A cgroup for each jail, where the host gives us one of version 2 to divide.
//!
//! Found, not configured: the cgroup above the server's own must carry the mark that systemd sets on
//! delegated ones (`user.delegate`, or `trusted.delegate`) and let us hand down `memory` and `pids`; a unit
//! with `Delegate=yes` and `DelegateSubgroup=server` is such a place. Elsewhere there is none and the
//! limits of `privileges` stand alone. **Not tried on a machine whose controllers are on version 2**: only
//! the finding and the files are tested.

use std::fs;
use std::io;
use std::path::{Path, PathBuf};

use crate::plan::Limits;

#[derive(Debug)]
pub(crate) struct Cgroup(PathBuf);

const MOUNTS: [&str; 2] = ["/sys/fs/cgroup", "/sys/fs/cgroup/unified"];

impl Cgroup {
    /// Puts the process, and with it whatever it starts, into a cgroup of its own. `None` where that is not
    /// possible.
    pub(crate) fn hold(pid: u32, limits: &Limits) -> Option<Self> {
        Self::make(&delegated()?, pid, limits).ok()
    }

    fn make(parent: &Path, pid: u32, limits: &Limits) -> io::Result<Self> {
        fs::write(parent.join("cgroup.subtree_control"), "+memory +pids")?;
        let made = Self(parent.join(format!("jail-{pid}")));
        fs::create_dir(&made.0)?;
        let filled = fs::write(made.0.join("memory.max"), limits.data_bytes.to_string())
            .and_then(|()| fs::write(made.0.join("pids.max"), limits.processes.to_string()))
            .and_then(|()| fs::write(made.0.join("cgroup.procs"), pid.to_string()));
        if let Err(error) = filled {
            made.end();
            return Err(error);
        }
        Ok(made)
    }

    /// Kills whatever is still in it, and removes it once the kernel has let go of the last process.
    pub(crate) fn end(self) {
        fs::write(self.0.join("cgroup.kill"), "1").ok();
        fs::remove_dir(&self.0).ok();
    }
}

/// The cgroup that was given to us to divide.
pub(crate) fn delegated() -> Option<PathBuf> {
    let own = fs::read_to_string("/proc/self/cgroup").ok()?;
    let own = own.lines().find_map(|line| line.strip_prefix("0::/"))?;
    let parent = Path::new(own).parent()?;
    let place = MOUNTS
        .iter()
        .map(|mount| Path::new(mount).join(parent))
        .find(|place| place.join("cgroup.controllers").exists())?;
    let marked = ["user.delegate", "trusted.delegate"].iter().any(|name| {
        let mut value = [0u8; 1];
        rustix::fs::getxattr(&place, *name, &mut value[..]) == Ok(1) && value == *b"1"
    });
    let controllers = fs::read_to_string(place.join("cgroup.controllers")).ok()?;
    let has = |name| controllers.split_whitespace().any(|controller| controller == name);
    (marked && has("memory") && has("pids")).then_some(place)
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Plain files in place of the kernel's: what is written where, and that nothing is left.
    #[test]
    fn a_cgroup_is_given_its_limits_and_its_process() {
        let parent = tempfile::tempdir().unwrap();
        let cgroup = Cgroup::make(parent.path(), 42, &Limits::default()).unwrap();
        let read = |name: &str| fs::read_to_string(parent.path().join(name)).unwrap();
        let written =
            ["cgroup.subtree_control", "jail-42/memory.max", "jail-42/pids.max", "jail-42/cgroup.procs"];
        assert_eq!(written.map(read), ["+memory +pids", "4294967296", "512", "42"]);
        for file in fs::read_dir(&cgroup.0).unwrap() {
            fs::remove_file(file.unwrap().path()).unwrap();
        }
        cgroup.end();
        // The kernel's own files vanish with their directory; this one does not.
        assert_eq!(read("jail-42/cgroup.kill"), "1");
    }

    #[test]
    fn a_cgroup_that_cannot_be_divided_is_none() {
        let parent = tempfile::tempdir().unwrap();
        fs::create_dir(parent.path().join("cgroup.subtree_control")).unwrap();
        assert!(Cgroup::make(parent.path(), 42, &Limits::default()).is_err());
        assert!(!parent.path().join("jail-42").exists());
    }
}
