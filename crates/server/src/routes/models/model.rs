//! A model, as the API shows it and lists it.

use engine::ServedModel;
use protocol::{Object, Timestamp, page::PageSize};
use schemars::JsonSchema;
use serde::Serialize;

/// Models of one page.
pub(super) const MODELS: PageSize = PageSize { default: 20, max: 1_000 };

/// The stages of a model's life, as the list's filter takes them.
pub(super) const LIFECYCLES: &[&str] = &["active", "deprecated", "retired"];

/// A model, as the API shows it.
#[derive(Debug, Clone, PartialEq, Serialize, JsonSchema)]
pub(super) struct Model {
    /// Always `model`.
    #[serde(rename = "type")]
    kind: Kind,
    /// What an agent names it by.
    pub(super) id: String,
    /// What people call it; its id where nobody says more.
    display_name: String,
    /// Since when it is there; the beginning of 1970 where that is not known.
    created_at: Timestamp,
    /// Always `active`.
    lifecycle: Lifecycle,
    /// Always null: not known.
    deprecated_at: Option<Timestamp>,
    /// Always null: not known.
    retires_at: Option<Timestamp>,
    /// Always null: not known.
    line: Option<Object>,
    /// Always null: not known.
    capabilities: Option<Object>,
    /// Always null: not known.
    allowed_fallback_models: Option<Vec<String>>,
    /// Tokens it reads at most, by the route table.
    max_input_tokens: Option<u64>,
    /// Tokens it writes in one answer at most, by the route table.
    max_tokens: Option<u64>,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
#[schemars(inline)]
enum Kind {
    Model,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
#[schemars(inline)]
enum Lifecycle {
    Active,
}

impl From<ServedModel> for Model {
    fn from(offer: ServedModel) -> Self {
        Self {
            kind: Kind::Model,
            display_name: offer.model.display_name.unwrap_or_else(|| offer.model.id.clone()),
            id: offer.model.id,
            created_at: offer.model.created_at.unwrap_or_default(),
            lifecycle: Lifecycle::Active,
            deprecated_at: None,
            retires_at: None,
            line: None,
            capabilities: None,
            allowed_fallback_models: None,
            max_input_tokens: Some(offer.window),
            max_tokens: Some(offer.max_output),
        }
    }
}
