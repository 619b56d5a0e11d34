//! Gives all files of a session to the user of its next jail.
//!
//! A hostile program made the tree: any depth, any number, any mode; no link is followed. Nothing of a jail
//! lives meanwhile, so nobody changes the tree. A note in the folder says whose it is to become, so that the
//! next start finishes what a killed one began.

use std::ffi::CStr;
use std::io;
use std::mem::MaybeUninit;
use std::os::fd::OwnedFd;
use std::time::Duration;

use rustix::fs::{AtFlags, FileType, Gid, Mode, OFlags, RawDir, ResolveFlags, SeekFrom, Stat, Uid};
use rustix::io::Errno;

use super::tree::open_below;
use crate::clock::Deadline;
use crate::fault::{AtStep, JailFault, StartStep};
use crate::session_folder::PARTS;

/// Says in the folder whose the session's files are to become, while they are given away.
const OWNER: &str = "owner";

/// How long one start may spend on it: about five million files. What is done stays done.
pub(crate) const TIME: Duration = Duration::from_secs(20);
/// The clock is looked at once for so many files.
const LOOK: u32 = 256;
/// Bytes of a directory that are read at once.
const READ_BYTES: usize = 8 * 1024;

/// Whether all files are this user's.
pub(crate) fn is_settled(folder: &OwnedFd, user: u32) -> bool {
    matches!(read_note(folder), Ok(None))
        && PARTS.iter().all(|part| stat(folder, part).is_ok_and(|part| part.st_uid == user))
}

/// Whose the files are, or are becoming, if that can be said.
pub(crate) fn owner(folder: &OwnedFd) -> Option<u32> {
    match read_note(folder) {
        Ok(Some(note)) => Some(note.user),
        Ok(None) | Err(_) => stat(folder, PARTS[0]).ok().map(|part| part.st_uid),
    }
}

/// Gives everything below the folder's parts to this user and group, whom the host knows as `known`.
pub(crate) fn all(folder: &OwnedFd, user: u32, group: u32, known: u32) -> Result<(), JailFault> {
    let before = read_note(folder).at(StartStep::Own)?;
    // A directory is given away after all that is in it. So one that is the user's is done with, if all
    // directories that are the user's are this walk's, or an earlier one's that was cut off.
    let whole = before.is_none_or(|note| note.user == known && note.whole);
    write_note(folder, &Note { user: known, whole }).at(StartStep::Own)?;
    let mut walk = Walk { user, group, whole, deadline: Deadline::after(TIME), seen: 0 };
    for part in PARTS {
        let part = open_below(folder, part).of(StartStep::Own, part)?;
        walk.tree(part)?;
    }
    match rustix::fs::unlinkat(folder, OWNER, AtFlags::empty()) {
        Ok(()) | Err(Errno::NOENT) => Ok(()),
        Err(error) => Err(error).at(StartStep::Own),
    }
}

/// Whose the files are becoming, and whether no earlier walk to somebody else was cut off.
#[derive(Debug, PartialEq, Eq)]
struct Note {
    user: u32,
    whole: bool,
}

fn read_note(folder: &OwnedFd) -> io::Result<Option<Note>> {
    let flags = OFlags::RDONLY | OFlags::NOFOLLOW | OFlags::CLOEXEC | OFlags::NONBLOCK;
    let file = match rustix::fs::openat(folder, OWNER, flags, Mode::empty()) {
        Ok(file) => file,
        Err(Errno::NOENT) => return Ok(None),
        Err(error) => return Err(error.into()),
    };
    let mut text = [0; 64];
    let read = rustix::io::read(&file, &mut text)?;
    let text = String::from_utf8_lossy(&text[..read]).into_owned();
    // One that was cut off by a power failure says nothing, so nothing is relied upon.
    let user = text.split(' ').next().and_then(|word| word.parse().ok()).unwrap_or(u32::MAX);
    Ok(Some(Note { user, whole: text.ends_with("whole") }))
}

fn write_note(folder: &OwnedFd, note: &Note) -> io::Result<()> {
    let flags = OFlags::CREATE | OFlags::WRONLY | OFlags::TRUNC | OFlags::NOFOLLOW | OFlags::CLOEXEC;
    let file = rustix::fs::openat(folder, OWNER, flags, Mode::from_raw_mode(0o600))?;
    let text = format!("{} {}", note.user, if note.whole { "whole" } else { "mixed" });
    rustix::io::write(&file, text.as_bytes())?;
    Ok(())
}

