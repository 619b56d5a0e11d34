//! The places of a request that a provider names as what it refuses.

use serde_json::Value;

/// Most places that are taken from one refusal.
const PATHS: usize = 100;
/// What stands between the steps of a place, in whatever notation.
const BETWEEN: [char; 5] = ['.', '[', ']', '/', '\''];

/// A place among the messages of a request's body.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Path {
    /// Which message.
    pub(crate) message: usize,
    /// Which entry of its content; `None`: its content as a whole.
    pub(crate) content: Option<usize>,
    /// Which entry of that entry's own content, if it is a tool's result.
    pub(crate) inner: Option<usize>,
}

/// The places that a refusal names: in its sentence, as its parameter, or in a list beside both.
pub(crate) fn paths(message: &str, param: &str, details: Option<&Value>) -> Vec<Path> {
    let listed = details.and_then(|details| details.get("paths")).and_then(Value::as_array);
    let listed = listed.into_iter().flatten().filter_map(Value::as_str);
    let mut found: Vec<Path> = Vec::new();
    for path in [param, message].into_iter().chain(listed).flat_map(in_text) {
        if found.len() < PATHS && !found.contains(&path) {
            found.push(path);
        }
    }
    found
}

fn in_text(text: &str) -> impl Iterator<Item = Path> {
    const ROOT: &str = "messages";
    text.match_indices(ROOT).filter_map(move |(at, _)| {
        let is_word = text.get(..at)?.ends_with(|letter: char| letter.is_alphanumeric() || letter == '_');
        if is_word { None } else { path(text.get(at + ROOT.len()..)?) }
    })
}

/// A place whose steps follow. One that names no content is of a message's order or role: leaving out what
/// the message says would not mend it.
fn path(rest: &str) -> Option<Path> {
    let step = |letter: char| letter.is_ascii_alphanumeric() || letter == '_' || BETWEEN.contains(&letter);
    let end = rest.find(|letter| !step(letter)).unwrap_or(rest.len());
    let rest = rest.get(..end)?;
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
    Some(Path { message, content, inner: inner.filter(|_| content.is_some()) })
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    fn of(message: usize, content: Option<usize>, inner: Option<usize>) -> Path {
        Path { message, content, inner }
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
            assert_eq!(paths("", said, None), [path], "{said}");
        }
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
        assert_eq!(found, [of(0, Some(1), None), of(0, Some(3), None), of(2, Some(0), Some(1))]);
        let many = "messages.0.content.1 messages.1.content.1 ".repeat(200)
            + &(0..200).map(|at| format!("messages.{at}.content.0 ")).collect::<Vec<_>>().concat();
        assert_eq!(paths(&many, "", None).len(), PATHS);
    }
}
