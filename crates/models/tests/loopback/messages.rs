//! The Messages API on loopback: what goes over the wire, and what each answer becomes.

use std::{
    convert::Infallible,
    sync::{Arc, Mutex},
    time::Duration,
};

use axum::{
    body::{Body, Bytes},
    http::Response,
};
use futures_util::{StreamExt, future::select, stream};
use models::{BuildError, ModelClient, ProviderKeys, ProviderNet, ProviderProxy, RoutedModels};
use protocol::{
    Object,
    event::RefusalDetails,
    prompt::{
        AnswerBlock, AnswerDelta, AnswerOrigin, AnswerStop, DeltaKind, FailureClass, ModelAnswer,
        ModelFailure, OpaqueState,
    },
    routes::{ProviderKey, Route, RouteProvider, Routes},
    usage::RequestTokens,
};
use serde_json::{Value, json};
use tokio::{net::TcpListener, sync::oneshot};

use crate::provider::{Fake, Seen, direct, prompt, said, streamed};

fn frames(events: &[Value]) -> String {
    let frame =
        |event: &Value| format!("event: {}\ndata: {event}\n\n", event["type"].as_str().unwrap_or("x"));
    events.iter().map(frame).collect()
}

async fn streaming(events: Vec<Value>) -> Fake {
    Fake::start(move |_| streamed(frames(&events))).await
}

fn route(base_url: &str) -> Route {
    Route {
        provider: RouteProvider::Messages,
        base_url: base_url.to_owned(),
        key: Some(ProviderKey::Variable("THE_KEY".to_owned())),
        window: 200_000,
        window_known: true,
        max_output: 32_000,
        ..Route::script("claude-*")
    }
}

fn models(base_url: &str) -> RoutedModels {
    let keys = ProviderKeys::from_iter([("THE_KEY".to_owned(), "secret".to_owned())]);
    RoutedModels::new(Routes(vec![route(base_url)]), keys, direct()).expect("good settings")
}

async fn ask(oracle: &dyn ModelClient) -> (Result<ModelAnswer, ModelFailure>, Vec<AnswerDelta>) {
    let mut deltas = Vec::new();
    let answer = oracle.ask(&prompt("claude-test"), &mut |delta| deltas.push(delta)).await;
    (answer, deltas)
}

async fn failed(oracle: &dyn ModelClient) -> ModelFailure {
    ask(oracle).await.0.expect_err("a failure")
}

fn opening(usage: Value) -> Value {
    let message = json!({"id": "msg_1", "role": "assistant", "content": [], "usage": usage});
    json!({"type": "message_start", "message": message})
}

fn block(index: usize, begin: Value, deltas: Vec<Value>) -> Vec<Value> {
    let mut events = vec![json!({"type": "content_block_start", "index": index, "content_block": begin})];
    let piece = |delta| json!({"type": "content_block_delta", "index": index, "delta": delta});
    events.extend(deltas.into_iter().map(piece));
    events.push(json!({"type": "content_block_stop", "index": index}));
    events
}

fn text(index: usize, pieces: &[&str]) -> Vec<Value> {
    let deltas = pieces.iter().map(|piece| json!({"type": "text_delta", "text": piece})).collect();
    block(index, json!({"type": "text", "text": ""}), deltas)
}

fn ending(delta: Value, output: u64) -> Vec<Value> {
    let end = json!({"type": "message_delta", "delta": delta, "usage": {"output_tokens": output}});
    vec![end, json!({"type": "message_stop"})]
}

fn plain() -> Vec<Value> {
    let start = opening(json!({"input_tokens": 3, "output_tokens": 1}));
    [vec![start], text(0, &["hel", "lo"]), ending(json!({"stop_reason": "end_turn"}), 2)].concat()
}

#[tokio::test]
async fn a_plain_answer_comes_piece_by_piece_over_one_connection_that_is_used_again() {
    let provider = streaming(plain()).await;
    let models = models(&format!("{}/", provider.base_url));
    let tokens = RequestTokens { input: 3, output: 2, ..RequestTokens::default() };
    let answer = ModelAnswer { blocks: vec![said("hello")], stop: AnswerStop::EndTurn, tokens, opaque: None };
    let deltas = vec![
        AnswerDelta::Start { index: 0, kind: DeltaKind::Text },
        AnswerDelta::Text { index: 0, text: "hel".to_owned() },
        AnswerDelta::Text { index: 0, text: "lo".to_owned() },
    ];
    assert_eq!(ask(&models).await, (Ok(answer.clone()), deltas.clone()));
    assert_eq!(ask(&models).await, (Ok(answer), deltas));
    let [seen, again] = <[Seen; 2]>::try_from(provider.seen()).expect("two requests");
    assert_eq!(seen.peer, again.peer);
    assert_eq!(seen.uri, "/v1/messages");
    assert_eq!(seen.header("x-api-key"), Some("secret"));
    assert_eq!(seen.header("anthropic-version"), Some("2023-06-01"));
    assert_eq!(seen.header("content-type"), Some("application/json"));
    let mark = json!({"type": "ephemeral"});
    assert_eq!(
        seen.body,
        json!({"model": "claude-test", "max_tokens": 32000, "stream": true, "messages": [
            {"role": "user", "content": [{"type": "text", "text": "hi", "cache_control": mark}]}]})
    );
}

