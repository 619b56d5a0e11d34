//! A tale: one session's log as it was read from the store, and what follows from it.

use std::sync::Arc;

use kernel::{Fact, FactContent, Note, SessionState};
use protocol::agent::{AgentDefinition, ExecutionIdentity, SessionAgent};
use protocol::event::{Body, Event};
use protocol::model::ModelConfig;
use protocol::{AgentId, EventId, SessionId, Timestamp};
use store::LogRow;

use crate::agent_tools::AgentTools;
use crate::call_ledger::{CallLedger, LedgerCall, LedgerKind};
use crate::line::{self, LogLine};

/// The model of every agent.
pub(super) const MODEL: &str = "m";

/// What a stream shows at one position.
#[derive(Debug, Clone, PartialEq)]
pub(super) struct LogPost {
    /// The position.
    pub(super) position: u64,
    /// Whether it only waits.
    pub(super) queued: bool,
    /// The event.
    pub(super) event: Event,
}

/// One session's log.
#[derive(Debug)]
pub(super) struct SessionLog {
    /// Whose.
    pub(super) id: SessionId,
    /// What the log makes.
    pub(super) session: SessionState,
    /// The rows, as they are kept.
    pub(super) rows: Vec<LogRow>,
    /// Their facts as lines.
    pub(super) lines: Vec<LogLine>,
    /// Their facts as a stream shows them.
    pub(super) posts: Vec<LogPost>,
    /// Every call, by the log.
    pub(super) desk: CallLedger,
    /// Where the log stood whenever an engine was started on it, and the calls that had then begun and may
    /// have done something, by the log.
    pub(super) births: Vec<(u64, Vec<EventId>)>,
}

/// The agent of session `number`: its system prompt tells the model whose prompt it gets.
pub(super) fn agent(number: usize, kit: &AgentTools) -> SessionAgent {
    let definition = AgentDefinition {
        id: AgentId::from_bits(4),
        version: 1,
        name: "weaver".into(),
        description: None,
        model: ModelConfig::plain(MODEL),
        system: Some(number.to_string()),
        tools: kit.tools(),
        mcp_servers: Vec::new(),
        skills: Vec::new(),
    };
    SessionAgent { definition, multiagent: None, execution_identity: ExecutionIdentity::default() }
}

impl SessionLog {
    /// The tale of a session with this agent, of which nothing has been read.
    pub(super) fn new(id: SessionId, agent: SessionAgent) -> Self {
        Self {
            id,
            session: SessionState::new(id, Arc::new(agent)),
            rows: Vec::new(),
            lines: Vec::new(),
            posts: Vec::new(),
            desk: CallLedger::default(),
            births: Vec::new(),
        }
    }

    /// Reads one more row; one that has been read is skipped.
    ///
    /// # Errors
    /// It does not follow the last one, or is no commit.
    pub(super) fn read(&mut self, row: LogRow) -> Result<(), String> {
        if row.first < self.session.head {
            return Ok(());
        }
        if row.first != self.session.head {
            return Err(format!("log: {} follows {}", row.first, self.session.head));
        }
        let facts = kernel::fact::decode(&row.body).map_err(|why| format!("log: {why}"))?;
        if facts.len() as u64 != u64::from(row.count) {
            return Err(format!("log: the row at {} counts {} facts wrongly", row.first, row.count));
        }
        let lines = line::read(&row.body, row.first).map_err(|why| format!("log: {why}"))?;
        for line in &lines {
            self.desk.see(line);
        }
        self.lines.extend(lines);
        for (position, fact) in (row.first..).zip(facts) {
            self.session.apply(&fact);
            self.posts.extend(post(position, fact));
        }
        self.rows.push(row);
        Ok(())
    }

    /// Whether an engine was started where the log stood so.
    pub(super) fn born(&self, head: u64) -> bool {
        self.births.iter().any(|(birth, _)| *birth == head)
    }

    /// The calls that are so.
    pub(super) fn calls(&self, fits: impl Fn(&LedgerCall) -> bool) -> Vec<(EventId, LedgerKind)> {
        self.desk.all().iter().filter(|call| fits(call)).map(|call| (call.id, call.kind)).collect()
    }

    /// The request that is open, and when it began.
    pub(super) fn asking(&self) -> Option<(EventId, Timestamp)> {
        let spans = self.lines.iter().rev().find(|line| line.kind.starts_with("span."))?;
        (spans.kind == "span.model_request_start").then_some((spans.id?, spans.at))
    }

    /// Whether it is archived or deleted.
    pub(super) fn over(&self) -> bool {
        self.session.over()
    }

    /// Whether nothing goes on and nobody is waited for.
    pub(super) fn rests(&self) -> bool {
        let quiet = kernel::wants(&self.session).is_empty() && self.session.queued().next().is_none();
        self.over() || (quiet && self.desk.open().is_empty())
    }

    /// The place in the posts from which a stream behind `after` goes on; `None`: no such event.
    pub(super) fn behind(&self, after: EventId) -> Option<usize> {
        let of = |queued| self.posts.iter().position(|post| post.event.id == after && post.queued == queued);
        of(false).or_else(|| of(true)).map(|place| self.closed(place + 1))
    }

    /// A stream of what is over shows its end again, wherever it begins.
    pub(super) fn closed(&self, place: usize) -> usize {
        let end = self.posts.iter().position(|post| post.event.body == Body::SessionStatusTerminated);
        place.min(end.unwrap_or(place))
    }

    /// Whether a stream ends with this event.
    pub(super) fn closes(event: &Event) -> bool {
        matches!(event.body, Body::SessionStatusTerminated | Body::SessionDeleted)
    }
}

fn post(position: u64, fact: Fact) -> Option<LogPost> {
    match fact.what {
        FactContent::Event { event, .. } => Some(LogPost { position, queued: false, event }),
        FactContent::Note { note: Note::Queued { event, .. }, .. } => {
            Some(LogPost { position, queued: true, event: *event })
        }
        FactContent::Note { .. } => None,
    }
}
