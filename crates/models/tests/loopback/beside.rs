//! What a provider puts beside its answers: kept as it was written, and given back where it stood.

use std::sync::Arc;

use models::{ModelClient, ProviderKeys, RoutedModels};
use protocol::{
    limits::{BESIDE_BYTES, BODY_DEPTH},
    prompt::{AnswerBlock, AnswerOrigin, ModelAnswer, OpaqueState, PromptMessage, ProviderMember},
    routes::{Route, RouteProvider, Routes},
};
use serde_json::{Value, json};

use crate::{
    chat::{delta, finish, frames, models, route},
    provider::{Fake, answered, direct, prompt, streamed, told, user},
};

fn beside(call: Option<usize>, name: &str, json: &str) -> ProviderMember<usize> {
    ProviderMember { call, name: name.to_owned(), json: json.to_owned() }
}

/// What an answer of these chunks has beside it.
async fn kept(chunks: String) -> Vec<ProviderMember<usize>> {
    let answer = answer(chunks).await;
    assert!(answer.opaque.as_ref().is_none_or(|opaque| opaque.from == AnswerOrigin::of(&route(""))));
    answer.opaque.map(|opaque| opaque.beside).unwrap_or_default()
}

async fn answer(stream: String) -> ModelAnswer {
    let provider = Fake::start(move |_| streamed(stream.clone())).await;
    models(&provider.base_url).ask(&prompt("chat-test"), &mut |_| {}).await.expect("an answer")
}

/// The frame of a chunk whose only choice has this delta, word for word.
fn frame(delta: &str) -> String {
    format!("data: {{\"choices\": [{{\"index\": 0, \"delta\": {delta}}}]}}\n\n")
}

fn end(reason: &str) -> String {
    frames(&[finish(reason)])
}

const CALL: &str = r#""function": {"name": "look", "arguments": "{}"}"#;
/// A value that is another once it was read and written again.
const ODD: &str = r#"{"n": [1.0, 2E+2,12345678901234567890123, -0.0], "a":"\u00e9\/", "a" : {"b":[[ ]]}}"#;

