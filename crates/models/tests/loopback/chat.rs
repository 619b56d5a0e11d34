//! Chat completions on loopback: what goes over the wire, and what each server's stream becomes.

use std::time::Duration;

use axum::{body::Body, http::Response};
use futures_util::stream;
use models::{BuildError, Keys, Models, Oracle};
use protocol::{
    Object,
    event::RefusalDetails,
    prompt::{Answer, AnswerBlock, AnswerStop, Delta, DeltaKind, Failure, FailureClass},
    routes::{Provider, Route, Routes},
    usage::Tokens,
};
use serde_json::{Value, json};

use crate::provider::{Fake, direct, prompt, said, streamed};

pub(crate) fn route(base_url: &str) -> Route {
    Route {
        pattern: "chat-*".to_owned(),
        provider: Provider::ChatCompletions,
        base_url: format!("{base_url}/v1"),
        key_variable: Some("THE_KEY".to_owned()),
        headers: Vec::new(),
        window: 128_000,
        max_output: 8_192,
    }
}

fn models_of(route: Route) -> Models {
    let keys = Keys::from_iter([("THE_KEY".to_owned(), "secret".to_owned())]);
    Models::new(Routes(vec![route]), keys, direct()).expect("good settings")
}

fn models(base_url: &str) -> Models {
    models_of(route(base_url))
}

/// A stream of these chunks, each a frame, and the last word.
fn frames(chunks: &[Value]) -> String {
    chunks.iter().map(|chunk| format!("data: {chunk}\n\n")).collect::<String>() + "data: [DONE]\n\n"
}

fn delta(delta: Value) -> Value {
    json!({"object": "chat.completion.chunk", "choices": [{"index": 0, "delta": delta, "finish_reason": null}],
        "usage": null})
}

fn finish(reason: &str) -> Value {
    json!({"object": "chat.completion.chunk", "choices": [{"index": 0, "delta": {}, "finish_reason": reason}]})
}

/// A piece of calls.
fn calls(pieces: Value) -> Value {
    delta(json!({"tool_calls": pieces}))
}

async fn ask(models: &Models) -> (Result<Answer, Failure>, Vec<Delta>) {
    let mut deltas = Vec::new();
    let answer = models.ask(&prompt("chat-test"), &mut |delta| deltas.push(delta)).await;
    (answer, deltas)
}

/// What a stream becomes.
async fn heard(stream: String) -> (Result<Answer, Failure>, Vec<Delta>) {
    let provider = Fake::start(move |_| streamed(stream.clone())).await;
    ask(&models(&provider.base_url)).await
}

/// What these chunks become.
async fn answer(chunks: &[Value]) -> Answer {
    heard(frames(chunks)).await.0.expect("an answer")
}

async fn refused(status: u16, body: Value) -> (FailureClass, String) {
    let provider = Fake::failing(status, &[], body).await;
    let failure = ask(&models(&provider.base_url)).await.0.expect_err("a failure");
    let message = failure.message.replace(&provider.base_url, "http://provider");
    (failure.class, message)
}

fn call(id: &str, name: &str, input: Option<Value>) -> AnswerBlock {
    let input = input.map(|input| input.as_object().expect("an object").clone());
    AnswerBlock::ToolUse { id: id.to_owned(), name: name.to_owned(), input }
}

fn thought(text: &str) -> AnswerBlock {
    AnswerBlock::Thinking { raw: json!({"type": "reasoning", "reasoning": text}) }
}

fn text_delta(index: usize, text: &str) -> Delta {
    Delta::Text { index, text: text.to_owned() }
}