#[tokio::test]
async fn thinking_a_call_and_cached_tokens_are_kept() {
    let usage = json!({"input_tokens": 3, "output_tokens": 1, "cache_read_input_tokens": 7,
        "cache_creation_input_tokens": 9,
        "cache_creation": {"ephemeral_5m_input_tokens": 4, "ephemeral_1h_input_tokens": 5}});
    let thought = vec![
        json!({"type": "thinking_delta", "thinking": "hm"}),
        json!({"type": "signature_delta", "signature": "sig"}),
    ];
    let input = vec![
        json!({"type": "input_json_delta", "partial_json": "{\"path\": \"a"}),
        json!({"type": "input_json_delta", "partial_json": ".md\"}"}),
    ];
    let events = [
        vec![opening(usage)],
        block(0, json!({"type": "thinking", "thinking": "", "signature": ""}), thought),
        block(1, json!({"type": "tool_use", "id": "toolu_1", "name": "look", "input": {}}), input),
        ending(json!({"stop_reason": "tool_use"}), 11),
    ];
    let provider = streaming(events.concat()).await;
    let raw = json!({"type": "thinking", "thinking": "hm", "signature": "sig"});
    let input = Object::from_iter([("path".to_owned(), json!("a.md"))]);
    let answer = ModelAnswer {
        blocks: vec![
            AnswerBlock::Thinking { raw },
            AnswerBlock::ToolUse { id: "toolu_1".to_owned(), name: "look".to_owned(), input: Some(input) },
        ],
        stop: AnswerStop::ToolUse,
        tokens: RequestTokens { input: 3, output: 11, cache_read: 7, cache_write_5m: 4, cache_write_1h: 5 },
        // Only who gave the thinking can read it.
        opaque: Some(OpaqueState { from: AnswerOrigin::of(&route("")), beside: vec![] }),
    };
    let deltas = vec![
        AnswerDelta::Start { index: 0, kind: DeltaKind::Thinking },
        AnswerDelta::Start { index: 1, kind: DeltaKind::ToolUse },
    ];
    assert_eq!(ask(&models(&provider.base_url)).await, (Ok(answer), deltas));
}

#[tokio::test]
async fn a_refusal_and_a_call_cut_off_at_the_limit_are_answers() {
    let details = json!({"type": "refusal", "category": "cyber", "explanation": "no"});
    let refusal = json!({"stop_reason": "refusal", "stop_details": details});
    let provider = streaming([text(0, &["I can"]), ending(refusal, 2)].concat()).await;
    let (answer, _) = ask(&models(&provider.base_url)).await;
    let details = RefusalDetails { category: Some("cyber".to_owned()), explanation: Some("no".to_owned()) };
    let tokens = RequestTokens { output: 2, ..RequestTokens::default() };
    assert_eq!(
        answer,
        Ok(ModelAnswer {
            blocks: vec![said("I can")],
            stop: AnswerStop::Refusal(details),
            tokens,
            opaque: None
        })
    );

    let cut = vec![json!({"type": "input_json_delta", "partial_json": "{\"path\": \"a"})];
    let call = block(0, json!({"type": "tool_use", "id": "t", "name": "look", "input": {}}), cut);
    let provider = streaming([call, ending(json!({"stop_reason": "max_tokens"}), 2)].concat()).await;
    let (answer, _) = ask(&models(&provider.base_url)).await;
    let blocks = vec![AnswerBlock::ToolUse { id: "t".to_owned(), name: "look".to_owned(), input: None }];
    assert_eq!(answer, Ok(ModelAnswer { blocks, stop: AnswerStop::MaxTokens, tokens, opaque: None }));
}