#[tokio::test]
async fn it_is_kept_word_for_word_wherever_its_call_is_in_the_answer() {
    let calls = frame(
        &format!(
            r#"{{"content": "so", "tool_calls": [{{"index": 0, "id": "a", {CALL}, "extra_content": null}},
        {{"index": 1, "id": "b", {CALL}, "extra_content": {ODD}, "unknown": {ODD}}}]}}"#
        )
        .replace('\n', " "),
    );
    let later =
        frame(r#"{"tool_calls": [{"index": 0, "extra_content": "late"}], "extra_content": {"no": "rule"}}"#);
    let whole = [calls, later, end("tool_calls")].concat();
    let own = vec![beside(Some(1), "extra_content", "\"late\""), beside(Some(2), "extra_content", ODD)];
    assert_eq!(kept(whole).await, own);
    // Some wrap each frame in a list, and some send all at once.
    let message =
        format!(r#"{{"content": null, "tool_calls": [{{"id": "a", {CALL}, "extra_content": {ODD}}}]}}"#);
    let choice = format!(r#"{{"choices": [{{"index": 1}}, {{"index": 0, "message": {message}}}]}}"#);
    for stream in [format!("data: [{{\"id\": 1}}, {choice}]\n\ndata: [DONE]\n\n"), choice] {
        assert_eq!(kept(stream).await, [beside(Some(0), "extra_content", ODD)]);
    }
}

#[tokio::test]
async fn pieces_become_what_they_were_made_of() {
    let details = |items: &str| frame(&format!("{{\"reasoning_details\": [{items}]}}"));
    let text = |more: &str| details(&format!(r#"{{"type":"reasoning.text", "index":0{more}}}"#));
    for (pieces, whole) in [
        // In one piece: as it is.
        (
            vec![text(r#", "text" : "a", "n": 1.0"#)],
            r#"[{"type":"reasoning.text", "index":0, "text" : "a", "n": 1.0}]"#,
        ),
        (
            vec![
                text(r#","text":"a","signature":null"#),
                text(r#","text":"é\n""#),
                text(r#","signature":"S","n":1.0"#),
            ],
            r#"[{"type":"reasoning.text","index":0,"text":"aé\n","signature":"S","n":1.0}]"#,
        ),
        // A new text behind a signature is another, whatever its index.
        (
            vec![text(r#","text":"a","signature":"S""#), text(r#","text":"b""#)],
            r#"[{"type":"reasoning.text", "index":0,"text":"a","signature":"S"},{"type":"reasoning.text", "index":0,"text":"b"}]"#,
        ),
        // What is ciphered comes whole.
        (
            vec![details(
                r#"{"type":"reasoning.encrypted","data":"A","index":0},{"type":"reasoning.encrypted","data":"B","index":0}"#,
            )],
            r#"[{"type":"reasoning.encrypted","data":"A","index":0},{"type":"reasoning.encrypted","data":"B","index":0}]"#,
        ),
        (
            vec![
                details(r#"{"type":"s","index":1,"summary":"a"}"#),
                details(r#"{"type":"s","index":2,"summary":"b"},7"#),
            ],
            r#"[{"type":"s","index":1,"summary":"a"},{"type":"s","index":2,"summary":"b"},7]"#,
        ),
    ] {
        let stream = [pieces.concat(), frame("{\"content\":\"ok\"}"), end("stop")].concat();
        assert_eq!(kept(stream).await, [beside(None, "reasoning_details", whole)]);
    }
}

#[tokio::test]
async fn what_comes_once_more_is_kept_once_and_what_says_nothing_takes_nothing_away() {
    let details = |items: &str| frame(&format!("{{\"reasoning_details\": [{items}]}}"));
    let text = |more: &str| details(&format!(r#"{{"type":"t","index":0{more}}}"#));
    let sealed = r#"{"type":"e","data":"A","index":1}"#;
    for (pieces, whole) in [
        (
            vec![
                text(r#","text":"Let""#),
                text(r#","text":"Let me""#),
                text(r#","text":"Let me see","signature":"S""#),
            ],
            r#"[{"type":"t","index":0,"text":"Let me see","signature":"S"}]"#,
        ),
        (
            vec![
                text(r#","text":"Let me""#),
                text(r#","text":" see","signature":"S""#),
                text(r#","signature":"""#),
                text(r#","text":"Let me see","signature":"S""#),
            ],
            r#"[{"type":"t","index":0,"text":"Let me see","signature":"S"}]"#,
        ),
        (vec![details(sealed), details(sealed)], r#"[{"type":"e","data":"A","index":1}]"#),
        (vec![text(r#","text":"ha""#), text(r#","text":"ha""#)], r#"[{"type":"t","index":0,"text":"haha"}]"#),
    ] {
        let stream = [pieces.concat(), frame("{\"content\":\"ok\"}"), end("stop")].concat();
        assert_eq!(kept(stream).await, [beside(None, "reasoning_details", whole)]);
    }
    let call = |members: &str| frame(&format!("{{\"tool_calls\": [{{\"index\": 0, {members}}}]}}"));
    let signed = call(&format!(r#""id": "a", {CALL}, "extra_content": {{"s":"S"}}"#));
    for later in ["{}", r#"{"s":""}"#, r#""""#, "[]", r#"{"s":"S"}"#] {
        let stream =
            [signed.clone(), call(&format!("\"extra_content\": {later}")), end("tool_calls")].concat();
        assert_eq!(kept(stream).await, [beside(Some(0), "extra_content", "{\"s\":\"S\"}")], "{later}");
    }
}

#[tokio::test]
async fn it_is_kept_in_each_form_and_goes_back_where_it_stood() {
    for (delta, name, json) in [
        (
            r#"{"reasoning_content":[{"type":"text","text":"hm"}]}"#,
            "reasoning_content",
            r#"[{"type":"text","text":"hm"}]"#,
        ),
        (r#"{"reasoning_content":{"text":"hm"}}"#, "reasoning_content", r#"{"text":"hm"}"#),
        (r#"{"reasoning_details":"hm"}"#, "reasoning_details", r#""hm""#),
    ] {
        let stream = [frame(delta), frame("{\"content\":\"ok\"}"), end("stop")].concat();
        assert_eq!(kept(stream).await, [beside(None, name, json)]);
    }
    let within = r#""function": {"name": "look", "arguments": "{}", "extra_content": {"s":"S"}}"#;
    let stream =
        [frame(&format!("{{\"tool_calls\": [{{\"id\": \"a\", {within}}}]}}")), end("tool_calls")].concat();
    let answer = answer(stream).await;
    let provider =
        Fake::start(|_| streamed(frames(&[delta(json!({"content": "ok"})), finish("stop")]))).await;
    let mut prompt = prompt("chat-test");
    prompt.messages = history(&[answer], &[""]);
    models(&provider.base_url).ask(&prompt, &mut |_| {}).await.expect("an answer");
    let call = provider.seen()[0].body["messages"][1]["tool_calls"][0].clone();
    let function = json!({"name": "look", "arguments": "{}", "extra_content": {"s": "S"}});
    assert_eq!(call, json!({"id": "a", "type": "function", "function": function}));
}

#[tokio::test]
async fn arguments_that_come_whole_again_with_each_piece_are_read_and_others_are_never_cut() {
    for (pieces, input) in [
        (vec![r#"{"q""#, r#"{"q":"x"#, r#"{"q":"x"}"#], Some(json!({"q": "x"}))),
        (vec![r#"{"q":"x""#, r#"{"q":"x"}"#, r#"{"q":"x"}"#], Some(json!({"q": "x"}))),
        (vec![r#"{"a":"#, r#"{"a":1}"#, "}"], Some(json!({"a": {"a": 1}}))),
        (vec![r#"{"a":"#, r#"{"a":1}}"#], Some(json!({"a": {"a": 1}}))),
        (vec![r#"{"q":"ha"#, "ha", "ha", r#""}"#], Some(json!({"q": "hahaha"}))),
        (vec![r#"{"n":1"#, "1", "11", "}"], Some(json!({"n": 1111}))),
        (vec![r#"{"q":"#, r#"{"q":"x"#], None),
    ] {
        let piece = |arguments: &&str| {
            let function = json!({"name": "", "arguments": arguments});
            delta(json!({"tool_calls": [{"index": 0, "function": function}]}))
        };
        let begin = delta(json!({"tool_calls": [{"index": 0, "id": "a", "function": {"name": "look"}}]}));
        let chunks = std::iter::once(begin).chain(pieces.iter().map(piece)).chain([finish("tool_calls")]);
        let answer = answer(frames(&chunks.collect::<Vec<_>>())).await;
        let call = AnswerBlock::ToolUse {
            id: "a".to_owned(),
            name: "look".to_owned(),
            input: input.as_ref().and_then(Value::as_object).cloned(),
        };
        assert_eq!(answer.blocks, [call], "{pieces:?}");
    }
}

#[tokio::test]
async fn more_than_the_bound_is_left_out_and_the_answer_stands() {
    let piece = |bytes: usize| delta(json!({"reasoning_content": "x".repeat(bytes)}));
    let signed = |bytes: usize| {
        let extra = json!({"s": "x".repeat(bytes)});
        delta(
            json!({"tool_calls": [{"id": "a", "function": {"name": "look", "arguments": "{}"}, "extra_content": extra}]}),
        )
    };
    let half = BESIDE_BYTES / 2;
    for (chunks, is_kept) in [
        (vec![piece(half), piece(half), finish("stop")], true),
        (vec![piece(half), piece(half), piece(1), finish("stop")], false),
        (vec![piece(half), signed(half), finish("tool_calls")], false),
        (vec![signed(half), piece(half), finish("tool_calls")], false),
    ] {
        let answer = answer(frames(&chunks)).await;
        assert_eq!((answer.opaque.is_some(), answer.blocks.is_empty()), (is_kept, false));
    }
}

#[tokio::test]
async fn what_lies_too_deep_to_be_read_again_is_left_out_and_the_answer_stands() {
    let deep = |depth: usize| format!("{}{}", "[".repeat(depth), "]".repeat(depth));
    let signed = |depth: usize| {
        let call = format!("{{\"id\": \"a\", {CALL}, \"extra_content\": {}}}", deep(depth));
        frame(&format!("{{\"tool_calls\": [{call}]}}"))
    };
    let details = |depth: usize| {
        let item = format!("{{\"type\": \"x\", \"n\": {}}}", deep(depth - 2));
        frame(&format!("{{\"content\": \"ok\", \"reasoning_details\": [{item}]}}"))
    };
    for (depth, count) in [(BODY_DEPTH, 1), (BODY_DEPTH + 1, 0), (110, 0)] {
        assert_eq!(kept([signed(depth), end("tool_calls")].concat()).await.len(), count, "{depth}");
        assert_eq!(kept([details(depth), end("stop")].concat()).await.len(), count, "{depth}");
    }
}

/// A history of these answers, each with what a person says next or what its calls gave.
fn history(answers: &[ModelAnswer], next: &[&str]) -> Vec<Arc<PromptMessage>> {
    let mut messages = vec![user("hi")];
    for (answer, next) in answers.iter().zip(next) {
        messages.push(told(answer));
        messages.push(if next.is_empty() { answered(&messages[messages.len() - 1]) } else { user(next) });
    }
    messages.into_iter().map(Arc::new).collect()
}

#[tokio::test]
async fn thinking_goes_back_while_its_turn_goes_on_and_always_if_tools_were_called_in_it() {
    let thought = |said: &str| {
        [
            frame(&format!("{{\"reasoning_content\": \"{said}\"}}")),
            frame("{\"content\": \"ok\"}"),
            end("stop"),
        ]
        .concat()
    };
    let called = |said: &str| {
        let call = format!("{{\"tool_calls\": [{{\"id\": \"{said}\", {CALL}}}]}}");
        [frame(&format!("{{\"reasoning_content\": \"{said}\"}}")), frame(&call), end("tool_calls")].concat()
    };
    let answers = [
        answer(thought("a")).await,
        answer(called("b")).await,
        answer(thought("c")).await,
        answer(thought("d")).await,
        answer(called("e")).await,
    ];
    let provider =
        Fake::start(|_| streamed(frames(&[delta(json!({"content": "ok"})), finish("stop")]))).await;
    let models = models(&provider.base_url);
    let next = ["one", "", "two", "three", ""];
    let mut seen = Vec::new();
    for last in 1..=5 {
        let mut prompt = prompt("chat-test");
        prompt.messages = history(&answers[..last], &next[..last]);
        models.ask(&prompt, &mut |_| {}).await.expect("an answer");
        let body = provider.seen().last().expect("a request").body.clone();
        let thoughts = body["messages"]
            .as_array()
            .expect("messages")
            .iter()
            .map(|said| said["reasoning_content"].clone());
        let thoughts: Vec<_> = thoughts.filter_map(|thought| thought.as_str().map(str::to_owned)).collect();
        seen.push(thoughts.concat());
    }
    assert_eq!(seen, ["", "b", "bc", "bc", "bce"]);
}

#[tokio::test]
async fn it_is_written_as_it_came_and_another_road_is_not_told() {
    let stream = [
        frame(&format!("{{\"tool_calls\": [{{\"id\": \"a\", {CALL}, \"extra_content\": {ODD}}}]}}")),
        end("tool_calls"),
    ]
    .concat();
    let mut answer = answer(stream).await;
    if let Some(OpaqueState { beside: own, .. }) = &mut answer.opaque {
        own.push(beside(None, "no_rule", "1"));
    }
    let provider =
        Fake::start(|_| streamed(frames(&[delta(json!({"content": "ok"})), finish("stop")]))).await;
    let own = route(&provider.base_url);
    let others = [
        Route { pattern: "chat-test".to_owned(), ..own.clone() },
        Route { provider: RouteProvider::Messages, ..own.clone() },
    ];
    let mut prompt = prompt("chat-test");
    prompt.messages = history(&[answer], &[""]);
    let written = async |route: Route| {
        let keys = ProviderKeys::from_iter([("THE_KEY".to_owned(), "secret".to_owned())]);
        let models = RoutedModels::new(Routes(vec![route]), keys, direct()).expect("good settings");
        drop(models.ask(&prompt, &mut |_| {}).await);
        provider.seen().last().expect("a request").text.clone()
    };
    let text = written(own).await;
    assert!(text.contains(&format!("\"extra_content\":{ODD}}}")) && !text.contains("no_rule"), "{text}");
    for other in others {
        let text = written(other).await;
        let body: Value = serde_json::from_str(&text).expect("JSON");
        assert!(!text.contains("extra_content") && body["messages"].is_array(), "{text}");
    }
}
