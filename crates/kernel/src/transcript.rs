//! What the model is told: a second pure fold, over one thread's facts. Its output obeys the Messages
//! API in every state: roles alternate, each tool use is answered in the very next message, tool ids
//! are unique, nothing is empty (docs/rules.md 8, 9).

use alloc::{collections::BTreeSet, format, string::String, sync::Arc, vec, vec::Vec};

use protocol::{
    EventId, Object, ThreadId,
    content::ContentBlock,
    event::{Body, Event},
    limits, memory,
    prompt::{
        CountedTokens, HistorySpot, MessagePart, MessageRole, OpaqueState, Prompt, PromptMessage,
        ThinkingPart, Toolbox,
    },
};

use crate::{
    fact::{Fact, FactContent, MailKind, ModelRequestEnding, Note, PrivatePart, TranscriptPiece},
    offered,
    pieces::{self, PartSource},
    session::ActingAgent,
};

/// One thread's history as a model reads it.
#[derive(Debug, Clone, PartialEq)]
pub struct Transcript {
    thread: ThreadId,
    messages: Vec<Arc<PromptMessage>>,
    /// Where each part of each message stands in the log.
    sources: Vec<Vec<PartSource>>,
    /// The message, and the part in it, from which on it came since the last answer.
    since: (usize, usize),
    /// Turns since the last answer that ended because what was told was refused.
    blamed: u32,
    /// The parts of the answer whose request is still open.
    answer: Vec<(MessagePart, PartSource)>,
    /// Calls without a result, with the id the provider knows them by.
    open: Vec<(EventId, String)>,
    /// Every provider id that the history holds.
    used: BTreeSet<String>,
    /// How long the history was at the last answer, if the provider told.
    counted: Option<CountedTokens>,
    /// About how many bytes of memory `messages` and `used` point to: kept, since a history is long.
    bytes: usize,
}

impl Transcript {
    /// The empty history of `thread`.
    pub const fn new(thread: ThreadId) -> Self {
        Self {
            thread,
            messages: Vec::new(),
            sources: Vec::new(),
            since: (0, 0),
            blamed: 0,
            answer: Vec::new(),
            open: Vec::new(),
            used: BTreeSet::new(),
            counted: None,
            bytes: 0,
        }
    }

    /// Adds what `fact` says to the history, if it belongs to this thread.
    pub fn apply(&mut self, fact: &Fact) {
        if fact.thread != self.thread {
            return;
        }
        match &fact.what {
            FactContent::Event { event, private } => self.apply_event(event, private.as_ref()),
            FactContent::Note { note, .. } => self.apply_note(note),
        }
    }

    fn apply_note(&mut self, note: &Note) {
        match note {
            Note::Delegated { call, provider_id, name, input } => {
                self.call(*call, name, input, provider_id);
            }
            Note::Settled { id, call, content, is_error } => self.result(*id, *call, content, *is_error),
            Note::LeftOut { pieces, reason } => {
                for piece in pieces {
                    self.leave_out(*piece, reason);
                }
            }
            Note::Blamed { reason } => self.blame(reason),
            Note::Opened { .. }
            | Note::Queued { .. }
            | Note::Cancelled { .. }
            | Note::Began { .. }
            | Note::Kept { .. }
            | Note::Ended { .. }
            | Note::Archived
            | Note::Retry { .. } => {}
        }
    }

    #[expect(clippy::wildcard_enum_match_arm, reason = "picks a few of forty kinds")]
    fn apply_event(&mut self, event: &Event, private: Option<&PrivatePart>) {
        match &event.body {
            Body::UserMessage { content } => {
                self.say(MessageRole::User, pieces::blocks(event.id, content).collect());
            }
            Body::AgentMessage { content } => self.answer.extend(pieces::blocks(event.id, content)),
            Body::AgentThinking => {
                if let Some(PrivatePart::Thought { block }) = private {
                    let thought = ThinkingPart { raw: block.clone(), from: None };
                    self.answer.push((MessagePart::Thinking(thought), PartSource::Whole(event.id)));
                }
            }
            Body::AgentCustomToolUse { name, input, .. } | Body::AgentToolUse { name, input, .. } => {
                let given = match private {
                    Some(PrivatePart::Call { provider_id, .. }) => provider_id.as_str(),
                    _ => "",
                };
                self.call(event.id, name, input, given);
            }
            Body::AgentThreadMessageReceived { from_session_thread_id, content, .. } => {
                if let Some(PrivatePart::Mail { told }) = private {
                    self.mail(event.id, *from_session_thread_id, told, content);
                }
            }
            Body::SpanModelRequestEnd { .. } => self.end(private),
            Body::UserCustomToolResult { custom_tool_use_id: call, content, is_error, .. }
            | Body::AgentToolResult { tool_use_id: call, content, is_error } => {
                let content = content.as_deref().unwrap_or_default();
                self.result(event.id, *call, content, is_error.unwrap_or(false));
            }
            // Nothing else is told to the model.
            _ => {}
        }
    }

