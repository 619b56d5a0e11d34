//! Which threads have had a shell: marker files beside the workspace, so that a shell that went with its
//! jail, or with the server, is not taken for a living one.

use std::{io, path::Path};

use protocol::ThreadId;
use rustix::{
    fs::{Mode, OFlags, mkdirat, open, openat},
    io::Errno,
};

const DIRECTORY: OFlags =
    OFlags::DIRECTORY.union(OFlags::NOFOLLOW).union(OFlags::CLOEXEC).union(OFlags::RDONLY);
const NEW: OFlags =
    OFlags::CREATE.union(OFlags::EXCL).union(OFlags::NOFOLLOW).union(OFlags::CLOEXEC).union(OFlags::WRONLY);

/// Notes that `thread` has a shell, in `<folder>/shells`; says whether it had one before. Follows no link.
pub(super) fn note(folder: &Path, thread: ThreadId) -> io::Result<bool> {
    let folder = open(folder, DIRECTORY, Mode::empty())?;
    match mkdirat(&folder, "shells", Mode::RWXU) {
        Ok(()) | Err(Errno::EXIST) => {}
        Err(wrong) => return Err(wrong.into()),
    }
    let shells = openat(&folder, "shells", DIRECTORY, Mode::empty())?;
    match openat(&shells, thread.to_string(), NEW, Mode::RUSR | Mode::WUSR) {
        Ok(_made) => Ok(false),
        Err(Errno::EXIST) => Ok(true),
        Err(wrong) => Err(wrong.into()),
    }
}