#[tokio::test]
async fn a_plain_answer_comes_piece_by_piece_over_one_connection_that_is_used_again() {
    let usage = json!({"prompt_tokens": 10, "completion_tokens": 2, "total_tokens": 12,
        "prompt_tokens_details": {"cached_tokens": 7, "audio_tokens": 0}});
    let chunks = [
        delta(json!({"role": "assistant", "content": ""})),
        delta(json!({"content": "hel"})),
        delta(json!({"content": "lo"})),
        finish("stop"),
        json!({"object": "chat.completion.chunk", "choices": [], "usage": usage}),
    ];
    let provider = Fake::start(move |_| streamed(frames(&chunks))).await;
    let models = models(&provider.base_url);
    let tokens = Tokens { input: 3, output: 2, cache_read: 7, ..Tokens::default() };
    let answer = Answer { blocks: vec![said("hello")], stop: AnswerStop::EndTurn, tokens };
    let deltas =
        vec![Delta::Start { index: 0, kind: DeltaKind::Text }, text_delta(0, "hel"), text_delta(0, "lo")];
    assert_eq!(ask(&models).await, (Ok(answer.clone()), deltas.clone()));
    assert_eq!(ask(&models).await, (Ok(answer), deltas));
    let seen = provider.seen();
    assert_eq!((seen.len(), seen[0].peer), (2, seen[1].peer));
    assert_eq!(seen[0].uri, "/v1/chat/completions");
    assert_eq!(seen[0].header("authorization"), Some("Bearer secret"));
    assert_eq!((seen[0].header("x-api-key"), seen[0].header("anthropic-version")), (None, None));
    assert_eq!(seen[0].header("content-type"), Some("application/json"));
    let body = json!({"model": "chat-test", "stream": true, "stream_options": {"include_usage": true},
        "max_tokens": 8192, "messages": [{"role": "user", "content": "hi"}]});
    assert_eq!(seen[0].body, body);
    let shown = models.request(&prompt("chat-test")).expect("a body");
    assert_eq!(serde_json::from_slice::<Value>(&shown).ok(), Some(body), "what is shown is what is sent");
}

#[tokio::test]
async fn reasoning_is_thinking_by_either_name_and_by_both() {
    for fields in [
        json!({"reasoning_content": "hm "}),
        json!({"reasoning": "hm ", "content": ""}),
        json!({"reasoning": "hm ", "reasoning_content": "hm ", "content": null}),
    ] {
        let mut more = fields.clone();
        for (_, value) in more.as_object_mut().expect("an object").iter_mut().filter(|(_, v)| *v == "hm ") {
            *value = json!("well");
        }
        let chunks = [
            delta(json!({"reasoning_content": "\n"})),
            delta(fields),
            delta(more),
            delta(json!({"content": "\n\n"})),
            delta(json!({"content": "so"})),
            finish("stop"),
        ];
        let (answer, deltas) = heard(frames(&chunks)).await;
        assert_eq!(answer.expect("an answer").blocks, [thought("hm well"), said("\n\nso")]);
        let [first, second] = [DeltaKind::Thinking, DeltaKind::Text];
        let starts = [Delta::Start { index: 0, kind: first }, Delta::Start { index: 1, kind: second }];
        assert_eq!(deltas, [&starts[..], &[text_delta(1, "\n\nso")]].concat());
    }
}

#[tokio::test]
async fn several_calls_are_put_together_by_their_index() {
    let chunks = [
        delta(json!({"content": "Look."})),
        calls(
            json!([{"index": 0, "id": "a", "type": "function", "function": {"name": "look", "arguments": ""}}]),
        ),
        calls(
            json!([{"index": 1, "id": "b", "type": "function", "function": {"name": "list", "arguments": ""}}]),
        ),
        calls(
            json!([{"index": 0, "function": {"arguments": "{\"word\":"}}, {"index": 1, "function": {"arguments": "{\"n\""}}]),
        ),
        calls(json!([{"index": 1, "function": {"arguments": ":2}"}}])),
        calls(json!([{"index": 0, "function": {"arguments": "\"x\"}"}}])),
        finish("tool_calls"),
    ];
    let (answer, deltas) = heard(frames(&chunks)).await;
    let blocks = vec![
        said("Look."),
        call("a", "look", Some(json!({"word": "x"}))),
        call("b", "list", Some(json!({"n": 2}))),
    ];
    assert_eq!(answer, Ok(Answer { blocks, stop: AnswerStop::ToolUse, tokens: Tokens::default() }));
    let starts = [1, 2].map(|index| Delta::Start { index, kind: DeltaKind::ToolUse });
    assert_eq!(deltas[2..], starts);
}

