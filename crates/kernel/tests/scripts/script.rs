//! The language of scripts: what each line does, and how the facts it makes are written.
//!
//! One line is one input; ` + ` joins the events of one request, `; ` the blocks of one answer. The first
//! line may be `open` with messages. `#n` is the event that first stood at position n of the log; `result 1`
//! answers the first call; `repeat 7 A then B` plays A and B seven times. Each input comes a second after
//! the one before. `fail CLASS naming 0.1 2.0.1` is a refusal that names a part of the last history, and a
//! block of a result in it.
//!
//! Threads are `primary`, then `child1`, `child2` in the order in which they were made. A line that begins
//! with `@1` is an outcome of child1; a fact of another thread than the primary is written with it. `archive
//! 1` archives child1, a tool's input may name one as `"child1"`, `interrupt 1` stops it.
//!
//! `again 1` is a result for a call that is not open: the log is searched for it first. What a line that
//! begins with `earlier` makes is kept as the first version would have kept it.

#![expect(clippy::expect_used, clippy::indexing_slicing, reason = "a script that does not play may panic")]

use std::collections::BTreeMap;
use std::fmt::Write as _;
use std::sync::Arc;
use std::time::Duration;

use kernel::{
    Change, Decision, Fact, Input, Moment, Opening, Piece, Refusal, Search, Seed, Session, Transcript, Tree,
    Want,
};
use kernel::{decide, fact, status, wants};
use protocol::agent::{AgentDefinition, Member, SessionAgent, SessionCoordinator, ThreadAgent};
use protocol::content::Block;
use protocol::event::{RefusalDetails, Verdict};
use protocol::input::ClientEvent;
use protocol::parse::Given;
use protocol::prompt::{
    Answer, AnswerBlock, AnswerStop, Beside, Failure, FailureClass, Opaque, Origin, Part, Role, Spot, Toolbox,
};
use protocol::roster::Errand;
use protocol::routes::Provider;
use protocol::tool::{Builtin, CustomTool, Policy, Tool, ToolConfig, ToolDefault, Toolset};
use protocol::usage::Tokens;
use protocol::{AgentId, EnvironmentId, EventId, SessionId, Stamp, ThreadId, limits};
use serde_json::{Value, json};

const THREAD: ThreadId = ThreadId::from_bits(2);
const START: Stamp = Stamp::from_micros(1_700_000_000_000_000);

/// Plays a script and writes what came of each line.
pub(crate) fn play(script: &str) -> String {
    play_as(agent(), Tree::default(), script)
}

/// The same with a coordinator, whose session may have so many threads.
pub(crate) fn play_team(tree: Tree, script: &str) -> String {
    play_as(coordinator(), tree, script)
}

fn play_as(agent: SessionAgent, tree: Tree, script: &str) -> String {
    let mut lines = script.lines().map(str::trim).filter(|line| !line.is_empty()).peekable();
    let opening = lines.next_if(|line| line.starts_with("open"));
    let mut stage = Stage::open(agent, tree, opening);
    for line in lines {
        match line.strip_prefix("repeat ").and_then(|rest| rest.split_once(' ')) {
            Some((times, line)) => stage.repeat(times.parse().expect("how often"), line),
            None => stage.line(line),
        }
    }
    stage.told
}

/// The last history that a script leaves, as a model reads it.
pub(crate) fn history(script: &str) -> String {
    let mut stage = Stage::open(agent(), Tree::default(), None);
    for line in script.lines().map(str::trim).filter(|line| !line.is_empty()) {
        stage.line(line);
    }
    stage.history(0)
}

/// The same of every thread of a coordinator's session.
pub(crate) fn histories(script: &str) -> String {
    let mut stage = Stage::open(coordinator(), Tree::default(), None);
    for line in script.lines().map(str::trim).filter(|line| !line.is_empty()) {
        stage.line(line);
    }
    let of = |thread: usize| stage.named(&format!("{}:\n{}", stage.threads[thread], stage.history(thread)));
    (0..stage.threads.len()).map(of).collect()
}

