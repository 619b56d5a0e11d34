//! Outcomes: how what a job brought comes home, though the store may not take it at once.

use std::time::Duration;

use kernel::{Input, Refusal};
use protocol::{EventId, ThreadId, content::ContentBlock};
use tools::ToolOutcome;

use crate::{Engine, damaged, fault::CommitError, live::LiveSession};

/// First pause of an outcome that the store would not take; it doubles.
const PAUSE: Duration = Duration::from_millis(250);
/// Longest such pause.
const PAUSE_MAX: Duration = Duration::from_secs(15);

/// What became of what a job had to say.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum JobOutcome {
    /// It stands in the log.
    Counts,
    /// It comes too late.
    Late,
    /// The same, but the store failed before, and an earlier try may stand in the log.
    Doubted,
}

/// Commits an outcome, or the beginning of a call. It cost money or time, so a store that fails is asked
/// again until it takes it.
pub(crate) async fn deliver(engine: &Engine, live: &LiveSession, input: Input) -> JobOutcome {
    let (mut pause, mut late, mut told) = (PAUSE, JobOutcome::Late, false);
    loop {
        match engine.outcome(live.id, input.clone()).await {
            Ok(_) => return JobOutcome::Counts,
            // The next life reads in the log what came of it.
            Err(CommitError::Stopping | CommitError::NotFound) => return JobOutcome::Late,
            Err(CommitError::Refused(Refusal::Stale)) => return late,
            Err(CommitError::Refused(refusal)) => {
                tracing::error!(session = %live.id, ?refusal, "the law refused an outcome");
                return late;
            }
            Err(wrong @ (CommitError::Fault(_) | CommitError::Conflict { .. })) => {
                let (damage, full) = (wrong.is_damage(), wrong.is_full());
                let times = if full { engine.unkept().now() } else { (!told).then_some(1) };
                if let Some(times) = times {
                    tracing::error!(session = %live.id, %wrong, times, "what a job brought could not be kept; trying again");
                }
                (late, told) = (JobOutcome::Doubted, damage);
                // A stop is tried at once: what it refuses need not wait.
                if engine.stopping() {
                    tokio::time::sleep(pause).await;
                } else {
                    engine.stops_within(pause).await;
                }
                pause = if damage { damaged::longer(pause) } else { (pause * 2).min(PAUSE_MAX) };
            }
        }
    }
}

const TOOL_FAILED: &str = "The server failed before this could be run to its end; its outcome is unknown. Check before you repeat it.";

pub(crate) fn failed() -> ToolOutcome {
    ToolOutcome { content: vec![ContentBlock::text(TOOL_FAILED)], is_error: true }
}

pub(crate) fn ran(thread: ThreadId, call: EventId, outcome: ToolOutcome) -> Input {
    Input::Ran { thread, call, content: outcome.content, is_error: outcome.is_error }
}
