//! What `.gitignore` and `.ignore` leave out of a walk, as ripgrep understands them.

use std::fs;
use std::io::Read;
use std::path::Path;
use std::sync::Arc;

use ignore::{
    Match,
    gitignore::{Gitignore, GitignoreBuilder},
};

use protocol::limits::IGNORE_FILE_BYTES;

use super::files;

/// The rules of a folder, and of those above it.
#[derive(Debug, Default)]
pub(super) struct IgnoreRules {
    above: Option<Arc<IgnoreRules>>,
    git: Option<Gitignore>,
    own: Option<Gitignore>,
    /// Whether it is the top of a git repository.
    top: bool,
    /// Whether it is, or is below one.
    in_git: bool,
}

/// Something in the place of a file of rules that would keep us waiting or fill memory.
#[derive(Debug)]
pub(super) struct RulesTrap;

impl IgnoreRules {
    /// Those of a folder below `above`.
    ///
    /// # Errors
    /// It has such a trap.
    pub(super) fn of(folder: &Path, above: Option<&Arc<Self>>) -> Result<Arc<Self>, RulesTrap> {
        let (git, own) = (one(folder, ".gitignore")?, one(folder, ".ignore")?);
        let top = fs::symlink_metadata(folder.join(".git")).is_ok();
        let in_git = top || above.is_some_and(|above| above.in_git);
        match above {
            Some(above) if git.is_none() && own.is_none() && !top => Ok(Arc::clone(above)),
            _ => Ok(Arc::new(Self { above: above.cloned(), git, own, top, in_git })),
        }
    }

    /// Whether there are any here that count.
    pub(super) fn followed(&self) -> bool {
        self.own.is_some() || (self.git.is_some() && self.in_git)
    }

    /// Whether this, which is in the folder, is left out.
    pub(super) fn leave_out(&self, path: &Path, folder: bool) -> bool {
        let (mut git, mut own, mut below_top) = (Match::None, Match::None, self.in_git);
        let mut next = Some(self);
        while let Some(rules) = next {
            if let Some(rules) = rules.own.as_ref().filter(|_| own.is_none()) {
                own = rules.matched(path, folder);
            }
            if let Some(rules) = rules.git.as_ref().filter(|_| git.is_none() && below_top) {
                git = rules.matched(path, folder);
            }
            below_top &= !rules.top;
            next = rules.above.as_deref();
        }
        own.or(git).is_ignore()
    }
}

/// One file of rules, if it is there.
fn one(folder: &Path, name: &str) -> Result<Option<Gitignore>, RulesTrap> {
    let path = folder.join(name);
    let Ok(found) = fs::metadata(&path) else { return Ok(None) };
    if found.is_dir() {
        return Ok(None);
    }
    if !found.is_file() || found.len() > IGNORE_FILE_BYTES {
        return Err(RulesTrap);
    }
    let mut text = Vec::new();
    // What may not be read is as if it were not there.
    let Ok((file, _)) = files::open(&path) else { return Ok(None) };
    file.take(IGNORE_FILE_BYTES).read_to_end(&mut text).ok();
    let mut rules = GitignoreBuilder::new(folder);
    for line in String::from_utf8_lossy(&text).trim_start_matches('\u{feff}').lines() {
        // A line that is no pattern is passed over, as git does.
        rules.add_line(None, line).ok();
    }
    Ok(rules.build().ok())
}
