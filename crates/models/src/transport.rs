//! The road to a provider: one request out, one bounded stream or refusal in, whatever the wire.

use core::{error::Error, fmt, pin::pin, time::Duration};

use bytes::Bytes;
use futures_util::{Stream, StreamExt};
use protocol::{
    limits,
    prompt::{Answer, Delta, Failure, FailureClass},
    routes::Route,
    usage::Tokens,
};
use reqwest::{
    Client, RequestBuilder, Response,
    header::{ACCEPT, CONTENT_TYPE, HeaderMap},
};
use serde_json::Value;
use tokio::time::{Instant, timeout};

use crate::{
    failure::{self, Asked, Problem, failure},
    sse::{Decoder, FRAME_BYTES, TooLarge},
    weight::is_readable,
};

/// No byte for so long: the stream is cut (rules.md 4).
const SILENCE: Duration = Duration::from_secs(limits::MODEL_SILENCE_S);
/// Nothing of the answer for so long, whatever else came: the stream is cut too.
const EMPTY: Duration = Duration::from_secs(limits::MODEL_EMPTY_S);
/// How long an answer that has said why it ended waits for what may follow: its cost, and the last frame.
const POSTSCRIPT: Duration = Duration::from_secs(10);
/// How long the end of the body may take after the end of the answer: a connection whose body was read
/// to its end is used again.
const FAREWELL: Duration = Duration::from_millis(100);
/// Most bytes of an error's body that are read, and for how long.
const ERROR_BYTES: usize = 64 * 1024;
const ERROR_WAIT: Duration = Duration::from_secs(10);

/// What a request to a route needs beside its own body.
pub(crate) struct Line<'a> {
    pub(crate) client: &'a Client,
    pub(crate) route: &'a Route,
    /// The key, to cut it out of what the provider says.
    pub(crate) key: Option<&'a str>,
    /// The route's own, the key's and the wire's.
    pub(crate) headers: HeaderMap,
    /// Whom it asks, if a model is asked.
    pub(crate) model: Option<&'a str>,
}

/// Shows neither the key nor the headers.
impl fmt::Debug for Line<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Line").field("route", &self.route.pattern).finish_non_exhaustive()
    }
}

/// A request that was not served.
#[derive(Debug)]
pub(crate) struct Unserved {
    pub(crate) failure: Failure,
    /// What the provider said, if it said anything.
    pub(crate) problem: Problem,
}

impl From<Failure> for Unserved {
    fn from(failure: Failure) -> Self {
        Self { failure, problem: Problem::default() }
    }
}

impl Line<'_> {
    /// The route's base URL with this path after it.
    pub(crate) fn address(&self, path: &str) -> String {
        format!("{}{path}", self.route.base_url.trim_end_matches('/'))
    }

    /// Asks for a streamed answer.
    pub(crate) async fn post(&self, path: &str, body: Vec<u8>) -> Result<Response, Unserved> {
        let request = self.client.post(self.address(path));
        let request = request.header(CONTENT_TYPE, "application/json").header(ACCEPT, "text/event-stream");
        self.send(request.body(body)).await
    }

    /// Asks for a document.
    pub(crate) async fn get(&self, address: &str) -> Result<Response, Failure> {
        let request = self.client.get(address).header(ACCEPT, "application/json");
        self.send(request).await.map_err(|unserved| unserved.failure)
    }

    async fn send(&self, request: RequestBuilder) -> Result<Response, Unserved> {
        let response = match timeout(SILENCE, request.headers(self.headers.clone()).send()).await {
            Ok(Ok(response)) => response,
            Ok(Err(error)) => return Err(failure::unanswered(&error, self.route).into()),
            Err(_) => return Err(silent(Tokens::default()).into()),
        };
        if response.status().is_success() { Ok(response) } else { Err(self.refused(response).await) }
    }

    /// Reads the streamed answer to a request.
    pub(crate) async fn hear(
        &self,
        response: Response,
        reading: impl Fold,
        deltas: &mut (dyn FnMut(Delta) + Send),
    ) -> Result<Answer, Failure> {
        read(response.bytes_stream(), reading, deltas).await.map_err(|failed| {
            let message = failure::without(&failed.message, self.key);
            Failure { message, ..failed }
        })
    }

    /// Why the provider gave no answer.
    async fn refused(&self, mut response: Response) -> Unserved {
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
        let problem = Problem::read(&body);
        let asked = Asked { route: self.route, model: self.model, key: self.key };
        let failure = failure::answered(response.status(), response.headers(), &problem, asked);
        Unserved { failure, problem }
    }
}

