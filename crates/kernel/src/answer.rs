//! How a model's answer becomes events, and which ids they get before they exist (docs/rules.md 7).

use alloc::{format, string::String, vec::Vec};

use protocol::{
    EventId, Object, ThreadId,
    content::ContentBlock,
    event::{Body, CallPermission, PermissionEvaluation, RefusalDetails},
    prompt::{AnswerBlock, AnswerStop, DeltaKind, FailureClass, ModelAnswer, ModelFailure, OpaqueState},
    roster::DelegationTool,
    tool::{AgentTool, BuiltinName, PermissionPolicy},
};

use crate::{
    call::CallRunner,
    delegation,
    draft::DecisionDraft,
    fact::{ModelRequestEnding, Note, PrivatePart},
    session::ActingAgent,
    thread::ModelRequest,
    turn,
};

/// Follows the blocks of one answer and says which event each belongs to: neighbouring text blocks share
/// one, every other block has its own. The preview of an answer and its final events use the same rule.
#[derive(Debug, Clone)]
pub struct AnswerBlocks {
    request: ModelRequest,
    /// The first block of the text event that is still growing.
    text: Option<usize>,
}

/// Where a block goes.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct BlockPlace {
    /// The event's id.
    pub event: EventId,
    /// Whether this block is its first.
    pub first: bool,
    /// The block's place in the event's content.
    pub entry: usize,
}

impl AnswerBlocks {
    /// The blocks of the answer to `request`.
    pub const fn of(request: ModelRequest) -> Self {
        Self { request, text: None }
    }

    /// Where block `index` goes. Blocks come in order.
    pub fn place(&mut self, index: usize, kind: DeltaKind) -> BlockPlace {
        let first = match kind {
            DeltaKind::Text => *self.text.get_or_insert(index),
            DeltaKind::Thinking | DeltaKind::ToolUse => {
                self.text = None;
                index
            }
        };
        let event = self.request.seed.event(first, self.request.position);
        BlockPlace { event, first: first == index, entry: index - first }
    }
}

/// What the events of an answer are, in order, before any of them is said.
#[derive(Debug)]
enum Said {
    Text(EventId, Vec<ContentBlock>),
    Thinking(EventId, serde_json::Value),
    /// Its input, or what a call without one is answered with.
    Call(EventId, String, String, Result<Object, String>),
}

fn events(request: ModelRequest, blocks: Vec<AnswerBlock>, cut: Option<String>) -> Vec<Said> {
    let mut places = AnswerBlocks::of(request);
    let last = blocks.len().saturating_sub(1);
    let mut said: Vec<Said> = Vec::new();
    for (index, block) in blocks.into_iter().enumerate() {
        match block {
            AnswerBlock::Text { text } => {
                let place = places.place(index, DeltaKind::Text);
                match said.last_mut() {
                    Some(Said::Text(id, content)) if *id == place.event => {
                        content.push(ContentBlock::text(text));
                    }
                    _ => said.push(Said::Text(place.event, alloc::vec![ContentBlock::text(text)])),
                }
            }
            AnswerBlock::Thinking { raw } => {
                said.push(Said::Thinking(places.place(index, DeltaKind::Thinking).event, raw));
            }
            AnswerBlock::ToolUse { id, name, input } => {
                // The output limit falls into the last block; whatever else has no input was written wrong.
                let cut = cut.as_ref().filter(|_| index == last);
                let input = input.ok_or_else(|| cut.cloned().unwrap_or_else(turn::unreadable));
                said.push(Said::Call(places.place(index, DeltaKind::ToolUse).event, id, name, input));
            }
        }
    }
    said
}

/// What only the provider can read, its calls by their events, also those that a refusal leaves out: who
/// reads the log finds no such call.
fn by_event(request: ModelRequest, opaque: OpaqueState<usize>) -> OpaqueState<EventId> {
    let event = |index| Some(request.seed.event(index, request.position));
    let beside = opaque.beside.into_iter().filter_map(|beside| beside.of(event));
    OpaqueState { from: opaque.from, beside: beside.collect() }
}

