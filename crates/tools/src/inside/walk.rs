//! Walks a tree with ripgrep's rules, within bounds: what lies shallow first, and no folder before its fair
//! share of the bound.

use std::collections::VecDeque;
use std::fs::{self, FileType, ReadDir};
use std::mem;
use std::path::{Component, Path, PathBuf};
use std::sync::Arc;

use protocol::limits::{IGNORE_FILE_BYTES, SEARCH_S, WALK_ENTRIES};

use super::{files, names::ShownPath, rules::IgnoreRules, stop::SearchStop};
use crate::amount;

/// Entries of one folder that are read before others have their turn. So no walk holds more than some dozens
/// of folders open.
const TURN: usize = 1_000;

/// How far a walk came.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum WalkReach {
    /// It saw everything.
    All,
    /// It saw as many entries as it may.
    Full,
    /// It had to stop.
    Stopped,
}

/// What came of a walk.
#[derive(Debug)]
pub(super) struct WalkOutcome {
    pub(super) reach: WalkReach,
    /// Whether rules were followed that can have left out something.
    pub(super) ruled: bool,
    /// Folders whose rules cannot be read, and the first of them.
    traps: usize,
    first: Option<PathBuf>,
}

impl WalkOutcome {
    /// Of what needs no walk.
    pub(super) fn none() -> Self {
        Self { reach: WalkReach::All, ruled: false, traps: 0, first: None }
    }

    /// Lines for the end of an answer that is not of everything.
    pub(super) fn note(&self) -> String {
        let reach = match self.reach {
            WalkReach::All => String::new(),
            WalkReach::Full => {
                let entries = amount::number(WALK_ENTRIES);
                format!("\n[only the first {entries} entries were looked at; give a narrower `path`]")
            }
            WalkReach::Stopped => {
                format!("\n[stopped after {SEARCH_S} s; this is not all: give a narrower `path`]")
            }
        };
        let Some(first) = &self.first else { return reach };
        format!(
            "{reach}\n[not looked into: {} folders, the first {}: its .gitignore or .ignore is no file, or has \
             more than {}; remove that, or search there with bash]",
            self.traps,
            ShownPath(first),
            amount::size(IGNORE_FILE_BYTES)
        )
    }

    /// The rules of a folder below others; nothing if it is left out.
    fn enter(&mut self, folder: &Path, above: Option<&Arc<IgnoreRules>>) -> Option<Arc<IgnoreRules>> {
        if let Ok(rules) = IgnoreRules::of(folder, above) {
            self.ruled |= rules.followed();
            return Some(rules);
        }
        self.traps += 1;
        self.first.get_or_insert_with(|| folder.to_owned());
        None
    }
}

/// Shows everything below `base`, at most so many names deep, that no `.gitignore` (in a git repository) or
/// `.ignore` leaves out, folders too and hidden files, but nothing of `.git`. Links are not followed.
pub(super) fn walk(
    base: &Path,
    depth_max: usize,
    stop: &SearchStop,
    see: impl FnMut(PathBuf, FileType),
) -> WalkOutcome {
    // So that what is above it can be told from its name.
    let named = if base.components().any(|part| part == Component::ParentDir) {
        fs::canonicalize(base).ok()
    } else {
        None
    };
    let base = named.as_deref().unwrap_or(base);
    let mut walked = WalkOutcome::none();
    let mut above = None;
    let ancestors: Vec<_> = base.ancestors().skip(1).collect();
    for folder in ancestors.into_iter().rev() {
        let Some(rules) = walked.enter(folder, above.as_ref()) else { return walked };
        above = Some(rules);
    }
    let mut root =
        Folder { path: base.to_owned(), depth: 0, left: Left::All { above }, below: VecDeque::new() };
    let mut walk = Walk { depth_max, stop, see, seen: 0, walked };
    while walk.walked.reach == WalkReach::All && root.turn(&mut walk) {}
    walk.walked
}

/// A walk under way.
#[derive(Debug)]
struct Walk<'a, See> {
    depth_max: usize,
    stop: &'a SearchStop,
    see: See,
    seen: usize,
    walked: WalkOutcome,
}

/// A folder, with what is left to see of it and those below it that are not finished.
#[derive(Debug)]
struct Folder {
    path: PathBuf,
    depth: usize,
    left: Left,
    below: VecDeque<Folder>,
}

#[derive(Debug)]
enum Left {
    /// Everything; the rules are those above it.
    All { above: Option<Arc<IgnoreRules>> },
    /// What this has not read yet.
    Rest { read: ReadDir, rules: Arc<IgnoreRules> },
    /// Nothing but what is below.
    Nothing,
}

impl Folder {
    /// Reads on in this folder or in one of those below, whose turn it is; false if all is seen.
    fn turn<See: FnMut(PathBuf, FileType)>(&mut self, walk: &mut Walk<'_, See>) -> bool {
        let (read, rules) = match mem::replace(&mut self.left, Left::Nothing) {
            Left::Nothing => {
                if let Some(mut below) = self.below.pop_front()
                    && below.turn(walk)
                {
                    self.below.push_back(below);
                }
                return !self.below.is_empty();
            }
            Left::Rest { read, rules } => (read, rules),
            Left::All { above } => {
                let Some(rules) = walk.walked.enter(&self.path, above.as_ref()) else { return false };
                // What cannot be read is left out, as ripgrep does after a message.
                let Ok(read) = fs::read_dir(&self.path) else { return false };
                (read, rules)
            }
        };
        self.read(read, rules, walk);
        !self.below.is_empty()
    }

    fn read<See: FnMut(PathBuf, FileType)>(
        &mut self,
        mut read: ReadDir,
        rules: Arc<IgnoreRules>,
        walk: &mut Walk<'_, See>,
    ) {
        for _ in 0..TURN {
            let Some(entry) = read.next() else { return };
            if walk.stop.now() {
                walk.walked.reach = WalkReach::Stopped;
                return;
            }
            let Ok((entry, kind)) = entry.and_then(|entry| entry.file_type().map(|kind| (entry, kind)))
            else {
                continue;
            };
            let (path, name) = (entry.path(), entry.file_name());
            let kernels = || {
                kind.is_dir()
                    && (name == "proc" || name == "sys")
                    && files::folder_not_kernels(&path).is_err()
            };
            if name == ".git" || rules.leave_out(&path, kind.is_dir()) || kernels() {
                continue;
            }
            walk.seen += 1;
            if walk.seen > WALK_ENTRIES {
                walk.walked.reach = WalkReach::Full;
                return;
            }
            if kind.is_dir() && self.depth + 1 < walk.depth_max {
                let left = Left::All { above: Some(Arc::clone(&rules)) };
                let (path, depth) = (path.clone(), self.depth + 1);
                self.below.push_back(Self { path, depth, left, below: VecDeque::new() });
            }
            (walk.see)(path, kind);
        }
        // As one of those below it: its turn comes after theirs.
        let left = Left::Rest { read, rules };
        let (path, depth) = (self.path.clone(), self.depth);
        self.below.push_back(Self { path, depth, left, below: VecDeque::new() });
    }
}