#[tokio::test]
async fn each_servers_way_to_send_two_calls_gives_the_same_two() {
    let one = json!({"name": "look", "arguments": "{\"a\":1}"});
    let two = json!({"name": "look", "arguments": "{\"b\":2}"});
    let whole =
        |index: Value, id: Value, function: &Value| json!({"index": index, "id": id, "function": function});
    let object = |input: Value| json!({"name": "look", "arguments": input});
    // What it is, its chunks, and the ids it gives.
    let shapes: Vec<(&str, Vec<Value>, [&str; 2])> = vec![
        (
            "whole calls in one chunk",
            vec![calls(json!([whole(json!(0), json!("x"), &one), whole(json!(1), json!("y"), &two)]))],
            ["x", "y"],
        ),
        (
            "whole calls under one index",
            vec![
                calls(json!([whole(json!(0), json!("x"), &one)])),
                calls(json!([whole(json!(0), json!("y"), &two)])),
            ],
            ["x", "y"],
        ),
        (
            "one index and no ids",
            vec![
                calls(json!([whole(json!(0), Value::Null, &one)])),
                calls(json!([whole(json!(0), json!(""), &two)])),
            ],
            ["call_0", "call_1"],
        ),
        (
            "no index and no ids",
            vec![calls(json!([{"function": one}, {"function": two}]))],
            ["call_0", "call_1"],
        ),
        (
            "no index, but ids",
            vec![
                calls(json!([{"id": "x", "function": {"name": "look", "arguments": "{\"a\""}}])),
                calls(json!([{"id": "y", "function": {"name": "look", "arguments": "{\"b\":2}"}}])),
                calls(json!([{"id": "x", "function": {"arguments": ":1}"}}])),
            ],
            ["x", "y"],
        ),
        (
            "objects for arguments",
            vec![calls(json!([
                whole(json!(0), json!("x"), &object(json!({"a": 1}))),
                whole(json!(1), json!("y"), &object(json!({"b": 2})))
            ]))],
            ["x", "y"],
        ),
        (
            "id and name with every piece",
            ["{\"a\"", ":1", "}", ""]
                .iter()
                .map(|piece| {
                    calls(json!([whole(json!(0), json!("x"), &json!({"name": "look", "arguments": piece}))]))
                })
                .chain([calls(json!([whole(json!(1), json!("y"), &two)]))])
                .collect(),
            ["x", "y"],
        ),
        (
            "an id of its own for every piece",
            vec![
                calls(json!([whole(json!(0), json!("x"), &json!({"name": "look", "arguments": "{\"a\""}))])),
                calls(json!([whole(json!(0), json!("z"), &json!({"name": null, "arguments": ":1}"}))])),
                calls(json!([whole(json!(1), json!("y"), &two)])),
            ],
            ["x", "y"],
        ),
        (
            "white space after a whole call",
            vec![
                calls(json!([whole(json!(0), json!("x"), &one)])),
                calls(json!([whole(json!(0), Value::Null, &json!({"name": "look", "arguments": "\n"}))])),
                calls(json!([whole(json!(1), json!("y"), &two)])),
            ],
            ["x", "y"],
        ),
    ];
    for (what, mut chunks, [x, y]) in shapes {
        let blocks = vec![call(x, "look", Some(json!({"a": 1}))), call(y, "look", Some(json!({"b": 2})))];
        for reason in ["tool_calls", "stop"] {
            chunks.push(finish(reason));
            let answer = answer(&chunks).await;
            assert_eq!((&answer.blocks, &answer.stop), (&blocks, &AnswerStop::ToolUse), "{what}, {reason}");
            chunks.pop();
        }
    }
}

#[tokio::test]
async fn arguments_are_an_object_or_nothing() {
    let asked = async |arguments: Value, reason: &str| {
        let piece = json!([{"index": 0, "id": "t", "function": {"name": "look", "arguments": arguments}}]);
        answer(&[calls(piece), finish(reason)]).await.blocks.remove(0)
    };
    for empty in [json!(""), json!(null), json!("{}"), json!({}), json!("  ")] {
        assert_eq!(asked(empty.clone(), "tool_calls").await, call("t", "look", Some(json!({}))), "{empty}");
    }
    for wrong in [json!("{\"a\": \"b"), json!("[1]"), json!([1]), json!("{} {}"), json!(7)] {
        assert_eq!(asked(wrong.clone(), "tool_calls").await, call("t", "look", None), "{wrong}");
    }
    assert_eq!(asked(json!("{\"a\": \"b"), "length").await, call("t", "look", None));
    assert_eq!(asked(json!(""), "length").await, call("t", "look", None), "cut off before the first letter");
}

