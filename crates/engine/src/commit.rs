//! The one door to a session's log: decide, append, then publish. Commits of one session pass one
//! queue, are decided in order and appended as one batch (docs/rules.md 8).

use std::collections::{BTreeMap, VecDeque};
use std::sync::{Arc, atomic::Ordering};

use kernel::{
    Decision, Fact, FactContent, Input, Note, Refusal, SessionOpening, SessionState, decide, fact,
    view::Viewer,
};
use protocol::{
    EnvironmentId, EventId, SessionId, WorkspaceId, agent::SessionAgent, id::IdKind, input::ClientEvent,
    parse::Metadata,
};
use store::{BatchWrite, LogAppend};
use tokio::sync::oneshot;

use crate::{
    Engine,
    attempt::PostAttempt,
    attempts, blobs,
    broadcast::{Broadcast, BroadcastItem},
    fault::{CommitError, EngineFault},
    live::{Committed, LoadedSession, PendingInput},
    lock::lock,
    log,
    over::{SessionEnding, release_sandbox},
    published::PublishedCommit,
    sessions::WorkedSession,
    summary::{self, AgentSnapshot},
    taken::{AcceptedEvents, TakenInput, WrittenCommit},
};

/// How often a lost race is run again before it is a fault.
const RACES: u32 = 8;
/// Inputs decided together at most.
const BATCH: usize = 64;

/// A session to be made.
#[derive(Debug, Clone, PartialEq)]
pub struct NewSession {
    /// The agent, overrides included.
    pub agent: SessionAgent,
    /// Where its tools run.
    pub environment: EnvironmentId,
    /// What it is called.
    pub title: Option<String>,
    /// The owner's own notes.
    pub metadata: Metadata,
    /// What it begins with.
    pub events: Vec<ClientEvent>,
}

impl Engine {
    /// Makes a session, for the request `attempt` if it is one. `expects` goes into the same batch; when one
    /// of them fails, nothing was made.
    pub async fn open(
        &self,
        workspace: WorkspaceId,
        new: NewSession,
        expects: Vec<BatchWrite>,
        attempt: Option<&PostAttempt>,
    ) -> Result<protocol::session::Session, CommitError> {
        if self.stopping() {
            return Err(CommitError::Stopping);
        }
        self.admit_new(&new.events)?;
        let (snapshot, body) = AgentSnapshot::of(&Arc::new(new.agent))?;
        let agent = self.shared(&snapshot);
        let opening = SessionOpening {
            session: self.mint(),
            thread: self.mint(),
            agent: Arc::clone(&agent),
            environment: new.environment,
            title: new.title,
            metadata: new.metadata,
            tree: self.tree(),
            events: new.events,
        };
        let id = opening.session;
        let opened = kernel::open(opening, self.moment()).map_err(CommitError::Refused)?;
        let Decision { facts, session, accepted: _ } = opened;
        let head = self.head_row(&session, workspace, &snapshot.hash)?;
        let expected = expects.len();
        let mut writes = expects;
        if !self.knows(&snapshot.hash) {
            writes.push(BatchWrite::PutSnapshot { hash: snapshot.hash, body });
        }
        let receipt = attempt.map(|attempt| attempt.kept_of(&snapshot.hash));
        writes.push(BatchWrite::Append(append(0, &facts, head.clone(), receipt)?));
        writes.extend(attempt.map(|attempt| attempt.led_to(id, 0, self.now())));
        match self.store().commit(writes).await {
            Ok(()) => {}
            Err(store::BatchError::Conflict { write }) if write < expected => {
                return Err(CommitError::Conflict { write });
            }
            Err(store::BatchError::Conflict { .. }) => return Err(EngineFault::Contended(1).into()),
            Err(store::BatchError::Fault(fault)) => {
                reread_after_fault(self, &self.work(id));
                return Err(fault.into());
            }
        }
        self.counters().committed(facts.len());
        self.learn(&snapshot);
        let busy = !kernel::wants(&session).is_empty();
        let live = self.work(id);
        live.take_up(Arc::new(LoadedSession::new(session, workspace, snapshot.hash)), BTreeMap::new());
        if busy {
            self.ensure_follower(&live);
        }
        drop(live);
        let summary = summary::SessionSummary::read(&head.body)?;
        Ok(summary::session_object(&head, &summary, &agent, head.updated_at))
    }

    /// Brings `input` into the session's log, or says why not. Durable when it returns. A caller that stops
    /// waiting does not undo it.
    pub async fn commit(
        &self,
        workspace: WorkspaceId,
        session: SessionId,
        input: Input,
    ) -> Result<Committed, CommitError> {
        self.push(session, Some(workspace), Some(input), None).await
    }

