//! Every event of a session's log, word for word the API's (docs/rules.md 19; fields as in
//! `clients/contract/contract.json`). The stored event is the public event.

use alloc::{boxed::Box, collections::BTreeMap, string::String, vec::Vec};

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::{
    EventId, Object, ThreadId, Timestamp,
    agent::SessionAgent,
    content::ContentBlock,
    schema::Tagged,
    usage::{SpanUsage, Usage},
};

/// One event.
#[derive(Debug, Clone, PartialEq, JsonSchema, Serialize, Deserialize)]
pub struct Event {
    /// Its id: the same in every view.
    pub id: EventId,
    /// When it was processed; null while it waits in the queue (docs/rules.md 4).
    pub processed_at: Option<Timestamp>,
    /// What it says.
    #[serde(flatten)]
    pub body: Body,
}

macro_rules! bodies {
    ($(
        $(#[$doc:meta])* $name:literal $variant:ident
        $({ $($(#[$field_doc:meta])* $field:ident: $type:ty,)* })?;
    )*) => {
        /// What an event says, by its `type`.
        #[derive(Debug, Clone, PartialEq, JsonSchema, Serialize, Deserialize)]
        #[serde(tag = "type")]
        #[schemars(rename = "EventBody")]
        pub enum Body {
            $($(#[$doc])* #[serde(rename = $name)] $variant $({ $($(#[$field_doc])* $field: $type,)* })?,)*
        }

        impl Body {
            /// The `type` of every event, in the API's order.
            pub const NAMES: &'static [&'static str] = &[$($name),*];

            /// The `type` of every event that a list can hold: all but the last, the end of everything.
            pub const LISTED: &'static [&'static str] = match Self::NAMES.split_last() {
                Some((_, listed)) => listed,
                None => &[],
            };

            /// The event's `type`.
            pub const fn name(&self) -> &'static str {
                match self {
                    $(Self::$variant { .. } => $name,)*
                }
            }
        }
    };
}

bodies! {
    /// A person speaks.
    "user.message" UserMessage {
        /// text, image, document.
        content: Vec<ContentBlock>,
    };
    /// A person stops a thread, or all of them.
    "user.interrupt" UserInterrupt {
        /// The thread to stop; null: all.
        session_thread_id: Option<ThreadId>,
    };
    /// A person lets a tool run or not.
    "user.tool_confirmation" UserToolConfirmation {
        /// The event of the call.
        tool_use_id: EventId,
        /// allow or deny.
        result: ConfirmationVerdict,
        /// Why not.
        deny_message: Option<String>,
        /// The child thread the call belongs to.
        session_thread_id: Option<ThreadId>,
    };
    /// A client answers a custom tool's call.
    "user.custom_tool_result" UserCustomToolResult {
        /// The event of the call.
        custom_tool_use_id: EventId,
        /// The result.
        content: Option<Vec<ContentBlock>>,
        /// Whether the tool failed.
        is_error: Option<bool>,
        /// The child thread the call belongs to.
        session_thread_id: Option<ThreadId>,
    };
    /// A self-hosted worker answers a built-in tool's call.
    "user.tool_result" UserToolResult {
        /// The event of the call.
        tool_use_id: EventId,
        /// The result.
        content: Option<Vec<ContentBlock>>,
        /// Whether the tool failed.
        is_error: Option<bool>,
        /// The child thread the call belongs to.
        session_thread_id: Option<ThreadId>,
    };
    /// A person defines what done means.
    "user.define_outcome" UserDefineOutcome {
        /// Its id.
        outcome_id: String,
        /// What to reach.
        description: String,
        /// How it is judged.
        rubric: Rubric,
        /// Most rounds.
        max_iterations: Option<u64>,
    };
    /// The application speaks to the model between turns.
    "system.message" SystemMessage {
        /// Text only.
        content: Vec<ContentBlock>,
    };
    /// The agent speaks.
    "agent.message" AgentMessage {
        /// One entry per text block of the model.
        content: Vec<ContentBlock>,
    };
    /// The agent thought; what it thought is not shown.
    "agent.thinking" AgentThinking;
    /// The agent calls a tool that the server runs.
    "agent.tool_use" AgentToolUse {
        /// The tool.
        name: String,
        /// Its input.
        input: Object,
        /// allow, ask or deny.
        evaluated_permission: Option<CallPermission>,
        /// How that was decided.
        evaluation: Option<PermissionEvaluation>,
        /// The child thread, on the primary stream's copy only.
        session_thread_id: Option<ThreadId>,
    };
    /// What a tool gave that the server ran.
    "agent.tool_result" AgentToolResult {
        /// The event of the call.
        tool_use_id: EventId,
        /// The result.
        content: Option<Vec<ContentBlock>>,
        /// Whether the tool failed.
        is_error: Option<bool>,
    };
    /// The agent calls a tool of an MCP server.
    "agent.mcp_tool_use" AgentMcpToolUse {
        /// The server.
        mcp_server_name: String,
        /// The tool.
        name: String,
        /// Its input.
        input: Object,
        /// allow, ask or deny.
        evaluated_permission: Option<CallPermission>,
        /// How that was decided.
        evaluation: Option<PermissionEvaluation>,
        /// The child thread, on the primary stream's copy only.
        session_thread_id: Option<ThreadId>,
    };
    /// What an MCP tool gave.
    "agent.mcp_tool_result" AgentMcpToolResult {
        /// The event of the call.
        mcp_tool_use_id: EventId,
        /// The result.
        content: Option<Vec<ContentBlock>>,
        /// Whether the tool failed.
        is_error: Option<bool>,
    };
    /// The agent calls a tool that the client runs.
    "agent.custom_tool_use" AgentCustomToolUse {
        /// The tool.
        name: String,
        /// Its input.
        input: Object,
        /// The child thread, on the primary stream's copy only.
        session_thread_id: Option<ThreadId>,
    };
    /// A message of another thread arrived.
    "agent.thread_message_received" AgentThreadMessageReceived {
        /// Where from.
        from_session_thread_id: ThreadId,
        /// Whose; null from the primary agent in the logs of earlier versions.
        from_agent_name: Option<String>,
        /// What it says.
        content: Vec<ContentBlock>,
    };
    /// A message to another thread was sent.
    "agent.thread_message_sent" AgentThreadMessageSent {
        /// Where to.
        to_session_thread_id: ThreadId,
        /// To whom; null to the primary agent.
        to_agent_name: Option<String>,
        /// What it says.
        content: Vec<ContentBlock>,
    };
    /// A thread's history was shortened.
    "agent.thread_context_compacted" AgentThreadContextCompacted;
    /// The session works.
    "session.status_running" SessionStatusRunning;
    /// The session rests.
    "session.status_idle" SessionStatusIdle {
        /// Why.
        stop_reason: StopReason,
        /// More about a refusal.
        stop_details: Option<RefusalDetails>,
    };
    /// The session waits to try again.
    "session.status_rescheduled" SessionStatusRescheduled;
    /// The session is over.
    "session.status_terminated" SessionStatusTerminated;
    /// Something failed.
    "session.error" SessionError {
        /// What.
        error: SessionFault,
    };
    /// The session was changed; only what changed is there.
    "session.updated" SessionUpdated {
        /// The new agent.
        #[serde(skip_serializing_if = "Option::is_none", default)]
        agent: Option<Box<SessionAgent>>,
        /// The new metadata, whole.
        #[serde(skip_serializing_if = "Option::is_none", default)]
        metadata: Option<BTreeMap<String, String>>,
        /// The new title.
        #[serde(skip_serializing_if = "Option::is_none", default)]
        title: Option<String>,
    };
    /// What the session has used; right before every idle.
    "session.usage" SessionUsage {
        /// The sums.
        usage: Usage,
        /// Always null: budgets are not served.
        budget: Option<Object>,
    };
    /// A thread began.
    "session.thread_created" SessionThreadCreated {
        /// Which.
        session_thread_id: ThreadId,
        /// Whose.
        agent_name: String,
        /// The workflow run it belongs to.
        workflow_run_id: Option<String>,
    };
    /// A thread works.
    "session.thread_status_running" SessionThreadStatusRunning {
        /// Which.
        session_thread_id: ThreadId,
        /// Whose.
        agent_name: String,
    };
    /// A thread rests.
    "session.thread_status_idle" SessionThreadStatusIdle {
        /// Which.
        session_thread_id: ThreadId,
        /// Whose.
        agent_name: String,
        /// Why.
        stop_reason: StopReason,
        /// More about a refusal.
        stop_details: Option<RefusalDetails>,
    };
    /// A thread waits to try again.
    "session.thread_status_rescheduled" SessionThreadStatusRescheduled {
        /// Which.
        session_thread_id: ThreadId,
        /// Whose.
        agent_name: String,
    };
    /// A thread is over.
    "session.thread_status_terminated" SessionThreadStatusTerminated {
        /// Which.
        session_thread_id: ThreadId,
        /// Whose.
        agent_name: String,
    };
    /// The model was asked.
    "span.model_request_start" SpanModelRequestStart;
    /// The model answered, failed or was cut off.
    "span.model_request_end" SpanModelRequestEnd {
        /// The request.
        model_request_start_id: EventId,
        /// Whether it came to nothing.
        is_error: Option<bool>,
        /// What it cost.
        model_usage: SpanUsage,
    };
    /// A grader began.
    "span.outcome_evaluation_start" SpanOutcomeEvaluationStart {
        /// The outcome.
        outcome_id: String,
        /// The round, from 0.
        iteration: u64,
    };
    /// A grader goes on.
    "span.outcome_evaluation_ongoing" SpanOutcomeEvaluationOngoing {
        /// The outcome.
        outcome_id: String,
        /// The round, from 0.
        iteration: u64,
    };
    /// A grader has judged.
    "span.outcome_evaluation_end" SpanOutcomeEvaluationEnd {
        /// Where it began; empty if it never did.
        outcome_evaluation_start_id: String,
        /// The outcome.
        outcome_id: String,
        /// The round, from 0.
        iteration: u64,
        /// satisfied, needs_revision, max_iterations_reached, failed or interrupted.
        result: String,
        /// Why.
        explanation: String,
        /// What it cost.
        usage: SpanUsage,
    };
    /// A workflow run began.
    "workflow_run.created" WorkflowRunCreated {
        /// Which.
        workflow_run_id: String,
        /// What it is called.
        name: String,
        /// What it does.
        description: Option<String>,
        /// Its phases.
        phases: Vec<WorkflowPhase>,
    };
    /// A workflow run works.
    "workflow_run.status_running" WorkflowRunStatusRunning {
        /// Which.
        workflow_run_id: String,
    };
    /// A workflow run rests.
    "workflow_run.status_idle" WorkflowRunStatusIdle {
        /// Which.
        workflow_run_id: String,
    };
    /// A workflow run is over.
    "workflow_run.status_ended" WorkflowRunStatusEnded {
        /// Which.
        workflow_run_id: String,
        /// How it ended.
        result: WorkflowResult,
    };
    /// A workflow run failed.
    "workflow_run.error" WorkflowRunError {
        /// Which; null if it never began.
        workflow_run_id: Option<String>,
        /// Why.
        error: WorkflowFault,
    };
    /// A phase of a workflow run began.
    "workflow_run.phase_started" WorkflowRunPhaseStarted {
        /// Which run.
        workflow_run_id: String,
        /// Which phase.
        workflow_run_phase_id: String,
    };
    /// A phase of a workflow run ended.
    "workflow_run.phase_ended" WorkflowRunPhaseEnded {
        /// Which run.
        workflow_run_id: String,
        /// Which phase.
        workflow_run_phase_id: String,
        /// The event that began it.
        phase_started_id: EventId,
    };
    /// The session is gone. Last, since no list outlives it.
    "session.deleted" SessionDeleted;
}

/// A person's answer to an `ask`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, JsonSchema, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
#[schemars(rename = "Verdict")]
pub enum ConfirmationVerdict {
    /// Let it run.
    Allow,
    /// Do not.
    Deny,
}

/// What the policy said of a call.
#[derive(Debug, Clone, Copy, PartialEq, Eq, JsonSchema, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
#[schemars(rename = "Permission")]
pub enum CallPermission {
    /// It runs.
    Allow,
    /// A person is asked.
    Ask,
    /// It does not run.
    Deny,
}

/// How a permission was decided.
#[derive(Debug, Clone, Copy, PartialEq, Eq, JsonSchema, Serialize, Deserialize)]
#[serde(tag = "type", rename_all = "snake_case")]
#[schemars(rename = "Evaluation")]
pub enum PermissionEvaluation {
    /// The policy is always_allow.
    AlwaysAllow,
    /// The policy is always_ask.
    AlwaysAsk,
}

/// Why a thread or session rests (docs/rules.md 1).
#[derive(Debug, Clone, PartialEq, Eq, JsonSchema, Serialize, Deserialize)]
#[serde(tag = "type", rename_all = "snake_case")]
pub enum StopReason {
    /// It is done for now.
    EndTurn,
    /// It waits for the client.
    RequiresAction {
        /// The events of the calls it waits for; never empty.
        event_ids: Vec<EventId>,
    },
    /// The model could not be asked.
    RetriesExhausted,
    /// The money is spent.
    BudgetReached,
    /// The model declined.
    Refusal,
}

/// More about a refusal.
#[derive(Debug, Clone, PartialEq, Eq, Default, JsonSchema, Serialize, Deserialize)]
#[serde(tag = "type", rename = "refusal")]
#[schemars(rename = "RefusalDetails", transform = Tagged("refusal"))]
pub struct RefusalDetails {
    /// cyber, bio, frontier_llm, reasoning_extraction or general_harms.
    pub category: Option<String>,
    /// Why.
    pub explanation: Option<String>,
}

/// What failed, and whether it is tried again (docs/rules.md 19).
#[derive(Debug, Clone, PartialEq, Eq, JsonSchema, Serialize, Deserialize)]
pub struct SessionFault {
    /// Which kind of failure.
    #[serde(rename = "type")]
    pub kind: FaultKind,
    /// One sentence for the person who runs the agent.
    pub message: String,
    /// Whether it is tried again.
    pub retry_status: RetryStatus,
}

/// The kinds of `session.error` that Heddle makes.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, JsonSchema, Serialize, Deserialize)]
pub enum FaultKind {
    /// None of the others.
    #[serde(rename = "unknown_error")]
    Unknown,
    /// The model's provider is overloaded.
    #[serde(rename = "model_overloaded_error")]
    ModelOverloaded,
    /// The model's provider limits our rate.
    #[serde(rename = "model_rate_limited_error")]
    ModelRateLimited,
    /// Any other failure of a model request.
    #[serde(rename = "model_request_failed_error")]
    ModelRequestFailed,
    /// The account cannot pay.
    #[serde(rename = "billing_error")]
    Billing,
    /// The runaway guard ended the turn.
    #[serde(rename = "tool_use_limit_reached_error")]
    ToolUseLimitReached,
}

/// Whether a failure is tried again.
#[derive(Debug, Clone, Copy, PartialEq, Eq, JsonSchema, Serialize, Deserialize)]
#[serde(tag = "type", rename_all = "snake_case")]
pub enum RetryStatus {
    /// It is.
    Retrying,
    /// Not any more; the session can go on with a new message.
    Exhausted,
    /// Never; the session is over.
    Terminal,
}

/// How an outcome is judged.
#[derive(Debug, Clone, PartialEq, Eq, JsonSchema, Serialize, Deserialize)]
#[serde(tag = "type", rename_all = "snake_case")]
pub enum Rubric {
    /// By this text.
    Text {
        /// The text.
        content: String,
    },
    /// By the text of an uploaded file.
    File {
        /// The file's id.
        file_id: String,
    },
}

/// A phase of a workflow run.
#[derive(Debug, Clone, PartialEq, Eq, JsonSchema, Serialize, Deserialize)]
pub struct WorkflowPhase {
    /// Its id.
    pub id: String,
    /// What it is called.
    pub name: String,
    /// What it does.
    pub description: Option<String>,
}

/// How a workflow run ended.
#[derive(Debug, Clone, PartialEq, Eq, JsonSchema, Serialize, Deserialize)]
#[serde(tag = "type", rename_all = "snake_case")]
pub enum WorkflowResult {
    /// It did all it had to.
    Completed,
    /// It was stopped.
    Stopped,
    /// It failed.
    Error {
        /// Why.
        error: WorkflowFault,
    },
}

/// Why a workflow run failed.
#[derive(Debug, Clone, PartialEq, Eq, JsonSchema, Serialize, Deserialize)]
pub struct WorkflowFault {
    /// timeout_error, program_error, thread_limit_error, max_workflow_runs_error or unknown_error.
    #[serde(rename = "type")]
    pub kind: String,
    /// One sentence.
    pub message: String,
}

#[cfg(test)]
mod tests {
    use super::*;
    use alloc::vec;
    use serde_json::json;

    fn event(body: Body) -> Event {
        Event { id: EventId::from_bits(7), processed_at: Some(Timestamp::from_micros(1)), body }
    }

    #[test]
    fn an_event_is_written_flat_with_every_field() {
        let use_ = event(Body::AgentCustomToolUse {
            name: "f".into(),
            input: Object::new(),
            session_thread_id: None,
        });
        assert_eq!(
            serde_json::to_value(&use_).expect("writes"),
            json!({
                "id": "sevt_1111111111111111111118", "processed_at": "1970-01-01T00:00:00.000001Z",
                "type": "agent.custom_tool_use", "name": "f", "input": {}, "session_thread_id": null,
            })
        );
    }

    #[test]
    fn an_update_carries_only_what_changed() {
        let updated = event(Body::SessionUpdated { agent: None, metadata: None, title: Some("t".into()) });
        let written = serde_json::to_value(&updated).expect("writes");
        assert_eq!(
            written.as_object().map(|object| object.keys().cloned().collect::<Vec<_>>()),
            Some(vec!["id".into(), "processed_at".into(), "type".into(), "title".into()])
        );
    }

    #[test]
    fn what_is_written_reads_back() {
        let details = RefusalDetails { category: Some("bio".into()), explanation: None };
        for body in [
            Body::SessionStatusIdle { stop_reason: StopReason::Refusal, stop_details: Some(details) },
            Body::SessionStatusIdle {
                stop_reason: StopReason::RequiresAction { event_ids: vec![EventId::from_bits(1)] },
                stop_details: None,
            },
            Body::AgentThinking,
            Body::SessionError {
                error: SessionFault {
                    kind: FaultKind::ModelOverloaded,
                    message: "busy".into(),
                    retry_status: RetryStatus::Retrying,
                },
            },
        ] {
            let written = serde_json::to_string(&event(body.clone())).expect("writes");
            assert_eq!(serde_json::from_str::<Event>(&written).expect("reads"), event(body));
        }
    }

    #[test]
    fn every_name_is_its_own() {
        let mut names = Body::NAMES.to_vec();
        names.sort_unstable();
        names.dedup();
        assert_eq!(names.len(), Body::NAMES.len());
    }
}
