//! The road to a provider: one request out, one bounded stream or refusal in, whatever the wire.

use core::{error::Error, fmt, pin::pin, time::Duration};

use bytes::Bytes;
use futures_util::{Stream, StreamExt};
use protocol::{
    limits::{ANSWER_BYTES, SHOWN_CHARS},
    prompt::{AnswerDelta, FailureClass, HistorySpot, ModelAnswer, ModelFailure},
    routes::Route,
    usage::RequestTokens,
};
use reqwest::{
    Client, RequestBuilder, Response, StatusCode,
    header::{ACCEPT, CONTENT_ENCODING, CONTENT_TYPE, HeaderMap},
};
use tokio::time::timeout;

use crate::{
    broken::is_named,
    class::by_status,
    failure::{self, AskedRoute, failure, shown},
    fold::{AnswerFold, StreamEnd, StreamStage},
    learned::{OmittedExtras, RequestExtra, RouteLessons},
    loose::{FrameData, LooseReader},
    named::MessagePath,
    problem::{ProblemForm, ProviderProblem},
    room,
    secret::ProviderSecret,
    sse::{FRAME_BYTES, FrameTooLarge, SseDecoder, SseFrame},
    wait::{AnswerWait, unbegun},
    weight::is_readable,
};

/// How long the end of the body may take after the end of the answer: a connection whose body was read
/// to its end is used again.
const FAREWELL: Duration = Duration::from_millis(100);
/// Most bytes of an error's body that are read, and for how long.
const ERROR_BYTES: usize = 64 * 1024;
const ERROR_WAIT: Duration = Duration::from_secs(10);
/// Most bytes of a body without frames that are kept, to be read as something else than a stream or an answer
/// in one piece.
const UNFRAMED_BYTES: usize = 4 * 1024 * 1024;
/// Words that only keep a stream up.
const ALIVE: [&str; 4] = ["ping", "keep-alive", "keepalive", "heartbeat"];
/// Most requests for one answer: each but the first leaves out what the one before was refused for.
const FORMS: usize = 5;

/// What a request to a route needs beside its own body.
pub(crate) struct ProviderRequest<'a> {
    pub(crate) client: Client,
    pub(crate) route: &'a Route,
    /// What is cut out of what the provider says.
    pub(crate) secret: ProviderSecret,
    /// The route's own, the key's and the wire's.
    pub(crate) headers: HeaderMap,
    /// Whom it asks, if a model is asked.
    pub(crate) model: Option<&'a str>,
    /// What the route's provider does not take.
    pub(crate) learned: &'a RouteLessons,
}

/// How a request is written.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct RequestWriting {
    /// What is left out of it.
    pub(crate) omitted: OmittedExtras,
    /// Tokens that the answer may take.
    pub(crate) bound: u64,
}

/// Shows neither the key nor the headers.
impl fmt::Debug for ProviderRequest<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Line").field("route", &self.route.pattern).finish_non_exhaustive()
    }
}

/// A request that was not served.
#[derive(Debug)]
pub(crate) struct UnservedRequest {
    pub(crate) failure: ModelFailure,
    /// What the provider said, if it said anything.
    pub(crate) problem: ProviderProblem,
}

impl UnservedRequest {
    /// The failure, with the parts of the history that the provider names as what it refuses: those that
    /// `spots` finds at the places of the request's body.
    pub(crate) fn naming(self, spots: impl Fn(MessagePath) -> Vec<HistorySpot>) -> ModelFailure {
        if self.failure.class != FailureClass::Invalid {
            return self.failure;
        }
        let spots = self.problem.paths().iter().copied().flat_map(spots).collect();
        ModelFailure { spots, ..self.failure }
    }
}

impl From<ModelFailure> for UnservedRequest {
    fn from(failure: ModelFailure) -> Self {
        Self { failure, problem: ProviderProblem::default() }
    }
}

