//! What a session's files have grown by since they were last looked at, and taking that back.

use std::collections::{BTreeMap, BTreeSet};
use std::path::{Path, PathBuf};
use std::time::Instant;

use rustix::fs::{AtFlags, FileType, Mode, OFlags, fchmod, ftruncate, openat, unlinkat};
use rustix::io::Errno;

use super::{
    ambient,
    disk::{self, Spot},
    held::FoldersHeld,
    host,
};
use crate::wire::DiskCut;

/// Files whose size is remembered from one look to the next.
const REMEMBERED: usize = 100_000;
/// Files that are taken back by their size; beyond these, all that are new go.
const LARGE: usize = 100_000;
/// A file that was not remembered although all were, and that was there before, has grown if it takes more.
const SMALL_BYTES: u64 = 1024 * 1024;
/// Seconds for which growth is remembered while there is little room.
const STALE_S: i64 = 60;
/// The longest that a kernel is used to take from tick to tick.
const TICK_NS: i64 = 10_000_000;
/// Names of removed files that are told.
const TOLD: usize = 20;

/// What there was at a look.
#[derive(Debug, Default)]
pub(super) struct GrowthLook {
    /// When it began.
    at: (i64, i64),
    pub(super) held: FoldersHeld,
    /// Bytes of files that were deleted and still open or mapped.
    pub(super) deleted_bytes: u64,
    /// Bytes on the disk and length of files, by their number.
    sizes: BTreeMap<u64, (u64, u64)>,
    /// Whether these are all.
    whole: bool,
}

impl GrowthLook {
    /// Nothing seen yet: what is new from now on has grown.
    pub(super) fn none() -> Self {
        Self { at: begun(), ..Self::default() }
    }

    /// Looks at these folders, of at most so many entries. A mapped file that was deleted counts as large as
    /// it was at the `last` look, or as large as a file can be.
    pub(super) fn take(folders: &[PathBuf], most: u64, last: &Self, file_bytes: u64) -> Self {
        let at = begun();
        // Deleted ones first: what is deleted meanwhile is missed once, and not counted twice.
        let deleted = last.deleted(folders, most, file_bytes);
        let mut sizes = BTreeMap::new();
        let held = disk::walk(folders.iter().map(PathBuf::as_path), most, None, &mut |spot| {
            let is_file = FileType::from_raw_mode(spot.stat.st_mode) == FileType::RegularFile;
            if is_file && spot.bytes() > 0 && sizes.len() <= REMEMBERED {
                sizes.insert(spot.stat.st_ino, (spot.bytes(), spot.stat.st_size as u64));
            }
        });
        let whole = sizes.len() <= REMEMBERED && held.entries < most;
        // What is mapped and deleted keeps the size that it had.
        for (file, bytes) in &deleted.mapped {
            sizes.insert(*file, (*bytes, *bytes));
        }
        let entries = most.min(held.entries + deleted.held.entries);
        let bytes = held.bytes + deleted.held.bytes;
        Self { at, held: FoldersHeld { bytes, entries }, deleted_bytes: deleted.held.bytes, sizes, whole }
    }

    /// So much later that what grew before is not what fills the disk now.
    pub(super) fn is_much_later_than(&self, other: &Self) -> bool {
        self.at.0.saturating_sub(other.at.0) > STALE_S
    }

    /// Milliseconds since it began.
    pub(super) fn age_ms(&self) -> u64 {
        let now = ambient::wall();
        let (seconds, nanos) = (now.0.saturating_sub(self.at.0), now.1 - self.at.1);
        u64::try_from(seconds.saturating_mul(1_000).saturating_add(nanos / 1_000_000)).unwrap_or_default()
    }

    fn deleted(&self, folders: &[PathBuf], most: u64, file_bytes: u64) -> host::DeletedFiles {
        let known = |file| self.sizes.get(&file).map_or(file_bytes, |(bytes, _)| *bytes);
        host::unlinked(folders.iter().map(PathBuf::as_path), most, &known)
    }