fn silent(tokens: Tokens) -> Failure {
    let message = format!("The model provider sent nothing for {} seconds.", SILENCE.as_secs());
    Failure { class: FailureClass::Cut, message, retry_after: None, tokens }
}

fn empty(tokens: Tokens) -> Failure {
    let seconds = EMPTY.as_secs();
    let message =
        format!("The model provider sent nothing of an answer for {seconds} seconds, only signs of life.");
    Failure { class: FailureClass::Cut, message, retry_after: None, tokens }
}

/// How far a streamed answer is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Stage {
    /// More must come.
    Open,
    /// It may end here, and something may still follow.
    Ending,
    /// Nothing more can come.
    Whole,
}

/// The fold of one wire's frames into an answer.
pub(crate) trait Fold: Sized {
    /// Takes the data of one frame; tells `deltas` what is new.
    fn take(&mut self, data: &[u8], deltas: &mut (dyn FnMut(Delta) + Send)) -> Result<(), Failure>;

    /// How far the answer is.
    fn stage(&self) -> Stage;

    /// Bytes of the answer's content so far, whatever it is.
    fn said(&self) -> usize;

    /// What the provider has said about the cost so far.
    fn tokens(&self) -> Tokens;

    /// The whole answer, or why it is none. Called when the stream has ended.
    fn finish(self) -> Result<Answer, Failure>;

    /// A failure in the middle of the answer, with what it has cost.
    fn failed(&self, class: FailureClass, message: impl Into<String>) -> Failure {
        Failure { class, message: message.into(), retry_after: None, tokens: self.tokens() }
    }

    /// The failure of a frame that is not the wire's.
    fn unreadable(&self, error: &serde_json::Error) -> Failure {
        let message = format!("The model's stream holds an event that cannot be read: {error}.");
        self.failed(FailureClass::Cut, message)
    }

    /// The failure of a stream that ended too early.
    fn broken(&self) -> Failure {
        self.failed(FailureClass::Cut, "The model's stream ended in the middle.")
    }
}

/// Reads a streamed answer to its end.
async fn read<E: Error>(
    stream: impl Stream<Item = Result<Bytes, E>>,
    mut reading: impl Fold,
    deltas: &mut (dyn FnMut(Delta) + Send),
) -> Result<Answer, Failure> {
    let mut stream = pin!(stream);
    let mut decoder = Decoder::default();
    let mut ending_since = None;
    let (mut said, mut said_at) = (0, Instant::now());
    loop {
        if reading.said() > said {
            (said, said_at) = (reading.said(), Instant::now());
        }
        let patience = match reading.stage() {
            Stage::Open => SILENCE.min(EMPTY.saturating_sub(said_at.elapsed())),
            Stage::Ending => {
                POSTSCRIPT.saturating_sub(ending_since.get_or_insert_with(Instant::now).elapsed())
            }
            Stage::Whole => break,
        };
        // What is there at once is never too late for a timeout.
        if patience.is_zero() {
            return if ending_since.is_some() { reading.finish() } else { Err(empty(reading.tokens())) };
        }
        let chunk = match timeout(patience, stream.next()).await {
            Ok(Some(Ok(chunk))) => chunk,
            Ok(None) if let Some(failure) = unstreamed(decoder.rest(), &reading) => return Err(failure),
            Ok(Some(Err(_)) | None) => return reading.finish(),
            Err(_) if ending_since.is_some() => return reading.finish(),
            Err(_) if patience < SILENCE => return Err(empty(reading.tokens())),
            Err(_) => return Err(silent(reading.tokens())),
        };
        let frames = decoder.take(&chunk).map_err(|TooLarge| {
            let message = format!("The model's stream holds an event of more than {FRAME_BYTES} bytes.");
            reading.failed(FailureClass::Invalid, message)
        })?;
        for frame in frames {
            if !is_readable(&frame) {
                let message = "The model's stream holds an event that takes too much memory to read.";
                return Err(reading.failed(FailureClass::Invalid, message));
            }
            reading.take(&frame, deltas)?;
        }
    }
    drop(timeout(FAREWELL, stream.next()).await);
    reading.finish()
}

