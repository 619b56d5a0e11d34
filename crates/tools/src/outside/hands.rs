//! Hands that work in jails on this machine: which jail a call goes to, and whether one more may live.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

use futures_util::future::BoxFuture;
use protocol::{SessionId, ThreadId, prompt::Toolbox};
use sandbox::{Isolation, JailLayout};
use tokio::time::{Instant, timeout};
use tokio_util::sync::CancellationToken;

use super::{
    ending::{JailEnding, failed},
    keep::JailTask,
    line::{CallNotTaken, CallWaiting, JailLink},
    lock::lock,
    settings::JailSettings,
    shop::{JailSlot, Jails},
    sweep::SessionSweep,
    turns::{self, CallSeat},
};
use crate::{
    BeginCall, ToolCall, ToolOutcome, ToolRunner,
    inside::builtins,
    workplace::{CommandBounds, Workplace},
};

/// How long `stop` waits for the jails.
const STOP: Duration = Duration::from_secs(5);
/// A call that waited as long is told so.
const TOLD: Duration = Duration::from_secs(2);

/// Hands that work in jails on this machine. Clones share them.
#[derive(Debug, Clone)]
pub struct LocalToolRunner(Arc<Jails>);

/// Where a call may go.
enum Place {
    Line(Arc<JailLink>),
    /// Nowhere yet: until this is cancelled.
    Wait(CancellationToken),
    Refused(ToolOutcome),
}

impl LocalToolRunner {
    /// Hands with these settings. Starts nothing and touches no file.
    pub fn new(settings: JailSettings) -> Self {
        Self(Arc::new(Jails::new(settings)))
    }

    /// Lets the task that keeps a jail panic, the next one if there is none, so that a test sees what becomes
    /// of it.
    #[cfg(debug_assertions)]
    pub fn end_a_keeping(&self) {
        self.0.ends.notify_one();
    }

    /// The sweep of the folders; one at a time.
    pub fn sweep(&self) -> SessionSweep {
        SessionSweep::new(Arc::clone(&self.0))
    }

    /// Looks after the disk and the memory, for ever; one at a time. What begins it again after a fault has
    /// lost nothing but what it remembered of the last minutes.
    pub async fn watch(&self) {
        self.0.watch().await;
    }

    async fn call(&self, call: ToolCall, begin: BeginCall<'_>) -> Option<ToolOutcome> {
        if let Some(refused) = refused(&call) {
            return Some(refused);
        }
        let (session, since) = (call.session, Instant::now());
        let mut seat = None;
        match timeout(self.0.settings.wait, self.asked(call, &mut seat)).await {
            Ok(Ok(waiting)) => {
                drop(seat);
                let waited = since.elapsed();
                let outcome = waiting.outcome(begin).await?;
                Some(if waited < TOLD { outcome } else { turns::told(outcome, waited) })
            }
            Ok(Err(outcome)) => Some(outcome),
            Err(_) => {
                let ahead = self.0.turns.ahead(session);
                Some(turns::in_vain(self.0.settings.wait, self.0.settings.jails_max, ahead))
            }
        }
    }

    /// Takes a place in the session's jail, once there is one. A seat is held until then, so that nobody
    /// comes in between.
    async fn asked(
        &self,
        mut call: ToolCall,
        seat: &mut Option<CallSeat>,
    ) -> Result<CallWaiting, ToolOutcome> {
        loop {
            let wait = match self.place(call.session, seat) {
                Place::Line(line) => match line.ask(call) {
                    Ok(waiting) => return Ok(waiting),
                    Err(CallNotTaken::Closed(back)) => {
                        call = *back;
                        line.gone.clone()
                    }
                    Err(CallNotTaken::Refused(outcome)) => return Err(outcome),
                },
                Place::Wait(until) => until,
                Place::Refused(outcome) => return Err(outcome),
            };
            wait.cancelled().await;
        }
    }

    fn place(&self, session: SessionId, seat: &mut Option<CallSeat>) -> Place {
        let mut posts = lock(&self.0.posts);
        if self.0.stop.is_cancelled() {
            return Place::Refused(JailEnding::Stopping.outcome(false));
        }
        let has = match posts.get(&session) {
            Some(JailSlot::Jail(line)) => Some(Arc::clone(line)),
            Some(JailSlot::Removing(_)) => return Place::Refused(JailEnding::Over.outcome(false)),
            None => None,
        };
        let turns = &self.0.turns;
        if turns.is_over(session) {
            return Place::Refused(JailEnding::Over.outcome(false));
        }
        let look = seat.as_ref().and_then(|_| turns.look(session));
        // Who waits goes first, also before a session that has had its jail for long.
        let first = turns.is_first(session);
        let may = match &has {
            Some(line) => first || !line.is_over_its_turn(self.0.settings.turn) || turns.is_empty(),
            None => (first || turns.is_empty()) && self.has_room(&posts),
        };
        if !may {
            return look.map_or_else(|| self.join(session, seat), Place::Wait);
        }
        if let Some(line) = has {
            if first {
                line.begin_turn();
            }
            return Place::Line(line);
        }
        let line = Arc::new(JailLink::new(session, self.0.settings.margin));
        posts.insert(session, JailSlot::Jail(Arc::clone(&line)));
        self.0.came.notify_one();
        self.0.tasks.spawn(self.0.mortal(JailTask::new(Arc::clone(&self.0), Arc::clone(&line)).run()));
        Place::Line(line)
    }

