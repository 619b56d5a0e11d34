//! Walks a tree as ripgrep does, within bounds.

use std::fs;
use std::mem;
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex};
use std::time::Instant;

use ignore::{DirEntry, WalkBuilder};
use protocol::limits::WALK_ENTRIES;

use super::{
    ambient::{self, locked},
    calls::Open,
    files,
};

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

/// What came of a walk.
#[derive(Debug)]
pub(super) struct Walked {
    pub(super) reach: Reach,
    rules: Rules,
}

impl Walked {
    /// Of what needs no walk.
    pub(super) fn none() -> Self {
        Self { reach: Reach::All, rules: Rules::default() }
    }

    /// Whether rules were followed that can have left out something.
    pub(super) fn ruled(&self) -> bool {
        self.rules.followed
    }

    /// Lines for the end of an answer that is not of everything.
    pub(super) fn note(&self) -> String {
        let reach = match self.reach {
            Reach::All => "",
            Reach::Full => "\n[only the first 50,000 entries were looked at; give a narrower `path`]",
            Reach::Stopped => "\n[stopped after 40 s; this is not all: give a narrower `path`]",
        };
        let Rules { traps, first: Some(first), followed: _ } = &self.rules else { return reach.to_owned() };
        format!(
            "{reach}\n[not looked into: {traps} folders, the first {}: its .gitignore or .ignore is no file, or has \
             more than 1 MiB; remove that, or search there with bash]",
            first.display()
        )
    }
}

/// What was seen of `.gitignore` and `.ignore`.
#[derive(Debug, Default)]
struct Rules {
    followed: bool,
    /// Folders whose rules cannot be read, and the first of them.
    traps: usize,
    first: Option<PathBuf>,
}

impl Rules {
    /// Whether the rules in this folder are files. They are read by a library that would wait for a FIFO for
    /// ever and take a file without end whole, so a folder with such a trap is left out.
    fn honest(&mut self, folder: &Path) -> bool {
        for name in [".gitignore", ".ignore"] {
            let Ok(found) = fs::metadata(folder.join(name)) else { continue };
            let readable = found.is_file() && found.len() <= RULES_BYTES;
            if !(readable || found.is_dir()) {
                self.traps += 1;
                self.first.get_or_insert_with(|| folder.to_owned());
                return false;
            }
            let git = || folder.ancestors().any(|above| above.join(".git").exists());
            self.followed = self.followed || (readable && (name == ".ignore" || git()));
        }
        true
    }
}

/// Shows everything below `base` that is no folder and that no `.gitignore` (in a git repository) or
/// `.ignore` leaves out, hidden files too, but nothing of `.git`. Links are not followed.
pub(super) fn walk(base: &Path, stop: &Stop, see: impl FnMut(&DirEntry)) -> Walked {
    let rules = Arc::new(Mutex::new(Rules::default()));
    let honest = base.ancestors().all(|folder| locked(&rules).honest(folder));
    let reach = if honest { below(base, stop, &rules, see) } else { Reach::All };
    let rules = mem::take(&mut *locked(&rules));
    Walked { reach, rules }
}

fn below(base: &Path, stop: &Stop, rules: &Arc<Mutex<Rules>>, mut see: impl FnMut(&DirEntry)) -> Reach {
    let rules = Arc::clone(rules);
    let walk = WalkBuilder::new(base)
        .hidden(false)
        .follow_links(false)
        .git_global(false)
        .git_exclude(false)
        .filter_entry(move |entry| {
            let folder = entry.file_type().is_some_and(|kind| kind.is_dir());
            entry.file_name() != ".git"
                && (!folder
                    || (!["proc", "sys"].iter().any(|name| {
                        entry.file_name() == *name && files::folder_not_kernels(entry.path()).is_err()
                    }) && locked(&rules).honest(entry.path())))
        })
        .build();
    for (seen, entry) in walk.enumerate() {
        if seen > WALK_ENTRIES {
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
