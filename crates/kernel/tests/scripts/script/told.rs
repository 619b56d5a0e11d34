//! How facts, the state that they leave and histories are written, a line each.

use std::fmt::Write as _;

use kernel::{Fact, FactContent, Want, status, wants};
use protocol::Timestamp;
use protocol::prompt::{MessagePart, MessageRole, ProviderMember, Toolbox};
use serde_json::{Value, json};

use super::names::Names;
use super::stage::{START, Stage};

/// A fact; one of a child begins with its mark.
pub(crate) fn line(stage: &Stage, fact: &Fact) -> String {
    let place = stage.names.place(fact.thread);
    let whose = if place > 0 { format!("@{place} ") } else { String::new() };
    let stored = serde_json::to_value(fact).expect("written");
    let note = &stored["note"];
    let mut line = match note["kind"].as_str() {
        Some(kind) => format!("note {kind}{}", noted(note)),
        None => said(&stored["event"], &stored["private"]),
    };
    if let FactContent::Event { event, .. } = &fact.what
        && stage.was_queued(event.id)
    {
        line.push_str(" (was queued)");
    }
    format!("{whose}{}", stage.names.write(&line, place))
}

/// What the session prints, and what is wanted of the outside now.
pub(crate) fn state(stage: &Stage) -> String {
    let names = &stage.names;
    let printed = status::session(&stage.session);
    let mut state = vec![printed.status().name().to_owned()];
    state.extend(printed.stop_reason().map(|stop| pending(&serde_json::to_value(stop).expect("written"))));
    let mut wanted: Vec<_> = wants(&stage.session).into_iter().map(|want| wanted(names, want)).collect();
    wanted.sort();
    state.extend(wanted.into_iter().map(|(_, want)| want));
    let queued = stage.session.queued().count();
    if queued > 0 {
        state.push(format!("{queued} queued"));
    }
    names.write(&state.join(", "), 0)
}

/// The place of the thread that wants it, and what it wants.
fn wanted(names: &Names, want: Want) -> (usize, String) {
    match want {
        Want::Ask { request, thread } => {
            let place = names.place(thread);
            assert_eq!((names.word(request), names.owner(request)), ("ask", place));
            (place, names.write(&request.to_string(), 0))
        }
        Want::Run { call, runner, thread } => {
            let place = names.place(thread);
            assert_eq!((names.word(call), names.owner(call)), (runner.name(), place));
            (place, names.write(&format!("run {call}"), 0))
        }
        Want::Wake { at, thread } => {
            let place = names.place(thread);
            let whose = if place > 0 { format!("@{place}") } else { String::new() };
            (place, format!("wake{whose} {}", after(at)))
        }
    }
}

/// What a thread's model reads, a message a line.
pub(crate) fn history(stage: &Stage, place: usize) -> String {
    let mut told = String::new();
    let cast = stage.session.cast(stage.names.threads()[place]).expect("a thread");
    for message in &stage.transcripts[place].prompt(&cast, &Toolbox::plain()).messages {
        let role = match message.role {
            MessageRole::User => "user",
            MessageRole::Assistant => "assistant",
        };
        let parts: Vec<_> = message.parts.iter().map(part).collect();
        writeln!(told, "{role}: {}", parts.join(" | ")).expect("written");
    }
    stage.names.write(&told, place)
}

fn part(part: &MessagePart) -> String {
    match part {
        MessagePart::Content(block) => quoted(&json!([block])),
        MessagePart::Thinking(thought) => {
            let from = thought.from.as_ref().map(|from| format!(" of {}", from.route)).unwrap_or_default();
            format!("thinking {}{from}", thought.raw["thinking"])
        }
        MessagePart::Beside { from, beside: ProviderMember { call, name, json } } => {
            let call = call.as_ref().map(|call| format!("{call} ")).unwrap_or_default();
            format!("beside {call}{name} {json} of {}", from.route)
        }
        MessagePart::ToolUse { id, name, input } => {
            format!("call {id} {name} {}", Value::Object(input.clone()))
        }
        MessagePart::ToolResult { id, content, is_error } => {
            let error = if *is_error { " error" } else { "" };
            format!("result {id}{error} {}", quoted(&json!(content)))
        }
    }
}

/// What a note says behind its kind.
fn noted(note: &Value) -> String {
    let until = note["until"].as_str().and_then(|until| until.parse().ok());
    let mut line = until.map(|until| format!(" {}", after(until))).unwrap_or_default();
    line.push_str(&words(&note["event"]));
    for field in ["call", "event", "end"] {
        if let Some(about) = note[field].as_str() {
            write!(line, " {about}").expect("written");
        }
    }
    for piece in note["pieces"].as_array().into_iter().flatten() {
        write!(line, " {}", piece["event"].as_str().expect("an event")).expect("written");
        if piece["block"].is_u64() {
            write!(line, " block {}", piece["block"]).expect("written");
        }
    }
    if let Some(reason) = note["reason"].as_str() {
        write!(line, ": {reason}").expect("written");
    }
    if note["input"].is_object() {
        write!(line, " {}", note["input"]).expect("written");
    }
    line.push_str(if note["is_error"] == true { " error" } else { "" });
    line.push_str(&words(note));
    line
}