#[tokio::test]
async fn an_overloaded_provider_says_when_to_come_back() {
    let body = json!({"type": "error", "error": {"type": "overloaded_error", "message": "Overloaded"}});
    let provider = Fake::failing(529, &[("retry-after", "7")], body).await;
    let message = "The model provider is overloaded (529): Overloaded.".to_owned();
    let retry_after = Some(Duration::from_secs(7));
    let tokens = RequestTokens::default();
    let failure = ModelFailure {
        class: FailureClass::Overloaded,
        status: Some(529),
        message,
        retry_after,
        tokens,
        spots: Vec::new(),
    };
    assert_eq!(failed(&models(&provider.base_url)).await, failure);
}

#[tokio::test]
async fn a_key_that_is_not_accepted_is_named_by_its_variable_and_never_shown() {
    let body =
        json!({"type": "error", "error": {"type": "authentication_error", "message": "bad key secret"}});
    let provider = Fake::failing(401, &[], body).await;
    let models = models(&provider.base_url);
    let message = "The model provider does not accept the key in THE_KEY (401): bad key ….".to_owned();
    let tokens = RequestTokens::default();
    let failure = ModelFailure {
        class: FailureClass::Denied,
        status: Some(401),
        message,
        retry_after: None,
        tokens,
        spots: Vec::new(),
    };
    assert_eq!(failed(&models).await, failure);
    assert!(!format!("{models:?}").contains("secret"), "{models:?}");
}

#[tokio::test]
async fn without_a_key_no_request_is_sent() {
    let provider = streaming(plain()).await;
    let routes = Routes(vec![route(&provider.base_url)]);
    let models = RoutedModels::new(routes, ProviderKeys::default(), direct()).expect("good settings");
    let message =
        "No key for claude-*: the variable THE_KEY is not set: set it in the server's environment and \
                   start it again."
            .to_owned();
    let tokens = RequestTokens::default();
    let failure = ModelFailure {
        class: FailureClass::Denied,
        status: None,
        message,
        retry_after: None,
        tokens,
        spots: Vec::new(),
    };
    assert_eq!(failed(&models).await, failure);
    assert_eq!(provider.seen().len(), 0);
}

#[tokio::test]
async fn a_route_without_a_key_sends_none() {
    let provider = streaming(plain()).await;
    let routes = Routes(vec![Route { key: None, ..route(&provider.base_url) }]);
    let models = RoutedModels::new(routes, ProviderKeys::default(), direct()).expect("good settings");
    assert_eq!(ask(&models).await.0.map(|answer| answer.stop), Ok(AnswerStop::EndTurn));
    assert!(!provider.seen().remove(0).headers.contains_key("x-api-key"));
}

#[tokio::test]
async fn a_stream_that_breaks_off_is_cut_and_keeps_its_cost() {
    let provider = Fake::start(|_| {
        let begun = frames(&[vec![opening(json!({"input_tokens": 3}))], text(0, &["hel"])].concat());
        let broken = stream::iter([Ok(Bytes::from(begun))]).chain(stream::once(async {
            tokio::task::yield_now().await;
            Err(std::io::Error::from(std::io::ErrorKind::ConnectionAborted))
        }));
        Response::new(Body::from_stream(broken))
    })
    .await;
    let (outcome, deltas) = ask(&models(&provider.base_url)).await;
    let message = "The model's stream ended in the middle.".to_owned();
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
    assert_eq!(deltas.last(), Some(&AnswerDelta::Text { index: 0, text: "hel".to_owned() }));
}

#[tokio::test]
async fn a_redirect_is_not_followed() {
    let elsewhere = streaming(plain()).await;
    let to = elsewhere.base_url.clone();
    let provider = Fake::start(move |_| {
        Response::builder().status(307).header("location", &to).body(Body::empty()).expect("a response")
    })
    .await;
    let failure = failed(&models(&provider.base_url)).await;
    assert_eq!(failure.class, FailureClass::NoRoute);
    assert!(failure.message.contains("redirect (307), which is not followed"), "{failure}");
    assert_eq!(elsewhere.seen().len(), 0);
}

#[tokio::test]
async fn a_provider_that_is_not_there_is_unavailable_by_name_without_its_password() {
    let listener = TcpListener::bind("127.0.0.1:0").await.expect("a free port");
    let address = listener.local_addr().expect("an address");
    drop(listener);
    let failure = failed(&models(&format!("http://me:password@{address}"))).await;
    assert_eq!(failure.class, FailureClass::Unavailable);
    let begin = format!("The model provider at http://{address} cannot be reached");
    assert!(failure.message.starts_with(&begin) && !failure.message.contains("password"), "{failure}");
}