    /// A message of another thread: the task of a child is its first user message, word for word.
    fn mail(&mut self, event: EventId, from: ThreadId, told: &MailKind, content: &[ContentBlock]) {
        let line = match told {
            MailKind::Task => None,
            MailKind::Letter { from: name } => {
                Some(ContentBlock::text(format!("Message from {name} ({from}):")))
            }
            MailKind::Result => return,
        };
        let line = line.map(|line| (MessagePart::Content(line), PartSource::Ours));
        self.say(MessageRole::User, line.into_iter().chain(pieces::blocks(event, content)).collect());
    }

    /// `given` is the provider's own id of the call.
    fn call(&mut self, event: EventId, name: &str, input: &Object, given: &str) {
        let legal = |byte: u8| byte.is_ascii_alphanumeric() || byte == b'_' || byte == b'-';
        let fresh = !given.is_empty() && given.bytes().all(legal) && !self.used.contains(given);
        // A provider that numbers its calls anew in each answer would give one id twice.
        let id = if fresh { String::from(given) } else { format!("toolu_{:032x}", event.bits()) };
        if self.used.insert(id.clone()) {
            self.bytes += 2 * size_of::<String>() + memory::text(&id);
        }
        self.open.push((event, id.clone()));
        let call = MessagePart::ToolUse { id, name: tool_name(name), input: input.clone() };
        self.answer.push((call, PartSource::Whole(event)));
    }

    fn end(&mut self, private: Option<&PrivatePart>) {
        let mut parts = core::mem::take(&mut self.answer);
        let (ending, tokens, opaque) = match private {
            Some(PrivatePart::Ended { ending, tokens, opaque, .. }) => {
                (ending, tokens.read(), opaque.as_ref())
            }
            _ => (&ModelRequestEnding::Cut, 0, None),
        };
        match ending {
            ModelRequestEnding::Answered
            | ModelRequestEnding::Refused { .. }
            | ModelRequestEnding::Paused
            | ModelRequestEnding::CutOff
            | ModelRequestEnding::Unread => {
                if tokens > 0 {
                    self.counted = Some(CountedTokens { tokens, messages: self.messages.len() });
                }
                // A message must not end in thinking: a provider refuses it as unfinished.
                while matches!(parts.last(), Some((MessagePart::Thinking(_), _))) {
                    parts.pop();
                }
                // A call's result must come first; a pause that said nothing has nothing to go on from.
                let goes_on =
                    *ending == ModelRequestEnding::Paused && !parts.is_empty() && self.open.is_empty();
                if let Some(opaque) = opaque.filter(|_| !parts.is_empty()) {
                    parts = self.with(opaque, parts);
                }
                self.say(MessageRole::Assistant, parts);
                self.blamed = 0;
                self.since = match self.messages.last() {
                    Some(last) if last.role == MessageRole::User => {
                        (self.messages.len() - 1, last.parts.len())
                    }
                    Some(_) | None => (self.messages.len(), 0),
                };
                if goes_on {
                    // Asked again with its own words last, many a model refuses to go on.
                    self.say(
                        MessageRole::User,
                        vec![(MessagePart::Content(ContentBlock::text("Continue.")), PartSource::Ours)],
                    );
                }
            }
            ModelRequestEnding::Failed | ModelRequestEnding::Cut => {}
        }
    }

    /// The parts of an answer with what only its provider can read; what it calls is still open.
    fn with(
        &self,
        opaque: &OpaqueState<EventId>,
        mut parts: Vec<(MessagePart, PartSource)>,
    ) -> Vec<(MessagePart, PartSource)> {
        let from = Arc::new(opaque.from.clone());
        for (part, _) in &mut parts {
            if let MessagePart::Thinking(thought) = part {
                thought.from = Some(Arc::clone(&from));
            }
        }
        let id = |call| self.open.iter().find(|(open, _)| *open == call).map(|(_, id)| id.clone());
        let beside = opaque.beside.iter().cloned().filter_map(|beside| beside.of(id));
        let beside =
            beside.map(|beside| (MessagePart::Beside { from: Arc::clone(&from), beside }, PartSource::Ours));
        beside.chain(parts).collect()
    }

