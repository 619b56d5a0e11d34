//! Which models a provider says it has: its list, bounded in time, bytes and number.

use core::time::Duration;

use protocol::{
    Stamp,
    prompt::{Failure, FailureClass},
    routes::{Offered, Provider},
};
use reqwest::{Response, Url};
use serde::Deserialize;
use serde_json::Value;
use tokio::time::timeout;

use crate::{
    failure::{failure, shown},
    transport::Line,
};

/// How long the whole list may take.
const WAIT: Duration = Duration::from_secs(10);
/// Most bytes of all its pages.
const BYTES: usize = 2 * 1024 * 1024;
/// Most models of it.
const MODELS: usize = 1_000;

/// A page of either wire's list.
#[derive(Debug, Deserialize)]
struct Page {
    data: Vec<Value>,
    #[serde(default)]
    has_more: bool,
    #[serde(default)]
    last_id: Option<String>,
}

/// The models of the line's route that it answers for, in the provider's order.
pub(crate) async fn offered(line: &Line<'_>) -> Result<Vec<Offered>, Failure> {
    match timeout(WAIT, listed(line)).await {
        Ok(outcome) => outcome,
        Err(_) => Err(wrong(line, format_args!("did not list its models within {} seconds", WAIT.as_secs()))),
    }
}

async fn listed(line: &Line<'_>) -> Result<Vec<Offered>, Failure> {
    let mut models = Vec::new();
    let (mut after, mut room) = (None, BYTES);
    loop {
        let response = line.get(&address(line, after.as_deref())).await?;
        let body = bounded(line, response, &mut room).await?;
        let page: Page = serde_json::from_slice(&body).map_err(|error| {
            wrong(line, format_args!("gave a list of models that cannot be read: {error}"))
        })?;
        let known = page.data.iter().filter_map(model).filter(|model| line.route.answers(&model.id));
        models.extend(known.take(MODELS - models.len()));
        // A page that leads nowhere is the last one, whatever it says; only the Messages API has pages.
        let pages = line.route.provider == Provider::Messages && page.has_more;
        let next = page.last_id.filter(|id| pages && after.as_ref() != Some(id));
        if next.is_none() || models.len() == MODELS {
            return Ok(models);
        }
        after = next;
    }
}

/// Where the list is, or its page after this model.
fn address(line: &Line<'_>, after: Option<&str>) -> String {
    match line.route.provider {
        Provider::Messages => {
            let (list, limit) = (line.address("/v1/models"), MODELS.to_string());
            let pairs = [("limit", limit.as_str())].into_iter().chain(after.map(|id| ("after_id", id)));
            Url::parse_with_params(&list, pairs).map_or(list, String::from)
        }
        Provider::ChatCompletions | Provider::Script => line.address("/models"),
    }
}

/// The response's body, out of the room that is left.
async fn bounded(line: &Line<'_>, mut response: Response, room: &mut usize) -> Result<Vec<u8>, Failure> {
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

fn wrong(line: &Line<'_>, what: core::fmt::Arguments<'_>) -> Failure {
    failure(FailureClass::Unavailable, format!("The model provider at {} {what}.", shown(line.route)))
}

/// An entry of a list; what has no id is left out. Times come in seconds or as RFC 3339.
fn model(entry: &Value) -> Option<Offered> {
    let id = entry.get("id").and_then(Value::as_str).filter(|id| !id.is_empty())?;
    let seconds = entry.get("created").and_then(Value::as_i64).filter(|seconds| *seconds > 0);
    let written = entry.get("created_at").and_then(Value::as_str);
    Some(Offered {
        id: id.to_owned(),
        display_name: entry.get("display_name").and_then(Value::as_str).map(str::to_owned),
        created_at: written
            .and_then(|time| time.parse().ok())
            .or_else(|| Some(Stamp::from_micros(seconds?.checked_mul(1_000_000)?))),
    })
}
