//! What the delegation tools come to (docs/rules.md 9): a child only of the roster and only while a slot is
//! free, a letter only to a child that lives, an answer that says what is so, and a sentence for whatever is
//! wrong.

use std::collections::BTreeMap;
use std::sync::Arc;

use protocol::{EventId, ThreadId};
use serde_json::{Value, json};

use super::judge::Judge;
use super::line::TeamLine;
use super::reading::{DelegationCall, TeamReading, ThreadReading};
use super::roster::TeamRoster;
use crate::law::law;
use crate::words::is_unread;

/// See the file.
#[derive(Debug)]
pub(crate) struct DelegationJudge {
    team: Arc<TeamRoster>,
    commit: Commit,
    /// The delegation calls of the last commit that were told they have no input, and how.
    unread: Vec<(EventId, String)>,
}

#[derive(Debug, Default)]
struct Commit {
    /// Tasks that must be sent next: from, to, what.
    tasks: Vec<(ThreadId, ThreadId, Vec<Value>)>,
    /// What was sent, or kept (to nobody), and belongs to no call yet.
    sent: Vec<(ThreadId, Option<ThreadId>, Vec<Value>)>,
    /// The child that each call has made, and its agent.
    made: BTreeMap<EventId, (ThreadId, String)>,
    unread: Vec<(EventId, String)>,
}

/// What a call must be answered with.
type Answer = Result<Value, String>;

fn said(text: &str) -> Vec<Value> {
    vec![json!({"type": "text", "text": text})]
}

/// A text of a call's input.
fn given<'a>(errand: &'a DelegationCall, key: &str) -> Result<&'a str, String> {
    let text = errand.input.get(key).and_then(Value::as_str).filter(|text| !text.trim().is_empty());
    text.ok_or_else(|| format!("`{key}` is needed: a text that is not empty."))
}

fn shown(reading: &TeamReading, thread: &ThreadReading) -> Value {
    json!({"thread_id": thread.id, "agent": thread.agent, "status": reading.printed(thread.id).name()})
}

impl DelegationJudge {
    pub(crate) fn new(team: Arc<TeamRoster>) -> Self {
        Self { team, commit: Commit::default(), unread: Vec::new() }
    }

    /// The delegation calls of the last commit that were told they have no input, and how.
    pub(crate) fn unread(&self) -> &[(EventId, String)] {
        &self.unread
    }

    /// The place in the roster and the agent that a call asks for, if it may have one now.
    fn wanted(&self, errand: &DelegationCall, reading: &TeamReading) -> Result<(usize, String), String> {
        let (name, _task) = (given(errand, "agent")?, given(errand, "task")?);
        let found = self.team.named(reading, errand.thread, name);
        let Some(found) = found else {
            let names = self.team.roster(reading, errand.thread);
            let names: Vec<String> =
                names.iter().map(|member| format!("`{}`", member.agent.definition.name)).collect();
            return Err(format!(
                "There is no agent named `{name}`. `agent` is one of: {}.",
                names.join(", ")
            ));
        };
        let most = self.team.tree.max_threads;
        if reading.slots() >= most as usize {
            return Err(format!(
                "This session has {most} agents already, which is the most it may have. Give the task to \
                 one of them with `send_to_agent` (`list_agents` shows who is idle), or do it yourself."
            ));
        }
        Ok(found)
    }

    fn created(&mut self, line: &TeamLine, own: ThreadId, reading: &TeamReading) -> Result<(), String> {
        let call = line.call.ok_or("made by no call")?;
        let errand = reading.errands.get(&call).ok_or("made by a call that is not open")?;
        law!(errand.thread == own, "another thread's call made it");
        let waits = match errand.name.as_str() {
            "Agent" => true,
            "create_agent" => false,
            other => return Err(format!("{other} makes no child")),
        };
        law!(line.waits == waits, "{} waits: {}", errand.name, line.waits);
        let wanted = self.wanted(errand, reading);
        law!(wanted == Ok((line.member, line.agent.clone())), "it should be {wanted:?}");
        let child = line.peer.ok_or("no child")?;
        law!(reading.thread(child).is_none(), "there is a thread of this id");
        let once = self.commit.made.insert(call, (child, line.agent.clone())).is_none();
        law!(once, "the call has made a child already");
        self.commit.tasks.push((own, child, said(given(errand, "task")?)));
        Ok(())
    }

