//! The query parameters of every operation: name, form and bounds.

use protocol::{event, id, limits, page, page::PageSize, session};
use schemars::{JsonSchema, SchemaGenerator};
use serde_json::{Value, json};

use crate::routes::models::{LIFECYCLES, MODELS};

/// One query parameter.
#[derive(Debug, Clone, Copy)]
pub(super) struct Parameter {
    /// Its name; that of a list ends in `[]`.
    pub(super) name: &'static str,
    /// What it may say.
    pub(super) form: Form,
    about: &'static str,
}

/// What a parameter may say.
#[derive(Debug, Clone, Copy)]
pub(super) enum Form {
    /// How many items a page has; 0 is the default.
    Limit(PageSize),
    /// Any text.
    Text,
    /// One of these.
    Name(&'static [&'static str]),
    /// Some of these, as often as the bound says if there is one.
    Names(&'static [&'static str], Option<usize>),
    /// A time with its zone.
    Time,
    /// `true` or `false`.
    Flag,
    /// A whole number.
    Whole,
    /// The id of an agent.
    Agent,
    /// The id of an event.
    Event,
}

const fn parameter(name: &'static str, form: Form, about: &'static str) -> Parameter {
    Parameter { name, form, about }
}

const PAGE: Parameter = parameter(
    "page",
    Form::Text,
    "Where the page begins: `next_page` or `prev_page` of another one, as it came.",
);
const SOME: Parameter =
    parameter("limit", Form::Limit(page::RESOURCES), "Items of a page; 0 is the default.");
const MANY: Parameter = parameter("limit", Form::Limit(page::LOGS), "Items of a page; 0 is the default.");
const ARCHIVED: Parameter =
    parameter("include_archived", Form::Flag, "Whether archived ones are listed too.");
const ORDER: Parameter = parameter("order", Form::Name(&["asc", "desc"]), "Which come first, by time.");
const STATUSES: Parameter =
    parameter("statuses[]", Form::Names(session::Status::NAMES, None), "Only those in one of these states.");
const GT: Parameter = parameter("created_at[gt]", Form::Time, "Only those made after this.");
const GTE: Parameter = parameter("created_at[gte]", Form::Time, "Only those made at this time or after it.");
const LT: Parameter = parameter("created_at[lt]", Form::Time, "Only those made before this.");
const LTE: Parameter = parameter("created_at[lte]", Form::Time, "Only those made at this time or before it.");
const DELTAS: Parameter = parameter(
    "event_deltas[]",
    Form::Names(&["agent.message", "agent.thinking"], Some(limits::EVENT_DELTAS)),
    "Which events are shown while they are being made, as event_start and event_delta.",
);
const AFTER_EVENT: Parameter =
    parameter("after_id", Form::Event, "Goes on behind this event; the header Last-Event-ID goes before it.");

/// The parameters of agents.list.
pub(super) const AGENTS: &[Parameter] = &[GTE, LTE, ARCHIVED, SOME, PAGE];
/// Of agents.retrieve.
pub(super) const AGENT: &[Parameter] =
    &[parameter("version", Form::Whole, "The agent as it was in this version.")];
/// Of agents.versions.list.
pub(super) const VERSIONS: &[Parameter] = &[SOME, PAGE];
/// Of environments.list.
pub(super) const ENVIRONMENTS: &[Parameter] = &[ARCHIVED, SOME, PAGE];
/// Of environments.delete.
pub(super) const ENVIRONMENT_DELETE: &[Parameter] = &[parameter(
    "force",
    Form::Flag,
    "Whether sessions that use it are no hindrance: they go on without it.",
)];
/// Of sessions.list.
pub(super) const SESSIONS: &[Parameter] = &[
    parameter("agent_id", Form::Agent, "Only those of this agent."),
    parameter("agent_version", Form::Whole, "Only those of this version; goes only with `agent_id`."),
    parameter("deployment_id", Form::Text, "Deployments are not supported yet: no session belongs to one."),
    parameter("memory_store_id", Form::Text, "Memory stores are not supported yet: no session has one."),
    STATUSES,
    GT,
    GTE,
    LT,
    LTE,
    ARCHIVED,
    ORDER,
    SOME,
    PAGE,
];
/// Of sessions.events.list.
pub(super) const EVENTS: &[Parameter] = &[
    parameter("types[]", Form::Names(event::Body::LISTED, None), "Only events of these types."),
    GT,
    GTE,
    LT,
    LTE,
    ORDER,
    MANY,
    PAGE,
];
/// Of the streams.
pub(super) const STREAM: &[Parameter] = &[DELTAS, AFTER_EVENT];
/// Of sessions.threads.list.
pub(super) const THREADS: &[Parameter] = &[STATUSES, MANY, PAGE];
/// Of sessions.threads.events.list.
pub(super) const THREAD_EVENTS: &[Parameter] = &[ORDER, MANY, PAGE];
/// Of models.list.
pub(super) const MODEL_LIST: &[Parameter] = &[
    parameter("after_id", Form::Text, "Lists what comes behind this model."),
    parameter("before_id", Form::Text, "Lists what comes before this model; goes not with `after_id`."),
    parameter(
        "lifecycle[]",
        Form::Names(LIFECYCLES, Some(LIFECYCLES.len())),
        "Only those in one of these stages; without it, all: every model here is active.",
    ),
    parameter("limit", Form::Limit(MODELS), "Items of a page; 0 is the default."),
];

impl Parameter {
    /// The parameter as OpenAPI has it.
    pub(super) fn written(&self) -> Value {
        let mut written = json!({
            "name": self.name, "in": "query", "description": self.about, "schema": self.form.schema(),
        });
        if matches!(self.form, Form::Names(..)) {
            written["style"] = json!("form");
            written["explode"] = json!(true);
        }
        written
    }
}

impl Form {
    fn schema(self) -> Value {
        let generator = &mut SchemaGenerator::default();
        match self {
            Self::Limit(size) => {
                json!({"type": "integer", "minimum": 0, "maximum": size.max, "default": size.default})
            }
            Self::Text => json!({"type": "string"}),
            Self::Name(names) => json!({"type": "string", "enum": names}),
            Self::Names(names, most) => {
                let mut list = json!({"type": "array", "items": {"type": "string", "enum": names}});
                if let Some(most) = most {
                    list["maxItems"] = json!(most);
                }
                list
            }
            Self::Time => json!({"type": "string", "format": "date-time"}),
            Self::Flag => json!({"type": "boolean", "default": false}),
            Self::Whole => json!({"type": "integer", "minimum": 0, "maximum": u64::MAX}),
            Self::Agent => id::Id::<id::Agent>::json_schema(generator).to_value(),
            Self::Event => id::Id::<id::Event>::json_schema(generator).to_value(),
        }
    }
}
