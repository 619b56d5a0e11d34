//! The places of a request that a provider names as what it refuses.

use serde_json::Value;

/// Most places that are taken from one refusal.
const PATHS: usize = 100;
/// Most words in front of a place in a sentence that begins with where something is wrong.
const WORDS: usize = 4;
/// What every place begins with.
const ROOT: &str = "messages";
/// What stands between the steps of a place, in whatever notation.
const BETWEEN: [char; 5] = ['.', '[', ']', '/', '\''];

/// A place among the messages of a request's body.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct MessagePath {
    /// Which message.
    pub(crate) message: usize,
    /// Which entry of its content; `None`: its content as a whole.
    pub(crate) content: Option<usize>,
    /// Which entry of that entry's own content, if it is a tool's result.
    pub(crate) inner: Option<usize>,
}

/// The places that a refusal names: in its sentence, as its parameter, or in a list beside both. A sentence
/// may quote what a person or a tool said, and with it a place; so one counts only where the provider itself
/// must have put it, and none does where two of them differ.
pub(crate) fn paths(message: &str, param: &str, details: Option<&Value>) -> Vec<MessagePath> {
    let listed = details.and_then(|details| details.get("paths")).and_then(Value::as_array);
    let listed = listed.into_iter().flatten().filter_map(Value::as_str).filter_map(alone);
    let said = [alone(param), leading(message)];
    if matches!(said, [Some(param), Some(said)] if param != said) {
        return Vec::new();
    }
    let mut found: Vec<MessagePath> = Vec::new();
    for path in said.into_iter().flatten().chain(listed) {
        if found.len() < PATHS && !found.contains(&path) {
            found.push(path);
        }
    }
    found
}

/// The place that is all of a text.
fn alone(text: &str) -> Option<MessagePath> {
    let rest = text.strip_prefix('/').unwrap_or(text).strip_prefix(ROOT)?;
    let (steps, after) = steps(rest);
    after.is_empty().then(|| path(steps)).flatten()
}

/// The place that a sentence begins with, or that stands behind its first few words, as in `Invalid value at
/// 'messages[0].content[1]'.`
fn leading(text: &str) -> Option<MessagePath> {
    let (before, rest) = text.split_once(ROOT)?;
    let opening = before.trim_end_matches(['\'', '`', '/']);
    let are_words = opening.chars().all(|letter| letter.is_ascii_alphabetic() || letter == ' ');
    let is_apart = before.len() > opening.len() || opening.is_empty() || opening.ends_with(' ');
    let is_first = are_words && is_apart && opening.split_whitespace().count() <= WORDS;
    is_first.then(|| path(steps(rest).0)).flatten()
}

/// The steps that a text begins with, and what follows them.
fn steps(text: &str) -> (&str, &str) {
    let step = |letter: char| letter.is_ascii_alphanumeric() || letter == '_' || BETWEEN.contains(&letter);
    text.split_at(text.find(|letter| !step(letter)).unwrap_or(text.len()))
}

/// A place of these steps. One that names no content is of a message's order or role: leaving out what
/// the message says would not mend it.
fn path(rest: &str) -> Option<MessagePath> {
    if !rest.starts_with(BETWEEN) {
        return None;
    }
    let steps: Vec<&str> = rest.split(BETWEEN).filter(|step| !step.is_empty()).collect();
    let (message, steps) = match steps.as_slice() {
        [message, "content", steps @ ..] => (message.parse().ok()?, steps),
        _ => return None,
    };
    let content = steps.first().and_then(|step| step.parse().ok());
    let inner =
        steps.iter().position(|step| *step == "content").and_then(|at| steps.get(at + 1)?.parse().ok());
    Some(MessagePath { message, content, inner: inner.filter(|_| content.is_some()) })
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    fn of(message: usize, content: Option<usize>, inner: Option<usize>) -> MessagePath {
        MessagePath { message, content, inner }
    }

    #[test]
    fn a_place_is_read_in_each_notation() {
        for (said, path) in [
            ("messages.3.content.1.image.source.base64: image exceeds 5 MB", of(3, Some(1), None)),
            ("messages.2.content.0.tool_result.content.4.image.source: bad", of(2, Some(0), Some(4))),
            ("messages.0.content.1.content.0", of(0, Some(1), Some(0))),
            ("Invalid value at 'messages[1].content[0].image_url.url'.", of(1, Some(0), None)),
            ("messages.[0].content.[2].text", of(0, Some(2), None)),
            ("/messages/0/content/2 is wrong", of(0, Some(2), None)),
            ("The content field at messages.7.content.0.toolResult is empty", of(7, Some(0), None)),
            ("messages[12].content: string too long", of(12, None, None)),
        ] {
            assert_eq!(paths(said, "", None), [path], "{said}");
        }
        for param in ["messages[1].content[0].image_url", "/messages/1/content/0", "messages.1.content.0"] {
            assert_eq!(paths("Invalid value", param, None), [of(1, Some(0), None)], "{param}");
        }
    }

    #[test]
    fn a_place_within_what_somebody_said_is_none() {
        for (said, param) in [
            ("cannot accept input: see messages.0.content.0 and more", ""),
            ("Unsafe input in \"BAD messages.0.content.0\": blocked", ""),
            ("Blocked by a filter: 'messages[0].content[0]'", ""),
            ("The prompt was flagged. messages.0.content.0", ""),
            ("The text that you gave us at messages.0.content.0 is blocked", ""),
            ("1 error: {'input': 'messages.0.content.0'}", ""),
            ("supermessages.0.content.0: no", ""),
            ("Invalid value", "see messages[0].content[0] there"),
            ("messages.0.content.0: no", "messages[1].content[0]"),
        ] {
            assert_eq!(paths(said, param, None), [], "{said} {param}");
        }
        let said = "messages.2.content.1: not allowed: \"messages.0.content.0\"";
        assert_eq!(paths(said, "", None), [of(2, Some(1), None)]);
    }

    #[test]
    fn what_names_no_content_is_no_place() {
        for said in [
            "messages.1: `tool_use` ids were found without `tool_result` blocks",
            "messages: roles must alternate",
            "messages.0.role: unexpected",
            "messages.content.0",
            "tool_messages.0.content.1",
            "99 messages. Content 1",
            "messages.99999999999999999999999.content.1",
        ] {
            assert_eq!(paths(said, said, None), [], "{said}");
        }
    }

    #[test]
    fn several_places_are_each_taken_once() {
        let details = json!({"paths": ["messages.0.content.1", "messages.2.content.0.content.1", 7]});
        let said = "messages.0.content.1: too large; messages.0.content.3: too large";
        let found = paths(said, "", Some(&details));
        assert_eq!(found, [of(0, Some(1), None), of(2, Some(0), Some(1))]);
        let many: Vec<_> = (0..200).map(|at| format!("messages.{}.content.0", at % 150)).collect();
        assert_eq!(paths("", "", Some(&json!({ "paths": many }))).len(), PATHS);
    }
}
