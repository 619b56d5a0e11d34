//! The model of an agent: which one, and how it is asked (docs/rules.md 14).

use alloc::{format, string::String};

use schemars::JsonSchema;
use serde::{Deserialize, Deserializer, Serialize};
use serde_json::Value;

use crate::{
    limits,
    parse::{self, Fields, Invalid},
};

/// The model as an agent shows it.
#[derive(Debug, Clone, PartialEq, Eq, JsonSchema, Serialize, Deserialize)]
pub struct ModelConfig {
    /// The model's id; the route table says who answers for it.
    pub id: String,
    /// How hard it tries: its own default, for no other can be asked for yet.
    #[serde(default, deserialize_with = "level")]
    pub effort: Effort,
    /// Always null: regions are not served.
    pub inference_geo: Option<String>,
    /// Always `standard`.
    pub speed: Speed,
}

impl ModelConfig {
    /// The model `id` with everything else at its default.
    pub fn plain(id: impl Into<String>) -> Self {
        Self { id: id.into(), effort: Effort::default(), inference_geo: None, speed: Speed::Standard }
    }
}

/// Agents that were saved by earlier versions have null.
fn level<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Effort, D::Error> {
    Option::deserialize(deserializer).map(Option::unwrap_or_default)
}

/// How hard the model should try. The default is that of every model whose provider publishes none.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, JsonSchema, Serialize, Deserialize)]
#[serde(tag = "type", rename_all = "snake_case")]
pub enum Effort {
    /// Least.
    Low,
    /// Some.
    Medium,
    /// Much.
    #[default]
    High,
    /// More.
    Xhigh,
    /// Most.
    Max,
}

/// How fast the model should answer.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, JsonSchema, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Speed {
    /// As usual.
    #[default]
    Standard,
    /// Faster, at a price.
    Fast,
}

/// Reads a model: an id, or an object with one.
pub fn model(value: Value, path: &str) -> Result<ModelConfig, Invalid> {
    if value.is_string() {
        return Ok(ModelConfig::plain(parse::text(1, limits::MODEL_CHARS)(value, path)?));
    }
    let mut fields = Fields::of(value, path)?;
    let id = fields.required("id", parse::text(1, limits::MODEL_CHARS))?;
    fields.optional("effort", default_effort)?;
    if fields.has("inference_geo") {
        return Err(Invalid::unsupported(fields.at("inference_geo"), "inference_geo"));
    }
    if fields.optional("speed", parse::one_of(&["standard", "fast"]))? == Some("fast") {
        return Err(Invalid::unsupported(fields.at("speed"), "speed `fast`"));
    }
    let _null = fields.take("inference_geo");
    fields.finish()?;
    Ok(ModelConfig::plain(id))
}

/// Takes an effort as answers show it, which is what comes without one: an answer can be sent back.
fn default_effort(value: Value, path: &str) -> Result<(), Invalid> {
    if !value.is_object() {
        return Err(Invalid::unsupported(path, "effort"));
    }
    let mut fields = Fields::of(value, path)?;
    let level = fields.required("type", parse::one_of(&["low", "medium", "high", "xhigh", "max"]))?;
    if level != "high" {
        return Err(Invalid::unsupported(fields.at("type"), &format!("effort `{level}`")));
    }
    fields.finish()
}

/// The refusal of a model id that no route answers for (docs/rules.md 14).
pub fn unrouted(id: &str, patterns: &[&str], path: &str) -> Invalid {
    Invalid::new(
        path,
        format!(
            "no route answers for the model `{id}`; the route table has {}. Name one of these, or add a \
             route to [routes] in heddle.toml, which the server reads when it starts: start it anew then",
            parse::listed(patterns)
        ),
    )
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    #[test]
    fn a_bare_id_and_an_object_read_alike() {
        let answered = serde_json::to_value(ModelConfig::plain("m")).expect("writes");
        assert_eq!(answered["effort"], json!({"type": "high"}));
        for sent in [
            json!("m"),
            json!({"id": "m"}),
            json!({"id": "m", "effort": null, "speed": "standard"}),
            answered,
        ] {
            assert_eq!(model(sent, "model"), Ok(ModelConfig::plain("m")));
        }
    }

    #[test]
    fn what_was_saved_without_an_effort_has_the_models_default() {
        for saved in [
            json!({"id": "m", "effort": null, "inference_geo": null, "speed": "standard"}),
            json!({"id": "m", "inference_geo": null, "speed": "standard"}),
        ] {
            let read = serde_json::from_value::<ModelConfig>(saved).expect("reads");
            assert_eq!(read, ModelConfig::plain("m"));
        }
    }

    #[test]
    fn what_is_not_served_is_refused_by_name() {
        for (sent, path) in [
            (json!({"id": "m", "effort": "high"}), "model.effort"),
            (json!({"id": "m", "effort": {"type": "max"}}), "model.effort.type"),
            (json!({"id": "m", "effort": {"type": "no such"}}), "model.effort.type"),
            (json!({"id": "m", "effort": {"type": "high", "more": 1}}), "model.effort.more"),
            (json!({"id": "m", "effort": 7}), "model.effort"),
            (json!({"id": "m", "inference_geo": "us"}), "model.inference_geo"),
            (json!({"id": "m", "speed": "fast"}), "model.speed"),
            (json!({"id": "m", "temperature": 1}), "model.temperature"),
            (json!({"id": ""}), "model.id"),
            (json!(7), "model"),
        ] {
            assert_eq!(model(sent, "model").map_err(|wrong| wrong.path), Err(path.into()));
        }
    }
}
