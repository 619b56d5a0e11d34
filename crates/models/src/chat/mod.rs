//! The chat-completions client, for OpenAI and all who speak like it: one prompt out, one stream in.
//!
//! The base URL of a route is what stands before `/chat/completions`, word for word: most servers want `/v1`
//! at its end, and whether one does cannot be known from its address, so nothing is added.

mod back;
mod beside;
mod calls;
mod pieced;
mod request;
mod short;
mod spots;
mod stream;

use protocol::{
    prompt::{AnswerDelta, ModelAnswer, ModelFailure, Prompt},
    routes::Route,
};
use reqwest::Url;

use self::request::AnswerBound;
pub(crate) use self::stream::ChatReading;
use crate::{
    learned::{OmittedExtras, RequestExtra},
    room,
    transport::{ProviderRequest, RequestWriting},
};

const PATH: &str = "/chat/completions";
/// What a provider may refuse.
const EXTRAS: [RequestExtra; 5] = [
    RequestExtra::StreamOptions,
    RequestExtra::MaxTokens,
    RequestExtra::MaxCompletionTokens,
    RequestExtra::CallIds,
    RequestExtra::Beside,
];

/// Asks the provider of the line's route.
pub(crate) async fn ask(
    line: &ProviderRequest<'_>,
    prompt: &Prompt,
    deltas: &mut (dyn FnMut(AnswerDelta) + Send),
) -> Result<ModelAnswer, ModelFailure> {
    let bound = room::bound(prompt, line.route)?;
    let response = line.ask(PATH, bound, &EXTRAS, |writ| body(prompt, line.route, writ)).await;
    let response = response.map_err(|unserved| unserved.naming(|path| spots::of(prompt, path)))?;
    line.hear(response, ChatReading::of(line.route, &line.secret), deltas).await
}

/// The body of a request for this prompt.
pub(crate) fn body(prompt: &Prompt, route: &Route, writ: RequestWriting) -> serde_json::Result<Vec<u8>> {
    request::body(prompt, route, writ, bound(route, writ.omitted))
}

/// Under which name a route's provider is told how long an answer may be.
///
/// `max_tokens` is understood everywhere but by OpenAI's newer models, which refuse it;
/// `max_completion_tokens` by all of OpenAI's models, but elsewhere it may be ignored without a word (Ollama
/// does), and the answer has no bound. So OpenAI's own hosts and Azure's get the new name and all others the
/// old one. Who refuses the one is told the other, and nothing if that is refused too.
fn bound(route: &Route, omitted: OmittedExtras) -> Option<AnswerBound> {
    let url = Url::parse(&route.base_url).ok();
    let host = url.as_ref().and_then(Url::host_str).unwrap_or_default();
    let openai = host == "openai.com" || host.ends_with(".openai.com") || host.ends_with(".openai.azure.com");
    let (old, new) = (AnswerBound::MaxTokens, AnswerBound::MaxCompletionTokens);
    let names = if openai { [new, old] } else { [old, new] };
    names.into_iter().find(|name| !omitted.has(name.extra()))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_openais_own_hosts_are_told_the_bound_by_its_new_name() {
        let bound = |base_url: &str| {
            bound(&Route { base_url: base_url.to_owned(), ..Route::script("x") }, OmittedExtras::default())
        };
        for host in [
            "https://api.openai.com/v1",
            "https://eu.api.openai.com/v1",
            "https://me.openai.azure.com/openai/v1",
        ] {
            assert_eq!(bound(host), Some(AnswerBound::MaxCompletionTokens), "{host}");
        }
        for host in
            ["http://127.0.0.1:11434/v1", "https://openrouter.ai/api/v1", "https://api.openai.com.example/v1"]
        {
            assert_eq!(bound(host), Some(AnswerBound::MaxTokens), "{host}");
        }
    }
}
