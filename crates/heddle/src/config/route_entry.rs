//! One route on its way into the table, and what it is settled by.

use std::path::PathBuf;

use super::source::SettingsLedger;

/// What a route is settled by beside what the file says of it.
pub(super) struct RouteSurroundings<'a> {
    /// What `HEDDLE_ANTHROPIC_BASE_URL` says.
    pub(super) base: Option<String>,
    /// Whether a variable is set.
    pub(super) is_set: &'a dyn Fn(&str) -> bool,
    /// Whether what it holds is a key of a server of ours.
    pub(super) is_own: &'a dyn Fn(&str) -> bool,
    /// The trees that agents can read beside their own.
    pub(super) shown: &'a [PathBuf],
}

/// One route on its way into the table.
pub(super) struct RouteEntry<'a> {
    pub(super) path: String,
    pub(super) ledger: &'a mut SettingsLedger,
    pub(super) around: &'a RouteSurroundings<'a>,
}

impl RouteEntry<'_> {
    pub(super) fn enter(&mut self, key: &str, value: String) {
        let path = format!("{}.{key}", self.path);
        let source = self.ledger.source(&path);
        self.ledger.enter(&path, value, source);
    }

    pub(super) fn mistake(&mut self, key: &str, message: impl std::fmt::Display) {
        self.ledger.mistake(&format!("{}.{key}", self.path), message);
    }
}
