//! The Messages API's laws: what a request must be, each broken one named with the place it was broken.

use std::collections::HashSet;

use crate::{
    breach::{LawBreach, breach},
    media::{self, BlockHolder},
    request::{AnyBlock, LooseMessage, LooseRequest, MessageContent, Shape, Tool},
    wire,
};

/// Checks every law; gives the first that is broken. `unstreamed` lets `stream: false` pass.
pub(crate) fn check(request: &LooseRequest<'_>, unstreamed: bool) -> Result<(), LawBreach> {
    if request.model.is_empty() {
        return breach("model_named", "model is empty");
    }
    if request.max_tokens <= 0 {
        return breach("max_tokens_positive", format!("max_tokens is {}", request.max_tokens));
    }
    if !request.stream && !unstreamed {
        return breach("stream_true", "stream is not true");
    }
    tools(&request.tools)?;
    marks(request)?;
    blank("system", &request.system)?;
    history(&request.messages)
}

fn tools(tools: &[Tool<'_>]) -> Result<(), LawBreach> {
    let mut names = HashSet::new();
    for (place, tool) in tools.iter().enumerate() {
        if !is_tool_name(&tool.name) {
            return breach("tool_name", format!("tools.{place}.name `{}`", tool.name));
        }
        if !names.insert(tool.name.as_ref()) {
            return breach("tool_name_unique", format!("tools.{place}.name `{}` is there twice", tool.name));
        }
        if tool.input_schema.kind != "object" {
            return breach("schema_object", format!("tools.{place}.input_schema.type is not `object`"));
        }
    }
    Ok(())
}

/// `^[a-zA-Z0-9_-]{1,128}$`
pub(crate) fn is_tool_name(name: &str) -> bool {
    let legal = |byte: u8| byte.is_ascii_alphanumeric() || byte == b'_' || byte == b'-';
    (1..=128).contains(&name.len()) && name.bytes().all(legal)
}

fn marks(request: &LooseRequest<'_>) -> Result<(), LawBreach> {
    let tools = request.tools.iter().filter(|tool| tool.cache_control.is_some()).count();
    let history: usize = request.messages.iter().map(|message| message.content.marks()).sum();
    let count = tools + request.system.marks() + history;
    if count > 4 {
        return breach("four_cache_marks", format!("{count} blocks carry cache_control"));
    }
    Ok(())
}

fn blank(path: &str, content: &MessageContent<'_>) -> Result<(), LawBreach> {
    match content.texts().position(|text| text.trim().is_empty()) {
        Some(place) => breach("text_not_blank", format!("{path}: text {place} has no visible text")),
        None => Ok(()),
    }
}

fn history(messages: &[LooseMessage<'_>]) -> Result<(), LawBreach> {
    let mut ids = HashSet::new();
    let mut open: Vec<&str> = Vec::new();
    let mut expected = "user";
    if messages.is_empty() {
        return breach("first_is_user", "there are no messages");
    }
    for (place, message) in messages.iter().enumerate() {
        let path = format!("messages.{place}");
        if message.role != expected {
            let law = if place == 0 { "first_is_user" } else { "roles_alternate" };
            return breach(law, format!("{path}.role is `{}`, not `{expected}`", message.role));
        }
        filled(&path, &message.content)?;
        if expected == "user" {
            answers(&path, &message.content, &open)?;
            open.clear();
            expected = "assistant";
        } else {
            open = calls(&path, &message.content, &mut ids)?;
            expected = "user";
        }
    }
    if expected == "user" {
        return breach("last_is_user", format!("the last of {} messages is not the user's", messages.len()));
    }
    Ok(())
}

fn filled(path: &str, content: &MessageContent<'_>) -> Result<(), LawBreach> {
    let empty = match content {
        MessageContent::Absent => true,
        MessageContent::Text(text) => text.is_empty(),
        MessageContent::Blocks(blocks) => blocks.is_empty(),
    };
    if empty {
        return breach("content_not_empty", format!("{path}.content is empty"));
    }
    blank(path, content)?;
    content.blocks().iter().enumerate().try_for_each(|(place, block)| {
        let path = format!("{path}.content.{place}");
        blank(&path, &block.content)
    })
}

/// A user's message must answer every call of the message before it, first, once each, and no other.
fn answers(within: &str, content: &MessageContent<'_>, open: &[&str]) -> Result<(), LawBreach> {
    let calls: HashSet<&str> = open.iter().copied().collect();
    let mut answered = HashSet::new();
    let mut other = false;
    for (place, block) in content.blocks().iter().enumerate() {
        let path = format!("{within}.content.{place}");
        if block.kind != "tool_result" {
            other = true;
            media::check(within, [(place, block)].into_iter(), BlockHolder::Message)?;
            continue;
        }
        let id = block.tool_use_id.as_ref();
        if other {
            return breach("results_first", format!("{path}: tool_result after other content"));
        }
        if !calls.contains(id) {
            return breach("result_has_call", format!("{path}: no tool_use `{id}` just before"));
        }
        if !answered.insert(id) {
            return breach("one_result", format!("{path}: `{id}` is answered twice"));
        }
        if block.is_error && block.content.texts().next().is_none() && block.content.blocks().is_empty() {
            return breach("failure_says_something", path);
        }
        media::check(&path, block.content.blocks().iter().enumerate(), BlockHolder::Result)?;
    }
    match open.iter().find(|id| !answered.contains(*id)) {
        Some(id) => breach("call_has_result", format!("{within} does not answer tool_use `{id}`")),
        None => Ok(()),
    }
}

/// The ids that an assistant's message calls; they must be new, its thinking must be ours, unchanged.
fn calls<'m>(
    path: &str,
    content: &'m MessageContent<'_>,
    ids: &mut HashSet<&'m str>,
) -> Result<Vec<&'m str>, LawBreach> {
    let mut open = Vec::new();
    for (place, block) in content.blocks().iter().enumerate() {
        let path = format!("{path}.content.{place}");
        match block.kind.as_ref() {
            "text" => {}
            "tool_use" => {
                if block.id.is_empty() || !ids.insert(&block.id) {
                    return breach("call_id_unique", format!("{path}: id `{}`", block.id));
                }
                if !is_tool_name(&block.name) || block.input != Shape::Object {
                    return breach(
                        "call_shape",
                        format!("{path}: a tool_use needs a name and an input object"),
                    );
                }
                open.push(block.id.as_ref());
            }
            "thinking" => {
                if block.signature != wire::signature(&block.thinking) {
                    return breach(
                        "thinking_unchanged",
                        format!("{path}: the signature is not the one given"),
                    );
                }
                unmarked(&path, block)?;
            }
            "redacted_thinking" => {
                if !block.data.starts_with(wire::REDACTED) {
                    return breach("thinking_unchanged", format!("{path}: the data is not what was given"));
                }
                unmarked(&path, block)?;
            }
            kind => return breach("assistant_block", format!("{path}: `{kind}` in an assistant's message")),
        }
    }
    Ok(open)
}

