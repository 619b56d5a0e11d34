//! Measures files that were deleted while a process has them open or mapped: they take the disk's room until
//! it lets them go, and no folder shows them.

use std::collections::{BTreeMap, BTreeSet};
use std::fs::{self, File};
use std::io::{BufRead, BufReader, ErrorKind, Read};
use std::path::Path;

use rustix::fs::{AtFlags, CWD, Dir, FileType, Mode, OFlags, makedev, openat, stat, statat};
use rustix::process::{Pid, getpid, test_kill_process};

use super::processes;
use crate::inside::held::{BLOCK_BYTES, FoldersHeld};

/// Descriptors that are looked at. Who has more counts as one who has too many files.
const LOOKS: usize = 500_000;

/// Numbers of processes that are tried.
const NUMBERS: i32 = 100_000;
/// Bytes of one process's table of mappings that are read.
const MAPS_BYTES: u64 = 8 * 1024 * 1024;

/// What is deleted and still held.
#[derive(Debug, Default, PartialEq, Eq)]
pub(in crate::inside) struct DeletedFiles {
    pub(in crate::inside) held: FoldersHeld,
    /// Those of them that are mapped and that no descriptor shows, and how large they are taken to be.
    pub(in crate::inside) mapped: Vec<(u64, u64)>,
}

/// Measures those of our processes that lie where these folders do: each file once, of at most `most`. The
/// size of one that is only mapped cannot be asked for; `known` says it. Those of a process that has made
/// itself unreadable, or that are on their way from one to another, are not seen.
pub(in crate::inside) fn measure<'a>(
    folders: impl IntoIterator<Item = &'a Path>,
    most: u64,
    known: &dyn Fn(u64) -> u64,
) -> DeletedFiles {
    let devices = folders.into_iter().filter_map(|folder| Some(stat(folder).ok()?.st_dev)).collect();
    let count = held(devices, most);
    let mut deleted = DeletedFiles { held: count.held, mapped: Vec::new() };
    for (device, file) in count.mapped.difference(&count.seen) {
        if count.devices.contains(device) {
            let bytes = known(*file);
            deleted.mapped.push((*file, bytes));
            deleted.held.bytes += bytes;
            deleted.held.entries += 1;
        }
    }
    deleted.held.entries = deleted.held.entries.min(most);
    deleted
}

/// Bytes of memory in files that have no name: made by `memfd_create`, or deleted from a file system in
/// memory other than these.
pub(in crate::inside) fn nameless_bytes(disks: &[&Path], named: &[&Path]) -> u64 {
    let device = |path: &&Path| Some(stat(*path).ok()?.st_dev);
    let not: BTreeSet<u64> = disks.iter().chain(named).filter_map(device).collect();
    let count = held(BTreeSet::new(), u64::MAX);
    count.elsewhere.iter().filter(|((device, _), _)| !not.contains(device)).map(|(_, bytes)| bytes).sum()
}

/// How many of our processes let nobody see what they have open. In a jail /proc does not even list them, so
/// that the last numbers that were given out are tried.
pub(in crate::inside) fn unseen() -> u64 {
    let shut = |process: &i32| {
        let opened = fs::read_dir(format!("/proc/{process}/fd"));
        opened.is_err_and(|error| error.kind() == ErrorKind::PermissionDenied)
    };
    let shut = processes::ours().iter().filter(|process| shut(process)).count() as u64;
    if getpid() == Pid::INIT { shut + unlisted() } else { shut }
}

fn unlisted() -> u64 {
    let load = fs::read_to_string("/proc/loadavg").unwrap_or_default();
    let last: i32 = load.split_whitespace().last().and_then(|last| last.parse().ok()).unwrap_or_default();
    let pids = (last.saturating_sub(NUMBERS).max(2)..=last).filter_map(Pid::from_raw);
    let lives = |pid: &Pid| test_kill_process(*pid).is_ok();
    // Looked at twice, because one may have ended in between.
    let hides = |pid: &Pid| {
        let place = format!("/proc/{}", pid.as_raw_nonzero());
        fs::metadata(place).is_err() && lives(pid)
    };
    pids.filter(lives).filter(hides).count() as u64
}

