//! The database's threads: started by name, joined at the end, and told of when one ends before its time.

use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::Arc;
use std::thread::JoinHandle;

use tokio::sync::watch;

/// A thread of the store that ended before the store did.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct DatabaseThreadEnded {
    /// Which: `store-writer` or `store-reader`.
    pub name: &'static str,
    /// Why, as far as it is known.
    pub why: String,
}

/// Where a thread that ends before its time is told.
pub(crate) type ThreadEndings = Arc<watch::Sender<Option<DatabaseThreadEnded>>>;

/// How a thread's work came to its end.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum ThreadEnd {
    /// Nobody can ask anything of it any more.
    Closed,
    /// It was told to break: only tests do.
    #[cfg(debug_assertions)]
    Broken,
}

/// The threads of a database; dropping them waits until they have finished what was asked and closed
/// the file.
#[derive(Debug, Default)]
pub(crate) struct DatabaseThreads(Vec<JoinHandle<()>>);

impl DatabaseThreads {
    #[expect(clippy::disallowed_methods, reason = "the database's own threads, which end with it")]
    pub(crate) fn start(
        &mut self,
        name: &'static str,
        endings: &ThreadEndings,
        work: impl FnOnce() -> ThreadEnd + Send + 'static,
    ) -> Result<(), String> {
        let endings = Arc::clone(endings);
        let thread = std::thread::Builder::new().name(name.to_owned());
        let thread = thread.spawn(move || {
            let why = match catch_unwind(AssertUnwindSafe(work)) {
                Ok(ThreadEnd::Closed) => return,
                #[cfg(debug_assertions)]
                Ok(ThreadEnd::Broken) => "it was told to".to_owned(),
                Err(panic) => said(panic.as_ref()),
            };
            // The first one is enough: whoever watches ends the process.
            endings.send_if_modified(|ended| {
                let first = ended.is_none();
                ended.get_or_insert(DatabaseThreadEnded { name, why });
                first
            });
        });
        self.0.push(thread.map_err(|error| format!("no thread to be had: {error}"))?);
        Ok(())
    }
}

impl Drop for DatabaseThreads {
    fn drop(&mut self) {
        for thread in self.0.drain(..) {
            // What it had to say it has said where it is watched.
            drop(thread.join());
        }
    }
}

/// What a panic said.
pub(crate) fn said(panic: &(dyn std::any::Any + Send)) -> String {
    let text = panic.downcast_ref::<String>().map(String::as_str);
    text.or_else(|| panic.downcast_ref::<&str>().copied()).unwrap_or("a panic without words").to_owned()
}

/// Does what may fail without harm: a log line whose reader has gone away, for one.
pub(crate) fn aside(work: impl FnOnce()) {
    drop(catch_unwind(AssertUnwindSafe(work)));
}