impl ProviderRequest<'_> {
    /// The route's base URL with this path after it.
    pub(crate) fn address(&self, path: &str) -> String {
        format!("{}{path}", self.route.base_url.trim_end_matches('/'))
    }

    /// Asks for a streamed answer of at most `bound` tokens. A provider that refuses one of `extras` is asked
    /// once more without it, and one that finds the answer too long, once with a shorter one.
    pub(crate) async fn ask(
        &self,
        path: &str,
        bound: u64,
        extras: &[RequestExtra],
        write: impl Fn(RequestWriting) -> serde_json::Result<Vec<u8>>,
    ) -> Result<Response, UnservedRequest> {
        let mut writ = RequestWriting { omitted: self.learned.omitted(), bound };
        for _ in 1..FORMS {
            let body = write(writ).map_err(|error| unwritable(&error))?;
            let unserved = match self.post(path, body).await {
                Ok(response) => {
                    self.learned.note(writ.omitted, self.route);
                    return Ok(response);
                }
                Err(unserved) => unserved,
            };
            let UnservedRequest { failure, problem } = unserved;
            let omitted = writ.omitted.after(&problem, extras);
            let shorter = || (writ.bound == bound).then(|| room::shorter(&problem, bound)).flatten();
            match (failure.class, omitted) {
                (
                    FailureClass::Invalid | FailureClass::Overflow | FailureClass::Unavailable,
                    Some(omitted),
                ) => writ.omitted = omitted,
                (FailureClass::Invalid | FailureClass::Overflow, None) => match shorter() {
                    Some(bound) => writ.bound = bound,
                    None => return Err(UnservedRequest { failure, problem }),
                },
                _ => return Err(UnservedRequest { failure, problem }),
            }
        }
        let body = write(writ).map_err(|error| unwritable(&error))?;
        let response = self.post(path, body).await?;
        self.learned.note(writ.omitted, self.route);
        Ok(response)
    }

    async fn post(&self, path: &str, body: Vec<u8>) -> Result<Response, UnservedRequest> {
        let request = self.client.post(self.address(path));
        let request = request.header(CONTENT_TYPE, "application/json").header(ACCEPT, "text/event-stream");
        self.send(request.body(body)).await
    }

    /// Asks for a document.
    pub(crate) async fn get(&self, address: &str) -> Result<Response, ModelFailure> {
        let request = self.client.get(address).header(ACCEPT, "application/json");
        self.send(request).await.map_err(|unserved| unserved.failure)
    }

    async fn send(&self, request: RequestBuilder) -> Result<Response, UnservedRequest> {
        let patience = self.route.patience.first_byte;
        let response = match timeout(patience, request.headers(self.headers.clone()).send()).await {
            Ok(Ok(response)) => response,
            Ok(Err(error)) => return Err(failure::unanswered(&error, self.route).into()),
            Err(_) => return Err(unbegun(self.route, RequestTokens::default()).into()),
        };
        let coding = response.headers().get(CONTENT_ENCODING).and_then(|value| value.to_str().ok());
        match coding.map(str::trim).filter(|coding| !matches!(*coding, "" | "identity")) {
            Some(coding) => Err(self.coded(response.status(), coding).into()),
            None if response.status().is_success() => Ok(response),
            None => Err(self.refused(response).await),
        }
    }

    /// Reads the streamed answer to a request.
    pub(crate) async fn hear(
        &self,
        response: Response,
        reading: impl AnswerFold,
        deltas: &mut (dyn FnMut(AnswerDelta) + Send),
    ) -> Result<ModelAnswer, ModelFailure> {
        read(response.bytes_stream(), reading, self.route, deltas).await.map_err(|failed| {
            match failure::window(self.route).filter(|_| failed.class == FailureClass::Overflow) {
                Some(window) => ModelFailure { message: format!("{} {window}", failed.message), ..failed },
                None => failed,
            }
        })
    }

    /// The failure of an answer that nobody here can read.
    fn coded(&self, status: StatusCode, coding: &str) -> ModelFailure {
        let (at, code, coding) = (shown(self.route), status.as_u16(), self.secret.shown(coding));
        let class = if status.is_success() { FailureClass::Unusable } else { by_status(code) };
        let message = format!(
            "The answer of {at} ({code}) is compressed ({coding}), which was not asked for: see that nothing \
             between here and the provider compresses answers."
        );
        ModelFailure { status: Some(code), ..failure(class, message) }
    }

    /// Why the provider gave no answer.
    async fn refused(&self, mut response: Response) -> UnservedRequest {
        let mut body = Vec::new();
        let reading = async {
            while body.len() < ERROR_BYTES {
                match response.chunk().await {
                    Ok(Some(chunk)) => body.extend(chunk.iter().take(ERROR_BYTES - body.len())),
                    Ok(None) => return true,
                    Err(_) => return false,
                }
            }
            false
        };
        // What came in time is enough.
        if !timeout(ERROR_WAIT, reading).await.unwrap_or(false) {
            self.secret.unfinished(&mut body);
        }
        let problem = ProviderProblem::read(&body);
        let asked = AskedRoute { route: self.route, model: self.model, secret: &self.secret };
        let failure = failure::answered(response.status(), response.headers(), &problem, asked);
        UnservedRequest { failure, problem }
    }
}