fn held(devices: BTreeSet<u64>, most: u64) -> Count {
    let mut count = Count { devices, ..Count::default() };
    for process in processes::ours() {
        // A thread can have descriptors of its own.
        let Ok(threads) = fs::read_dir(format!("/proc/{process}/task")) else { continue };
        for thread in threads.flatten() {
            // It may be gone by now.
            count.descriptors(&thread.path().join("fd")).ok();
            if count.looks > LOOKS {
                count.held.entries = most;
                return count;
            }
        }
        // It may be gone by now.
        count.maps(process).ok();
    }
    count
}

#[derive(Debug, Default)]
struct Count {
    devices: BTreeSet<u64>,
    seen: BTreeSet<(u64, u64)>,
    held: FoldersHeld,
    /// What descriptors show of other file systems.
    elsewhere: BTreeMap<(u64, u64), u64>,
    mapped: BTreeSet<(u64, u64)>,
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
            if !file || stat.st_nlink > 0 {
                continue;
            }
            let (number, bytes) = ((stat.st_dev, stat.st_ino), stat.st_blocks as u64 * BLOCK_BYTES);
            if !self.devices.contains(&stat.st_dev) {
                self.elsewhere.insert(number, bytes);
            } else if self.seen.insert(number) {
                self.held.entries += 1;
                self.held.bytes += bytes;
            }
        }
        Ok(())
    }

    fn maps(&mut self, process: i32) -> std::io::Result<()> {
        let maps = BufReader::new(File::open(format!("/proc/{process}/maps"))?.take(MAPS_BYTES));
        for line in maps.split(b'\n') {
            if let Some(number) = mapped(&String::from_utf8_lossy(&line?)) {
                self.mapped.insert(number);
            }
        }
        Ok(())
    }
}

/// The device and number of a mapped file that was deleted: "from-to rights offset device number path".
fn mapped(line: &str) -> Option<(u64, u64)> {
    let mut fields = line.strip_suffix(" (deleted)")?.split_ascii_whitespace().skip(3);
    let (major, minor) = fields.next()?.split_once(':')?;
    let part = |hex| u32::from_str_radix(hex, 16).ok();
    Some((makedev(part(major)?, part(minor)?), fields.next()?.parse().ok()?))
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::process::{Command, Stdio};

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
        let measure = |folder: &Path, most| super::measure([folder, folder], most, &|_| 0).held;
        let held = measure(root, 10);
        let elsewhere = measure(Path::new("/proc"), 10);
        let least = measure(root, 0);
        for holder in &mut holders {
            holder.kill().expect("kills");
            holder.wait().expect("ends");
        }
        let bytes = held.bytes;
        assert!(((1 << 20)..(2 << 20)).contains(&bytes), "{bytes}");
        assert_eq!(held, FoldersHeld { bytes, entries: 1 });
        assert_eq!(elsewhere, FoldersHeld::default());
        assert_eq!(least.entries, 0);
        assert_eq!(measure(root, 10), FoldersHeld::default());
    }

    #[test]
    fn a_deleted_file_that_is_only_mapped_is_as_large_as_it_was_known_to_be() {
        assert_eq!(
            mapped("7f00-7f01 r--s 00000000 08:10 42 /workspace/a b (deleted)"),
            Some((makedev(8, 16), 42))
        );
        assert_eq!(mapped("7f00-7f01 r--s 00000000 08:10 42 /workspace/a"), None);
        let folder = tempfile::tempdir().expect("a folder");
        let script = "import mmap,os,sys\nf=open('f','wb+'); f.truncate(1<<20)\nm=mmap.mmap(f.fileno(),4096)\n\
                      os.remove('f'); print(os.fstat(f.fileno()).st_ino,flush=True)\nos.closerange(3,99)\n\
                      print('',flush=True); sys.stdin.read()";
        let mut python = Command::new("python3");
        python.args(["-c", script]).current_dir(folder.path());
        let mut holder = python.stdin(Stdio::piped()).stdout(Stdio::piped()).spawn().expect("runs");
        let said = BufReader::new(holder.stdout.take().expect("its output"));
        let said: Vec<String> = said.lines().take(2).map(|line| line.expect("a line")).collect();
        let number: u64 = said[0].parse().expect("a number");
        let held = super::measure([folder.path()], 10, &|asked| asked * 1000);
        holder.kill().expect("kills");
        holder.wait().expect("ends");
        let bytes = number * 1000;
        let mapped = vec![(number, bytes)];
        assert_eq!(held, DeletedFiles { held: FoldersHeld { bytes, entries: 1 }, mapped });
    }
}
