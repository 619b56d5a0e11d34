//! Each row of the table of shapes: what is asked passes its law, and what is sent is read as the row says.

use std::sync::Arc;

use axum::{body::Body, http::Response};
use models::{ModelClient, ProviderKeys, RoutedModels, ServerLack};
use protocol::{
    content::ContentBlock,
    prompt::{
        AnswerBlock, AnswerStop, FailureClass, MessagePart, MessageRole, ModelAnswer, ModelFailure, Prompt,
        PromptMessage, ToolSpec,
    },
    routes::{Route, RouteProvider, Routes},
};
use serde_json::{Value, json};

use crate::{
    provider::{self, Fake, answered, direct, streamed, user},
    shapes::{self, ProviderShape, ShapeWire},
};

/// A history with everything that somebody refuses if it is told another way.
fn history(model: &str) -> Prompt {
    let text = |text: &str| MessagePart::Content(ContentBlock::text(text));
    let input = json!({"q": "x"}).as_object().expect("an object").clone();
    let call =
        |id: &str| MessagePart::ToolUse { id: id.to_owned(), name: "look".to_owned(), input: input.clone() };
    let result =
        |id: &str, is_error| MessagePart::ToolResult { id: id.to_owned(), content: vec![], is_error };
    let user = |parts| Arc::new(PromptMessage { role: MessageRole::User, parts });
    let assistant = |parts| Arc::new(PromptMessage { role: MessageRole::Assistant, parts });
    let input_schema = json!({"type": "object"}).as_object().expect("an object").clone();
    let tool = ToolSpec { name: "look".to_owned(), description: "Looks.".to_owned(), input_schema };
    Prompt {
        model: model.to_owned(),
        system: Some("be brief".to_owned()),
        tools: vec![Arc::new(tool)],
        messages: vec![
            user(vec![text("one"), text("two")]),
            assistant(vec![text("I look."), call("toolu_0123"), call("call_1")]),
            user(vec![result("toolu_0123", true), result("call_1", false), text("something else")]),
        ],
        counted: None,
    }
}

fn route(shape: &ProviderShape, base_url: &str) -> Route {
    let (provider, base_url) = match shape.wire {
        ShapeWire::Chat => (RouteProvider::ChatCompletions, format!("{base_url}/v1")),
        ShapeWire::Messages => (RouteProvider::Messages, base_url.to_owned()),
    };
    Route { provider, base_url, ..Route::script(shape.model()) }
}

fn stop(stop: &AnswerStop) -> &'static str {
    match stop {
        AnswerStop::EndTurn => "end_turn",
        AnswerStop::ToolUse => "tool_use",
        AnswerStop::MaxTokens => "max_tokens",
        AnswerStop::Refusal(_) => "refusal",
        AnswerStop::PauseTurn => "pause_turn",
    }
}

/// An answer in the words of the table.
fn told(answer: &ModelAnswer) -> Value {
    let (mut thought, mut said, mut calls) = (String::new(), Vec::new(), Vec::new());
    for block in &answer.blocks {
        match block {
            AnswerBlock::Text { text } => said.push(text.clone()),
            AnswerBlock::Thinking { raw } => {
                let texts = ["reasoning", "thinking"].iter().filter_map(|name| raw[*name].as_str());
                thought.extend(texts);
            }
            AnswerBlock::ToolUse { name, input, .. } => calls.push(json!([name, input])),
        }
    }
    let beside = answer.opaque.iter().flat_map(|opaque| &opaque.beside);
    if let Some(text) =
        beside.filter(|beside| beside.name.starts_with("reasoning")).map(|text| &text.json).next()
    {
        thought += serde_json::from_str::<Value>(text).expect("JSON").as_str().expect("a text");
    }
    let tokens = [answer.tokens.read(), answer.tokens.output];
    let mut told = json!({"thought": thought, "said": said, "calls": calls, "stop": stop(&answer.stop), "tokens": tokens});
    let lacks: Vec<&str> = ServerLack::of_answer(answer).into_iter().map(lack).collect();
    if !lacks.is_empty() {
        told["lacks"] = json!(lacks);
    }
    told
}

fn lack(lack: ServerLack) -> &'static str {
    match lack {
        ServerLack::Thinking => "thinking",
        ServerLack::Calls => "calls",
        ServerLack::Inputs => "inputs",
    }
}

fn class(class: FailureClass) -> Value {
    serde_json::to_value(class).expect("a word")
}

fn holds(outcome: &Result<ModelAnswer, ModelFailure>, means: &Value) -> bool {
    match outcome {
        Ok(answer) => told(answer) == *means,
        Err(failure) => {
            let words = means["words"].as_str();
            let spots = failure.spots.iter().map(|spot| json!([spot.message, spot.part, spot.block]));
            let named = means.get("spots").cloned().unwrap_or_else(|| json!([]));
            class(failure.class) == means["failed"]
                && Value::Array(spots.collect()) == named
                && words.is_some_and(|words| failure.message.contains(words))
        }
    }
}

