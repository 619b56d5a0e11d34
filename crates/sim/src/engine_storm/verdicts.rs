//! Verdicts on a whole log: the judges of every session, and what only an engine can do wrong.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

use engine::{Engine, EventCursor, EventQuery, ListOrder, TimeRange};
use kernel::status;
use protocol::agent::SessionAgent;
use protocol::content::ContentBlock;
use protocol::event::Event;
use protocol::input::ClientEvent;
use protocol::{EventId, Timestamp, limits};
use tools::ToolOutcome;

use super::run_record::{HOME, RequestFate, RunRecord, SentRequest};
use super::session_log::SessionLog;
use crate::dice::Dice;
use crate::law::law;
use crate::ledger;
use crate::team::bench::Bench;
use crate::team::line;
use crate::team::reading::TeamReading;
use crate::team::roster::TeamRoster;
use crate::words::{self, is_own};

/// How late a retry may be when nothing is wrong.
const PROMPT: Duration = Duration::from_secs(1);

/// The head row says what the log makes.
///
/// # Errors
/// What it says instead.
pub(super) async fn head(book: &RunRecord, session: usize) -> Result<(), String> {
    book.refresh(session).await;
    let Some(id) = book.id(session) else { return Ok(()) };
    let head = book.store().head_of(id).await.map_err(|why| format!("head: {why}"))?;
    let judged = book.tale(session, |tale| {
        let made = &tale.session;
        let Some(head) = head else {
            law!(made.deleted_at.is_some(), "head: it is gone and the session is not");
            return Ok(());
        };
        let due = kernel::wants(made).into_iter().find_map(|want| match want {
            kernel::Want::Wake { at, .. } => Some(at),
            kernel::Want::Ask { .. } | kernel::Want::Run { .. } => None,
        });
        let says = (head.position, head.status, head.due, head.created_at, head.updated_at);
        let is = (made.head, status::session(made).status(), due, made.created_at, made.last);
        law!(says == is, "head: it says {says:?} and the log {is:?}");
        let (says, is) = ((head.archived_at, head.deleted_at), (made.archived_at, made.deleted_at));
        law!(says == is, "head: it says {says:?} and the log {is:?}");
        Ok(())
    });
    judged.unwrap_or(Ok(()))
}

/// A session at rest: head row, object and list say what the log makes.
///
/// # Errors
/// What they say instead.
pub(super) async fn at_rest(
    book: &RunRecord,
    engine: &Engine,
    session: usize,
    dice: &mut Dice,
) -> Result<(), String> {
    head(book, session).await?;
    let Some(id) = book.id(session) else { return Ok(()) };
    let object = engine.session(HOME, id).await.map_err(|why| format!("object: {why}"))?;
    let judged = book.tale(session, |tale| {
        let made = &tale.session;
        let Some(object) = object else {
            law!(made.deleted_at.is_some(), "object: it is gone and the session is not");
            return Ok(());
        };
        let now = made.archived_at.unwrap_or(engine.now());
        let says = (object.status, object.title, object.metadata, object.usage, object.stats);
        let (status, title, metadata) =
            (status::session(made).status(), made.title.clone(), made.metadata.clone());
        let is = (status, title, metadata, made.usage(now), made.stats(now));
        law!(says == is, "object: it says {says:?} and the log {is:?}");
        Ok(())
    });
    judged.unwrap_or(Ok(()))?;
    if book.tale(session, |tale| tale.session.deleted_at.is_some()) == Some(true) {
        return Ok(());
    }
    for order in [ListOrder::Ascending, ListOrder::Descending] {
        list(book, engine, session, order, 1 + dice.below(200) as usize).await?;
    }
    Ok(())
}

