//! A model that does what it is told: `hold` never answers, `call` calls a tool, `think` thinks first, and
//! `spawn TASK` gives an agent named `a helper` a task.

use std::sync::Arc;

use futures_util::future::{self, BoxFuture};
use models::ModelClient;
use protocol::{
    SessionId,
    content::ContentBlock,
    prompt::{
        AnswerBlock, AnswerDelta, AnswerStop, DeltaKind, MessagePart, ModelAnswer, ModelFailure, Prompt,
        PromptMessage, Toolbox,
    },
    routes::{OfferedModel, Route},
    usage::RequestTokens,
};
use serde_json::json;
use tools::{BeginCall, ToolCall, ToolOutcome, ToolRunner};

/// The model.
#[derive(Debug)]
pub(super) struct ScriptedModel;

impl ModelClient for ScriptedModel {
    fn ask<'a>(
        &'a self,
        prompt: &'a Prompt,
        deltas: &'a mut (dyn FnMut(AnswerDelta) + Send),
    ) -> BoxFuture<'a, Result<ModelAnswer, ModelFailure>> {
        let said = prompt.messages.last().map(|message| said(message)).unwrap_or_default();
        Box::pin(async move {
            match said.as_str() {
                "hold" => future::pending().await,
                "call" => Ok(answer(vec![call("look_up")], AnswerStop::ToolUse)),
                "run" => Ok(answer(vec![call("bash")], AnswerStop::ToolUse)),
                "think" => {
                    deltas(AnswerDelta::Start { index: 0, kind: DeltaKind::Thinking });
                    deltas(AnswerDelta::Start { index: 1, kind: DeltaKind::Text });
                    for text in ["I thought ", "and say", " this"] {
                        deltas(AnswerDelta::Text { index: 1, text: text.into() });
                    }
                    let thought =
                        AnswerBlock::Thinking { raw: json!({"type": "thinking", "thinking": "hm"}) };
                    let blocks = vec![thought, text("I thought and say this")];
                    Ok(answer(blocks, AnswerStop::EndTurn))
                }
                said if said.starts_with("spawn ") => {
                    let task = said.trim_start_matches("spawn ");
                    let input = json!({"agent": "a helper", "task": task});
                    Ok(answer(vec![called("create_agent", input)], AnswerStop::ToolUse))
                }
                said => Ok(answer(vec![text(&format!("You said: {said}"))], AnswerStop::EndTurn)),
            }
        })
    }

    fn request(&self, prompt: &Prompt) -> Option<Vec<u8>> {
        let said = prompt.messages.last().map(|message| said(message));
        let body = json!({"model": prompt.model, "messages": prompt.messages.len(), "said": said});
        serde_json::to_vec(&body).ok()
    }

    fn offered<'a>(&'a self, _route: &'a Route) -> BoxFuture<'a, Result<Vec<OfferedModel>, ModelFailure>> {
        let model = |number: u32, name: Option<&str>, day: Option<&str>| OfferedModel {
            id: format!("test-{number}"),
            display_name: name.map(str::to_owned),
            created_at: day.map(|day| format!("{day}T00:00:00Z").parse().expect("a time")),
        };
        let models = vec![
            model(1, None, None),
            model(2, None, None),
            model(3, None, Some("2026-01-01")),
            model(4, Some("The Fourth"), Some("2026-01-02")),
        ];
        Box::pin(future::ready(Ok(models)))
    }
}

/// Hands that give back the name of what they were asked to do.
#[derive(Debug)]
pub(super) struct EchoRunner;

impl ToolRunner for EchoRunner {
    fn run<'a>(&'a self, call: ToolCall, begin: BeginCall<'a>) -> BoxFuture<'a, Option<ToolOutcome>> {
        let content = vec![ContentBlock::text(format!("{} ran", call.tool.name()))];
        Box::pin(async move { begin.await.then_some(ToolOutcome { content, is_error: false }) })
    }

    fn toolbox(&self, _session: SessionId) -> Arc<Toolbox> {
        Arc::new(Toolbox::plain())
    }

    fn end(&self, _session: SessionId) -> BoxFuture<'_, ()> {
        Box::pin(future::ready(()))
    }

    fn remove(&self, _session: SessionId) -> BoxFuture<'_, ()> {
        Box::pin(future::ready(()))
    }

    fn stop(&self) -> BoxFuture<'_, ()> {
        Box::pin(future::ready(()))
    }
}

fn said(message: &PromptMessage) -> String {
    let mut texts = message.parts.iter().filter_map(|part| match part {
        MessagePart::Content(ContentBlock::Text { text, .. }) => Some(text.clone()),
        MessagePart::Content(_)
        | MessagePart::Thinking(_)
        | MessagePart::Beside { .. }
        | MessagePart::ToolUse { .. }
        | MessagePart::ToolResult { .. } => None,
    });
    texts.next_back().unwrap_or_default()
}

fn text(text: &str) -> AnswerBlock {
    AnswerBlock::Text { text: text.into() }
}

fn call(name: &str) -> AnswerBlock {
    called(name, json!({}))
}

fn called(name: &str, input: serde_json::Value) -> AnswerBlock {
    let input = input.as_object().cloned();
    AnswerBlock::ToolUse { id: "toolu_1".into(), name: name.into(), input }
}

fn answer(blocks: Vec<AnswerBlock>, stop: AnswerStop) -> ModelAnswer {
    ModelAnswer {
        blocks,
        stop,
        tokens: RequestTokens { input: 3, output: 5, ..RequestTokens::default() },
        opaque: None,
    }
}