    /// [`Engine::commit`], for a request: one that was sent before is told what came of it then, and changes
    /// nothing.
    pub async fn commit_attempt(
        &self,
        workspace: WorkspaceId,
        session: SessionId,
        input: Input,
        attempt: Option<&PostAttempt>,
    ) -> Result<Committed, CommitError> {
        match (self.push(session, Some(workspace), Some(input), attempt.cloned()).await, attempt) {
            // Where a session is deleted its log still tells, until it is purged.
            (Err(CommitError::NotFound), Some(attempt)) if attempt.may_repeat() => {
                self.earlier(workspace, session, attempt).await?.ok_or(CommitError::NotFound)
            }
            (told, _) => told,
        }
    }

    /// The same for the engine's own jobs, which serve every workspace.
    pub(crate) async fn outcome(&self, session: SessionId, input: Input) -> Result<Committed, CommitError> {
        self.push(session, None, Some(input), None).await
    }

    /// Brings the session's state into memory, and its jobs to work.
    pub(crate) async fn touch(&self, session: SessionId) -> Result<(), CommitError> {
        self.push(session, None, None, None).await.map(drop)
    }

    async fn push(
        &self,
        session: SessionId,
        workspace: Option<WorkspaceId>,
        input: Option<Input>,
        attempt: Option<PostAttempt>,
    ) -> Result<Committed, CommitError> {
        // What a tool did while the server was told to stop has happened all the same; none begins any more.
        let too_late = self.stopping() && !matches!(input, Some(Input::Ran { .. }));
        if too_late {
            return Err(CommitError::Stopping);
        }
        let live = self.work(session);
        let (reply, answer) = oneshot::channel();
        let begin = {
            let mut inbox = lock(&live.inbox);
            inbox.pending.push_back(PendingInput { workspace, input, attempt, reply });
            !std::mem::replace(&mut inbox.draining, true)
        };
        if begin {
            self.spawn_for(session, "session-commits", drain(self.clone(), live));
        }
        answer.await.unwrap_or(Err(CommitError::Fault(EngineFault::Died)))
    }
}

/// Says that nobody is at work on the inbox any more, also when the work died; then the state in memory
/// cannot be trusted and is read again.
struct AtWork(WorkedSession, bool);

impl Drop for AtWork {
    fn drop(&mut self) {
        if !self.1 {
            self.0.set(None);
            let mut inbox = lock(&self.0.inbox);
            inbox.draining = false;
            inbox.pending.clear();
        }
    }
}

async fn drain(engine: Engine, live: WorkedSession) {
    let mut work = AtWork(live.clone(), false);
    loop {
        let mut batch: Vec<PendingInput> = {
            let mut inbox = lock(&live.inbox);
            let many = together(&inbox.pending);
            if many == 0 {
                inbox.draining = false;
                work.1 = true;
                return;
            }
            inbox.pending.drain(..many).collect()
        };
        let mut races = 0;
        loop {
            match settle(&engine, &live, &mut batch).await {
                Ok(answers) => {
                    for (pending, answer) in batch.into_iter().zip(answers) {
                        // A caller that went away does not want to know.
                        let _gone = pending.reply.send(answer);
                    }
                    break;
                }
                Err(CommitError::Fault(EngineFault::Contended(_))) if races < RACES => {
                    races += 1;
                    live.set(None);
                }
                Err(wrong) => {
                    live.set(None);
                    if matches!(wrong, CommitError::Fault(_)) {
                        reread_after_fault(&engine, &live);
                    }
                    for pending in batch {
                        let _gone = pending.reply.send(Err(wrong.clone()));
                    }
                    break;
                }
            }
        }
    }
}

/// How many of those that wait are decided together. One that was sent before looks for what came of it in
/// the log, so that what waits before it is written first.
fn together(pending: &VecDeque<PendingInput>) -> usize {
    let again = |pending: &PendingInput| pending.attempt.as_ref().is_some_and(PostAttempt::may_repeat);
    let first = pending.iter().take(BATCH).skip(1).position(again);
    first.map_or(pending.len().min(BATCH), |place| place + 1)
}