/// The pages of a list join to what the log shows: what was processed, then what waits.
async fn list(
    book: &RunRecord,
    engine: &Engine,
    session: usize,
    order: ListOrder,
    limit: usize,
) -> Result<(), String> {
    let Some(id) = book.id(session) else { return Ok(()) };
    let mut joined: Vec<Event> = Vec::new();
    let mut after: Option<EventCursor> = None;
    loop {
        let (types, created) = (std::collections::BTreeSet::new(), TimeRange::default());
        let query =
            EventQuery { thread: None, order, after, limit, bytes: limits::PAGE_BYTES, types, created };
        let page = engine.events(HOME, id, query).await.map_err(|why| format!("list: {why}"))?;
        let Some(page) = page else { return Err("list: there is no such session".into()) };
        law!(page.events.len() <= limit, "list: a page of {} by {limit}", page.events.len());
        joined.extend(page.events.iter().map(|event| Event::clone(event)));
        after = page.next;
        if after.is_none() {
            break;
        }
        law!(!page.events.is_empty(), "list: an empty page that is not the last");
    }
    if order == ListOrder::Descending {
        joined.reverse();
    }
    let judged = book.tale(session, |tale| {
        let processed = tale.posts.iter().filter(|post| !post.queued).map(|post| &post.event);
        let shown: Vec<&Event> = processed.chain(tale.session.queued()).collect();
        let same = shown.len() == joined.len() && shown.iter().zip(&joined).all(|(one, other)| *one == other);
        law!(same, "list: {order:?} by {limit} shows {} of {} events", joined.len(), shown.len());
        Ok(())
    });
    judged.unwrap_or(Ok(()))
}

/// Judges the whole log of a session.
///
/// # Errors
/// The law it breaks.
pub(super) fn whole(book: &RunRecord, session: usize) -> Result<(), String> {
    let (sent, given) = (book.sent(session), book.gave());
    let judged = book.tale(session, |tale| {
        bench(tale)?;
        told(tale, &sent)?;
        recoveries(tale)?;
        torn(tale)?;
        gave(tale, &given)?;
        let cut = unlawful_cut(tale, |from, to| book.lost(from, to));
        law!(cut.is_none(), "recovered: {cut:?} was ours and was cut");
        let unknown = tale.lines.iter().filter(|line| line.texts() == [words::UNKNOWN]).count();
        Ok((retries(tale), unknown))
    });
    let (retries, unknown) = judged.unwrap_or(Ok((Vec::new(), 0)))?;
    (0..unknown).for_each(|_| book.count("tool unknown"));
    for (request, due, came) in retries {
        let late = book.late(due, came);
        law!(late < PROMPT, "retry: {request:?} came {late:?} late");
    }
    Ok(())
}

/// The judges of every session, on the rows as they are kept.
fn bench(tale: &SessionLog) -> Result<(), String> {
    let team = TeamRoster::alone(SessionAgent::clone(&tale.session.agent));
    let (mut bench, mut reading) = (Bench::new(Arc::new(team)), TeamReading::default());
    for row in &tale.rows {
        let lines = line::read(&row.body, row.first).map_err(|why| format!("log: {why}"))?;
        bench.see(&lines, &mut reading)?;
    }
    Ok(())
}

/// What was acknowledged is there once, in the order in which it was sent; what was refused is not
/// there; what was answered by a fault is there once, whole, or not at all.
fn told(tale: &SessionLog, sent: &[SentRequest]) -> Result<(), String> {
    let (mut stops, mut doubted) = (0, 0);
    let mut last = 0;
    for request in sent {
        let twice = words(&request.events).into_iter().map(|word| count(tale, word));
        let twice = twice.into_iter().any(|(done, queued)| done > 1 || queued > 1);
        law!(!twice, "ledger: {:?} is in the log twice", request.events);
        let stop = |event: &&ClientEvent| matches!(event, ClientEvent::Interrupt { .. });
        let many = request.events.iter().filter(stop).count();
        match &request.fate {
            RequestFate::Kept(ids) => {
                stops += many;
                ledger::judge(&request.events, ids, &tale.lines)?;
                let first = ids.first().and_then(|id| tale.lines.iter().find(|line| line.id == Some(*id)));
                let position = first.map_or(u64::MAX, |line| line.position);
                if !request.again {
                    law!(position > last, "order: what was sent later stands earlier, at {position}");
                    last = position;
                }
            }
            RequestFate::Refused => {
                let there = words(&request.events).iter().any(|word| count(tale, word) != (0, 0));
                law!(!there, "ledger: {:?} was refused and is in the log", request.events);
            }
            RequestFate::Unsure => {
                doubted += many;
                let counts: Vec<_> = words(&request.events).iter().map(|word| count(tale, word)).collect();
                let some = counts.iter().any(|found| *found != (0, 0));
                let all = counts.iter().all(|found| *found != (0, 0));
                law!(
                    some == (all && !counts.is_empty()),
                    "ledger: {:?} is in the log in part",
                    request.events
                );
            }
        }
        if !tale.over() {
            let waits = words(&request.events).iter().any(|word| matches!(count(tale, word), (0, 1)));
            law!(!waits, "queue: {:?} was never taken", request.events);
        }
    }
    let found = tale.lines.iter().filter(|line| line.kind == "user.interrupt").count();
    let lawful = (stops..=stops + doubted).contains(&found);
    law!(lawful, "ledger: {stops} interrupts acknowledged, {doubted} in doubt, {found} in the log");
    Ok(())
}

