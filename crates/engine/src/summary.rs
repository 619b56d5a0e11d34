//! The head row's body: what lists of sessions and threads, GET and start-up read instead of folding the log
//! (docs/rules.md 8), and the API's objects made of it.

use std::sync::Arc;

use kernel::{clock::Stopwatch, session::SessionState, status};
use protocol::{
    ThreadId, Timestamp, WorkspaceId,
    agent::{RosterMember, SessionAgent},
    parse::Metadata,
    session::{SessionStats, SessionStatus, SessionThread, ThreadStats},
    usage::{RequestTokens, Usage},
};
use serde::{Deserialize, Serialize};
use sha2::{Digest, Sha256};

use crate::{Engine, fault::EngineFault};

/// A content hash: names a snapshot.
pub(crate) type SnapshotHash = [u8; 32];

/// An agent's snapshot as the store keeps it: once, by the hash of its bytes.
#[derive(Debug, Clone)]
pub(crate) struct AgentSnapshot {
    pub(crate) hash: SnapshotHash,
    pub(crate) agent: Arc<SessionAgent>,
}

impl AgentSnapshot {
    pub(crate) fn of(agent: &Arc<SessionAgent>) -> Result<(Self, Vec<u8>), EngineFault> {
        let body = serde_json::to_vec(agent.as_ref()).map_err(EngineFault::unwritable)?;
        let hash: SnapshotHash = Sha256::digest(&body).into();
        Ok((Self { hash, agent: Arc::clone(agent) }, body))
    }
}

/// A hash as a head row names it; [`SessionSummary::hash`] reads it.
fn digits(hash: &SnapshotHash) -> String {
    hash.iter().fold(String::new(), |digits, byte| format!("{digits}{byte:02x}"))
}

/// What the head row holds beside its columns.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub(crate) struct SessionSummary {
    /// The snapshot the session works with now.
    pub(crate) agent: String,
    title: Option<String>,
    metadata: Metadata,
    clock: Stopwatch,
    /// How many events wait in the queue.
    pub(crate) queued: usize,
    /// The primary first.
    threads: Vec<ThreadSummary>,
}

#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
struct ThreadSummary {
    id: ThreadId,
    parent: Option<ThreadId>,
    status: SessionStatus,
    tokens: RequestTokens,
    clock: Stopwatch,
    /// Its agent's place in its parent's roster.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    member: Option<usize>,
    created_at: Timestamp,
    updated_at: Timestamp,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    archived_at: Option<Timestamp>,
}

impl SessionSummary {
    pub(crate) fn read(body: &[u8]) -> Result<Self, EngineFault> {
        serde_json::from_slice(body).map_err(EngineFault::unreadable)
    }

    pub(crate) fn hash(&self) -> Result<SnapshotHash, EngineFault> {
        let mut hash = SnapshotHash::default();
        let digits = self.agent.as_bytes();
        for (byte, pair) in hash.iter_mut().zip(digits.chunks_exact(2)) {
            let text = std::str::from_utf8(pair).map_err(|_| EngineFault::Corrupt("a snapshot's hash"))?;
            *byte = u8::from_str_radix(text, 16).map_err(|_| EngineFault::Corrupt("a snapshot's hash"))?;
        }
        if digits.len() == 64 { Ok(hash) } else { Err(EngineFault::Corrupt("a snapshot's hash")) }
    }

    fn of(session: &SessionState, snapshot: &SnapshotHash) -> Self {
        let threads = session.threads().map(|thread| ThreadSummary {
            id: thread.id,
            parent: thread.parent,
            status: status::thread(session, thread).status(),
            tokens: thread.tokens,
            clock: thread.clock,
            member: thread.member,
            created_at: thread.created_at,
            updated_at: thread.updated_at,
            archived_at: thread.archived_at,
        });
        Self {
            agent: digits(snapshot),
            title: session.title.clone(),
            metadata: session.metadata.clone(),
            clock: session.clock,
            queued: session.queued().count(),
            threads: threads.collect(),
        }
    }

    fn tokens(&self) -> RequestTokens {
        self.threads.iter().fold(RequestTokens::default(), |sum, thread| sum.plus(thread.tokens))
    }

    /// The primary thread.
    pub(crate) fn primary(&self) -> Option<ThreadId> {
        self.threads.first().map(|thread| thread.id)
    }

    /// Whether the session has this thread.
    pub(crate) fn has(&self, thread: ThreadId) -> bool {
        self.threads.iter().any(|known| known.id == thread)
    }

    /// Whether the session has this thread, and it is over.
    pub(crate) fn is_over(&self, thread: ThreadId) -> bool {
        self.threads.iter().any(|known| known.id == thread && known.status == SessionStatus::Terminated)
    }