/// A stream that is being read.
struct Hearing<'d, F> {
    reading: F,
    reader: LooseReader,
    deltas: &'d mut (dyn FnMut(AnswerDelta) + Send),
    /// Whether an object of the stream has come.
    heard: bool,
    /// What has come so far without one.
    unframed: Vec<u8>,
    /// The last words that stood in the place of an object.
    words: String,
    /// How much of the answer there was when something last came that is not of the wire.
    odd: Option<usize>,
}

/// Reads a streamed answer to its end.
async fn read<E: Error>(
    stream: impl Stream<Item = Result<Bytes, E>>,
    reading: impl AnswerFold,
    route: &Route,
    deltas: &mut (dyn FnMut(AnswerDelta) + Send),
) -> Result<ModelAnswer, ModelFailure> {
    let mut stream = pin!(stream);
    let mut decoder = SseDecoder::default();
    let (reader, unframed, words) = (LooseReader::default(), Vec::new(), String::new());
    let mut hearing = Hearing { reading, reader, deltas, heard: false, unframed, words, odd: None };
    let mut wait = AnswerWait::begin(route);
    loop {
        wait.heard(hearing.reading.said());
        let patience = match hearing.reading.stage() {
            StreamStage::Open => wait.next(false),
            StreamStage::Ending => wait.next(true),
            StreamStage::Whole => break,
        };
        // What is there at once is never too late for a timeout.
        if patience.is_zero() {
            return if hearing.reading.stage() == StreamStage::Ending {
                hearing.ended(route, StreamEnd::Torn)
            } else {
                Err(wait.over(patience, hearing.reading.tokens()))
            };
        }
        let chunk = match timeout(patience, stream.next()).await {
            Ok(Some(Ok(chunk))) => chunk,
            Ok(None) => {
                if hearing.is_bare() {
                    return hearing.ended(route, StreamEnd::Whole);
                }
                if let Some(frame) = decoder.finish() {
                    // What is half a frame ends the stream as if it had not come.
                    drop(hearing.take(&frame)?);
                }
                return hearing.ended(route, StreamEnd::Whole);
            }
            Ok(Some(Err(_))) => return hearing.ended(route, StreamEnd::Torn),
            Err(_) if hearing.reading.stage() == StreamStage::Ending => {
                return hearing.ended(route, StreamEnd::Torn);
            }
            Err(_) => return Err(wait.over(patience, hearing.reading.tokens())),
        };
        hearing.keep(&chunk)?;
        let frames = match decoder.take(&chunk) {
            Ok(frames) => frames,
            // An answer in one piece may be one line.
            Err(FrameTooLarge) if hearing.is_bare() => {
                decoder = SseDecoder::default();
                continue;
            }
            Err(FrameTooLarge) => {
                let message = format!("The model's stream holds an event of more than {FRAME_BYTES} bytes.");
                return Err(hearing.reading.failed(FailureClass::Unusable, message));
            }
        };
        for frame in frames {
            let before = hearing.progress();
            if let Some(unreadable) = hearing.take(&frame)? {
                return Err(unreadable);
            }
            if hearing.progress() != before {
                wait.framed();
            }
        }
    }
    drop(timeout(FAREWELL, stream.next()).await);
    hearing.ended(route, StreamEnd::Whole)
}