/// The words that only this request says.
fn words(events: &[ClientEvent]) -> Vec<&str> {
    events.iter().flat_map(content).filter_map(text).collect()
}

fn content(event: &ClientEvent) -> &[ContentBlock] {
    match event {
        ClientEvent::Message { content } => content,
        ClientEvent::CustomResult { content, .. } => content.as_deref().unwrap_or_default(),
        ClientEvent::Interrupt { .. } | ClientEvent::Confirmation { .. } => &[],
    }
}

fn text(block: &ContentBlock) -> Option<&str> {
    match block {
        ContentBlock::Text { text } => Some(text),
        ContentBlock::Redacted
        | ContentBlock::Image { .. }
        | ContentBlock::Document { .. }
        | ContentBlock::SearchResult { .. } => None,
    }
}

/// How often these words are in the log as something done, and as something queued.
fn count(tale: &SessionLog, word: &str) -> (usize, usize) {
    let said = tale.lines.iter().filter(|line| line.kind.starts_with("user.") || line.kind == "note.queued");
    let said = said.filter(|line| line.texts() == [word]);
    said.fold(
        (0, 0),
        |(done, queued), line| {
            if line.kind == "note.queued" { (done, queued + 1) } else { (done + 1, queued) }
        },
    )
}

/// A request that was open when an engine started is cut before anything else happens.
fn recoveries(tale: &SessionLog) -> Result<(), String> {
    for (birth, _) in &tale.births {
        let (before, after) = tale.lines.split_at_checked(*birth as usize).unwrap_or((&tale.lines, &[]));
        let open = before.iter().rev().find(|line| line.kind.starts_with("span."));
        let Some(open) = open.filter(|line| line.kind == "span.model_request_start") else { continue };
        if let Some(next) = after.first() {
            let cut = next.how == "cut" && next.about == open.id;
            law!(cut, "recovered: {:?} was open at a start, and the next is {}", open.id, next.kind);
        }
    }
    Ok(())
}

/// What had begun and may have done something when an engine started is answered as unknown before anything
/// else happens; nothing else is. Of the calls of a thread that is one at most.
fn torn(tale: &SessionLog) -> Result<(), String> {
    let mut lines = tale.lines.as_slice();
    for row in &tale.rows {
        let (commit, rest) = lines.split_at_checked(row.count as usize).unwrap_or((lines, &[]));
        lines = rest;
        let told = commit.iter().filter(|line| line.texts() == [words::UNKNOWN]);
        let told: Vec<EventId> = told.filter_map(|line| line.about).collect();
        let torn = tale.births.iter().filter(|(birth, _)| *birth == row.first).flat_map(|(_, torn)| torn);
        let left = torn.clone().find(|call| !told.contains(call));
        law!(left.is_none(), "recovered: {left:?} had begun before a start and is not answered as unknown");
        law!(
            told.len() <= usize::from(tale.born(row.first)),
            "recovered: {told:?} are answered as unknown at {}",
            row.first
        );
    }
    Ok(())
}

/// What a tool gave stands in the log word for word, or not at all.
fn gave(tale: &SessionLog, given: &BTreeMap<EventId, Vec<ToolOutcome>>) -> Result<(), String> {
    let own = tale.lines.iter().filter(|line| line.kind == "agent.tool_result" && is_own(line));
    for line in own {
        let Some(call) = line.about else { continue };
        let here = (line.content.clone(), line.is_error);
        let is =
            |outcome: &ToolOutcome| (serde_json::to_value(&outcome.content).ok(), outcome.is_error) == here;
        let said = given.get(&call).is_some_and(|outcomes| outcomes.iter().any(is));
        law!(said, "outcome: no tool gave {call} what the log says: {here:?}");
    }
    Ok(())
}