    fn result(&mut self, event: EventId, call: EventId, content: &[ContentBlock], is_error: bool) {
        let Some(place) = self.open.iter().position(|(open, _)| *open == call) else { return };
        let (_, id) = self.open.remove(place);
        self.say(MessageRole::User, vec![pieces::result(event, id, content, is_error)]);
    }

    /// Adds parts to the history; neighbours of one role are one message, so that roles alternate.
    fn say(&mut self, role: MessageRole, parts: Vec<(MessagePart, PartSource)>) {
        if parts.is_empty() {
            return;
        }
        let (parts, sources): (Vec<MessagePart>, Vec<PartSource>) = parts.into_iter().unzip();
        self.bytes += memory::list(&parts, memory::part) + memory::list(&sources, PartSource::bytes);
        match (self.messages.last_mut(), self.sources.last_mut()) {
            (Some(last), Some(known)) if last.role == role => {
                Arc::make_mut(last).parts.extend(parts);
                known.extend(sources);
            }
            _ => {
                self.bytes += size_of::<PromptMessage>() + memory::PIECE;
                self.messages.push(Arc::new(PromptMessage { role, parts }));
                self.sources.push(sources);
            }
        }
    }

    /// The pieces that these spots of the history are; without those that are left out already. A thought
    /// that is refused takes all of them along: they are signed for what stands before them, and that has
    /// changed.
    pub fn pieces(&self, spots: &[HistorySpot]) -> Vec<TranscriptPiece> {
        let part = |spot: &HistorySpot| self.messages.get(spot.message)?.parts.get(spot.part);
        let piece = |spot: &HistorySpot| self.sources.get(spot.message)?.get(spot.part)?.piece(spot.block);
        let mut pieces: BTreeSet<TranscriptPiece> = spots.iter().filter_map(piece).collect();
        if spots.iter().filter_map(part).any(is_thought) {
            let parts = self
                .messages
                .iter()
                .zip(&self.sources)
                .flat_map(|(message, sources)| message.parts.iter().zip(sources));
            pieces.extend(
                parts.filter(|(part, _)| is_thought(part)).filter_map(|(_, source)| source.piece(None)),
            );
        }
        pieces.into_iter().collect()
    }

    /// The provider refuses this piece: words stand in its place from now on.
    fn leave_out(&mut self, piece: TranscriptPiece, reason: &str) {
        // Most likely it came late.
        for (message, sources) in self.messages.iter_mut().zip(&mut self.sources).rev() {
            let Some(place) = sources.iter().position(|source| source.holds(piece)) else { continue };
            let parts = &mut Arc::make_mut(message).parts;
            let before: usize = parts.iter().map(memory::part).sum();
            if parts.len() > 1 && parts.get(place).is_some_and(is_thought) {
                // Nobody misses it.
                parts.remove(place);
                sources.remove(place);
            } else if let (Some(part), Some(source)) = (parts.get_mut(place), sources.get_mut(place)) {
                pieces::leave_out(part, source, piece.block, reason);
            }
            let after: usize = parts.iter().map(memory::part).sum();
            self.bytes = (self.bytes + after).saturating_sub(before);
            return;
        }
    }

    /// The provider refuses what it was told, and names nothing: words stand in place of all that came since
    /// the last answer. What came before it was read when that was given; so if others were refused before,
    /// only the answer itself can be to blame, with its calls.
    fn blame(&mut self, reason: &str) {
        self.blamed += 1;
        let (first, part) = self.since;
        let whole = self.blamed >= limits::REFUSALS_OF_AN_ANSWER;
        let first = if whole { first.saturating_sub(1) } else { first };
        let messages = self.messages.iter_mut().zip(&mut self.sources).skip(first);
        for ((message, sources), skipped) in messages.zip(core::iter::once(part).chain(core::iter::repeat(0)))
        {
            let message = Arc::make_mut(message);
            let before: usize = message.parts.iter().map(memory::part).sum();
            if whole {
                message.parts = vec![MessagePart::Content(pieces::removed(reason))];
                *sources = vec![PartSource::Ours];
            } else {
                for (part, source) in message.parts.iter_mut().zip(sources).skip(skipped) {
                    pieces::leave_out(part, source, None, reason);
                }
            }
            let after: usize = message.parts.iter().map(memory::part).sum();
            self.bytes = (self.bytes + after).saturating_sub(before);
        }
    }

    /// About how many bytes of memory it takes.
    pub fn bytes(&self) -> usize {
        let places = self.messages.capacity() * size_of::<Arc<PromptMessage>>();
        let open = memory::list(&self.open, |(_, id)| memory::text(id));
        let sources = self.sources.capacity() * size_of::<Vec<PartSource>>();
        let answer = memory::list(&self.answer, |(part, source)| memory::part(part) + source.bytes());
        size_of::<Self>() + self.bytes + places + sources + open + answer
    }

