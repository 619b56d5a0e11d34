//! Measures files that were deleted while a process has them open: they take the disk's room until it closes
//! them, and no folder shows them.

use std::collections::BTreeSet;
use std::fs;
use std::path::Path;

use rustix::fs::{AtFlags, CWD, Dir, FileType, Mode, OFlags, openat, stat, statat};

use super::processes;
use crate::inside::disk::{BLOCK_BYTES, Held};

/// Descriptors that are looked at. Who has more counts as one who has too many files.
const LOOKS: usize = 500_000;

/// Measures those of our processes that lie where these folders do: each file once, of at most `most`. Those
/// of a process that has made itself unreadable are not seen.
pub(in crate::inside) fn measure<'a>(folders: impl IntoIterator<Item = &'a Path>, most: u64) -> Held {
    let mut count = Count {
        devices: folders.into_iter().filter_map(|folder| Some(stat(folder).ok()?.st_dev)).collect(),
        seen: BTreeSet::new(),
        held: Held::default(),
        looks: 0,
    };
    for process in processes::ours() {
        // A thread can have descriptors of its own.
        let Ok(threads) = fs::read_dir(format!("/proc/{process}/task")) else { continue };
        for thread in threads.flatten() {
            // It may be gone by now.
            count.descriptors(&thread.path().join("fd")).ok();
            if count.looks > LOOKS {
                return Held { entries: most, ..count.held };
            }
        }
    }
    Held { entries: count.held.entries.min(most), ..count.held }
}

#[derive(Debug)]
struct Count {
    devices: BTreeSet<u64>,
    seen: BTreeSet<(u64, u64)>,
    held: Held,
    looks: usize,
}

impl Count {
    fn descriptors(&mut self, folder: &Path) -> rustix::io::Result<()> {
        let flags = OFlags::RDONLY | OFlags::DIRECTORY | OFlags::CLOEXEC;
        let folder = openat(CWD, folder, flags, Mode::empty())?;
        for entry in Dir::read_from(&folder)? {
            self.looks += 1;
            if self.looks > LOOKS {
                break;
            }
            let Ok(stat) = statat(&folder, entry?.file_name(), AtFlags::empty()) else { continue };
            let file = FileType::from_raw_mode(stat.st_mode) == FileType::RegularFile;
            if file
                && stat.st_nlink == 0
                && self.devices.contains(&stat.st_dev)
                && self.seen.insert((stat.st_dev, stat.st_ino))
            {
                self.held.entries += 1;
                self.held.bytes += stat.st_blocks as u64 * BLOCK_BYTES;
            }
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::fs::File;
    use std::process::Command;

    #[test]
    fn a_deleted_file_that_processes_have_open_counts_once_until_it_is_closed() {
        let folder = tempfile::tempdir().expect("a folder");
        let open = |name: &str| {
            let path = folder.path().join(name);
            fs::write(&path, vec![1; 1 << 20]).expect("writes");
            File::open(path).expect("opens")
        };
        let (deleted, kept) = (open("deleted"), open("kept"));
        fs::remove_file(folder.path().join("deleted")).expect("removes");
        let start = || {
            let mut command = Command::new("sleep");
            let out = deleted.try_clone().expect("a copy");
            command.arg("1000").stdin(deleted.try_clone().expect("a copy")).stdout(out);
            command.stderr(kept.try_clone().expect("a copy")).spawn().expect("runs")
        };
        let mut holders = [start(), start()];
        let root = folder.path();
        let held = measure([root, root], 10);
        let elsewhere = measure([Path::new("/proc")], 10);
        let least = measure([root], 0);
        for holder in &mut holders {
            holder.kill().expect("kills");
            holder.wait().expect("ends");
        }
        let bytes = held.bytes;
        assert!(((1 << 20)..(2 << 20)).contains(&bytes), "{bytes}");
        assert_eq!(held, Held { bytes, entries: 1 });
        assert_eq!(elsewhere, Held::default());
        assert_eq!(least.entries, 0);
        assert_eq!(measure([root], 10), Held::default());
    }
}
