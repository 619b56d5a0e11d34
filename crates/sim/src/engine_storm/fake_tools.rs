//! The hands of a storm: tools that take their time by dice and count how often they begin, over all power
//! cuts. They are a referee too: what they are told to run must be what the log lets run.

use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use engine::Clock;
use futures_util::future::BoxFuture;
use protocol::event::Body;
use protocol::prompt::Toolbox;
use protocol::{SessionId, Timestamp};
use tools::{BeginCall, ToolCall, ToolOutcome, ToolRunner};

use super::run_record::RunRecord;
use super::session_log::SessionLog;
use crate::dice::Dice;
use crate::law::law;
use crate::model;
use crate::referee::runs;

/// How long a tool may run on that nobody wants any more.
const PROMPT: Duration = Duration::from_secs(1);
/// What a tool gets at least when the server stops (docs/rules.md 2).
const DRAIN: Duration = Duration::from_secs(19);

/// See the file.
#[derive(Debug)]
pub(super) struct FakeTools {
    book: Arc<RunRecord>,
    clock: Clock,
    dice: Mutex<Dice>,
    stopped: AtomicBool,
}

/// A tool at work; dropped when it is done or cut.
struct Work {
    book: Arc<RunRecord>,
    call: ToolCall,
    /// When it will be done.
    due: Timestamp,
    done: bool,
}

impl Drop for Work {
    fn drop(&mut self) {
        self.book.end(self.call.event);
        if self.done {
            return;
        }
        self.book.count("tool cut");
        if self.book.stopping().is_some_and(|since| self.due < since.after(DRAIN)) {
            let session = self.book.number(self.call.session).unwrap_or(0);
            self.book.object(session, format!("stop: {} was nearly done and is cut", self.call.event));
        }
    }
}

impl FakeTools {
    /// A workshop for the sessions of `book`.
    pub(super) fn new(book: Arc<RunRecord>, clock: Clock, dice: Dice) -> Self {
        Self { book, clock, dice: Mutex::new(dice), stopped: AtomicBool::new(false) }
    }

    /// What a tool will give, and how long it takes.
    fn plan(&self) -> (ToolOutcome, Duration) {
        let mut dice = self.dice.lock().unwrap_or_else(PoisonError::into_inner);
        let span = if self.book.calm() {
            500
        } else {
            dice.pick(&[1, 500, 500, 4_000, 4_000, 15_000, 60_000]).copied().unwrap_or(1)
        };
        let outcome = ToolOutcome { content: model::out(&mut dice), is_error: dice.once_in(4) };
        (outcome, Duration::from_millis(dice.below(span)))
    }

    /// How long a call waits for its place.
    fn wait(&self) -> Duration {
        let mut dice = self.dice.lock().unwrap_or_else(PoisonError::into_inner);
        let span = if self.book.calm() {
            1
        } else {
            dice.pick(&[1, 1, 1, 500, 4_000, 30_000]).copied().unwrap_or(1)
        };
        Duration::from_millis(dice.below(span))
    }

    /// Waits for a place and asks whether the call may begin. Who asks when the server has been told to stop
    /// may not.
    async fn begins(&self, call: &ToolCall, begin: BeginCall<'_>) -> bool {
        let wait = self.wait();
        if !wait.is_zero() {
            self.book.count("tool waits");
            tokio::time::sleep(wait).await;
        }
        let late = self.book.stopping().is_some_and(|since| since < self.clock.now());
        let may = begin.await;
        if may && late {
            let session = self.book.number(call.session).unwrap_or(0);
            self.book.object(session, format!("stop: {} begins all the same", call.event));
        }
        may
    }

    /// A session's number. Its opening may be known to nobody yet.
    async fn session(&self, id: SessionId) -> Option<usize> {
        if self.book.number(id).is_none() {
            self.book.refresh_all().await;
        }
        let number = self.book.number(id)?;
        self.book.refresh(number).await;
        Some(number)
    }

