//! A thread: one agent's loop. What it is doing, and what a fact changes in that.

use alloc::{collections::VecDeque, string::String, vec::Vec};

use protocol::{
    EventId, ThreadId, Timestamp,
    content::ContentBlock,
    event::{Body, ConfirmationVerdict, Event, RefusalDetails, RetryStatus, StopReason},
    memory,
    usage::RequestTokens,
};

use crate::{
    call::{self, CallState, OpenCall},
    clock::Stopwatch,
    fact::{ChildEnd, MailKind, ModelRequestEnding, Note, PrivatePart},
    moment::Seed,
};

/// A thread of a session.
#[derive(Debug, Clone, PartialEq)]
pub struct ThreadState {
    /// Its id.
    pub id: ThreadId,
    /// The thread that made it; `None` for the primary.
    pub parent: Option<ThreadId>,
    /// How deep it lies: the primary at 0, its children at 1.
    pub depth: u32,
    /// Its agent's place in its parent's roster; `None` for the primary, which works with the session's.
    pub member: Option<usize>,
    /// The name of its agent, as events show it.
    pub agent_name: String,
    /// When it was made.
    pub created_at: Timestamp,
    /// When something last happened to it.
    pub updated_at: Timestamp,
    /// Since when it is archived.
    pub archived_at: Option<Timestamp>,
    /// What it is doing.
    pub doing: ThreadActivity,
    /// What waits for it, in log order (docs/rules.md 4).
    pub queue: VecDeque<QueuedInput>,
    /// Bytes of content in the queue.
    pub queued_bytes: usize,
    /// Model requests since the turn began or a person last spoke.
    pub requests: u32,
    /// Attempts at the current request that failed.
    pub failed: u32,
    /// Times that the current request was made again without a part that was refused.
    pub without: u32,
    /// Turns since the last answer that ended because what was told was refused.
    pub blamed: u32,
    /// Answers in a row, with nothing said to it in between, that the output limit cut in the middle of a
    /// call.
    pub cut_off: u32,
    /// The same of answers that called tools without one input that can be read.
    pub unread: u32,
    /// Answers in a row by which its model declined.
    pub declined: u32,
    /// What it used.
    pub tokens: RequestTokens,
    /// How long it ran.
    pub clock: Stopwatch,
    /// What it has to say to its parent at the end of this turn.
    pub report: ChildReport,
    /// Whether all that its model has been told since the last answer is what its tools gave.
    pub told_results: bool,
}

/// Something that waits for a thread.
#[derive(Debug, Clone, PartialEq)]
pub struct QueuedInput {
    /// The event that it becomes.
    pub event: Event,
    /// What will stand beside it.
    pub private: Option<PrivatePart>,
}

/// What a child says to its parent at the end of a turn (docs/rules.md 3).
#[derive(Debug, Clone, PartialEq, Default)]
pub struct ChildReport {
    /// What it sent while the parent waited for it, in order.
    pub kept: Vec<ContentBlock>,
    /// Whether it has sent mail in this turn.
    pub mailed: bool,
    /// The last that it said.
    pub last: Vec<ContentBlock>,
}

/// What a thread is doing. Its printed status follows from this (`status.rs`).
#[derive(Debug, Clone, PartialEq)]
pub enum ThreadActivity {
    /// Nothing; its last turn ended so.
    Resting(TurnStop),
    /// It has what it needs for the next model request. Never outlives a commit.
    Due,
    /// A model is being asked; the calls of its answer so far are collected.
    Asking(ModelRequest, Vec<OpenCall>),
    /// The calls of the last answer that nobody has answered yet; never empty.
    Calling(Vec<OpenCall>),
    /// A failed request is asked again then.
    Waiting(Timestamp),
    /// It is over.
    Ended(ChildEnd),
}

/// How a turn ended.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum TurnStop {
    /// The model had said all, or a person stopped it.
    EndTurn,
    /// The model declined.
    Refused(RefusalDetails),
    /// The model could not be asked, or asked too often.
    Exhausted,
}

impl TurnStop {
    /// The stop as events print it.
    pub fn reason(&self) -> StopReason {
        match self {
            Self::EndTurn => StopReason::EndTurn,
            Self::Refused(_) => StopReason::Refusal,
            Self::Exhausted => StopReason::RetriesExhausted,
        }
    }
}

/// An open model request.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct ModelRequest {
    /// The event that began it.
    pub id: EventId,
    /// Where the ids of its answer come from.
    pub seed: Seed,
    /// Where the log stood when it was made.
    pub position: u64,
}