/// What is wrong with an answer that ended well and says nothing. After the results of tools a model may have
/// nothing to add, if it was asked at all: it wrote something, be it only the end.
pub fn empty(answer: &ModelAnswer, told_results: bool) -> Option<ModelFailure> {
    let limit = match answer.stop {
        AnswerStop::EndTurn | AnswerStop::ToolUse => false,
        AnswerStop::MaxTokens => true,
        AnswerStop::Refusal(_) | AnswerStop::PauseTurn => return None,
    };
    let (mut says, mut thought) = (false, false);
    for block in &answer.blocks {
        match block {
            AnswerBlock::Text { text } => says |= !text.trim().is_empty(),
            AnswerBlock::Thinking { .. } => thought = true,
            AnswerBlock::ToolUse { .. } => says = true,
        }
    }
    if says || (!limit && told_results && answer.tokens.output > 0) {
        return None;
    }
    let message = match (limit, thought) {
        (true, _) => "The model met its output limit before it said anything; see `max_output` of its route.",
        (false, true) => "The model thought, and then said nothing.",
        (false, false) => "The model's answer was empty.",
    };
    let tokens = answer.tokens;
    let (class, message, spots) = (FailureClass::Empty, message.into(), Vec::new());
    Some(ModelFailure { class, status: None, message, retry_after: None, tokens, spots })
}

/// Whether the output limit fell into a call.
fn is_cut_off(answer: &ModelAnswer) -> bool {
    let cut = |block: &AnswerBlock| matches!(block, AnswerBlock::ToolUse { input: None, .. });
    answer.stop == AnswerStop::MaxTokens && answer.blocks.last().is_some_and(cut)
}

/// Whether it calls tools, and the inputs of all calls were written wrong.
fn is_unread(blocks: &[AnswerBlock]) -> bool {
    let mut inputs = blocks.iter().filter_map(|block| match block {
        AnswerBlock::ToolUse { input, .. } => Some(input.is_none()),
        AnswerBlock::Text { .. } | AnswerBlock::Thinking { .. } => None,
    });
    inputs.next().is_some_and(|first| first && inputs.all(|other| other))
}

/// Why the model declined, and what to do once it has declined `before`: it is told all of it each time.
fn declines(mut details: RefusalDetails, before: u32) -> RefusalDetails {
    if before > 0 {
        let times = before + 1;
        let why = details.explanation.filter(|why| !why.trim().is_empty());
        let why = why.map(|why| format!("{} ", why.trim())).unwrap_or_default();
        details.explanation = Some(format!(
            "{why}The model has declined {times} times in a row, and reads what it declines each time: begin a new \
             session without that."
        ));
    }
    details
}