/// Why a body that has ended too early is no stream, if all of it is one JSON object.
fn unstreamed(body: &[u8], reading: &impl Fold) -> Option<Failure> {
    let read = is_readable(body).then(|| serde_json::from_slice(body).ok()).flatten();
    let body = read.filter(Value::is_object)?;
    if reading.stage() != Stage::Open {
        return None;
    }
    let problem = Problem::of(&body);
    if problem.is_said() {
        return Some(problem.in_stream(reading.tokens()));
    }
    let message = "The model provider sent its answer in one piece, not as a stream.";
    Some(reading.failed(FailureClass::Invalid, message))
}

/// The failure of a prompt that is no JSON.
pub(crate) fn unwritable(error: &serde_json::Error) -> Failure {
    failure(FailureClass::Invalid, format!("The prompt cannot be written: {error}."))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{chat, messages::Reading};
    use core::convert::Infallible;
    use futures_util::stream;
    use protocol::prompt::{AnswerBlock, AnswerStop};
    use tokio::time::sleep;

    const OPENING: &str =
        "data: {\"type\":\"message_start\",\"message\":{\"usage\":{\"input_tokens\":3}}}\n\n";
    const TEXT: &str = "data: {\"type\":\"content_block_start\",\"index\":0,\
                        \"content_block\":{\"type\":\"text\",\"text\":\"hi\"}}\n\n";
    const ENDING: &str = "data: {\"type\":\"message_delta\",\"delta\":{\"stop_reason\":\"end_turn\"}}\n\n\
                          data: {\"type\":\"message_stop\"}\n\n";

    fn chunks(chunks: &[&'static str]) -> impl Stream<Item = Result<Bytes, Infallible>> + use<> {
        stream::iter(chunks.iter().map(|chunk| Ok(Bytes::from_static(chunk.as_bytes()))).collect::<Vec<_>>())
    }

    #[tokio::test(start_paused = true)]
    async fn a_stream_that_falls_silent_is_cut_after_the_limit() {
        let begun = Instant::now();
        let outcome =
            read(chunks(&[OPENING, TEXT]).chain(stream::pending()), Reading::default(), &mut |_| {}).await;
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
        let answer = read(slow, Reading::default(), &mut |_| {}).await;
        let blocks = vec![AnswerBlock::Text { text: "hi".to_owned() }];
        let tokens = Tokens { input: 3, ..Tokens::default() };
        assert_eq!(answer, Ok(Answer { blocks, stop: AnswerStop::EndTurn, tokens }));
    }

    #[tokio::test(start_paused = true)]
    async fn signs_of_life_are_no_answer_and_do_not_keep_a_request_for_ever() {
        const PING: &str = "data: {\"type\":\"ping\"}\n\n";
        const BLOCK: &str = "data: {\"type\":\"content_block_start\",\"index\":1,\
                             \"content_block\":{\"type\":\"text\",\"text\":\"\"}}\n\n";
        const DELTA: &str = "data: {\"type\":\"content_block_delta\",\"index\":0,\
                             \"delta\":{\"type\":\"text_delta\",\"text\":\"\"}}\n\n";
        const USAGE: &str = "data: {\"type\":\"message_delta\",\"delta\":{\"stop_reason\":\"end_turn\"},\
                             \"usage\":{\"output_tokens\":1}}\n\n";
        const CHOICE: &str = "data: {\"choices\":[{\"delta\":{\"content\":\"\"}}]}\n\n";
        const CALL: &str = "data: {\"choices\":[{\"delta\":{\"tool_calls\":[{\"index\":0,\"id\":\"a\",\
                            \"function\":{\"name\":\"f\",\"arguments\":\"\"}}]}}]}\n\n";
        let paced = |first: &'static str, again: &'static str| {
            let slow = stream::repeat(again).then(async |chunk| {
                sleep(SILENCE / 2).await;
                Ok(Bytes::from_static(chunk.as_bytes()))
            });
            chunks(&[first]).chain(slow)
        };
        let mut failures = Vec::new();
        for again in [": ping\n\n", ": ping without an end", PING, BLOCK, DELTA, USAGE] {
            let begun = Instant::now();
            let outcome = read(paced(TEXT, again), Reading::default(), &mut |_| {}).await;
            failures.push((again, begun.elapsed(), outcome.expect_err("a failure")));
        }
        for (first, again) in [(WORDS, ": ping\n\n"), (WORDS, CHOICE), (CALL, CALL)] {
            let begun = Instant::now();
            let outcome = read(paced(first, again), chat::Reading::default(), &mut |_| {}).await;
            failures.push((again, begun.elapsed(), outcome.expect_err("a failure")));
        }
        for (again, took, failure) in failures {
            assert_eq!((took, failure.class), (EMPTY, FailureClass::Cut), "{again}: {failure:?}");
            assert!(failure.message.contains("only signs of life"), "{failure:?}");
        }
    }

    #[tokio::test(start_paused = true)]
    async fn an_answer_that_comes_slowly_has_all_the_time_it_needs() {
        let begun = Instant::now();
        let words = stream::iter(std::iter::repeat_n(WORDS, 20).chain([REASON, "data: [DONE]\n\n"]));
        let slow = words.then(async |chunk| {
            sleep(SILENCE / 2).await;
            Ok::<_, Infallible>(Bytes::from_static(chunk.as_bytes()))
        });
        let answer = read(slow, chat::Reading::default(), &mut |_| {}).await;
        assert_eq!(answer.map(|answer| answer.stop), Ok(AnswerStop::EndTurn));
        assert!(begun.elapsed() > 2 * EMPTY);
    }

    #[tokio::test(start_paused = true)]
    async fn an_answer_does_not_wait_for_a_body_that_never_ends() {
        let begun = Instant::now();
        let answer =
            read(chunks(&[OPENING, TEXT, ENDING]).chain(stream::pending()), Reading::default(), &mut |_| {})
                .await;
        assert_eq!(answer.map(|answer| answer.stop), Ok(AnswerStop::EndTurn));
        assert_eq!(begun.elapsed(), FAREWELL);
    }

    #[tokio::test]
    async fn an_event_that_takes_too_much_memory_to_read_is_refused() {
        let input = "[],".repeat(2 * 1024 * 1024);
        let event = format!("data: {{\"type\":\"ping\",\"a\":[{input}[]]}}\n\n");
        let stream = stream::iter([Ok::<_, Infallible>(Bytes::from(event))]);
        let failure = read(stream, Reading::default(), &mut |_| {}).await.expect_err("a failure");
        assert_eq!(failure.class, FailureClass::Invalid);
        assert!(failure.message.contains("too much memory"), "{failure:?}");
    }

    const WORDS: &str = "data: {\"choices\":[{\"delta\":{\"content\":\"hi\"}}]}\n\n";
    const REASON: &str = "data: {\"choices\":[{\"delta\":{},\"finish_reason\":\"stop\"}]}\n\n";
    const USAGE: &str = "data: {\"choices\":[],\"usage\":{\"prompt_tokens\":3}}\n\n";

    #[tokio::test(start_paused = true)]
    async fn an_answer_that_has_said_its_reason_waits_for_its_cost_but_not_for_ever() {
        let pause = POSTSCRIPT * 3 / 4;
        let begun = Instant::now();
        let late = chunks(&[REASON, USAGE]).then(async |chunk| {
            sleep(pause).await;
            chunk
        });
        let stream = chunks(&[WORDS]).chain(late).chain(stream::pending());
        let answer = read(stream, chat::Reading::default(), &mut |_| {}).await;
        let blocks = vec![AnswerBlock::Text { text: "hi".to_owned() }];
        let tokens = Tokens { input: 3, ..Tokens::default() };
        assert_eq!(answer, Ok(Answer { blocks, stop: AnswerStop::EndTurn, tokens }));
        assert_eq!(begun.elapsed(), pause + POSTSCRIPT, "from the reason on, whatever came since");
    }

    #[tokio::test(start_paused = true)]
    async fn an_answer_without_a_reason_is_waited_for_as_long_as_any() {
        let begun = Instant::now();
        let stream = chunks(&[WORDS, USAGE]).chain(stream::pending());
        let failure = read(stream, chat::Reading::default(), &mut |_| {}).await.expect_err("a failure");
        assert_eq!((failure.class, failure.tokens.input), (FailureClass::Cut, 3));
        assert_eq!(begun.elapsed(), SILENCE);
    }
}
