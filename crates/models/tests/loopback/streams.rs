//! Streams that say the same as a good one in another way, on both wires: what does not carry the answer
//! cannot lose it.

use axum::body::Body;
use bytes::Bytes;
use futures_util::{StreamExt, stream};
use models::{ModelClient, ProviderKeys, RoutedModels};
use protocol::{
    limits::ANSWER_BYTES,
    prompt::{AnswerBlock, AnswerStop, FailureClass, ModelAnswer, ModelFailure},
    routes::{Route, RouteProvider, Routes},
};
use serde_json::{Value, json};

use crate::provider::{Fake, direct, prompt, said, streamed, user};

#[derive(Debug, Clone, Copy)]
enum Wire {
    Chat,
    Messages,
}
use Wire::{Chat, Messages};

fn models(wire: Wire, base_url: &str) -> RoutedModels {
    let (provider, base_url) = match wire {
        Chat => (RouteProvider::ChatCompletions, format!("{base_url}/v1")),
        Messages => (RouteProvider::Messages, base_url.to_owned()),
    };
    let routes = Routes(vec![Route { provider, base_url, ..Route::script("m") }]);
    RoutedModels::new(routes, ProviderKeys::default(), direct()).expect("good settings")
}

async fn heard(wire: Wire, body: impl Into<Bytes>) -> Result<ModelAnswer, ModelFailure> {
    let body: Bytes = body.into();
    let provider = Fake::start(move |_| streamed(body.clone())).await;
    models(wire, &provider.base_url).ask(&prompt("m"), &mut |_| {}).await
}

fn event(value: &Value) -> String {
    format!("event: {}\ndata: {value}\n\n", value["type"].as_str().unwrap_or_default())
}

fn chunk(delta: &Value, reason: Option<&str>) -> String {
    format!("data: {}\n\n", json!({"choices": [{"index": 0, "delta": delta, "finish_reason": reason}]}))
}

const DONE: &str = "data: [DONE]\n\n";

fn start() -> String {
    event(&json!({"type": "message_start", "message": {"usage": {"input_tokens": 5}}}))
}

fn text(text: &str) -> String {
    let begin =
        json!({"type": "content_block_start", "index": 0, "content_block": {"type": "text", "text": ""}});
    let piece =
        json!({"type": "content_block_delta", "index": 0, "delta": {"type": "text_delta", "text": text}});
    let stop = json!({"type": "content_block_stop", "index": 0});
    [begin, piece, stop].iter().map(event).collect()
}

fn ending(reason: &Value, usage: &Value) -> String {
    event(&json!({"type": "message_delta", "delta": {"stop_reason": reason}, "usage": usage}))
}

fn end() -> String {
    ending(&json!("end_turn"), &json!({"output_tokens": 2}))
}

fn stop() -> String {
    event(&json!({"type": "message_stop"}))
}

/// Raw data in a frame.
fn raw(data: &str) -> String {
    format!("data: {data}\n\n")
}