/// The whole of the last result that the coordinator's model is told.
pub(crate) fn last_result(script: &str) -> String {
    let mut stage = Stage::open(coordinator(), Tree::default(), None);
    for line in script.lines().map(str::trim).filter(|line| !line.is_empty()) {
        match line.strip_prefix("repeat ").and_then(|rest| rest.split_once(' ')) {
            Some((times, line)) => stage.repeat(times.parse().expect("how often"), line),
            None => stage.line(line),
        }
    }
    let last = stage.transcripts[0].messages().last().expect("a message");
    let content = last.parts.iter().rev().find_map(|part| match part {
        Part::ToolResult { content, .. } => Some(content),
        Part::Content(_) | Part::Thinking(_) | Part::Beside { .. } | Part::ToolUse { .. } => None,
    });
    stage.named(json!(content)[0]["text"].as_str().expect("a text"))
}

/// What each thread of a coordinator's session is offered beside its agent's own tools.
pub(crate) fn offers(tree: Tree, script: &str) -> String {
    let mut stage = Stage::open(coordinator(), tree, None);
    for line in script.lines().map(str::trim).filter(|line| !line.is_empty()) {
        stage.line(line);
    }
    let mut told = String::new();
    for (thread, transcript) in stage.threads.iter().zip(&stage.transcripts) {
        let cast = stage.session.cast(*thread).expect("a thread");
        let prompt = transcript.prompt(&cast, &Toolbox::plain());
        writeln!(told, "{thread}: {:?}", prompt.system).expect("written");
        for tool in prompt.tools.iter().filter(|tool| Errand::named(&tool.name).is_some()) {
            let (schema, about) = (Value::Object(tool.input_schema.clone()), &tool.description);
            writeln!(told, "{} {schema}\n{about}", tool.name).expect("written");
        }
    }
    stage.named(&told)
}

struct Stage {
    session: Session,
    /// The primary first.
    threads: Vec<ThreadId>,
    transcripts: Vec<Transcript>,
    now: Stamp,
    inputs: u128,
    /// The place where each id first stood.
    places: BTreeMap<String, u64>,
    calls: Vec<EventId>,
    facts: Vec<Fact>,
    requests: Vec<EventId>,
    told: String,
}

impl Stage {
    fn open(agent: SessionAgent, tree: Tree, line: Option<&str>) -> Self {
        let mut stage = Self {
            session: Session::new(SessionId::from_bits(1), Arc::new(agent)),
            threads: vec![THREAD],
            transcripts: vec![Transcript::new(THREAD)],
            now: START,
            inputs: 0,
            places: BTreeMap::new(),
            calls: Vec::new(),
            facts: Vec::new(),
            requests: Vec::new(),
            told: String::new(),
        };
        let said = line.and_then(|line| line.strip_prefix("open ")).unwrap_or_default();
        let opening = Opening {
            session: stage.session.id,
            thread: THREAD,
            agent: stage.session.agent.clone(),
            environment: EnvironmentId::from_bits(3),
            title: Some("a title".into()),
            metadata: BTreeMap::new(),
            tree,
            events: if said.is_empty() { Vec::new() } else { stage.events(said) },
        };
        let decision = kernel::open(opening, Moment { at: stage.now, seed: Seed::new(0) }).expect("opens");
        let facts = stage.apply(decision);
        if let Some(line) = line {
            stage.tell(line, &facts);
        }
        stage
    }

    fn line(&mut self, line: &str) {
        let earlier = line.strip_prefix("earlier ");
        match self.input(earlier.unwrap_or(line)) {
            Ok(decision) => {
                let decision = if earlier.is_some() { as_earlier(decision) } else { decision };
                let facts = self.apply(decision);
                self.tell(line, &facts);
            }
            Err(refusal) => {
                let path = refusal.path().map(|path| format!("{path}: ")).unwrap_or_default();
                let said = self.named(&format!("> {line}\n  refused: {path}{}\n", refusal.message()));
                self.told.push_str(&said);
            }
        }
    }

    /// The same lines again and again; what comes of it is not told.
    fn repeat(&mut self, times: u64, line: &str) {
        for _ in 0..times {
            for line in line.split(" then ") {
                let decision = self.input(line).expect("accepted");
                self.apply(decision);
            }
        }
        writeln!(self.told, "> {times} times {line}").expect("written");
    }

