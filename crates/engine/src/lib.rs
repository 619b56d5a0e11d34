//! The pulse: commit (one door), follower (one loop), jobs, feed (one stream), leases.
//!
//! HTTP commits and follows; the follower of a session runs what the law wants; the log stands
//! between them. What this crate keeps in memory can be lost at any moment without harm.

mod agents;
mod attempt;
mod attempts;
mod blobs;
mod broadcast;
mod cache;
mod calls;
mod catalog;
mod clock;
mod commit;
mod counters;
mod damaged;
mod documents;
mod environments;
mod fault;
mod feed;
mod follower;
mod jobs;
pub mod keys;
mod lease;
mod limiter;
mod live;
mod lock;
mod log;
mod opening;
mod outcome;
mod over;
mod page;
mod pictures;
mod pins;
mod published;
mod reading;
mod room;
mod seldom;
mod sessions;
mod summary;
mod taken;
mod vital;

use std::sync::{Arc, Mutex};
use std::time::Duration;

use models::ModelClient;
use protocol::{
    SessionId, ThreadId, Timestamp, WorkspaceId, agent::SessionAgent, limits, routes::Routes,
    session::Session, session::SessionThread,
};
use sha2::{Digest as _, Sha256};
use store::Store;
use tokio::sync::{Notify, Semaphore};
use tokio_util::{sync::CancellationToken, task::TaskTracker};
use tools::ToolRunner;

pub use kernel::ThreadLimits;

#[cfg(debug_assertions)]
pub use crate::vital::ends;
pub use crate::vital::words;
pub use crate::{
    attempt::{PostAttempt, RecalledAttempts, RequestHash},
    catalog::{KNOWN, ServedModel},
    clock::{Clock, SeededEntropy},
    commit::NewSession,
    counters::EngineCounters,
    documents::{DocumentChange, DocumentError, DocumentListQuery, DocumentPage},
    fault::{CommitError, EngineFault, FollowError},
    feed::{Feed, FeedFrame, PreviewKind, Previews},
    live::Committed,
    opening::OpenError,
    page::{EventCursor, EventPage, EventQuery, ListOrder, TimeRange},
    pictures::shown,
    seldom::LogThrottle,
    sessions::MemoryUse,
};
use crate::{
    cache::ByteCache,
    limiter::RouteLimiters,
    lock::lock,
    reading::SharedCommits,
    sessions::{LiveSessions, WatchedSession, WorkedSession},
    summary::{AgentSnapshot, SessionSummary, SnapshotHash},
};

/// How often deleted sessions leave the store.
const SWEEP: Duration = Duration::from_secs(15);

/// Sessions taken up side by side after a start.
const RECOVERED_AT_ONCE: usize = 64;

/// What an engine is made of.
#[derive(Debug, Clone)]
pub struct EngineParts {
    /// Where everything is kept.
    pub store: Store,
    /// Who answers prompts.
    pub oracle: Arc<dyn ModelClient>,
    /// Who runs the built-in tools.
    pub hands: Arc<dyn ToolRunner>,
    /// Which provider answers for a model.
    pub routes: Routes,
    /// The time.
    pub clock: Clock,
    /// The dice.
    pub dice: SeededEntropy,
    /// How many threads a new session may have.
    pub tree: ThreadLimits,
    /// Bytes that sessions at rest may take in memory.
    pub cache_bytes: usize,
}

/// The engine. Clones share it.
#[derive(Debug, Clone)]
pub struct Engine(Arc<Inner>);

#[derive(Debug)]
struct Inner {
    parts: EngineParts,
    sessions: Arc<LiveSessions>,
    snapshots: Mutex<ByteCache<SnapshotHash, Arc<SessionAgent>>>,
    limiters: RouteLimiters,
    /// Large commits that readers are in the middle of.
    reading: SharedCommits,
    counters: Arc<EngineCounters>,
    catalog: catalog::ModelCatalog,
    lost: blobs::LostBlobs,
    /// Sessions were purged, and what they used may go.
    purged: Notify,
    tasks: TaskTracker,
    /// No new inputs, streams end.
    stop: CancellationToken,
    lease: lease::HeldLease,
    fallen: vital::FallenSessions,
    /// Outcomes that a full disk does not take.
    unkept: LogThrottle,
    #[cfg(debug_assertions)]
    ends: vital::ends::TaskEnds,
}

