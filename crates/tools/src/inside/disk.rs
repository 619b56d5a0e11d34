//! Measures what folders hold, in little memory and without following anything out of them.

use std::ffi::{CStr, CString};
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};
use std::path::Path;
use std::time::Instant;

use rustix::fs::{AtFlags, CWD, Dev, Dir, FileType, Mode, OFlags, Stat, fstat, openat, statat};
use rustix::io;

use super::{
    ambient,
    held::{BLOCK_BYTES, FoldersHeld},
    host::OpenedFolder,
};

/// Folders that are open at once; what is deeper is looked at later, from the top.
const DEPTH: usize = 64;
/// Bytes of the paths of what is looked at later. A tree that needs more counts as one of too many entries.
const LATER_BYTES: usize = 16 * 1024 * 1024;
/// Entries between two looks at the clock.
const LOOKS: u64 = 256;

/// Measures these folders together, and stops at `most` entries.
#[cfg(test)]
pub(super) fn measure<'a>(roots: impl IntoIterator<Item = &'a Path>, most: u64) -> FoldersHeld {
    walk(roots, most, None, &mut |_| {})
}

/// The same, and shows everything on the way; it stops at a time, too.
pub(super) fn walk<'a>(
    roots: impl IntoIterator<Item = &'a Path>,
    most: u64,
    until: Option<Instant>,
    see: &mut dyn FnMut(&Spot<'_>),
) -> FoldersHeld {
    let held = FoldersHeld::default();
    let mut count =
        Count { held, most, until, late: false, device: 0, later: Vec::new(), later_bytes: 0, see };
    for root in roots {
        // One that cannot be opened holds nothing that we could know of.
        count.tree(root).ok();
        if count.late {
            break;
        }
    }
    count.held
}

/// A file or a folder that a walk meets.
pub(super) struct Spot<'a> {
    /// The folder that it is in.
    pub(super) folder: BorrowedFd<'a>,
    pub(super) name: &'a CStr,
    pub(super) stat: &'a Stat,
    /// A folder is shown twice: before what is in it, and after.
    pub(super) after: bool,
    root: &'a Path,
    path: &'a [CString],
    levels: &'a [Level],
}

impl Spot<'_> {
    /// Bytes on the disk.
    pub(super) fn bytes(&self) -> u64 {
        self.stat.st_blocks as u64 * BLOCK_BYTES
    }

    pub(super) fn is_folder(&self) -> bool {
        FileType::from_raw_mode(self.stat.st_mode) == FileType::Directory
    }

    /// Where it is, for people.
    pub(super) fn shown(&self) -> String {
        let above = self.levels.iter().skip(1).map(|level| level.name.as_c_str());
        let names = self.path.iter().map(CString::as_c_str).chain(above).chain([self.name]);
        let names = names.map(|name| name.to_string_lossy().into_owned());
        let path = names.fold(self.root.to_owned(), |path, name| path.join(name));
        path.display().to_string()
    }
}

struct Count<'a> {
    held: FoldersHeld,
    most: u64,
    until: Option<Instant>,
    late: bool,
    see: &'a mut dyn FnMut(&Spot<'_>),
    device: Dev,
    later: Vec<Vec<CString>>,
    later_bytes: usize,
}

/// An open folder.
#[derive(Debug)]
struct Level {
    entries: Dir,
    name: CString,
    /// None for where a walk begins.
    stat: Option<Stat>,
    _opened: Option<OpenedFolder>,
}