    /// What a call that is over must have been answered with.
    fn due(
        &mut self,
        call: EventId,
        errand: &DelegationCall,
        reading: &TeamReading,
    ) -> Result<Answer, String> {
        let own = errand.thread;
        Ok(match errand.name.as_str() {
            "create_agent" | "Agent" => match self.commit.made.get(&call) {
                Some((child, agent)) => Ok(json!({"thread_id": child, "agent": agent, "status": "running"})),
                None => match self.wanted(errand, reading) {
                    Ok(wanted) => return Err(format!("{wanted:?} could be made, and was not")),
                    Err(why) => Err(why),
                },
            },
            "send_to_agent" => match letter(errand, reading) {
                Ok((child, message)) => {
                    self.claim(|(from, to, content)| {
                        (*from, *to) == (own, Some(child.id)) && *content == said(message)
                    })?;
                    Ok(shown(reading, child))
                }
                Err(why) => Err(why),
            },
            "list_agents" => {
                let agent = |child: &ThreadReading| {
                    let mut agent = shown(reading, child);
                    agent["pending_messages"] = child.queue.len().into();
                    agent
                };
                Ok(json!({"agents": reading.children(own).map(agent).collect::<Vec<Value>>()}))
            }
            "send_to_parent" => match given(errand, "message") {
                Ok(message) => {
                    let parent = reading.thread(own).and_then(|own| reading.thread(own.parent?));
                    let parent = parent.ok_or("a thread without a parent")?;
                    let to = reading.waiter(own).is_none().then_some(parent.id);
                    self.claim(|(from, sent, content)| {
                        (*from, *sent) == (own, to) && content.ends_with(&said(message))
                    })?;
                    Ok(shown(reading, parent))
                }
                Err(why) => Err(why),
            },
            other => return Err(format!("{other} is no delegation tool")),
        })
    }

    fn claim(
        &mut self,
        is: impl Fn(&(ThreadId, Option<ThreadId>, Vec<Value>)) -> bool,
    ) -> Result<(), String> {
        let place = self.commit.sent.iter().position(is).ok_or("answered well, and nothing was sent")?;
        self.commit.sent.remove(place);
        Ok(())
    }

    fn settled(&mut self, line: &TeamLine, own: ThreadId, reading: &TeamReading) -> Result<(), String> {
        let call = line.call.ok_or("it settles no call")?;
        let errand = reading.errands.get(&call).ok_or("it settles a call that is not open")?.clone();
        law!(errand.thread == own, "it settles another thread's call");
        let waits = reading.thread(own).is_some_and(|own| own.waits.iter().any(|wait| wait.call == call));
        if waits {
            return Ok(());
        }
        let unread = Some(line.text()).filter(|text| is_unread(text)).map(str::to_owned);
        if let Some(told) = unread.filter(|_| line.plain.is_error) {
            law!(errand.input == json!({}), "told {told:?}, with an input");
            self.commit.unread.push((call, told));
            return Ok(());
        }
        let due = self.due(call, &errand, reading)?;
        let is = if line.plain.is_error {
            Err(line.text().to_owned())
        } else {
            Ok(serde_json::from_str(line.text()).unwrap_or_default())
        };
        law!(is == due, "{} {} comes to {due:?}", errand.name, errand.input);
        Ok(())
    }
}

/// The child that a letter goes to, and what it says.
fn letter<'a>(
    errand: &'a DelegationCall,
    reading: &'a TeamReading,
) -> Result<(&'a ThreadReading, &'a str), String> {
    let (id, message) = (given(errand, "thread_id")?, given(errand, "message")?);
    let child = id.parse().ok().and_then(|id| reading.thread(id));
    let Some(child) = child.filter(|child| child.parent == Some(errand.thread)) else {
        return Err(format!(
            "You have no agent with the thread_id `{id}`. `list_agents` shows those you have."
        ));
    };
    if child.ended {
        return Err(format!(
            "The agent `{id}` has ended and takes no more messages. Make another with `create_agent`."
        ));
    }
    Ok((child, message))
}