impl Engine {
    /// Takes the store for this process and goes on with whatever was under way in it.
    ///
    /// The store must be this process's alone (its data directory is locked): a lease that another
    /// process has left behind is taken over at once.
    pub async fn start(parts: EngineParts) -> Result<Self, EngineFault> {
        let lease = lease::claim(&parts).await?;
        let counters = Arc::<EngineCounters>::default();
        let engine = Self(Arc::new(Inner {
            sessions: LiveSessions::new(parts.cache_bytes, Arc::clone(&counters)),
            limiters: RouteLimiters::new(&parts.routes),
            reading: SharedCommits::default(),
            parts,
            snapshots: Mutex::new(ByteCache::new(limits::SNAPSHOT_CACHE_BYTES)),
            counters,
            catalog: catalog::ModelCatalog::default(),
            lost: blobs::LostBlobs::default(),
            purged: Notify::new(),
            tasks: TaskTracker::new(),
            stop: CancellationToken::new(),
            lease,
            fallen: vital::FallenSessions::default(),
            unkept: LogThrottle::every(Duration::from_secs(1)),
            #[cfg(debug_assertions)]
            ends: vital::ends::TaskEnds::default(),
        }));
        engine.measure().await;
        let busy = engine.store().busy().await?;
        engine.spawn_vital("engine-recovery", move |engine| recover(engine, busy.clone()));
        engine.spawn_vital("engine-sweep", sweep);
        engine.spawn_vital("engine-pins", pins::tend);
        engine.spawn_vital("engine-lease", lease::keep);
        Ok(engine)
    }

    /// Ends: no new inputs, streams end, model requests are cut, running tools get `limits::DRAIN_S`,
    /// what is being written is written, the lease is released. What was cut is settled at the next start
    /// (docs/rules.md 2).
    pub async fn stop(&self) {
        self.0.stop.cancel();
        self.0.tasks.close();
        self.0.tasks.wait().await;
        self.hands().stop().await;
        if let Err(fault) = lease::release(self).await {
            tracing::warn!(%fault, "the lease could not be released");
        }
    }

    /// Takes down what the disk holds, and what is free on it.
    async fn measure(&self) {
        self.counters().blobs(self.store().blob_bytes());
        if let Some(bytes) = self.store().free_bytes().await {
            self.counters().free(bytes);
        }
    }

    /// The time.
    pub fn now(&self) -> Timestamp {
        self.clock().now()
    }

    /// Where everything is kept. Documents go there directly, session logs only through the engine.
    pub fn store(&self) -> &Store {
        &self.0.parts.store
    }

    /// Which provider answers for a model.
    pub fn routes(&self) -> &Routes {
        &self.0.parts.routes
    }

    /// What the engine counts.
    pub fn counters(&self) -> &Arc<EngineCounters> {
        &self.0.counters
    }

    /// What it holds in memory of its sessions.
    pub fn memory(&self) -> MemoryUse {
        MemoryUse { reading_bytes: self.reading().bytes(), ..self.0.sessions.memory() }
    }

    /// Whether the engine is ending.
    pub fn stopping(&self) -> bool {
        self.0.stop.is_cancelled()
    }

    /// Cancelled when the engine ends.
    pub fn stop_token(&self) -> CancellationToken {
        self.0.stop.clone()
    }

    /// A session as the API shows it; `None`: unknown or deleted. Reads the head row, never folds.
    pub async fn session(
        &self,
        workspace: WorkspaceId,
        session: SessionId,
    ) -> Result<Option<Session>, EngineFault> {
        match self.store().head(workspace, session).await?.filter(|head| head.deleted_at.is_none()) {
            Some(head) => self.object(&head).await.map(Some),
            None => Ok(None),
        }
    }

