//! The sessions in memory. One that is worked on or watched is live, and is let go as soon as it is neither.
//! What it had folded then rests in a cache that is bounded in bytes, so that its next turn folds nothing.

use std::collections::{BTreeMap, HashMap};
use std::ops::Deref;
use std::sync::{Arc, Mutex, atomic::Ordering};

use kernel::wants;
use protocol::{SessionId, ThreadId};

use crate::{
    cache::ByteCache,
    counters::EngineCounters,
    live::{CachedTranscript, LiveSession, LoadedSession},
    lock::lock,
};

/// See the file.
#[derive(Debug)]
pub(crate) struct LiveSessions {
    kept: Mutex<Kept>,
    counters: Arc<EngineCounters>,
}

#[derive(Debug)]
struct Kept {
    live: HashMap<SessionId, Arc<LiveSession>>,
    /// Of sessions that nobody works on; a session has its state here or in `live`, never in both.
    rested: ByteCache<SessionId, RestedSession>,
    /// The agents of these, by where they lie in memory: how many share one, and its bytes.
    agents: HashMap<usize, (usize, usize)>,
    agents_bytes: usize,
    bytes_max: usize,
}

/// What a session that rests had folded.
#[derive(Debug)]
pub(crate) struct RestedSession {
    state: Arc<LoadedSession>,
    scrolls: BTreeMap<ThreadId, CachedTranscript>,
}

impl LiveSessions {
    pub(crate) fn new(rested_bytes_max: usize, counters: Arc<EngineCounters>) -> Arc<Self> {
        let kept = Kept {
            live: HashMap::new(),
            rested: ByteCache::new(rested_bytes_max),
            agents: HashMap::new(),
            agents_bytes: 0,
            bytes_max: rested_bytes_max,
        };
        Arc::new(Self { kept: Mutex::new(kept), counters })
    }

    /// Holds a session to work on it: with all that it had folded, and until the hold is dropped.
    pub(crate) fn work(self: &Arc<Self>, session: SessionId) -> WorkedSession {
        let mut kept = lock(&self.kept);
        let live = self.live(&mut kept, session);
        if live.holders.workers.fetch_add(1, Ordering::AcqRel) == 0
            && let Some(folded) = kept.take_up(&session)
        {
            self.counters.resting(kept.rested.len(), kept.bytes());
            live.take_up(folded.state, folded.scrolls);
        }
        WorkedSession { sessions: Arc::clone(self), live }
    }

    /// Holds a session to hear of it.
    pub(crate) fn watch(self: &Arc<Self>, session: SessionId) -> WatchedSession {
        let live = self.live(&mut lock(&self.kept), session);
        live.holders.watchers.fetch_add(1, Ordering::AcqRel);
        WatchedSession { sessions: Arc::clone(self), live }
    }

    fn live(&self, kept: &mut Kept, session: SessionId) -> Arc<LiveSession> {
        let live =
            Arc::clone(kept.live.entry(session).or_insert_with(|| Arc::new(LiveSession::new(session))));
        self.counters.live(kept.live.len());
        live
    }

    /// What is in memory now.
    #[expect(clippy::disallowed_methods, reason = "a sum is the same in any order")]
    pub(crate) fn memory(&self) -> MemoryUse {
        let kept = lock(&self.kept);
        let told: u64 = kept.live.values().map(|live| live.flow.bytes() as u64).sum();
        MemoryUse {
            live: kept.live.len(),
            resting: kept.rested.len(),
            resting_bytes: kept.bytes(),
            told_bytes: told as usize,
            reading_bytes: 0,
        }
    }

    /// Cuts down what readers who stalled have not heard.
    #[expect(clippy::disallowed_methods, reason = "each for itself, in any order")]
    pub(crate) fn age(&self) {
        lock(&self.kept).live.values().for_each(|live| live.flow.age());
    }

    /// Lets go of what nobody holds any more. Holders come only under the lock, so that one who comes now
    /// finds the session as it was, or what it had folded, or neither yet.
    fn settle(&self, live: &Arc<LiveSession>) {
        loop {
            let state = live.current();
            // Weighed before the lock is taken, and again if somebody worked on it meanwhile.
            let rest = state.as_ref().filter(|state| rests(state)).map(|state| state.bytes());
            let mut kept = lock(&self.kept);
            let known = kept.live.get(&live.id).is_some_and(|known| Arc::ptr_eq(known, live));
            if !known || live.holders.workers.load(Ordering::Acquire) > 0 {
                return;
            }
            if !same(state.as_ref(), live.current().as_ref()) {
                continue;
            }
            let (left, scrolls) = live.let_go();
            let bytes =
                rest.unwrap_or_default() + scrolls.values().map(CachedTranscript::bytes).sum::<usize>();
            let gone = match left {
                Some(left) if rest.is_some() => {
                    let folded = RestedSession { state: left, scrolls };
                    kept.rest(live.id, folded, bytes)
                }
                Some(left) => vec![RestedSession { state: left, scrolls }],
                None => Vec::new(),
            };
            if live.holders.watchers.load(Ordering::Acquire) == 0 {
                kept.live.remove(&live.id);
                if kept.live.capacity() > 4 * kept.live.len().max(1_024) {
                    kept.live.shrink_to_fit();
                }
                self.counters.live(kept.live.len());
            }
            self.counters.resting(kept.rested.len(), kept.bytes());
            drop(kept);
            drop(gone);
            return;
        }
    }
}