/// Decides a batch in order, appends what was decided as one, and tells the watchers.
async fn settle(
    engine: &Engine,
    live: &WorkedSession,
    batch: &mut [PendingInput],
) -> Result<Vec<Result<Committed, CommitError>>, CommitError> {
    let state = match live.current() {
        Some(state) => state,
        None => Arc::new(log::load(engine, live.id).await?),
    };
    let fresh = !live.taken.load(Ordering::Acquire);
    let mut work = Batch { engine, state, head: None, writes: Vec::new(), commits: Vec::new() };
    // What is under way in a session that we have not touched before ran in another life (docs/rules.md 2).
    if fresh && let Err(refusal) = work.decide(&Input::Recovered, None).await? {
        tracing::error!(session = %live.id, ?refusal, "the law refused a recovery");
    }
    // Nothing of another life was under way: what this batch begins is ours, also if nobody hears that it is
    // durable.
    if work.writes.is_empty() {
        live.taken.store(true, Ordering::Release);
    }
    let mut answers = Vec::with_capacity(batch.len());
    for pending in &*batch {
        answers.push(work.answer(pending).await?);
    }
    let Batch { state, writes, commits, .. } = work;
    if !writes.is_empty() {
        match engine.store().commit(writes).await {
            Ok(()) => {}
            Err(store::BatchError::Conflict { .. }) => return Err(EngineFault::Contended(1).into()),
            Err(store::BatchError::Fault(fault)) => return Err(fault.into()),
        }
    }
    live.taken.store(true, Ordering::Release);
    // It is durable and not decided again: what was sent goes before it is told once more.
    for pending in batch {
        pending.input = None;
    }
    let viewer = state.session.primary().map(|primary| Viewer::Session { primary: primary.id });
    let told = |taken: TakenInput| taken.told(&commits, viewer);
    let answers = answers.into_iter().map(|answer| answer.map(told)).collect();
    publish(engine, live, state, commits);
    Ok(answers)
}

/// What a batch comes to.
struct Batch<'a> {
    engine: &'a Engine,
    state: Arc<LoadedSession>,
    /// The head row of `state`, once somebody needs it.
    head: Option<store::SessionHead>,
    writes: Vec<BatchWrite>,
    commits: Vec<WrittenCommit>,
}

impl Batch<'_> {
    async fn answer(
        &mut self,
        pending: &PendingInput,
    ) -> Result<Result<TakenInput, CommitError>, CommitError> {
        let foreign = pending.workspace.is_some_and(|workspace| workspace != self.state.workspace);
        if foreign || self.state.session.deleted_at.is_some() {
            return Ok(Err(CommitError::NotFound));
        }
        let (session, before) = (self.state.session.id, self.state.session.head);
        if let Some(attempt) = &pending.attempt
            && let Some(row) = attempts::find(self.engine, session, before, attempt).await?
        {
            let head = self.head()?;
            let Committed { accepted, head, at } = attempts::told(self.engine, head, &row).await?;
            return Ok(Ok(TakenInput { accepted: AcceptedEvents::Before(accepted), head, at }));
        }
        let ids = match &pending.input {
            None => Vec::new(),
            Some(input) => {
                if let Err(short) = self.engine.admit(input) {
                    return Ok(Err(short.into()));
                }
                match self.decide(input, pending.attempt.as_ref()).await? {
                    Ok(accepted) => accepted,
                    Err(refusal) => return Ok(Err(CommitError::Refused(refusal))),
                }
            }
        };
        let head = self.head()?;
        let at = if self.state.session.head > before {
            head.updated_at
        } else {
            self.engine.now().max(head.updated_at)
        };
        let accepted = AcceptedEvents::Now { ids, commits: self.commits.len() };
        Ok(Ok(TakenInput { accepted, head, at }))
    }

    async fn decide(
        &mut self,
        input: &Input,
        attempt: Option<&PostAttempt>,
    ) -> Result<Result<Vec<EventId>, Refusal>, CommitError> {
        let input = &*blobs::bounded(self.engine, self.state.session.id, &self.writes, input).await?;
        let mut moment = self.engine.moment();
        if let Input::Woke { until, .. } = input {
            // It was waited for by a clock that does not jump, whatever the one on the wall says.
            moment.at = moment.at.max(*until);
        }
        let mut decided = decide(&self.state.session, input.clone(), moment);
        // The folded state forgets a call once it is answered; the log does not.
        if let Err(Refusal::UnknownCall { .. }) = decided
            && let Input::Client { events, .. } = input
        {
            let unwritten = self.commits.iter().flat_map(|commit| &commit.facts);
            let made = log::calls(self.engine, &self.state.session, events, unwritten).await?;
            let input = Input::Client { events: events.clone(), made };
            decided = decide(&self.state.session, input, moment);
        }
        let Decision { facts, session, accepted } = match decided {
            Ok(decision) => decision,
            Err(refusal) => return Ok(Err(refusal)),
        };
        if !facts.is_empty() {
            self.append(facts, session, &accepted, attempt)?;
        }
        Ok(Ok(accepted))
    }

    fn append(
        &mut self,
        facts: Vec<Fact>,
        session: SessionState,
        accepted: &[EventId],
        attempt: Option<&PostAttempt>,
    ) -> Result<(), CommitError> {
        let LoadedSession { session: ref before, workspace, snapshot, agent_bytes } = *self.state;
        let first = before.head;
        let known = Arc::ptr_eq(&before.agent, &session.agent);
        let mut state = LoadedSession { session, workspace, snapshot, agent_bytes };
        if !known {
            let (snapshot, body) = AgentSnapshot::of(&state.session.agent)?;
            state.snapshot = snapshot.hash;
            state.session.agent = self.engine.shared(&snapshot);
            state.agent_bytes = protocol::memory::agent(&state.session.agent);
            self.writes.push(BatchWrite::PutSnapshot { hash: snapshot.hash, body });
        }
        (self.state, self.head) = (Arc::new(state), None);
        let head = self.head()?;
        let receipt = attempt.map(|attempt| {
            if accepted.is_empty() {
                return attempt.kept_of(&self.state.snapshot);
            }
            let primary = self.state.session.primary();
            attempt.kept(&facts, accepted, primary.map(|primary| Viewer::Session { primary: primary.id }))
        });
        let append = append(first, &facts, head, receipt)?;
        let bytes = append.body.len();
        self.writes.push(BatchWrite::Append(append));
        self.writes.extend(blobs::pins(self.state.session.id, &facts));
        let apart =
            attempt.and_then(|attempt| attempt.led_apart(self.state.session.id, first, self.engine.now()));
        self.writes.extend(apart);
        self.commits.push(WrittenCommit { first, facts, bytes });
        Ok(())
    }

    /// Where the batch stands, as a head row; made once, however many need it.
    fn head(&mut self) -> Result<store::SessionHead, EngineFault> {
        let LoadedSession { session, workspace, snapshot, .. } = &*self.state;
        let head = match self.head.take() {
            Some(head) => head,
            None => self.engine.head_row(session, *workspace, snapshot)?,
        };
        Ok(self.head.insert(head).clone())
    }
}

