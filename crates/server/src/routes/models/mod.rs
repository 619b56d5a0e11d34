//! Models: what agents of this server may name.

pub(super) mod list;
mod model;
pub(super) mod retrieve;

use self::model::{LIFECYCLES, MODELS, Model};
use crate::{
    openapi::queries::{ParameterForm, parameter},
    operation::{GoodAnswer, Operation, get},
};

/// What can be done with them.
pub(super) const OPERATIONS: &[Operation] = &[
    get("/v1/models", "models.list", "the models that agents may name")
        .asks(&[
            parameter("after_id", ParameterForm::Text, "Lists what comes behind this model."),
            parameter(
                "before_id",
                ParameterForm::Text,
                "Lists what comes before this model; goes not with `after_id`.",
            ),
            parameter(
                "lifecycle[]",
                ParameterForm::Names(LIFECYCLES, Some(LIFECYCLES.len())),
                "Only those in one of these stages; without it, all: every model here is active.",
            ),
            parameter("limit", ParameterForm::Limit(MODELS), "Items of a page; 0 is the default."),
        ])
        .gives(GoodAnswer::page::<Model>(), |call| Box::pin(list::run(call))),
    get("/v1/models/{model_id}", "models.retrieve", "one model")
        .gives(GoodAnswer::one::<Model>(), |call| Box::pin(retrieve::run(call))),
];
