//! The chat-completions client, for OpenAI and all who speak like it: one prompt out, one stream in.
//!
//! The base URL of a route is what stands before `/chat/completions`, word for word: most servers want `/v1`
//! at its end, and whether one does cannot be known from its address, so nothing is added.

mod request;
mod stream;

use protocol::{
    prompt::{Answer, Delta, Failure, Prompt},
    routes::Route,
};
use reqwest::Url;

use self::request::Bound;
pub(crate) use self::stream::Reading;
use crate::transport::{self, Line};

const PATH: &str = "/chat/completions";
/// How OpenAI's newer models refuse `max_tokens`.
const RENAMED: &str = "Use 'max_completion_tokens' instead";

/// Asks the provider of the line's route once, or twice where it knows the output bound by its other name.
pub(crate) async fn ask(
    line: &Line<'_>,
    prompt: &Prompt,
    deltas: &mut (dyn FnMut(Delta) + Send),
) -> Result<Answer, Failure> {
    let written = |bound| {
        request::body(prompt, line.route.max_output, bound).map_err(|error| transport::unwritable(&error))
    };
    let first = line.post(PATH, written(bound(line.route))?).await;
    let served = match first {
        Err(refused) if refused.problem.says(RENAMED) => {
            line.post(PATH, written(Bound::MaxCompletionTokens)?).await
        }
        first => first,
    };
    let response = served.map_err(|unserved| unserved.failure)?;
    line.hear(response, Reading::default(), deltas).await
}

/// The body of the first request for this prompt.
pub(crate) fn body(prompt: &Prompt, route: &Route) -> serde_json::Result<Vec<u8>> {
    request::body(prompt, route.max_output, bound(route))
}

/// Under which name a route's provider is told how long an answer may be.
///
/// `max_tokens` is understood everywhere but by OpenAI's newer models, which refuse it;
/// `max_completion_tokens` by all of OpenAI's models, but elsewhere it may be ignored without a word (Ollama
/// does), and the answer has no bound. So OpenAI's own hosts and Azure's get the new name and all others the
/// old one. A gateway that hands on the refusal of one of OpenAI's models is asked once more, with the new.
fn bound(route: &Route) -> Bound {
    let url = Url::parse(&route.base_url).ok();
    let host = url.as_ref().and_then(Url::host_str).unwrap_or_default();
    let openai = host == "openai.com" || host.ends_with(".openai.com") || host.ends_with(".openai.azure.com");
    if openai { Bound::MaxCompletionTokens } else { Bound::MaxTokens }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_openais_own_hosts_are_told_the_bound_by_its_new_name() {
        let bound = |base_url: &str| bound(&Route { base_url: base_url.to_owned(), ..Route::script("x") });
        for host in [
            "https://api.openai.com/v1",
            "https://eu.api.openai.com/v1",
            "https://me.openai.azure.com/openai/v1",
        ] {
            assert_eq!(bound(host), Bound::MaxCompletionTokens, "{host}");
        }
        for host in
            ["http://127.0.0.1:11434/v1", "https://openrouter.ai/api/v1", "https://api.openai.com.example/v1"]
        {
            assert_eq!(bound(host), Bound::MaxTokens, "{host}");
        }
    }
}