impl<F: AnswerFold> Hearing<'_, F> {
    /// Takes a frame; gives the failure of one that cannot be read.
    fn take(&mut self, frame: &SseFrame) -> Result<Option<ModelFailure>, ModelFailure> {
        if !is_readable(&frame.data) {
            let message = "The model's stream holds an event that takes too much memory to read.";
            return Err(self.reading.failed(FailureClass::Unusable, message));
        }
        let pieces = match self.reader.read(&frame.data) {
            Ok(pieces) => pieces,
            Err(error) => {
                let message = format!("The model's stream holds an event that cannot be read: {error}.");
                return Ok(Some(self.reading.failed(FailureClass::Cut, message)));
            }
        };
        if pieces.is_empty() && is_named(&String::from_utf8_lossy(&frame.name)) {
            return Err(self.failed(&frame.data));
        }
        for piece in pieces {
            if self.reading.stage() == StreamStage::Whole {
                break;
            }
            match piece {
                FrameData::Value(read) => {
                    self.heard = true;
                    self.unframed = Vec::new();
                    // Some wrap each in a list.
                    for read in read.each() {
                        if !self.reading.is_piece(&frame.name, &read.value) {
                            self.odd = Some(self.reading.said());
                        }
                        self.reading.take(&frame.name, read, self.deltas)?;
                    }
                }
                FrameData::Done => {
                    self.heard = true;
                    self.reading.done();
                }
                FrameData::Words(words) if is_named(&String::from_utf8_lossy(&frame.name)) => {
                    return Err(self.failed(words.as_bytes()));
                }
                FrameData::Words(words) => {
                    if !ALIVE.contains(&words.to_ascii_lowercase().as_str()) {
                        self.odd = Some(self.reading.said());
                    }
                    self.words = words;
                }
            }
        }
        Ok(None)
    }

    /// The failure that the data of an event of that name means.
    fn failed(&self, data: &[u8]) -> ModelFailure {
        ProviderProblem::read(data).in_stream(self.reading.tokens(), self.reading.secret())
    }

    /// What a frame that says anything changes.
    fn progress(&self) -> (usize, RequestTokens, bool) {
        (self.reading.said(), self.reading.tokens(), self.reading.is_reasoned())
    }

    /// Keeps what may be no stream: an answer in one piece up to the bound of any answer.
    fn keep(&mut self, chunk: &[u8]) -> Result<(), ModelFailure> {
        if self.heard {
            return Ok(());
        }
        let chunk = if self.unframed.is_empty() { chunk.trim_ascii_start() } else { chunk };
        let is_bare = begins_json(if self.unframed.is_empty() { chunk } else { &self.unframed });
        let most = if is_bare { ANSWER_BYTES } else { UNFRAMED_BYTES };
        let room = most - self.unframed.len();
        if is_bare && chunk.len() > room {
            let message = format!("The model's answer is larger than {ANSWER_BYTES} bytes.");
            return Err(self.reading.failed(FailureClass::Unusable, message));
        }
        self.unframed.extend(chunk.iter().take(room));
        if chunk.len() > room {
            self.reading.secret().unfinished(&mut self.unframed);
        }
        Ok(())
    }

    /// Whether all that has come is JSON without any frame.
    fn is_bare(&self) -> bool {
        !self.heard && begins_json(&self.unframed)
    }

    fn ended(mut self, route: &Route, end: StreamEnd) -> Result<ModelAnswer, ModelFailure> {
        if !self.heard && end == StreamEnd::Whole {
            let unframed = core::mem::take(&mut self.unframed);
            return self.unstreamed(&unframed, route);
        }
        let (words, secret) = (self.words, self.reading.secret().clone());
        // What nobody can read may say that it failed: then only a reason makes it whole.
        let is_half = self.odd == Some(self.reading.said()) && !self.reading.is_reasoned();
        let outcome = if is_half { Err(self.reading.broken()) } else { self.reading.finish(end) };
        outcome.map_err(|failed| {
            if failed.class != FailureClass::Cut || words.is_empty() {
                return failed;
            }
            let message = format!("{}{}", failed.message.trim_end_matches('.'), secret.said(&words));
            ModelFailure { message, ..failed }
        })
    }

    /// Reads a body that is no stream: an answer in one piece, or why there is none.
    fn unstreamed(mut self, body: &[u8], route: &Route) -> Result<ModelAnswer, ModelFailure> {
        let pieces = if is_readable(body) { self.reader.read(body).unwrap_or_default() } else { Vec::new() };
        let is_silent = pieces.is_empty();
        if let Ok([FrameData::Value(read)]) = <[FrameData; 1]>::try_from(pieces) {
            let taken = self.reading.take(b"", read, self.deltas);
            if taken.is_err() || self.reading.stage() != StreamStage::Open {
                return taken.and_then(|()| self.reading.finish(StreamEnd::Whole));
            }
        }
        // Half of an answer says nothing about why it is half.
        if is_silent && begins_json(body) && body.len() > SHOWN_CHARS {
            return Err(self.reading.broken());
        }
        // What keeps a connection up says nothing.
        let lines = body.split(|byte| *byte == b'\n').filter(|line| !line.starts_with(b":"));
        let problem = ProviderProblem::read(&lines.collect::<Vec<_>>().join(&b'\n'));
        let said = self.reading.secret().said(problem.message());
        match problem.form() {
            ProblemForm::Api => Err(problem.in_stream(self.reading.tokens(), self.reading.secret())),
            ProblemForm::Page => {
                let (at, pattern) = (shown(route), &route.pattern);
                let message = format!(
                    "{at} answered with a web page, not with a stream; check the base URL of the route \
                     {pattern}{said}"
                );
                Err(self.reading.failed(FailureClass::Unusable, message))
            }
            ProblemForm::Lines => {
                let message = format!("The model's stream ended in the middle{said}");
                Err(self.reading.failed(FailureClass::Cut, message))
            }
            ProblemForm::Silent if is_silent => self.reading.finish(StreamEnd::Whole),
            ProblemForm::Silent => {
                let message =
                    "The model provider sent its answer in one piece, in a form that is not its API's.";
                Err(self.reading.failed(FailureClass::Unusable, message))
            }
        }
    }
}

