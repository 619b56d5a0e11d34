//! The built-in script of `heddle-demo`: needs no network, always answers the same, and says what it is.
//!
//! With tools on offer it calls the first, once a turn, and then reports what it can see in the result;
//! without tools it counts what it was told. With agents to call it gives each its task: the line of the
//! message that begins with the agent's name and a colon, else the whole message.

use core::time::Duration;
use std::sync::Arc;

use protocol::{
    Object,
    content::ContentBlock,
    prompt::{
        AnswerBlock, AnswerDelta, AnswerStop, DeltaKind, MessagePart, ModelAnswer, Prompt, PromptMessage,
        ToolSpec,
    },
    roster::DelegationTool,
    routes::{OfferedModel, Route},
    usage::RequestTokens,
};
use serde_json::{Value, json};

/// What the script is called where nothing else is said.
const NAME: &str = "heddle-demo";
/// How another agent's message begins.
const LETTER: &str = "Message from ";
/// Agents that are started at most.
const AGENTS: usize = 4;
/// Between two words, so that a person sees them flow.
const PACE: Duration = Duration::from_millis(40);
/// Most characters of a quoted line.
const QUOTE_CHARS: usize = 120;
/// Parts of a property's name that make it a place for a file's name.
const FILE_LIKE: [&str; 3] = ["path", "file", "name"];

/// The script has one name: the route's own, or if that is a pattern, the one it is known by.
pub(crate) fn offered(route: &Route) -> Vec<OfferedModel> {
    let name = if route.pattern.ends_with('*') { NAME } else { &route.pattern };
    let answers = route.answers(name);
    answers
        .then(|| OfferedModel { id: name.to_owned(), display_name: None, created_at: None })
        .into_iter()
        .collect()
}

/// Answers the prompt word by word.
pub(crate) async fn ask(prompt: &Prompt, deltas: &mut (dyn FnMut(AnswerDelta) + Send)) -> ModelAnswer {
    let answer = script(prompt);
    for (index, block) in answer.blocks.iter().enumerate() {
        match block {
            AnswerBlock::Text { text } => {
                deltas(AnswerDelta::Start { index, kind: DeltaKind::Text });
                for word in text.split_inclusive(char::is_whitespace) {
                    tokio::time::sleep(PACE).await;
                    deltas(AnswerDelta::Text { index, text: word.to_owned() });
                }
            }
            AnswerBlock::ToolUse { .. } => deltas(AnswerDelta::Start { index, kind: DeltaKind::ToolUse }),
            AnswerBlock::Thinking { .. } => deltas(AnswerDelta::Start { index, kind: DeltaKind::Thinking }),
        }
    }
    answer
}

/// The whole answer, at once.
fn script(prompt: &Prompt) -> ModelAnswer {
    let parts = prompt.messages.last().map_or(&[][..], |message| message.parts.as_slice());
    let said = texts(parts);
    let results: Vec<String> = parts.iter().filter_map(|part| seen(part, &prompt.messages)).collect();
    let own = |tool: &&Arc<ToolSpec>| DelegationTool::named(&tool.name).is_none();
    let leads = prompt
        .tools
        .iter()
        .find(|tool| DelegationTool::named(&tool.name) == Some(DelegationTool::CreateAgent));
    let (text, calls) = match (leads, prompt.tools.iter().find(own)) {
        (Some(_), _) if said.starts_with(LETTER) => (heard(&said), Vec::new()),
        (Some(_), _) if !results.is_empty() => (started(results.len()), Vec::new()),
        (None, _) if !results.is_empty() => (reported(&results, &said), Vec::new()),
        (Some(create), _) => delegated(create, &said, &prompt.messages),
        (None, Some(tool)) => call(tool, &said, &prompt.messages),
        (None, None) => (echoed(&said), Vec::new()),
    };
    let stop = if calls.is_empty() { AnswerStop::EndTurn } else { AnswerStop::ToolUse };
    let tokens = RequestTokens { input: words_of(prompt), output: words(&text), ..RequestTokens::default() };
    let blocks = core::iter::once(AnswerBlock::Text { text }).chain(calls).collect();
    ModelAnswer { blocks, stop, tokens, opaque: None }
}