fn unmarked(path: &str, block: &AnyBlock<'_>) -> Result<(), LawBreach> {
    if block.cache_control.is_some() {
        return breach("thinking_unmarked", format!("{path}: cache_control on thinking"));
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::{Value, json};

    /// A legal request with every kind of block in it.
    fn legal() -> Value {
        json!({
            "model": "claude-test", "max_tokens": 10, "stream": true,
            "system": [{"type": "text", "text": "be brief", "cache_control": {"type": "ephemeral"}}],
            "tools": [{"name": "look", "input_schema": {"type": "object"}}],
            "messages": [
                {"role": "user", "content": "a"},
                {"role": "assistant", "content": [
                    {"type": "thinking", "thinking": "hm", "signature": wire::signature("hm")},
                    {"type": "tool_use", "id": "t1", "name": "look", "input": {}},
                    {"type": "tool_use", "id": "t2", "name": "look", "input": {"a": [1]}}]},
                {"role": "user", "content": [
                    {"type": "tool_result", "tool_use_id": "t2", "content": [{"type": "text", "text": "x"}]},
                    {"type": "tool_result", "tool_use_id": "t1"},
                    {"type": "text", "text": "and?", "cache_control": {"type": "ephemeral"}}]},
            ],
        })
    }

    fn broken(change: impl FnOnce(&mut Value)) -> &'static str {
        let mut request = legal();
        change(&mut request);
        let body = request.to_string();
        let request: LooseRequest<'_> = serde_json::from_str(&body).expect("a readable request");
        check(&request, false).map_or_else(|breach| breach.law, |()| "none")
    }

    #[test]
    fn a_legal_request_passes() {
        assert_eq!(broken(|_| {}), "none");
    }

    #[test]
    fn each_law_of_the_request_is_noticed() {
        assert_eq!(broken(|r| r["model"] = json!("")), "model_named");
        assert_eq!(broken(|r| r["max_tokens"] = json!(0)), "max_tokens_positive");
        assert_eq!(broken(|r| r["stream"] = json!(false)), "stream_true");
        assert_eq!(broken(|r| r["tools"][0]["name"] = json!("a b")), "tool_name");
        let twice = json!([legal()["tools"][0], legal()["tools"][0]]);
        assert_eq!(broken(|r| r["tools"] = twice), "tool_name_unique");
        assert_eq!(broken(|r| r["tools"][0]["input_schema"]["type"] = json!("array")), "schema_object");
        assert_eq!(broken(|r| r["system"][0]["text"] = json!(" ")), "text_not_blank");
        let marked = json!({"type": "text", "text": "m", "cache_control": {"type": "ephemeral"}});
        assert_eq!(broken(|r| r["messages"][0]["content"] = json!(vec![marked; 3])), "four_cache_marks");
    }

    #[test]
    fn each_law_of_the_history_is_noticed() {
        assert_eq!(broken(|r| r["messages"][0]["role"] = json!("assistant")), "first_is_user");
        assert_eq!(broken(|r| r["messages"][1]["role"] = json!("user")), "roles_alternate");
        assert_eq!(broken(|r| r["messages"] = json!([])), "first_is_user");
        assert_eq!(broken(|r| r["messages"][0]["content"] = json!([])), "content_not_empty");
        assert_eq!(broken(|r| r["messages"][0]["content"] = json!("")), "content_not_empty");
        assert_eq!(broken(|r| r["messages"][2]["content"][2]["text"] = json!("")), "text_not_blank");
        let inner = |r: &mut Value| r["messages"][2]["content"][0]["content"][0]["text"] = json!("");
        assert_eq!(broken(inner), "text_not_blank");
        let cut = |r: &mut Value| r["messages"].as_array_mut().expect("a list").truncate(2);
        assert_eq!(broken(cut), "last_is_user");
    }

    #[test]
    fn each_law_of_calls_and_results_is_noticed() {
        let answer = |r: &mut Value, place: usize, id: &str| {
            r["messages"][2]["content"][place]["tool_use_id"] = json!(id);
        };
        assert_eq!(broken(|r| answer(r, 0, "t9")), "result_has_call");
        assert_eq!(broken(|r| answer(r, 0, "t1")), "one_result");
        assert_eq!(
            broken(|r| r["messages"][2]["content"][1] = json!({"type": "text", "text": "x"})),
            "call_has_result"
        );
        assert_eq!(
            broken(|r| r["messages"][2]["content"].as_array_mut().expect("a list").swap(1, 2)),
            "results_first"
        );
        assert_eq!(broken(|r| r["messages"][1]["content"][2]["id"] = json!("t1")), "call_id_unique");
        assert_eq!(broken(|r| r["messages"][1]["content"][2]["name"] = json!("")), "call_shape");
        let silent = |content: Value| {
            let failed =
                json!({"type": "tool_result", "tool_use_id": "t1", "is_error": true, "content": content});
            broken(|request| request["messages"][2]["content"][1] = failed)
        };
        assert_eq!([silent(json!([])), silent(json!("no"))], ["failure_says_something", "none"]);
        let orphan = json!([{"type": "tool_result", "tool_use_id": "t1"}]);
        assert_eq!(broken(|r| r["messages"][0]["content"] = orphan), "result_has_call");
        let inner = json!([{"type": "tool_use", "id": "t7", "name": "look", "input": {}}]);
        assert_eq!(broken(|r| r["messages"][2]["content"][0]["content"] = inner), "result_block");
        let foreign = json!([{"type": "tool_use", "id": "t7", "name": "look", "input": {}}]);
        assert_eq!(broken(|r| r["messages"][0]["content"] = foreign), "user_block");
        assert_eq!(broken(|r| r["messages"][1]["content"][0]["type"] = json!("image")), "assistant_block");
    }

    #[test]
    fn thinking_comes_back_as_it_was_given() {
        assert_eq!(
            broken(|r| r["messages"][1]["content"][0]["thinking"] = json!("other")),
            "thinking_unchanged"
        );
        assert_eq!(broken(|r| r["messages"][1]["content"][0]["signature"] = json!("")), "thinking_unchanged");
        let mark =
            |r: &mut Value| r["messages"][1]["content"][0]["cache_control"] = json!({"type": "ephemeral"});
        assert_eq!(broken(mark), "thinking_unmarked");
        let redacted = json!({"type": "redacted_thinking", "data": "mine"});
        assert_eq!(broken(|r| r["messages"][1]["content"][0] = redacted), "thinking_unchanged");
    }
}
