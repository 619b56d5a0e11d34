//! Looks every few seconds at what the session's files take, and kills everything when it is too much:
//! rlimits bound a file but not the number of them.

use std::path::PathBuf;
use std::sync::Mutex;
use std::time::{Duration, Instant};

use sandbox::{JailLayout, JailLimits};

use super::{
    ambient::{self, locked},
    calls::UnansweredCalls,
    growth::{self, GrowthLook, TakenBack},
    held::FoldersHeld,
    seats::ThreadShells,
};
use crate::wire::FromJail;

/// The least time between two looks.
const PAUSE: Duration = Duration::from_secs(5);
/// How much longer the pause is than the look before it: a look never takes more than a tenth of the time.
const SHARE: u32 = 9;
/// Files and folders that a session may have.
const ENTRIES: u64 = 2_000_000;
/// How far they are counted, to see whether they still get more.
const COUNTED: u64 = 2 * ENTRIES;

/// What is looked at.
#[derive(Debug)]
pub(super) struct DiskSweep {
    pub(super) folders: Vec<PathBuf>,
    bytes: u64,
    file_bytes: u64,
    free_bytes: u64,
    /// What growth is measured from.
    base: Mutex<GrowthLook>,
}

impl DiskSweep {
    /// Looks at the folders of a layout that are on the disk.
    pub(super) fn new(layout: &JailLayout, limits: &JailLimits) -> Self {
        let JailLayout { workspace, home, outputs, results, tmp: _ } = layout.clone();
        let JailLimits { disk_bytes: bytes, file_bytes, free_bytes, .. } = *limits;
        let folders = vec![workspace, home, outputs, results];
        Self { folders, bytes, file_bytes, free_bytes, base: Mutex::new(GrowthLook::none()) }
    }

    /// Looks, for ever, while a shell lives.
    pub(super) fn run(&self, seats: &ThreadShells, calls: &UnansweredCalls) {
        let mut before = None;
        loop {
            if !seats.wait_for_one() {
                before = None;
            }
            let began = ambient::now();
            let (held, deleted) = self.look(false);
            if let Some(why) = self.too_much(before, held, deleted) {
                seats.kill(&why, String::new);
                calls.say(&FromJail::Killed { why });
            }
            before = Some(held);
            ambient::rest(PAUSE.max((ambient::now() - began).saturating_mul(SHARE)));
        }
    }

    /// What there is, and how many bytes of it are in deleted files.
    fn look(&self, anew: bool) -> (FoldersHeld, u64) {
        let mut base = locked(&self.base);
        let look = GrowthLook::take(&self.folders, COUNTED, &base, self.file_bytes);
        let (held, deleted_bytes) = (look.held, look.deleted_bytes);
        // What fills a disk has grown since there was room, and not since a few seconds ago.
        let plenty = || self.folders.first().is_some_and(|folder| growth::is_plenty(folder, self.free_bytes));
        if anew || look.is_much_later_than(&base) || plenty() {
            *base = look;
        }
        (held, deleted_bytes)
    }

    /// What there is more than when there was room, as far as that can be seen until then; and how many
    /// milliseconds ago that was.
    pub(super) fn grown(&self, until: Instant) -> (FoldersHeld, u64) {
        let base = locked(&self.base);
        (base.grown(&self.folders, COUNTED, self.file_bytes, until), base.age_ms())
    }

    /// Takes back what has grown since then until `short` is made up for, and looks anew.
    pub(super) fn cut(&self, short: FoldersHeld) -> TakenBack {
        let taken = locked(&self.base).cut(&self.folders, COUNTED, short);
        self.look(true);
        taken
    }

    /// Why everything must end, if it must. Less than at the last look is on its way to be enough, and the
    /// first look has none before it: whoever comes to a full disk must be able to clear it.
    fn too_much(&self, last: Option<FoldersHeld>, held: FoldersHeld, deleted: u64) -> Option<String> {
        let last = last?;
        let mib = |bytes: u64| bytes >> 20;
        let why = if held.bytes > self.bytes && held.bytes > last.bytes {
            let unseen = match mib(deleted) {
                0 => String::new(),
                unseen => format!(" ({unseen} MiB of it in files that are deleted but still open)"),
            };
            format!("may take {} MiB and take {} MiB{unseen}", mib(self.bytes), mib(held.bytes))
        } else if held.entries > ENTRIES && (held.entries > last.entries || held.entries >= COUNTED) {
            format!(
                "may be {ENTRIES} and are {}{}",
                held.entries,
                if held.entries >= COUNTED { " or more" } else { "" }
            )
        } else {
            return None;
        };
        Some(format!(
            "[the files of this session {why}: every process was ended. Delete files that are not needed, then go on]"
        ))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_what_is_too_much_and_still_grows_ends_everything() {
        let base = Mutex::new(GrowthLook::none());
        let sweep = DiskSweep { folders: Vec::new(), bytes: 100, file_bytes: 10, free_bytes: 10, base };
        let held = |bytes, entries| FoldersHeld { bytes, entries };
        for (last, now, too_much) in [
            (None, held(200, 1), false),
            (Some(held(50, 1)), held(100, 1), false),
            (Some(held(50, 1)), held(101, 1), true),
            (Some(held(200, 1)), held(200, 2), false),
            (Some(held(200, 1)), held(150, 2), false),
            (Some(held(1, ENTRIES)), held(1, ENTRIES + 1), true),
            (Some(held(1, ENTRIES + 2)), held(1, ENTRIES + 1), false),
            (Some(held(1, COUNTED)), held(1, COUNTED), true),
        ] {
            assert_eq!(sweep.too_much(last, now, 0).is_some(), too_much, "{last:?} {now:?}");
        }
    }
}