fn refusal(status: u16, body: &Value) -> Response<Body> {
    let response = Response::builder().status(status).header("content-type", "application/json");
    response.body(Body::from(body.to_string())).expect("a response")
}

#[tokio::test]
async fn every_row_is_asked_as_it_wants_and_read_as_it_means() {
    for shape in shapes::all() {
        assert!(shape.source.starts_with("https://"), "{}", shape.name);
        assert!(shapes::of(&shape.model()).is_some_and(|found| found.name == shape.name), "{}", shape.name);
        assert_eq!(shape.told()["source"], shape.source);
        let provider = Fake::start(move |seen| match (shape.refuses)(&seen.body) {
            Some((status, body)) => refusal(status, &body),
            None => streamed((shape.sends)()),
        })
        .await;
        let routes = Routes(vec![route(shape, &provider.base_url)]);
        let models = RoutedModels::new(routes, ProviderKeys::default(), direct()).expect("good settings");
        let (prompt, means) = (history(&shape.model()), (shape.means)());
        let outcome = models.ask(&prompt, &mut |_| {}).await;
        assert!(holds(&outcome, &means), "{}: {outcome:?}, not {means}", shape.name);
        let first = provider.seen().len();
        let again = models.ask(&prompt, &mut |_| {}).await;
        assert!(holds(&again, &means), "{}, again: {again:?}, not {means}", shape.name);
        // What was refused once is not sent again; how long an answer may be is learnt from what is counted.
        let more = if shape.name == "vllm-window" { 2 } else { 1 };
        assert_eq!(provider.seen().len(), first + more, "{}", shape.name);
    }
}

/// The members that stand beside messages and calls.
const NAMES: [&str; 6] = [
    "reasoning_content",
    "reasoning",
    "reasoning_details",
    "thinking_blocks",
    "extra_content",
    "provider_specific_fields",
];

/// A request with each thing in it that only a provider can read made another.
fn bent(body: &Value, other: &Value) -> Value {
    let mut body = body.clone();
    for said in body["messages"].as_array_mut().expect("messages") {
        let blocks = said.get_mut("content").and_then(Value::as_array_mut).into_iter().flatten();
        for block in blocks.filter(|block| block["type"] == "thinking") {
            *block = other.clone();
        }
        for call in said.get_mut("tool_calls").and_then(Value::as_array_mut).into_iter().flatten() {
            if call["id"].as_str().is_some_and(|id| id.contains('+')) {
                call["id"] = other.clone();
            }
            for name in NAMES {
                call.get_mut(name).into_iter().for_each(|value| *value = other.clone());
            }
        }
        if said["role"] == "assistant" {
            for name in NAMES {
                said.get_mut(name).into_iter().for_each(|value| *value = other.clone());
            }
        }
    }
    body
}

#[tokio::test]
async fn what_a_row_puts_beside_its_answer_goes_back_to_it_and_to_no_other() {
    let mut picky = Vec::new();
    for shape in shapes::all() {
        let provider = Fake::start(move |seen| match (shape.refuses)(&seen.body) {
            Some((status, body)) => refusal(status, &body),
            None => streamed((shape.sends)()),
        })
        .await;
        let own = route(shape, &provider.base_url);
        let models = |route| {
            RoutedModels::new(Routes(vec![route]), ProviderKeys::default(), direct()).expect("good settings")
        };
        let (here, there) = (models(own.clone()), models(Route { pattern: "*".to_owned(), ..own }));
        let mut prompt = history(&shape.model());
        let first = here.ask(&prompt, &mut |_| {}).await;
        let Ok(answer @ ModelAnswer { opaque: Some(_), .. }) = &first else { continue };
        let said = provider::told(answer);
        prompt.messages.extend([Arc::new(said.clone()), Arc::new(answered(&said))]);
        let means = (shape.means)();
        // With the results, and in the next turn.
        for _ in 0..2 {
            let again = here.ask(&prompt, &mut |_| {}).await;
            assert!(holds(&again, &means), "{}: {again:?}", shape.name);
            let body = provider.seen().last().expect("a request").body.clone();
            let [missing, changed] =
                [Value::Null, json!("x")].map(|other| (shape.refuses)(&bent(&body, &other)));
            assert_eq!(missing.is_some(), changed.is_some(), "{}", shape.name);
            // By another road, which has nothing of its own to give.
            let elsewhere = there.ask(&prompt, &mut |_| {}).await;
            assert_eq!(holds(&elsewhere, &means), missing.is_none(), "{}: {elsewhere:?}", shape.name);
            let body = provider.seen().last().expect("a request").body.clone();
            assert_eq!(bent(&body, &Value::Null), body, "{}", shape.name);
            picky.extend(missing.is_some().then_some(shape.name));
            prompt.messages.push(Arc::new(user("and now?")));
        }
    }
    assert_eq!(picky.len(), 2 * 8, "{picky:?}");
}