/// Says the events of an answer, ends its request, and answers at once the calls that nobody else will.
///
/// One that says nothing is a failure, and is asked for `attempts` times in all at most.
pub(crate) fn accept(
    draft: &mut DecisionDraft<'_>,
    thread: ThreadId,
    request: ModelRequest,
    answer: ModelAnswer,
    attempts: u32,
) {
    let state = draft.session.thread(thread);
    let (told_results, declined) = state.map_or((false, 0), |state| (state.told_results, state.declined));
    if let Some(failure) = empty(&answer, told_results) {
        return turn::failed(draft, thread, &failure, Vec::new(), attempts);
    }
    let cut = is_cut_off(&answer).then(|| turn::cut_off(answer.tokens.output));
    let opaque = answer.opaque.map(|opaque| by_event(request, opaque));
    let ending = match answer.stop {
        AnswerStop::MaxTokens if cut.is_some() => ModelRequestEnding::CutOff,
        AnswerStop::EndTurn | AnswerStop::ToolUse | AnswerStop::MaxTokens if is_unread(&answer.blocks) => {
            ModelRequestEnding::Unread
        }
        AnswerStop::EndTurn | AnswerStop::ToolUse | AnswerStop::MaxTokens => ModelRequestEnding::Answered,
        AnswerStop::Refusal(details) => ModelRequestEnding::Refused { details: declines(details, declined) },
        AnswerStop::PauseTurn => ModelRequestEnding::Paused,
    };
    let refused = matches!(ending, ModelRequestEnding::Refused { .. });
    let said = events(request, answer.blocks, cut);
    let mut closed: Vec<(EventId, String)> = Vec::new();
    let mut errands: Vec<(EventId, DelegationTool, Object)> = Vec::new();
    for said in said {
        match said {
            Said::Text(id, content) => {
                if content.iter().any(|block| block.weight() > 0) {
                    draft.say_as(thread, id, Body::AgentMessage { content }, None);
                }
            }
            Said::Thinking(id, block) => {
                draft.say_as(thread, id, Body::AgentThinking, Some(PrivatePart::Thought { block }));
            }
            // A refusal ends the turn: what it would have called is not called.
            Said::Call(..) if refused => {}
            Said::Call(id, provider_id, name, input) => {
                let offer = offer(draft.session.cast(thread), &name);
                match (&input, offer) {
                    (Err(why), _) => closed.push((id, why.clone())),
                    (Ok(_), Offer::Nothing) => closed.push((id, turn::no_such_tool(&name))),
                    (Ok(input), Offer::Errand(errand)) => errands.push((id, errand, input.clone())),
                    (Ok(_), Offer::Custom | Offer::Ours(..)) => {}
                }
                if let Offer::Errand(_) = offer {
                    let input = input.unwrap_or_default();
                    draft.note(thread, Note::Delegated { call: id, provider_id, name, input });
                } else {
                    let noted = matches!(offer, Offer::Ours(runner, _) if !runner.only_reads());
                    let body = call(offer, name, input.ok());
                    draft.say_as(thread, id, body, Some(PrivatePart::Call { provider_id, noted }));
                }
            }
        }
    }
    turn::end_with(draft, thread, ending, answer.tokens, opaque);
    let open = draft.session.thread(thread).map(|state| state.calls().to_vec()).unwrap_or_default();
    for (id, text) in closed {
        if let Some(call) = open.iter().find(|call| call.id == id) {
            turn::close(draft, thread, call, &text);
        }
    }
    for (id, errand, input) in errands {
        delegation::run(draft, thread, id, errand, &input);
    }
    turn::rest(draft, thread, "");
}

/// What a thread's agent offers under a name.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Offer {
    /// A tool that the client runs.
    Custom,
    /// A tool that the server sees to.
    Ours(CallRunner, PermissionPolicy),
    /// A delegation tool.
    Errand(DelegationTool),
    /// No such tool, or one that is off or not served.
    Nothing,
}

fn offer(cast: Option<ActingAgent<'_>>, name: &str) -> Offer {
    let Some(cast) = cast else { return Offer::Nothing };
    if let Some(errand) = DelegationTool::named(name).filter(|errand| cast.may(*errand)) {
        return Offer::Errand(errand);
    }
    let offered = cast.tools.iter().find_map(|tool| match tool {
        AgentTool::Custom(custom) => (custom.name == name).then_some(Offer::Custom),
        AgentTool::Toolset(toolset) => {
            let tool = BuiltinName::named(name).filter(|tool| tool.served())?;
            let config = toolset.of(tool);
            config.enabled.then_some(Offer::Ours(CallRunner::Builtin(tool), config.permission_policy))
        }
    });
    offered.unwrap_or(Offer::Nothing)
}

/// The event of a call: who answers it follows from what the agent offers. Without an `input` it is
/// answered at once, before any policy is asked.
fn call(offer: Offer, name: String, input: Option<Object>) -> Body {
    let unread = input.is_none();
    let input = input.unwrap_or_default();
    let (permission, evaluation) = match offer {
        Offer::Custom => return Body::AgentCustomToolUse { name, input, session_thread_id: None },
        // Refused before any policy: denied, and no evaluation (docs/rules.md 16).
        Offer::Nothing | Offer::Errand(_) => (CallPermission::Deny, None),
        Offer::Ours(CallRunner::Builtin(_), _) if unread => (CallPermission::Deny, None),
        Offer::Ours(CallRunner::Builtin(_), PermissionPolicy::AlwaysAllow) => {
            (CallPermission::Allow, Some(PermissionEvaluation::AlwaysAllow))
        }
        Offer::Ours(CallRunner::Builtin(_), PermissionPolicy::AlwaysAsk) => {
            (CallPermission::Ask, Some(PermissionEvaluation::AlwaysAsk))
        }
    };
    Body::AgentToolUse {
        name,
        input,
        evaluated_permission: Some(permission),
        evaluation,
        session_thread_id: None,
    }
}