impl ThreadState {
    /// The primary thread.
    pub(crate) fn primary(id: ThreadId, agent_name: String, created_at: Timestamp) -> Self {
        Self {
            id,
            parent: None,
            depth: 0,
            member: None,
            agent_name,
            created_at,
            updated_at: created_at,
            archived_at: None,
            doing: ThreadActivity::Resting(TurnStop::EndTurn),
            queue: VecDeque::new(),
            queued_bytes: 0,
            requests: 0,
            failed: 0,
            without: 0,
            blamed: 0,
            cut_off: 0,
            unread: 0,
            declined: 0,
            tokens: RequestTokens::default(),
            clock: Stopwatch::default(),
            report: ChildReport::default(),
            told_results: false,
        }
    }

    /// A child of this thread.
    pub(crate) fn child(
        &self,
        id: ThreadId,
        member: usize,
        agent_name: String,
        created_at: Timestamp,
    ) -> Self {
        let (parent, depth, member) = (Some(self.id), self.depth + 1, Some(member));
        Self { parent, depth, member, ..Self::primary(id, agent_name, created_at) }
    }

    /// The calls that wait for an answer, oldest first.
    pub fn calls(&self) -> &[OpenCall] {
        match &self.doing {
            ThreadActivity::Calling(calls) => calls,
            ThreadActivity::Resting(_)
            | ThreadActivity::Due
            | ThreadActivity::Asking(..)
            | ThreadActivity::Waiting(_)
            | ThreadActivity::Ended(_) => &[],
        }
    }

    /// The open model request.
    pub fn request(&self) -> Option<ModelRequest> {
        match &self.doing {
            ThreadActivity::Asking(request, _) => Some(*request),
            ThreadActivity::Resting(_)
            | ThreadActivity::Due
            | ThreadActivity::Calling(_)
            | ThreadActivity::Waiting(_)
            | ThreadActivity::Ended(_) => None,
        }
    }

    /// Whether nothing goes on and nothing is waited for.
    pub const fn rests(&self) -> bool {
        matches!(self.doing, ThreadActivity::Resting(_))
    }

    /// Whether it is over.
    pub const fn ended(&self) -> bool {
        matches!(self.doing, ThreadActivity::Ended(_))
    }

    /// The call that waits for this child's report.
    pub fn waiting_for(&self, child: ThreadId) -> Option<&OpenCall> {
        self.calls().iter().find(|call| call.state.waits_for() == Some(child))
    }

    /// About how many bytes of memory it points to.
    pub(crate) fn bytes(&self) -> usize {
        let doing = match &self.doing {
            ThreadActivity::Asking(_, calls) | ThreadActivity::Calling(calls) => {
                memory::list(calls, |call| match &call.state {
                    CallState::Denied(_, Some(message)) => memory::text(message),
                    CallState::Denied(_, None)
                    | CallState::Client
                    | CallState::Asked(_)
                    | CallState::Allowed(_)
                    | CallState::Ready(_)
                    | CallState::Turn(_)
                    | CallState::Started(_)
                    | CallState::Nobody
                    | CallState::Errand
                    | CallState::Waits(_) => 0,
                })
            }
            ThreadActivity::Resting(TurnStop::Refused(details)) => {
                let said = [&details.category, &details.explanation].into_iter().flatten();
                said.map(|said| memory::text(said)).sum()
            }
            ThreadActivity::Resting(TurnStop::EndTurn | TurnStop::Exhausted)
            | ThreadActivity::Due
            | ThreadActivity::Waiting(_)
            | ThreadActivity::Ended(_) => 0,
        };
        let queued: usize = self.queue.iter().map(|queued| memory::queued(&queued.event)).sum();
        let report =
            memory::list(&self.report.kept, memory::block) + memory::list(&self.report.last, memory::block);
        memory::text(&self.agent_name)
            + doing
            + self.queue.capacity() * size_of::<QueuedInput>()
            + queued
            + report
    }

    pub(crate) fn evolve_note(&mut self, at: Timestamp, note: &Note) {
        match note {
            Note::Opened { .. } => {}
            Note::Archived => self.end(at, ChildEnd::Archived),
            Note::Ended { end } => self.end(at, *end),
            Note::Queued { event, private } => {
                self.queued_bytes += weight(event);
                self.queue.push_back(QueuedInput { event: Event::clone(event), private: private.clone() });
            }
            Note::Cancelled { event } => self.dequeue(*event),
            Note::Retry { until } => self.doing = ThreadActivity::Waiting(*until),
            Note::Began { call } => self.begin(*call),
            Note::Delegated { call, .. } => self.call(*call, CallState::Errand, false),
            Note::Settled { call, .. } => self.answer(*call),
            Note::Kept { content } => self.report.kept.extend(content.iter().cloned()),
            Note::LeftOut { .. } => self.without += 1,
            Note::Blamed { .. } => self.blamed += 1,
        }
    }

    /// What one that is over holds is not needed any more.
    fn end(&mut self, at: Timestamp, end: ChildEnd) {
        if end == ChildEnd::Archived {
            self.archived_at.get_or_insert(at);
        }
        if !self.ended() {
            self.doing = ThreadActivity::Ended(end);
            self.report = ChildReport::default();
        }
    }