    fn input(&mut self, line: &str) -> Result<Decision, Refusal> {
        self.now = self.now.after(Duration::from_secs(1));
        self.inputs += 1;
        let seed = Seed::new(self.inputs);
        let names = self.threads.iter().enumerate().skip(1);
        let line = names.fold(line.to_owned(), |line, (place, id)| {
            line.replace(&format!("\"child{place}\""), &format!("\"{id}\""))
        });
        let (whose, line) = match line.strip_prefix('@').and_then(|line| line.split_once(' ')) {
            Some((child, line)) => (self.child(child), line),
            None => (THREAD, line.as_str()),
        };
        let (verb, rest) = line.split_once(' ').unwrap_or((line, ""));
        let input = match verb {
            "answer" => {
                let (rest, attempts) = attempts(rest);
                Input::Answered { thread: whose, request: self.asked(whose), answer: answer(rest), attempts }
            }
            "stale" => {
                let (rest, attempts) = attempts(rest);
                Input::Answered { thread: whose, request: self.requests[0], answer: answer(rest), attempts }
            }
            "fail" => {
                let (rest, attempts) = attempts(rest);
                let (rest, spots) = rest.split_once(" naming ").unwrap_or((rest, ""));
                let (request, named) = (self.asked(whose), self.named_pieces(whose, spots));
                Input::Failed { thread: whose, request, failure: failure(rest), named, attempts }
            }
            "woke" => {
                let until = self.until(whose);
                let early = Stamp::from_micros(until.micros() - 1);
                self.now = if rest == "early" { early } else { self.now.max(until) };
                Input::Woke { thread: whose, until }
            }
            "ran" => {
                let (number, rest) = rest.split_once(' ').unwrap_or((rest, ""));
                let text = rest.strip_prefix("error ").unwrap_or(rest);
                let call = self.calls[number.parse::<usize>().expect("a call's number") - 1];
                Input::Ran { thread: whose, call, content: content(text), is_error: text != rest }
            }
            "begins" => {
                let call = self.calls[rest.parse::<usize>().expect("a call's number") - 1];
                Input::Begins { thread: whose, call }
            }
            "recovered" => Input::Recovered,
            "archive" if !rest.is_empty() => Input::ArchiveThread { thread: self.child(rest) },
            "archive" => Input::Archive,
            "delete" => Input::Delete,
            "update" => Input::Update(change(rest)),
            _ => {
                let events = self.events(line);
                let mut search = Search::of(&self.session, &events);
                // An engine looks an answered call up in the log.
                if line.contains("again") {
                    self.facts.iter().for_each(|fact| search.see(fact));
                }
                Input::Client { events, made: search.made() }
            }
        };
        decide(&self.session, input, Moment { at: self.now, seed })
    }

    fn events(&self, line: &str) -> Vec<ClientEvent> {
        line.split(" + ").map(|event| self.event(event)).collect()
    }

    fn event(&self, event: &str) -> ClientEvent {
        let (verb, rest) = event.split_once(' ').unwrap_or((event, ""));
        let call = |word: &str| match word {
            "unknown" => EventId::from_bits(99),
            number => self.calls[number.parse::<usize>().expect("a call's number") - 1],
        };
        match verb {
            "message" => ClientEvent::Message { content: content(rest) },
            "interrupt" => ClientEvent::Interrupt {
                thread: match rest {
                    "" => None,
                    "primary" => Some(THREAD),
                    "unknown" => Some(ThreadId::from_bits(9)),
                    child => Some(self.child(child)),
                },
            },
            "allow" => {
                let number = rest.strip_prefix("again ").unwrap_or(rest);
                ClientEvent::Confirmation { call: call(number), verdict: Verdict::Allow, deny_message: None }
            }
            "deny" => {
                let (number, reason) = rest.split_once(' ').unwrap_or((rest, ""));
                let deny_message = (!reason.is_empty()).then(|| reason.trim_matches('"').into());
                ClientEvent::Confirmation { call: call(number), verdict: Verdict::Deny, deny_message }
            }
            "result" | "again" => {
                let (number, rest) = rest.split_once(' ').unwrap_or((rest, ""));
                let is_error = rest.starts_with("error ").then_some(true);
                let text = rest.strip_prefix("error ").unwrap_or(rest);
                let content = (!text.is_empty()).then(|| content(text));
                ClientEvent::CustomResult { call: call(number), content, is_error }
            }
            _ => panic!("no such line: {event}"),
        }
    }

    fn child(&self, number: &str) -> ThreadId {
        match number {
            "primary" => THREAD,
            "unknown" => ThreadId::from_bits(9),
            "newest" => self.threads[self.threads.len() - 1],
            number => self.threads[number.parse::<usize>().expect("a child's number")],
        }
    }