impl Count<'_> {
    fn tree(&mut self, place: &Path) -> io::Result<()> {
        let flags = OFlags::RDONLY | OFlags::DIRECTORY | OFlags::CLOEXEC;
        let root = openat(CWD, place, flags, Mode::empty())?;
        self.device = fstat(&root)?.st_dev;
        self.later = vec![Vec::new()];
        self.later_bytes = 0;
        while let Some(path) = self.later.pop() {
            self.later_bytes -= bytes(&path);
            // What has gone meanwhile holds nothing.
            let Some(top) = reach(&root, &path) else { continue };
            self.below(place, &path, top);
            if self.held.entries >= self.most || self.late {
                break;
            }
        }
        Ok(())
    }

    /// Counts what is below `top`, which is at `path`.
    fn below(&mut self, root: &Path, path: &[CString], top: Level) {
        let mut levels = vec![top];
        loop {
            let depth = levels.len();
            let Some(level) = levels.last_mut() else { return };
            let Some(Ok(entry)) = level.entries.read() else {
                self.leave(root, path, &mut levels);
                continue;
            };
            let name = entry.file_name();
            if name == c"." || name == c".." {
                continue;
            }
            let Some(Ok(folder)) = levels.last().map(|level| level.entries.fd()) else { continue };
            let Ok(stat) = statat(folder, name, AtFlags::SYMLINK_NOFOLLOW) else { continue };
            if stat.st_dev != self.device {
                continue;
            }
            self.held.entries += 1;
            let kind = FileType::from_raw_mode(stat.st_mode);
            let names = if kind == FileType::Directory { 1 } else { u64::from(stat.st_nlink as u32).max(1) };
            self.held.bytes += stat.st_blocks as u64 * BLOCK_BYTES / names;
            (self.see)(&Spot { folder, name, stat: &stat, after: false, root, path, levels: &levels });
            self.late = self.held.entries.is_multiple_of(LOOKS)
                && self.until.is_some_and(|until| ambient::now() > until);
            if self.held.entries >= self.most || self.late {
                return;
            }
            if kind == FileType::Directory && depth < DEPTH {
                if let Some(next) = Level::open(folder, name, &stat) {
                    levels.push(next);
                }
            } else if kind == FileType::Directory {
                let mut deep = path.to_vec();
                deep.extend(levels.iter().skip(1).map(|level| level.name.clone()));
                deep.push(name.to_owned());
                self.put_off(deep);
            }
        }
    }

    /// Leaves the innermost folder, and shows it once more.
    fn leave(&mut self, root: &Path, path: &[CString], levels: &mut Vec<Level>) {
        let Some(left) = levels.pop() else { return };
        let above = levels.last().map(|above| above.entries.fd());
        if let (Some(stat), Some(Ok(folder))) = (&left.stat, above) {
            (self.see)(&Spot { folder, name: &left.name, stat, after: true, root, path, levels });
        }
    }

    fn put_off(&mut self, path: Vec<CString>) {
        self.later_bytes += bytes(&path);
        if self.later_bytes > LATER_BYTES {
            self.held.entries = self.most;
        }
        self.later.push(path);
    }
}

impl Level {
    fn open(parent: BorrowedFd<'_>, name: &CStr, stat: &Stat) -> Option<Self> {
        let mode = Mode::from_raw_mode(stat.st_mode);
        let opened =
            if mode.contains(Mode::RUSR | Mode::XUSR) { None } else { OpenedFolder::new(parent, name, mode) };
        let flags = OFlags::RDONLY | OFlags::DIRECTORY | OFlags::NOFOLLOW | OFlags::CLOEXEC;
        let folder = openat(parent, name, flags, Mode::empty()).ok()?;
        Some(Self {
            entries: Dir::new(folder).ok()?,
            name: name.to_owned(),
            stat: Some(*stat),
            _opened: opened,
        })
    }
}

/// The folder at a path below the root.
fn reach(root: &OwnedFd, path: &[CString]) -> Option<Level> {
    let entries = Dir::read_from(root).ok()?;
    let mut level = Level { entries, name: CString::default(), stat: None, _opened: None };
    for name in path {
        let next = {
            let folder = level.entries.fd().ok()?;
            let stat = statat(folder, name, AtFlags::SYMLINK_NOFOLLOW).ok()?;
            Level::open(folder.as_fd(), name, &stat)?
        };
        level = next;
    }
    Some(level)
}

fn bytes(path: &[CString]) -> usize {
    path.iter().map(|name| name.count_bytes() + size_of::<CString>()).sum()
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::fs;
    use std::os::unix::fs::{PermissionsExt, symlink};
    use std::process::Command;

    #[test]
    fn what_is_deep_shut_or_has_two_names_counts_once_and_links_are_not_followed() {
        let folder = tempfile::tempdir().expect("a folder");
        let root = folder.path();
        let deep = (0..200).fold(root.to_owned(), |path, _| path.join("d"));
        fs::create_dir_all(&deep).expect("makes");
        fs::write(deep.join("file"), vec![1; 1 << 20]).expect("writes");
        fs::write(root.join("one"), vec![1; 1 << 20]).expect("writes");
        fs::hard_link(root.join("one"), root.join("two")).expect("links");
        symlink("/usr", root.join("link")).expect("links");
        fs::create_dir(root.join("shut")).expect("makes");
        fs::write(root.join("shut/file"), vec![1; 1 << 20]).expect("writes");
        fs::set_permissions(root.join("shut"), fs::Permissions::from_mode(0o000)).expect("shuts");
        let held = measure([root], u64::MAX);
        assert_eq!(held.entries, 200 + 1 + 2 + 1 + 2);
        let less = held.bytes - (3 << 20);
        assert!(less <= 1 << 20, "3 MiB and what folders take, but {} bytes", held.bytes);
        let mode = fs::metadata(root.join("shut")).expect("there").permissions().mode() & 0o777;
        assert_eq!(mode, 0o000);
        assert_eq!(measure([root], 100).entries, 100);
        let removed = Command::new("chmod").arg("755").arg(root.join("shut")).status().expect("runs");
        assert!(removed.success());
    }
}