fn append(
    first: u64,
    facts: &[Fact],
    head: store::SessionHead,
    receipt: Option<Vec<u8>>,
) -> Result<LogAppend, EngineFault> {
    let body = fact::encode(facts).map_err(EngineFault::unwritable)?;
    let count = u32::try_from(facts.len()).map_err(|_| EngineFault::Corrupt("a commit of too many facts"))?;
    Ok(LogAppend { session: head.session, first, count, at: head.updated_at, body, receipt, head })
}

/// After a commit that failed and may be durable all the same: the watchers read the log again, and so does
/// the follower, for what it may want.
fn reread_after_fault(engine: &Engine, live: &WorkedSession) {
    live.flow.tell(BroadcastItem::Doubt);
    engine.ensure_follower(live);
    live.nudge.notify_one();
}

/// After the commit is durable: the new state, then the watchers, then the follower.
fn publish(engine: &Engine, live: &WorkedSession, state: Arc<LoadedSession>, commits: Vec<WrittenCommit>) {
    {
        let mut scrolls = lock(&live.scrolls);
        for scroll in scrolls.values_mut() {
            for WrittenCommit { first, facts, .. } in &commits {
                // One that is behind catches up from the log when it is next needed.
                if scroll.head == *first {
                    for fact in facts {
                        scroll.transcript.apply(fact);
                    }
                    scroll.head += facts.len() as u64;
                }
            }
        }
    }
    let busy = !kernel::wants(&state.session).is_empty();
    let over = commits.iter().flat_map(|written| &written.facts).rev().find_map(SessionEnding::of);
    for fact in commits.iter().flat_map(|written| &written.facts) {
        if matches!(fact.what, FactContent::Note { note: Note::Ended { .. }, .. }) {
            engine.hands().leave(live.id, fact.thread);
            lock(&live.scrolls).remove(&fact.thread);
        }
    }
    live.set(Some(state));
    for WrittenCommit { first, facts, bytes } in commits {
        engine.counters().committed(facts.len());
        if live.flow.is_heard() {
            let small = bytes <= Broadcast::LARGEST;
            live.flow.tell(if small {
                BroadcastItem::Commit(Arc::new(PublishedCommit::of(first, facts, bytes)))
            } else {
                BroadcastItem::Moved
            });
        }
    }
    if busy {
        engine.ensure_follower(live);
    }
    if let Some(over) = over {
        engine.spawn(release_sandbox(engine.clone(), live.id, over));
    }
    live.nudge.notify_one();
}

impl Engine {
    /// A new id.
    pub fn mint<K: IdKind>(&self) -> protocol::id::Id<K> {
        protocol::id::Id::from_bits(self.dice().throw())
    }
}
