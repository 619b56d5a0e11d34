//! The book: the tales of all sessions of a life, what its clients were told, and the first objection.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use engine::{CommitError, PostAttempt};
use protocol::agent::SessionAgent;
use protocol::event::Event;
use protocol::input::ClientEvent;
use protocol::{EventId, SessionId, Timestamp, WorkspaceId, limits};
use store::{HeadQuery, ListOrder, Store};
use tools::ToolOutcome;

use super::session_log::{self, SessionLog};
use crate::agent_tools::AgentTools;
use crate::counters::CountersReferee;
use crate::dice::Dice;

/// The workspace of every session.
pub(super) const HOME: WorkspaceId = WorkspaceId::from_bits(1);
/// For how long after a fault nothing is expected to be prompt: some failures in a row, each tried again
/// soon.
const SHADOW: Duration = Duration::from_secs(15);
/// For how long after it was sent a request is sent again.
const AGAIN: Duration = Duration::from_secs(limits::RETRIED_POST_S);
/// The same over the end of an engine, which clients wait for no longer: what was sent longer before it
/// counts as answered.
const OVER_AN_END: Duration = Duration::from_secs(8);
/// Bytes of log read at once.
const CHUNK: usize = 1 << 20;

/// What became of a request, as its client knows it.
#[derive(Debug, Clone, PartialEq)]
pub(super) enum RequestFate {
    /// It has not heard.
    Unsure,
    /// It was refused.
    Refused,
    /// It was accepted under these ids.
    Kept(Vec<EventId>),
}

/// One request of a client.
#[derive(Debug, Clone)]
pub(super) struct SentRequest {
    /// To which session.
    pub(super) session: usize,
    /// What it says.
    pub(super) events: Vec<ClientEvent>,
    /// What became of it.
    pub(super) fate: RequestFate,
    /// When it was first sent.
    pub(super) at: Timestamp,
    /// Whether it was sent again, so that it may stand behind what was sent after it.
    pub(super) again: bool,
}

/// How far a reader has come.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum StreamReader {
    /// It has no stream of this session.
    Away(usize),
    /// There is no session yet.
    Nowhere,
    /// Of this session it was shown all before a place among the posts, which is between these two.
    At(usize, usize, usize),
    /// Its stream has ended with its session.
    Done,
}

#[derive(Debug, Default)]
struct Inner {
    tales: BTreeMap<usize, SessionLog>,
    sent: Vec<SentRequest>,
    readers: Vec<StreamReader>,
    objection: Option<(usize, String)>,
    calm: bool,
    said: u64,
    paused: Timestamp,
    asked: BTreeSet<EventId>,
    counts: BTreeMap<&'static str, u64>,
    tools: CountersReferee,
    gave: BTreeMap<EventId, Vec<ToolOutcome>>,
    stopping: Option<Timestamp>,
    /// When the engine before this one ended.
    ended: Option<Timestamp>,
}

/// See the file.
#[derive(Debug)]
pub(super) struct RunRecord {
    store: Store,
    seed: u64,
    inner: Mutex<Inner>,
    /// When faults are an excuse, and whether answers were lost then. Apart, because it is looked up while a
    /// tale is.
    shadows: Mutex<Vec<(Timestamp, Timestamp, bool)>>,
}

impl RunRecord {
    /// An empty book on what `store` holds, of the life with this seed.
    pub(super) fn new(store: Store, seed: u64) -> Self {
        Self { store, seed, inner: Mutex::default(), shadows: Mutex::default() }
    }

    fn inner(&self) -> MutexGuard<'_, Inner> {
        self.inner.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn shadows(&self) -> MutexGuard<'_, Vec<(Timestamp, Timestamp, bool)>> {
        self.shadows.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// The store.
    pub(super) fn store(&self) -> &Store {
        &self.store
    }

    /// A law is broken in this session. The first objection counts.
    pub(super) fn object(&self, session: usize, why: String) {
        self.inner().objection.get_or_insert((session, why));
    }

    /// The first objection.
    pub(super) fn objection(&self) -> Option<(usize, String)> {
        self.inner().objection.clone()
    }

    /// One more of these mishaps.
    pub(super) fn count(&self, what: &'static str) {
        *self.inner().counts.entry(what).or_default() += 1;
    }

