//! One call of a built-in tool: it begins once, which is written down before anything of it happens, and what
//! it gives comes home.

use std::sync::Mutex;

use kernel::Input;
use protocol::{EventId, ThreadId, event::Body, tool::BuiltinName};
use store::Blob;
use tools::ToolCall;

use crate::{
    Engine, blobs,
    live::LiveSession,
    lock::lock,
    log,
    outcome::{JobOutcome, deliver, failed, ran},
};

/// How far a call is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Step {
    /// It has no place in a sandbox yet.
    Waits,
    /// It has, and is being written down as begun.
    Begins,
    /// What became of that.
    Begun(JobOutcome),
}

/// Runs a call. Its event holds the input; the event's id says where in the log that stands. `None`: it has
/// not begun here and need not, for the server stops and the next life runs it, or another life does already.
pub(crate) async fn run(
    engine: &Engine,
    live: &LiveSession,
    thread: ThreadId,
    event: EventId,
    tool: BuiltinName,
) -> Option<(Input, Vec<Blob>)> {
    let post = match log::find(engine, live.id, event).await {
        Ok(post) => post,
        Err(fault) => {
            tracing::error!(session = %live.id, %fault, "a call cannot be read");
            None
        }
    };
    let Some(Body::AgentToolUse { input, .. }) = post.map(|post| post.event.body.clone()) else {
        return Some((ran(thread, event, failed()), Vec::new()));
    };
    let step = Mutex::new(Step::Waits);
    let call = ToolCall { session: live.id, thread, event, tool, input };
    let run = engine.hands().run(call, Box::pin(begin(engine, live, thread, event, &step)));
    let outcome = tokio::select! {
        biased;
        outcome = run => outcome,
        () = stopped_before(engine, &step) => return None,
    };
    let step = *lock(&step);
    let mut outcome = match (outcome, step) {
        (Some(outcome), _) => outcome,
        // It stands in the log that it has begun, and perhaps we wrote that.
        (None, Step::Begun(JobOutcome::Doubted)) => failed(),
        (None, Step::Waits | Step::Begins | Step::Begun(JobOutcome::Counts | JobOutcome::Late)) => {
            engine.stop_token().cancelled().await;
            return None;
        }
    };
    let kept = blobs::keep(engine, live.id, &mut outcome).await;
    Some((ran(thread, event, outcome), kept))
}

/// Writes down that a call begins; says whether it may.
async fn begin(
    engine: &Engine,
    live: &LiveSession,
    thread: ThreadId,
    call: EventId,
    step: &Mutex<Step>,
) -> bool {
    if engine.stopping() {
        return false;
    }
    *lock(step) = Step::Begins;
    let said = deliver(engine, live, Input::Begins { thread, call }).await;
    *lock(step) = Step::Begun(said);
    let may = said == JobOutcome::Counts;
    if may {
        engine.counters().called();
    }
    may
}

/// Returns when the server stops and the call has not begun; one that has may come to its end.
async fn stopped_before(engine: &Engine, step: &Mutex<Step>) {
    engine.stop_token().cancelled().await;
    if *lock(step) != Step::Waits {
        std::future::pending::<()>().await;
    }
}