/// An event: its type, its name if others refer to it, and the fields that matter.
fn said(event: &Value, private: &Value) -> String {
    let (kind, id) = (event["type"].as_str().expect("a type"), event["id"].as_str().expect("an id"));
    let mut line = kind.to_owned();
    if kind == "span.model_request_start" || event["name"].is_string() {
        write!(line, " {id}").expect("written");
    }
    let fields = [
        ("", "custom_tool_use_id"),
        ("", "tool_use_id"),
        ("", "model_request_start_id"),
        ("", "session_thread_id"),
        ("from ", "from_session_thread_id"),
        ("from ", "from_agent_name"),
        ("to ", "to_session_thread_id"),
        ("to ", "to_agent_name"),
    ];
    for (word, field) in fields {
        if let Some(about) = event[field].as_str() {
            write!(line, " {word}{about}").expect("written");
        }
    }
    line.push_str(&words(event));
    line.push_str(&details(event, private));
    line
}

fn details(event: &Value, private: &Value) -> String {
    let mut line = String::new();
    if let Some(told) = private["told"]["as"].as_str() {
        write!(line, " as {told}").expect("written");
    }
    if event["name"].is_string() {
        write!(line, " {}", event["input"]).expect("written");
    }
    match (event["evaluated_permission"].as_str(), event["evaluation"]["type"].as_str()) {
        (Some("allow"), Some("always_allow")) => line.push_str(" allowed"),
        (Some("ask"), Some("always_ask")) => line.push_str(" asked"),
        (Some("deny"), None) => line.push_str(" denied"),
        (None, None) => {}
        odd => panic!("{odd:?} do not go together"),
    }
    if let Some(result) = event["result"].as_str() {
        write!(line, " {result} {}", event["deny_message"]).expect("written");
    }
    if let Some(how) = private["ending"]["how"].as_str() {
        write!(line, " {how}").expect("written");
    }
    if private["held"] == true {
        line.push_str(" held");
    }
    if event["is_error"] == true {
        line.push_str(" error");
    }
    if event["stop_reason"].is_object() {
        write!(line, " {}", pending(&event["stop_reason"])).expect("written");
    }
    if let Some(details) = event["stop_details"].as_object() {
        write!(line, " {}", details["category"]).expect("written");
        if let Some(why) = details["explanation"].as_str() {
            write!(line, ": {why}").expect("written");
        }
    }
    let error = &event["error"];
    if let (Some(kind), Some(retry)) = (error["type"].as_str(), error["retry_status"]["type"].as_str()) {
        write!(line, " {kind}, {retry}: {}", error["message"]).expect("written");
    }
    if let Some(usage) = event["usage"].as_object() {
        let active = usage["active_seconds"].as_f64().expect("seconds");
        write!(line, " {} in, {} out, {active:.1} s", usage["input_tokens"], usage["output_tokens"])
            .expect("written");
    }
    if event["type"] == "session.updated" {
        line.push_str(&updated(event, private));
    }
    line
}

fn updated(event: &Value, private: &Value) -> String {
    let mut line = String::new();
    for (what, new) in [("title", event.get("title")), ("metadata", event.get("metadata"))] {
        write!(line, "{}", new.map(|new| format!(" {what} {new}")).unwrap_or_default()).expect("written");
        if private[what] == true {
            write!(line, " {what} cleared").expect("written");
        }
    }
    if let Some(tools) = event["agent"]["tools"].as_array() {
        let names: Vec<_> = tools.iter().map(|tool| tool["name"].clone()).collect();
        write!(line, " tools {}", json!(names)).expect("written");
    }
    line
}

fn pending(stop: &Value) -> String {
    let ids = stop["event_ids"].as_array().into_iter().flatten().filter_map(Value::as_str);
    std::iter::once(stop["type"].as_str().expect("a type")).chain(ids).collect::<Vec<_>>().join(" ")
}

fn words(event: &Value) -> String {
    let said = quoted(&event["content"]);
    if said.is_empty() { said } else { format!(" {said}") }
}

fn quoted(content: &Value) -> String {
    let blocks = content.as_array().into_iter().flatten();
    let text = |block: &Value| match block["text"].as_str() {
        Some(text) if text.len() > 200 => format!("({} characters)", text.len()),
        Some(text) => format!("{text:?}"),
        None => block.to_string(),
    };
    blocks.map(text).collect::<Vec<_>>().join(" ")
}

/// A time as seconds since the session was opened.
fn after(at: Timestamp) -> String {
    format!("at {:.3} s", at.since(START).as_secs_f64())
}