    /// The agent of a child thread, in the roster of `agent`, who is the session's.
    fn member<'a>(&self, agent: &'a SessionAgent, thread: &ThreadSummary) -> Option<&'a RosterMember> {
        let parent = self.threads.iter().find(|known| Some(known.id) == thread.parent)?;
        let roster = match parent.parent {
            None => agent.members(),
            Some(_) => &self.member(agent, parent)?.multiagent.as_ref()?.agents,
        };
        roster.get(thread.member?)
    }
}

impl Engine {
    /// The head row of `session`, counted: a commit makes it once.
    pub(crate) fn head_row(
        &self,
        session: &SessionState,
        workspace: WorkspaceId,
        snapshot: &SnapshotHash,
    ) -> Result<store::SessionHead, EngineFault> {
        self.counters().made_head();
        head(session, workspace, snapshot)
    }
}

fn head(
    session: &SessionState,
    workspace: WorkspaceId,
    snapshot: &SnapshotHash,
) -> Result<store::SessionHead, EngineFault> {
    let body = serde_json::to_vec(&SessionSummary::of(session, snapshot)).map_err(EngineFault::unwritable)?;
    let due = kernel::wants(session).into_iter().filter_map(|want| match want {
        kernel::Want::Wake { at, .. } => Some(at),
        kernel::Want::Ask { .. } | kernel::Want::Run { .. } => None,
    });
    Ok(store::SessionHead {
        session: session.id,
        workspace,
        position: session.head,
        status: status::session(session).status(),
        due: due.min(),
        created_at: session.created_at,
        updated_at: session.last,
        archived_at: session.archived_at,
        deleted_at: session.deleted_at,
        agent: session.agent.definition.id,
        agent_version: session.agent.definition.version,
        environment: session.environment.ok_or(EngineFault::Corrupt("a session without its first fact"))?,
        body,
    })
}

/// The API's session object.
pub(crate) fn session_object(
    head: &store::SessionHead,
    summary: &SessionSummary,
    agent: &SessionAgent,
    now: Timestamp,
) -> protocol::session::Session {
    let now = summary.clock.ended.unwrap_or(now);
    let active: u64 = summary.threads.iter().map(|thread| thread.clock.active(now)).sum();
    protocol::session::Session {
        id: head.session,
        agent: agent.clone(),
        environment_id: head.environment,
        title: summary.title.clone(),
        metadata: summary.metadata.clone(),
        resources: Vec::new(),
        vault_ids: Vec::new(),
        budget: None,
        deployment_id: None,
        outcome_evaluations: Vec::new(),
        stats: SessionStats {
            active_seconds: Some(seconds(active)),
            duration_seconds: Some(seconds(now.since(head.created_at).as_micros() as u64)),
        },
        usage: Usage::of(summary.tokens(), seconds(summary.clock.active(now))),
        status: head.status,
        created_at: head.created_at,
        updated_at: head.updated_at,
        archived_at: head.archived_at,
    }
}

/// The API's object of each thread that is asked for, the primary first.
pub(crate) fn thread_objects(
    head: &store::SessionHead,
    summary: &SessionSummary,
    agent: &SessionAgent,
    now: Timestamp,
    only: Option<ThreadId>,
) -> Vec<SessionThread> {
    let object = |thread: &ThreadSummary| {
        let end = thread.clock.ended.unwrap_or(now);
        let active = seconds(thread.clock.active(end));
        let startup = match (thread.parent, thread.clock.first) {
            (None, Some(first)) => seconds(first.since(thread.created_at).as_micros() as u64),
            (Some(_), _) | (None, None) => 0.0,
        };
        SessionThread {
            id: thread.id,
            session_id: head.session,
            parent_thread_id: thread.parent,
            agent: match summary.member(agent, thread) {
                Some(member) => member.agent.clone(),
                None => agent.into(),
            },
            status: thread.status,
            stats: thread.clock.ever.then(|| ThreadStats {
                active_seconds: Some(active),
                duration_seconds: Some(seconds(end.since(thread.created_at).as_micros() as u64)),
                startup_seconds: Some(startup),
            }),
            usage: thread.clock.ever.then(|| Usage::of(thread.tokens, active)),
            workflow_run_id: None,
            created_at: thread.created_at,
            updated_at: thread.updated_at,
            archived_at: thread.archived_at,
        }
    };
    let asked = |thread: &&ThreadSummary| only.is_none_or(|only| thread.id == only);
    summary.threads.iter().filter(asked).map(object).collect()
}

fn seconds(micros: u64) -> f64 {
    micros as f64 / 1_000_000.0
}

#[cfg(test)]
mod tests {
    use super::*;
    use kernel::{Moment, Seed, SessionOpening, ThreadLimits};
    use protocol::{EnvironmentId, SessionId};

