//! The ledger of mail (docs/rules.md 3, 4): what is sent is received once by the one it was sent to, or
//! cancelled once because that one has ended; in log order; taken only at the start of a turn or at a tool
//! boundary, all of it; what a stopped thread had queued is filed and asks nobody.

use std::collections::{BTreeMap, BTreeSet, VecDeque};

use protocol::{EventId, ThreadId};
use serde_json::Value;

use super::judge::Judge;
use super::line::TeamLine;
use super::reading::TeamReading;
use crate::law::law;

/// What waits for a thread.
#[derive(Debug, Clone, PartialEq)]
struct Waiting {
    id: Option<EventId>,
    kind: String,
    from: Option<ThreadId>,
    told: String,
    content: Option<Value>,
}

/// See the file.
#[derive(Debug, Default)]
pub(crate) struct MailJudge {
    /// Sent and not handed over, by sender and receiver.
    sent: BTreeMap<(ThreadId, ThreadId), VecDeque<Option<Value>>>,
    queues: BTreeMap<ThreadId, VecDeque<Waiting>>,
    /// Who has been given its task.
    tasks: BTreeSet<ThreadId>,
    commit: Commit,
}

#[derive(Debug, Default)]
struct Commit {
    /// Who took from its queue while a retry waited: only a stop files so.
    filed: BTreeSet<ThreadId>,
    stopped: BTreeSet<ThreadId>,
    /// Stopped threads to which a person has spoken since.
    spoken: BTreeSet<ThreadId>,
    /// Whose mail was cancelled, and who ended.
    cancelled: BTreeSet<ThreadId>,
    ended: BTreeSet<ThreadId>,
    /// Whose request was cut in this commit, or is made again without what was refused.
    cut: BTreeSet<ThreadId>,
}

impl MailJudge {
    fn sent(&mut self, line: &TeamLine, own: ThreadId, reading: &TeamReading) -> Result<(), String> {
        let to = line.peer.and_then(|peer| reading.thread(peer)).ok_or("sent to nobody")?;
        let parent = reading.thread(own).and_then(|own| own.parent);
        law!(to.parent == Some(own) || parent == Some(to.id), "sent to neither its parent nor its child");
        let name = if to.parent.is_some() { to.agent.as_str() } else { "" };
        law!(line.agent == name, "the receiver's agent is {name:?}");
        self.sent.entry((own, to.id)).or_default().push_back(line.plain.content.clone());
        Ok(())
    }

    /// A message is handed over: it was sent just before.
    fn handed(&mut self, line: &TeamLine, own: ThreadId, reading: &TeamReading) -> Result<(), String> {
        let from = line.peer.and_then(|peer| reading.thread(peer)).ok_or("from nobody")?;
        law!(line.agent == from.agent, "the sender's agent is {:?}", from.agent);
        if line.told == "letter" {
            law!(line.from == from.agent, "the letter names {:?}", line.from);
        }
        let task =
            reading.thread(own).is_some_and(|own| own.parent == Some(from.id)) && self.tasks.insert(own);
        law!((line.told == "task") == task, "told as {:?}", line.told);
        let sent = self.sent.get_mut(&(from.id, own)).and_then(VecDeque::pop_front);
        law!(sent.is_some(), "nobody sent it, or it comes a second time");
        law!(sent == Some(line.plain.content.clone()), "it is not what was sent: {sent:?}");
        Ok(())
    }

    fn queued(&mut self, line: &TeamLine, own: ThreadId, reading: &TeamReading) -> Result<(), String> {
        let thread = reading.thread(own).ok_or("queued for nobody")?;
        law!(!thread.ended, "queued for a thread that has ended");
        law!(!thread.rests(), "queued although its thread rests");
        if line.queued == "user.message" {
            law!(thread.parent.is_none(), "a person's message for a child");
        } else {
            self.handed(line, own, reading)?;
        }
        self.queues.entry(own).or_default().push_back(waiting(line, &line.queued));
        Ok(())
    }

