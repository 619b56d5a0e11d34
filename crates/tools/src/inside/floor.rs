//! Looks every second at how much room the server's disk has left, and kills everything when it is nearly
//! none: the server must be able to write its log.

use std::path::PathBuf;
use std::time::Duration;

use sandbox::Layout;

use super::{ambient, calls::Calls, seats::Seats};
use crate::wire::FromJail;

/// Between two looks.
const PAUSE: Duration = Duration::from_secs(1);

/// What is looked at.
#[derive(Debug)]
pub(super) struct Floor {
    folder: PathBuf,
    bytes: u64,
}

impl Floor {
    /// Half of what must be free for a tool to start.
    pub(super) fn new(layout: &Layout, free_bytes: u64) -> Self {
        Self { folder: layout.workspace.clone(), bytes: free_bytes / 2 }
    }

    /// Looks, for ever, while a shell lives.
    pub(super) fn run(&self, seats: &Seats, calls: &Calls) {
        loop {
            seats.wait_for_one();
            if let Some(why) = self.too_low() {
                seats.kill(&why);
                calls.say(&FromJail::Killed { why });
            }
            ambient::rest(PAUSE);
        }
    }

    fn too_low(&self) -> Option<String> {
        // A disk that cannot be asked says so itself.
        let room = rustix::fs::statvfs(&self.folder).ok()?;
        let free = room.f_bavail.saturating_mul(room.f_frsize);
        (free < self.bytes).then(|| {
            format!(
                "[the server's disk is full: it has {} MiB left, and under {} MiB every process is ended. Tell the \
                 user; go on when there is room]",
                free >> 20,
                self.bytes >> 20
            )
        })
    }
}
