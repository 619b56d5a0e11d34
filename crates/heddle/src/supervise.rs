//! What the server cannot do without: every thread and every task, and what happens when one of them ends.
//!
//! None of them ends while the server works but by a fault of ours. Then it is begun again, with a line in
//! the log and a pause that grows, or the process ends with a reason and exit status 1, and the next start
//! goes on from the log: a server is whole, or it is not there. Tests let each of them panic once, through a
//! door that a release has not.

use std::fmt;
use std::panic::AssertUnwindSafe;
use std::time::Duration;

use futures_util::FutureExt as _;
use store::Store;
use tokio::time::Instant;

/// A thread or a task, by the name that the log calls it by.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum VitalTask {
    StoreWriter,
    StoreReader,
    EngineSweep,
    EnginePins,
    EngineLease,
    EngineRecovery,
    SessionRecovery,
    SessionCommits,
    SessionFollower,
    SessionJob,
    SandboxKeeper,
    SandboxSweep,
    SandboxWatch,
    KeyWatch,
    AcceptLoop,
    Signals,
    LogWriter,
    OutWriter,
}

/// What becomes of the server when one of them ends.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum AfterEnd {
    /// It is begun again.
    Again,
    /// Its session is read again from the log and goes on, what was under way answered as after a crash.
    ReadAgain,
    /// What it did is answered as failed, and its session goes on.
    Answered,
    /// The process ends with exit status 1, and the next start goes on.
    Ends,
}

impl VitalTask {
    #[cfg_attr(
        not(any(test, debug_assertions)),
        expect(dead_code, reason = "people read it here, and a test's build reads it too")
    )]
    pub(crate) const ALL: [Self; 18] = [
        Self::StoreWriter,
        Self::StoreReader,
        Self::EngineSweep,
        Self::EnginePins,
        Self::EngineLease,
        Self::EngineRecovery,
        Self::SessionRecovery,
        Self::SessionCommits,
        Self::SessionFollower,
        Self::SessionJob,
        Self::SandboxKeeper,
        Self::SandboxSweep,
        Self::SandboxWatch,
        Self::KeyWatch,
        Self::AcceptLoop,
        Self::Signals,
        Self::LogWriter,
        Self::OutWriter,
    ];

    /// The table: its name, what becomes of the server, what it does.
    pub(crate) const fn row(self) -> (&'static str, AfterEnd, &'static str) {
        use AfterEnd::{Again, Answered, Ends, ReadAgain};
        match self {
            Self::StoreWriter => ("store-writer", Ends, "makes commits durable; one thread"),
            Self::StoreReader => ("store-reader", Ends, "answers queries; a few threads"),
            Self::EngineSweep => (
                "engine-sweep",
                Again,
                "lets resting sessions go, purges deleted ones, lets receipts go whose time is over",
            ),
            Self::EnginePins => {
                ("engine-pins", Again, "learns which blobs old logs use, removes unused ones")
            }
            Self::EngineLease => ("engine-lease", Again, "renews the lease on the store"),
            Self::EngineRecovery => ("engine-recovery", Again, "takes up what was at work before the start"),
            Self::SessionRecovery => ("session-recovery", ReadAgain, "takes one such session up"),
            Self::SessionCommits => ("session-commits", ReadAgain, "decides a session's inputs in order"),
            Self::SessionFollower => ("session-follower", ReadAgain, "starts and cancels a session's jobs"),
            Self::SessionJob => ("session-job", Answered, "asks a model, runs a tool, waits for a time"),
            Self::SandboxKeeper => {
                ("sandbox-keeper", Answered, "starts a jail, speaks with it, sees it gone")
            }
            Self::SandboxSweep => ("sandbox-sweep", Again, "removes the files of sessions that are gone"),
            Self::SandboxWatch => {
                ("sandbox-watch", Again, "ends whoever takes the last of the disk or the memory")
            }
            Self::KeyWatch => ("key-watch", Again, "ends the streams of keys that are revoked"),
            Self::AcceptLoop => ("accept-loop", Ends, "accepts connections"),
            Self::Signals => ("signals", Ends, "hears that the server is to stop"),
            Self::LogWriter => ("log-writer", Again, "writes the log; one thread"),
            Self::OutWriter => ("out-writer", Again, "writes what a start says; one thread"),
        }
    }

    pub(crate) const fn name(self) -> &'static str {
        self.row().0
    }
}