    /// How much more there is now, as far as can be seen until then.
    pub(super) fn grown(
        &self,
        folders: &[PathBuf],
        most: u64,
        file_bytes: u64,
        until: Instant,
    ) -> FoldersHeld {
        let deleted = self.deleted(folders, most, file_bytes).held.bytes;
        let mut grown = FoldersHeld { bytes: deleted.saturating_sub(self.deleted_bytes), entries: 0 };
        disk::walk(folders.iter().map(PathBuf::as_path), most, Some(until), &mut |spot| {
            if spot.after || !self.changed(spot) {
                return;
            }
            grown.entries += u64::from(self.is_new(spot));
            grown.bytes += self.growth(spot);
        });
        grown
    }

    /// Whether something was done to it. Unlike the other times this one cannot be set.
    fn changed(&self, spot: &Spot<'_>) -> bool {
        (spot.stat.st_ctime, spot.stat.st_ctime_nsec as i64) >= self.at
    }

    fn is_new(&self, spot: &Spot<'_>) -> bool {
        let number = spot.stat.st_ino;
        !self.sizes.contains_key(&number)
            && host::born(spot.folder, spot.name).is_some_and(|born| born >= self.at)
    }

    /// Bytes by which one that has changed has grown.
    fn growth(&self, spot: &Spot<'_>) -> u64 {
        if spot.is_folder() {
            return 0;
        }
        match self.sizes.get(&spot.stat.st_ino) {
            Some((before, _)) => spot.bytes().saturating_sub(*before),
            None if self.is_new(spot) || (self.whole && spot.bytes() > SMALL_BYTES) => spot.bytes(),
            None => 0,
        }
    }

    /// Takes back what has grown, the largest and newest first, until `short` has been made up for. Nobody
    /// else may be writing.
    pub(super) fn cut(&self, folders: &[PathBuf], most: u64, short: FoldersHeld) -> TakenBack {
        let roots = || folders.iter().map(PathBuf::as_path);
        let mut large: Vec<(u64, i64, u64)> = Vec::new();
        disk::walk(roots(), most, None, &mut |spot| {
            let grown = if spot.after || !self.changed(spot) { 0 } else { self.growth(spot) };
            if grown > 0 && large.len() < LARGE {
                large.push((grown, spot.stat.st_ctime, spot.stat.st_ino));
            }
        });
        large.sort_unstable_by(|one, other| other.cmp(one));
        let mut chosen = BTreeSet::new();
        let mut bytes = 0;
        for (grown, _, number) in large {
            if bytes >= short.bytes {
                break;
            }
            bytes += grown;
            chosen.insert(number);
        }
        let every_new = bytes < short.bytes;
        let mut taken = TakenBack::default();
        disk::walk(roots(), most, None, &mut |spot| {
            let is_chosen = !spot.is_folder() && chosen.contains(&spot.stat.st_ino);
            let more = every_new || taken.cut.files < short.entries;
            if is_chosen || (more && self.changed(spot) && self.is_new(spot)) {
                taken.take(self, spot);
            }
        });
        taken
    }
}

/// When a look begins, as files carry it: the time of the kernel's last tick, which may be a moment ago.
fn begun() -> (i64, i64) {
    let (seconds, nanos) = ambient::wall();
    if nanos < TICK_NS { (seconds - 1, nanos + 1_000_000_000 - TICK_NS) } else { (seconds, nanos - TICK_NS) }
}

/// What was taken back.
#[derive(Debug, Default)]
pub(super) struct TakenBack {
    pub(super) cut: DiskCut,
    names: Vec<String>,
}

impl TakenBack {
    fn take(&mut self, look: &GrowthLook, spot: &Spot<'_>) {
        if spot.is_folder() && !spot.after {
            return;
        }
        let (before, length) = look.sizes.get(&spot.stat.st_ino).copied().unwrap_or_default();
        let done = if before > 0 { shorten(spot, length) } else { remove(spot) };
        if done.is_err() {
            return;
        }
        self.cut.files += 1;
        self.cut.bytes += spot.bytes().saturating_sub(before);
        if self.names.len() < TOLD {
            self.names.push(spot.shown());
        }
    }

