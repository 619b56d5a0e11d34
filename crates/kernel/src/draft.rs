//! A draft: the facts of one input while they are being decided, on a copy of the session.

use alloc::{collections::VecDeque, string::String, vec::Vec};

use protocol::{
    EventId, ThreadId, Timestamp,
    event::{Body, Event},
    usage::Usage,
};

use crate::{
    fact::{Fact, FactContent, Note, PrivatePart},
    made,
    moment::{Dice, Moment},
    session::SessionState,
    status::{self, StatusAnnouncement, StatusChange, StatusSnapshot},
};

/// Facts in the making. Each is applied to the copy as it is said, so that the next step of a decision
/// sees what the earlier ones left.
#[derive(Debug)]
pub(crate) struct DecisionDraft<'a> {
    pub(crate) session: SessionState,
    pub(crate) dice: Dice,
    pub(crate) at: Timestamp,
    /// The session before this input.
    base: &'a SessionState,
    /// The stamp of the first fact; each further one is a microsecond later: log order is time order
    /// (docs/rules.md 4).
    first: i64,
    facts: Vec<Fact>,
    /// Where the facts begin that no announcement has been made for yet.
    open: usize,
    /// Turns of children that have ended and whose parents are still to be told; what was wrong, if anything.
    pub(crate) ended: VecDeque<(ThreadId, String)>,
    /// Before which fact nothing that comes to rest is said.
    held: usize,
    /// Threads that a client's answer has set to work since then, and before which fact that is said.
    woken: Vec<(ThreadId, usize)>,
    board: StatusSnapshot,
    flash: Option<ThreadId>,
}

/// What was decided.
#[derive(Debug, PartialEq)]
pub struct Decision {
    /// The facts, in log order; may be none.
    pub facts: Vec<Fact>,
    /// The session with these facts folded.
    pub session: SessionState,
    /// The ids of the client events that were accepted, in the order of the request.
    pub accepted: Vec<EventId>,
}

impl<'a> DecisionDraft<'a> {
    pub(crate) fn of(session: &'a SessionState, moment: Moment) -> Self {
        Self {
            session: session.copied(),
            dice: Dice::new(moment.seed),
            at: moment.at.max(session.last),
            base: session,
            first: moment.at.micros().max(session.last.micros() + 1),
            facts: Vec::new(),
            open: 0,
            held: 0,
            woken: Vec::new(),
            ended: VecDeque::new(),
            board: status::board(session),
            flash: None,
        }
    }

    /// Where the log stands before this input.
    pub(crate) const fn position(&self) -> u64 {
        self.base.head
    }

    /// A new event id, minted where the log stands.
    pub(crate) fn mint(&mut self) -> EventId {
        EventId::minted(self.dice.draw(), self.position())
    }

    /// Says an event with a new id.
    pub(crate) fn say(&mut self, thread: ThreadId, body: Body) -> EventId {
        self.say_with(thread, body, None)
    }

    /// Says an event with a new id and something private beside it.
    pub(crate) fn say_with(&mut self, thread: ThreadId, body: Body, private: Option<PrivatePart>) -> EventId {
        let id = self.mint();
        self.say_as(thread, id, body, private);
        id
    }

    /// Says a client's answer to an open call. Whom it sets to work, also those that wait for its thread, is
    /// said to run behind it (docs/rules.md 1).
    pub(crate) fn say_answer(
        &mut self,
        thread: ThreadId,
        body: Body,
        private: Option<PrivatePart>,
    ) -> EventId {
        let before = status::running(&self.session);
        let id = self.say_with(thread, body, private);
        let woken = status::running(&self.session).into_iter().filter(|thread| !before.contains(thread));
        self.woken.extend(woken.map(|thread| (thread, self.facts.len())));
        id
    }

    /// Of a call that waited for a client's result before this input: its thread, and what a client has
    /// answered it with since.
    pub(crate) fn answered(&self, call: EventId) -> Option<(ThreadId, Option<&Body>)> {
        let thread = made::waits(self.base, call)?;
        let first = self.facts.iter().find_map(|fact| match &fact.what {
            FactContent::Event { event, private } => {
                answers(&event.body, call).then_some((&event.body, private))
            }
            FactContent::Note { .. } => None,
        });
        let by_client = first.filter(|(_, private)| **private == Some(PrivatePart::ByClient));
        Some((thread, by_client.map(|(body, _)| body)))
    }

    /// Says an event whose id is known already.
    pub(crate) fn say_as(&mut self, thread: ThreadId, id: EventId, body: Body, private: Option<PrivatePart>) {
        let event = Event { id, processed_at: Some(self.at), body };
        self.push(Fact { thread, what: FactContent::Event { event, private } });
    }

    /// Writes a note.
    pub(crate) fn note(&mut self, thread: ThreadId, note: Note) {
        let at = self.at;
        self.push(Fact { thread, what: FactContent::Note { at, note } });
    }

    /// Lets an input that changes nothing show as the empty pair of running and idle.
    pub(crate) fn show_noop(&mut self, thread: ThreadId) {
        self.flash = Some(thread);
    }

    fn push(&mut self, mut fact: Fact) {
        stamp(&mut fact, self.stamp_of(self.facts.len()));
        self.session.apply(&fact);
        self.facts.push(fact);
    }

