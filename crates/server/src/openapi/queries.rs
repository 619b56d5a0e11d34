//! The query parameters of every operation: name, form and bounds.

use protocol::{id, limits, page, page::PageSize, session};
use schemars::{JsonSchema, SchemaGenerator};
use serde_json::{Value, json};

/// One query parameter.
#[derive(Debug, Clone, Copy)]
pub(crate) struct QueryParameter {
    /// Its name; that of a list ends in `[]`.
    pub(crate) name: &'static str,
    /// What it may say.
    pub(crate) form: ParameterForm,
    about: &'static str,
}

/// What a parameter may say.
#[derive(Debug, Clone, Copy)]
pub(crate) enum ParameterForm {
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

pub(crate) const fn parameter(
    name: &'static str,
    form: ParameterForm,
    about: &'static str,
) -> QueryParameter {
    QueryParameter { name, form, about }
}

pub(crate) const PAGE: QueryParameter = parameter(
    "page",
    ParameterForm::Text,
    "Where the page begins: `next_page` or `prev_page` of another one, as it came.",
);
pub(crate) const LIMIT: QueryParameter =
    parameter("limit", ParameterForm::Limit(page::RESOURCES), "Items of a page; 0 is the default.");
pub(crate) const LOG_LIMIT: QueryParameter =
    parameter("limit", ParameterForm::Limit(page::LOGS), "Items of a page; 0 is the default.");
pub(crate) const ARCHIVED: QueryParameter =
    parameter("include_archived", ParameterForm::Flag, "Whether archived ones are listed too.");
pub(crate) const ORDER: QueryParameter =
    parameter("order", ParameterForm::Name(&["asc", "desc"]), "Which come first, by time.");
pub(crate) const STATUSES: QueryParameter = parameter(
    "statuses[]",
    ParameterForm::Names(session::SessionStatus::NAMES, None),
    "Only those in one of these states.",
);
pub(crate) const CREATED_GT: QueryParameter =
    parameter("created_at[gt]", ParameterForm::Time, "Only those made after this.");
pub(crate) const CREATED_GTE: QueryParameter =
    parameter("created_at[gte]", ParameterForm::Time, "Only those made at this time or after it.");
pub(crate) const CREATED_LT: QueryParameter =
    parameter("created_at[lt]", ParameterForm::Time, "Only those made before this.");
pub(crate) const CREATED_LTE: QueryParameter =
    parameter("created_at[lte]", ParameterForm::Time, "Only those made at this time or before it.");
pub(crate) const DELTAS: QueryParameter = parameter(
    "event_deltas[]",
    ParameterForm::Names(&["agent.message", "agent.thinking"], Some(limits::EVENT_DELTAS)),
    "Which events are shown while they are being made, as event_start and event_delta.",
);
pub(crate) const AFTER_EVENT: QueryParameter = parameter(
    "after_id",
    ParameterForm::Event,
    "Goes on behind this event; the header Last-Event-ID goes before it.",
);

impl QueryParameter {
    /// The parameter as OpenAPI has it.
    pub(crate) fn written(&self) -> Value {
        let mut written = json!({
            "name": self.name, "in": "query", "description": self.about, "schema": self.form.schema(),
        });
        if matches!(self.form, ParameterForm::Names(..)) {
            written["style"] = json!("form");
            written["explode"] = json!(true);
        }
        written
    }
}

impl ParameterForm {
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
