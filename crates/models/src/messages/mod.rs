//! The Messages API client: one prompt out, one stream in.

mod request;
mod stream;

use protocol::prompt::{AnswerDelta, ModelAnswer, ModelFailure, Prompt};

pub(crate) use self::request::{body, spots};
pub(crate) use self::stream::MessagesReading;
use crate::{learned::RequestExtra, room, transport::ProviderRequest};

/// What a provider may refuse.
const EXTRAS: [RequestExtra; 1] = [RequestExtra::CacheControl];

/// Asks the provider of the line's route.
pub(crate) async fn ask(
    line: &ProviderRequest<'_>,
    prompt: &Prompt,
    deltas: &mut (dyn FnMut(AnswerDelta) + Send),
) -> Result<ModelAnswer, ModelFailure> {
    let bound = room::bound(prompt, line.route)?;
    let response = line.ask("/v1/messages", bound, &EXTRAS, |writ| body(prompt, line.route, writ)).await;
    let response = response.map_err(|unserved| unserved.naming(|path| spots(prompt, line.route, path)))?;
    line.hear(response, MessagesReading::of(line.route, &line.secret), deltas).await
}
