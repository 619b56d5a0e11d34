//! Delegation: the five tools by which threads call, write to and report to each other. They are carried
//! out by the law itself, in the commit that makes the call (docs/rules.md 3, 9).

use alloc::{format, string::String, vec, vec::Vec};

use protocol::{
    EventId, Object, ThreadId, agent::RosterMember, content::ContentBlock, event::Body, limits,
    roster::DelegationTool,
};
use serde_json::{Value, json};

use crate::{
    draft::DecisionDraft,
    fact::{ChildEnd, MailKind, Note, PrivatePart},
    mail, status,
    thread::{ThreadActivity, ThreadState, TurnStop},
    turn,
};

/// What a child's waiting parent is told when its owner archives the child (docs/rules.md 3, exactly).
pub(crate) const CANCELLED: &str = "Agent cancelled.";
/// What it is told when the child is interrupted.
pub(crate) const INTERRUPTED: &str = "Agent interrupted.";
/// What the calls are closed with that an ended thread leaves open.
const ENDED: &str = "The thread was ended before this was answered.";
const DECLINED: &str = "The agent declined to continue.";
/// Ended children that `list_agents` shows.
const ENDED_SHOWN: usize = 50;
const NO_OUTPUT: &str = "(no output)";

/// Carries out a call that `thread` has just made. One that waits stays open.
pub(crate) fn run(
    draft: &mut DecisionDraft<'_>,
    thread: ThreadId,
    call: EventId,
    errand: DelegationTool,
    input: &Object,
) {
    let done = match errand {
        DelegationTool::CreateAgent => spawn(draft, thread, call, false, input).map(Some),
        DelegationTool::Agent => spawn(draft, thread, call, true, input).map(|_| None),
        DelegationTool::SendToAgent => send_to_child(draft, thread, input).map(Some),
        DelegationTool::ListAgents => Ok(Some(list(draft, thread))),
        DelegationTool::SendToParent => send_to_parent(draft, thread, input).map(Some),
    };
    match done {
        Ok(None) => {}
        Ok(Some(value)) => {
            mail::answer(draft, thread, call, vec![ContentBlock::text(format!("{value}"))], false);
        }
        Err(why) => mail::answer(draft, thread, call, vec![ContentBlock::text(why)], true),
    }
}

/// A text that the model must have given.
fn given<'a>(input: &'a Object, key: &str) -> Result<&'a str, String> {
    match input.get(key) {
        Some(Value::String(text)) if !text.trim().is_empty() => Ok(text),
        _ => Err(format!("`{key}` is needed: a text that is not empty.")),
    }
}

fn spawn(
    draft: &mut DecisionDraft<'_>,
    thread: ThreadId,
    call: EventId,
    waits: bool,
    input: &Object,
) -> Result<Value, String> {
    let (name, task) = (given(input, "agent")?, given(input, "task")?);
    let cast = draft.session.cast(thread).ok_or("The session is over.")?;
    let named = |member: &RosterMember| member.agent.definition.name == name;
    let own = |member: &RosterMember| member.agent.definition.id == cast.own;
    let place = cast.roster.iter().position(named);
    let place = place.or_else(|| cast.roster.iter().position(own).filter(|_| name == "self"));
    let Some((member, agent)) = place.and_then(|place| Some((place, cast.roster.get(place)?))) else {
        let names: Vec<String> =
            cast.roster.iter().map(|member| format!("`{}`", member.agent.definition.name)).collect();
        return Err(format!("There is no agent named `{name}`. `agent` is one of: {}.", names.join(", ")));
    };
    let agent_name = agent.agent.definition.name.clone();
    let most = draft.session.tree.max_threads;
    if draft.session.slots() >= most as usize {
        return Err(format!(
            "This session has {most} agents already, which is the most it may have. Give the task to \
             one of them with `send_to_agent` (`list_agents` shows who is idle), or do it yourself."
        ));
    }
    if draft.session.threads().count() > limits::THREADS_EVER {
        return Err(format!(
            "This session has made {} agents in its life, which is the most. Use one that is still there, or do it \
             yourself and tell the user that a new session is needed for more.",
            limits::THREADS_EVER
        ));
    }
    let child = ThreadId::from_bits(draft.dice.draw());
    let made = Body::SessionThreadCreated {
        session_thread_id: child,
        agent_name: agent_name.clone(),
        workflow_run_id: None,
    };
    let task = vec![ContentBlock::text(task)];
    draft.say_with(thread, made, Some(PrivatePart::Child { member, call, waits }));
    send(draft, thread, child, task, MailKind::Task);
    Ok(json!({"thread_id": child, "agent": agent_name, "status": "running"}))
}