#[tokio::test]
async fn the_old_form_of_a_call_is_one() {
    let chunks = [
        delta(json!({"function_call": {"name": "look", "arguments": "{\"a\""}})),
        delta(json!({"function_call": {"arguments": ":1}"}})),
        finish("function_call"),
    ];
    let answer = answer(&chunks).await;
    let blocks = vec![call("call_0", "look", Some(json!({"a": 1})))];
    assert_eq!((answer.blocks, answer.stop), (blocks, AnswerStop::ToolUse));
}

#[tokio::test]
async fn each_finish_reason_has_its_meaning() {
    let explained = |explanation: &str| {
        let explanation = Some(explanation.to_owned());
        AnswerStop::Refusal(RefusalDetails { category: None, explanation })
    };
    for (reason, stop) in [
        ("stop", AnswerStop::EndTurn),
        ("tool_calls", AnswerStop::EndTurn),
        ("a_new_word", AnswerStop::EndTurn),
        ("length", AnswerStop::MaxTokens),
        ("content_filter", explained("The provider's content filter stopped the answer.")),
    ] {
        let answer = answer(&[delta(json!({"content": "so far"})), finish(reason)]).await;
        assert_eq!((answer.blocks, answer.stop), (vec![said("so far")], stop), "{reason}");
    }
    let refusal =
        [delta(json!({"refusal": "I can't "})), delta(json!({"refusal": "do that."})), finish("stop")];
    let answer = answer(&refusal).await;
    assert_eq!((answer.blocks, answer.stop), (vec![], explained("I can't do that.")));
    for (reason, class) in
        [("error", FailureClass::Cut), ("insufficient_system_resource", FailureClass::Overloaded)]
    {
        let failed = heard(frames(&[delta(json!({"content": "so"})), finish(reason)])).await.0;
        assert_eq!(failed.expect_err("a failure").class, class, "{reason}");
    }
}

#[tokio::test]
async fn the_reason_may_come_with_the_last_words_or_be_forgotten_and_the_last_frame_too() {
    let whole = |stop| Ok(Answer { blocks: vec![said("hi")], stop, tokens: Tokens::default() });
    let together = json!({"choices": [{"index": 0, "delta": {"content": "hi"}, "finish_reason": "length"}]});
    assert_eq!(heard(frames(&[together])).await.0, whole(AnswerStop::MaxTokens));
    let words = delta(json!({"content": "hi"}));
    assert_eq!(heard(frames(core::slice::from_ref(&words))).await.0, whole(AnswerStop::EndTurn));
    let blank = json!({"choices": [{"delta": {"content": "hi"}, "finish_reason": ""}]});
    assert_eq!(heard(frames(&[blank, finish("stop")])).await.0, whole(AnswerStop::EndTurn));
    let undone = format!("data: {words}\n\ndata: {}\n\n", finish("stop"));
    assert_eq!(heard(undone).await.0, whole(AnswerStop::EndTurn));
    let message = "The model's stream ended in the middle.".to_owned();
    let cut = Failure { class: FailureClass::Cut, message, retry_after: None, tokens: Tokens::default() };
    assert_eq!(heard(format!("data: {words}\n\n")).await.0, Err(cut.clone()), "words without an end");
    assert_eq!(heard(frames(&[])).await.0, Err(cut), "an end without words");
}

