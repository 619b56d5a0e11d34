//! The rules of the documents: agents, environments, and what a new session is made from.
//!
//! Each takes a body as it came and what is stored, and says what is to be stored. Like the law of
//! sessions they read no clock and throw no dice: ids and times are handed in.

pub mod agent;
pub mod document;
pub mod environment;
mod refused;
pub mod roster;
pub mod session;

pub use refused::{DocumentRefusal, EnvironmentInUse};

use protocol::{
    Invalid,
    model::{self, ModelConfig},
    parse::{Fields, GivenField},
    routes::Routes,
};
use serde_json::Value;

/// Refuses a model that no route answers for (docs/rules.md 14).
fn routed(model: ModelConfig, routes: &Routes, path: &str) -> Result<ModelConfig, Invalid> {
    match routes.route(&model.id) {
        Some(_) => Ok(model),
        None => Err(model::unrouted(&model.id, &routes.patterns(), path)),
    }
}

/// Takes a list that Heddle does not serve yet: absent, null and empty are fine (docs/rules.md 11).
fn unserved(fields: &mut Fields, key: &'static str) -> Result<(), Invalid> {
    let served = match fields.take(key) {
        GivenField::Absent | GivenField::Null => true,
        GivenField::Value(value) => match value {
            Value::Array(items) => items.is_empty(),
            Value::Null | Value::Bool(_) | Value::Number(_) | Value::String(_) | Value::Object(_) => false,
        },
    };
    if served { Ok(()) } else { Err(Invalid::unsupported(fields.at(key), &alloc::format!("`{key}`"))) }
}

/// An empty text is none.
fn text_or_none(text: alloc::string::String) -> Option<alloc::string::String> {
    Some(text).filter(|text| !text.is_empty())
}