/// A request that was cut although nobody stopped it and its engine was still there.
fn unlawful_cut(tale: &SessionLog, lost: impl Fn(Timestamp, Timestamp) -> bool) -> Option<EventId> {
    let starts: BTreeMap<_, _> = tale.lines.iter().filter_map(|line| Some((line.id?, line.at))).collect();
    let mut lines = tale.lines.as_slice();
    for row in &tale.rows {
        let (commit, rest) = lines.split_at_checked(row.count as usize).unwrap_or((lines, &[]));
        lines = rest;
        if tale.born(row.first) {
            continue;
        }
        let cuts = commit.iter().enumerate().filter(|(_, line)| line.how == "cut");
        for (place, cut) in cuts {
            let stopped = commit.iter().skip(place).any(|line| line.kind == "user.interrupt");
            let began = cut.about.and_then(|id| starts.get(&id)).copied().unwrap_or(cut.at);
            if !stopped && !lost(began, cut.at) {
                return cut.about;
            }
        }
    }
    None
}

/// Each retry: the request that it made, when it was due, and when it came.
fn retries(tale: &SessionLog) -> Vec<(Option<EventId>, Timestamp, Timestamp)> {
    let mut until = None;
    let mut made = Vec::new();
    for line in &tale.lines {
        if tale.born(line.position) {
            until = None;
        }
        match line.kind.as_str() {
            "note.retry" => until = line.until,
            "user.interrupt" | "session.error" => until = None,
            "span.model_request_start" => made.extend(until.take().map(|due| (line.id, due, line.at))),
            _ => {}
        }
    }
    made
}

#[cfg(test)]
mod tests {
    use super::super::session_log::agent;
    use super::*;
    use crate::agent_tools::AgentTools;
    use crate::line::LogLine;
    use crate::referee::testing::{about, called, end, event, id, retry, told as answered};
    use protocol::SessionId;
    use store::LogRow;

    fn tale(commits: &[&[LogLine]], births: &[u64]) -> SessionLog {
        let kit = AgentTools::throw(&mut Dice::new(1));
        let mut tale = SessionLog::new(SessionId::from_bits(1), agent(1, &kit));
        for commit in commits {
            let first = tale.lines.len() as u64;
            tale.rows.push(LogRow {
                first,
                count: commit.len() as u32,
                at: Timestamp::default(),
                body: Vec::new(),
                receipt: None,
            });
            let placed = (first..).zip(*commit).map(|(position, line)| LogLine { position, ..line.clone() });
            tale.lines.extend(placed);
        }
        tale.births = births.iter().map(|birth| (*birth, Vec::new())).collect();
        tale
    }

    fn said(number: u128, kind: &str, word: &str) -> LogLine {
        let content = serde_json::to_value([ContentBlock::text(word)]).ok();
        LogLine { content, ..event(number, kind) }
    }

    fn sent(word: &str, fate: RequestFate) -> SentRequest {
        let events = vec![ClientEvent::Message { content: vec![ContentBlock::text(word)] }];
        SentRequest { session: 1, events, fate, at: Timestamp::default(), again: false }
    }

    fn kept(number: u128) -> RequestFate {
        RequestFate::Kept(vec![id(number)])
    }

    fn open() -> LogLine {
        event(1, "span.model_request_start")
    }

    fn cut() -> LogLine {
        end(1, "cut")
    }

    #[test]
    fn what_was_acknowledged_is_there_once_and_in_its_order() {
        let log = tale(
            &[&[event(9, "note.opened")], &[said(1, "user.message", "a")], &[said(2, "user.message", "b")]],
            &[],
        );
        assert_eq!(told(&log, &[sent("a", kept(1)), sent("b", kept(2))]), Ok(()));
        assert!(told(&log, &[sent("b", kept(2)), sent("a", kept(1))]).is_err(), "order");
        assert!(told(&log, &[sent("c", kept(3))]).is_err(), "lost");
        let waits = tale(&[&[event(9, "note.opened")], &[said(1, "note.queued", "a")]], &[]);
        assert!(told(&waits, &[sent("a", kept(1))]).is_err(), "never taken");
    }