/// Gives each agent that may be called its task.
fn delegated(create: &ToolSpec, said: &str, history: &[Arc<PromptMessage>]) -> (String, Vec<AnswerBlock>) {
    let names =
        create.input_schema.get("properties").and_then(|properties| properties.pointer("/agent/enum"));
    let names = names.and_then(Value::as_array).into_iter().flatten().filter_map(Value::as_str);
    let others: Vec<&str> = names.filter(|name| *name != "self").take(AGENTS).collect();
    let calls = others.iter().enumerate().map(|(index, name)| {
        let task = task(said, name).unwrap_or(said);
        let input = json!({"agent": name, "task": task});
        let input = Some(input.as_object().cloned().unwrap_or_default());
        AnswerBlock::ToolUse { id: next_id(history, index), name: create.name.clone(), input }
    });
    let text = format!(
        "I am heddle-demo, a built-in script and not a language model. I give each of my agents its task: {}.",
        others.join(", ")
    );
    (text, calls.collect())
}

/// The task of an agent: the rest of the line that begins with its name and a colon.
fn task<'a>(said: &'a str, name: &str) -> Option<&'a str> {
    let rest = |line: &'a str| line.trim().strip_prefix(name)?.strip_prefix(':').map(str::trim);
    said.lines().find_map(rest).filter(|task| !task.is_empty())
}

fn started(many: usize) -> String {
    match many {
        1 => "I have started one agent. Its report will come as a message.".to_owned(),
        many => format!("I have started {many} agents. Their reports will come as messages."),
    }
}

/// What came in letters: "Message from NAME (ID):", then what NAME says.
fn heard(said: &str) -> String {
    let letters = said.split(LETTER).filter(|letter| !letter.trim().is_empty()).map(|letter| {
        let name = letter.split(" (").next().unwrap_or_default();
        let words = letter.split_once("):").map(|(_, words)| words).unwrap_or_default();
        format!("{name} reports: “{}”", first_line(words))
    });
    letters.collect::<Vec<_>>().join(" ")
}

fn echoed(said: &str) -> String {
    if said.is_empty() {
        return "I am heddle-demo, a built-in script and not a language model. I see no text to answer."
            .to_owned();
    }
    format!(
        "I am heddle-demo, a built-in script and not a language model. Your message has {}. It begins: “{}”",
        counted(said),
        first_line(said)
    )
}

fn call(tool: &ToolSpec, said: &str, history: &[Arc<PromptMessage>]) -> (String, Vec<AnswerBlock>) {
    let input = input(&tool.input_schema, said);
    let text = format!(
        "I am heddle-demo, a built-in script and not a language model. I call `{}` with {}.",
        tool.name,
        quoted(&Value::Object(input.clone()).to_string())
    );
    let id = next_id(history, 0);
    (text, vec![AnswerBlock::ToolUse { id, name: tool.name.clone(), input: Some(input) }])
}

/// Calls are numbered through the history, so that no id comes twice.
fn next_id(history: &[Arc<PromptMessage>], further: usize) -> String {
    let parts = history.iter().flat_map(|message| &message.parts);
    let earlier = parts.filter(|part| matches!(part, MessagePart::ToolUse { .. }));
    format!("toolu_demo_{}", earlier.count() + further + 1)
}