/// Whether a body begins as an object or a list does.
fn begins_json(body: &[u8]) -> bool {
    let body = body.strip_prefix(b"\xef\xbb\xbf").unwrap_or(body);
    body.first().is_some_and(|first| b"{[".contains(first))
}

/// The failure of a prompt that is no JSON.
fn unwritable(error: &serde_json::Error) -> ModelFailure {
    failure(FailureClass::Invalid, format!("The prompt cannot be written: {error}."))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{chat, messages::MessagesReading, wait::EMPTY};
    use core::convert::Infallible;
    use futures_util::stream;
    use protocol::{
        limits,
        prompt::{AnswerBlock, AnswerStop},
        routes::RoutePatience,
    };
    use tokio::time::{Instant, sleep};

    const OPENING: &str =
        "data: {\"type\":\"message_start\",\"message\":{\"usage\":{\"input_tokens\":3}}}\n\n";
    const TEXT: &str = "data: {\"type\":\"content_block_start\",\"index\":0,\
                        \"content_block\":{\"type\":\"text\",\"text\":\"hi\"}}\n\n";
    const ENDING: &str = "data: {\"type\":\"message_delta\",\"delta\":{\"stop_reason\":\"end_turn\"}}\n\n\
                          data: {\"type\":\"message_stop\"}\n\n";

    const SILENCE: Duration = Duration::from_secs(limits::MODEL_SILENCE_S);

    fn route() -> Route {
        Route::script("m")
    }

    fn chunks(chunks: &[&'static str]) -> impl Stream<Item = Result<Bytes, Infallible>> + use<> {
        stream::iter(chunks.iter().map(|chunk| Ok(Bytes::from_static(chunk.as_bytes()))).collect::<Vec<_>>())
    }

    #[tokio::test(start_paused = true)]
    async fn a_stream_that_falls_silent_is_cut_after_the_limit() {
        let begun = Instant::now();
        let outcome = read(
            chunks(&[OPENING, TEXT]).chain(stream::pending()),
            MessagesReading::default(),
            &route(),
            &mut |_| {},
        )
        .await;
        let message = "The model provider sent nothing for 120 seconds.".to_owned();
        let tokens = RequestTokens { input: 3, ..RequestTokens::default() };
        assert_eq!(
            outcome,
            Err(ModelFailure {
                class: FailureClass::Cut,
                status: None,
                message,
                retry_after: None,
                tokens,
                spots: Vec::new()
            })
        );
        assert_eq!(begun.elapsed(), SILENCE);
    }

    #[tokio::test(start_paused = true)]
    async fn bytes_that_keep_coming_are_not_silence() {
        let slow = chunks(&[OPENING, ": ping\n\n", ": ping\n\n", TEXT, ENDING]).then(async |chunk| {
            sleep(SILENCE * 9 / 10).await;
            chunk
        });
        let answer = read(slow, MessagesReading::default(), &route(), &mut |_| {}).await;
        let blocks = vec![AnswerBlock::Text { text: "hi".to_owned() }];
        let tokens = RequestTokens { input: 3, ..RequestTokens::default() };
        assert_eq!(answer, Ok(ModelAnswer { blocks, stop: AnswerStop::EndTurn, tokens, opaque: None }));
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
        for again in [": ping\n\n", ": ping without an end", PING, BLOCK, DELTA] {
            let begun = Instant::now();
            let outcome = read(paced(TEXT, again), MessagesReading::default(), &route(), &mut |_| {}).await;
            failures.push((again, begun.elapsed(), outcome.expect_err("a failure")));
        }
        for (first, again) in [(WORDS, ": ping\n\n"), (WORDS, CHOICE), (CALL, CALL)] {
            let begun = Instant::now();
            let outcome =
                read(paced(first, again), chat::ChatReading::default(), &route(), &mut |_| {}).await;
            failures.push((again, begun.elapsed(), outcome.expect_err("a failure")));
        }
        // One that has said why it ended has only not ended its stream.
        let begun = Instant::now();
        let answer = read(paced(TEXT, USAGE), MessagesReading::default(), &route(), &mut |_| {}).await;
        let took = SILENCE / 2 + SILENCE;
        assert_eq!((begun.elapsed(), answer.map(|answer| answer.stop)), (took, Ok(AnswerStop::EndTurn)));
        for (again, took, failure) in failures {
            assert_eq!((took, failure.class), (EMPTY, FailureClass::Cut), "{again}: {failure:?}");
            assert!(failure.message.contains("only signs of life"), "{failure:?}");
        }
    }

    /// A stream whose first chunk comes so late, and the others behind it at once.
    fn late(seconds: u64, parts: &[&'static str]) -> impl Stream<Item = Result<Bytes, Infallible>> + use<> {
        let wait = stream::once(sleep(Duration::from_secs(seconds))).map(|()| Ok(Bytes::new()));
        wait.chain(chunks(parts))
    }

    fn patient(first_byte: u64, silence: u64) -> Route {
        let seconds = Duration::from_secs;
        let patience = RoutePatience {
            first_byte: seconds(first_byte),
            silence: seconds(silence),
            ..RoutePatience::DEFAULT
        };
        Route { patience, ..route() }
    }

    #[tokio::test(start_paused = true)]
    async fn a_cold_model_has_the_time_that_its_route_gives_it_and_then_no_longer_than_any() {
        let cold = patient(1_800, 30);
        let begun = Instant::now();
        let stream = late(1_700, &[WORDS, REASON, "data: [DONE]\n\n"]).chain(stream::pending());
        let answer = read(stream, chat::ChatReading::default(), &cold, &mut |_| {}).await;
        assert_eq!(answer.map(|answer| answer.stop), Ok(AnswerStop::EndTurn));
        assert_eq!(begun.elapsed(), Duration::from_secs(1_700) + FAREWELL);
        let advice =
            " If the model is loaded first, say how long that may take with `first_byte` in the route m.";
        let pings = || {
            stream::repeat(": loading\n\n").then(async |chunk| {
                sleep(Duration::from_secs(100)).await;
                Ok::<_, Infallible>(Bytes::from_static(chunk.as_bytes()))
            })
        };
        let silent = format!("The model provider sent nothing for 1800 seconds.{advice}");
        let alive = "The model provider sent nothing of an answer for 1800 seconds, only signs of life.";
        for (stream, seconds, said) in [
            (stream::pending().boxed(), 1_800, silent.as_str()),
            (pings().boxed(), 1_800, alive),
            (
                chunks(&[WORDS]).chain(stream::pending()).boxed(),
                30,
                "The model provider sent nothing for 30 seconds.",
            ),
        ] {
            let begun = Instant::now();
            let failure =
                read(stream, chat::ChatReading::default(), &cold, &mut |_| {}).await.expect_err("a failure");
            assert_eq!((begun.elapsed().as_secs(), failure.message.as_str()), (seconds, said));
            assert_eq!(failure.class, FailureClass::Cut);
        }
    }

    #[tokio::test(start_paused = true)]
    async fn a_route_may_wait_longer_between_two_words_than_any_answer_goes_on_saying_nothing() {
        let begun = Instant::now();
        let slow = spaced(&[WORDS, WORDS, REASON, "data: [DONE]\n\n"], Duration::from_secs(3_500));
        let answer = read(slow, chat::ChatReading::default(), &patient(3_600, 3_600), &mut |_| {}).await;
        assert_eq!(answer.map(|answer| answer.stop), Ok(AnswerStop::EndTurn));
        assert!(begun.elapsed().as_secs() >= 3 * 3_500);
        let short = spaced(&[WORDS, WORDS], Duration::from_secs(2));
        let failure = read(short, chat::ChatReading::default(), &patient(1, 60), &mut |_| {}).await;
        let failure = failure.expect_err("a failure");
        assert!(failure.message.starts_with("The model provider sent nothing for 1 seconds."), "{failure}");
    }

    #[tokio::test(start_paused = true)]
    async fn an_answer_that_comes_slowly_has_all_the_time_it_needs() {
        let begun = Instant::now();
        let words = stream::iter(std::iter::repeat_n(WORDS, 20).chain([REASON, "data: [DONE]\n\n"]));
        let slow = words.then(async |chunk| {
            sleep(SILENCE / 2).await;
            Ok::<_, Infallible>(Bytes::from_static(chunk.as_bytes()))
        });
        let answer = read(slow, chat::ChatReading::default(), &route(), &mut |_| {}).await;
        assert_eq!(answer.map(|answer| answer.stop), Ok(AnswerStop::EndTurn));
        assert!(begun.elapsed() > 2 * EMPTY);
    }

    #[tokio::test(start_paused = true)]
    async fn an_answer_does_not_wait_for_a_body_that_never_ends() {
        let begun = Instant::now();
        let answer = read(
            chunks(&[OPENING, TEXT, ENDING]).chain(stream::pending()),
            MessagesReading::default(),
            &route(),
            &mut |_| {},
        )
        .await;
        assert_eq!(answer.map(|answer| answer.stop), Ok(AnswerStop::EndTurn));
        assert_eq!(begun.elapsed(), FAREWELL);
    }

    #[tokio::test]
    async fn an_event_that_takes_too_much_memory_to_read_is_refused() {
        let input = "[],".repeat(2 * 1024 * 1024);
        let event = format!("data: {{\"type\":\"ping\",\"a\":[{input}[]]}}\n\n");
        let stream = stream::iter([Ok::<_, Infallible>(Bytes::from(event))]);
        let failure =
            read(stream, MessagesReading::default(), &route(), &mut |_| {}).await.expect_err("a failure");
        assert_eq!(failure.class, FailureClass::Unusable);
        assert!(failure.message.contains("too much memory"), "{failure:?}");
    }

    const WORDS: &str = "data: {\"choices\":[{\"delta\":{\"content\":\"hi\"}}]}\n\n";
    const REASON: &str = "data: {\"choices\":[{\"delta\":{},\"finish_reason\":\"stop\"}]}\n\n";
    const USAGE: &str = "data: {\"choices\":[],\"usage\":{\"prompt_tokens\":3}}\n\n";
    const EMPTY_CHUNK: &str = "data: {\"choices\":[{\"delta\":{\"content\":\"\"}}]}\n\n";
    const BOTH: &str =
        "data: {\"choices\":[{\"delta\":{\"content\":\"hi\"},\"finish_reason\":\"stop\"}]}\n\n";

    fn spaced(parts: &[&'static str], pause: Duration) -> impl Stream<Item = Result<Bytes, Infallible>> {
        chunks(parts).then(move |chunk| async move {
            sleep(pause).await;
            chunk
        })
    }

    #[tokio::test(start_paused = true)]
    async fn an_answer_that_has_said_its_reason_waits_for_what_follows_but_not_for_ever() {
        let pause = SILENCE * 3 / 4;
        let begun = Instant::now();
        // What only keeps the connection up is not waited for.
        let idle = [": ping\n\n", EMPTY_CHUNK].repeat(5);
        let pings = spaced(&idle, SILENCE / 2);
        let stream = chunks(&[WORDS]).chain(spaced(&[REASON, USAGE], pause)).chain(pings);
        let stream = stream.chain(stream::pending());
        let answer = read(stream, chat::ChatReading::default(), &route(), &mut |_| {}).await;
        let blocks = vec![AnswerBlock::Text { text: "hi".to_owned() }];
        let tokens = RequestTokens { input: 3, ..RequestTokens::default() };
        assert_eq!(answer, Ok(ModelAnswer { blocks, stop: AnswerStop::EndTurn, tokens, opaque: None }));
        assert_eq!(begun.elapsed(), pause * 2 + SILENCE, "from the last frame on that says something");
    }

    #[tokio::test(start_paused = true)]
    async fn an_answer_with_a_reason_in_every_chunk_is_heard_to_its_end() {
        let begun = Instant::now();
        let pause = SILENCE * 3 / 4;
        let stream = spaced(&[BOTH, BOTH, BOTH, "data: [DONE]\n\n"], pause).chain(stream::pending());
        let answer =
            read(stream, chat::ChatReading::default(), &route(), &mut |_| {}).await.expect("an answer");
        assert_eq!(answer.blocks, [AnswerBlock::Text { text: "hihihi".to_owned() }]);
        assert_eq!(begun.elapsed(), pause * 4 + FAREWELL);
        let silent = spaced(&[BOTH, BOTH], pause).chain(stream::pending());
        let failure =
            read(silent, chat::ChatReading::default(), &route(), &mut |_| {}).await.expect_err("a failure");
        assert_eq!(failure.class, FailureClass::Cut, "such a reason is no end");
    }

    #[tokio::test(start_paused = true)]
    async fn an_answer_without_a_reason_is_waited_for_as_long_as_any() {
        let begun = Instant::now();
        let stream = chunks(&[WORDS, USAGE]).chain(stream::pending());
        let failure =
            read(stream, chat::ChatReading::default(), &route(), &mut |_| {}).await.expect_err("a failure");
        assert_eq!((failure.class, failure.tokens.input), (FailureClass::Cut, 3));
        assert_eq!(begun.elapsed(), SILENCE);
    }
}
