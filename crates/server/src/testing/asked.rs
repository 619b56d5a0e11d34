//! Which query parameters an endpoint asks for: every name is noted when it is looked up.

use std::{cell::RefCell, collections::BTreeSet};

thread_local! {
    static NAMES: RefCell<BTreeSet<String>> = const { RefCell::new(BTreeSet::new()) };
}

/// Notes that `name` was looked up on this thread.
pub(crate) fn note(name: &str) {
    NAMES.with_borrow_mut(|names| names.insert(name.to_owned()));
}

/// What was noted on this thread since the last time.
pub(crate) fn taken() -> BTreeSet<String> {
    NAMES.take()
}
