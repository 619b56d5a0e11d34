//! The grammar of status events over the wait tree (docs/rules.md 1): what is printed is what the log says is
//! being done; going idle is the deepest thread first, the primary last, then usage and the session; going
//! running is the session first, then a parent before its children, right behind the client's answer that
//! sets them to work; nothing is said twice, and nothing after an end.

use std::collections::{BTreeMap, BTreeSet};

use protocol::ThreadId;

use super::judge::Judge;
use super::line::TeamLine;
use super::reading::{PrintedThread, TeamReading};
use crate::law::law;
use crate::line;
use crate::words::is_own;

/// See the file.
#[derive(Debug)]
pub(crate) struct StatusJudge {
    threads: BTreeMap<ThreadId, PrintedThread>,
    session: PrintedThread,
    /// What the line before was, and what the next must be.
    before: String,
    next: Option<&'static str>,
    commit: Commit,
}

/// What this commit has said so far.
#[derive(Debug, Default)]
struct Commit {
    /// How deep the last thread was that began to run, or came to rest, since the last boundary.
    ran: usize,
    rested: Option<usize>,
    /// Whether the session has come to rest, or begun to run, since then.
    stopped: bool,
    /// How often each thread's status was said.
    said: BTreeMap<ThreadId, usize>,
    sessions: usize,
    /// Whether a person stopped something, or answered what was answered before.
    interrupts: bool,
    again: bool,
    exhausted: BTreeSet<ThreadId>,
}

impl Default for StatusJudge {
    fn default() -> Self {
        Self {
            threads: BTreeMap::new(),
            session: PrintedThread::Idle("end_turn".into()),
            before: String::new(),
            next: None,

            commit: Commit::default(),
        }
    }
}

fn idle(line: &TeamLine) -> PrintedThread {
    match line.plain.stop.as_str() {
        "requires_action" => PrintedThread::Needs(line.plain.pending.clone()),
        stop => PrintedThread::Idle(stop.to_owned()),
    }
}

impl StatusJudge {
    fn was(&self, thread: ThreadId) -> PrintedThread {
        self.threads.get(&thread).cloned().unwrap_or(PrintedThread::Idle("end_turn".into()))
    }

    fn thread(&mut self, line: &TeamLine, reading: &TeamReading, now: PrintedThread) -> Result<(), String> {
        let (Some(own), Some(named)) = (line.thread, line.peer) else { return Err("of no thread".into()) };
        law!(own == named, "it stands on another thread");
        let Some(thread) = reading.thread(own) else { return Err("of no thread".into()) };
        law!(line.agent == thread.agent, "its agent is {}", thread.agent);
        let was = self.was(own);
        law!(was != PrintedThread::Terminated, "the thread is terminated");
        let given_up = now == PrintedThread::Idle("retries_exhausted".into()) && thread.ended;
        law!(was != now, "it says so already");
        let exhausted = now == PrintedThread::Terminated && thread.ended && !thread.archived;
        let told = was == PrintedThread::Idle("retries_exhausted".into());
        law!(!exhausted || told, "it could not go on, and has not said so");
        if given_up {
            self.commit.exhausted.insert(own);
        }
        let commit = &mut self.commit;
        law!(!commit.stopped, "the session has come to rest before it");
        if now == PrintedThread::Running {
            law!(commit.ran <= thread.depth, "a child runs before its parent");
            law!(self.session == PrintedThread::Running, "its session does not run");
            commit.ran = thread.depth;
        } else {
            law!(commit.rested.is_none_or(|depth| depth >= thread.depth), "a parent rests before its child");
            commit.rested = Some(thread.depth);
        }
        *commit.said.entry(own).or_default() += 1;
        self.threads.insert(own, now);
        Ok(())
    }

    fn session(&mut self, now: PrintedThread) -> Result<(), String> {
        law!(self.session != now, "it says so already");
        law!(self.session != PrintedThread::Terminated, "the session is terminated");
        if now == PrintedThread::Running {
            law!(self.commit.rested.is_none() || self.commit.ran == 0, "a thread runs before it");
            self.commit.stopped = false;
        } else {
            self.commit.stopped = true;
        }
        self.commit.sessions += 1;
        self.session = now;
        Ok(())
    }

