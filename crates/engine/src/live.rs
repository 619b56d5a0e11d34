//! A live session: what this process keeps in memory of one that is at work or being watched.

use std::collections::{BTreeMap, VecDeque};
use std::sync::{
    Arc, Mutex,
    atomic::{AtomicBool, AtomicUsize, Ordering},
};

use kernel::{Input, SessionState, Transcript};
use protocol::{SessionId, ThreadId, Timestamp, WorkspaceId, event::Event, memory};
use tokio::sync::{Notify, oneshot};

use crate::{
    attempt::PostAttempt, broadcast::Broadcast, fault::CommitError, lock::lock, summary::SnapshotHash,
};

/// One live session.
#[derive(Debug)]
pub(crate) struct LiveSession {
    pub(crate) id: SessionId,
    /// Who holds it.
    pub(crate) holders: SessionHolders,
    /// Whether this process has taken the session up: its jobs are then ours, and not of an earlier life.
    pub(crate) taken: AtomicBool,
    /// Whether it was deleted as it was, because its log is damaged: nobody follows it any more.
    pub(crate) buried: AtomicBool,
    /// What waits to be decided.
    pub(crate) inbox: Mutex<SessionInbox>,
    /// The state after the last durable commit; `None` until it is first needed.
    current: Mutex<Option<Arc<LoadedSession>>>,
    /// The threads' histories, for those that have asked a model lately.
    pub(crate) scrolls: Mutex<BTreeMap<ThreadId, CachedTranscript>>,
    /// Commits and previews, for whoever watches.
    pub(crate) flow: Broadcast,
    /// "The head moved", for the follower.
    pub(crate) nudge: Notify,
}

/// What waits, and who is at work on it.
#[derive(Debug, Default)]
pub(crate) struct SessionInbox {
    pub(crate) pending: VecDeque<PendingInput>,
    /// Whether a task is deciding what waits.
    pub(crate) draining: bool,
    /// Whether a follower runs the session's jobs.
    pub(crate) followed: bool,
}

/// One input on its way into the log. Without an input the state is only brought into memory.
#[derive(Debug)]
pub(crate) struct PendingInput {
    pub(crate) workspace: Option<WorkspaceId>,
    pub(crate) input: Option<Input>,
    /// The request that brought it, if a client did.
    pub(crate) attempt: Option<PostAttempt>,
    pub(crate) reply: oneshot::Sender<Result<Committed, CommitError>>,
}

/// What a commit did.
#[derive(Debug, Clone, PartialEq)]
pub struct Committed {
    /// The client events of the request, in its order; `processed_at` is null while one is queued.
    pub accepted: Vec<Event>,
    /// The head row after it.
    pub head: store::SessionHead,
    /// The moment that it tells of.
    pub at: Timestamp,
}

/// A session as its log has made it, and what the store must know beside it.
#[derive(Debug)]
pub(crate) struct LoadedSession {
    pub(crate) session: SessionState,
    pub(crate) workspace: WorkspaceId,
    pub(crate) snapshot: SnapshotHash,
    /// About how many bytes of memory its agent takes, which it may share.
    pub(crate) agent_bytes: usize,
}

impl LoadedSession {
    pub(crate) fn new(session: SessionState, workspace: WorkspaceId, snapshot: SnapshotHash) -> Self {
        let agent_bytes = memory::agent(&session.agent);
        Self { session, workspace, snapshot, agent_bytes }
    }

    /// About how many bytes of memory it takes, without its agent.
    pub(crate) fn bytes(&self) -> usize {
        size_of::<Self>() - size_of::<SessionState>() + self.session.bytes() + memory::PIECE
    }
}

/// A thread's history, and how far in the log it has come.
#[derive(Debug, Clone)]
pub(crate) struct CachedTranscript {
    pub(crate) head: u64,
    pub(crate) transcript: Transcript,
}

impl CachedTranscript {
    /// About how many bytes of memory it takes.
    pub(crate) fn bytes(&self) -> usize {
        size_of::<Self>() - size_of::<Transcript>() + self.transcript.bytes() + memory::PIECE
    }
}

/// How many hold a live session.
#[derive(Debug, Default)]
pub(crate) struct SessionHolders {
    pub(crate) workers: AtomicUsize,
    pub(crate) watchers: AtomicUsize,
}

impl LiveSession {
    pub(crate) fn new(id: SessionId) -> Self {
        Self {
            id,
            holders: SessionHolders::default(),
            taken: AtomicBool::new(false),
            buried: AtomicBool::new(false),
            inbox: Mutex::default(),
            current: Mutex::default(),
            scrolls: Mutex::default(),
            flow: Broadcast::default(),
            nudge: Notify::new(),
        }
    }

    pub(crate) fn current(&self) -> Option<Arc<LoadedSession>> {
        lock(&self.current).clone()
    }

    pub(crate) fn set(&self, state: Option<Arc<LoadedSession>>) {
        *lock(&self.current) = state;
    }

    /// Takes up what was folded while it rested: it is ours already.
    pub(crate) fn take_up(&self, state: Arc<LoadedSession>, scrolls: BTreeMap<ThreadId, CachedTranscript>) {
        self.taken.store(true, Ordering::Release);
        self.set(Some(state));
        *lock(&self.scrolls) = scrolls;
    }

    /// Gives up what it has folded, since nobody works on it any more.
    pub(crate) fn let_go(&self) -> (Option<Arc<LoadedSession>>, BTreeMap<ThreadId, CachedTranscript>) {
        (lock(&self.current).take(), std::mem::take(&mut lock(&self.scrolls)))
    }
}
