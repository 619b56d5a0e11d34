//! A session that a script plays on: its log, its fold, what its models are told, and the clock.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;
use std::time::Duration;

use kernel::{
    Decision, Fact, FactContent, Input, Moment, Note, PrivatePart, Refusal, Seed, SessionOpening,
    SessionState, ThreadLimits, Transcript, Want,
};
use kernel::{fact, wants};
use protocol::agent::SessionAgent;
use protocol::event::{Body, Event};
use protocol::input::ClientEvent;
use protocol::{EnvironmentId, EventId, SessionId, ThreadId, Timestamp};
use serde_json::Value;

use super::names::{self, Names};

const PRIMARY: ThreadId = ThreadId::from_bits(2);
pub(crate) const START: Timestamp = Timestamp::from_micros(1_700_000_000_000_000);

pub(crate) struct Stage {
    pub(crate) session: SessionState,
    pub(crate) names: Names,
    pub(crate) facts: Vec<Fact>,
    /// One for each thread, the primary's first.
    pub(crate) transcripts: Vec<Transcript>,
    now: Timestamp,
    inputs: u128,
    /// What ever waited for a thread, as it did.
    queued: BTreeMap<EventId, (Body, Option<PrivatePart>)>,
    said: BTreeSet<EventId>,
}

impl Stage {
    /// A session that begins with these events, and the facts of its opening.
    pub(crate) fn open(
        agent: SessionAgent,
        tree: ThreadLimits,
        events: Vec<ClientEvent>,
    ) -> (Self, Vec<Fact>) {
        let mut stage = Self {
            session: SessionState::new(SessionId::from_bits(1), Arc::new(agent)),
            names: Names::of(PRIMARY),
            facts: Vec::new(),
            transcripts: vec![Transcript::new(PRIMARY)],
            now: START,
            inputs: 0,
            queued: BTreeMap::new(),
            said: BTreeSet::new(),
        };
        let opening = SessionOpening {
            session: stage.session.id,
            thread: PRIMARY,
            agent: stage.session.agent.clone(),
            environment: EnvironmentId::from_bits(3),
            title: Some("a title".into()),
            metadata: BTreeMap::new(),
            tree,
            events,
        };
        let decision = kernel::open(opening, Moment { at: stage.now, seed: Seed::new(0) }).expect("opens");
        let facts = stage.apply(decision);
        (stage, facts)
    }

    /// A second passes, and the next input comes with dice of its own.
    pub(crate) fn tick(&mut self) {
        self.now = self.now.after(Duration::from_secs(1));
        self.inputs += 1;
    }

    /// It is as late as this at least.
    pub(crate) fn wait(&mut self, until: Timestamp) {
        self.now = self.now.max(until);
    }

    /// It is exactly so late.
    pub(crate) fn set(&mut self, now: Timestamp) {
        self.now = now;
    }

    pub(crate) fn decide(&self, input: Input) -> Result<Decision, Refusal> {
        kernel::decide(&self.session, input, Moment { at: self.now, seed: Seed::new(self.inputs) })
    }

    /// The request that a thread's model is asked.
    pub(crate) fn asked(&self, whose: ThreadId) -> EventId {
        let asked = |want| match want {
            Want::Ask { request, thread } if thread == whose => Some(request),
            Want::Ask { .. } | Want::Run { .. } | Want::Wake { .. } => None,
        };
        wants(&self.session).into_iter().find_map(asked).expect("a model is asked")
    }

    /// Until when a thread's retry waits.
    pub(crate) fn until(&self, whose: ThreadId) -> Timestamp {
        let until = |want| match want {
            Want::Wake { at, thread } if thread == whose => Some(at),
            Want::Wake { .. } | Want::Ask { .. } | Want::Run { .. } => None,
        };
        wants(&self.session).into_iter().find_map(until).expect("a retry waits")
    }

    /// Whether an event had waited for its thread before it was said.
    pub(crate) fn was_queued(&self, event: EventId) -> bool {
        self.queued.contains_key(&event)
    }

    /// Applies what was decided, as it is stored, and names its events.
    pub(crate) fn apply(&mut self, decision: Decision) -> Vec<Fact> {
        let body = fact::encode(&decision.facts).expect("written");
        let facts = fact::decode(&body).expect("read");
        assert_eq!(facts, decision.facts);
        for fact in &facts {
            match &fact.what {
                FactContent::Event { event, private } => self.say(fact.thread, event, private.as_ref()),
                FactContent::Note { note, .. } => self.note(fact.thread, note),
            }
            self.session.apply(fact);
            self.transcripts.iter_mut().for_each(|transcript| transcript.apply(fact));
        }
        self.facts.extend(facts.iter().cloned());
        facts
    }

    /// Each event is said once, under an id of its own; one that waited, as it waited.
    fn say(&mut self, thread: ThreadId, event: &Event, private: Option<&PrivatePart>) {
        assert!(self.said.insert(event.id), "an event is said twice: {event:?}");
        match self.queued.get(&event.id) {
            Some((body, beside)) => assert_eq!((body, beside.as_ref()), (&event.body, private)),
            None => self.name(event.id, thread, event),
        }
        if let Body::SessionThreadCreated { session_thread_id: child, .. } = &event.body {
            self.names.add_thread(*child);
            self.transcripts.push(Transcript::new(*child));
        }
    }

    #[expect(clippy::wildcard_enum_match_arm, reason = "picks the notes that bring an id")]
    fn note(&mut self, thread: ThreadId, note: &Note) {
        match note {
            Note::Queued { event, private } => {
                self.queued.insert(event.id, (event.body.clone(), private.clone()));
                self.name(event.id, thread, event);
            }
            Note::Delegated { call, name, .. } => self.names.add(*call, thread, name.clone()),
            Note::Settled { id, .. } => self.names.add(*id, thread, "settled".to_owned()),
            _ => {}
        }
    }

    /// An id is minted where the log stands, or stood (docs/rules.md 8).
    fn name(&mut self, id: EventId, thread: ThreadId, event: &Event) {
        assert!(id.minted_at() <= self.session.head, "{id} is from further on");
        let stored: Value = serde_json::to_value(event).expect("written");
        self.names.add(id, thread, names::word(&stored));
    }
}
