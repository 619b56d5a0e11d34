//! Jobs: running wants. A job's outcome is just another input.

use std::time::Duration;

use kernel::{
    Input, TranscriptPiece, Want,
    answer::{AnswerBlocks, empty},
    call::CallRunner,
    thread::ModelRequest,
};
use protocol::{
    EventId, SessionId, ThreadId, Timestamp, limits,
    prompt::{AnswerDelta, DeltaKind, FailureClass, ModelAnswer, ModelFailure, Prompt},
    routes::Route,
    usage::RequestTokens,
};
use tokio::time::Instant;

use crate::{
    Engine, blobs,
    broadcast::BroadcastItem,
    calls,
    fault::EngineFault,
    live::LiveSession,
    lock::lock,
    log,
    outcome::{deliver, failed, ran},
    sessions::WorkedSession,
};

/// Does what is wanted and brings the outcome home.
pub(crate) async fn run(engine: Engine, live: WorkedSession, want: Want) {
    let input = match want {
        Want::Ask { thread, request } => ask(&engine, &live, thread, request).await,
        Want::Run { thread, call, runner: CallRunner::Builtin(tool) } => {
            let Some((input, kept)) = calls::run(&engine, &live, thread, call, tool).await else { return };
            deliver(&engine, &live, input).await;
            // Until here no sweep could take what the outcome names.
            drop(kept);
            return;
        }
        Want::Wake { thread, at } => {
            tokio::time::sleep(pause(&engine, &live, thread, at)).await;
            Some(Input::Woke { thread, until: at })
        }
    };
    if let Some(input) = input {
        deliver(&engine, &live, input).await;
    }
}

/// How long it is until `at`: by the clock on the wall, since it may have been asked for in another life, but
/// no longer than was asked for when it was. A clock that was set back makes no pause longer.
fn pause(engine: &Engine, live: &LiveSession, thread: ThreadId, at: Timestamp) -> Duration {
    let asked = live.current().and_then(|state| {
        let since = state.session.thread(thread)?.updated_at;
        Some(at.since(since))
    });
    engine.clock().until(at).min(asked.unwrap_or(Duration::from_secs(limits::RETRY_AFTER_S_MAX)))
}

/// What a job that panicked comes to: an outcome that counts, so that a poisoned prompt or call does not
/// loop.
pub(crate) async fn panic_outcome(engine: Engine, live: WorkedSession, want: Want) {
    let input = match want {
        Want::Ask { thread, request } => {
            let failure = unavailable("the server failed while it asked the model; its log says why");
            Input::Failed { thread, request, failure, named: Vec::new(), attempts: limits::ATTEMPTS }
        }
        Want::Run { thread, call, .. } => ran(thread, call, failed()),
        Want::Wake { .. } => return,
    };
    deliver(&engine, &live, input).await;
}

async fn ask(engine: &Engine, live: &LiveSession, thread: ThreadId, request: EventId) -> Option<Input> {
    let (open, attempt, told_results) = {
        let state = live.current()?;
        let state = state.session.thread(thread)?;
        (state.request().filter(|open| open.id == request)?, state.failed + 1, state.told_results)
    };
    let (outcome, attempts) = match prompt(engine, live, thread).await {
        Ok(prompt) => {
            let route = engine.routes().route(&prompt.model);
            let attempts = route.map_or(limits::ATTEMPTS, |route| route.attempts);
            let (outcome, took) = answer(engine, live, open, &prompt).await;
            let told = Told { session: live.id, thread, route, attempt, took };
            match &outcome {
                Ok(answer) => empty(answer, told_results).iter().for_each(|failure| told.of(failure)),
                Err(failure) => told.of(failure),
            }
            (outcome, attempts)
        }
        Err(fault) => (Err(unreadable(live, &fault)), limits::ATTEMPTS),
    };
    Some(match outcome {
        Ok(answer) => Input::Answered { thread, request, answer, attempts },
        Err(failure) => {
            engine.counters().failed();
            let named = named(live, thread, &failure);
            Input::Failed { thread, request, failure, named, attempts }
        }
    })
}

/// What the log says of a request that failed. Not why in anybody's words: a provider's may hold what it was
/// asked, and stand in the session's log.
struct Told<'a> {
    session: SessionId,
    thread: ThreadId,
    route: Option<&'a Route>,
    /// How often it had been made, with this one.
    attempt: u32,
    /// Without the time for which it waited for its turn.
    took: Duration,
}