    fn status(&mut self, line: &TeamLine, reading: &TeamReading) -> Result<(), String> {
        let primary = reading.threads.first().map(|thread| thread.id);
        if !line.kind().starts_with("session.thread_") {
            law!(line.thread == primary, "it stands on a child");
        }
        match line.kind() {
            "session.thread_status_running" => self.thread(line, reading, PrintedThread::Running),
            "session.thread_status_idle" => self.thread(line, reading, idle(line)),
            "session.thread_status_rescheduled" => self.thread(line, reading, PrintedThread::Rescheduling),
            "session.thread_status_terminated" => self.thread(line, reading, PrintedThread::Terminated),
            "session.usage" => {
                self.next = Some("session.status_idle");
                Ok(())
            }
            "session.status_running" => {
                self.next = Some("session.thread_status_running");
                self.session(PrintedThread::Running)
            }
            "session.status_idle" => {
                law!(self.before == "session.usage", "no usage before the idle");
                self.session(idle(line))
            }
            "session.status_rescheduled" => self.session(PrintedThread::Rescheduling),
            "session.status_terminated" => {
                law!(self.before == "session.thread_status_terminated", "its primary is not terminated");
                self.session(PrintedThread::Terminated)
            }
            other => Err(format!("there is no {other}")),
        }
    }

    /// Work is done only by a thread that says it runs.
    fn work(&self, line: &TeamLine, reading: &TeamReading) -> Result<(), String> {
        let kinds =
            ["agent.message", "agent.thinking", "agent.tool_use", "agent.custom_tool_use", "note.retry"];
        let works = kinds.contains(&line.kind())
            || matches!(line.kind(), "note.delegated" | "session.thread_created" | "user.message")
            || line.kind().starts_with("span.")
            || line.kind() == "agent.tool_result" && is_own(&line.plain);
        let Some(own) = line.thread.filter(|_| works) else { return Ok(()) };
        let taken = line.kind() == "user.message" && reading.thread(own).is_some_and(|own| !own.rests());
        law!(
            taken || self.was(own) == PrintedThread::Running,
            "its thread says that it is {:?}",
            self.was(own)
        );
        Ok(())
    }

    /// A client's answer that sets its thread to work is said before that, and before what waits for that
    /// thread runs again.
    fn wakes(&mut self, line: &TeamLine, reading: &TeamReading) -> Result<(), String> {
        let Some(own) = line.thread.and_then(|own| reading.thread(own)) else { return Ok(()) };
        // What still waits for a child goes on only if a call of its own does.
        let goes_on = own.waits.is_empty() || line.plain.verdict == "allow" || own.desk.held();
        if !own.desk.wakes(&line.plain) || !goes_on || reading.printed(own.id).busy() {
            return Ok(());
        }
        let mut woken = own.id;
        loop {
            let early = self.was(woken) == PrintedThread::Running;
            law!(!early, "{woken} runs before the answer that sets it to work");
            let Some((waits, _)) = reading.waiter(woken) else { break };
            if reading.printed(waits).busy() {
                break;
            }
            woken = waits;
        }
        let session = self.session == PrintedThread::Running;
        self.next = Some(if session { "session.thread_status_running" } else { "session.status_running" });
        Ok(())
    }

    fn at_most_once(&self) -> Result<(), String> {
        let Commit { said, sessions, interrupts, again, exhausted, .. } = &self.commit;
        if *interrupts {
            return Ok(());
        }
        let most = |extra: bool| 1 + usize::from(extra);
        for (thread, times) in said {
            law!(*times <= most(*again || exhausted.contains(thread)), "{thread} says {times} statuses");
        }
        law!(*sessions <= most(*again), "the session says {sessions} statuses");
        Ok(())
    }
}

/// Whether an answer sets nobody to work, since the turn may not ask again.
fn is_over(line: &line::LogLine) -> bool {
    line.error[0] == "tool_use_limit_reached_error"
}