    /// In words for the model.
    pub(super) fn told(&self) -> String {
        if self.names.is_empty() {
            return "none of its files had to be removed".to_owned();
        }
        let more = self.cut.files.saturating_sub(self.names.len() as u64);
        let more = if more > 0 { format!(" and {more} more") } else { String::new() };
        format!("removed or cut short, {} MiB: {}{more}", self.cut.bytes >> 20, self.names.join(", "))
    }
}

fn remove(spot: &Spot<'_>) -> rustix::io::Result<()> {
    let flags = if spot.is_folder() { AtFlags::REMOVEDIR } else { AtFlags::empty() };
    match unlinkat(spot.folder, spot.name, flags) {
        Err(Errno::ACCESS | Errno::PERM) => {
            // A folder that its owner shut; it is ours to open.
            fchmod(spot.folder, Mode::RWXU)?;
            unlinkat(spot.folder, spot.name, flags)
        }
        done => done,
    }
}

fn shorten(spot: &Spot<'_>, length: u64) -> rustix::io::Result<()> {
    let flags = OFlags::WRONLY | OFlags::NOFOLLOW | OFlags::NONBLOCK | OFlags::CLOEXEC;
    ftruncate(openat(spot.folder, spot.name, flags, Mode::empty())?, length)
}

/// Whether a file system has twice as much free as is to stay free: so many bytes, and a tenth of its files
/// or as many as anybody needs.
pub(super) fn is_plenty(place: &Path, free_bytes: u64) -> bool {
    sandbox::room(place).is_ok_and(|room| {
        room.bytes >= free_bytes.saturating_mul(2) && room.entries >= room.entries_least().saturating_mul(2)
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::fs::{self, OpenOptions};
    use std::io::Write;
    use std::os::unix::fs::PermissionsExt;

    const MIB: usize = 1 << 20;

    #[cfg(all(target_os = "linux", not(heddle_portable)))]
    #[test]
    fn what_grew_since_a_look_is_taken_back_the_largest_first_and_what_was_there_stays() {
        let folder = tempfile::tempdir().expect("a folder");
        let root = folder.path();
        let folders = [root.to_owned()];
        let write = |name: &str, bytes: usize| fs::write(root.join(name), vec![1; bytes]).expect("writes");
        write("old", 3 * MIB);
        write("grows", MIB);
        let none = GrowthLook { at: (0, 0), ..GrowthLook::none() };
        let look = GrowthLook::take(&folders, u64::MAX, &none, 0);
        assert_eq!(look.grown(&folders, u64::MAX, 0, far()), FoldersHeld::default());
        let mut grows = OpenOptions::new().append(true).open(root.join("grows")).expect("opens");
        grows.write_all(&vec![1; 4 * MIB]).expect("writes");
        write("new", 2 * MIB);
        fs::create_dir(root.join("shut")).expect("makes");
        write("shut/large", 8 * MIB);
        fs::set_permissions(root.join("shut"), fs::Permissions::from_mode(0o555)).expect("shuts");
        fs::set_permissions(root.join("old"), fs::Permissions::from_mode(0o600)).expect("changes");
        let grown = look.grown(&folders, u64::MAX, 0, far());
        assert_eq!(grown, FoldersHeld { bytes: 14 * MIB as u64, entries: 3 });

        let short = |bytes: usize, entries| FoldersHeld { bytes: bytes as u64, entries };
        let taken = look.cut(&folders, u64::MAX, short(9 * MIB, 0));
        assert_eq!(taken.cut, DiskCut { bytes: 12 * MIB as u64, files: 2 });
        assert!(
            taken.told().contains("/shut/large")
                && taken.told().starts_with("removed or cut short, 12 MiB: ")
        );
        assert_eq!(fs::metadata(root.join("grows")).expect("there").len(), MIB as u64);
        assert!(root.join("new").exists() && !root.join("shut/large").exists());

        // More than has grown: all that is new goes, folders too, and nothing else.
        let taken = look.cut(&folders, u64::MAX, short(100 * MIB, 0));
        assert_eq!(taken.cut.files, 2);
        let left: BTreeSet<_> =
            fs::read_dir(root).expect("reads").map(|entry| entry.expect("one").file_name()).collect();
        assert_eq!(left, ["old", "grows"].map(Into::into).into());
    }

    fn far() -> Instant {
        ambient::now() + std::time::Duration::from_mins(1)
    }
}
