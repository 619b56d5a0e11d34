//! The jail's file system: built beside the host's, turned to, and sealed.

use std::fs;
use std::os::fd::OwnedFd;
use std::os::unix::fs::symlink;
use std::path::Path;

use rustix::fs::CWD;
use rustix::io::Errno;
use rustix::mount::{
    MountFlags, MountPropagationFlags, OpenTreeFlags, UnmountFlags, mount, mount_bind, mount_change,
    mount_remount, open_tree, unmount,
};

use super::counted::JailShares;
use super::devices;
use super::etc;
use super::mount::{below, directory, tmpfs, unescape};
use super::shown::ShownHost;
use crate::fault::{AtStep, JailFault, StartStep};
use crate::plan::{Isolation, JailLayout, JailPlan};
use crate::session_folder::{PARTS, ROOT};
use crate::system::SYSTEM;
use crate::trees::never_shown;

/// Parts of /proc that can be written by the host's root.
const PROC_READONLY: [&str; 2] = ["sys", "sysrq-trigger"];
/// Parts that tell of the host and that programs do without: how it was booted, its devices and disks, its
/// kernel's insides, what others keep in it.
const PROC_HIDDEN: [&str; 29] = [
    "acpi",
    "asound",
    "bootconfig",
    "bus",
    "cmdline",
    "consoles",
    "diskstats",
    "driver",
    "fs",
    "interrupts",
    "iomem",
    "ioports",
    "irq",
    "kallsyms",
    "kcore",
    "key-users",
    "keys",
    "latency_stats",
    "mdstat",
    "modules",
    "mtrr",
    "partitions",
    "sched_debug",
    "schedstat",
    "scsi",
    "swaps",
    "timer_list",
    "timer_stats",
    "vmallocinfo",
];

/// Memory of the kernel that belongs to no process: System V's segments, queues and semaphores. Pages for the
/// first; what a database asks for is far less.
const IPC: [(&str, &str); 5] = [
    ("shmall", "65536"),
    ("shmmax", "268435456"),
    ("shmmni", "256"),
    ("msgmni", "64"),
    ("sem", "250 8000 32 128"),
];

/// Makes the root and turns to it. Afterwards the host's files are out of reach but for what is shown.
/// Answers what of that is shown as it is, and a /proc that can still be written, which nobody else
/// reaches.
///
/// It is built in the session's folder, which is the working directory: there it hides nothing of the
/// host that is still needed, and can be reached where the way to the folder cannot be walked.
pub(crate) fn build(plan: &JailPlan, shares: &JailShares) -> Result<(Vec<String>, OwnedFd), JailFault> {
    let root = Path::new(ROOT);
    mount_change("/", MountPropagationFlags::PRIVATE | MountPropagationFlags::REC)
        .of(StartStep::Mounts, "/")?;
    let before = ShownHost::table()?;
    tmpfs(root, MountFlags::NOSUID | MountFlags::NODEV, "mode=0755,size=16m,nr_inodes=8192")?;
    // Programs expect these to be there, and to be empty is enough.
    for name in ["run", "var"] {
        directory(&root.join(name))?;
    }
    let mut shown = ShownHost::new(root, &before)?;
    for name in SYSTEM {
        system(root, &mut shown, name)?;
    }
    etc::make(root, &mut shown)?;
    symlink("../tmp", root.join("var/tmp")).of(StartStep::Mounts, "/var/tmp")?;
    devices::make(root)?;
    let tmp = format!("mode=1777,size={},nr_inodes=262144", plan.limits.tmp_bytes);
    tmpfs(&root.join("tmp"), MountFlags::NOSUID | MountFlags::NODEV, &tmp)?;
    for tree in &plan.readonly {
        readonly(&mut shown, tree, plan)?;
    }
    let layout = JailLayout::new(Isolation::Local, &plan.folder);
    for (part, place) in
        PARTS.into_iter().zip([&layout.workspace, &layout.home, &layout.outputs, &layout.results])
    {
        let place = below(root, place);
        directory(&place)?;
        mount_bind(part, &place).of(StartStep::Mounts, part)?;
    }
    let shared = shown.finish()?;
    let writable = proc(root, shares)?;
    turn(root)?;
    seal(&layout)?;
    Ok((shared, writable))
}

/// A directory of the host's root, or the link it is on hosts where all is in /usr.
fn system(root: &Path, shown: &mut ShownHost, name: &str) -> Result<(), JailFault> {
    let host = Path::new("/").join(name);
    let Ok(found) = fs::symlink_metadata(&host) else { return Ok(()) };
    if found.is_symlink() {
        let target = fs::read_link(&host).of(StartStep::Mounts, name)?;
        let target = target.strip_prefix("/").unwrap_or(&target);
        return symlink(target, root.join(name)).of(StartStep::Mounts, name);
    }
    shown.show(&host)
}

