//! The Messages API client: one prompt out, one stream in.

use core::{error::Error, pin::pin, time::Duration};

use bytes::Bytes;
use futures_util::{Stream, StreamExt};
use protocol::{
    limits,
    prompt::{Answer, Delta, Failure, FailureClass, Prompt},
    routes::Route,
};
use reqwest::{
    Client, Response,
    header::{ACCEPT, CONTENT_TYPE, HeaderValue},
};
use tokio::time::timeout;

use crate::{
    failure::{self, failure},
    request,
    sse::{Decoder, FRAME_BYTES, TooLarge},
    stream::Reading,
};

/// The version of the API that we speak.
const VERSION: &str = "2023-06-01";
/// No byte for so long: the stream is cut (rules.md 4).
const SILENCE: Duration = Duration::from_secs(limits::MODEL_SILENCE_S);
/// How long the end of the body may take after the end of the answer: a connection whose body was read
/// to its end is used again.
const FAREWELL: Duration = Duration::from_millis(100);
/// Most bytes of an error's body that are read, and for how long.
const ERROR_BYTES: usize = 64 * 1024;
const ERROR_WAIT: Duration = Duration::from_secs(10);

/// Asks the provider of `route` once.
pub(crate) async fn ask(
    client: &Client,
    route: &Route,
    key: Option<&str>,
    prompt: &Prompt,
    deltas: &mut (dyn FnMut(Delta) + Send),
) -> Result<Answer, Failure> {
    let body = request::body(prompt, route.max_output)
        .map_err(|error| failure(FailureClass::Invalid, format!("The prompt cannot be written: {error}.")))?;
    let mut request = client
        .post(format!("{}/v1/messages", route.base_url.trim_end_matches('/')))
        .header("anthropic-version", VERSION)
        .header(CONTENT_TYPE, "application/json")
        .header(ACCEPT, "text/event-stream")
        .body(body);
    if let Some(key) = key {
        request = request.header("x-api-key", secret(key, route)?);
    }
    let response = match timeout(SILENCE, request.send()).await {
        Ok(Ok(response)) => response,
        Ok(Err(error)) => return Err(failure::unanswered(&error, route)),
        Err(_) => return Err(silent()),
    };
    if response.status().is_success() {
        read(response.bytes_stream(), deltas).await
    } else {
        Err(refused(response, route, key).await)
    }
}

/// The key as a header, which no log shows.
fn secret(key: &str, route: &Route) -> Result<HeaderValue, Failure> {
    let mut value = HeaderValue::from_str(key).map_err(|_| {
        let variable = route.key_variable.as_deref().unwrap_or("the route");
        let message = format!("The key in {variable} holds characters that no HTTP header can carry.");
        failure(FailureClass::Denied, message)
    })?;
    value.set_sensitive(true);
    Ok(value)
}

fn silent() -> Failure {
    let message = format!("The model provider sent nothing for {} seconds.", SILENCE.as_secs());
    failure(FailureClass::Cut, message)
}

/// Why the provider gave no answer.
async fn refused(mut response: Response, route: &Route, key: Option<&str>) -> Failure {
    let mut body = Vec::new();
    let reading = async {
        while let Ok(Some(chunk)) = response.chunk().await {
            body.extend(chunk.iter().take(ERROR_BYTES - body.len()));
            if body.len() == ERROR_BYTES {
                break;
            }
        }
    };
    // What came in time is enough.
    drop(timeout(ERROR_WAIT, reading).await);
    failure::answered(response.status(), response.headers(), &body, route, key)
}

/// Reads a streamed answer to its end.
async fn read<E: Error>(
    stream: impl Stream<Item = Result<Bytes, E>>,
    deltas: &mut (dyn FnMut(Delta) + Send),
) -> Result<Answer, Failure> {
    let mut stream = pin!(stream);
    let mut decoder = Decoder::default();
    let mut reading = Reading::default();
    while !reading.is_whole() {
        let chunk = match timeout(SILENCE, stream.next()).await {
            Ok(Some(Ok(chunk))) => chunk,
            Ok(Some(Err(_)) | None) => return reading.finish(),
            Err(_) => return Err(Failure { tokens: reading.tokens(), ..silent() }),
        };
        let frames = decoder.take(&chunk).map_err(|TooLarge| {
            let message = format!("The model's stream holds an event of more than {FRAME_BYTES} bytes.");
            reading.failed(FailureClass::Invalid, message)
        })?;
        for frame in frames {
            reading.take(&frame, deltas)?;
        }
    }
    drop(timeout(FAREWELL, stream.next()).await);
    reading.finish()
}

#[cfg(test)]
mod tests {
    use super::*;
    use core::convert::Infallible;
    use futures_util::stream;
    use protocol::{
        prompt::{AnswerBlock, AnswerStop},
        usage::Tokens,
    };
    use tokio::time::{Instant, sleep};

    const OPENING: &str =
        "data: {\"type\":\"message_start\",\"message\":{\"usage\":{\"input_tokens\":3}}}\n\n";
    const TEXT: &str = "data: {\"type\":\"content_block_start\",\"index\":0,\
                        \"content_block\":{\"type\":\"text\",\"text\":\"hi\"}}\n\n";
    const ENDING: &str = "data: {\"type\":\"message_delta\",\"delta\":{\"stop_reason\":\"end_turn\"}}\n\n\
                          data: {\"type\":\"message_stop\"}\n\n";

    fn chunks(chunks: &[&'static str]) -> impl Stream<Item = Result<Bytes, Infallible>> {
        stream::iter(chunks.iter().map(|chunk| Ok(Bytes::from_static(chunk.as_bytes()))).collect::<Vec<_>>())
    }

    #[tokio::test(start_paused = true)]
    async fn a_stream_that_falls_silent_is_cut_after_the_limit() {
        let begun = Instant::now();
        let outcome = read(chunks(&[OPENING, TEXT]).chain(stream::pending()), &mut |_| {}).await;
        let message = "The model provider sent nothing for 120 seconds.".to_owned();
        let tokens = Tokens { input: 3, ..Tokens::default() };
        assert_eq!(outcome, Err(Failure { class: FailureClass::Cut, message, retry_after: None, tokens }));
        assert_eq!(begun.elapsed(), SILENCE);
    }

    #[tokio::test(start_paused = true)]
    async fn bytes_that_keep_coming_are_not_silence() {
        let slow = chunks(&[OPENING, ": ping\n\n", ": ping\n\n", TEXT, ENDING]).then(async |chunk| {
            sleep(SILENCE * 9 / 10).await;
            chunk
        });
        let answer = read(slow, &mut |_| {}).await;
        let blocks = vec![AnswerBlock::Text { text: "hi".to_owned() }];
        let tokens = Tokens { input: 3, ..Tokens::default() };
        assert_eq!(answer, Ok(Answer { blocks, stop: AnswerStop::EndTurn, tokens }));
    }

    #[tokio::test(start_paused = true)]
    async fn an_answer_does_not_wait_for_a_body_that_never_ends() {
        let begun = Instant::now();
        let answer = read(chunks(&[OPENING, TEXT, ENDING]).chain(stream::pending()), &mut |_| {}).await;
        assert_eq!(answer.map(|answer| answer.stop), Ok(AnswerStop::EndTurn));
        assert_eq!(begun.elapsed(), FAREWELL);
    }
}
