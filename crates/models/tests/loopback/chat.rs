//! Chat completions on loopback: what goes over the wire, and what each server's stream becomes.

use axum::body::Body;
use futures_util::stream;
use models::{BuildError, ModelClient, ProviderKeys, RoutedModels};
use protocol::{
    Object,
    event::RefusalDetails,
    prompt::{
        AnswerBlock, AnswerDelta, AnswerOrigin, AnswerStop, DeltaKind, FailureClass, ModelAnswer,
        ModelFailure, OpaqueState, ProviderMember,
    },
    routes::{ProviderKey, Route, RouteProvider, Routes},
    usage::RequestTokens,
};
use serde_json::{Value, json};

use crate::provider::{Fake, direct, prompt, said, streamed};

pub(crate) fn route(base_url: &str) -> Route {
    Route {
        provider: RouteProvider::ChatCompletions,
        base_url: format!("{base_url}/v1"),
        key: Some(ProviderKey::Variable("THE_KEY".to_owned())),
        ..Route::script("chat-*")
    }
}

fn models_of(route: Route) -> RoutedModels {
    let keys = ProviderKeys::from_iter([("THE_KEY".to_owned(), "secret".to_owned())]);
    RoutedModels::new(Routes(vec![route]), keys, direct()).expect("good settings")
}

pub(crate) fn models(base_url: &str) -> RoutedModels {
    models_of(route(base_url))
}

/// A stream of these chunks, each a frame, and the last word.
pub(crate) fn frames(chunks: &[Value]) -> String {
    let chunks = chunks.iter().map(Value::to_string).chain(["[DONE]".to_owned()]);
    chunks.flat_map(|data| ["data: ".to_owned(), data, "\n\n".to_owned()]).collect()
}

fn choice(delta: Value, finish_reason: Value) -> Value {
    let choice = json!({"index": 0, "delta": delta, "finish_reason": finish_reason});
    json!({"object": "chat.completion.chunk", "choices": [choice], "usage": null})
}

pub(crate) fn delta(delta: Value) -> Value {
    choice(delta, Value::Null)
}

pub(crate) fn finish(reason: &str) -> Value {
    choice(json!({}), json!(reason))
}

/// A piece of a call, without what is empty.
fn piece(index: Option<u64>, id: &str, name: &str, arguments: impl Into<Value>) -> Value {
    let mut piece = json!({"function": {"arguments": arguments.into()}});
    if let Some(index) = index {
        piece["index"] = json!(index);
    }
    if !id.is_empty() {
        piece["id"] = json!(id);
    }
    if !name.is_empty() {
        piece["function"]["name"] = json!(name);
    }
    piece
}

/// A chunk with these pieces of calls.
fn calls(pieces: impl Into<Value>) -> Value {
    let pieces: Value = pieces.into();
    delta(json!({"tool_calls": pieces}))
}

pub(crate) async fn ask(models: &RoutedModels) -> (Result<ModelAnswer, ModelFailure>, Vec<AnswerDelta>) {
    let mut deltas = Vec::new();
    let answer = models.ask(&prompt("chat-test"), &mut |delta| deltas.push(delta)).await;
    (answer, deltas)
}

/// What a stream becomes.
async fn heard(stream: String) -> (Result<ModelAnswer, ModelFailure>, Vec<AnswerDelta>) {
    let provider = Fake::start(move |_| streamed(stream.clone())).await;
    ask(&models(&provider.base_url)).await
}

/// What these chunks become.
async fn answer(chunks: &[Value]) -> ModelAnswer {
    heard(frames(chunks)).await.0.expect("an answer")
}

fn call(id: &str, name: &str, input: Option<Value>) -> AnswerBlock {
    let input = input.map(|input| input.as_object().expect("an object").clone());
    AnswerBlock::ToolUse { id: id.to_owned(), name: name.to_owned(), input }
}

/// Thinking whose text stands beside the answer.
fn thought() -> AnswerBlock {
    AnswerBlock::Thinking { raw: json!({"type": "reasoning"}) }
}

