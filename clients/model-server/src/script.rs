//! Scripts: what the server is told to answer, found in the history itself, so that it survives any kill.
//!
//! The last user message with a text that begins with `script:` decides. JSON follows: a list of steps;
//! the number of assistant messages after that message is the index of the step to play.
//! In a call's input `"$thread:0"` stands for the first thread whose id the history tells, be it in a
//! tool's result or in a letter; `"$thread:1"` for the next one.

use serde::Deserialize;
use serde_json::{Map, Value};

/// What stands for a thread's id in an input, before its number.
const THREAD: &str = "$thread:";

/// One answer. Every key may stand beside any other; an unknown key is a mistake.
#[derive(Debug, Clone, Default, PartialEq, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub(crate) struct ScriptStep {
    /// A thinking block to begin with; this server signs it.
    pub(crate) thinking: Option<String>,
    /// A redacted thinking block with this in its data.
    pub(crate) redacted: Option<String>,
    /// The text; `""` is no text block at all. Default `ok` when the step has no other block.
    pub(crate) text: Option<String>,
    /// Into how many deltas the text is split (default 1).
    pub(crate) chunks: Option<usize>,
    /// The calls after the text.
    pub(crate) tools: Vec<ScriptCall>,
    /// A call of this tool whose input is cut off in the middle; `stop` is `max_tokens` unless given.
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
    pub(crate) then: Option<Box<ScriptStep>>,
}

impl ScriptStep {
    /// The message of its failure.
    pub(crate) fn why(&self) -> &str {
        self.message.as_deref().unwrap_or("as the script says")
    }

    /// Its text, if need be `ok`. `thought`: whether something stands before it.
    pub(crate) fn said(&self, thought: bool) -> &str {
        let silent = thought || !self.tools.is_empty() || self.bad_json_tool.is_some();
        self.text.as_deref().unwrap_or(if silent { "" } else { "ok" })
    }
}

/// One call of a tool.
#[derive(Debug, Clone, Default, PartialEq, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct ScriptCall {
    /// The tool.
    pub(crate) name: String,
    /// Its input.
    #[serde(default)]
    pub(crate) input: Map<String, Value>,
}

/// A message of either wire, as far as a script looks at it.
pub(crate) trait SaidMessage {
    /// Whether the model said it.
    fn is_answer(&self) -> bool;

    /// What the person says in it.
    fn texts(&self) -> Vec<&str>;

    /// What its texts say, those of tools' results before those of the person.
    fn every_text(&self) -> Vec<&str>;
}

/// The step that the history asks for; the plain `ok` without a script or after its end.
pub(crate) fn step(messages: &[impl SaidMessage]) -> Result<ScriptStep, String> {
    let mut answered = 0;
    for message in messages.iter().rev() {
        if message.is_answer() {
            answered += 1;
            continue;
        }
        let texts = message.texts();
        if let Some(script) = texts.iter().rev().find_map(|text| text.strip_prefix("script:")) {
            return fill(pick(script, answered)?, messages);
        }
    }
    Ok(ScriptStep::default())
}

fn pick(script: &str, place: usize) -> Result<ScriptStep, String> {
    let mut values = serde_json::Deserializer::from_str(script).into_iter::<Vec<ScriptStep>>();
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

/// Puts the ids of threads, which only the running session knows, into the inputs that want them.
fn fill(mut step: ScriptStep, messages: &[impl SaidMessage]) -> Result<ScriptStep, String> {
    for value in step.tools.iter_mut().flat_map(|call| call.input.values_mut()) {
        let Some(place) = value.as_str().and_then(|text| text.strip_prefix(THREAD)) else {
            continue;
        };
        let known = threads(messages);
        let id = place.parse().ok().and_then(|place: usize| known.get(place));
        *value = Value::from(*id.ok_or_else(|| format!("the history tells of no `{THREAD}{place}`"))?);
    }
    if let Some(then) = step.then.take() {
        step.then = Some(Box::new(fill(*then, messages)?));
    }
    Ok(step)
}

/// The ids of threads that the user's side of the history tells, each once, in their order.
fn threads(messages: &[impl SaidMessage]) -> Vec<&str> {
    let mut known = Vec::new();
    for text in messages.iter().filter(|message| !message.is_answer()).flat_map(SaidMessage::every_text) {
        for (at, prefix) in text.match_indices("sthr_") {
            let rest = &text[at..];
            let end = rest[prefix.len()..].find(|c: char| !c.is_ascii_alphanumeric());
            let id = end.map_or(rest, |end| &rest[..prefix.len() + end]);
            if !known.contains(&id) {
                known.push(id);
            }
        }
    }
    known
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::request::LooseMessage;
    use serde_json::json;

    fn played(messages: &Value) -> Result<ScriptStep, String> {
        let body = messages.to_string();
        let messages: Vec<LooseMessage<'_>> = serde_json::from_str(&body).expect("readable messages");
        step(&messages)
    }

    fn text(text: &str) -> ScriptStep {
        ScriptStep { text: Some(text.to_owned()), ..ScriptStep::default() }
    }

    #[test]
    fn the_step_is_the_number_of_answers_since_the_last_script() {
        let script = json!({"role": "user", "content": [
            {"type": "text", "text": "script:[{\"text\":\"a\"},{\"tools\":[{\"name\":\"t\"}]}] and more"}]});
        let answer = json!({"role": "assistant", "content": "x"});
        let result = json!({"role": "user", "content": [{"type": "tool_result", "tool_use_id": "1"}]});
        assert_eq!(played(&json!([script])), Ok(text("a")));
        let call = ScriptStep {
            tools: vec![ScriptCall { name: "t".to_owned(), input: Map::new() }],
            ..ScriptStep::default()
        };
        assert_eq!(played(&json!([script, answer, result])), Ok(call));
        assert_eq!(played(&json!([script, answer, result, answer, result])), Ok(ScriptStep::default()));
        assert_eq!(played(&json!([script, answer, script])), Ok(text("a")));
        assert_eq!(played(&json!([{"role": "user", "content": "hello"}])), Ok(ScriptStep::default()));
    }

    #[test]
    fn a_thread_is_named_by_the_place_where_the_history_first_tells_its_id() {
        let told = |wanted: &str| {
            let calls = json!([{}, {"tools": [{"name": "send_to_agent", "input": {"thread_id": wanted}}]}]);
            played(&json!([
                {"role": "user", "content": format!("script:{calls}")},
                {"role": "assistant", "content": [{"type": "text", "text": "sthr_not"}]},
                {"role": "user", "content": [
                    {"type": "tool_result", "tool_use_id": "1", "content": [
                        {"type": "text", "text": "{\"thread_id\":\"sthr_A1\",\"agent\":\"spinner\"}"}]},
                    {"type": "tool_result", "tool_use_id": "2", "content": "sthr_A1 and sthr_B2"},
                    {"type": "text", "text": "Message from dyer (sthr_C3):"}]},
            ]))
            .map(|step| step.tools[0].input["thread_id"].clone())
        };
        assert_eq!(
            ["$thread:0", "$thread:1", "$thread:2", "sthr_D4"].map(told),
            ["sthr_A1", "sthr_B2", "sthr_C3", "sthr_D4"].map(|id| Ok(json!(id)))
        );
        assert_eq!(told("$thread:3"), Err("the history tells of no `$thread:3`".to_owned()));
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