impl Judge for StatusJudge {
    fn name(&self) -> &'static str {
        "status"
    }

    fn see(&mut self, line: &TeamLine, reading: &TeamReading) -> Result<(), String> {
        if let Some(next) = self.next.take() {
            let over = next.ends_with("_running") && is_over(&line.plain);
            law!(over || next == line.kind(), "expected {next}");
        }
        let kind = line.kind();
        if let Some(own) = line.thread.filter(|own| self.was(*own) == PrintedThread::Terminated) {
            let known = reading.thread(own).is_some_and(|thread| !thread.archived);
            let last = kind == "note.ended" && line.end == "archived" && known;
            let session = matches!(kind, "session.status_terminated" | "session.deleted");
            law!(last || session || kind == "session.usage", "the thread is terminated");
        }
        if matches!(kind, "user.interrupt" | "user.custom_tool_result" | "user.tool_confirmation") {
            (self.commit.ran, self.commit.rested, self.commit.stopped) = (0, None, false);
            self.commit.interrupts |= kind == "user.interrupt";
            let answered = line.plain.about.and_then(|call| {
                reading
                    .threads
                    .iter()
                    .find_map(|thread| thread.desk.call(call).map(|call| !call.needs_client()))
            });
            self.commit.again |= answered == Some(true);
        }
        self.wakes(line, reading)?;
        if kind.contains("status_") || kind == "session.usage" {
            self.status(line, reading)?;
        } else {
            self.work(line, reading)?;
        }
        kind.clone_into(&mut self.before);
        Ok(())
    }

    fn rest(&mut self, reading: &TeamReading) -> Result<(), String> {
        law!(self.next.is_none(), "no {}", self.next.unwrap_or_default());
        for thread in &reading.threads {
            let (is, due) = (self.was(thread.id), reading.printed(thread.id));
            law!(is == due, "{} prints {is:?} and should print {due:?}", thread.id);
            let parent = thread.parent.and_then(|parent| reading.thread(parent));
            let orphan = !thread.ended && parent.is_some_and(|parent| parent.ended);
            law!(!orphan, "{} lives on below a thread that has ended", thread.id);
        }
        let due = reading.session();
        law!(self.session == due, "the session prints {:?} and should print {due:?}", self.session);
        self.at_most_once()?;
        self.commit = Commit::default();
        self.before.clear();
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::super::testing::{
        asks, begun, ends, event, heard, idle, of, queued, received, sent, spawned, status,
    };
    use super::*;

    fn judged(name: &str, rest: &[Vec<TeamLine>]) -> Result<(), String> {
        let commits = [vec![begun(), spawned(name)], rest.to_vec()].concat();
        heard(&mut StatusJudge::default(), &commits)
    }

    /// Child 2 calls a tool of the client's.
    fn calls() -> Vec<TeamLine> {
        vec![event(2, 50, "agent.custom_tool_use"), ends(2, 30, "answered")]
    }

    fn rests() -> Vec<TeamLine> {
        vec![idle(2, &[50]), idle(1, &[50]), of(1, "session.usage"), idle(0, &[50])]
    }

    #[test]
    fn a_wait_for_a_child_that_needs_the_client_is_idle_the_deepest_first() {
        let whole = [calls(), rests()].concat();
        assert_eq!(judged("Agent", std::slice::from_ref(&whole)), Ok(()));
        for out in 2..whole.len() {
            let mut without = whole.clone();
            let line = without.remove(out);
            assert!(judged("Agent", &[without]).is_err(), "without {line}");
        }
        let mut first = whole.clone();
        first.swap(2, 3);
        assert!(judged("Agent", &[first]).is_err());
        let late = [whole, vec![status(2, "running")]].concat();
        assert!(judged("Agent", &[late]).is_err());
    }

    #[test]
    fn a_parent_that_does_not_wait_goes_on_running() {
        assert_eq!(judged("create_agent", &[[calls(), vec![idle(2, &[50])]].concat()]), Ok(()));
        assert!(judged("create_agent", &[[calls(), rests()].concat()]).is_err());
    }

    #[test]
    fn running_is_said_session_first_then_a_parent_before_its_child() {
        let blocked = [calls(), rests()].concat();
        let mut answer = event(2, 60, "user.custom_tool_result");
        answer.plain.about = Some(super::super::testing::id(50));
        let on =
            |statuses: [TeamLine; 3]| [vec![answer.clone()], statuses.to_vec(), vec![asks(2, 70)]].concat();
        let session = of(1, "session.status_running");
        let (parent, child) = (status(1, "running"), status(2, "running"));
        let right = on([session.clone(), parent.clone(), child.clone()]);
        assert_eq!(judged("Agent", &[blocked.clone(), right]), Ok(()));
        for wrong in [[session.clone(), child.clone(), parent.clone()], [parent, session, child]] {
            assert!(judged("Agent", &[blocked.clone(), on(wrong)]).is_err());
        }
        let [session, parent, child] =
            [of(1, "session.status_running"), status(1, "running"), status(2, "running")];
        let early = [session.clone(), parent.clone(), child.clone(), answer.clone(), asks(2, 70)];
        assert!(judged("Agent", &[blocked.clone(), early.to_vec()]).is_err());
        let between = [session, parent, answer, child, asks(2, 70)];
        assert!(judged("Agent", &[blocked, between.to_vec()]).is_err());
    }

    #[test]
    fn a_thread_that_works_says_so_and_an_ended_one_says_nothing() {
        let done = vec![ends(2, 30, "answered"), sent(2, 1, "x"), idle(2, &[]), queued(1, 2, 50, "x")];
        let letter = vec![received(2, 1, 60, "letter", "y"), asks(2, 70)];
        let running = [vec![status(2, "running")], letter.clone()].concat();
        assert_eq!(judged("create_agent", &[done.clone(), running.clone()]), Ok(()));
        assert!(judged("create_agent", &[done.clone(), letter]).is_err());
        let over = vec![super::super::testing::ended(2, "archived"), status(2, "terminated")];
        assert_eq!(judged("create_agent", &[done.clone(), over.clone()]), Ok(()));
        assert!(judged("create_agent", &[done, over, running]).is_err());
    }
}

