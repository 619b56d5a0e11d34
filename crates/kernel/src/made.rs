//! What the log holds of the calls that a client's events answer, beside those that are still open: the
//! folded state forgets a call once it is answered.

use alloc::collections::{BTreeMap, BTreeSet};

use protocol::{
    EventId, ThreadId,
    event::{Body, CallPermission},
    input::ClientEvent,
};
use sha2::{Digest, Sha256};

use crate::{
    call::CallState,
    fact::{Fact, FactContent, PrivatePart},
    session::SessionState,
};

/// A call that the log holds.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct KnownCall {
    /// The thread that made it.
    pub thread: ThreadId,
    /// What kind of call it is.
    pub kind: KnownCallKind,
}

/// A kind of call.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum KnownCallKind {
    /// One that a client answers.
    Custom {
        /// What a client answered it with. `None` while nobody has; where the server closed it; and in the
        /// log of an earlier version, which does not tell these apart.
        answer: Option<GivenResult>,
    },
    /// One that a person was asked about.
    Asked,
    /// One that nobody was asked about.
    Unasked,
}

impl KnownCall {
    /// The call that `body`, an event of `thread`, is; if it is one.
    #[expect(clippy::wildcard_enum_match_arm, reason = "picks two of forty kinds")]
    fn of(thread: ThreadId, body: &Body) -> Option<Self> {
        let kind = match body {
            Body::AgentCustomToolUse { .. } => KnownCallKind::Custom { answer: None },
            Body::AgentToolUse { evaluated_permission: Some(CallPermission::Ask), .. } => {
                KnownCallKind::Asked
            }
            Body::AgentToolUse { .. } => KnownCallKind::Unasked,
            _ => return None,
        };
        Some(Self { thread, kind })
    }
}

/// What a client gave as the result of a call, as a hash: two are equal exactly if content and `is_error`
/// were read alike. A result may have 32 MiB, and a request may repeat a hundred of them.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct GivenResult([u8; 32]);

impl GivenResult {
    /// What this result gives; `None` for what is no result.
    pub(crate) fn of(body: &Body) -> Option<Self> {
        let Body::UserCustomToolResult { content, is_error, .. } = body else { return None };
        let written = serde_json::to_vec(&(content, is_error)).ok()?;
        Some(Self(Sha256::digest(&written).into()))
    }
}

/// Looks up the calls that the events of one request answer: it is shown the log's facts, in order, and
/// keeps what the law needs to know of them.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct CallSearch {
    sought: BTreeSet<EventId>,
    /// Calls of a client's that were found, and their answers not yet.
    unanswered: BTreeSet<EventId>,
    made: BTreeMap<EventId, KnownCall>,
}

impl CallSearch {
    /// For the calls that `events` answer; without those that `session` knows to wait for a client's result.
    pub fn of(session: &SessionState, events: &[ClientEvent]) -> Self {
        let call = |event: &ClientEvent| match event {
            ClientEvent::CustomResult { call, .. } | ClientEvent::Confirmation { call, .. } => Some(*call),
            ClientEvent::Message { .. } | ClientEvent::Interrupt { .. } => None,
        };
        let calls = events.iter().filter_map(call).filter(|call| waits(session, *call).is_none());
        Self { sought: calls.collect(), ..Self::default() }
    }

    /// Calls that have not been found.
    pub const fn sought(&self) -> &BTreeSet<EventId> {
        &self.sought
    }

    /// Whether a call was found and what answered it was not: it stands further on.
    pub fn goes_on(&self) -> bool {
        !self.unanswered.is_empty()
    }

    /// Sees the next fact.
    pub fn see(&mut self, fact: &Fact) {
        let FactContent::Event { event, private } = &fact.what else { return };
        if self.sought.remove(&event.id) {
            let Some(made) = KnownCall::of(fact.thread, &event.body) else { return };
            if matches!(made.kind, KnownCallKind::Custom { .. }) {
                self.unanswered.insert(event.id);
            }
            self.made.insert(event.id, made);
        } else if let Body::UserCustomToolResult { custom_tool_use_id: call, .. } = &event.body
            && self.unanswered.remove(call)
            && *private == Some(PrivatePart::ByClient)
            && let Some(made) = self.made.get_mut(call)
        {
            made.kind = KnownCallKind::Custom { answer: GivenResult::of(&event.body) };
        }
    }

    /// What was found.
    pub fn made(self) -> BTreeMap<EventId, KnownCall> {
        self.made
    }
}

/// The thread in which this call waits for a client's result.
pub(crate) fn waits(session: &SessionState, call: EventId) -> Option<ThreadId> {
    let thread = session.thread_of_call(call)?;
    let open = thread.calls().iter().find(|open| open.id == call)?;
    (open.state == CallState::Client).then_some(thread.id)
}