impl Told<'_> {
    fn of(&self, failure: &ModelFailure) {
        let Self { session, thread, attempt, .. } = self;
        let route = self.route.map_or("", |route| route.pattern.as_str());
        let (class, status) = (failure.class.name(), failure.status);
        let milliseconds = u64::try_from(self.took.as_millis()).unwrap_or(u64::MAX);
        tracing::info!(%session, %thread, route, class, status, attempt, milliseconds, "a model request failed");
    }
}

/// What a provider names as what it refuses. The history that it was asked with is still in memory; where it
/// is not, nothing is known to be named.
fn named(live: &LiveSession, thread: ThreadId, failure: &ModelFailure) -> Vec<TranscriptPiece> {
    let scrolls = lock(&live.scrolls);
    scrolls.get(&thread).map(|scroll| scroll.transcript.pieces(&failure.spots)).unwrap_or_default()
}

async fn prompt(engine: &Engine, live: &LiveSession, thread: ThreadId) -> Result<Prompt, EngineFault> {
    let mut prompt = log::prompt(engine, live, thread).await?;
    blobs::fill(engine, live.id, &mut prompt).await;
    Ok(prompt)
}

fn unreadable(live: &LiveSession, fault: &EngineFault) -> ModelFailure {
    tracing::error!(session = %live.id, %fault, "a thread's history cannot be read");
    unavailable("the session's history could not be read; the server's log says why")
}

fn unavailable(message: &str) -> ModelFailure {
    ModelFailure {
        class: FailureClass::Unavailable,
        status: None,
        message: message.into(),
        retry_after: None,
        tokens: RequestTokens::default(),
        spots: Vec::new(),
    }
}

/// Asks, and says how long that took without the wait for a turn.
async fn answer(
    engine: &Engine,
    live: &LiveSession,
    request: ModelRequest,
    prompt: &Prompt,
) -> (Result<ModelAnswer, ModelFailure>, Duration) {
    let Some(route) = engine.routes().route(&prompt.model) else {
        let failure = ModelFailure {
            class: FailureClass::NoRoute,
            status: None,
            message: format!("no route answers for the model `{}` any more; see [routes]", prompt.model),
            retry_after: None,
            tokens: RequestTokens::default(),
            spots: Vec::new(),
        };
        return (Err(failure), Duration::ZERO);
    };
    let limiter = engine.limiters().of(route);
    let _place = match limiter {
        Some(limiter) => Some(limiter.enter(live.id).await),
        None => None,
    };
    engine.counters().asked();
    let mut preview =
        Preview { live, request, blocks: AnswerBlocks::of(request), places: Vec::new(), told: None };
    let began = Instant::now();
    let result = engine.oracle().ask(prompt, &mut |delta| preview.hear(delta)).await;
    let took = began.elapsed();
    if let (Err(failure), Some(limiter)) = (&result, limiter)
        && let Some(reopening) = limiter.met(failure)
    {
        let stop = engine.stop_token();
        engine.spawn(async move {
            stop.run_until_cancelled(reopening).await;
        });
    }
    (result, took)
}

/// Tells the watchers of an answer while it is being written, under the ids it will have.
struct Preview<'a> {
    live: &'a LiveSession,
    request: ModelRequest,
    blocks: AnswerBlocks,
    /// By block index: the event, its entry, and whether its start has been told.
    places: Vec<(EventId, usize, DeltaKind)>,
    /// The event whose start was told last; blocks come in order.
    told: Option<EventId>,
}

impl Preview<'_> {
    fn hear(&mut self, delta: AnswerDelta) {
        match delta {
            AnswerDelta::Start { index, kind } => {
                if index != self.places.len() {
                    return;
                }
                let place = self.blocks.place(index, kind);
                self.places.push((place.event, place.entry, kind));
                if kind == DeltaKind::Thinking {
                    self.tell(BroadcastItem::Start { request: self.request.id, event: place.event, kind });
                }
            }
            AnswerDelta::Text { index, text } => {
                let Some((event, entry, kind)) = self.places.get(index).copied() else { return };
                if text.is_empty() {
                    return;
                }
                // Told with the first text: an empty block makes no event and must not start one.
                if self.told.replace(event) != Some(event) {
                    self.tell(BroadcastItem::Start { request: self.request.id, event, kind });
                }
                self.tell(BroadcastItem::Delta {
                    request: self.request.id,
                    event,
                    index: entry,
                    text: text.into(),
                });
            }
        }
    }

    fn tell(&self, flow: BroadcastItem) {
        self.live.flow.tell(flow);
    }
}
