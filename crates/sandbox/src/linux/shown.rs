//! Trees and files of the host that a jail sees: through an overlay of its own, so that it has inodes of
//! its own.
//!
//! On the host's inodes a jail could hold locks, watch what others open and run, and speak to sockets. A
//! read-only overlay of the tree over an empty one has the same files and none of that. Where the kernel
//! refuses one, the tree is shown as it is, and is named in what the jail found out.

use std::fs::{self, File};
use std::os::fd::{AsRawFd, OwnedFd};
use std::path::{Path, PathBuf};

use rustix::fs::{Mode, OFlags};
use rustix::mount::{MountFlags, UnmountFlags, mount, mount_bind, mount_bind_recursive, unmount};

use super::mount::{below, directory, unescape};
use crate::fault::{AtStep, JailFault, StartStep};

/// Where trees are kept from which single files are shown, while the root is built.
const SCRATCH: &str = ".shown";
/// An empty directory of the jail's.
const EMPTY: &str = "run";

/// What is shown of the host.
#[derive(Debug)]
pub(crate) struct ShownHost {
    root: PathBuf,
    empty: OwnedFd,
    /// Where the host has something mounted.
    mounts: Vec<PathBuf>,
    /// Overlays: what of the host, and where.
    own: Vec<(PathBuf, PathBuf)>,
    scratches: usize,
    shared: Vec<String>,
}

impl ShownHost {
    /// The host's mounts, read before the jail's first.
    pub(crate) fn table() -> Result<String, JailFault> {
        fs::read_to_string("/proc/self/mountinfo").of(StartStep::Mounts, "the mount table")
    }

    /// Nothing yet, in a root that has its empty directories.
    pub(crate) fn new(root: &Path, table: &str) -> Result<Self, JailFault> {
        let mut mounts: Vec<_> =
            table.lines().filter_map(|line| line.split(' ').nth(4)).map(unescape).collect();
        mounts.sort();
        mounts.dedup();
        let empty = open(&root.join(EMPTY)).of(StartStep::Mounts, EMPTY)?;
        Ok(Self { root: root.to_owned(), empty, mounts, own: Vec::new(), scratches: 0, shared: Vec::new() })
    }

    /// Shows a file or directory of the host at the same path, with all that is mounted below it.
    pub(crate) fn show(&mut self, host: &Path) -> Result<(), JailFault> {
        let (place, name) = (below(&self.root, host), host.to_string_lossy());
        let real = fs::canonicalize(host).of(StartStep::Mounts, &name)?;
        if self.copy(host).is_some_and(|copy| copy == place) {
            return Ok(());
        }
        if real.is_dir() {
            directory(&place)?;
            return match self.copy(&real) {
                Some(copy) => mount_bind_recursive(&copy, &place).of(StartStep::Mounts, &name),
                None => self.tree(&real, &place),
            };
        }
        let parent = |path: &Path| path.parent().unwrap_or(Path::new("/")).to_owned();
        directory(&parent(&place))?;
        File::options().create(true).append(true).open(&place).of(StartStep::Mounts, &name)?;
        if self.copy(&real).is_none() {
            self.keep(&parent(&real))?;
        }
        let copy = self.copy(&real).unwrap_or_else(|| {
            self.shared.push(name.clone().into_owned());
            real
        });
        mount_bind(&copy, &place).of(StartStep::Mounts, &name)
    }

    /// The jail's own copy of a file or directory of the host, if one is shown already.
    fn copy(&self, real: &Path) -> Option<PathBuf> {
        let covers = |tree: &&(PathBuf, PathBuf)| {
            let beside = |mount: &PathBuf| mount.starts_with(&tree.0) && *mount != tree.0;
            // What is mounted in between, an overlay does not show.
            real.starts_with(&tree.0)
                && !self.mounts.iter().any(|mount| beside(mount) && real.starts_with(mount))
        };
        let tree = self.own.iter().find(covers)?;
        let copy = tree.1.join(real.strip_prefix(&tree.0).ok()?);
        copy.exists().then_some(copy)
    }

    /// A tree of the host, and one by one what is mounted below it.
    fn tree(&mut self, host: &Path, place: &Path) -> Result<(), JailFault> {
        if !self.overlay(host, place) {
            self.shared.push(host.to_string_lossy().into_owned());
            return mount_bind_recursive(host, place).of(StartStep::Mounts, &host.to_string_lossy());
        }
        let inner: Vec<_> =
            self.mounts.iter().filter(|mount| mount.starts_with(host) && *mount != host).cloned().collect();
        for mount in inner {
            let Ok(rest) = mount.strip_prefix(host) else { continue };
            let place = place.join(rest);
            // It may be hidden by another, or not be for this user.
            let (Ok(found), Ok(there)) = (fs::metadata(&mount), fs::metadata(&place)) else { continue };
            if found.is_dir() != there.is_dir() || (found.is_dir() && self.overlay(&mount, &place)) {
                continue;
            }
            self.shared.push(mount.to_string_lossy().into_owned());
            mount_bind(&mount, &place).of(StartStep::Mounts, &mount.to_string_lossy())?;
        }
        Ok(())
    }

    /// Keeps a copy of a directory, from which parts are to be shown.
    pub(crate) fn keep(&mut self, host: &Path) -> Result<(), JailFault> {
        self.scratches += 1;
        let place = self.root.join(format!("{SCRATCH}-{}", self.scratches));
        directory(&place)?;
        self.overlay(host, &place);
        Ok(())
    }

    fn overlay(&mut self, host: &Path, place: &Path) -> bool {
        let Ok(tree) = open(host) else { return false };
        // By number: a path may hold what separates paths here.
        let lower =
            format!("lowerdir=/proc/self/fd/{}:/proc/self/fd/{}", tree.as_raw_fd(), self.empty.as_raw_fd());
        let Ok(lower) = std::ffi::CString::new(lower) else { return false };
        let flags = MountFlags::NOSUID | MountFlags::NODEV;
        let made = mount("overlay", place, "overlay", flags, lower.as_c_str()).is_ok();
        if made {
            self.own.push((host.to_owned(), place.to_owned()));
        }
        made
    }

    /// Takes away what was only kept; answers what is shown as it is.
    pub(crate) fn finish(self) -> Result<Vec<String>, JailFault> {
        for number in 1..=self.scratches {
            let place = self.root.join(format!("{SCRATCH}-{number}"));
            // One that the kernel refused is not there.
            unmount(&place, UnmountFlags::DETACH).ok();
            fs::remove_dir(&place).of(StartStep::Mounts, SCRATCH)?;
        }
        Ok(self.shared)
    }
}

fn open(path: &Path) -> rustix::io::Result<OwnedFd> {
    rustix::fs::open(path, OFlags::PATH | OFlags::DIRECTORY | OFlags::CLOEXEC, Mode::empty())
}