fn send_to_child(draft: &mut DecisionDraft<'_>, thread: ThreadId, input: &Object) -> Result<Value, String> {
    let (id, message) = (given(input, "thread_id")?, given(input, "message")?);
    let child = id.parse().ok().and_then(|id: ThreadId| draft.session.thread(id));
    let Some(child) = child.filter(|child| child.parent == Some(thread)) else {
        return Err(format!(
            "You have no agent with the thread_id `{id}`. `list_agents` shows those you have."
        ));
    };
    if child.ended() {
        return Err(format!(
            "The agent `{id}` has ended and takes no more messages. Make another with `create_agent`."
        ));
    }
    if !mail::has_room(&draft.session, message.len()) {
        return Err("The agent's mailbox is full. Wait for its report before you write again.".into());
    }
    let child = child.id;
    let from = name(draft, thread);
    send(draft, thread, child, vec![ContentBlock::text(message)], MailKind::Letter { from });
    Ok(shown(draft, child))
}

/// The children; of those that have ended the latest only, so that the answer stays readable.
fn list(draft: &DecisionDraft<'_>, thread: ThreadId) -> Value {
    let ended = draft.session.children(thread).filter(|child| child.ended()).count();
    let mut hidden = ended.saturating_sub(ENDED_SHOWN);
    let left_out = hidden;
    let mut agents = Vec::new();
    for child in draft.session.children(thread) {
        if child.ended() && hidden > 0 {
            hidden -= 1;
            continue;
        }
        let mut shown = shown(draft, child.id);
        if let Value::Object(shown) = &mut shown {
            shown.insert("pending_messages".into(), child.queue.len().into());
        }
        agents.push(shown);
    }
    if left_out == 0 {
        return json!({"agents": agents});
    }
    json!({"agents": agents, "ended_earlier": left_out})
}

fn send_to_parent(draft: &mut DecisionDraft<'_>, thread: ThreadId, input: &Object) -> Result<Value, String> {
    let message = given(input, "message")?;
    let parent = draft.session.thread(thread).and_then(|child| child.parent).ok_or("You have no parent.")?;
    if !mail::has_room(&draft.session, message.len()) {
        return Err("The parent's mailbox is full. Say it in your last message instead.".into());
    }
    let content = vec![ContentBlock::text(message)];
    if waiting(draft, thread).is_some() {
        draft.note(thread, Note::Kept { content });
    } else {
        let from = name(draft, thread);
        // What was kept for a wait that is no more goes first.
        let mut said = kept(draft, thread);
        said.extend(content);
        send(draft, thread, parent, said, MailKind::Letter { from });
    }
    Ok(shown(draft, parent))
}

/// Sends `content` from one thread to another. Whether there is room for it is the caller's question.
fn send(
    draft: &mut DecisionDraft<'_>,
    from: ThreadId,
    to: ThreadId,
    content: Vec<ContentBlock>,
    told: MailKind,
) {
    let received = mail::envelope(&draft.session, from, &content);
    mail::say_sent(draft, from, to, content);
    if let Some(received) = received {
        turn::hand_over(draft, to, received, Some(PrivatePart::Mail { told }));
    }
}

/// A thread as the model is shown it.
fn shown(draft: &DecisionDraft<'_>, thread: ThreadId) -> Value {
    let Some(state) = draft.session.thread(thread) else { return Value::Null };
    let status = status::thread(&draft.session, state).status().name();
    json!({"thread_id": thread, "agent": state.agent_name, "status": status})
}

fn name(draft: &DecisionDraft<'_>, thread: ThreadId) -> String {
    draft.session.thread(thread).map(|state| state.agent_name.clone()).unwrap_or_default()
}

fn kept(draft: &DecisionDraft<'_>, thread: ThreadId) -> Vec<ContentBlock> {
    draft.session.thread(thread).map(|state| state.report.kept.clone()).unwrap_or_default()
}

/// The parent of a child and its call that waits for the child's report.
fn waiting(draft: &DecisionDraft<'_>, child: ThreadId) -> Option<(ThreadId, EventId)> {
    let parent = draft.session.thread(draft.session.thread(child)?.parent?)?;
    Some((parent.id, parent.waiting_for(child)?.id))
}

