//! Which models a provider says it has: its list, bounded in time, bytes and number.

use core::time::Duration;

use protocol::{
    Timestamp,
    prompt::{FailureClass, ModelFailure},
    routes::{OfferedModel, Route, RouteProvider},
};
use reqwest::{Response, Url};
use serde_json::Value;
use tokio::time::timeout;

use crate::{
    failure::{failure, shown},
    loose::count,
    problem::ProviderProblem,
    transport::ProviderRequest,
};

/// How long the whole list may take.
const WAIT: Duration = Duration::from_secs(10);
/// Most bytes of all its pages.
const BYTES: usize = 2 * 1024 * 1024;
/// Most models of it.
const MODELS: usize = 1_000;

/// The models of the line's route that it answers for, in the provider's order.
pub(crate) async fn offered(line: &ProviderRequest<'_>) -> Result<Vec<OfferedModel>, ModelFailure> {
    match timeout(WAIT, listed(line)).await {
        Ok(outcome) => outcome,
        Err(_) => Err(wrong(line, format_args!("did not list its models within {} seconds", WAIT.as_secs()))),
    }
}

async fn listed(line: &ProviderRequest<'_>) -> Result<Vec<OfferedModel>, ModelFailure> {
    let mut models = Vec::new();
    let (mut after, mut room) = (None, BYTES);
    loop {
        let response = line.get(&address(line, after.as_deref())).await?;
        let body = bounded(line, response, &mut room).await?;
        let page: Value = serde_json::from_slice(&body).map_err(|error| {
            wrong(line, format_args!("gave a list of models that cannot be read: {error}"))
        })?;
        let entries = entries(&page).ok_or_else(|| {
            let shape = line.secret.shown(&shape(&page));
            wrong(line, format_args!("gave what is no list of models: {shape}"))
        })?;
        // What holds the key is no model.
        let is_clean = |known: &OfferedModel| {
            ![Some(&known.id), known.display_name.as_ref()]
                .into_iter()
                .flatten()
                .any(|it| line.secret.is_in(it))
        };
        let known = entries.iter().filter_map(|entry| model(entry, line.route)).filter(is_clean);
        models.extend(known.take(MODELS - models.len()));
        // A page that leads nowhere is the last one, whatever it says; only the Messages API has pages.
        let pages = line.route.provider == RouteProvider::Messages
            && page.get("has_more") == Some(&Value::Bool(true));
        let last = page.get("last_id").and_then(Value::as_str).map(str::to_owned);
        let next = last.filter(|id| pages && after.as_ref() != Some(id));
        if next.is_none() || models.len() == MODELS {
            return Ok(models);
        }
        after = next;
    }
}

/// Where the list is, or its page after this model.
fn address(line: &ProviderRequest<'_>, after: Option<&str>) -> String {
    match line.route.provider {
        RouteProvider::Messages => {
            let (list, limit) = (line.address("/v1/models"), MODELS.to_string());
            let pairs = [("limit", limit.as_str())].into_iter().chain(after.map(|id| ("after_id", id)));
            Url::parse_with_params(&list, pairs).map_or(list, String::from)
        }
        RouteProvider::ChatCompletions | RouteProvider::Script => line.address("/models"),
    }
}

/// The response's body, out of the room that is left.
async fn bounded(
    line: &ProviderRequest<'_>,
    mut response: Response,
    room: &mut usize,
) -> Result<Vec<u8>, ModelFailure> {
    let mut body = Vec::new();
    loop {
        match response.chunk().await {
            Ok(None) => return Ok(body),
            Ok(Some(chunk)) if chunk.len() <= *room => {
                *room -= chunk.len();
                body.extend_from_slice(&chunk);
            }
            Ok(Some(_)) => {
                return Err(wrong(line, format_args!("lists its models in more than {BYTES} bytes")));
            }
            Err(_) => return Err(wrong(line, format_args!("broke off in the middle of its list of models"))),
        }
    }
}

fn wrong(line: &ProviderRequest<'_>, what: core::fmt::Arguments<'_>) -> ModelFailure {
    failure(FailureClass::Unavailable, format!("The model provider at {} {what}.", shown(line.route)))
}

/// The entries of a list in the forms that there are: a list itself or under a name, or an object with an
/// entry for each id. None if it is no list.
fn entries(page: &Value) -> Option<Vec<Value>> {
    let under = |key: &&str| page.get(*key).filter(|list| list.is_array() || list.is_object());
    match ["data", "models"].iter().find_map(under).unwrap_or(page) {
        Value::Array(entries) => Some(entries.clone()),
        // One that only says that there are none.
        Value::Object(fields)
            if fields.get("data").or_else(|| fields.get("models")) == Some(&Value::Null) =>
        {
            Some(Vec::new())
        }
        Value::Object(fields) if fields.values().all(Value::is_object) && !fields.contains_key("error") => {
            let entry = |(id, fields): (&String, &Value)| {
                let mut entry = fields.clone();
                if let Value::Object(fields) = &mut entry {
                    fields.entry("id").or_insert_with(|| Value::String(id.clone()));
                }
                entry
            };
            Some(fields.iter().map(entry).collect())
        }
        Value::Object(_) | Value::Null | Value::Bool(_) | Value::Number(_) | Value::String(_) => None,
    }
}

/// What stands in the place of a list, for whoever looks why.
fn shape(page: &Value) -> String {
    let problem = ProviderProblem::of(page);
    if !problem.message().is_empty() {
        return problem.message().to_owned();
    }
    match page {
        Value::Object(fields) => {
            let keys: Vec<&str> = fields.keys().take(8).map(String::as_str).collect();
            format!("an object with {}", keys.join(", "))
        }
        Value::Array(_) => "a list".to_owned(),
        Value::Null | Value::Bool(_) | Value::Number(_) | Value::String(_) => "no object".to_owned(),
    }
}

/// An entry of a list that the route answers for; what has no id is left out. Times come in seconds or as RFC
/// 3339. Google puts `models/` before each id and takes it without.
fn model(entry: &Value, route: &Route) -> Option<OfferedModel> {
    let named = || ["id", "name", "model", "model_name"].iter().find_map(|key| entry.get(*key)?.as_str());
    let id = entry.as_str().or_else(named).filter(|id| !id.is_empty())?;
    let ids = [Some(id), id.strip_prefix("models/")];
    let id = ids.into_iter().flatten().find(|id| route.answers(id))?;
    let seconds = entry.get("created").and_then(count).and_then(|seconds| i64::try_from(seconds).ok());
    let seconds = seconds.filter(|seconds| *seconds > 0);
    let written = entry.get("created_at").and_then(Value::as_str);
    let called = ["display_name", "displayName"].iter().find_map(|key| entry.get(*key)?.as_str());
    Some(OfferedModel {
        id: id.to_owned(),
        display_name: called.map(str::to_owned),
        created_at: written
            .and_then(|time| time.parse().ok())
            .or_else(|| Some(Timestamp::from_micros(seconds?.checked_mul(1_000_000)?))),
    })
}
