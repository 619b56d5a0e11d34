//! The language of scripts: what each line does, and how what came of it is told.
//!
//! One line is one input; ` + ` joins the events of one request, `; ` the blocks of one answer. The first
//! line may be `open` with messages. `repeat 7 A then B` plays A and B seven times. Each input comes a second
//! after the one before. `fail CLASS naming 0.1 2.0.1` is a refusal that names a part of the last history,
//! and a block of a result in it.
//!
//! What stands before a line `---` is the preamble: it is played and not told, and a line of it that is
//! refused or makes no fact fails the test. `given NAME` is one that many tests share (`preamble.rs`). The
//! state that it leads to is told behind the rule.
//!
//! A call is named after its tool, a model request is an `ask`, a message has its words: `[hi]`. What a
//! thread calls a second time so is `write.2`. Threads are `primary`, then `child1`, `child2` in the order in
//! which they were made. A line that begins with `@1` is of child1, an outcome or a fact, and the names in it
//! are child1's own; in other lines those end in `@1`. A tool's input may name a thread as `"child1"`.
//!
//! `again` is an answer to a call that is not open: the log is searched for it first. What a line that begins
//! with `earlier` makes is kept as the first version would have kept it.

#![expect(clippy::expect_used, clippy::indexing_slicing, reason = "a script that does not play may panic")]

mod agents;
mod earlier;
mod input;
mod names;
mod outcome;
mod preamble;
mod stage;
mod told;

use std::fmt::Write as _;

use kernel::{Fact, Refusal, ThreadLimits};
use protocol::agent::SessionAgent;
use protocol::prompt::{MessagePart, Toolbox};
use protocol::roster::DelegationTool;
use serde_json::{Value, json};

use self::preamble::{Line, RULE};
use self::stage::Stage;

/// Plays a script and writes what came of each line.
pub(crate) fn play(script: &str) -> String {
    Play::of(agents::weaver(), ThreadLimits::default(), script).told
}

/// The same with a coordinator, whose session may have so many threads.
pub(crate) fn play_team(tree: ThreadLimits, script: &str) -> String {
    Play::of(agents::coordinator(), tree, script).told
}

/// The same with one whose members may each call a helper of their own.
pub(crate) fn play_deep(tree: ThreadLimits, script: &str) -> String {
    Play::of(agents::deep_coordinator(), tree, script).told
}

/// The last history that a script leaves, as a model reads it.
pub(crate) fn history(script: &str) -> String {
    told::history(&Play::of(agents::weaver(), ThreadLimits::default(), script).stage, 0)
}

/// The same of every thread of a coordinator's session.
pub(crate) fn histories(script: &str) -> String {
    let stage = Play::of(agents::coordinator(), ThreadLimits::default(), script).stage;
    let of =
        |(place, thread)| stage.names.write(&format!("{thread}:\n{}", told::history(&stage, place)), place);
    stage.names.threads().iter().enumerate().map(of).collect()
}

/// The whole of the last result that the coordinator's model is told.
pub(crate) fn last_result(script: &str) -> String {
    let stage = Play::of(agents::coordinator(), ThreadLimits::default(), script).stage;
    let last = stage.transcripts[0].messages().last().expect("a message");
    let content = last.parts.iter().rev().find_map(|part| match part {
        MessagePart::ToolResult { content, .. } => Some(content),
        MessagePart::Content(_)
        | MessagePart::Thinking(_)
        | MessagePart::Beside { .. }
        | MessagePart::ToolUse { .. } => None,
    });
    stage.names.write(json!(content)[0]["text"].as_str().expect("a text"), 0)
}

/// What each thread of a coordinator's session is offered beside its agent's own tools.
pub(crate) fn offers(tree: ThreadLimits, script: &str) -> String {
    let stage = Play::of(agents::coordinator(), tree, script).stage;
    let mut told = String::new();
    for (thread, transcript) in stage.names.threads().iter().zip(&stage.transcripts) {
        let cast = stage.session.cast(*thread).expect("a thread");
        let prompt = transcript.prompt(&cast, &Toolbox::plain());
        writeln!(told, "{thread}: {:?}", prompt.system).expect("written");
        for tool in prompt.tools.iter().filter(|tool| DelegationTool::named(&tool.name).is_some()) {
            let (schema, about) = (Value::Object(tool.input_schema.clone()), &tool.description);
            writeln!(told, "{} {schema}\n{about}", tool.name).expect("written");
        }
    }
    stage.names.write(&told, 0)
}

/// A script that is played, and what came of its lines so far.
struct Play {
    stage: Stage,
    told: String,
}

/// Says which line of its script a test panics in.
struct At<'a>(&'a Line);

impl Drop for At<'_> {
    fn drop(&mut self) {
        if std::thread::panicking() {
            eprintln!("in line {} of the script: {}", self.0.number, self.0.words);
        }
    }
}

impl Play {
    fn of(agent: SessionAgent, tree: ThreadLimits, script: &str) -> Self {
        let mut lines = preamble::lines(script).into_iter().peekable();
        let opening = lines.next_if(|line| line.words.starts_with("open"));
        let said = opening.as_ref().and_then(|line| line.words.strip_prefix("open "));
        let events = said.map(input::opening).unwrap_or_default();
        let (stage, facts) = Stage::open(agent, tree, events);
        let mut play = Self { stage, told: String::new() };
        if let Some(line) = &opening {
            play.tell(line, &facts);
        }
        for line in lines {
            play.line(&line);
        }
        play
    }

    fn line(&mut self, line: &Line) {
        let _at = At(line);
        if line.words == RULE {
            writeln!(self.told, "--- {}", told::state(&self.stage)).expect("written");
        } else if let Some(again) = line.words.strip_prefix("repeat ") {
            self.repeat(line, again);
        } else {
            match self.outcome(&line.words) {
                Ok(facts) => self.tell(line, &facts),
                Err(refusal) => self.tell_refusal(line, &refusal),
            }
        }
    }

    /// The same lines again and again; what comes of it is not told.
    fn repeat(&mut self, line: &Line, again: &str) {
        let (times, lines) = again.split_once(' ').expect("lines");
        for _ in 0..times.parse().expect("how often") {
            for line in lines.split(" then ") {
                self.outcome(line).expect("accepted");
            }
        }
        if !line.silent {
            writeln!(self.told, "> {times} times {lines}").expect("written");
        }
    }

    fn outcome(&mut self, line: &str) -> Result<Vec<Fact>, Refusal> {
        let earlier = line.strip_prefix("earlier ");
        let input = input::read(&mut self.stage, earlier.unwrap_or(line));
        let decision = self.stage.decide(input)?;
        Ok(self.stage.apply(if earlier.is_some() { earlier::as_earlier(decision) } else { decision }))
    }

    fn tell(&mut self, line: &Line, facts: &[Fact]) {
        if line.silent {
            assert!(!facts.is_empty(), "a line of a preamble makes no fact");
            return;
        }
        writeln!(self.told, "> {}", line.words).expect("written");
        for fact in facts {
            writeln!(self.told, "  {}", told::line(&self.stage, fact)).expect("written");
        }
        writeln!(self.told, "  = {}", told::state(&self.stage)).expect("written");
    }

    fn tell_refusal(&mut self, line: &Line, refusal: &Refusal) {
        let path = refusal.path().map(|path| format!("{path}: ")).unwrap_or_default();
        let said = self.stage.names.write(&format!("{path}{}", refusal.message()), 0);
        assert!(!line.silent, "a line of a preamble is refused: {said}");
        writeln!(self.told, "> {}\n  refused: {said}", line.words).expect("written");
    }
}