    /// What stands at places of the last history, written as `message.part` or `message.part.block`.
    fn named_pieces(&self, whose: ThreadId, spots: &str) -> Vec<Piece> {
        let spot = |spot: &str| {
            let steps: Vec<usize> = spot.split('.').map(|step| step.parse().expect("a place")).collect();
            Spot { message: steps[0], part: steps[1], block: steps.get(2).copied() }
        };
        let spots: Vec<Spot> = spots.split_whitespace().map(spot).collect();
        let thread = self.threads.iter().position(|thread| *thread == whose).expect("a thread");
        self.transcripts[thread].pieces(&spots)
    }

    fn asked(&self, whose: ThreadId) -> EventId {
        let asked = |want| match want {
            Want::Ask { request, thread } if thread == whose => Some(request),
            Want::Ask { .. } | Want::Run { .. } | Want::Wake { .. } => None,
        };
        wants(&self.session).into_iter().find_map(asked).expect("a model is asked")
    }

    fn until(&self, whose: ThreadId) -> Stamp {
        let until = |want| match want {
            Want::Wake { at, thread } if thread == whose => Some(at),
            Want::Wake { .. } | Want::Ask { .. } | Want::Run { .. } => None,
        };
        wants(&self.session).into_iter().find_map(until).expect("a retry waits")
    }

    /// Applies what was decided, as it is stored, and names its ids.
    fn apply(&mut self, decision: Decision) -> Vec<Fact> {
        let body = fact::encode(&decision.facts).expect("written");
        let facts = fact::decode(&body).expect("read");
        assert_eq!(facts, decision.facts);
        for fact in &facts {
            let stored = serde_json::to_value(fact).expect("written");
            let event = stored.get("event").or_else(|| stored.pointer("/note/event"));
            if stored["event"]["type"] == "session.thread_created" {
                let id = stored["event"]["session_thread_id"].as_str().expect("an id");
                let id = id.parse().expect("an id");
                self.threads.push(id);
                self.transcripts.push(Transcript::new(id));
            }
            for id in ["call", "id"].iter().filter_map(|key| stored["note"][key].as_str()) {
                self.places.entry(id.to_owned()).or_insert(self.session.head);
            }
            if let Some(Value::String(id)) = event.and_then(|event| event.get("id")) {
                self.places.entry(id.clone()).or_insert(self.session.head);
                let id = id.parse().expect("an id");
                match stored["event"]["type"].as_str().unwrap_or_default() {
                    "agent.custom_tool_use" | "agent.tool_use" => self.calls.push(id),
                    "span.model_request_start" => self.requests.push(id),
                    _ => {}
                }
            }
            self.session.apply(fact);
            self.transcripts.iter_mut().for_each(|transcript| transcript.apply(fact));
        }
        self.facts.extend(facts.iter().cloned());
        facts
    }

    fn tell(&mut self, line: &str, facts: &[Fact]) {
        let mut said = format!("> {line}\n");
        for fact in facts {
            let stored = serde_json::to_value(fact).expect("written");
            let place = self.threads.iter().position(|thread| *thread == fact.thread).expect("a thread");
            let whose = if place > 0 { format!("@{place} ") } else { String::new() };
            writeln!(said, "  {whose}{}", told(&stored)).expect("written");
        }
        let printed = status::session(&self.session);
        let mut state = vec![printed.status().name().to_owned()];
        state
            .extend(printed.stop_reason().map(|stop| pending(&serde_json::to_value(stop).expect("written"))));
        state.extend(wants(&self.session).into_iter().map(|want| match want {
            Want::Ask { request, .. } => format!("ask {request}"),
            Want::Run { call, runner, .. } => format!("run {} {call}", runner.name()),
            Want::Wake { at, .. } => format!("wake {}", after(at)),
        }));
        let queued = self.session.queued().count();
        if queued > 0 {
            state.push(format!("{queued} queued"));
        }
        writeln!(said, "  = {}", state.join(", ")).expect("written");
        let said = self.named(&said);
        self.told.push_str(&said);
    }

    /// Ids as the places where they first stood.
    fn named(&self, text: &str) -> String {
        let name = |text: String, (place, id): (usize, &ThreadId)| {
            text.replace(&id.to_string(), &if place > 0 { format!("child{place}") } else { "primary".into() })
        };
        let text = self.threads.iter().enumerate().fold(text.to_owned(), name);
        self.places.iter().fold(text, |text, (id, place)| text.replace(id, &format!("#{place}")))
    }

