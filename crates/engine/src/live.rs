//! A live session: what this process keeps in memory of one that is at work or being watched.

use std::borrow::Cow;
use std::collections::{BTreeMap, VecDeque};
use std::io;
use std::sync::{Arc, Mutex, MutexGuard, OnceLock, PoisonError, atomic::AtomicBool, atomic::Ordering};

use kernel::{
    Fact, Input, Note, Session, Transcript, What,
    fact::decode,
    view::{self, Viewer},
};
use protocol::{SessionId, Stamp, ThreadId, WorkspaceId, event::Event, memory};
use tokio::sync::{Notify, oneshot};

use crate::{
    attempts::Attempt,
    broadcast::Broadcast,
    fault::{CommitError, Fault},
    sessions::Holders,
    summary::Hash,
};

/// One live session.
#[derive(Debug)]
pub(crate) struct Live {
    pub(crate) id: SessionId,
    /// Who holds it.
    pub(crate) holders: Holders,
    /// Whether this process has taken the session up: its jobs are then ours, and not of an earlier life.
    pub(crate) taken: AtomicBool,
    /// Whether it was deleted as it was, because its log is damaged: nobody follows it any more.
    pub(crate) buried: AtomicBool,
    /// What waits to be decided.
    pub(crate) inbox: Mutex<Inbox>,
    /// The state after the last durable commit; `None` until it is first needed.
    current: Mutex<Option<Arc<State>>>,
    /// The threads' histories, for those that have asked a model lately.
    pub(crate) scrolls: Mutex<BTreeMap<ThreadId, Scroll>>,
    /// Commits and previews, for whoever watches.
    pub(crate) flow: Broadcast,
    /// "The head moved", for the follower.
    pub(crate) nudge: Notify,
}

/// What waits, and who is at work on it.
#[derive(Debug, Default)]
pub(crate) struct Inbox {
    pub(crate) pending: VecDeque<Pending>,
    /// Whether a task is deciding what waits.
    pub(crate) draining: bool,
    /// Whether a follower runs the session's jobs.
    pub(crate) followed: bool,
}

/// One input on its way into the log. Without an input the state is only brought into memory.
#[derive(Debug)]
pub(crate) struct Pending {
    pub(crate) workspace: Option<WorkspaceId>,
    pub(crate) input: Option<Input>,
    /// The request that brought it, if a client did.
    pub(crate) attempt: Option<Attempt>,
    pub(crate) reply: oneshot::Sender<Result<Committed, CommitError>>,
}

/// What a commit did.
#[derive(Debug, Clone, PartialEq)]
pub struct Committed {
    /// The client events of the request, in its order; `processed_at` is null while one is queued.
    pub accepted: Vec<Event>,
    /// The head row after it.
    pub head: store::Head,
    /// The moment that it tells of.
    pub at: Stamp,
}

/// A session as its log has made it, and what the store must know beside it.
#[derive(Debug)]
pub(crate) struct State {
    pub(crate) session: Session,
    pub(crate) workspace: WorkspaceId,
    pub(crate) snapshot: Hash,
    /// About how many bytes of memory its agent takes, which it may share.
    pub(crate) agent_bytes: usize,
}

impl State {
    pub(crate) fn new(session: Session, workspace: WorkspaceId, snapshot: Hash) -> Self {
        let agent_bytes = memory::agent(&session.agent);
        Self { session, workspace, snapshot, agent_bytes }
    }

    /// About how many bytes of memory it takes, without its agent.
    pub(crate) fn bytes(&self) -> usize {
        size_of::<Self>() - size_of::<Session>() + self.session.bytes() + memory::PIECE
    }
}

/// A thread's history, and how far in the log it has come.
#[derive(Debug, Clone)]
pub(crate) struct Scroll {
    pub(crate) head: u64,
    pub(crate) transcript: Transcript,
}

impl Scroll {
    /// About how many bytes of memory it takes.
    pub(crate) fn bytes(&self) -> usize {
        size_of::<Self>() - size_of::<Transcript>() + self.transcript.bytes() + memory::PIECE
    }
}