struct Walk {
    user: u32,
    group: u32,
    whole: bool,
    deadline: Deadline,
    seen: u32,
}

/// A directory on the way down, and where in it to go on.
struct Level {
    device: u64,
    inode: u64,
    next: u64,
}

impl Walk {
    /// Two open files and a few bytes a level, whatever the depth.
    fn tree(&mut self, top: OwnedFd) -> Result<(), JailFault> {
        let mut above: Vec<Level> = Vec::new();
        let mut here = top;
        loop {
            if let Some((child, next)) = self.entries(&here)? {
                let Stat { st_dev: device, st_ino: inode, .. } =
                    rustix::fs::fstat(&here).at(StartStep::Own)?;
                above.push(Level { device, inode, next });
                here = child;
                continue;
            }
            let found = rustix::fs::fstat(&here).at(StartStep::Own)?;
            if !self.is_ours(&found) {
                let (user, group) = (Uid::from_raw(self.user), Gid::from_raw(self.group));
                rustix::fs::fchown(&here, Some(user), Some(group)).at(StartStep::Own)?;
            }
            let Some(level) = above.pop() else { return Ok(()) };
            let up = OFlags::RDONLY | OFlags::DIRECTORY | OFlags::NOFOLLOW | OFlags::CLOEXEC;
            here = rustix::fs::openat(&here, c"..", up, Mode::empty()).at(StartStep::Own)?;
            let Stat { st_dev: device, st_ino: inode, .. } = rustix::fs::fstat(&here).at(StartStep::Own)?;
            if (device, inode) != (level.device, level.inode) {
                return Err(JailFault::new(StartStep::Own, "somebody moves its directories meanwhile"));
            }
            rustix::fs::seek(&here, SeekFrom::Start(level.next)).at(StartStep::Own)?;
        }
    }

    /// Gives away what is left of the directory's entries up to the next directory, and opens that.
    fn entries(&mut self, here: &OwnedFd) -> Result<Option<(OwnedFd, u64)>, JailFault> {
        let mut space = [MaybeUninit::uninit(); READ_BYTES];
        let mut entries = RawDir::new(here, &mut space);
        while let Some(entry) = entries.next() {
            let entry = entry.at(StartStep::Own)?;
            let name = entry.file_name();
            if name == c"." || name == c".." {
                continue;
            }
            self.look()?;
            let found = rustix::fs::statat(here, name, AtFlags::SYMLINK_NOFOLLOW).at(StartStep::Own)?;
            let is_ours = self.is_ours(&found);
            if FileType::from_raw_mode(found.st_mode) == FileType::Directory {
                if !(is_ours && self.whole) {
                    return Ok(Some((open(here, name)?, entry.next_entry_cookie())));
                }
            } else if !is_ours {
                // It takes away the bits that would let others run a program as this user.
                let (user, group) = (Uid::from_raw(self.user), Gid::from_raw(self.group));
                rustix::fs::chownat(here, name, Some(user), Some(group), AtFlags::SYMLINK_NOFOLLOW)
                    .at(StartStep::Own)?;
            }
        }
        Ok(None)
    }

    fn is_ours(&self, found: &Stat) -> bool {
        (found.st_uid, found.st_gid) == (self.user, self.group)
    }

    fn look(&mut self) -> Result<(), JailFault> {
        self.seen = self.seen.wrapping_add(1);
        if self.seen.is_multiple_of(LOOK) && self.deadline.left().is_none() {
            let seconds = TIME.as_secs();
            return Err(JailFault::new(
                StartStep::Own,
                format!("not all of its files in {seconds} s, so many are there"),
            ));
        }
        Ok(())
    }
}

fn open(parent: &OwnedFd, name: &CStr) -> Result<OwnedFd, JailFault> {
    let flags = OFlags::RDONLY | OFlags::DIRECTORY | OFlags::NOFOLLOW | OFlags::CLOEXEC;
    let beneath = ResolveFlags::BENEATH | ResolveFlags::NO_SYMLINKS | ResolveFlags::NO_XDEV;
    rustix::fs::openat2(parent, name, flags, Mode::empty(), beneath).at(StartStep::Own)
}

fn stat(folder: &OwnedFd, name: &str) -> rustix::io::Result<Stat> {
    rustix::fs::statat(folder, name, AtFlags::SYMLINK_NOFOLLOW)
}