    /// A snapshot and a head row, as earlier versions have kept them.
    const KEPT: &str = "{\"type\":\"agent\",\"id\":\"agent_1111111111111111111112\",\"version\":3,\"name\":\"a\",\
        \"description\":null,\"model\":{\"id\":\"m\",\"effort\":{\"type\":\"high\"},\
        \"inference_geo\":null,\"speed\":\"standard\"},\"system\":\"s\",\"tools\":[{\"type\":\"custom\",\
        \"name\":\"look_up\",\"description\":\"d\",\"input_schema\":{\"type\":\"object\",\
        \"properties\":{\"b\":{},\"a\":{}}}}],\"mcp_servers\":[],\"skills\":[],\
        \"multiagent\":{\"type\":\"coordinator\",\"agents\":[{\"type\":\"agent\",\
        \"id\":\"agent_1111111111111111111113\",\"version\":1,\"name\":\"b\",\"description\":\"d\",\
        \"model\":{\"id\":\"m\",\"effort\":{\"type\":\"high\"},\"inference_geo\":null,\
        \"speed\":\"standard\"},\"system\":null,\"tools\":[],\"mcp_servers\":[],\"skills\":[],\
        \"execution_identity\":{\"type\":\"service_account\"},\"multiagent\":{\"type\":\"coordinator\",\
        \"agents\":[]}},{\"type\":\"agent\",\"id\":\"agent_1111111111111111111112\",\"version\":3,\
        \"name\":\"a\",\"description\":null,\"model\":{\"id\":\"m\",\"effort\":{\"type\":\"high\"},\
        \"inference_geo\":null,\"speed\":\"standard\"},\"system\":null,\"tools\":[],\"mcp_servers\":[],\
        \"skills\":[],\"execution_identity\":{\"type\":\"service_account\"}}]},\
        \"execution_identity\":{\"type\":\"service_account\"}}";

    const HEAD: &str = "{\"agent\":\"abababababababababababababababababababababababababababababababab\",\
        \"title\":\"t\",\"metadata\":{\"k\":\"v\"},\"clock\":{\"active\":0,\"since\":null,\
        \"ever\":false,\"first\":null,\"ended\":null},\"queued\":0,\
        \"threads\":[{\"id\":\"sthr_1111111111111111111113\",\"parent\":null,\"status\":\"idle\",\
        \"tokens\":{\"input\":0,\"output\":0,\"cache_read\":0,\"cache_write_5m\":0,\
        \"cache_write_1h\":0},\"clock\":{\"active\":0,\"since\":null,\"ever\":false,\"first\":null,\
        \"ended\":null},\"created_at\":\"2023-11-14T22:13:20.000000Z\",\
        \"updated_at\":\"2023-11-14T22:13:20.000000Z\"}]}";

    #[test]
    fn a_snapshot_is_kept_under_the_name_that_it_always_had() {
        let agent: SessionAgent = serde_json::from_str(KEPT).unwrap();
        let (snapshot, body) = AgentSnapshot::of(&Arc::new(agent)).unwrap();
        assert_eq!(String::from_utf8(body).unwrap(), KEPT);
        assert_eq!(
            digits(&snapshot.hash),
            "e0d40c4a0b611c88a354bb3a3434cea4197d5b18d9e3fc72bd25d15d2b691d70"
        );
    }

    #[test]
    fn a_head_row_holds_what_it_always_did() {
        let agent: Arc<SessionAgent> = Arc::new(serde_json::from_str(KEPT).unwrap());
        let opening = SessionOpening {
            session: SessionId::from_bits(1),
            thread: ThreadId::from_bits(2),
            agent,
            environment: EnvironmentId::from_bits(3),
            title: Some("t".into()),
            metadata: [("k".to_owned(), "v".to_owned())].into(),
            tree: ThreadLimits::default(),
            events: Vec::new(),
        };
        let at = Timestamp::from_micros(1_700_000_000_000_000);
        let session = kernel::open(opening, Moment { at, seed: Seed::new(0) }).unwrap().session;
        let head = head(&session, WorkspaceId::from_bits(4), &[0xab; 32]).unwrap();
        let row = store::SessionHead {
            session: SessionId::from_bits(1),
            workspace: WorkspaceId::from_bits(4),
            position: 1,
            status: SessionStatus::Idle,
            due: None,
            created_at: at,
            updated_at: at,
            archived_at: None,
            deleted_at: None,
            agent: session.agent.definition.id,
            agent_version: 3,
            environment: EnvironmentId::from_bits(3),
            body: HEAD.as_bytes().to_vec(),
        };
        assert_eq!(head, row);
    }
}
