//! Walks a tree as ripgrep does, within bounds.

use std::fs;
use std::path::Path;
use std::time::Instant;

use ignore::{DirEntry, WalkBuilder};

use super::{ambient, calls::Open};

/// Entries that one walk visits (spec/behaviour.md c.5).
const ENTRIES: usize = 50_000;
/// Bytes of a file of rules; a larger one would be read into memory whole.
const RULES_BYTES: u64 = 1024 * 1024;

/// When a search has to stop.
#[derive(Debug)]
pub(super) struct Stop {
    open: Open,
    until: Instant,
}

impl Stop {
    /// When the call is cancelled, or at a time.
    pub(super) fn new(open: Open, until: Instant) -> Self {
        Self { open, until }
    }

    /// Whether it has to.
    pub(super) fn now(&self) -> bool {
        self.open.cancelled() || ambient::now() >= self.until
    }
}

/// How far a walk came.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Reach {
    /// It saw everything.
    All,
    /// It saw as many entries as it may.
    Full,
    /// It had to stop.
    Stopped,
}

impl Reach {
    /// A line for the end of an answer that is not of everything.
    pub(super) fn note(self) -> &'static str {
        match self {
            Self::All => "",
            Self::Full => "\n[only the first 50,000 entries were looked at; give a narrower `path`]",
            Self::Stopped => "\n[stopped after 40 s; this is not all: give a narrower `path`]",
        }
    }
}

/// Shows everything below `base` that is no folder and that no `.gitignore` (in a git repository) or
/// `.ignore` leaves out, hidden files too, but nothing of `.git`. Links are not followed.
pub(super) fn walk(base: &Path, stop: &Stop, mut see: impl FnMut(&DirEntry)) -> Reach {
    if !base.ancestors().all(honest) {
        return Reach::All;
    }
    let walk = WalkBuilder::new(base)
        .hidden(false)
        .follow_links(false)
        .git_global(false)
        .git_exclude(false)
        .filter_entry(|entry| {
            let folder = entry.file_type().is_some_and(|kind| kind.is_dir());
            entry.file_name() != ".git" && (!folder || honest(entry.path()))
        })
        .build();
    for (seen, entry) in walk.enumerate() {
        if seen > ENTRIES {
            return Reach::Full;
        }
        if stop.now() {
            return Reach::Stopped;
        }
        // What cannot be read is left out, as ripgrep does after a message.
        let Ok(entry) = entry else { continue };
        if entry.file_type().is_some_and(|kind| !kind.is_dir()) {
            see(&entry);
        }
    }
    Reach::All
}

/// Whether the rules in this folder are files. They are read by a library that would wait for a FIFO for ever
/// and take a file without end whole, so a folder with such a trap is left out.
fn honest(folder: &Path) -> bool {
    [".gitignore", ".ignore"].iter().all(|name| match fs::metadata(folder.join(name)) {
        Ok(found) => found.is_dir() || (found.is_file() && found.len() <= RULES_BYTES),
        Err(_) => true,
    })
}