    /// The history.
    pub fn messages(&self) -> &[Arc<PromptMessage>] {
        &self.messages
    }

    /// What the thread's model is asked next. Of the built-in tools it is told what `toolbox` holds.
    pub fn prompt(&self, cast: &ActingAgent<'_>, toolbox: &Toolbox) -> Prompt {
        Prompt {
            model: cast.model.id.clone(),
            system: cast.system.map(String::from).filter(|system| !system.trim().is_empty()),
            tools: offered::tools(cast, toolbox),
            messages: self.messages.clone(),
            counted: self.counted,
        }
    }
}

const fn is_thought(part: &MessagePart) -> bool {
    matches!(part, MessagePart::Thinking(_))
}

/// The name that a call is told by. A model may call what no agent can offer; its provider would refuse to
/// read that back, for ever.
fn tool_name(name: &str) -> String {
    let letter = |letter: char| if letter.is_ascii_alphanumeric() || letter == '-' { letter } else { '_' };
    let told: String = name.chars().take(limits::TOOL_NAME_CHARS).map(letter).collect();
    if told.is_empty() { "_".into() } else { told }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::SessionState;
    use alloc::borrow::ToOwned;
    use protocol::{
        SessionId, Timestamp,
        agent::{AgentDefinition, SessionAgent},
        usage::RequestTokens,
    };

    #[test]
    fn a_history_is_as_long_as_it_was_at_the_last_answer_that_told() {
        let thread = ThreadId::from_bits(1);
        let mut transcript = Transcript::new(thread);
        let mut apply = |body: Body, private: Option<PrivatePart>| {
            let event =
                Event { id: EventId::from_bits(7), processed_at: Some(Timestamp::from_micros(1)), body };
            transcript.apply(&Fact { thread, what: FactContent::Event { event, private } });
            transcript.counted
        };
        let ended = |ending, input| {
            let tokens = RequestTokens { input, output: 9, cache_read: 2, ..RequestTokens::default() };
            let model_request_start_id = EventId::from_bits(6);
            let (is_error, model_usage) = (Some(false), tokens.into());
            let body = Body::SpanModelRequestEnd { model_request_start_id, is_error, model_usage };
            (body, Some(PrivatePart::Ended { ending, tokens, opaque: None, held: false }))
        };
        let said = |text: &str| Body::UserMessage { content: alloc::vec![ContentBlock::text(text)] };
        assert_eq!(apply(said("one"), None), None);
        apply(Body::AgentMessage { content: alloc::vec![ContentBlock::text("1")] }, None);
        let (body, private) = ended(ModelRequestEnding::Answered, 10);
        let counted = Some(CountedTokens { tokens: 12, messages: 1 });
        assert_eq!(apply(body, private), counted, "what was read, and not what was written");
        assert_eq!(apply(said("two"), None), counted);
        let (body, private) = ended(ModelRequestEnding::Failed, 90);
        assert_eq!(apply(body, private), counted, "a request that failed says nothing of it");
    }

    #[test]
    fn a_transcript_weighs_what_its_messages_do() {
        let thread = ThreadId::from_bits(1);
        let mut transcript = Transcript::new(thread);
        let empty = transcript.bytes();
        for said in 0..100 {
            let content = alloc::vec![ContentBlock::text("y".repeat(1_000))];
            let event = Event {
                id: EventId::from_bits(said),
                processed_at: Some(Timestamp::from_micros(1)),
                body: Body::UserMessage { content },
            };
            transcript.apply(&Fact { thread, what: FactContent::Event { event, private: None } });
        }
        let weighed = transcript.bytes() - empty;
        assert!((100_000..180_000).contains(&weighed), "{weighed}");
        let definition = AgentDefinition {
            id: protocol::AgentId::from_bits(1),
            version: 1,
            name: "a".to_owned(),
            description: None,
            model: protocol::model::ModelConfig::plain("m"),
            system: Some("z".repeat(5_000)),
            tools: Vec::new(),
            mcp_servers: Vec::new(),
            skills: Vec::new(),
        };
        let agent = SessionAgent {
            definition,
            multiagent: None,
            execution_identity: protocol::agent::ExecutionIdentity::ServiceAccount,
        };
        assert!((5_000..6_000).contains(&memory::agent(&agent)));
        let session = SessionState::new(SessionId::from_bits(1), agent.into());
        assert!((size_of::<SessionState>()..1_000).contains(&session.bytes()), "without its agent");
    }
}
