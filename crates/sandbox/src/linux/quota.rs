//! Project quotas: where the session's folder lies on a file system that has them, the kernel itself bounds
//! what all of a jail's files take, also those that were deleted and are still held.
//!
//! Set by the host's own tools, `chattr` and `setquota`, and only by a server that is root.

use std::fs;
use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

use crate::plan::JailLimits;

/// Files and folders of one session.
const ENTRIES: u64 = 2_000_000;
/// Projects of ours have numbers from here on, so that those an administrator chose stay theirs.
const FIRST: u64 = 0x4000_0000;
const MANY: u64 = 0x3fff_ffff;

/// Bounds the folder, where that is possible. What is not bounded is still looked at by the sweep.
pub(crate) fn bound(folder: &Path, limits: &JailLimits) {
    let Some(mount) = mount_of(folder) else { return };
    let Ok(found) = fs::metadata(folder) else { return };
    // No two folders of one file system share it while they live.
    let project = (FIRST + found.ino() % MANY).to_string();
    let kib = (limits.disk_bytes / 1024).to_string();
    let entries = ENTRIES.to_string();
    let limited = run(Command::new("setquota").args(["-P", &project, "0", &kib, "0", &entries]).arg(&mount));
    // All below it once; what is made there later inherits it.
    if limited.is_some() && project_of(folder).as_ref() != Some(&project) {
        run(Command::new("chattr").args(["-R", "-p", &project, "+P"]).arg(folder));
    }
}

/// Whether folders at this place can be bounded, in words for people; `Err`: why not.
pub(super) fn found(place: &Path) -> Result<(), &'static str> {
    if mount_of(place).is_none() {
        return Err("the data directory's file system is not mounted with project quotas (`prjquota`)");
    }
    if !rustix::process::geteuid().is_root() {
        return Err("only a server that is root can set project quotas");
    }
    let there = |name| run(Command::new(name).arg("-V")).is_some();
    if there("setquota") && there("chattr") { Ok(()) } else { Err("`setquota` or `chattr` is not installed") }
}

fn project_of(folder: &Path) -> Option<String> {
    run(Command::new("lsattr").arg("-pd").arg(folder))?.split_whitespace().next().map(str::to_owned)
}

/// What it says, if it can be run and is content.
fn run(command: &mut Command) -> Option<String> {
    command.env_clear().env("PATH", "/usr/sbin:/usr/bin:/sbin:/bin").stdin(Stdio::null());
    let output = command.stderr(Stdio::null()).output().ok()?;
    output.status.success().then(|| String::from_utf8_lossy(&output.stdout).into_owned())
}

/// Where the file system of this folder is mounted, if it has project quotas.
fn mount_of(folder: &Path) -> Option<PathBuf> {
    let device = fs::metadata(folder).ok()?.dev();
    let table = fs::read_to_string("/proc/self/mountinfo").ok()?;
    let device = format!("{}:{}", rustix::fs::major(device), rustix::fs::minor(device));
    mount_in(&table, &device)
}

fn mount_in(table: &str, device: &str) -> Option<PathBuf> {
    table.lines().find_map(|line| {
        // "id parent device root place options … - type source options"
        let (mount, file_system) = line.split_once(" - ")?;
        let mut fields = mount.split(' ').skip(2);
        let whole = fields.next() == Some(device) && fields.next() == Some("/");
        let place = fields.next()?;
        let options = file_system.split(' ').nth(2)?;
        let has = options.split(',').any(|option| option == "prjquota" || option == "pquota");
        (whole && has).then(|| super::mount::unescape(place))
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_mount_with_project_quotas_is_found_by_its_device() {
        let table = "22 1 8:1 / / rw - ext4 /dev/sda1 rw\n\
                     30 22 8:2 / /srv/my\\040data rw,noatime shared:1 - ext4 /dev/sda2 rw,prjquota\n\
                     31 22 8:3 /part /bound rw - xfs /dev/sda3 rw,prjquota\n";
        assert_eq!(mount_in(table, "8:2"), Some("/srv/my data".into()));
        assert_eq!((mount_in(table, "8:1"), mount_in(table, "8:3")), (None, None));
    }
}