    fn taken(&mut self, line: &TeamLine, own: ThreadId, reading: &TeamReading) -> Result<(), String> {
        let thread = reading.thread(own).ok_or("taken by nobody")?;
        law!(!thread.ended, "taken by a thread that has ended");
        let queue = self.queues.entry(own).or_default();
        if queue.iter().any(|waiting| waiting.id == line.plain.id) {
            let first = queue.pop_front();
            let is = Some(waiting(line, line.kind()));
            law!(first == is, "taken out of its order, or not as it was queued: {first:?}");
            if thread.until.is_some() {
                self.commit.filed.insert(own);
            }
        } else {
            let passed = !queue.is_empty();
            law!(!passed, "it overtakes what was queued before it");
            let rests = thread.rests() || thread.due;
            law!(rests, "taken by a thread that is at work");
            if line.kind() != "user.message" {
                self.handed(line, own, reading)?;
            }
        }
        if line.kind() == "user.message" {
            self.commit.spoken.insert(own);
        }
        Ok(())
    }

    fn asked(&self, own: ThreadId, reading: &TeamReading) -> Result<(), String> {
        let left = self.queues.get(&own).map_or(0, VecDeque::len);
        let retried = reading.thread(own).is_some_and(|thread| thread.until.is_some());
        let again = retried || self.commit.cut.contains(&own) && !self.commit.stopped.contains(&own);
        law!(left == 0 || again, "the model is asked and {left} are still queued");
        let silent = self.commit.stopped.contains(&own) && !self.commit.spoken.contains(&own);
        law!(!silent, "a stopped thread asks its model, and no person has spoken");
        Ok(())
    }

    fn cancelled(&mut self, line: &TeamLine, own: ThreadId) -> Result<(), String> {
        let queue = self.queues.entry(own).or_default();
        let place = queue.iter().position(|waiting| waiting.id == line.call);
        let Some(gone) = place.and_then(|place| queue.remove(place)) else {
            return Err("cancelled, and not queued".into());
        };
        law!(gone.kind != "user.message", "a person's message is cancelled");
        self.commit.cancelled.insert(own);
        Ok(())
    }

    fn ended(&mut self, own: ThreadId) -> Result<(), String> {
        let mail = |waiting: &Waiting| waiting.kind != "user.message";
        let left = self.queues.get(&own).map_or(0, |queue| queue.iter().filter(|one| mail(one)).count());
        law!(left == 0, "its thread ends and {left} are neither delivered nor cancelled");
        self.commit.ended.insert(own);
        Ok(())
    }
}

fn waiting(line: &TeamLine, kind: &str) -> Waiting {
    Waiting {
        id: line.plain.id,
        kind: kind.to_owned(),
        from: line.peer,
        told: line.told.clone(),
        content: line.plain.content.clone(),
    }
}