    fn history(&self, thread: usize) -> String {
        let mut told = String::new();
        let cast = self.session.cast(self.threads[thread]).expect("a thread");
        for message in &self.transcripts[thread].prompt(&cast, &Toolbox::plain()).messages {
            let role = match message.role {
                Role::User => "user",
                Role::Assistant => "assistant",
            };
            let parts: Vec<_> = message.parts.iter().map(part).collect();
            writeln!(told, "{role}: {}", parts.join(" | ")).expect("written");
        }
        self.named(&told)
    }
}

/// What the first version would have kept in its place: facts without marks; and beside an asked call the
/// others ran, so that the session was not idle.
fn as_earlier(decision: Decision) -> Decision {
    let mut stored = serde_json::to_value(&decision.facts).expect("written");
    let facts = stored.as_array_mut().expect("facts");
    let held = facts.iter().any(|fact| fact["private"]["held"] == true);
    let rests = ["session.thread_status_idle", "session.usage", "session.status_idle"];
    facts.retain(|fact| !held || !rests.iter().any(|rest| fact["event"]["type"] == *rest));
    for fact in facts {
        if fact["private"]["kind"] == "by_client" {
            fact["private"] = Value::Null;
        }
        if let Some(private) = fact["private"].as_object_mut() {
            private.remove("held");
            private.remove("noted");
        }
    }
    Decision { facts: serde_json::from_value(stored).expect("read"), ..decision }
}

fn part(part: &Part) -> String {
    match part {
        Part::Content(block) => quoted(&json!([block])),
        Part::Thinking(thought) => {
            let from = thought.from.as_ref().map(|from| format!(" of {}", from.route)).unwrap_or_default();
            format!("thinking {}{from}", thought.raw["thinking"])
        }
        Part::Beside { from, beside: Beside { call, name, json } } => {
            let call = call.as_ref().map(|call| format!("{call} ")).unwrap_or_default();
            format!("beside {call}{name} {json} of {}", from.route)
        }
        Part::ToolUse { id, name, input } => format!("call {id} {name} {}", Value::Object(input.clone())),
        Part::ToolResult { id, content, is_error } => {
            let error = if *is_error { " error" } else { "" };
            format!("result {id}{error} {}", quoted(&json!(content)))
        }
    }
}

