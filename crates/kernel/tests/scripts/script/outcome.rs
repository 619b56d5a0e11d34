//! What comes of a model request, read from a script: an answer block by block, or a failure.

use std::time::Duration;

use protocol::content::ContentBlock;
use protocol::event::RefusalDetails;
use protocol::limits;
use protocol::prompt::{
    AnswerBlock, AnswerOrigin, AnswerStop, FailureClass, ModelAnswer, ModelFailure, OpaqueState,
    ProviderMember,
};
use protocol::routes::RouteProvider;
use protocol::usage::RequestTokens;
use serde_json::json;

/// Blocks with `; ` between them, and what else is said of the answer.
pub(crate) fn answer(line: &str) -> ModelAnswer {
    let mut blocks = Vec::new();
    let (mut stop, mut opaque) = (None, None);
    let mut tokens = RequestTokens { input: 10, output: 5, ..RequestTokens::default() };
    for (index, part) in line.split("; ").filter(|part| !part.is_empty()).enumerate() {
        let (verb, rest) = part.split_once(' ').unwrap_or((part, ""));
        let (name, input) = rest.split_once(' ').unwrap_or((rest, "{}"));
        let id = format!("toolu_{index}");
        match verb {
            "text" => blocks.push(AnswerBlock::Text { text: serde_json::from_str(rest).expect("quoted") }),
            "thinking" => blocks.push(AnswerBlock::Thinking { raw: json!({"thinking": "hm"}) }),
            "tool" => {
                let input = serde_json::from_str(input).expect("an object");
                blocks.push(AnswerBlock::ToolUse { id, name: name.into(), input: Some(input) });
            }
            "cut" => blocks.push(AnswerBlock::ToolUse { id, name: name.into(), input: None }),
            "max_tokens" => stop = Some(AnswerStop::MaxTokens),
            "pause" => stop = Some(AnswerStop::PauseTurn),
            "unwritten" => tokens.output = 0,
            "from" => opaque = Some(from(rest)),
            "beside" => {
                let call = name.parse().ok();
                let (name, json) =
                    if call.is_some() { input.split_once(' ').expect("JSON") } else { (name, input) };
                let beside = ProviderMember { call, name: name.into(), json: json.into() };
                opaque.get_or_insert_with(|| from("r")).beside.push(beside);
            }
            "refusal" => {
                let details = RefusalDetails { category: Some("bio".into()), explanation: None };
                stop = Some(AnswerStop::Refusal(details));
            }
            _ => panic!("no such block: {part}"),
        }
    }
    let calls = blocks.iter().any(|block| matches!(block, AnswerBlock::ToolUse { .. }));
    let natural = if calls { AnswerStop::ToolUse } else { AnswerStop::EndTurn };
    ModelAnswer { blocks, stop: stop.unwrap_or(natural), tokens, opaque }
}

fn from(route: &str) -> OpaqueState<usize> {
    let from = AnswerOrigin { wire: RouteProvider::ChatCompletions, route: route.into() };
    OpaqueState { from, beside: Vec::new() }
}

/// How often the route lets a request be made: `of 3` at the end of a line.
pub(crate) fn attempts(line: &str) -> (&str, u32) {
    let (rest, said) = line.rsplit_once("of ").unwrap_or((line, ""));
    let said = said.parse().ok().map(|most| (rest.trim_end(), most));
    said.unwrap_or((line, limits::ATTEMPTS))
}

/// A class, and `after 20` where the provider names a pause in seconds.
pub(crate) fn failure(line: &str) -> ModelFailure {
    let (class, after) = line.split_once(" after ").unwrap_or((line, "0"));
    let classes = [
        ("overloaded", FailureClass::Overloaded),
        ("rate_limited", FailureClass::RateLimited),
        ("unavailable", FailureClass::Unavailable),
        ("cut", FailureClass::Cut),
        ("invalid", FailureClass::Invalid),
        ("overflow", FailureClass::Overflow),
        ("full", FailureClass::Full),
        ("unusable", FailureClass::Unusable),
        ("denied", FailureClass::Denied),
        ("billing", FailureClass::Billing),
        ("no_route", FailureClass::NoRoute),
    ];
    let (_, class) = classes.into_iter().find(|(name, _)| *name == class).expect("a class");
    let after: u64 = after.parse().expect("seconds");
    let retry_after = (after > 0).then(|| Duration::from_secs(after));
    ModelFailure {
        class,
        status: None,
        message: "it failed".into(),
        retry_after,
        tokens: RequestTokens { input: 1, ..RequestTokens::default() },
        spots: Vec::new(),
    }
}

/// `"a" "b"`, or `big N`: N MiB.
pub(crate) fn content(words: &str) -> Vec<ContentBlock> {
    if let Some(size) = words.strip_prefix("big ") {
        let size: usize = size.parse().expect("how big");
        return vec![ContentBlock::text("x".repeat(size * 1024 * 1024))];
    }
    let stream = serde_json::Deserializer::from_str(words).into_iter::<String>();
    stream.map(|text| ContentBlock::text(text.expect("a quoted text"))).collect()
}