fn text_delta(index: usize, text: &str) -> AnswerDelta {
    AnswerDelta::Text { index, text: text.to_owned() }
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
    let tokens = RequestTokens { input: 3, output: 2, cache_read: 7, ..RequestTokens::default() };
    let answer = ModelAnswer { blocks: vec![said("hello")], stop: AnswerStop::EndTurn, tokens, opaque: None };
    let deltas = vec![
        AnswerDelta::Start { index: 0, kind: DeltaKind::Text },
        text_delta(0, "hel"),
        text_delta(0, "lo"),
    ];
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
    type Own<'a> = &'a dyn Fn(&str, &str) -> ProviderMember<usize>;
    type Row = (Value, fn(Own<'_>) -> Vec<ProviderMember<usize>>);
    let rows: [Row; 3] = [
        (json!({"reasoning_content": "hm "}), |own| vec![own("reasoning_content", "\"\\nhm well\"")]),
        (json!({"reasoning": "hm ", "content": ""}), |own| {
            vec![own("reasoning_content", "\"\\n\""), own("reasoning", "\"hm well\"")]
        }),
        (json!({"reasoning": "hm ", "reasoning_content": "hm ", "content": null}), |own| {
            vec![own("reasoning_content", "\"\\nhm well\""), own("reasoning", "\"hm well\"")]
        }),
    ];
    for (fields, beside) in rows {
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
        let answer = answer.expect("an answer");
        assert_eq!(answer.blocks, [thought(), said("\n\nso")]);
        let own = |name: &str, json: &str| ProviderMember {
            call: None,
            name: name.to_owned(),
            json: json.to_owned(),
        };
        assert_eq!(
            answer.opaque,
            Some(OpaqueState { from: AnswerOrigin::of(&route("")), beside: beside(&own) })
        );
        let [first, second] = [DeltaKind::Thinking, DeltaKind::Text];
        let starts =
            [AnswerDelta::Start { index: 0, kind: first }, AnswerDelta::Start { index: 1, kind: second }];
        assert_eq!(deltas, [&starts[..], &[text_delta(1, "\n\nso")]].concat());
    }
}

#[tokio::test]
async fn several_calls_are_put_together_by_their_index() {
    let chunks = [
        delta(json!({"content": "Look."})),
        calls([piece(Some(0), "a", "look", "")]),
        calls([piece(Some(1), "b", "list", "")]),
        calls([piece(Some(0), "", "", "{\"word\":"), piece(Some(1), "", "", "{\"n\"")]),
        calls([piece(Some(1), "", "", ":2}")]),
        calls([piece(Some(0), "", "", "\"x\"}")]),
        finish("tool_calls"),
    ];
    let (answer, deltas) = heard(frames(&chunks)).await;
    let blocks = vec![
        said("Look."),
        call("a", "look", Some(json!({"word": "x"}))),
        call("b", "list", Some(json!({"n": 2}))),
    ];
    assert_eq!(
        answer,
        Ok(ModelAnswer { blocks, stop: AnswerStop::ToolUse, tokens: RequestTokens::default(), opaque: None })
    );
    let starts = [1, 2].map(|index| AnswerDelta::Start { index, kind: DeltaKind::ToolUse });
    assert_eq!(deltas[2..], starts);
}

/// What it is, the ids that the calls have in the end, and the pieces of each chunk.
type Shape = (&'static str, [&'static str; 2], Vec<Vec<Value>>);

/// The ways in which servers send `look({"a": 1})` and `look({"b": 2})`.
fn shapes() -> Vec<Shape> {
    let (a, b) = ("{\"a\":1}", "{\"b\":2}");
    let (x, y, none) = ("x", "y", "");
    let (given, minted) = ([x, y], ["call_0", "call_1"]);
    let second = || vec![piece(Some(1), y, "look", b)];
    vec![
        (
            "whole, in one chunk",
            given,
            vec![vec![piece(Some(0), x, "look", a), piece(Some(1), y, "look", b)]],
        ),
        (
            "under one index",
            given,
            vec![vec![piece(Some(0), x, "look", a)], vec![piece(Some(0), y, "look", b)]],
        ),
        (
            "under one index, without ids",
            minted,
            vec![vec![piece(Some(0), none, "look", a)], vec![piece(Some(0), none, "look", b)]],
        ),
        ("bare", minted, vec![vec![piece(None, none, "look", a), piece(None, none, "look", b)]]),
        (
            "with ids alone",
            given,
            vec![
                vec![piece(None, x, "look", "{\"a\"")],
                vec![piece(None, y, "look", b)],
                vec![piece(None, x, none, ":1}")],
            ],
        ),
        (
            "with objects",
            given,
            vec![vec![
                piece(Some(0), x, "look", json!({"a": 1})),
                piece(Some(1), y, "look", json!({"b": 2})),
            ]],
        ),
        (
            "id and name with every piece",
            given,
            ["{\"a\"", ":1", "}", ""]
                .map(|part| vec![piece(Some(0), x, "look", part)])
                .into_iter()
                .chain([second()])
                .collect(),
        ),
        (
            "another id with every piece",
            given,
            vec![vec![piece(Some(0), x, "look", "{\"a\"")], vec![piece(Some(0), "z", none, ":1}")], second()],
        ),
        (
            "white space after it is whole",
            given,
            vec![vec![piece(Some(0), x, "look", a)], vec![piece(Some(0), none, "look", "\n")], second()],
        ),
    ]
}

#[tokio::test]
async fn each_servers_way_to_send_two_calls_gives_the_same_two() {
    for (what, [x, y], pieces) in shapes() {
        let blocks = vec![call(x, "look", Some(json!({"a": 1}))), call(y, "look", Some(json!({"b": 2})))];
        for reason in ["tool_calls", "stop"] {
            let chunks = pieces.iter().map(|pieces| calls(pieces.clone())).chain([finish(reason)]);
            let answer = answer(&chunks.collect::<Vec<_>>()).await;
            assert_eq!((&answer.blocks, &answer.stop), (&blocks, &AnswerStop::ToolUse), "{what}, {reason}");
        }
    }
}

#[tokio::test]
async fn arguments_are_an_object_or_nothing() {
    let asked = async |arguments: Value, reason: &str| {
        answer(&[calls([piece(Some(0), "t", "look", arguments)]), finish(reason)]).await.blocks.remove(0)
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
    let whole = |stop| {
        Ok(ModelAnswer { blocks: vec![said("hi")], stop, tokens: RequestTokens::default(), opaque: None })
    };
    let together = json!({"choices": [{"index": 0, "delta": {"content": "hi"}, "finish_reason": "length"}]});
    assert_eq!(heard(frames(&[together])).await.0, whole(AnswerStop::MaxTokens));
    let words = delta(json!({"content": "hi"}));
    assert_eq!(heard(frames(core::slice::from_ref(&words))).await.0, whole(AnswerStop::EndTurn));
    let blank = json!({"choices": [{"delta": {"content": "hi"}, "finish_reason": ""}]});
    assert_eq!(heard(frames(&[blank, finish("stop")])).await.0, whole(AnswerStop::EndTurn));
    let undone = format!("data: {words}\n\ndata: {}\n\n", finish("stop"));
    assert_eq!(heard(undone).await.0, whole(AnswerStop::EndTurn));
    let message = "The model's stream ended in the middle.".to_owned();
    let cut = ModelFailure {
        class: FailureClass::Cut,
        status: None,
        message,
        retry_after: None,
        tokens: RequestTokens::default(),
        spots: Vec::new(),
    };
    assert_eq!(heard(format!("data: {words}\n\n")).await.0, Err(cut.clone()), "words without an end");
    assert_eq!(heard(frames(&[])).await.0, Err(cut), "an end without words");
}

#[tokio::test]
async fn the_cost_is_found_wherever_it_is_told() {
    let usage = json!({"prompt_tokens": 5, "completion_tokens": 2, "prompt_tokens_details": null});
    let tokens = RequestTokens { input: 5, output: 2, ..RequestTokens::default() };
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
        vec![json!({"usage": "novel"}), words.clone(), finish("stop"), json!({"usage": usage})],
        vec![words.clone(), last(("usage", usage.clone()))],
        vec![words.clone(), beside],
        vec![early, last(("usage", usage.clone()))],
    ] {
        assert_eq!(answer(&chunks).await.tokens, tokens, "{chunks:?}");
    }
    let cached =
        json!({"prompt_tokens": 5, "completion_tokens": 2, "prompt_tokens_details": {"cached_tokens": 9}});
    let more_than_all = RequestTokens { input: 0, output: 2, cache_read: 5, ..RequestTokens::default() };
    assert_eq!(answer(&[words.clone(), last(("usage", cached))]).await.tokens, more_than_all);
    assert_eq!(answer(&[words, finish("stop")]).await.tokens, RequestTokens::default(), "never told");
}

#[tokio::test]
async fn comments_other_answers_and_what_is_new_are_passed_over() {
    let chunks = [
        delta(json!({"content": "h", "novel": [1]})),
        json!({"choices": [{"index": 1, "delta": {"content": "other"}, "finish_reason": "stop"}]}),
        delta(json!({"content": [{"type": "text", "text": "i"}, {"type": "novel"}]})),
        json!({"choices": [{"index": null, "delta": null, "finish_reason": "stop"}]}),
    ];
    let beside = ": keep-alive\n\nevent: x\nid: 1\n";
    let stream = frames(&chunks).replace("data: ", &format!("{beside}data: "));
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
        (json!({"error": {"message": "why", "code": "context_length_exceeded"}}), FailureClass::Overflow),
        (json!({"error": {"message": "why", "type": "insufficient_quota"}}), FailureClass::Billing),
        (json!({"error": {"message": "why", "code": "rate_limit_exceeded"}}), FailureClass::RateLimited),
        (json!({"error": {"message": "why", "code": 429}, "choices": [{}]}), FailureClass::RateLimited),
    ] {
        let failed = heard(frames(&[begun.clone(), error.clone()])).await.0;
        let message = "The model provider failed in the middle of its answer: why.".to_owned();
        let tokens = RequestTokens { input: 5, output: 1, ..RequestTokens::default() };
        assert_eq!(
            failed,
            Err(ModelFailure { class, status: None, message, retry_after: None, tokens, spots: Vec::new() }),
            "{error}"
        );
    }
    let garbled = heard("data: {\"choices\": 7}\n\n".to_owned()).await.0.expect_err("a failure");
    assert_eq!(garbled.class, FailureClass::Cut);
}

#[tokio::test]
async fn a_connection_that_breaks_off_is_cut_after_what_came() {
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
    for provider in [RouteProvider::ChatCompletions, RouteProvider::Messages] {
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
        RoutedModels::new(Routes(vec![route]), ProviderKeys::default(), direct()).map(|_| ())
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
    let chunks = [calls([piece(Some(0), "t", "look", "{\"z\":1,\"a\":2}")]), finish("tool_calls")];
    let answer = answer(&chunks).await;
    let AnswerBlock::ToolUse { input: Some(input), .. } = &answer.blocks[0] else { panic!("a call") };
    let keys: Vec<&String> = Object::keys(input).collect();
    assert_eq!(keys, ["z", "a"]);
}