/// What a tool's result says, in one sentence or two.
fn seen(part: &MessagePart, history: &[Arc<PromptMessage>]) -> Option<String> {
    let MessagePart::ToolResult { id, content, is_error } = part else { return None };
    let calls = history.iter().rev().flat_map(|message| &message.parts);
    let mut names = calls.filter_map(|part| match part {
        MessagePart::ToolUse { id: other, name, .. } if other == id => Some(name.as_str()),
        MessagePart::ToolUse { .. }
        | MessagePart::Content(_)
        | MessagePart::Thinking(_)
        | MessagePart::Beside { .. }
        | MessagePart::ToolResult { .. } => None,
    });
    let name = names.next().unwrap_or("the tool");
    let text = blocks(content.iter());
    Some(if *is_error {
        format!("`{name}` failed: “{}”", first_line(&text))
    } else if text.trim().is_empty() {
        format!("`{name}` gave no text.")
    } else {
        format!("`{name}` gave {}. The first line is: “{}”", counted(&text), first_line(&text))
    })
}

fn reported(results: &[String], said: &str) -> String {
    let meanwhile = match first_line(said) {
        line if line.is_empty() => String::new(),
        line => format!(" Meanwhile you wrote: “{line}”"),
    };
    format!("{}{meanwhile} A script sees no more than that; a language model would.", results.join(" "))
}

fn blocks<'a>(blocks: impl Iterator<Item = &'a ContentBlock>) -> String {
    let texts: Vec<&str> = blocks
        .filter_map(|block| match block {
            ContentBlock::Text { text } => Some(text.as_str()),
            ContentBlock::Image { .. }
            | ContentBlock::Document { .. }
            | ContentBlock::SearchResult { .. }
            | ContentBlock::Redacted => None,
        })
        .collect();
    texts.join("\n")
}

fn texts(parts: &[MessagePart]) -> String {
    blocks(parts.iter().filter_map(|part| match part {
        MessagePart::Content(block) => Some(block),
        MessagePart::Thinking(_)
        | MessagePart::Beside { .. }
        | MessagePart::ToolUse { .. }
        | MessagePart::ToolResult { .. } => None,
    }))
    .trim()
    .to_owned()
}

fn words(text: &str) -> u64 {
    text.split_whitespace().count() as u64
}

fn words_of(prompt: &Prompt) -> u64 {
    let part = |part: &MessagePart| match part {
        MessagePart::Content(block) => words(&blocks([block].into_iter())),
        MessagePart::ToolResult { content, .. } => words(&blocks(content.iter())),
        MessagePart::Thinking(_) | MessagePart::Beside { .. } | MessagePart::ToolUse { .. } => 0,
    };
    let history = prompt.messages.iter().flat_map(|message| &message.parts).map(part).sum::<u64>();
    history + prompt.system.as_deref().map_or(0, words)
}

fn counted(text: &str) -> String {
    let number =
        |count: usize, one: &str| if count == 1 { format!("1 {one}") } else { format!("{count} {one}s") };
    let words = text.split_whitespace().count();
    format!(
        "{}, {} and {}",
        number(text.lines().count(), "line"),
        number(words, "word"),
        number(text.chars().count(), "character")
    )
}

/// The first line with something on it.
fn first_line(text: &str) -> String {
    quoted(text.lines().map(str::trim).find(|line| !line.is_empty()).unwrap_or_default())
}

fn quoted(text: &str) -> String {
    match text.char_indices().nth(QUOTE_CHARS) {
        Some((end, _)) => format!("{}…", text.get(..end).unwrap_or_default()),
        None => text.to_owned(),
    }
}

/// An input that the schema can accept: what is required (the first if nothing is, everything if the schema
/// does not say), and any place for a file's name.
fn input(schema: &Object, said: &str) -> Object {
    let required: Option<Vec<&str>> = schema
        .get("required")
        .and_then(Value::as_array)
        .map(|names| names.iter().filter_map(Value::as_str).collect());
    let wanted = |index: usize, name: &str| match required.as_deref() {
        None => true,
        Some([]) => index == 0,
        Some(required) => required.contains(&name),
    };
    let properties = schema.get("properties").and_then(Value::as_object).into_iter().flatten();
    let chosen =
        properties.enumerate().filter(|(index, (name, _))| wanted(*index, name) || is_file_like(name));
    chosen.map(|(_, (name, property))| (name.clone(), value(name, property, said))).collect()
}

