//! Models: what agents of this server may name.

pub(super) mod list;
pub(super) mod retrieve;

use engine::Offer;
use protocol::{Object, Stamp, page::PageSize};
use schemars::JsonSchema;
use serde::Serialize;

use crate::{
    openapi::queries::{Form, parameter},
    operation::{Good, Operation, get},
};

/// What can be done with them.
pub(super) const OPERATIONS: &[Operation] = &[
    get("/v1/models", "models.list", "the models that agents may name")
        .asks(&[
            parameter("after_id", Form::Text, "Lists what comes behind this model."),
            parameter(
                "before_id",
                Form::Text,
                "Lists what comes before this model; goes not with `after_id`.",
            ),
            parameter(
                "lifecycle[]",
                Form::Names(LIFECYCLES, Some(LIFECYCLES.len())),
                "Only those in one of these stages; without it, all: every model here is active.",
            ),
            parameter("limit", Form::Limit(MODELS), "Items of a page; 0 is the default."),
        ])
        .gives(Good::page::<Model>(), |call| Box::pin(list::run(call))),
    get("/v1/models/{model_id}", "models.retrieve", "one model")
        .gives(Good::one::<Model>(), |call| Box::pin(retrieve::run(call))),
];

/// Models of one page.
pub(crate) const MODELS: PageSize = PageSize { default: 20, max: 1_000 };

/// The stages of a model's life, as the list's filter takes them.
pub(crate) const LIFECYCLES: &[&str] = &["active", "deprecated", "retired"];

/// A model, as the API shows it.
#[derive(Debug, Clone, PartialEq, Serialize, JsonSchema)]
pub(crate) struct Model {
    /// Always `model`.
    #[serde(rename = "type")]
    kind: Kind,
    /// What an agent names it by.
    id: String,
    /// What people call it; its id where nobody says more.
    display_name: String,
    /// Since when it is there; the beginning of 1970 where that is not known.
    created_at: Stamp,
    /// Always `active`.
    lifecycle: Lifecycle,
    /// Always null: not known.
    deprecated_at: Option<Stamp>,
    /// Always null: not known.
    retires_at: Option<Stamp>,
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

impl From<Offer> for Model {
    fn from(offer: Offer) -> Self {
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