#[tokio::test]
async fn the_cost_is_found_wherever_it_is_told() {
    let usage = json!({"prompt_tokens": 5, "completion_tokens": 2, "prompt_tokens_details": null});
    let tokens = Tokens { input: 5, output: 2, ..Tokens::default() };
    let words = delta(json!({"content": "hi"}));
    let last = |extra: (&str, Value)| {
        let mut chunk = finish("stop");
        chunk[extra.0] = extra.1;
        chunk
    };
    let mut beside = finish("stop");
    beside["choices"][0]["usage"] = usage.clone();
    let mut early = words.clone();
    early["usage"] = json!({"prompt_tokens": 5, "completion_tokens": 1});
    for chunks in [
        vec![words.clone(), finish("stop"), json!({"choices": [], "usage": usage})],
        vec![words.clone(), finish("stop"), json!({"choices": null, "usage": usage})],
        vec![words.clone(), finish("stop"), json!({"usage": usage})],
        vec![words.clone(), last(("usage", usage.clone()))],
        vec![words.clone(), beside],
        vec![early, last(("usage", usage.clone()))],
    ] {
        assert_eq!(answer(&chunks).await.tokens, tokens, "{chunks:?}");
    }
    let cached =
        json!({"prompt_tokens": 5, "completion_tokens": 2, "prompt_tokens_details": {"cached_tokens": 9}});
    let more_than_all = Tokens { input: 0, output: 2, cache_read: 5, ..Tokens::default() };
    assert_eq!(answer(&[words.clone(), last(("usage", cached))]).await.tokens, more_than_all);
    assert_eq!(answer(&[words, finish("stop")]).await.tokens, Tokens::default(), "never told");
}

#[tokio::test]
async fn comments_other_answers_and_what_is_new_are_passed_over() {
    let stream = format!(
        ": keep-alive\n\nevent: x\nid: 1\ndata: {}\n\n: ping\n\ndata: {}\n\ndata: {}\n\ndata: {}\n\ndata: [DONE]\n\n",
        delta(json!({"content": "h", "novel": [1]})),
        json!({"choices": [{"index": 1, "delta": {"content": "other"}, "finish_reason": "stop"}]}),
        json!({"choices": [{"delta": {"content": [{"type": "text", "text": "i"}, {"type": "novel"}]}}], "novel": {}}),
        json!({"choices": [{"index": 0, "delta": null, "finish_reason": "stop"}]}),
    );
    let answer = heard(stream).await.0.expect("an answer");
    assert_eq!((answer.blocks, answer.stop), (vec![said("hi")], AnswerStop::EndTurn));
}

#[tokio::test]
async fn an_error_in_the_stream_is_a_failure_of_its_class_with_its_words_and_cost() {
    let usage = json!({"prompt_tokens": 5, "completion_tokens": 1});
    let begun = json!({"choices": [{"index": 0, "delta": {"content": "so"}}], "usage": usage});
    for (error, class) in [
        (
            json!({"error": {"message": "why", "type": "server_error", "code": null}}),
            FailureClass::Unavailable,
        ),
        (json!({"error": "why"}), FailureClass::Unavailable),
        (json!({"error": {"message": "why", "code": 503}}), FailureClass::Unavailable),
        (json!({"error": {"message": "why", "type": "BadRequestError", "code": 400}}), FailureClass::Invalid),
        (
            json!({"object": "error", "message": "why", "type": "BadRequestError", "code": 400}),
            FailureClass::Invalid,
        ),
        (json!({"error": {"message": "why", "code": "context_length_exceeded"}}), FailureClass::Invalid),
        (json!({"error": {"message": "why", "type": "insufficient_quota"}}), FailureClass::Billing),
        (json!({"error": {"message": "why", "code": "rate_limit_exceeded"}}), FailureClass::RateLimited),
        (
            json!({"error": {"message": "why", "code": 429}, "choices": [{"delta": {}, "finish_reason": "error"}]}),
            FailureClass::RateLimited,
        ),
    ] {
        let failed = heard(frames(&[begun.clone(), error.clone()])).await.0;
        let message = "The model provider failed in the middle of its answer: why.".to_owned();
        let tokens = Tokens { input: 5, output: 1, ..Tokens::default() };
        assert_eq!(failed, Err(Failure { class, message, retry_after: None, tokens }), "{error}");
    }
    let garbled = heard("data: {\"choices\": 7}\n\n".to_owned()).await.0.expect_err("a failure");
    assert_eq!(garbled.class, FailureClass::Cut);
}