impl Kept {
    fn bytes(&self) -> usize {
        self.rested.bytes() + self.agents_bytes
    }

    /// Keeps what a session had folded, and gives back what had to go for it.
    fn rest(&mut self, session: SessionId, folded: RestedSession, bytes: usize) -> Vec<RestedSession> {
        let (agent, agent_bytes) = folded.agent();
        let sharers = self.agents.entry(agent).or_insert((0, agent_bytes));
        if sharers.0 == 0 {
            self.agents_bytes += agent_bytes;
        }
        sharers.0 += 1;
        let mut gone = self.rested.put(session, folded, bytes);
        for folded in &gone {
            self.forget_agent(folded);
        }
        while self.bytes() > self.bytes_max
            && let Some(oldest) = self.rested.pop()
        {
            self.forget_agent(&oldest);
            gone.push(oldest);
        }
        gone
    }

    fn take_up(&mut self, session: &SessionId) -> Option<RestedSession> {
        let folded = self.rested.take(session)?;
        self.forget_agent(&folded);
        Some(folded)
    }

    fn forget_agent(&mut self, folded: &RestedSession) {
        let (agent, _) = folded.agent();
        if let Some(sharers) = self.agents.get_mut(&agent) {
            sharers.0 -= 1;
            if sharers.0 == 0 {
                self.agents_bytes -= sharers.1;
                self.agents.remove(&agent);
            }
        }
    }
}

impl RestedSession {
    /// Where its agent lies in memory, and the bytes of that.
    fn agent(&self) -> (usize, usize) {
        (Arc::as_ptr(&self.state.session.agent).addr(), self.state.agent_bytes)
    }
}

/// What an engine holds in memory of its sessions.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct MemoryUse {
    /// Sessions that are worked on or watched.
    pub live: usize,
    /// Sessions at rest in the cache.
    pub resting: usize,
    /// Bytes that these take, by estimate.
    pub resting_bytes: usize,
    /// Bytes that live sessions keep for watchers who have not heard them.
    pub told_bytes: usize,
    /// Bytes of large commits that readers are in the middle of.
    pub reading_bytes: usize,
}

fn same(one: Option<&Arc<LoadedSession>>, other: Option<&Arc<LoadedSession>>) -> bool {
    match (one, other) {
        (Some(one), Some(other)) => Arc::ptr_eq(one, other),
        (None, None) => true,
        (Some(_), None) | (None, Some(_)) => false,
    }
}

/// Whether it is worth keeping. One that wants something and has nobody at work was cut off, as by a crash:
/// whoever comes next takes it up from the log, as after one.
fn rests(state: &LoadedSession) -> bool {
    !state.session.over() && wants(&state.session).is_empty()
}

/// A session that is worked on. Clones hold it too.
#[derive(Debug)]
pub(crate) struct WorkedSession {
    sessions: Arc<LiveSessions>,
    live: Arc<LiveSession>,
}

impl Clone for WorkedSession {
    fn clone(&self) -> Self {
        self.live.holders.workers.fetch_add(1, Ordering::AcqRel);
        Self { sessions: Arc::clone(&self.sessions), live: Arc::clone(&self.live) }
    }
}

impl Drop for WorkedSession {
    fn drop(&mut self) {
        if self.live.holders.workers.fetch_sub(1, Ordering::AcqRel) == 1 {
            self.sessions.settle(&self.live);
        }
    }
}

impl Deref for WorkedSession {
    type Target = LiveSession;

    fn deref(&self) -> &LiveSession {
        &self.live
    }
}

/// A session that is watched.
#[derive(Debug)]
pub(crate) struct WatchedSession {
    sessions: Arc<LiveSessions>,
    live: Arc<LiveSession>,
}

impl Drop for WatchedSession {
    fn drop(&mut self) {
        if self.live.holders.watchers.fetch_sub(1, Ordering::AcqRel) == 1 {
            self.sessions.settle(&self.live);
        }
    }
}

impl Deref for WatchedSession {
    type Target = LiveSession;

    fn deref(&self) -> &LiveSession {
        &self.live
    }
}