#[tokio::test]
async fn a_model_without_a_route_is_refused_and_the_table_named() {
    let models = models("http://127.0.0.1:9");
    let outcome = models.ask(&prompt("gpt-9"), &mut |_| {}).await;
    let message = "No route leads to the model `gpt-9`; there are routes for: claude-*.".to_owned();
    let tokens = RequestTokens::default();
    assert_eq!(
        outcome,
        Err(ModelFailure {
            class: FailureClass::NoRoute,
            status: None,
            message,
            retry_after: None,
            tokens,
            spots: Vec::new()
        })
    );
}

#[tokio::test]
async fn a_proxy_carries_the_request() {
    let proxy = streaming(plain()).await;
    let keys = ProviderKeys::from_iter([("THE_KEY".to_owned(), "secret".to_owned())]);
    let net = ProviderNet { extra_ca_pem: None, proxy: ProviderProxy::At(proxy.base_url.clone()) };
    let routes = Routes(vec![route("http://provider.invalid")]);
    let models = RoutedModels::new(routes, keys, net).expect("good settings");
    assert_eq!(ask(&models).await.0.map(|answer| answer.stop), Ok(AnswerStop::EndTurn));
    assert_eq!(proxy.seen().remove(0).uri, "http://provider.invalid/v1/messages");
}

#[tokio::test]
async fn dropping_the_question_hangs_up() {
    let (gone, hung_up) = oneshot::channel::<()>();
    let gone = Arc::new(Mutex::new(Some(gone)));
    let provider = Fake::start(move |_| {
        let held = gone.lock().expect("no panic").take();
        let begun = frames(&[vec![opening(json!({}))], text(0, &["hel"])].concat());
        let endless = stream::iter([Ok::<_, Infallible>(Bytes::from(begun))]).chain(stream::pending());
        // `held` is dropped with the body, and the body with the connection.
        Response::new(Body::from_stream(endless.inspect(move |_| {
            let _ = &held;
        })))
    })
    .await;
    let models = models(&provider.base_url);
    let prompt = prompt("claude-test");
    let (heard, first) = oneshot::channel();
    let mut heard = Some(heard);
    let mut deltas = move |_| {
        if let Some(heard) = heard.take() {
            heard.send(()).expect("the test listens");
        }
    };
    // Dropped as soon as the first piece was heard: the answer has begun.
    drop(select(models.ask(&prompt, &mut deltas), first).await);
    assert!(hung_up.await.is_err(), "the sender is dropped without a word");
}

#[test]
fn mistakes_in_the_settings_are_found_before_the_first_request() {
    let made = |base_url: &str, net: ProviderNet| {
        RoutedModels::new(Routes(vec![route(base_url)]), ProviderKeys::default(), net)
            .map(|_| ())
            .expect_err("a mistake")
    };
    let pattern = "claude-*".to_owned();
    assert_eq!(made("provider", direct()), BuildError::BaseUrl { pattern: pattern.clone() });
    assert_eq!(made("ftp://provider", direct()), BuildError::BaseUrl { pattern });
    let proxy =
        ProviderNet { extra_ca_pem: None, proxy: ProviderProxy::At("http://me:pass word@".to_owned()) };
    assert_eq!(made("http://provider", proxy), BuildError::Proxy);
    let ca = ProviderNet { extra_ca_pem: Some(b"no certificate".to_vec()), proxy: ProviderProxy::Direct };
    assert_eq!(made("http://provider", ca), BuildError::ExtraCa);
}

#[tokio::test(start_paused = true)]
async fn the_built_in_script_needs_neither_key_nor_network() {
    let script = Route::script("heddle-demo");
    let models =
        RoutedModels::new(Routes(vec![script]), ProviderKeys::default(), direct()).expect("good settings");
    let answer = models.ask(&prompt("heddle-demo"), &mut |_| {}).await;
    let text = "I am heddle-demo, a built-in script and not a language model. \
                Your message has 1 line, 1 word and 2 characters. It begins: “hi”";
    assert_eq!(answer.map(|answer| answer.blocks), Ok(vec![said(text)]));
}

#[tokio::test(start_paused = true)]
async fn a_provider_that_only_pings_for_ever_is_given_up() {
    let fake = Fake::start(move |_| {
        let ping = |()| async {
            tokio::time::sleep(Duration::from_mins(1)).await;
            Ok::<_, Infallible>(Bytes::from_static(b"event: ping\ndata: {\"type\": \"ping\"}\n\n"))
        };
        streamed(Body::from_stream(stream::repeat(()).then(ping)))
    })
    .await;
    let failure = failed(&models(&fake.base_url)).await;
    assert_eq!(failure.class, FailureClass::Cut);
    assert!(failure.message.contains("nothing of an answer for 600 seconds"), "{failure:?}");
}
