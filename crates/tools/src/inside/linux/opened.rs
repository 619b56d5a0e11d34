//! A folder that its owner may not look into, and that was opened for us.

use std::ffi::CStr;
use std::os::fd::{AsRawFd, BorrowedFd, OwnedFd};

use rustix::fs::{AtFlags, CWD, Mode, OFlags, chmodat, openat};
use rustix::io;

/// It closes when we are done.
#[derive(Debug)]
pub(in crate::inside) struct OpenedFolder {
    folder: OwnedFd,
    mode: Mode,
}

impl OpenedFolder {
    /// Lets the owner look in; nothing if the folder is not ours.
    pub(in crate::inside) fn new(parent: BorrowedFd<'_>, name: &CStr, mode: Mode) -> Option<Self> {
        let flags = OFlags::PATH | OFlags::DIRECTORY | OFlags::NOFOLLOW | OFlags::CLOEXEC;
        let folder = openat(parent, name, flags, Mode::empty()).ok()?;
        let opened = Self { folder, mode };
        opened.set(mode | Mode::RUSR | Mode::XUSR).ok()?;
        Some(opened)
    }

    fn set(&self, mode: Mode) -> io::Result<()> {
        let path = format!("/proc/self/fd/{}", self.folder.as_raw_fd());
        chmodat(CWD, path, mode, AtFlags::empty())
    }
}

impl Drop for OpenedFolder {
    fn drop(&mut self) {
        // It may be gone by now.
        self.set(self.mode).ok();
    }
}