#[tokio::test]
async fn each_form_of_refusal_has_its_class_and_holds_what_was_said() {
    use FailureClass::{Billing, Denied, Invalid, Overloaded, RateLimited, Unavailable};
    let at = "http://provider/v1";
    let openai = |kind: &str, code: &str| json!({"error": {"message": "Why.", "type": kind, "param": null, "code": code}});
    let denied = "The model provider does not accept the key in THE_KEY";
    for (status, body, class, sentence) in [
        (
            400,
            openai("invalid_request_error", "x"),
            Invalid,
            "The model provider refused the request (400): Why.".to_owned(),
        ),
        (
            400,
            openai("invalid_request_error", "context_length_exceeded"),
            Invalid,
            "The model provider refused the request (400): Why.".into(),
        ),
        (
            500,
            openai("exceed_context_size_error", ""),
            Invalid,
            "The model provider refused the request (500): Why.".into(),
        ),
        (401, openai("invalid_request_error", "invalid_api_key"), Denied, format!("{denied} (401): Why.")),
        (403, json!({"error": "Why."}), Denied, format!("{denied} (403): Why.")),
        (
            402,
            json!({"error": {"message": "Why."}}),
            Billing,
            "The account at the model provider cannot pay (402): Why.".into(),
        ),
        (
            429,
            openai("insufficient_quota", "insufficient_quota"),
            Billing,
            "The account at the model provider cannot pay (429): Why.".into(),
        ),
        (
            429,
            openai("requests", "rate_limit_exceeded"),
            RateLimited,
            "The model provider limits the rate of requests (429): Why.".into(),
        ),
        (
            404,
            openai("invalid_request_error", "model_not_found"),
            Invalid,
            format!("{at} does not know the model `chat-test`, to which the route chat-* leads (404): Why."),
        ),
        (
            404,
            json!("404 page not found"),
            Invalid,
            format!(
                "{at} does not know the model `chat-test`, to which the route chat-* leads (404): 404 page not found."
            ),
        ),
        (
            404,
            json!({}),
            Invalid,
            format!("There is no such API at {at} (404): check the base URL of the route chat-*."),
        ),
        (413, json!({}), Invalid, "The model provider refused the request (413).".into()),
        (
            422,
            json!({"detail": [{"loc": ["body"], "msg": "Why"}, {"msg": "And how"}]}),
            Invalid,
            "The model provider refused the request (422): Why; And how.".into(),
        ),
        (
            500,
            json!({"detail": "Why."}),
            Unavailable,
            format!("The model provider at {at} failed (500): Why."),
        ),
        (
            503,
            json!({"object": "error", "message": "Why.", "code": 503}),
            Unavailable,
            format!("The model provider at {at} failed (503): Why."),
        ),
        (
            529,
            json!({"error": {"code": 529, "message": "Why."}}),
            Overloaded,
            "The model provider is overloaded (529): Why.".into(),
        ),
    ] {
        assert_eq!(refused(status, body.clone()).await, (class, sentence), "{status} {body}");
    }
    let (_, leaked) = refused(401, json!({"error": {"message": "bad key: secret"}})).await;
    assert!(!leaked.contains("secret"), "{leaked}");
}

#[tokio::test]
async fn a_rate_limit_says_when_to_come_back() {
    let body = json!({"error": {"message": "slow", "code": "rate_limit_exceeded"}});
    let provider = Fake::failing(429, &[("retry-after", "7")], body).await;
    let failure = ask(&models(&provider.base_url)).await.0.expect_err("a failure");
    assert_eq!(
        (failure.class, failure.retry_after),
        (FailureClass::RateLimited, Some(Duration::from_secs(7)))
    );
}

#[tokio::test]
async fn who_wants_the_bound_by_its_new_name_is_asked_once_more_and_nobody_else() {
    let refusal = "Unsupported parameter: 'max_tokens' is not supported with this model. \
                   Use 'max_completion_tokens' instead.";
    let body = json!({"error": {"message": refusal, "type": "invalid_request_error", "param": "max_tokens",
        "code": "unsupported_parameter"}});
    let strict = Fake::start(move |seen| {
        if seen.body.get("max_tokens").is_none() {
            return streamed(frames(&[delta(json!({"content": "hi"})), finish("stop")]));
        }
        Response::builder().status(400).body(Body::from(body.to_string())).expect("a response")
    })
    .await;
    assert_eq!(ask(&models(&strict.base_url)).await.0.map(|answer| answer.blocks), Ok(vec![said("hi")]));
    let bounds: Vec<[Option<u64>; 2]> = strict
        .seen()
        .iter()
        .map(|seen| ["max_tokens", "max_completion_tokens"].map(|field| seen.body.get(field)?.as_u64()))
        .collect();
    assert_eq!(bounds, [[Some(8192), None], [None, Some(8192)]]);

    let stubborn = Fake::failing(400, &[], json!({"error": {"message": "no max_completion_tokens"}})).await;
    let failure = ask(&models(&stubborn.base_url)).await.0.expect_err("a failure");
    assert_eq!(
        (failure.class, stubborn.seen().len()),
        (FailureClass::Invalid, 2),
        "asked twice, not for ever"
    );
    let other = Fake::failing(400, &[], json!({"error": {"message": "max_tokens is too large"}})).await;
    let failure = ask(&models(&other.base_url)).await.0.expect_err("a failure");
    assert_eq!((failure.class, other.seen().len()), (FailureClass::Invalid, 1));
}