    #[test]
    fn what_was_refused_is_not_there_and_what_is_in_doubt_at_most_once() {
        let none = tale(&[&[event(9, "note.opened")]], &[]);
        let once = tale(&[&[event(9, "note.opened")], &[said(1, "user.message", "a")]], &[]);
        let twice = tale(&[&[said(1, "user.message", "a")], &[said(2, "user.message", "a")]], &[]);
        assert_eq!(told(&none, &[sent("a", RequestFate::Refused)]), Ok(()));
        assert!(told(&once, &[sent("a", RequestFate::Refused)]).is_err());
        assert_eq!(told(&none, &[sent("a", RequestFate::Unsure)]), Ok(()));
        assert_eq!(told(&once, &[sent("a", RequestFate::Unsure)]), Ok(()));
        assert!(told(&twice, &[sent("a", RequestFate::Unsure)]).is_err());
        let both = SentRequest {
            events: [sent("a", RequestFate::Unsure), sent("b", RequestFate::Unsure)]
                .map(|one| one.events)
                .concat(),
            ..sent("a", RequestFate::Unsure)
        };
        assert!(told(&once, &[both]).is_err(), "in part");
    }

    #[test]
    fn interrupts_are_counted_between_what_is_known_and_what_is_in_doubt() {
        let events = || vec![ClientEvent::Interrupt { thread: None }];
        let stop = |fate| SentRequest { events: events(), ..sent("", fate) };
        let log = tale(&[&[event(9, "note.opened")], &[event(1, "user.interrupt")]], &[]);
        assert_eq!(told(&log, &[stop(kept(1))]), Ok(()));
        assert_eq!(told(&log, &[stop(RequestFate::Unsure), stop(RequestFate::Unsure)]), Ok(()));
        assert!(told(&log, &[]).is_err());
    }

    #[test]
    fn a_request_open_at_a_start_is_cut_first() {
        assert_eq!(recoveries(&tale(&[&[open()], &[cut()]], &[1])), Ok(()));
        assert!(recoveries(&tale(&[&[open()], &[end(1, "answered")]], &[1])).is_err());
        assert_eq!(recoveries(&tale(&[&[open()], &[end(1, "answered")]], &[0])), Ok(()));
    }

    #[test]
    fn a_request_of_ours_is_cut_only_by_an_interrupt() {
        let fair = |_, _| false;
        assert_eq!(unlawful_cut(&tale(&[&[open()], &[cut()]], &[]), fair), Some(id(1)));
        assert_eq!(unlawful_cut(&tale(&[&[open()], &[cut()]], &[]), |_, _| true), None);
        assert_eq!(unlawful_cut(&tale(&[&[open()], &[cut()]], &[1]), fair), None);
        let stopped = [cut(), about(2, "user.interrupt", 1)];
        assert_eq!(unlawful_cut(&tale(&[&[open()], &stopped], &[]), fair), None);
    }

    #[test]
    fn a_retry_is_known_by_its_time_unless_it_was_interrupted_or_another_engine_made_it() {
        let at = |seconds: i64| Timestamp::from_micros(seconds * 1_000_000);
        let came = LogLine { at: at(22), ..open() };
        let log = tale(&[&[retry(0, 20)], std::slice::from_ref(&came)], &[]);
        assert_eq!(retries(&log), [(Some(id(1)), at(20), at(22))]);
        assert_eq!(retries(&tale(&[&[retry(0, 20)], std::slice::from_ref(&came)], &[1])), []);
        assert_eq!(retries(&tale(&[&[retry(0, 20), event(2, "user.interrupt")], &[came]], &[])), []);
    }

    #[test]
    fn what_had_begun_before_a_start_is_unknown_and_nothing_else_is() {
        let unknown = || [answered(1, words::UNKNOWN)];
        let mut log = tale(&[&[called(1, "bash", "allow")], &unknown()], &[1]);
        log.births = vec![(1, vec![id(1)])];
        assert_eq!(torn(&log), Ok(()));
        log.births = vec![(1, vec![id(2)])];
        assert!(torn(&log).is_err());
        assert!(torn(&tale(&[&[called(1, "bash", "allow")], &unknown()], &[0])).is_err());
        let both = [answered(1, words::UNKNOWN), answered(2, words::UNKNOWN)];
        assert!(torn(&tale(&[&both], &[0])).is_err());
    }

    #[test]
    fn what_no_tool_gave_is_objected_to() {
        let log = tale(&[&[called(1, "bash", "allow"), answered(1, "out 1")]], &[]);
        let out = |text: &str| {
            let outcome = ToolOutcome { content: vec![ContentBlock::text(text)], is_error: true };
            BTreeMap::from([(id(1), vec![outcome])])
        };
        assert_eq!(gave(&log, &out("out 1")), Ok(()));
        assert!(gave(&log, &out("out 2")).is_err());
        assert!(gave(&log, &BTreeMap::new()).is_err());
    }
}