fn is_file_like(name: &str) -> bool {
    let name = name.to_ascii_lowercase();
    FILE_LIKE.iter().any(|part| name.contains(part))
}

fn value(name: &str, property: &Value, said: &str) -> Value {
    let listed = property.get("enum").and_then(Value::as_array).and_then(|values| values.first());
    if let Some(value) = property.get("const").or(property.get("default")).or(listed) {
        return value.clone();
    }
    let kind = match property.get("type") {
        Some(Value::Array(kinds)) => kinds.iter().filter_map(Value::as_str).find(|kind| *kind != "null"),
        other => other.and_then(Value::as_str),
    };
    match kind {
        Some("integer" | "number") => property.get("minimum").cloned().unwrap_or(json!(1)),
        Some("boolean") => json!(false),
        Some("array") => json!([]),
        Some("object") => {
            Value::Object(property.as_object().map(|schema| input(schema, said)).unwrap_or_default())
        }
        Some("null") => Value::Null,
        Some(_) | None if is_file_like(name) => json!(file_in(said).unwrap_or(said)),
        Some(_) | None => json!(said),
    }
}

/// The first word that looks like a file: one in backquotes, else one with an extension, else a path.
fn file_in(said: &str) -> Option<&str> {
    let quoted =
        said.split('`').nth(1).filter(|word| !word.is_empty() && !word.contains(char::is_whitespace));
    let words = || {
        said.split_whitespace()
            .map(|word| {
                word.trim_matches(|c: char| !c.is_alphanumeric() && !"/._-~".contains(c))
                    .trim_end_matches('.')
            })
            .filter(|word| !word.contains("://"))
    };
    quoted
        .or_else(|| words().find(|word| has_extension(word)))
        .or_else(|| words().find(|word| word.contains('/')))
}