    /// Whether the log lets this call run.
    async fn judge(&self, call: &ToolCall) -> Result<(), String> {
        let Some(session) = self.session(call.session).await else {
            return Err(format!("hands: {} is of no session", call.event));
        };
        let all = self.book.running();
        let judged = self.book.tale(session, |tale| {
            law!(made(tale, call), "hands: {call:?} is not what the log says");
            let noted = tale.desk.call(call.event).is_some_and(|made| made.begun || made.reads());
            law!(noted, "hands: {} runs, and the log does not say that it begins", call.event);
            let running = tale.desk.open().into_iter().map(|open| open.id).filter(|open| all.contains(open));
            runs::beside(&tale.desk, &running.chain([call.event]).collect())
        });
        judged.unwrap_or(Ok(()))
    }

    /// Whether somebody still waits for this call, or did until now.
    async fn wanted(&self, call: &ToolCall) -> Result<(), String> {
        let Some(session) = self.session(call.session).await else { return Ok(()) };
        let answered = |tale: &SessionLog| {
            let mut lines = tale.lines.iter().rev();
            lines
                .find(|line| line.kind == "agent.tool_result" && line.about == Some(call.event))
                .map(|line| line.at)
        };
        let Some(answered) = self.book.tale(session, answered).flatten() else { return Ok(()) };
        let late = self.book.late(answered, self.clock.now());
        law!(late < PROMPT, "hands: {} runs on {late:?} after it was answered", call.event);
        Ok(())
    }

    /// Objects, unless the session's engine could not know better.
    async fn object(&self, session: SessionId, why: String) {
        // A job that nobody wants any more is cut before the clock moves on; then nothing was wrong.
        tokio::time::sleep(Duration::from_millis(5)).await;
        let now = self.clock.now();
        if !self.book.lost(now, now) {
            self.book.object(self.book.number(session).unwrap_or(0), why);
        }
    }

    /// A session's workshop is given up, which must be because the session is over.
    async fn over(&self, id: SessionId, count: &'static str, over: impl Fn(&SessionLog) -> bool) {
        self.book.count(count);
        if let Some(session) = self.session(id).await
            && self.book.tale(session, over) != Some(true)
        {
            self.book.object(session, format!("hands: {count}, and the session is not over"));
        }
    }
}

/// Whether the log made this call.
fn made(tale: &SessionLog, call: &ToolCall) -> bool {
    let post = tale.posts.iter().find(|post| post.event.id == call.event);
    let Some(Body::AgentToolUse { name, input, .. }) = post.map(|post| &post.event.body) else {
        return false;
    };
    name == call.tool.name() && *input == call.input
}

impl ToolRunner for FakeTools {
    fn run<'a>(&'a self, call: ToolCall, begin: BeginCall<'a>) -> BoxFuture<'a, Option<ToolOutcome>> {
        Box::pin(async move {
            if !self.begins(&call, begin).await {
                return None;
            }
            let (event, session) = (call.event, call.session);
            self.book.count(if self.book.begun(event) == 0 { "tool begun" } else { "tool begun again" });
            let begun = self.book.begin(event, call.tool.name());
            let (outcome, span) = self.plan();
            let due = self.clock.now().after(span);
            let mut work = Work { book: Arc::clone(&self.book), call, due, done: false };
            let stopped = self.stopped.load(Ordering::Relaxed);
            let wrong =
                if stopped { Some(format!("hands: {event} runs after the end")) } else { begun.err() };
            if let Some(wrong) = wrong {
                self.book.object(self.book.number(session).unwrap_or(0), wrong);
            }
            if let Err(why) = self.judge(&work.call).await {
                self.object(session, why).await;
            }
            tokio::time::sleep(span).await;
            if let Err(why) = self.wanted(&work.call).await {
                self.object(session, why).await;
            }
            self.book.gives(event, outcome.clone());
            work.done = true;
            Some(outcome)
        })
    }

    fn toolbox(&self, _session: SessionId) -> Arc<Toolbox> {
        Arc::new(Toolbox::plain())
    }

    fn end(&self, session: SessionId) -> BoxFuture<'_, ()> {
        Box::pin(self.over(session, "workshop ended", SessionLog::over))
    }

    fn remove(&self, session: SessionId) -> BoxFuture<'_, ()> {
        Box::pin(self.over(session, "workshop removed", |tale| tale.session.deleted_at.is_some()))
    }

    fn stop(&self) -> BoxFuture<'_, ()> {
        self.stopped.store(true, Ordering::Relaxed);
        Box::pin(async {})
    }
}