    /// A head row as the API shows it.
    pub async fn object(&self, head: &store::SessionHead) -> Result<Session, EngineFault> {
        self.object_at(head, self.now()).await
    }

    /// The same, at this moment.
    pub async fn object_at(&self, head: &store::SessionHead, at: Timestamp) -> Result<Session, EngineFault> {
        let summary = SessionSummary::read(&head.body)?;
        let agent = self.agent(&summary.hash()?).await?;
        Ok(summary::session_object(head, &summary, &agent, at))
    }

    /// The session's threads, the primary first; `None`: no such session.
    pub async fn threads(
        &self,
        workspace: WorkspaceId,
        session: SessionId,
    ) -> Result<Option<Vec<SessionThread>>, EngineFault> {
        let head = self.store().head(workspace, session).await?.filter(|head| head.deleted_at.is_none());
        let Some(head) = head else { return Ok(None) };
        self.threads_at(&head, self.now(), None).await.map(Some)
    }

    /// One of them; `None`: no such session, or it has no such thread.
    pub async fn thread(
        &self,
        workspace: WorkspaceId,
        session: SessionId,
        thread: ThreadId,
    ) -> Result<Option<SessionThread>, EngineFault> {
        match self.store().head(workspace, session).await?.filter(|head| head.deleted_at.is_none()) {
            Some(head) => self.thread_at(&head, self.now(), thread).await,
            None => Ok(None),
        }
    }

    /// A thread of a head row at this moment.
    pub async fn thread_at(
        &self,
        head: &store::SessionHead,
        at: Timestamp,
        thread: ThreadId,
    ) -> Result<Option<SessionThread>, EngineFault> {
        self.threads_at(head, at, Some(thread)).await.map(|found| found.into_iter().next())
    }

    async fn threads_at(
        &self,
        head: &store::SessionHead,
        at: Timestamp,
        only: Option<ThreadId>,
    ) -> Result<Vec<SessionThread>, EngineFault> {
        let summary = SessionSummary::read(&head.body)?;
        let agent = self.agent(&summary.hash()?).await?;
        Ok(summary::thread_objects(head, &summary, &agent, at, only))
    }

    /// The body of the last request to a thread's model, as a provider is sent it: for debugging. `None`: no
    /// such session or thread, or no request yet.
    pub async fn last_request(
        &self,
        workspace: WorkspaceId,
        session: SessionId,
        thread: ThreadId,
    ) -> Result<Option<Vec<u8>>, EngineFault> {
        let head = self.store().head(workspace, session).await?.filter(|head| head.deleted_at.is_none());
        let Some(head) = head else { return Ok(None) };
        let summary = SessionSummary::read(&head.body)?;
        if !summary.has(thread) {
            return Ok(None);
        }
        let agent = self.agent(&summary.hash()?).await?;
        let prompt = log::last_prompt(self, &head, agent, thread).await?;
        Ok(prompt.and_then(|prompt| self.oracle().request(&prompt)))
    }

    /// How many threads a new session may have, and how deep.
    pub fn tree(&self) -> ThreadLimits {
        self.0.parts.tree
    }

    fn clock(&self) -> &Clock {
        &self.0.parts.clock
    }

    fn dice(&self) -> &SeededEntropy {
        &self.0.parts.dice
    }

    fn moment(&self) -> kernel::Moment {
        self.dice().moment(self.clock())
    }

    fn oracle(&self) -> &dyn ModelClient {
        self.0.parts.oracle.as_ref()
    }

    fn hands(&self) -> &dyn ToolRunner {
        self.0.parts.hands.as_ref()
    }

    fn purged(&self) -> &Notify {
        &self.0.purged
    }

    fn lost(&self) -> &blobs::LostBlobs {
        &self.0.lost
    }

    fn unkept(&self) -> &LogThrottle {
        &self.0.unkept
    }