    /// How many there were of each.
    pub(super) fn counts(&self) -> BTreeMap<&'static str, u64> {
        self.inner().counts.clone()
    }

    /// Whether nobody disturbs the sessions any more.
    pub(super) fn calm(&self) -> bool {
        self.inner().calm
    }

    /// Sets that.
    pub(super) fn set_calm(&self, calm: bool) {
        self.inner().calm = calm;
    }

    /// A text that nobody has said.
    pub(super) fn text(&self) -> String {
        let mut inner = self.inner();
        inner.said += 1;
        format!("word {}", inner.said)
    }

    /// A fault was ordered or lifted: for some time nothing needs to be prompt, and if answers are `lost`,
    /// the engine cannot know what is its own.
    pub(super) fn shadow(&self, now: Timestamp, lost: bool) {
        self.shadows().push((now, now.after(SHADOW), lost));
    }

    /// Whether some answer may have been lost between these moments.
    pub(super) fn lost(&self, from: Timestamp, to: Timestamp) -> bool {
        self.shadows().iter().any(|(begin, end, lost)| *lost && *begin <= to && from <= *end)
    }

    /// How late something is that was due then, beyond what faults and rate limits excuse.
    pub(super) fn late(&self, due: Timestamp, now: Timestamp) -> Duration {
        let over = self.shadows().iter().filter(|(begin, ..)| *begin <= now).map(|(_, end, _)| *end).max();
        now.since(due.max(over.unwrap_or(due)).max(self.inner().paused))
    }

    /// A rate limit closes the route until then.
    pub(super) fn pause(&self, until: Timestamp) {
        let mut inner = self.inner();
        inner.paused = inner.paused.max(until);
    }

    /// Whether this request is asked for the first time.
    pub(super) fn first_asked(&self, request: EventId) -> bool {
        self.inner().asked.insert(request)
    }

    /// The tools that the agent of a session holds.
    pub(super) fn kit(&self, session: usize) -> AgentTools {
        AgentTools::throw(&mut Dice::new(self.seed.wrapping_mul(31).wrapping_add(session as u64)))
    }

    /// The agent of a session.
    pub(super) fn agent(&self, session: usize) -> SessionAgent {
        session_log::agent(session, &self.kit(session))
    }

    /// A tool begins to run.
    ///
    /// # Errors
    /// It may not begin again.
    pub(super) fn begin(&self, call: EventId, tool: &str) -> Result<(), String> {
        self.inner().tools.begin(call, tool)
    }

    /// A tool runs no more.
    pub(super) fn end(&self, call: EventId) {
        self.inner().tools.end(call);
    }

    /// The tools that run.
    pub(super) fn running(&self) -> BTreeSet<EventId> {
        self.inner().tools.running().clone()
    }

    /// How often a tool began.
    pub(super) fn begun(&self, call: EventId) -> u64 {
        self.inner().tools.begun(call)
    }

    /// A tool gave this.
    pub(super) fn gives(&self, call: EventId, outcome: ToolOutcome) {
        self.inner().gave.entry(call).or_default().push(outcome);
    }

    /// The engine is told to stop now; `None`: it is not, or no more.
    pub(super) fn set_stopping(&self, since: Option<Timestamp>) {
        self.inner().stopping = since;
    }

    /// Since when the engine is told to stop.
    pub(super) fn stopping(&self) -> Option<Timestamp> {
        self.inner().stopping
    }

    /// All that tools gave, by call, at each of its runs.
    pub(super) fn gave(&self) -> BTreeMap<EventId, Vec<ToolOutcome>> {
        self.inner().gave.clone()
    }

    /// The session with this id.
    pub(super) fn number(&self, id: SessionId) -> Option<usize> {
        self.inner().tales.iter().find(|(_, tale)| tale.id == id).map(|(number, _)| *number)
    }

    /// Looks at a session's tale.
    pub(super) fn tale<T>(&self, session: usize, look: impl FnOnce(&SessionLog) -> T) -> Option<T> {
        self.inner().tales.get(&session).map(look)
    }

    /// The sessions that exist.
    pub(super) fn sessions(&self) -> Vec<usize> {
        self.inner().tales.keys().copied().collect()
    }

    /// The session's id.
    pub(super) fn id(&self, session: usize) -> Option<SessionId> {
        self.tale(session, |tale| tale.id)
    }

    /// A session was opened.
    pub(super) fn opened(&self, session: usize, id: SessionId) {
        let agent = self.agent(session);
        let mut inner = self.inner();
        let known = inner.tales.entry(session).or_insert_with(|| SessionLog::new(id, agent)).id;
        drop(inner);
        if known != id {
            self.object(session, format!("open: {known} and {id} are one session"));
        }
    }

    /// Reads what is new of one session.
    pub(super) async fn refresh(&self, session: usize) {
        loop {
            let known = self.tale(session, |tale| (tale.id, tale.session.head));
            let Some((id, head)) = known else { return };
            let rows = match self.store.read(id, head, CHUNK).await {
                Ok(rows) if rows.is_empty() => return,
                Ok(rows) => rows,
                Err(why) => return self.object(session, format!("log: {why}")),
            };
            let mut inner = self.inner();
            let read = inner
                .tales
                .get_mut(&session)
                .map_or(Ok(()), |tale| rows.into_iter().try_for_each(|row| tale.read(row)));
            drop(inner);
            if let Err(why) = read {
                return self.object(session, why);
            }
        }
    }

    /// Finds sessions whose opening nobody has heard of, and reads what is new of all.
    pub(super) async fn refresh_all(&self) {
        let query =
            HeadQuery { include_archived: true, order: ListOrder::Ascending, ..HeadQuery::new(HOME, 1_000) };
        for head in self.store.heads(query).await.map(|page| page.items).unwrap_or_default() {
            let rows = self.store.read(head.session, 0, 1).await.unwrap_or_default();
            let facts = rows.first().and_then(|row| kernel::fact::decode(&row.body).ok()).unwrap_or_default();
            let number = facts.first().and_then(|fact| match &fact.what {
                kernel::FactContent::Note { note: kernel::Note::Opened { title, .. }, .. } => {
                    title.as_ref()?.parse().ok()
                }
                kernel::FactContent::Note { .. } | kernel::FactContent::Event { .. } => None,
            });
            match number {
                Some(number) => self.opened(number, head.session),
                None => self.object(0, format!("log: {} does not begin with its opening", head.session)),
            }
        }
        for session in self.sessions() {
            self.refresh(session).await;
        }
    }

    /// An engine starts now.
    pub(super) fn born(&self, ended: Timestamp) {
        let mut inner = self.inner();
        inner.ended = Some(ended);
        for tale in inner.tales.values_mut() {
            let torn = tale.desk.open().into_iter().filter(|call| call.begun);
            tale.births.push((tale.session.head, torn.map(|call| call.id).collect()));
        }
    }

    /// A client is about to send this now.
    pub(super) fn sending(
        &self,
        session: usize,
        events: Vec<ClientEvent>,
        at: Timestamp,
    ) -> (usize, PostAttempt) {
        let mut inner = self.inner();
        let ticket = inner.sent.len();
        inner.sent.push(SentRequest { session, events, fate: RequestFate::Unsure, at, again: false });
        (ticket, PostAttempt::plain((ticket as u128).to_be_bytes(), false))
    }

    /// Requests for this session of which nobody has heard what became of them, and that may be sent again.
    pub(super) fn doubted(&self, session: usize, now: Timestamp) -> Vec<usize> {
        let inner = self.inner();
        let over = |sent: &SentRequest| inner.ended.is_none_or(|ended| ended.since(sent.at) < OVER_AN_END);
        let fits = |sent: &SentRequest| {
            sent.session == session
                && sent.fate == RequestFate::Unsure
                && now.since(sent.at) < AGAIN
                && now >= sent.at
                && over(sent)
        };
        (0..).zip(&inner.sent).filter(|(_, sent)| fits(sent)).map(|(ticket, _)| ticket).collect()
    }

    /// A client is about to send this again.
    pub(super) fn sending_again(&self, ticket: usize) -> Option<(Vec<ClientEvent>, PostAttempt)> {
        let mut inner = self.inner();
        let sent = inner.sent.get_mut(ticket)?;
        sent.again = true;
        Some((sent.events.clone(), PostAttempt::plain((ticket as u128).to_be_bytes(), true)))
    }

    /// What its client was told.
    pub(super) fn told(&self, ticket: usize, accepted: Result<&[Event], &CommitError>) {
        let fate = match accepted {
            Ok(events) => RequestFate::Kept(events.iter().map(|event| event.id).collect()),
            Err(CommitError::Refused(_) | CommitError::NotFound | CommitError::Conflict { .. }) => {
                RequestFate::Refused
            }
            Err(CommitError::Fault(_) | CommitError::Stopping) => RequestFate::Unsure,
        };
        if let Some(sent) = self.inner().sent.get_mut(ticket) {
            // Of one that was sent again one answer is enough, and a session that is gone tells nothing.
            let gone = sent.again && matches!(accepted, Err(CommitError::NotFound));
            if !matches!(sent.fate, RequestFate::Kept(_)) && !gone {
                sent.fate = fate;
            }
        }
    }

    /// Every request for this session, in the order in which they were sent.
    pub(super) fn sent(&self, session: usize) -> Vec<SentRequest> {
        self.inner().sent.iter().filter(|sent| sent.session == session).cloned().collect()
    }

    /// A place for one more reader.
    pub(super) fn reader(&self) -> usize {
        let mut inner = self.inner();
        inner.readers.push(StreamReader::Nowhere);
        inner.readers.len() - 1
    }

    /// A reader has come so far.
    pub(super) fn reads(&self, reader: usize, now: StreamReader) {
        if let Some(place) = self.inner().readers.get_mut(reader) {
            *place = now;
        }
    }

    /// How far a reader has come.
    pub(super) fn read(&self, reader: usize) -> StreamReader {
        self.inner().readers.get(reader).copied().unwrap_or(StreamReader::Nowhere)
    }

    /// Every log, byte for byte.
    pub(super) fn bodies(&self) -> Vec<Vec<u8>> {
        let inner = self.inner();
        inner.tales.values().flat_map(|tale| &tale.rows).map(|row| row.body.clone()).collect()
    }
}