    fn stamp_of(&self, index: usize) -> Timestamp {
        Timestamp::from_micros(self.first + index as i64)
    }

    /// What comes to rest is said behind what was said so far, and not behind its own last fact.
    pub(crate) fn pin_rests(&mut self) {
        self.held = self.facts.len();
    }

    /// Makes the status events of what was said since the last time. What begins to run is said before its
    /// own first fact, or behind the client's answer that woke it, a parent before its children, the session
    /// before all; what comes to rest behind its own last fact, the deepest first; the session's rest stands
    /// at the end (docs/rules.md 1, 6).
    pub(crate) fn settle(&mut self) {
        let board = status::board(&self.session);
        let StatusAnnouncement { starts, running, resting, stops } =
            status::status_events(&self.board, &board, self.flash.take());
        let Some(primary) = self.session.primary().map(|thread| thread.id) else { return };
        let (running, resting) = (self.begins(running), self.rests(resting));
        if !running.is_empty()
            || resting.iter().any(|(place, _)| *place < self.facts.len())
            || starts.is_some()
        {
            self.interleave(primary, starts, running, resting);
        } else {
            for (_, change) in resting {
                self.change(primary, change);
            }
        }
        if let Some(change) = stops {
            if change.printed.stop_reason().is_some() {
                // At the moment of the idle event that follows, so that both say the same.
                let usage: Usage = self.session.usage(self.stamp_of(self.facts.len() + 1));
                self.say(primary, Body::SessionUsage { usage, budget: None });
            }
            self.change(primary, change);
        }
        self.open = self.facts.len();
        self.held = self.open;
        self.woken.clear();
        self.board = board;
    }

    fn change(&mut self, primary: ThreadId, change: StatusChange) {
        self.say(change.thread.unwrap_or(primary), change.body());
    }

    /// Before which fact each of these is said.
    fn begins(&self, running: Vec<StatusChange>) -> Vec<(usize, StatusChange)> {
        let own = |change: &StatusChange| {
            let first = |fact: &Fact| Some(fact.thread) == change.thread;
            self.facts.iter().skip(self.open).position(first).map(|place| place + self.open)
        };
        // One without a fact of its own runs because another does.
        let places: Vec<Option<usize>> = running.iter().map(own).collect();
        let deeper = |depth: u32| {
            let below = running.iter().zip(&places).filter(move |(other, _)| other.depth > depth);
            below.filter_map(|(_, place)| *place).min()
        };
        let woken = |change: &StatusChange| {
            let woken = self.woken.iter().find(|(thread, _)| Some(*thread) == change.thread);
            woken.map(|(_, place)| *place)
        };
        let place = |(change, own): (&StatusChange, &Option<usize>)| {
            let first = || [*own, deeper(change.depth)].into_iter().flatten().min();
            woken(change).or_else(first).unwrap_or(self.open)
        };
        let found: Vec<usize> = running.iter().zip(&places).map(place).collect();
        found.into_iter().zip(running).collect()
    }

    /// Before which fact, or at the end, each of these is said.
    fn rests(&self, resting: Vec<StatusChange>) -> Vec<(usize, StatusChange)> {
        let mut least = self.held.max(self.open);
        let mut depth = u32::MAX;
        let mut found: Vec<(usize, StatusChange)> = Vec::with_capacity(resting.len());
        for change in resting {
            if change.depth < depth {
                depth = change.depth;
                least = found.iter().map(|(place, _)| *place).max().unwrap_or(least);
            }
            let last = |fact: &Fact| Some(fact.thread) == change.thread;
            let own = self.facts.iter().rposition(last).map_or(0, |place| place + 1);
            found.push((own.max(least), change));
        }
        found
    }

    /// Says the facts since the last time anew, with the status events between them.
    fn interleave(
        &mut self,
        primary: ThreadId,
        mut starts: Option<StatusChange>,
        running: Vec<(usize, StatusChange)>,
        resting: Vec<(usize, StatusChange)>,
    ) {
        let said = self.facts.split_off(self.open);
        self.session.go_back(self.base);
        self.session.apply_all(&self.facts);
        let begins = running.iter().map(|(place, _)| *place).min().unwrap_or(self.open);
        let end = self.open + said.len();
        let mut said = said.into_iter();
        for place in self.open..=end {
            for (_, change) in resting.iter().filter(|(at, _)| *at == place) {
                self.change(primary, change.clone());
            }
            if place == begins
                && let Some(change) = starts.take()
            {
                self.change(primary, change);
            }
            for (_, change) in running.iter().filter(|(at, _)| *at == place) {
                self.change(primary, change.clone());
            }
            if let Some(fact) = said.next() {
                self.push(fact);
            }
        }
    }

    /// What was decided.
    pub(crate) fn finish(mut self, accepted: Vec<EventId>) -> Decision {
        self.settle();
        Decision { facts: self.facts, session: self.session, accepted }
    }
}

fn answers(body: &Body, call: EventId) -> bool {
    matches!(body, Body::UserCustomToolResult { custom_tool_use_id, .. } if *custom_tool_use_id == call)
}

fn stamp(fact: &mut Fact, stamp: Timestamp) {
    match &mut fact.what {
        FactContent::Event { event, .. } => event.processed_at = Some(stamp),
        FactContent::Note { at, .. } => *at = stamp,
    }
}