/// The public part of one commit.
#[derive(Debug)]
pub(crate) struct Commit {
    pub(crate) first: u64,
    pub(crate) end: u64,
    pub(crate) posts: Vec<Post>,
    /// What the log takes for it.
    pub(crate) bytes: usize,
}

/// An event of a commit, or an event that was queued by it.
#[derive(Debug, Clone)]
pub(crate) struct Post {
    pub(crate) position: u64,
    pub(crate) thread: ThreadId,
    pub(crate) event: Arc<Event>,
    pub(crate) queued: bool,
    written: OnceLock<usize>,
}

impl Post {
    /// Bytes of the event as it is written. It takes a while to know, and many ask.
    pub(crate) fn written(&self) -> usize {
        *self.written.get_or_init(|| written(&self.event))
    }

    /// The event as `viewer` sees it, if it does.
    pub(crate) fn seen(&self, viewer: Viewer) -> Option<Arc<Event>> {
        if self.queued {
            return view::waits(self.thread, &self.event, viewer).then(|| Arc::clone(&self.event));
        }
        view::shown(self.thread, &self.event, viewer).map(|shown| match shown {
            Cow::Borrowed(_) => Arc::clone(&self.event),
            Cow::Owned(event) => Arc::new(event),
        })
    }
}

/// Bytes of an event as it is written; they are counted and not kept.
pub(crate) fn written(event: &Event) -> usize {
    let mut length = Length(0);
    serde_json::to_writer(&mut length, event).map_or(0, |()| length.0)
}

struct Length(usize);

impl io::Write for Length {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        self.0 += bytes.len();
        Ok(bytes.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

impl Commit {
    pub(crate) fn of(first: u64, facts: Vec<Fact>, bytes: usize) -> Self {
        let end = first + facts.len() as u64;
        let post = |(position, fact): (u64, Fact)| {
            let (event, queued) = match fact.what {
                What::Event { event, .. } => (event, false),
                What::Note { note: Note::Queued { event, .. }, .. } => (*event, true),
                What::Note { .. } => return None,
            };
            Some(Post {
                position,
                thread: fact.thread,
                event: Arc::new(event),
                queued,
                written: OnceLock::new(),
            })
        };
        Self { first, end, posts: (first..).zip(facts).filter_map(post).collect(), bytes }
    }

    pub(crate) fn read(row: &store::Row) -> Result<Self, Fault> {
        Ok(Self::of(row.first, decode(&row.body).map_err(Fault::unreadable)?, row.body.len()))
    }
}

impl Live {
    pub(crate) fn new(id: SessionId) -> Self {
        Self {
            id,
            holders: Holders::default(),
            taken: AtomicBool::new(false),
            buried: AtomicBool::new(false),
            inbox: Mutex::default(),
            current: Mutex::default(),
            scrolls: Mutex::default(),
            flow: Broadcast::default(),
            nudge: Notify::new(),
        }
    }

    pub(crate) fn current(&self) -> Option<Arc<State>> {
        lock(&self.current).clone()
    }

    pub(crate) fn set(&self, state: Option<Arc<State>>) {
        *lock(&self.current) = state;
    }

    /// Takes up what was folded while it rested: it is ours already.
    pub(crate) fn take_up(&self, state: Arc<State>, scrolls: BTreeMap<ThreadId, Scroll>) {
        self.taken.store(true, Ordering::Release);
        self.set(Some(state));
        *lock(&self.scrolls) = scrolls;
    }

    /// Gives up what it has folded, since nobody works on it any more.
    pub(crate) fn let_go(&self) -> (Option<Arc<State>>, BTreeMap<ThreadId, Scroll>) {
        (lock(&self.current).take(), std::mem::take(&mut lock(&self.scrolls)))
    }
}

/// Locks without minding a panic elsewhere: what is behind our locks is replaced whole, never half-changed.
pub(crate) fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}