type Case = (&'static str, String);

fn bare(value: &Value) -> String {
    raw(&value.to_string())
}

fn over() -> String {
    chunk(&json!({}), Some("stop"))
}

fn hi() -> String {
    chunk(&json!({"content": "hi"}), None)
}

/// The same frames in other lines.
fn framed(good: &str) -> Vec<Case> {
    vec![
        ("returns and line feeds", good.replace('\n', "\r\n")),
        ("returns alone", good.replace('\n', "\r")),
        ("a mark at the start", format!("\u{feff}{good}")),
        ("no space behind data", good.replace("data: ", "data:")),
        ("no last line end", good.trim_end().to_owned()),
        (
            "comments and fields that nobody knows",
            good.replace("data: ", ": c\nid: 1\nretry: 9\nnovel: x\ndata: "),
        ),
        (
            "words between frames",
            good.replace("data: ", "data: keep-alive\n\ndata:\n\n: c\n\ndata: 7\n\ndata: "),
        ),
    ]
}

/// An answer of the Messages API whose members are of other kinds, or missing.
fn spoken() -> Vec<Case> {
    let whole = format!("{}{}{}{}", start(), text("hi"), end(), stop());
    let opened = |message: &Value| event(&json!({"type": "message_start", "message": message}));
    let costly = json!({"usage": {"input_tokens": "5", "cache_creation": {"ephemeral_5m_input_tokens": null},
        "server_tool_use": 3}});
    let again = ending(&Value::Null, &json!({}));
    let novel = "data: {\"type\":\"novel\",\"index\":null}\n\nevent: message_delta";
    let said = json!([{"type": "text", "text": "hi"}]);
    let one = json!({"type": "message", "content": said, "stop_reason": "end_turn",
        "usage": {"input_tokens": 5}});
    let typeless = "event: content_block_delta\ndata: {\"delta\":{\"text\":\"hi\"}}\n\nevent: message_delta\n\
                    data: {\"delta\":{\"stop_reason\":\"end_turn\"}}\n\nevent: message_stop\ndata: {}\n\n";
    let counted = ending(&json!("end_turn"), &json!({"output_tokens": 2.0}));
    vec![
        ("[DONE] for message_stop", format!("{}{}{}{DONE}", start(), text("hi"), end())),
        ("a reason, then the end of the body", format!("{}{}{}", start(), text("hi"), end())),
        ("no reason but an end", format!("{}{}{}", start(), text("hi"), stop())),
        ("a second end without a reason", format!("{}{}{}{again}{}", start(), text("hi"), end(), stop())),
        (
            "usage: null",
            format!(
                "{}{}{}{}",
                opened(&json!({"id": 7, "usage": null})),
                text("hi"),
                ending(&json!("end_turn"), &Value::Null),
                stop()
            ),
        ),
        ("nulls and texts in the cost", format!("{}{}{counted}{}", opened(&costly), text("hi"), stop())),
        ("no message at the start", format!("{}{}{}{}", opened(&Value::Null), text("hi"), end(), stop())),
        ("nothing at the start", format!("{}{}{}", text("hi"), end(), stop())),
        ("types in the events' names alone", typeless.to_owned()),
        ("indexes as texts", whole.replace("\"index\":0", "\"index\":\"0\"")),
        ("no indexes", whole.replace("\"index\":0,", "")),
        ("unknown events", whole.replace("event: message_delta", novel)),
        ("an answer in one piece", one.to_string()),
        ("one line end between frames", whole.replace("\n\n", "\n").replace("event: ", "id: ")),
    ]
}

/// An answer of chat completions whose members are of other kinds, or missing.
fn chatted() -> Vec<Case> {
    let (hi, over) = (hi(), over());
    let good = format!("{hi}{over}{DONE}");
    let odd = json!({"id": 7, "object": null, "created": "x", "usage": "none", "error": null, "choices": {
        "index": "0", "finish_reason": null, "logprobs": [],
        "delta": {"role": null, "content": "hi", "refusal": null, "tool_calls": null,
            "function_call": null, "reasoning": null, "reasoning_content": {}}}});
    let parts = json!({"content": ["h", {"type": "text", "text": "i"}, null, {"type": "novel"}]});
    let message = json!({"object": "chat.completion", "choices": [
        {"message": {"role": "assistant", "content": "hi"}, "finish_reason": "stop"}]});
    let twice = "{\"choices\":[{\"index\":0,\"index\":0,\"delta\":{\"content\":\"hi\",\"content\":\"hi\"}}]}";
    let numbers = "{\"choices\":[{\"delta\":{\"content\":\"hi\"},\"logprobs\":[-Infinity,NaN]}]}";
    let nothing = bare(&json!({"error": {}, "choices": null}));
    vec![
        ("no name before the data", good.replace("data: {", "{")),
        ("no [DONE]", format!("{hi}{over}")),
        ("no [DONE] and no last line end", format!("{hi}{}", over.trim_end())),
        ("[DONE] in quotes", format!("{hi}{over}data: \"[DONE]\"\n\n")),
        ("one line end between frames", good.replace("\n\n", "\n")),
        ("frames in lists", good.replace("data: {", "data: [{").replace("}]}\n", "}]}]\n")),
        ("members of other kinds", format!("{}{over}{DONE}", bare(&odd))),
        ("an error that is none", format!("{nothing}{hi}{over}{DONE}")),
        ("a key that is there twice", format!("{}{over}{DONE}", raw(twice))),
        ("numbers that are none", format!("{}{over}{DONE}", raw(numbers))),
        ("content in parts", format!("{}{over}{DONE}", chunk(&parts, None))),
        ("an answer in one piece", message.to_string()),
        (
            "an answer in one piece without a reason",
            message.to_string().replace(",\"finish_reason\":\"stop\"", ""),
        ),
        ("an answer in one piece of many lines", format!("{message:#}\n")),
        ("an answer in one piece within a stream", format!("{}{DONE}", bare(&message))),
        ("all of it once more at the end", format!("{hi}{}{DONE}", bare(&message))),
        (
            "its end only in the whole",
            format!("{}{}{DONE}", chunk(&json!({"content": "h"}), None), bare(&message)),
        ),
        ("[done]", format!("{hi}data: [done]\n\n")),
        ("a mark before each", good.replace("data: ", "data: \u{feff}")),
    ]
}

#[tokio::test]
async fn what_does_not_carry_the_answer_cannot_lose_it() {
    let good = format!("{}{}{DONE}", hi(), over());
    let whole = format!("{}{}{}{}", start(), text("hi"), end(), stop());
    let cases = [(Messages, spoken()), (Messages, framed(&whole)), (Chat, chatted()), (Chat, framed(&good))];
    for (wire, cases) in cases {
        for (what, body) in cases {
            let read = heard(wire, body).await.map(|answer| (answer.blocks, answer.stop));
            assert_eq!(read, Ok((vec![said("hi")], AnswerStop::EndTurn)), "{wire:?}: {what}");
        }
    }
}

#[tokio::test]
async fn characters_that_are_cut_or_broken_cost_no_more_than_themselves() {
    let piece = |text: &str| {
        let delta = format!("{{\"type\":\"text_delta\",\"text\":\"{text}\"}}");
        raw(&["{\"type\":\"content_block_delta\",\"index\":0,\"delta\":", &delta, "}"].concat())
    };
    let spoken = format!("{}{}{}{}{}", start(), piece("a\\ud83d"), piece("\\ude00b"), end(), stop());
    let content = |text: &str| raw(&format!("{{\"choices\":[{{\"delta\":{{\"content\":\"{text}\"}}}}]}}"));
    let over = chunk(&json!({}), Some("stop"));
    let chat = format!("{}{}{over}{DONE}", content("a\\ud83d"), content("\\ude00b"));
    for (wire, body) in [(Messages, spoken), (Chat, chat)] {
        let answer = heard(wire, body).await.map(|answer| answer.blocks);
        assert_eq!(answer, Ok(vec![said("a😀b")]), "{wire:?}");
    }
    let broken =
        [content("caf").trim_end_matches("\"}}]}\n\n").as_bytes(), b"\xff\"}}]}\n\n", over.as_bytes()]
            .concat();
    assert_eq!(heard(Chat, broken).await.map(|answer| answer.blocks), Ok(vec![said("caf\u{fffd}")]));
    let called = chunk(
        &json!({"tool_calls": [{"index": 0, "id": 7, "function": {"name": "look",
        "arguments": "{\"q\":\"\\ud83d"}}]}),
        None,
    );
    let more = chunk(&json!({"tool_calls": [{"index": 0, "function": {"arguments": "\\ude00\"}"}}]}), None);
    let answer = heard(Chat, format!("{called}{more}{over}{DONE}")).await.expect("an answer");
    let input = json!({"q": "😀"}).as_object().cloned();
    assert_eq!(answer.blocks, [AnswerBlock::ToolUse { id: "7".to_owned(), name: "look".to_owned(), input }]);
}

/// A body whose parts come one by one, and that then ends or breaks.
fn slow(parts: Vec<String>, end: Option<std::io::Error>) -> Body {
    let parts = stream::iter(parts).then(async |part| {
        tokio::task::yield_now().await;
        Ok(Bytes::from(part))
    });
    let end = end.map(|error| {
        stream::once(async move {
            tokio::task::yield_now().await;
            Err(error)
        })
    });
    match end {
        Some(end) => Body::from_stream(parts.chain(end)),
        None => Body::from_stream(parts),
    }
}

#[tokio::test]
async fn a_word_in_every_chunk_that_says_why_it_ends_is_no_end() {
    let all = |wire: Wire| match wire {
        Chat => vec![
            chunk(&json!({"content": "a"}), Some("stop")),
            chunk(&json!({"content": "b"}), Some("stop")),
            chunk(&json!({"content": "c"}), Some("stop")),
            DONE.to_owned(),
        ],
        Messages => {
            let more = |text: &str| {
                event(&json!({"type": "content_block_delta", "index": 0, "delta": {"text": text}}))
            };
            vec![start(), end(), more("a"), end(), more("b"), end(), more("c"), end(), stop()]
        }
    };
    for wire in [Chat, Messages] {
        let parts = all(wire);
        let ask = async |parts: Vec<String>, breaks: bool| {
            let provider = Fake::start(move |_| {
                let broken = breaks.then(|| std::io::Error::from(std::io::ErrorKind::ConnectionAborted));
                streamed(slow(parts.clone(), broken))
            })
            .await;
            models(wire, &provider.base_url).ask(&prompt("m"), &mut |_| {}).await
        };
        let whole = ask(parts.clone(), false).await.map(|answer| answer.blocks);
        assert_eq!(whole, Ok(vec![said("abc")]), "{wire:?}");
        let unended = parts[..parts.len() - 1].to_vec();
        let torn = ask(unended.clone(), true).await.map_err(|failure| failure.class);
        assert_eq!(torn, Err(FailureClass::Cut), "{wire:?}: a broken connection is no end");
        let ended = ask(unended, false).await.map(|answer| answer.blocks);
        assert_eq!(ended, Ok(vec![said("abc")]), "{wire:?}: the end of the body is one");
    }
}

#[tokio::test]
async fn an_answer_in_one_piece_may_be_as_large_as_any_and_half_of_one_is_not_quoted() {
    let whole = |bytes: usize| {
        let message = json!({"role": "assistant", "content": "y".repeat(bytes)});
        json!({"choices": [{"index": 0, "message": message, "finish_reason": "stop"}]}).to_string()
    };
    for bytes in [3_000_000, 5_000_000, 20_000_000] {
        let answer = heard(Chat, whole(bytes)).await.expect("an answer");
        assert_eq!(answer.blocks, [said(&"y".repeat(bytes))], "{bytes}");
    }
    let failure = heard(Chat, whole(ANSWER_BYTES)).await.expect_err("a failure");
    let message = format!("The model's answer is larger than {ANSWER_BYTES} bytes.");
    assert_eq!((failure.class, failure.message), (FailureClass::Unusable, message));
    let half = whole(5_000).replace('}', "");
    let failure = heard(Chat, half).await.expect_err("a failure");
    let message = "The model's stream ended in the middle.";
    assert_eq!((failure.class, failure.message.as_str()), (FailureClass::Cut, message));
}

#[tokio::test]
async fn a_compressed_answer_is_called_one() {
    for (status, class) in [(200, FailureClass::Unusable), (400, FailureClass::Invalid)] {
        let provider = Fake::failing(status, &[("content-encoding", "gzip")], json!("\u{1f}")).await;
        let failure = models(Chat, &provider.base_url).ask(&prompt("m"), &mut |_| {}).await;
        let failure = failure.expect_err("a failure");
        assert!(failure.message.contains("is compressed (gzip), which was not asked for"), "{failure}");
        assert_eq!(failure.class, class);
    }
}

#[tokio::test]
async fn a_body_that_is_no_stream_says_what_it_is() {
    for (body, class, words) in [
        (
            "<html><head><title>Open WebUI</title></head></html>",
            FailureClass::Unusable,
            "web page, not with a stream; check the base URL of the route m: Open WebUI.",
        ),
        ("upstream connect error\n", FailureClass::Cut, "ended in the middle: upstream connect error."),
        (
            "{\n  \"error\": {\n    \"code\": 401, \"message\": \"no key\"\n  }\n}\n",
            FailureClass::Denied,
            ": no key.",
        ),
        (
            "[{\"error\": {\"message\": \"why\", \"status\": \"INVALID_ARGUMENT\"}}]",
            FailureClass::Invalid,
            ": why.",
        ),
        (
            "data: {\"choices\":[]}\n\ndata: upstream gone\n\n",
            FailureClass::Cut,
            "ended in the middle: upstream gone.",
        ),
    ] {
        for wire in [Chat, Messages] {
            let failure = heard(wire, body).await.expect_err("a failure");
            assert_eq!(failure.class, class, "{wire:?}: {body}");
            assert!(failure.message.contains(words), "{wire:?}: {failure}");
        }
    }
}

#[tokio::test]
async fn half_an_answer_behind_which_something_failed_is_never_taken_for_a_whole_one() {
    let failing = |what: &str| format!("event: error\ndata: {what}\n\n");
    let odd = json!({"novel": "died"});
    let mut cases = vec![
        (failing("upstream died"), FailureClass::Unavailable, "upstream died"),
        (failing(""), FailureClass::Unavailable, "in the middle of its answer"),
        (failing("{\"message\":\"died\"}"), FailureClass::Unavailable, "died"),
        ("event: exception\ndata: died\n\n".to_owned(), FailureClass::Unavailable, "died"),
        (raw("upstream connect error"), FailureClass::Cut, "upstream connect error"),
        (bare(&odd), FailureClass::Cut, "in the middle"),
    ];
    for error in [
        json!({"detail": "died"}),
        json!({"statusCode": 503, "message": "died"}),
        json!({"type": "response.failed", "response": {"error": {"message": "died"}}}),
        json!({"base_resp": {"status_code": 1002, "status_msg": "died"}}),
        json!({"errors": [{"message": "died"}]}),
    ] {
        cases.push((bare(&error), FailureClass::Unavailable, "died"));
    }
    for (failed, class, words) in &cases {
        let chat = format!("{}{failed}{DONE}", hi());
        let spoken = format!("{}{}{failed}{}", start(), text("hi"), stop());
        for (wire, body) in [(Chat, chat), (Messages, spoken)] {
            let failure = heard(wire, body).await.expect_err(failed);
            assert_eq!(failure.class, *class, "{wire:?}: {failed}");
            assert!(failure.message.contains(words), "{wire:?}: {failure}");
        }
    }
    for error in [json!("died"), json!({"message": "died", "code": 500})] {
        let choice = json!({"choices": [{"index": 0, "delta": {}, "finish_reason": null, "error": error}]});
        let failure = heard(Chat, format!("{}{}{DONE}", hi(), bare(&choice))).await.expect_err("a failure");
        assert!(failure.message.contains("died"), "{failure}");
    }
    // What is odd and followed by more of the answer, or by its reason, was no end.
    for body in [
        format!("{}{}{DONE}", bare(&odd), hi()),
        format!("{}{}{}{DONE}", hi(), bare(&odd), over()),
        format!("{}{}{DONE}", hi(), raw("keep-alive")),
        format!("{}{DONE}", hi()),
    ] {
        assert_eq!(
            heard(Chat, body.clone()).await.map(|answer| answer.blocks),
            Ok(vec![said("hi")]),
            "{body}"
        );
    }
}

#[tokio::test]
async fn an_error_that_is_none_beside_an_answer_does_not_cost_it() {
    for fine in
        [json!({"code": 0, "message": ""}), json!({"code": 200, "message": "OK"}), json!("null"), json!(0)]
    {
        let choice = |delta: Value, reason: Value| {
            let choice = json!({"index": 0, "delta": delta, "finish_reason": reason, "error": fine});
            bare(&json!({"choices": [choice], "error": fine}))
        };
        let body = [choice(json!({"content": "hi"}), Value::Null), choice(json!({}), json!("stop"))].concat();
        let read = heard(Chat, format!("{body}{DONE}")).await.map(|answer| answer.blocks);
        assert_eq!(read, Ok(vec![said("hi")]), "{fine}");
    }
}

/// The key, and what a provider says that quotes it behind so many other characters.
const KEY: &str = "sk-0123456789abcdefghij";

fn quoting(form: &str, before: usize) -> String {
    let words = format!("{}{KEY} and more", "x".repeat(before));
    match form {
        "an error" => bare(&json!({"error": {"message": words}})),
        "words of an error" => format!("event: error\ndata: {words}\n\n"),
        "words" => raw(&words),
        "a page" => format!("<html><title>{words}</title></html>"),
        "lines" => words,
        _ => bare(
            &json!({"choices": [{"delta": {"content": "hi"}, "finish_reason": format!("{words}: error")}]}),
        ),
    }
}

#[tokio::test]
async fn no_failure_tells_any_part_of_the_key_wherever_it_is_cut() {
    for form in ["an error", "words of an error", "words", "a page", "lines", "a reason"] {
        let provider = Fake::start(move |seen| {
            let before = seen.body["messages"][0]["content"].as_str().and_then(|said| said.parse().ok());
            streamed(quoting(form, before.expect("a number")))
        })
        .await;
        let (provider_kind, base_url) = (RouteProvider::ChatCompletions, format!("{}/v1", provider.base_url));
        let key = Some(protocol::routes::ProviderKey::Variable("THE_KEY".to_owned()));
        let route = Route { provider: provider_kind, base_url, key, ..Route::script("m") };
        let keys = ProviderKeys::from_iter([("THE_KEY".to_owned(), KEY.to_owned())]);
        let models = RoutedModels::new(Routes(vec![route]), keys, direct()).expect("good settings");
        for before in (470..505).chain(100..130) {
            let mut prompt = prompt("m");
            prompt.messages = vec![std::sync::Arc::new(user(&before.to_string()))];
            let failure = models.ask(&prompt, &mut |_| {}).await.expect_err("a failure");
            assert!(!failure.message.contains("sk-"), "{form}, {before}: {failure}");
            assert!(!failure.message.ends_with("xsk") && !failure.message.contains("xsk…"), "{failure}");
        }
    }
}

#[tokio::test]
async fn a_word_that_stands_for_a_failure_is_one_on_both_wires() {
    for (word, class) in [
        ("network_error", FailureClass::Cut),
        ("error", FailureClass::Cut),
        ("insufficient_system_resource", FailureClass::Overloaded),
        ("model_context_window_exceeded", FailureClass::Overflow),
    ] {
        let chat = format!("{}{DONE}", chunk(&json!({"content": "so"}), Some(word)));
        let spoken = format!("{}{}{}{}", start(), text("so"), ending(&json!(word), &json!({})), stop());
        for (wire, body) in [(Chat, chat), (Messages, spoken)] {
            let failed = heard(wire, body).await.map_err(|failure| failure.class);
            assert_eq!(failed, Err(class), "{wire:?}: {word}");
        }
    }
    let native = raw(&json!({"choices": [{"delta": {"content": ""}, "finish_reason": "stop",
        "native_finish_reason": "network_error"}]})
    .to_string());
    let failed = heard(Chat, format!("{native}{DONE}")).await.map_err(|failure| failure.class);
    assert_eq!(failed, Err(FailureClass::Cut));
}
