//! Scripts: what the server is told to answer, found in the history itself, so that it survives any kill.
//!
//! The last user message with a text that begins with `script:` decides. JSON follows: a list of steps;
//! the number of assistant messages after that message is the index of the step to play.

use serde::Deserialize;
use serde_json::{Map, Value};

use crate::laws::Message;

/// One answer. Every key may stand beside any other; an unknown key is a mistake.
#[derive(Debug, Clone, Default, PartialEq, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub(crate) struct Step {
    /// A thinking block to begin with; this server signs it.
    pub(crate) thinking: Option<String>,
    /// A redacted thinking block with this in its data.
    pub(crate) redacted: Option<String>,
    /// The text; `""` is no text block at all. Default `ok` when the step has no other block.
    pub(crate) text: Option<String>,
    /// Into how many deltas the text is split (default 1).
    pub(crate) chunks: Option<usize>,
    /// The calls after the text.
    pub(crate) tools: Vec<Call>,
    /// A call of this tool whose input is cut off in the middle; stops with `max_tokens`.
    pub(crate) bad_json_tool: Option<String>,
    /// The stop reason; default `tool_use` when there are calls, else `end_turn`.
    pub(crate) stop: Option<String>,
    /// With `"stop": "refusal"`: its category.
    pub(crate) category: Option<String>,
    /// With `"stop": "refusal"`: its explanation.
    pub(crate) explanation: Option<String>,
    /// Usage fields over the counted ones; `output_tokens` is told at the end.
    pub(crate) usage: Map<String, Value>,
    /// Closes the connection after this many frames.
    pub(crate) cut_after: Option<usize>,
    /// Sends an error event of this type in place of the last two frames.
    pub(crate) error_event: Option<String>,
    /// Milliseconds between frames.
    pub(crate) delay_ms: Option<u64>,
    /// Holds the answer after its first text delta until `POST /release/NAME`.
    pub(crate) wait: Option<String>,
    /// Keeps the request that this step answers, for `GET /kept/NAME`.
    pub(crate) keep: Option<String>,
    /// Answers with this HTTP status instead.
    pub(crate) fail: Option<u16>,
    /// The message of the failure.
    pub(crate) message: Option<String>,
    /// The failure's `retry-after`, in seconds.
    pub(crate) retry_after: Option<u64>,
    /// How often this step is played before `then` is; counted by `key`.
    pub(crate) times: Option<u32>,
    /// What `times` is counted by, in this process's memory.
    pub(crate) key: Option<String>,
    /// What is played after `times`.
    pub(crate) then: Option<Box<Step>>,
}

/// One call of a tool.
#[derive(Debug, Clone, Default, PartialEq, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct Call {
    /// The tool.
    pub(crate) name: String,
    /// Its input.
    #[serde(default)]
    pub(crate) input: Map<String, Value>,
}

/// The step that the history asks for; the plain `ok` without a script or after its end.
pub(crate) fn step(messages: &[Message<'_>]) -> Result<Step, String> {
    let mut answered = 0;
    for message in messages.iter().rev() {
        if message.role == "assistant" {
            answered += 1;
            continue;
        }
        if let Some(script) = message.content.texts().filter_map(|text| text.strip_prefix("script:")).last() {
            return pick(script, answered);
        }
    }
    Ok(Step::default())
}

fn pick(script: &str, place: usize) -> Result<Step, String> {
    let mut values = serde_json::Deserializer::from_str(script).into_iter::<Vec<Step>>();
    match values.next() {
        Some(Ok(steps)) => match steps.into_iter().nth(place) {
            Some(step) if step.times.is_some() && (step.key.is_none() || step.then.is_none()) => {
                Err(format!("step {place} has `times` without `key` and `then`"))
            }
            step => Ok(step.unwrap_or_default()),
        },
        Some(Err(error)) => Err(error.to_string()),
        None => Err("nothing follows `script:`".to_owned()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    fn played(messages: &Value) -> Result<Step, String> {
        let body = messages.to_string();
        let messages: Vec<Message<'_>> = serde_json::from_str(&body).expect("readable messages");
        step(&messages)
    }

    fn text(text: &str) -> Step {
        Step { text: Some(text.to_owned()), ..Step::default() }
    }

    #[test]
    fn the_step_is_the_number_of_answers_since_the_last_script() {
        let script = json!({"role": "user", "content": [
            {"type": "text", "text": "script:[{\"text\":\"a\"},{\"tools\":[{\"name\":\"t\"}]}] and more"}]});
        let answer = json!({"role": "assistant", "content": "x"});
        let result = json!({"role": "user", "content": [{"type": "tool_result", "tool_use_id": "1"}]});
        assert_eq!(played(&json!([script])), Ok(text("a")));
        let call = Step { tools: vec![Call { name: "t".to_owned(), input: Map::new() }], ..Step::default() };
        assert_eq!(played(&json!([script, answer, result])), Ok(call));
        assert_eq!(played(&json!([script, answer, result, answer, result])), Ok(Step::default()));
        assert_eq!(played(&json!([script, answer, script])), Ok(text("a")));
        assert_eq!(played(&json!([{"role": "user", "content": "hello"}])), Ok(Step::default()));
    }

    #[test]
    fn a_script_with_a_mistake_is_refused() {
        let typo = played(&json!([{"role": "user", "content": "script:[{\"txet\":\"a\"}]"}]));
        assert!(typo.expect_err("a typo").contains("txet"));
        let lone = played(&json!([{"role": "user", "content": "script:[{\"fail\":529,\"times\":2}]"}]));
        assert_eq!(lone, Err("step 0 has `times` without `key` and `then`".to_owned()));
        assert_eq!(
            played(&json!([{"role": "user", "content": "script:"}])),
            Err("nothing follows `script:`".to_owned())
        );
    }
}