impl Judge for DelegationJudge {
    fn name(&self) -> &'static str {
        "errands"
    }

    fn see(&mut self, line: &TeamLine, reading: &TeamReading) -> Result<(), String> {
        let Some(own) = line.thread else { return Err("a line of no thread".into()) };
        if let Some((from, to, task)) = self.commit.tasks.pop() {
            let sent = line.kind() == "agent.thread_message_sent" && line.content() == task;
            law!(sent && line.thread == Some(from) && line.peer == Some(to), "expected the task {task:?}");
            return Ok(());
        }
        match line.kind() {
            "session.thread_created" => self.created(line, own, reading)?,
            "agent.thread_message_sent" if reading.errands.values().any(|errand| errand.thread == own) => {
                self.commit.sent.push((own, line.peer, line.content()));
            }
            "note.kept" => self.commit.sent.push((own, None, line.content())),
            "note.settled" => self.settled(line, own, reading)?,
            "note.delegated" => {
                let offered = self.team.errands(reading, own);
                law!(offered.contains(&line.plain.name.as_str()), "a tool that the thread does not have");
            }
            _ => {}
        }
        Ok(())
    }

    fn rest(&mut self, reading: &TeamReading) -> Result<(), String> {
        law!(self.commit.tasks.is_empty(), "tasks that were not sent: {:?}", self.commit.tasks);
        law!(self.commit.sent.is_empty(), "sent by no call: {:?}", self.commit.sent);
        let most = self.team.tree.max_threads as usize;
        law!(reading.slots() <= most, "{} children, and {most} at most", reading.slots());
        self.unread = std::mem::take(&mut self.commit).unread;
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::super::testing::{
        begun, created, delegated, ended, ends, heard, of, queued, saying, sent, settled, spawned, thread,
    };
    use super::*;
    use crate::dice::Dice;
    use crate::size::LifeSize;

    /// One child at most; the first of the roster is the spinner.
    fn judge() -> DelegationJudge {
        let mut team = TeamRoster::throw(&mut Dice::new(1), LifeSize::Team);
        team.tree = kernel::ThreadLimits { max_threads: 1, max_depth: 1 };
        if let Some(roster) = &mut team.agent.multiagent {
            roster.agents.retain(|member| member.agent.definition.name == "spinner");
        }
        DelegationJudge::new(Arc::new(team))
    }

    fn judged(rest: &[Vec<TeamLine>]) -> Result<(), String> {
        let commits = [vec![begun(), spawned("create_agent")], rest.to_vec()].concat();
        heard(&mut judge(), &commits)
    }

    fn call(name: &str, input: Value) -> Vec<TeamLine> {
        vec![delegated(1, 60, name, input), ends(1, 40, "answered")]
    }

    fn more() -> Vec<TeamLine> {
        call("create_agent", json!({"agent": "spinner", "task": "u"}))
    }

    const FULL: &str = "This session has 1 agents already, which is the most it may have. Give the task to \
        one of them with `send_to_agent` (`list_agents` shows who is idle), or do it yourself.";

    #[test]
    fn no_child_is_made_beyond_the_limit_and_a_freed_slot_is_used() {
        assert_eq!(judged(&[[more(), vec![settled(1, 60, FULL, true)]].concat()]), Ok(()));
        let told = json!({"thread_id": thread(3), "agent": "spinner", "status": "running"}).to_string();
        let made =
            [more(), vec![created(3, 60, false), sent(1, 3, "u"), settled(1, 60, &told, false)]].concat();
        assert!(judged(std::slice::from_ref(&made)).is_err());
        let gone = vec![ended(2, "archived")];
        assert_eq!(judged(&[gone.clone(), made]), Ok(()));
        assert!(judged(&[gone, [more(), vec![settled(1, 60, FULL, true)]].concat()]).is_err());
    }

    #[test]
    fn a_letter_reaches_only_a_child_that_lives() {
        let write = call("send_to_agent", json!({"thread_id": thread(2), "message": "l"}));
        let told = json!({"thread_id": thread(2), "agent": "spinner", "status": "running"}).to_string();
        let sends = vec![sent(1, 2, "l"), queued(2, 1, 70, "l"), settled(1, 60, &told, false)];
        let whole = [write.clone(), sends.clone()].concat();
        assert_eq!(judged(std::slice::from_ref(&whole)), Ok(()));
        assert!(judged(&[[write.clone(), vec![settled(1, 60, &told, false)]].concat()]).is_err());
        let gone = vec![ended(2, "archived")];
        assert!(judged(&[gone.clone(), whole]).is_err());
        let id = thread(2);
        let why = format!(
            "The agent `{id}` has ended and takes no more messages. Make another with `create_agent`."
        );
        assert_eq!(judged(&[gone, [write, vec![settled(1, 60, &why, true)]].concat()]), Ok(()));
    }

    #[test]
    fn a_list_says_what_is_so_and_a_wrong_call_what_is_wrong() {
        let agents = |status: &str| {
            let agent =
                json!({"thread_id": thread(2), "agent": "spinner", "status": status, "pending_messages": 0});
            json!({"agents": [agent]}).to_string()
        };
        let list = |text: &str| [call("list_agents", json!({})), vec![settled(1, 60, text, false)]].concat();
        assert_eq!(judged(&[list(&agents("running"))]), Ok(()));
        assert!(judged(&[list(&agents("idle"))]).is_err());
        let nobody = call("Agent", json!({"agent": "nobody", "task": "u"}));
        let why = "There is no agent named `nobody`. `agent` is one of: `spinner`.";
        assert_eq!(judged(&[[nobody.clone(), vec![settled(1, 60, why, true)]].concat()]), Ok(()));
        assert!(judged(&[[nobody, vec![settled(1, 60, "no", true)]].concat()]).is_err());
    }

    #[test]
    fn what_is_kept_or_sent_belongs_to_a_call() {
        assert!(judged(&[vec![saying(of(2, "note.kept"), "p")]]).is_err());
        assert!(judged(&[vec![delegated(1, 60, "send_to_parent", json!({"message": "p"}))]]).is_err());
    }
}
