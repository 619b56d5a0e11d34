//! What a session's folder holds beside what its agent makes, and its lock: who has it has the folder.

use std::io;
use std::os::fd::OwnedFd;
use std::path::Path;
use std::time::Duration;

use rustix::fs::{FlockOperation, Mode, OFlags};
use rustix::io::Errno;

use crate::clock::Deadline;
use crate::host;

/// What a session's folder holds for the jail, in the order of [`crate::JailLayout`].
pub(crate) const PARTS: [&str; 4] = ["workspace", "home", "outputs", "results"];

/// Locked by the outer process as long as anything of a jail lives.
pub(crate) const LOCK: &str = "lock";

/// Its time says when the folder was last used.
pub(crate) const USED: &str = "used";

/// Where the inner process builds its root. Made here, because the folder is not its user's.
pub(crate) const ROOT: &str = "root";

/// What is removed last, so that a removal that was cut off is still listed with its time.
pub(crate) const LAST: [&str; 2] = [USED, LOCK];

/// How long a removal waits for the end of a jail.
const LOCK_WAIT: Duration = Duration::from_secs(10);
const LOCK_LOOK: Duration = Duration::from_millis(20);

pub(crate) fn open(path: &Path) -> io::Result<OwnedFd> {
    Ok(rustix::fs::open(path, OFlags::RDONLY | OFlags::DIRECTORY | OFlags::CLOEXEC, Mode::empty())?)
}

/// Where somebody has the folder: ends what a server that was killed left there.
pub(crate) fn release(folder: &OwnedFd) {
    let Ok(Some(file)) = lock_file(folder) else { return };
    if rustix::fs::flock(&file, FlockOperation::NonBlockingLockExclusive) == Err(Errno::WOULDBLOCK) {
        host::end_left_over();
    }
}

fn lock_file(folder: &OwnedFd) -> io::Result<Option<OwnedFd>> {
    let flags = OFlags::RDONLY | OFlags::NOFOLLOW | OFlags::CLOEXEC | OFlags::NONBLOCK;
    match rustix::fs::openat(folder, LOCK, flags, Mode::empty()) {
        Ok(file) => Ok(Some(file)),
        Err(Errno::NOENT) => Ok(None),
        Err(error) => Err(error.into()),
    }
}

/// `None` when no jail was ever started here.
pub(crate) fn lock(folder: &OwnedFd) -> io::Result<Option<OwnedFd>> {
    release(folder);
    let Some(file) = lock_file(folder)? else { return Ok(None) };
    let deadline = Deadline::after(LOCK_WAIT);
    loop {
        match rustix::fs::flock(&file, FlockOperation::NonBlockingLockExclusive) {
            Ok(()) => return Ok(Some(file)),
            Err(Errno::WOULDBLOCK | Errno::INTR) if deadline.left().is_some() => look_again(),
            Err(Errno::WOULDBLOCK | Errno::INTR) => return Err(io::ErrorKind::ResourceBusy.into()),
            Err(error) => return Err(error.into()),
        }
    }
}

#[expect(clippy::disallowed_methods, reason = "flock has no form that waits for a while")]
fn look_again() {
    std::thread::sleep(LOCK_LOOK);
}