/// What may happen to a child, and ends a wait for it (the table of docs/rules.md 3).
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum ChildHappening {
    /// Its turn ended.
    Finished,
    /// It refused.
    Refused,
    /// Its model could not be asked, or asked too often; it ends.
    Exhausted(String),
    /// A person stopped it.
    Interrupted,
    /// Its owner archived it.
    Archived,
}

/// Tells parents of the turns of children that have ended in this input, in order, and lets them go on.
pub(crate) fn conclude(draft: &mut DecisionDraft<'_>) {
    while let Some((thread, why)) = draft.ended.pop_front() {
        let doing = draft.session.thread(thread).map(|state| &state.doing);
        let happened = match doing {
            Some(ThreadActivity::Resting(TurnStop::EndTurn)) => ChildHappening::Finished,
            Some(ThreadActivity::Resting(TurnStop::Refused(_))) => ChildHappening::Refused,
            Some(ThreadActivity::Resting(TurnStop::Exhausted)) => ChildHappening::Exhausted(why),
            // Something has set it to work again since, or ended it.
            Some(
                ThreadActivity::Due
                | ThreadActivity::Asking(..)
                | ThreadActivity::Calling(_)
                | ThreadActivity::Waiting(_)
                | ThreadActivity::Ended(_),
            )
            | None => {
                continue;
            }
        };
        tell(draft, thread, &happened);
    }
}

/// Tells the parent of `child` what happened to it, by the table of docs/rules.md 3, and lets it go on.
pub(crate) fn tell(draft: &mut DecisionDraft<'_>, child: ThreadId, happened: &ChildHappening) {
    let Some(parent) = draft.session.thread(child).and_then(|state| state.parent) else { return };
    let (content, is_error, shows) = match happened {
        ChildHappening::Finished => (report(draft.session.thread(child)), false, true),
        ChildHappening::Refused => (vec![ContentBlock::text(DECLINED)], true, true),
        ChildHappening::Exhausted(why) => {
            (vec![ContentBlock::text(format!("Agent failed: {why}"))], true, true)
        }
        ChildHappening::Interrupted => (vec![ContentBlock::text(INTERRUPTED)], true, false),
        ChildHappening::Archived => (vec![ContentBlock::text(CANCELLED)], false, false),
    };
    let wait = waiting(draft, child);
    let spoken = draft.session.thread(child).is_some_and(|state| state.report.mailed);
    let mails = match happened {
        // What it has sent in this turn was its report, but for what was kept for a wait that is no more.
        ChildHappening::Finished => wait.is_none() && (!spoken || !kept(draft, child).is_empty()),
        ChildHappening::Refused | ChildHappening::Exhausted(_) => wait.is_none(),
        ChildHappening::Interrupted | ChildHappening::Archived => false,
    };
    let Some(received) = mail::envelope(&draft.session, child, &content) else { return };
    let from = name(draft, child);
    if mails || wait.is_some() && shows {
        mail::say_sent(draft, child, parent, content.clone());
    }
    if matches!(happened, ChildHappening::Exhausted(_)) {
        end(draft, child, ChildEnd::Exhausted);
    }
    if let Some((parent, call)) = wait {
        if shows {
            draft.say_with(parent, received, Some(PrivatePart::Mail { told: MailKind::Result }));
        }
        mail::answer(draft, parent, call, content, is_error);
        turn::go_on(draft, parent);
    } else if mails {
        turn::hand_over(draft, parent, received, Some(PrivatePart::Mail { told: MailKind::Letter { from } }));
    }
}

/// Ends a thread and all below it, the deepest first: calls are closed, mail is cancelled, slots are free.
pub(crate) fn end(draft: &mut DecisionDraft<'_>, thread: ThreadId, how: ChildEnd) {
    let below: Vec<ThreadId> = draft.session.children(thread).map(|child| child.id).collect();
    for child in below {
        end(draft, child, ChildEnd::Archived);
    }
    let Some(state) = draft.session.thread(thread) else { return };
    if state.ended() && (how == ChildEnd::Exhausted || state.archived_at.is_some()) {
        return;
    }
    if !state.ended() {
        turn::cut(draft, thread, ENDED);
        mail::cancel(draft, thread);
    }
    draft.note(thread, Note::Ended { end: how });
}

/// What a child reports: what was kept, in order, else its last words.
fn report(child: Option<&ThreadState>) -> Vec<ContentBlock> {
    let Some(child) = child else { return Vec::new() };
    let said = if child.report.kept.is_empty() { &child.report.last } else { &child.report.kept };
    if said.is_empty() { vec![ContentBlock::text(NO_OUTPUT)] } else { said.clone() }
}
