//! The read-only trees that sandboxes are shown, as far as they are there: one that was removed keeps no
//! sandbox from starting.

use std::collections::BTreeSet;
use std::path::PathBuf;
use std::sync::Mutex;

use super::lock::lock;

/// Which trees were missing when the last sandbox started.
#[derive(Debug, Default)]
pub(super) struct MissingTrees(Mutex<BTreeSet<PathBuf>>);

impl MissingTrees {
    /// Those that are there; blocks. One that goes or comes back is told in the log, once.
    pub(super) fn there(&self, trees: &[PathBuf]) -> Vec<PathBuf> {
        // Of what cannot be looked at the start says what is wrong.
        let is_there = |tree: &PathBuf| tree.try_exists().unwrap_or(true);
        let (there, gone): (Vec<_>, Vec<_>) = trees.iter().cloned().partition(is_there);
        let mut missing = lock(&self.0);
        for tree in gone {
            if missing.insert(tree.clone()) {
                tracing::warn!(
                    tree = %tree.display(),
                    "a tree of `[sandbox] readonly` is gone: sandboxes start without it until it is put back"
                );
            }
        }
        for tree in &there {
            if missing.remove(tree) {
                tracing::info!(
                    tree = %tree.display(),
                    "a tree of `[sandbox] readonly` is back: sandboxes that start from now on see it"
                );
            }
        }
        there
    }
}