#[cfg(test)]
mod alone {
    //! The grammar of a thread alone.

    use super::super::line::TeamLine;
    use super::super::roster::WEAVER;
    use super::super::testing as threads;
    use super::StatusJudge;
    use crate::line::LogLine;
    use crate::referee::testing::{about, called, confirmed, end, event, stopped, told};

    fn running() -> Vec<LogLine> {
        let kinds = ["session.status_running", "session.thread_status_running"];
        kinds.map(|kind| event(0, kind)).to_vec()
    }

    fn idle(stop: &str, pending: &[u128]) -> Vec<LogLine> {
        let kinds = ["session.thread_status_idle", "session.usage", "session.status_idle"];
        kinds.map(|kind| stopped(kind, stop, pending)).to_vec()
    }

    fn asks() -> Vec<LogLine> {
        vec![event(2, "user.message"), event(1, "span.model_request_start")]
    }

    fn calls() -> Vec<LogLine> {
        let call = |number| event(number, "agent.custom_tool_use");
        vec![call(8), call(9), end(1, "answered")]
    }

    /// What is said of these lines of a thread alone, of which a commit ends where a model is asked.
    fn judged(commits: &[Vec<LogLine>]) -> Result<(), String> {
        let asks = |line: &LogLine| line.kind == "span.model_request_start";
        let commits = commits.iter().flat_map(|lines| lines.split_inclusive(asks));
        let commits = commits.map(|lines| lines.iter().cloned().map(of_one).collect());
        let opened = vec![threads::of(1, "note.opened")];
        let commits: Vec<Vec<TeamLine>> = std::iter::once(opened).chain(commits).collect();
        threads::heard(&mut StatusJudge::default(), &commits)
    }

    fn of_one(plain: LogLine) -> TeamLine {
        let status = plain.kind.starts_with("session.thread_status_");
        let agent = if status { WEAVER.to_owned() } else { String::new() };
        let own = Some(threads::thread(1));
        TeamLine { thread: own, peer: own.filter(|_| status), agent, plain, ..TeamLine::default() }
    }

    #[test]
    fn a_plain_turn_is_fine_and_each_line_left_out_is_objected_to() {
        let turn = [running(), asks(), vec![end(1, "answered")], idle("end_turn", &[])].concat();
        assert_eq!(judged(std::slice::from_ref(&turn)), Ok(()));
        let statuses = ["session.status_", "session.thread_status_", "session.usage"];
        for out in 0..turn.len() {
            let mut turn = turn.clone();
            let line = turn.remove(out);
            if statuses.iter().any(|status| line.kind.starts_with(status)) {
                assert!(judged(&[turn]).is_err(), "without {}", line.kind);
            }
        }
    }

    #[test]
    fn work_before_running_is_objected_to() {
        assert!(judged(&[[asks(), running()].concat()]).is_err());
        assert!(judged(&[asks()]).is_err());
    }