#[tokio::test]
async fn a_connection_that_breaks_off_is_cut_and_one_that_stays_open_after_the_end_is_not() {
    let words = format!("data: {}\n\n", delta(json!({"content": "hel"})));
    let broken = Fake::start(move |_| {
        let begun = stream::iter([Ok(words.clone())]);
        let broken = futures_util::StreamExt::chain(
            begun,
            stream::once(async {
                tokio::task::yield_now().await;
                Err(std::io::Error::from(std::io::ErrorKind::ConnectionAborted))
            }),
        );
        streamed(Body::from_stream(broken))
    })
    .await;
    let (failed, deltas) = ask(&models(&broken.base_url)).await;
    assert_eq!(failed.expect_err("a failure").class, FailureClass::Cut);
    assert_eq!(deltas.last(), Some(&text_delta(0, "hel")));
}

#[tokio::test]
async fn headers_of_a_route_go_with_every_request_of_either_wire() {
    for provider in [Provider::ChatCompletions, Provider::Messages] {
        let fake = Fake::failing(400, &[], json!({})).await;
        let headers = [("X-Tenant", "loom"), ("user-agent", "weaver/1"), ("x-tenant", "spare")];
        let headers = headers.map(|(name, value)| (name.to_owned(), value.to_owned())).to_vec();
        let models = models_of(Route { provider, headers, ..route(&fake.base_url) });
        ask(&models).await.0.expect_err("a failure");
        let seen = fake.seen().remove(0);
        let tenants: Vec<_> = seen.headers.get_all("x-tenant").iter().collect();
        assert_eq!(tenants, ["loom", "spare"]);
        assert_eq!(seen.header("user-agent"), Some("weaver/1"));
    }
}

#[test]
fn a_header_that_cannot_be_sent_or_is_ours_is_a_mistake_in_the_settings() {
    let made = |name: &str, value: &str| {
        let headers = vec![(name.to_owned(), value.to_owned())];
        let route = Route { headers, ..route("http://provider") };
        Models::new(Routes(vec![route]), Keys::default(), direct()).map(|_| ())
    };
    assert_eq!(made("x-tenant", "loom"), Ok(()));
    for (name, value) in [("x tenant", "a"), ("", "a"), ("x-tenant", "a\nb")] {
        let pattern = "chat-*".to_owned();
        assert_eq!(made(name, value), Err(BuildError::Header { pattern, name: name.to_owned() }));
    }
    for name in ["Authorization", "x-api-key", "Content-Type", "content-length", "Host"] {
        let wrong = made(name, "a").expect_err("a mistake");
        let sentence =
            format!("the header `{name}` of route `chat-*` is set by heddle; a key belongs into `key`");
        assert_eq!(wrong.to_string(), sentence);
    }
}

#[tokio::test]
async fn the_input_of_a_call_keeps_the_order_of_its_keys() {
    let piece =
        json!([{"index": 0, "id": "t", "function": {"name": "look", "arguments": "{\"z\":1,\"a\":2}"}}]);
    let answer = answer(&[calls(piece), finish("tool_calls")]).await;
    let AnswerBlock::ToolUse { input: Some(input), .. } = &answer.blocks[0] else { panic!("a call") };
    let keys: Vec<&String> = Object::keys(input).collect();
    assert_eq!(keys, ["z", "a"]);
}