fn readonly(shown: &mut ShownHost, tree: &Path, plan: &JailPlan) -> Result<(), JailFault> {
    // Where the folder really is; the working directory's path can be asked for even where it cannot be
    // walked.
    let folder = std::env::current_dir().of(StartStep::Folder, "its path")?;
    let kept = [folder.parent().unwrap_or(&folder).to_owned(), plan.folder.clone()];
    if let Some(wrong) = never_shown(tree, &kept) {
        return Err(JailFault::new(StartStep::Readonly, wrong));
    }
    shown.show(tree).map_err(|fault| JailFault { step: StartStep::Readonly, ..fault })
}

fn proc(root: &Path, shares: &JailShares) -> Result<OwnedFd, JailFault> {
    let place = root.join("proc");
    directory(&place)?;
    let flags = MountFlags::NOSUID | MountFlags::NODEV | MountFlags::NOEXEC;
    // Hides what the agent may not trace, which is pid 1. The group that would be exempt does not exist
    // inside.
    mount("proc", &place, "proc", flags, c"hidepid=2,gid=1").of(StartStep::Proc, "mount")?;
    // One user namespace is still to come, and none after it. The filter forbids it too; this costs nothing.
    fs::write(place.join("sys/user/max_user_namespaces"), "1").ok();
    for (name, value) in IPC {
        // Kernels before 6.9 leave them to the host's root.
        fs::write(place.join("sys/kernel").join(name), value).ok();
    }
    for name in PROC_READONLY.map(|name| place.join(name)).into_iter().filter(|path| path.exists()) {
        mount_bind(&name, &name).of(StartStep::Proc, &name.to_string_lossy())?;
    }
    for path in PROC_HIDDEN.map(|name| place.join(name)) {
        let Ok(found) = fs::metadata(&path) else { continue };
        if found.is_dir() {
            tmpfs(&path, MountFlags::NOSUID | MountFlags::NODEV, "mode=0555,size=4k,nr_inodes=1")?;
        } else {
            mount_bind(root.join("dev/null"), &path).of(StartStep::Proc, &path.to_string_lossy())?;
        }
    }
    // A second mount that has no place. The one that everybody sees is made read-only: there a process sets
    // the order in which the kernel ends them when memory is short.
    let flags = OpenTreeFlags::OPEN_TREE_CLONE | OpenTreeFlags::OPEN_TREE_CLOEXEC;
    let second = open_tree(CWD, &place, flags).of(StartStep::Proc, "a second mount")?;
    // After it: such a mount has a namespace of its own, and there are none left then.
    shares.write(&place);
    Ok(second)
}

/// The old root is stacked below the new one and taken away.
fn turn(root: &Path) -> Result<(), JailFault> {
    std::env::set_current_dir(root).of(StartStep::Mounts, ROOT)?;
    rustix::process::pivot_root(".", ".").of(StartStep::Mounts, "pivot_root")?;
    unmount(".", UnmountFlags::DETACH).of(StartStep::Mounts, "the host's root")?;
    std::env::set_current_dir("/").of(StartStep::Mounts, "/")
}

/// Makes everything read-only that the mount table holds and that is not named here.
fn seal(layout: &JailLayout) -> Result<(), JailFault> {
    let own = [&layout.workspace, &layout.home, &layout.outputs, &layout.results, &layout.tmp];
    let table = fs::read_to_string("/proc/self/mountinfo").of(StartStep::Mounts, "the mount table")?;
    for line in table.lines() {
        // "id parent device root place options …"
        let mut fields = line.split(' ').skip(4);
        let (Some(place), Some(options)) = (fields.next(), fields.next()) else { continue };
        let place = unescape(place);
        let is_device = place.starts_with("/dev/");
        let mut flags = MountFlags::BIND | MountFlags::NOSUID;
        for option in options.split(',') {
            // What the host has set cannot be taken back in here, and must be repeated.
            flags |= match option {
                "ro" => MountFlags::RDONLY,
                "nodev" => MountFlags::NODEV,
                "noexec" => MountFlags::NOEXEC,
                _ => MountFlags::empty(),
            };
        }
        if !is_device {
            flags |= MountFlags::NODEV;
        }
        let writable =
            own.contains(&&place) || ["/dev/shm", "/dev/pts"].iter().any(|own| place == Path::new(own));
        if !writable {
            flags |= MountFlags::RDONLY;
        }
        match mount_remount(&place, flags, c"") {
            // What cannot be reached in here cannot be written either.
            Ok(()) | Err(Errno::NOENT | Errno::ACCESS) => {}
            Err(error) => return Err(error).of(StartStep::Mounts, &format!("read-only {}", place.display())),
        }
    }
    Ok(())
}
