//! The members of a request's body that a route may not add: the wire writes them, or reads their effect.

use protocol::routes::{Route, RouteProvider};

use crate::BuildError;

/// Why a route may not add the member `name` to requests on this wire; `None`: it may.
pub fn why_ours(provider: RouteProvider, name: &str) -> Option<&'static str> {
    let why = match name {
        "model" => "it is the model that the agent names",
        "messages" => "it is the conversation",
        "tools" => "it is what the agent may call",
        "stream" => "every answer is streamed",
        "max_tokens" => "set `max_output`, or how much the model reads, `window`",
        "system" if provider == RouteProvider::Messages => "it is the agent's",
        "max_completion_tokens" if provider == RouteProvider::ChatCompletions => "set `max_output`",
        "stream_options" if provider == RouteProvider::ChatCompletions => {
            "the cost is read from what it asks for; `leave_out` can do without it"
        }
        "n" if provider == RouteProvider::ChatCompletions => "one answer is read",
        _ => return None,
    };
    Some(why)
}

/// Whether all further members of the route's requests may be added.
pub(crate) fn check(route: &Route) -> Result<(), BuildError> {
    match route.body.keys().find(|name| why_ours(route.provider, name).is_some()) {
        Some(name) => Err(BuildError::OwnMember { pattern: route.pattern.clone(), name: name.clone() }),
        None => Ok(()),
    }
}