    /// Stands in the line of those who wait, and looks once more from there.
    fn join(&self, session: SessionId, seat: &mut Option<CallSeat>) -> Place {
        match self.0.turns.join(session) {
            Ok(taken) => {
                *seat = Some(taken);
                let at_once = CancellationToken::new();
                at_once.cancel();
                Place::Wait(at_once)
            }
            Err(refused) => Place::Refused(refused),
        }
    }

    /// Whether one more jail may live; if not, the one that has been idle longest is ended. Whoever is first
    /// among those who wait is woken when a jail is gone, and when one turns idle.
    fn has_room(&self, posts: &BTreeMap<SessionId, JailSlot>) -> bool {
        let lines = || {
            posts.values().filter_map(|post| match post {
                JailSlot::Jail(line) => Some(line),
                JailSlot::Removing(_) => None,
            })
        };
        if lines().count() < self.0.settings.jails_max {
            return true;
        }
        if !lines().any(|line| line.closed.is_cancelled()) {
            let mut quiet: Vec<_> =
                lines().filter_map(|line| line.quiet_since().map(|since| (since, line))).collect();
            quiet.sort_by_key(|(since, _)| *since);
            quiet.into_iter().find(|(_, line)| line.close_if_quiet(JailEnding::Evicted));
        }
        false
    }

    async fn close(&self, session: SessionId) {
        self.0.turns.end(session);
        let gone = match lock(&self.0.posts).get(&session) {
            Some(JailSlot::Jail(line)) => {
                line.close(JailEnding::Over);
                line.gone.clone()
            }
            Some(JailSlot::Removing(done)) => done.clone(),
            None => return,
        };
        gone.cancelled().await;
    }

    async fn close_all(&self) {
        self.0.stop.cancel();
        for post in lock(&self.0.posts).values() {
            match post {
                JailSlot::Jail(line) => line.close(JailEnding::Stopping),
                JailSlot::Removing(_) => {}
            }
        }
        self.0.turns.wake_all();
        self.0.tasks.close();
        if timeout(STOP, self.0.tasks.wait()).await.is_err() {
            tracing::warn!("some sandboxes were still ending when the server stopped; they end with it");
        }
    }
}

/// Why the call may not run at all.
fn refused(call: &ToolCall) -> Option<ToolOutcome> {
    builtins::of(call.tool).is_none().then(|| failed("This tool is not available here; go on without it."))
}

impl ToolRunner for LocalToolRunner {
    fn run<'a>(&'a self, call: ToolCall, begin: BeginCall<'a>) -> BoxFuture<'a, Option<ToolOutcome>> {
        Box::pin(self.call(call, begin))
    }

    fn has_memory(&self) -> bool {
        let limits = &self.0.settings.limits;
        sandbox::memory().is_none_or(|now| now.available_bytes >= limits.memory_least(now.total_bytes))
    }

    fn toolbox(&self, session: SessionId) -> Arc<Toolbox> {
        let JailSettings { isolation, root, limits, .. } = &self.0.settings;
        let layout = JailLayout::new(*isolation, &root.join(session.to_string()));
        let made = |bounds| Arc::new(builtins::toolbox(&Workplace::new(&layout, bounds)));
        match isolation {
            Isolation::Local => {
                Arc::clone(self.0.toolbox.get_or_init(|| made(Some(CommandBounds::of(limits)))))
            }
            Isolation::Off => made(None),
        }
    }

    fn leave(&self, session: SessionId, thread: ThreadId) {
        // Without a jail there is no shell.
        if let Some(JailSlot::Jail(line)) = lock(&self.0.posts).get(&session) {
            line.leave(thread);
        }
    }

    fn end(&self, session: SessionId) -> BoxFuture<'_, ()> {
        Box::pin(self.close(session))
    }

    fn remove(&self, session: SessionId) -> BoxFuture<'_, ()> {
        Box::pin(self.0.discard(session))
    }

    fn stop(&self) -> BoxFuture<'_, ()> {
        Box::pin(self.close_all())
    }
}
