//! The Messages API client: one prompt out, one stream in.

mod request;
mod stream;

use protocol::prompt::{Answer, Delta, Failure, Prompt};

pub(crate) use self::request::{body, spots};
pub(crate) use self::stream::Reading;
use crate::{learned::Extra, room, transport::Line};

/// What a provider may refuse.
const EXTRAS: [Extra; 1] = [Extra::CacheControl];

/// Asks the provider of the line's route.
pub(crate) async fn ask(
    line: &Line<'_>,
    prompt: &Prompt,
    deltas: &mut (dyn FnMut(Delta) + Send),
) -> Result<Answer, Failure> {
    let bound = room::bound(prompt, line.route)?;
    let response = line.ask("/v1/messages", bound, &EXTRAS, |writ| body(prompt, line.route, writ)).await;
    let response = response.map_err(|unserved| unserved.naming(|path| spots(prompt, line.route, path)))?;
    line.hear(response, Reading::of(line.route, &line.secret), deltas).await
}