    /// Notes that a call waits for the child it has made.
    pub(crate) fn wait(&mut self, id: EventId, child: ThreadId) {
        if let ThreadActivity::Calling(calls) = &mut self.doing
            && let Some(call) = calls.iter_mut().find(|call| call.id == id)
        {
            call.state = CallState::Waits(child);
        }
    }

    /// What an event of this thread changes. Total: an event that does not fit changes nothing.
    pub(crate) fn evolve_event(&mut self, event: &Event, private: Option<&PrivatePart>) {
        match &event.body {
            Body::UserMessage { .. } => {
                self.take(event);
                self.requests = 0;
            }
            // A result goes to the call that waited for it, and wakes nobody by itself.
            Body::AgentThreadMessageReceived { .. } if is_result(private) => {}
            Body::AgentThreadMessageReceived { .. } => self.take(event),
            Body::AgentThreadMessageSent { to_session_thread_id, .. } => self.sent(*to_session_thread_id),
            Body::AgentMessage { content } => self.said(content),
            Body::SpanModelRequestStart => {
                if let Some(PrivatePart::Request { seed, position }) = private {
                    self.requests += 1;
                    let request = ModelRequest { id: event.id, seed: *seed, position: *position };
                    self.doing = ThreadActivity::Asking(request, Vec::new());
                }
            }
            Body::AgentCustomToolUse { .. } => self.call(event.id, CallState::Client, false),
            Body::AgentToolUse { name, evaluated_permission, .. } => {
                let noted = matches!(private, Some(PrivatePart::Call { noted: true, .. }));
                self.call(event.id, CallState::of(name, *evaluated_permission), noted);
            }
            Body::SpanModelRequestEnd { .. } => {
                if let Some(PrivatePart::Ended { ending, tokens, held, .. }) = private {
                    self.tokens = self.tokens.plus(*tokens);
                    self.finish(ending, *held);
                }
            }
            Body::UserCustomToolResult { custom_tool_use_id: call, .. }
            | Body::AgentToolResult { tool_use_id: call, .. } => self.answer(*call),
            Body::UserToolConfirmation { tool_use_id, result, deny_message, .. } => {
                self.confirm(*tool_use_id, *result, deny_message.as_deref());
            }
            Body::UserInterrupt { .. } => self.interrupted(),
            Body::SessionError { error } => {
                if error.retry_status == RetryStatus::Exhausted {
                    self.doing = ThreadActivity::Resting(TurnStop::Exhausted);
                    (self.failed, self.without) = (0, 0);
                }
            }
            Body::SessionThreadStatusRunning { .. } => self.clock.start(at(event)),
            Body::SessionThreadStatusRescheduled { .. } => self.clock.stop(at(event)),
            Body::SessionThreadStatusIdle { .. } => self.rested(at(event)),
            Body::SessionThreadStatusTerminated { .. } => self.clock.end(at(event)),
            // None of these changes what a thread is doing.
            Body::AgentThinking
            | Body::SessionStatusRunning
            | Body::SessionStatusIdle { .. }
            | Body::SessionStatusRescheduled
            | Body::SessionStatusTerminated
            | Body::SessionUpdated { .. }
            | Body::SessionUsage { .. }
            | Body::SessionDeleted
            | Body::SessionThreadCreated { .. }
            // Not made by this kernel yet.
            | Body::UserToolResult { .. }
            | Body::UserDefineOutcome { .. }
            | Body::SystemMessage { .. }
            | Body::AgentMcpToolUse { .. }
            | Body::AgentMcpToolResult { .. }
            | Body::AgentThreadContextCompacted
            | Body::SpanOutcomeEvaluationStart { .. }
            | Body::SpanOutcomeEvaluationOngoing { .. }
            | Body::SpanOutcomeEvaluationEnd { .. }
            | Body::WorkflowRunCreated { .. }
            | Body::WorkflowRunStatusRunning { .. }
            | Body::WorkflowRunStatusIdle { .. }
            | Body::WorkflowRunStatusEnded { .. }
            | Body::WorkflowRunError { .. }
            | Body::WorkflowRunPhaseStarted { .. }
            | Body::WorkflowRunPhaseEnded { .. } => {}
        }
    }

    /// It has written to another thread; to its parent: all that it had to report so far.
    fn sent(&mut self, to: ThreadId) {
        if self.parent == Some(to) {
            self.report = ChildReport { mailed: true, ..ChildReport::default() };
        }
    }

    fn said(&mut self, content: &[ContentBlock]) {
        if self.parent.is_some() {
            self.report.last = content.to_vec();
        }
    }

    /// It is shown as idle: its turn is over, unless it waits for the client.
    fn rested(&mut self, at: Timestamp) {
        self.clock.stop(at);
        if self.rests() {
            self.report = ChildReport::default();
        }
    }