fn has_extension(word: &str) -> bool {
    word.rsplit_once('.').is_some_and(|(stem, extension)| {
        let letters = extension.bytes().all(|byte| byte.is_ascii_alphanumeric());
        stem.len() >= 2
            && (1..=8).contains(&extension.len())
            && letters
            && !extension.bytes().all(|b| b.is_ascii_digit())
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use protocol::prompt::MessageRole;
    use tokio::time::Instant;

    fn object(value: Value) -> Object {
        value.as_object().expect("an object").clone()
    }

    fn reader() -> ToolSpec {
        let input_schema = object(json!({
            "type": "object",
            "properties": {"path": {"type": "string"}, "encoding": {"type": "string"}},
            "required": ["path"],
        }));
        ToolSpec { name: "read_file".to_owned(), description: "Reads a file.".to_owned(), input_schema }
    }

    fn user(parts: Vec<MessagePart>) -> PromptMessage {
        PromptMessage { role: MessageRole::User, parts }
    }

    fn text(text: &str) -> MessagePart {
        MessagePart::Content(ContentBlock::text(text))
    }

    fn called(id: &str) -> PromptMessage {
        let input = object(json!({"path": "README.md"}));
        let call = MessagePart::ToolUse { id: id.to_owned(), name: "read_file".to_owned(), input };
        PromptMessage { role: MessageRole::Assistant, parts: vec![call] }
    }

    fn result(id: &str, result: &str, is_error: bool) -> MessagePart {
        MessagePart::ToolResult { id: id.to_owned(), content: vec![ContentBlock::text(result)], is_error }
    }

    fn prompt(tools: Vec<ToolSpec>, messages: Vec<PromptMessage>) -> Prompt {
        Prompt {
            model: "heddle-demo".to_owned(),
            system: Some("be brief".to_owned()),
            tools: tools.into_iter().map(Arc::new).collect(),
            messages: messages.into_iter().map(Arc::new).collect(),
            counted: None,
        }
    }

    #[test]
    fn with_a_tool_on_offer_it_calls_it_on_the_file_that_was_named() {
        let answer = script(&prompt(vec![reader()], vec![user(vec![text("How long is README.md?")])]));
        let text = "I am heddle-demo, a built-in script and not a language model. \
                    I call `read_file` with {\"path\":\"README.md\"}.";
        let input = Some(object(json!({"path": "README.md"})));
        assert_eq!(
            answer,
            ModelAnswer {
                blocks: vec![
                    AnswerBlock::Text { text: text.to_owned() },
                    AnswerBlock::ToolUse {
                        id: "toolu_demo_1".to_owned(),
                        name: "read_file".to_owned(),
                        input
                    },
                ],
                stop: AnswerStop::ToolUse,
                tokens: RequestTokens { input: 6, output: 16, ..RequestTokens::default() },
                opaque: None,
            }
        );
    }

    #[test]
    fn with_results_it_reports_what_it_sees_and_a_new_turn_calls_again() {
        let mut history = vec![
            user(vec![text("Read README.md")]),
            called("toolu_demo_1"),
            user(vec![result("toolu_demo_1", "\n# Heddle\ntwo words\n", false), text("quick!")]),
        ];
        let answer = script(&prompt(vec![reader()], history.clone()));
        let said = "`read_file` gave 3 lines, 4 words and 20 characters. The first line is: “# Heddle” \
                    Meanwhile you wrote: “quick!” A script sees no more than that; a language model would.";
        assert_eq!(answer.blocks, [AnswerBlock::Text { text: said.to_owned() }]);
        assert_eq!(answer.stop, AnswerStop::EndTurn);
        history.push(PromptMessage { role: MessageRole::Assistant, parts: vec![text(said)] });
        history.push(user(vec![text("Again: src/main.rs")]));
        let again = script(&prompt(vec![reader()], history));
        let input = Some(object(json!({"path": "src/main.rs"})));
        let call =
            AnswerBlock::ToolUse { id: "toolu_demo_2".to_owned(), name: "read_file".to_owned(), input };
        assert_eq!(again.blocks.last(), Some(&call));
    }

    #[test]
    fn a_failed_or_silent_result_is_told_as_such() {
        let told = |result: MessagePart| {
            let history = vec![user(vec![text("x")]), called("t"), user(vec![result])];
            script(&prompt(vec![reader()], history)).blocks
        };
        let ending = " A script sees no more than that; a language model would.";
        let said = |text: &str| vec![AnswerBlock::Text { text: format!("{text}{ending}") }];
        assert_eq!(told(result("t", "no such file", true)), said("`read_file` failed: “no such file”"));
        assert_eq!(told(result("t", "", false)), said("`read_file` gave no text."));
    }

    #[tokio::test(start_paused = true)]
    async fn without_tools_it_counts_and_speaks_at_a_pace_that_can_be_read() {
        let begun = Instant::now();
        let mut heard = Vec::new();
        let answer =
            ask(&prompt(vec![], vec![user(vec![text("hello you")])]), &mut |delta| heard.push(delta)).await;
        let said = "I am heddle-demo, a built-in script and not a language model. \
                    Your message has 1 line, 2 words and 9 characters. It begins: “hello you”";
        assert_eq!(answer.blocks, [AnswerBlock::Text { text: said.to_owned() }]);
        let mut expected = vec![AnswerDelta::Start { index: 0, kind: DeltaKind::Text }];
        let pieces =
            said.split_inclusive(' ').map(|word| AnswerDelta::Text { index: 0, text: word.to_owned() });
        expected.extend(pieces);
        assert_eq!(heard, expected);
        assert!(begun.elapsed() >= PACE * 25, "{:?}", begun.elapsed());
    }

    fn offered(name: &str, schema: Value) -> ToolSpec {
        ToolSpec { name: name.to_owned(), description: String::new(), input_schema: object(schema) }
    }

    fn create() -> ToolSpec {
        let agents = json!({"type": "string", "enum": ["writer", "reader", "self"]});
        offered("create_agent", json!({"type": "object", "properties": {"agent": agents, "task": {}}}))
    }

    #[test]
    fn with_agents_to_call_it_gives_each_its_line_and_then_says_what_they_report() {
        let said = text("Go on:\n writer: echo x > f\nreader:");
        let mut history = vec![user(vec![said])];
        let answer = script(&prompt(vec![create()], history.clone()));
        let call = |id: &str, agent: &str, task: &str| AnswerBlock::ToolUse {
            id: id.to_owned(),
            name: "create_agent".to_owned(),
            input: Some(object(json!({"agent": agent, "task": task}))),
        };
        let whole = "Go on:\n writer: echo x > f\nreader:";
        let calls = [call("toolu_demo_1", "writer", "echo x > f"), call("toolu_demo_2", "reader", whole)];
        assert_eq!((&answer.blocks[1..], answer.stop), (&calls[..], AnswerStop::ToolUse));
        history.push(called("toolu_demo_1"));
        history.push(user(vec![result("toolu_demo_1", "{}", false)]));
        let told = |history: &[PromptMessage]| script(&prompt(vec![create()], history.to_vec())).blocks;
        let said = |said: &str| vec![AnswerBlock::Text { text: said.to_owned() }];
        assert_eq!(told(&history), said("I have started one agent. Its report will come as a message."));
        let letters = "Message from writer (sthr_1):\ndone\nMessage from reader (sthr_2):\n\nx\ny";
        history.push(user(vec![text(letters)]));
        assert_eq!(told(&history), said("writer reports: “done” reader reports: “x”"));
    }

    #[test]
    fn an_agent_of_another_uses_its_own_tools_and_ends_with_its_report() {
        let bash = json!({"type": "object", "required": [], "properties": {
            "command": {"type": "string"}, "timeout_ms": {"type": "integer", "minimum": 1},
        }});
        let tools = vec![offered("bash", bash), offered("send_to_parent", json!({"type": "object"}))];
        let answer = script(&prompt(tools, vec![user(vec![text("cat f")])]));
        let input = Some(object(json!({"command": "cat f"})));
        let call = AnswerBlock::ToolUse { id: "toolu_demo_1".to_owned(), name: "bash".to_owned(), input };
        assert_eq!(answer.blocks.last(), Some(&call));
        let alone = vec![offered("send_to_parent", json!({"type": "object"}))];
        assert_eq!(script(&prompt(alone, vec![user(vec![text("x")])])).stop, AnswerStop::EndTurn);
    }

    #[test]
    fn an_input_fits_its_schema() {
        let schema = object(json!({"type": "object", "properties": {
            "query": {"type": "string"},
            "file_name": {"type": ["null", "string"]},
            "mode": {"enum": ["fast", "slow"]},
            "count": {"type": "integer", "minimum": 3},
            "deep": {"type": "boolean"},
            "tags": {"type": "array"},
            "inner": {"type": "object", "properties": {"path": {"type": "string"}}},
            "size": {"type": "number", "default": 2.5},
        }}));
        assert_eq!(
            Value::Object(input(&schema, "see notes.txt now")),
            json!({"query": "see notes.txt now", "file_name": "notes.txt", "mode": "fast", "count": 3,
                "deep": false, "tags": [], "inner": {"path": "notes.txt"}, "size": 2.5})
        );
        assert_eq!(input(&object(json!({"type": "object"})), "x"), Object::new());
    }

    #[test]
    fn the_word_that_looks_like_a_file_is_found() {
        assert_eq!(file_in("What is in (docs/notes.md)?"), Some("docs/notes.md"));
        assert_eq!(file_in("Read Cargo.toml."), Some("Cargo.toml"));
        assert_eq!(file_in("Read `LICENSE` e.g. now"), Some("LICENSE"));
        assert_eq!(file_in("Look into ./src please, at 3.5 or https://a.example/x.html"), Some("./src"));
        assert_eq!(file_in("Nothing here."), None);
    }
}
