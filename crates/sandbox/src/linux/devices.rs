//! The jail's /dev: seven harmless devices of the host, terminals of its own, shared memory with a size.

use std::fs::{self, File};
use std::os::unix::fs::symlink;
use std::path::Path;

use rustix::mount::{MountFlags, mount, mount_bind};

use super::mount::{directory, tmpfs};
use crate::fault::{AtStep, JailFault, StartStep};

const DEVICES: [&str; 6] = ["null", "zero", "full", "random", "urandom", "tty"];
const LINKS: [(&str, &str); 5] = [
    ("fd", "/proc/self/fd"),
    ("stdin", "/proc/self/fd/0"),
    ("stdout", "/proc/self/fd/1"),
    ("stderr", "/proc/self/fd/2"),
    ("ptmx", "pts/ptmx"),
];

pub(crate) fn make(root: &Path) -> Result<(), JailFault> {
    let dev = root.join("dev");
    tmpfs(&dev, MountFlags::NOSUID | MountFlags::NOEXEC, "mode=0755,size=64k,nr_inodes=64")?;
    for name in DEVICES {
        let host = Path::new("/dev").join(name);
        if fs::metadata(&host).is_err() {
            continue;
        }
        let place = dev.join(name);
        File::create(&place).of(StartStep::Mounts, name)?;
        mount_bind(&host, &place).of(StartStep::Mounts, name)?;
    }
    for (name, target) in LINKS {
        symlink(target, dev.join(name)).of(StartStep::Mounts, name)?;
    }
    let shm = MountFlags::NOSUID | MountFlags::NODEV | MountFlags::NOEXEC;
    tmpfs(&dev.join("shm"), shm, "mode=1777,size=64m,nr_inodes=4096")?;
    directory(&dev.join("pts"))?;
    // The host's own number of terminals bounds all jails together.
    // Without it only programs that want a terminal of their own do without.
    let options = c"newinstance,ptmxmode=0666,mode=0620,max=64";
    mount("devpts", dev.join("pts"), "devpts", MountFlags::NOSUID | MountFlags::NOEXEC, options).ok();
    Ok(())
}