/// One stored fact in a line: its id, its type, and the fields that matter.
fn told(stored: &Value) -> String {
    let note = &stored["note"];
    if let Some(kind) = note["kind"].as_str() {
        let event = &note["event"];
        let id = event["id"].as_str().map(|id| format!("{id} ")).unwrap_or_default();
        let until = note["until"].as_str().and_then(|until| until.parse().ok());
        let until = until.map(|until| format!(" {}", after(until))).unwrap_or_default();
        let mut line = format!("{id}note {kind}{until}{}", words(event));
        for field in ["call", "event", "end", "name"] {
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
        return line;
    }
    let event = &stored["event"];
    let id = event["id"].as_str().expect("an id");
    let mut line = format!("{id} {}", event["type"].as_str().expect("a type"));
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
    line.push_str(&details(event, &stored["private"]));
    line
}

fn details(event: &Value, private: &Value) -> String {
    let mut line = String::new();
    if let Some(told) = private["told"]["as"].as_str() {
        write!(line, " as {told}").expect("written");
    }
    if let Some(name) = event["name"].as_str() {
        write!(line, " {name} {}", event["input"]).expect("written");
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
        let tools = event["agent"]["tools"].as_array();
        let names = tools.map(|tools| tools.iter().map(|tool| tool["name"].clone()).collect::<Vec<_>>());
        for (what, new) in [("title", event.get("title")), ("metadata", event.get("metadata"))] {
            write!(line, "{}", new.map(|new| format!(" {what} {new}")).unwrap_or_default()).expect("written");
            if private[what] == true {
                write!(line, " {what} cleared").expect("written");
            }
        }
        write!(line, "{}", names.map(|names| format!(" tools {}", json!(names))).unwrap_or_default())
            .expect("written");
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
fn after(at: Stamp) -> String {
    format!("at {:.3} s", at.since(START).as_secs_f64())
}

/// `"a" "b"`, or `big N`: N MiB.
fn content(words: &str) -> Vec<Block> {
    if let Some(size) = words.strip_prefix("big ") {
        let size: usize = size.parse().expect("how big");
        return vec![Block::text("x".repeat(size * 1024 * 1024))];
    }
    let stream = serde_json::Deserializer::from_str(words).into_iter::<String>();
    stream.map(|text| Block::text(text.expect("a quoted text"))).collect()
}

fn tokens() -> Tokens {
    Tokens { input: 10, output: 5, ..Tokens::default() }
}

fn answer(line: &str) -> Answer {
    let mut blocks = Vec::new();
    let (mut stop, mut tokens, mut opaque) = (None, tokens(), None);
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
                let beside = Beside { call, name: name.into(), json: json.into() };
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
    Answer { blocks, stop: stop.unwrap_or(natural), tokens, opaque }
}

fn from(route: &str) -> Opaque<usize> {
    let from = Origin { wire: Provider::ChatCompletions, route: route.into() };
    Opaque { from, beside: Vec::new() }
}

/// How often the route lets a request be made: `of 3` at the end of a line.
fn attempts(line: &str) -> (&str, u32) {
    let (rest, said) = line.rsplit_once("of ").unwrap_or((line, ""));
    let said = said.parse().ok().map(|most| (rest.trim_end(), most));
    said.unwrap_or((line, limits::ATTEMPTS))
}

fn failure(line: &str) -> Failure {
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
    Failure {
        class,
        status: None,
        message: "it failed".into(),
        retry_after,
        tokens: Tokens { input: 1, ..Tokens::default() },
        spots: Vec::new(),
    }
}

/// `title "x"`, `metadata {"k": "v"}`, `tools a b`; null clears.
fn change(line: &str) -> Change {
    let mut change = Change { title: Given::Absent, metadata: Given::Absent, tools: Given::Absent };
    let (what, value) = line.split_once(' ').unwrap_or((line, ""));
    let parsed = serde_json::from_str::<Value>(value);
    match (what, parsed) {
        ("title", Ok(Value::String(title))) => change.title = Given::Value(title),
        ("title", _) => change.title = Given::Null,
        ("metadata", Ok(patch)) => {
            change.metadata = Given::Value(serde_json::from_value(patch).expect("a patch"));
        }
        _ => change.tools = Given::Value(value.split_whitespace().map(tool).collect()),
    }
    change
}

fn tool(name: &str) -> Tool {
    let schema = json!({"type": "object"});
    let input_schema = schema.as_object().cloned().expect("an object");
    Tool::Custom(CustomTool { name: name.into(), description: "does it".into(), input_schema })
}

/// write and edit are asked about, grep is off.
fn toolset() -> Tool {
    let ask = |name, enabled| ToolConfig { name, enabled, permission_policy: Policy::AlwaysAsk, web: None };
    let configs = vec![ask(Builtin::Write, true), ask(Builtin::Edit, true), ask(Builtin::Grep, false)];
    Tool::Toolset(Toolset { default_config: ToolDefault::BARE, configs })
}

fn agent() -> SessionAgent {
    named(4, "weaver")
}

/// One that may call a spinner, a dyer and itself.
fn coordinator() -> SessionAgent {
    let member = |agent: &SessionAgent| Member { agent: ThreadAgent::from(agent), multiagent: None };
    let (mut spinner, mut dyer) = (named(5, "spinner"), named(6, "dyer"));
    spinner.definition.description = Some("spins yarn".to_owned());
    dyer.definition.system = Some("Dye.".into());
    let agents = vec![member(&spinner), member(&dyer), member(&agent())];
    SessionAgent { multiagent: Some(SessionCoordinator { agents }), ..agent() }
}

/// One whose members may each call a helper of their own.
pub(crate) fn play_deep(tree: Tree, script: &str) -> String {
    let helper = Member { agent: ThreadAgent::from(&named(7, "helper")), multiagent: None };
    let mut agent = coordinator();
    for member in agent.multiagent.iter_mut().flat_map(|roster| &mut roster.agents) {
        member.multiagent = Some(SessionCoordinator { agents: vec![helper.clone()] });
    }
    play_as(agent, tree, script)
}

fn named(id: u128, name: &str) -> SessionAgent {
    let definition = AgentDefinition {
        id: AgentId::from_bits(id),
        version: 1,
        name: name.into(),
        description: None,
        model: protocol::model::ModelConfig::plain("any"),
        system: None,
        tools: ["look_up", "weigh"].map(tool).into_iter().chain([toolset()]).collect(),
        mcp_servers: Vec::new(),
        skills: Vec::new(),
    };
    SessionAgent {
        definition,
        multiagent: None,
        execution_identity: protocol::agent::ExecutionIdentity::default(),
    }
}
