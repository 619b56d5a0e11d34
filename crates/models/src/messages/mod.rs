//! The Messages API client: one prompt out, one stream in.

mod request;
mod stream;

use protocol::prompt::{Answer, Delta, Failure, Prompt};

pub(crate) use self::request::body;
pub(crate) use self::stream::Reading;
use crate::transport::{self, Line};

/// Asks the provider of the line's route once.
pub(crate) async fn ask(
    line: &Line<'_>,
    prompt: &Prompt,
    deltas: &mut (dyn FnMut(Delta) + Send),
) -> Result<Answer, Failure> {
    let body = body(prompt, line.route.max_output).map_err(|error| transport::unwritable(&error))?;
    let response = line.post("/v1/messages", body).await.map_err(|unserved| unserved.failure)?;
    line.hear(response, Reading::default(), deltas).await
}