    fn limiters(&self) -> &RouteLimiters {
        &self.0.limiters
    }

    fn reading(&self) -> &SharedCommits {
        &self.0.reading
    }

    /// The one place where the engine starts a task; `stop` waits for all of them.
    fn spawn(&self, task: impl Future<Output = ()> + Send + 'static) {
        self.0.tasks.spawn(task);
    }

    fn work(&self, session: SessionId) -> WorkedSession {
        self.0.sessions.work(session)
    }

    fn watch(&self, session: SessionId) -> WatchedSession {
        self.0.sessions.watch(session)
    }

    async fn agent(&self, hash: &SnapshotHash) -> Result<Arc<SessionAgent>, EngineFault> {
        if let Some(agent) = lock(&self.0.snapshots).get(hash) {
            return Ok(Arc::clone(agent));
        }
        let body = self.store().snapshot(hash).await?.ok_or(EngineFault::Corrupt("a missing snapshot"))?;
        if SnapshotHash::from(Sha256::digest(&body)) != *hash {
            return Err(EngineFault::Corrupt("a snapshot of an agent that is damaged on the disk"));
        }
        let agent = Arc::new(serde_json::from_slice(&body).map_err(EngineFault::unreadable)?);
        self.learn(&AgentSnapshot { hash: *hash, agent: Arc::clone(&agent) });
        Ok(agent)
    }

    /// The agent of a snapshot: the one that sessions share already, if there is one.
    fn shared(&self, snapshot: &AgentSnapshot) -> Arc<SessionAgent> {
        let known = lock(&self.0.snapshots).get(&snapshot.hash).map(Arc::clone);
        known.unwrap_or_else(|| Arc::clone(&snapshot.agent))
    }

    fn knows(&self, hash: &SnapshotHash) -> bool {
        lock(&self.0.snapshots).get(hash).is_some()
    }

    fn learn(&self, snapshot: &AgentSnapshot) {
        if self.knows(&snapshot.hash) {
            return;
        }
        let bytes = protocol::memory::agent(&snapshot.agent);
        let gone = lock(&self.0.snapshots).put(snapshot.hash, Arc::clone(&snapshot.agent), bytes);
        drop(gone);
    }
}

/// Brings every session that was at work back to it, some side by side so that their commits share a sync.
async fn recover(engine: Engine, busy: Vec<SessionId>) {
    let lanes = Arc::new(Semaphore::new(RECOVERED_AT_ONCE));
    for session in busy {
        let Ok(lane) = Arc::clone(&lanes).acquire_owned().await else { return };
        let one = engine.clone();
        engine.spawn_for(session, "session-recovery", async move {
            match one.touch(session).await {
                Ok(()) | Err(CommitError::NotFound | CommitError::Stopping) => {}
                // Its follower says so.
                Err(wrong) if wrong.is_damage() => {}
                Err(wrong) => tracing::error!(%session, %wrong, "a session could not be taken up again"),
            }
            drop(lane);
        });
    }
}

/// Lets go of the logs of deleted sessions, of receipts whose time is over, and of what readers who stalled
/// have not heard.
async fn sweep(engine: Engine) {
    loop {
        if let Err(fault) = engine.store().keep_room().await {
            tracing::warn!(%fault, "no room could be kept on the disk for the moment when it is full");
        }
        tokio::select! {
            () = engine.0.stop.cancelled() => return,
            () = tokio::time::sleep(SWEEP) => {}
        }
        engine.0.sessions.age();
        let now = engine.now();
        let before = Timestamp::from_micros(now.micros() - (limits::PURGE_S * 1_000_000) as i64);
        match engine.store().purge(before, 100).await {
            Ok(0) => {}
            Ok(_) => engine.purged().notify_one(),
            Err(fault) => tracing::warn!(%fault, "deleted sessions could not be purged"),
        }
        if let Err(fault) = engine.forget().await {
            tracing::warn!(%fault, "receipts whose time is over could not be removed");
        }
        engine.measure().await;
    }
}