    #[test]
    fn an_answer_that_wakes_stands_before_the_running_pair_and_another_does_not() {
        let asked = [running(), asks(), calls(), idle("requires_action", &[8, 9])].concat();
        let result = |call| about(call + 20, "user.custom_tool_result", call);
        let start = event(2, "span.model_request_start");
        let both = vec![result(8), result(9)];
        let right = [both.clone(), running(), vec![start.clone()]].concat();
        assert_eq!(judged(&[asked.clone(), right]), Ok(()));
        let first = [running(), both.clone(), vec![start.clone()]].concat();
        assert!(judged(&[asked.clone(), first]).is_err());
        let between = [vec![result(8)], running(), vec![result(9), start]].concat();
        assert!(judged(&[asked.clone(), between]).is_err());
        let ends = |kind: &str| {
            let error = [kind.into(), "exhausted".into(), String::new()];
            let failed = LogLine { error, ..event(3, "session.error") };
            [both.clone(), vec![failed], idle("retries_exhausted", &[])].concat()
        };
        assert_eq!(judged(&[asked.clone(), ends("tool_use_limit_reached_error")]), Ok(()));
        assert!(judged(&[asked.clone(), ends("model_request_failed_error")]).is_err());
        let rest = [vec![result(8)], idle("requires_action", &[9])].concat();
        let again = [running(), vec![result(8)], idle("requires_action", &[9])].concat();
        assert_eq!(judged(&[asked, rest, again]), Ok(()));
    }

    #[test]
    fn required_actions_must_be_the_open_calls() {
        let asked = [running(), asks(), calls(), idle("requires_action", &[8, 9])].concat();
        let result = about(20, "user.custom_tool_result", 8);
        let rest = [vec![result.clone()], idle("requires_action", &[9])].concat();
        assert_eq!(judged(&[asked.clone(), rest]), Ok(()));
        let stale = [vec![result.clone()], idle("requires_action", &[8, 9])].concat();
        assert!(judged(&[asked.clone(), stale]).is_err());
        assert!(judged(&[asked, vec![result]]).is_err());
        assert!(judged(&[[running(), asks(), calls(), idle("end_turn", &[])].concat()]).is_err());
    }

    #[test]
    fn it_runs_while_a_tool_does_and_is_idle_while_only_the_client_can_act() {
        let both = vec![called(8, "", ""), called(9, "bash", "allow"), end(1, "answered")];
        let begun = [running(), asks(), both].concat();
        assert_eq!(judged(std::slice::from_ref(&begun)), Ok(()));
        let early = [begun.clone(), idle("requires_action", &[8])].concat();
        assert!(judged(&[early]).is_err());
        let done = [vec![told(9, "out")], idle("requires_action", &[8])].concat();
        assert_eq!(judged(&[begun.clone(), done.clone()]), Ok(()));
        assert!(judged(&[begun, vec![told(9, "out")]]).is_err());
        let asked = vec![called(8, "bash", "ask"), called(9, "bash", "allow"), end(1, "answered")];
        let held = [running(), asks(), asked, idle("requires_action", &[8])].concat();
        let let_in = [vec![confirmed(8, "allow")], running()].concat();
        assert_eq!(judged(&[held.clone(), let_in]), Ok(()));
        assert!(judged(&[held.clone(), vec![confirmed(8, "allow")]]).is_err());
        let closed = vec![told(8, "closed"), told(9, "closed"), event(7, "user.interrupt")];
        assert_eq!(judged(&[held, [closed, idle("end_turn", &[])].concat()]), Ok(()));
    }

    #[test]
    fn a_stop_that_is_not_the_turns_own_is_objected_to() {
        let refused = |stop| [running(), asks(), vec![end(1, "refused")], idle(stop, &[])].concat();
        assert_eq!(judged(&[refused("refusal")]), Ok(()));
        assert!(judged(&[refused("end_turn")]).is_err());
    }

    #[test]
    fn an_interrupted_rest_keeps_its_stop_and_prints_nothing() {
        let refused = [running(), asks(), vec![end(1, "refused")], idle("refusal", &[])].concat();
        assert_eq!(judged(&[refused.clone(), vec![event(7, "user.interrupt")]]), Ok(()));
        let loud = [vec![event(7, "user.interrupt")], idle("end_turn", &[])].concat();
        assert!(judged(&[refused, loud]).is_err());
    }
}