impl Judge for MailJudge {
    fn name(&self) -> &'static str {
        "mail"
    }

    fn see(&mut self, line: &TeamLine, reading: &TeamReading) -> Result<(), String> {
        let Some(own) = line.thread else { return Err("a line of no thread".into()) };
        match line.kind() {
            "agent.thread_message_sent" => self.sent(line, own, reading)?,
            "note.queued" => self.queued(line, own, reading)?,
            "agent.thread_message_received" if line.told == "result" => self.handed(line, own, reading)?,
            "agent.thread_message_received" | "user.message" => self.taken(line, own, reading)?,
            "note.cancelled" => self.cancelled(line, own)?,
            "span.model_request_start" => self.asked(own, reading)?,
            "note.left_out" => {
                self.commit.cut.insert(own);
            }
            "span.model_request_end" if line.plain.how == "cut" => {
                self.commit.cut.insert(own);
            }
            "note.ended" => self.ended(own)?,
            "note.archived" => {
                for thread in &reading.threads {
                    self.ended(thread.id)?;
                }
            }
            "user.interrupt" => {
                let live = reading.threads.iter().filter(|thread| !thread.ended).map(|thread| thread.id);
                let named = |thread: &ThreadId| line.peer.is_none_or(|peer| peer == *thread);
                let stopped: Vec<ThreadId> = live.filter(named).collect();
                for thread in stopped {
                    self.commit.stopped.insert(thread);
                    self.commit.spoken.remove(&thread);
                    self.commit.filed.remove(&thread);
                }
            }
            _ => {}
        }
        Ok(())
    }

    fn rest(&mut self, reading: &TeamReading) -> Result<(), String> {
        let lost = self.sent.iter().find(|(_, sent)| !sent.is_empty());
        law!(lost.is_none(), "sent and neither delivered nor queued: {lost:?}");
        let Commit { filed, cancelled, ended, .. } = std::mem::take(&mut self.commit);
        law!(filed.is_empty(), "{filed:?} took mail while a retry waits");
        law!(cancelled.is_subset(&ended), "mail of {cancelled:?} is cancelled, and {ended:?} ended");
        for thread in reading.threads.iter().filter(|thread| thread.rests()) {
            let left = self.queues.get(&thread.id).map_or(0, VecDeque::len);
            law!(left == 0, "{} rests and {left} are queued for it", thread.id);
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::super::testing::{
        asks, begun, ended, ends, heard, of, queued, received, sent, spawned, stopped,
    };
    use super::*;

    fn judged(rest: &[Vec<TeamLine>]) -> Result<(), String> {
        let commits = [vec![begun(), spawned("create_agent")], rest.to_vec()].concat();
        heard(&mut MailJudge::default(), &commits)
    }

    fn said(text: &str) -> Vec<TeamLine> {
        vec![ends(2, 30, "answered"), sent(2, 1, text)]
    }

    #[test]
    fn mail_is_taken_once_in_order_and_all_of_it() {
        let waits = [said("a"), vec![queued(1, 2, 50, "a")]].concat();
        let done = ends(1, 40, "answered");
        let taken = received(1, 2, 50, "letter", "a");
        assert_eq!(judged(&[waits.clone(), vec![done.clone(), taken.clone(), asks(1, 60)]]), Ok(()));
        assert!(judged(&[waits.clone(), vec![done.clone(), asks(1, 60)]]).is_err());
        assert!(judged(&[waits.clone(), vec![done.clone()]]).is_err());
        let twice = vec![done.clone(), taken.clone(), taken, asks(1, 60)];
        assert!(judged(&[waits.clone(), twice]).is_err());
        let changed = received(1, 2, 50, "letter", "b");
        assert!(judged(&[waits, vec![done, changed, asks(1, 60)]]).is_err());
    }

    #[test]
    fn what_is_sent_is_handed_over_in_its_commit_and_nothing_else_is() {
        assert!(judged(&[said("a")]).is_err());
        assert!(judged(&[vec![queued(1, 2, 50, "a")]]).is_err());
        assert!(judged(&[[said("a"), vec![queued(1, 2, 50, "b")]].concat()]).is_err());
        // The primary is at work.
        let early = received(1, 2, 50, "letter", "a");
        assert!(judged(&[[said("a"), vec![early]].concat()]).is_err());
    }

    #[test]
    fn a_stopped_thread_files_its_mail_and_asks_nobody() {
        let waits = [said("a"), vec![queued(1, 2, 50, "a")]].concat();
        let files = vec![ends(1, 40, "cut"), received(1, 2, 50, "letter", "a"), stopped(1)];
        assert_eq!(judged(&[waits.clone(), files.clone()]), Ok(()));
        assert!(judged(&[waits.clone(), [files, vec![asks(1, 60)]].concat()]).is_err());
        assert!(judged(&[waits, vec![ends(1, 40, "cut"), stopped(1)]]).is_err());
    }

    #[test]
    fn mail_of_an_ended_thread_is_cancelled_and_no_other() {
        let letter = [vec![sent(1, 2, "l")], vec![queued(2, 1, 50, "l")]].concat();
        let cancelled = TeamLine { call: Some(super::super::testing::id(50)), ..of(2, "note.cancelled") };
        let cut = ends(2, 30, "cut");
        let whole = vec![cut.clone(), cancelled.clone(), ended(2, "archived")];
        assert_eq!(judged(&[letter.clone(), whole]), Ok(()));
        assert!(judged(&[letter.clone(), vec![cut, ended(2, "archived")]]).is_err());
        assert!(judged(&[letter, vec![cancelled]]).is_err());
    }
}
