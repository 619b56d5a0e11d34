//! What the tools do where there is no Linux: process groups, and what any Unix says of its files.
//!
//! What leaves its group is not found, and deleted files that are still open are not counted.

use std::ffi::{CStr, CString};
use std::io::{self, Read, Write};
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};
use std::os::unix::net::UnixStream;
use std::path::Path;
use std::sync::Mutex;
use std::time::Duration;

use rustix::fs::{AtFlags, Mode, chmodat};
use rustix::process::{Pid, Signal, kill_process_group};
use sandbox::{Isolation, JailLayout};

use super::{
    ambient::{self, locked},
    held::FoldersHeld,
    processes::{GOING, ProcessOwner},
};

/// Between two looks at a group that was killed; no system call waits for one.
const GLANCE: Duration = Duration::from_millis(10);

/// Whether orphans come to this process, so that a shell's copy of itself can be its next one.
pub(super) const ADOPTS: bool = false;

/// Whether so many further processes can begin now: nobody says.
pub(super) fn has_room_for(_many: usize) -> bool {
    true
}

/// The groups of the shells that were started and not ended.
#[derive(Debug)]
pub(super) struct StartedProcesses(Mutex<Vec<Pid>>);

impl StartedProcesses {
    /// None yet.
    pub(super) fn new(_isolation: Isolation) -> Self {
        Self(Mutex::default())
    }

    /// A shell began, which leads a group of its own.
    pub(super) fn began(&self, shell: Pid) {
        locked(&self.0).push(shell);
    }

    /// Kills them, and returns when they are gone or two seconds have passed.
    pub(super) fn end(&self, whose: ProcessOwner<'_>) {
        let ended = match whose {
            ProcessOwner::Shells(shells) => shells.to_vec(),
            ProcessOwner::All => locked(&self.0).clone(),
        };
        let mut left = ended.clone();
        let until = ambient::now() + GOING;
        loop {
            // An error says that nothing is left of it but, on some systems, what its parent has yet to bury.
            left.retain(|group| kill_process_group(*group, Signal::KILL).is_ok());
            if left.is_empty() || ambient::now() > until {
                break;
            }
            ambient::rest(GLANCE);
        }
        locked(&self.0).retain(|group| !ended.contains(group));
    }
}

/// What is deleted and still held.
#[derive(Debug, Default)]
pub(super) struct DeletedFiles {
    pub(super) held: FoldersHeld,
    pub(super) mapped: Vec<(u64, u64)>,
}

/// Deleted files that are still open: no folder shows them, and nothing else does here.
pub(super) fn unlinked<'a>(
    _folders: impl IntoIterator<Item = &'a Path>,
    _most: u64,
    _known: &dyn Fn(u64) -> u64,
) -> DeletedFiles {
    DeletedFiles::default()
}

/// Processes that let nobody see what they have open are not told from others here.
pub(super) fn unseen() -> u64 {
    0
}

/// The memory of a jail is not known here.
pub(super) fn memory_bytes(_layout: &JailLayout, _isolation: Isolation) -> u64 {
    0
}

/// When a file was made is not asked here.
pub(super) fn born(_folder: BorrowedFd<'_>, _name: &CStr) -> Option<(i64, i64)> {
    None
}

/// There is no file system of switches here.
pub(super) fn is_kernels(_open: impl AsFd) -> bool {
    false
}

/// A folder that its owner may not look into, and that was opened for us; it closes when we are done.
#[derive(Debug)]
pub(super) struct OpenedFolder {
    parent: OwnedFd,
    name: CString,
    mode: Mode,
}

impl OpenedFolder {
    /// Lets the owner look in; nothing if the folder is not ours.
    pub(super) fn new(parent: BorrowedFd<'_>, name: &CStr, mode: Mode) -> Option<Self> {
        let parent = parent.try_clone_to_owned().ok()?;
        let opened = Self { parent, name: name.to_owned(), mode };
        opened.set(mode | Mode::RUSR | Mode::XUSR).ok()?;
        Some(opened)
    }

    fn set(&self, mode: Mode) -> rustix::io::Result<()> {
        // A link that is put in its place meanwhile is followed, by the user who put it there.
        chmodat(&self.parent, &self.name, mode, AtFlags::empty())
    }
}

impl Drop for OpenedFolder {
    fn drop(&mut self) {
        // It may be gone by now.
        self.set(self.mode).ok();
    }
}

/// A bell that a thread can wait for together with pipes: rings until it is cleared, however often it was
/// rung.
#[derive(Debug)]
pub(super) struct WakeBell {
    rings: UnixStream,
    hears: UnixStream,
}

impl WakeBell {
    /// A silent one.
    ///
    /// # Errors
    /// Too many open files.
    pub(super) fn new() -> io::Result<Self> {
        let (rings, hears) = UnixStream::pair()?;
        rings.set_nonblocking(true)?;
        hears.set_nonblocking(true)?;
        Ok(Self { rings, hears })
    }

    /// Rings it. One that takes no more is ringing already, so that the error says nothing.
    pub(super) fn ring(&self) {
        (&self.rings).write_all(&[1]).ok();
    }

    /// Silences it.
    pub(super) fn clear(&self) {
        let mut heard = [0; 256];
        while (&self.hears).read(&mut heard).is_ok_and(|count| count == heard.len()) {}
    }
}

impl AsFd for WakeBell {
    fn as_fd(&self) -> BorrowedFd<'_> {
        self.hears.as_fd()
    }
}
