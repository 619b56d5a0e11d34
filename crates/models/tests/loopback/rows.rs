//! Each row of the table of shapes: what is asked passes its law, and what is sent is read as the row says.

use std::sync::Arc;

use axum::{body::Body, http::Response};
use models::{Keys, Lack, Models, Oracle};
use protocol::{
    content::Block,
    prompt::{Answer, AnswerBlock, AnswerStop, Failure, FailureClass, Message, Part, Prompt, Role, ToolSpec},
    routes::{Provider, Route, Routes},
};
use serde_json::{Value, json};

use crate::{
    provider::{Fake, direct, streamed},
    shapes::{self, Shape, Wire},
};

/// A history with everything that somebody refuses if it is told another way.
fn history(model: &str) -> Prompt {
    let text = |text: &str| Part::Content(Block::text(text));
    let input = json!({"q": "x"}).as_object().expect("an object").clone();
    let call = |id: &str| Part::ToolUse { id: id.to_owned(), name: "look".to_owned(), input: input.clone() };
    let result = |id: &str, is_error| Part::ToolResult { id: id.to_owned(), content: vec![], is_error };
    let user = |parts| Arc::new(Message { role: Role::User, parts });
    let assistant = |parts| Arc::new(Message { role: Role::Assistant, parts });
    let input_schema = json!({"type": "object"}).as_object().expect("an object").clone();
    Prompt {
        model: model.to_owned(),
        system: Some("be brief".to_owned()),
        tools: vec![ToolSpec { name: "look".to_owned(), description: "Looks.".to_owned(), input_schema }],
        messages: vec![
            user(vec![text("one"), text("two")]),
            assistant(vec![text("I look."), call("toolu_0123"), call("call_1")]),
            user(vec![result("toolu_0123", true), result("call_1", false), text("something else")]),
        ],
        counted: None,
    }
}

fn route(shape: &Shape, base_url: &str) -> Route {
    let (provider, base_url) = match shape.wire {
        Wire::Chat => (Provider::ChatCompletions, format!("{base_url}/v1")),
        Wire::Messages => (Provider::Messages, base_url.to_owned()),
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
fn told(answer: &Answer) -> Value {
    let (mut thought, mut said, mut calls) = (String::new(), Vec::new(), Vec::new());
    for block in &answer.blocks {
        match block {
            AnswerBlock::Text { text } => said.push(text.clone()),
            AnswerBlock::Thinking { raw } => thought += raw["reasoning"].as_str().unwrap_or_default(),
            AnswerBlock::ToolUse { name, input, .. } => calls.push(json!([name, input])),
        }
    }
    let tokens = [answer.tokens.read(), answer.tokens.output];
    let mut told = json!({"thought": thought, "said": said, "calls": calls, "stop": stop(&answer.stop), "tokens": tokens});
    let lacks: Vec<&str> = Lack::of_answer(answer).into_iter().map(lack).collect();
    if !lacks.is_empty() {
        told["lacks"] = json!(lacks);
    }
    told
}

fn lack(lack: Lack) -> &'static str {
    match lack {
        Lack::Thinking => "thinking",
        Lack::Calls => "calls",
        Lack::Inputs => "inputs",
    }
}

fn class(class: FailureClass) -> Value {
    serde_json::to_value(class).expect("a word")
}

fn holds(outcome: &Result<Answer, Failure>, means: &Value) -> bool {
    match outcome {
        Ok(answer) => told(answer) == *means,
        Err(failure) => {
            let words = means["words"].as_str();
            class(failure.class) == means["failed"]
                && words.is_some_and(|words| failure.message.contains(words))
        }
    }
}

#[tokio::test]
async fn every_row_is_asked_as_it_wants_and_read_as_it_means() {
    for shape in shapes::all() {
        assert!(shape.source.starts_with("https://"), "{}", shape.name);
        assert!(shapes::of(&shape.model()).is_some_and(|found| found.name == shape.name), "{}", shape.name);
        assert_eq!(shape.told()["source"], shape.source);
        let provider = Fake::start(move |seen| match (shape.refuses)(&seen.body) {
            Some((status, body)) => {
                let response = Response::builder().status(status).header("content-type", "application/json");
                response.body(Body::from(body.to_string())).expect("a response")
            }
            None => streamed((shape.sends)()),
        })
        .await;
        let routes = Routes(vec![route(shape, &provider.base_url)]);
        let models = Models::new(routes, Keys::default(), direct()).expect("good settings");
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