    /// A person has stopped it.
    pub(crate) fn interrupted(&mut self) {
        if !matches!(self.doing, ThreadActivity::Resting(_) | ThreadActivity::Ended(_)) {
            self.doing = ThreadActivity::Resting(TurnStop::EndTurn);
            (self.failed, self.without) = (0, 0);
        }
    }

    fn take(&mut self, event: &Event) {
        self.dequeue(event.id);
        (self.told_results, self.cut_off, self.unread) = (false, 0, 0);
        if self.rests() {
            self.doing = ThreadActivity::Due;
            self.requests = 0;
            // What was kept for a wait is still to be reported, also when a turn goes on that would have
            // ended.
            self.report =
                ChildReport { kept: core::mem::take(&mut self.report.kept), ..ChildReport::default() };
        }
    }

    fn dequeue(&mut self, event: EventId) {
        if let Some(place) = self.queue.iter().position(|queued| queued.event.id == event)
            && let Some(queued) = self.queue.remove(place)
        {
            self.queued_bytes = self.queued_bytes.saturating_sub(weight(&queued.event));
        }
    }

    fn call(&mut self, id: EventId, state: CallState, noted: bool) {
        if let ThreadActivity::Asking(_, calls) = &mut self.doing {
            calls.push(OpenCall { id, state, noted });
        }
    }

    fn begin(&mut self, id: EventId) {
        if let ThreadActivity::Calling(calls) = &mut self.doing {
            call::begin(calls, id);
        }
    }

    fn finish(&mut self, ending: &ModelRequestEnding, held: bool) {
        let ThreadActivity::Asking(_, calls) = &mut self.doing else { return };
        let mut calls = core::mem::take(calls);
        if held {
            call::hold(&mut calls);
        }
        call::proceed(&mut calls);
        self.doing = match ending {
            ModelRequestEnding::Answered
            | ModelRequestEnding::CutOff
            | ModelRequestEnding::Unread
            | ModelRequestEnding::Paused
                if !calls.is_empty() =>
            {
                ThreadActivity::Calling(calls)
            }
            ModelRequestEnding::Answered | ModelRequestEnding::CutOff | ModelRequestEnding::Unread => {
                ThreadActivity::Resting(TurnStop::EndTurn)
            }
            ModelRequestEnding::Refused { details } => {
                ThreadActivity::Resting(TurnStop::Refused(details.clone()))
            }
            ModelRequestEnding::Paused | ModelRequestEnding::Failed | ModelRequestEnding::Cut => {
                ThreadActivity::Due
            }
        };
        if *ending == ModelRequestEnding::Paused {
            self.told_results = false;
        }
        match ending {
            ModelRequestEnding::Failed => self.failed += 1,
            ModelRequestEnding::Answered | ModelRequestEnding::Paused => self.answered(0, 0, 0),
            ModelRequestEnding::CutOff => self.answered(self.cut_off + 1, 0, 0),
            ModelRequestEnding::Unread => self.answered(0, self.unread + 1, 0),
            ModelRequestEnding::Refused { .. } => self.answered(0, 0, self.declined + 1),
            ModelRequestEnding::Cut => {}
        }
    }

    /// An answer has come, and begins the counts of other kinds anew: nothing that the thread has told is
    /// refused.
    fn answered(&mut self, cut_off: u32, unread: u32, declined: u32) {
        (self.failed, self.without, self.blamed) = (0, 0, 0);
        (self.cut_off, self.unread, self.declined) = (cut_off, unread, declined);
    }

    fn confirm(&mut self, id: EventId, verdict: ConfirmationVerdict, message: Option<&str>) {
        if let ThreadActivity::Calling(calls) = &mut self.doing {
            call::confirm(calls, id, verdict, message);
        }
    }

    fn answer(&mut self, id: EventId) {
        if let ThreadActivity::Calling(calls) = &mut self.doing {
            calls.retain(|call| call.id != id);
            call::proceed(calls);
            if calls.is_empty() {
                self.doing = ThreadActivity::Due;
                self.told_results = true;
            }
        }
    }
}

fn is_result(private: Option<&PrivatePart>) -> bool {
    matches!(private, Some(PrivatePart::Mail { told: MailKind::Result }))
}

fn at(event: &Event) -> Timestamp {
    event.processed_at.unwrap_or_default()
}

/// How many bytes of the queue's bound an event takes. Only messages are ever queued.
#[expect(clippy::wildcard_enum_match_arm, reason = "picks two of forty kinds")]
fn weight(event: &Event) -> usize {
    match &event.body {
        Body::UserMessage { content } | Body::AgentThreadMessageReceived { content, .. } => {
            content.iter().map(ContentBlock::weight).sum()
        }
        _ => 0,
    }
}