/// One of them has ended, and the server cannot go on without.
#[derive(Debug, thiserror::Error)]
pub(crate) struct VitalTaskEnded {
    vital: VitalTask,
    why: String,
}

impl fmt::Display for VitalTaskEnded {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let (name, _, does) = self.vital.row();
        write!(
            f,
            "{name} ({does}) has ended, and a server cannot go on without: {}; nothing that was answered is lost, \
             and the next start goes on from the log",
            self.why
        )
    }
}

impl VitalTaskEnded {
    pub(crate) fn new(vital: VitalTask, why: impl Into<String>) -> Self {
        Self { vital, why: why.into() }
    }
}

/// First pause before something begins again, and the longest; what has run for long begins with the first.
const PAUSE: Duration = Duration::from_secs(1);
const PAUSE_MAX: Duration = Duration::from_mins(1);

/// Does `work`; a panic in it is an end with a reason.
pub(crate) async fn once<T>(vital: VitalTask, work: impl Future<Output = T>) -> Result<T, VitalTaskEnded> {
    let done = AssertUnwindSafe(work).catch_unwind().await;
    done.map_err(|panic| VitalTaskEnded::new(vital, format!("it panicked: {}", engine::words(&*panic))))
}

/// Does what `begin` begins, and begins it again after a panic.
pub(crate) async fn again<F: Future<Output = ()>>(vital: VitalTask, begin: impl Fn() -> F) {
    let mut pause = PAUSE;
    loop {
        let began = Instant::now();
        let Err(ended) = once(vital, begin()).await else { return };
        if began.elapsed() > 10 * PAUSE_MAX {
            pause = PAUSE;
        }
        tracing::error!(task = vital.name(), why = ended.why, ?pause, "a task panicked; it begins again");
        tokio::time::sleep(pause).await;
        pause = (pause * 2).min(PAUSE_MAX);
    }
}

/// Waits until a thread of the store has ended; as long as all is well, for ever.
pub(crate) async fn watch(store: &Store) -> VitalTaskEnded {
    let store::DatabaseThreadEnded { name, why } = store.watch().await;
    let reader = name == VitalTask::StoreReader.name();
    VitalTaskEnded::new(if reader { VitalTask::StoreReader } else { VitalTask::StoreWriter }, why)
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::cell::Cell;

    #[tokio::test(start_paused = true)]
    async fn what_panics_begins_again_after_a_pause_that_grows() {
        let (began, times) = (Instant::now(), Cell::new(0));
        again(VitalTask::SandboxSweep, || async {
            times.set(times.get() + 1);
            assert!(times.get() > 4, "a fault");
        })
        .await;
        assert_eq!((times.get(), began.elapsed()), (5, Duration::from_secs(1 + 2 + 4 + 8)));
    }

    #[tokio::test]
    async fn what_cannot_begin_again_ends_with_a_reason() {
        let ended: Result<(), VitalTaskEnded> =
            once(VitalTask::AcceptLoop, async { panic!("a fault") }).await;
        assert_eq!(
            ended.expect_err("it panicked").to_string(),
            "accept-loop (accepts connections) has ended, and a server cannot go on without: it panicked: a fault; \
             nothing that was answered is lost, and the next start goes on from the log"
        );
        assert_eq!(once(VitalTask::AcceptLoop, async { 7 }).await.expect("no panic"), 7);
    }

    #[test]
    fn the_table_in_the_papers_is_this_one() {
        let papers = include_str!("../../../ARCHITECTURE.md");
        for vital in VitalTask::ALL {
            let (name, after, does) = vital.row();
            let after = match after {
                AfterEnd::Again => "it begins again",
                AfterEnd::ReadAgain => "its session is read again from the log and goes on",
                AfterEnd::Answered => "what it did is answered as failed, and its session goes on",
                AfterEnd::Ends => "the process ends with exit status 1; the next start goes on from the log",
            };
            let row = format!("| `{name}` | {does} | {after} |\n");
            assert!(papers.contains(&row), "ARCHITECTURE.md lacks {row}");
        }
    }
}
