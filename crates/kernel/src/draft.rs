//! A draft: the facts of one input while they are being decided, on a copy of the session.

use alloc::vec::Vec;

use protocol::{
    EventId, Stamp, ThreadId,
    event::{Body, Event},
    usage::Usage,
};

use crate::{
    fact::{Fact, Note, Private, What},
    moment::{Dice, Moment},
    session::Session,
    status::{self, Announcement, Board, Change},
};

/// Facts in the making. Each is applied to the copy as it is said, so that the next step of a decision
/// sees what the earlier ones left.
#[derive(Debug)]
pub(crate) struct Draft {
    pub(crate) session: Session,
    pub(crate) dice: Dice,
    pub(crate) at: Stamp,
    position: u64,
    /// The session before this input.
    base: Session,
    /// The stamp of the first fact; each further one is a microsecond later: log order is time order
    /// (rules.md 4).
    first: i64,
    facts: Vec<Fact>,
    /// Where the facts begin that no announcement has been made for yet.
    open: usize,
    board: Board,
    flash: Option<ThreadId>,
}

impl Draft {
    pub(crate) fn of(session: &Session, moment: Moment) -> Self {
        Self {
            session: session.clone(),
            dice: Dice::new(moment.seed),
            at: moment.at.max(session.last),
            position: session.head,
            base: session.clone(),
            first: moment.at.micros().max(session.last.micros() + 1),
            facts: Vec::new(),
            open: 0,
            board: status::board(session),
            flash: None,
        }
    }

    /// Where the log stands before this input.
    pub(crate) const fn position(&self) -> u64 {
        self.position
    }

    /// A new event id, minted where the log stands.
    pub(crate) fn mint(&mut self) -> EventId {
        EventId::minted(self.dice.draw(), self.position)
    }

    /// Says an event with a new id.
    pub(crate) fn say(&mut self, thread: ThreadId, body: Body) -> EventId {
        self.say_with(thread, body, None)
    }

    /// Says an event with a new id and something private beside it.
    pub(crate) fn say_with(&mut self, thread: ThreadId, body: Body, private: Option<Private>) -> EventId {
        let id = self.mint();
        self.say_as(thread, id, body, private);
        id
    }

    /// Says an event whose id is known already.
    pub(crate) fn say_as(&mut self, thread: ThreadId, id: EventId, body: Body, private: Option<Private>) {
        let event = Event { id, processed_at: Some(self.at), body };
        self.push(Fact { thread, what: What::Event { event, private } });
    }

    /// Writes a note.
    pub(crate) fn note(&mut self, thread: ThreadId, note: Note) {
        let at = self.at;
        self.push(Fact { thread, what: What::Note { at, note } });
    }

    /// Lets an input that changes nothing show as the empty pair of running and idle.
    pub(crate) fn flash(&mut self, thread: ThreadId) {
        self.flash = Some(thread);
    }

    fn push(&mut self, mut fact: Fact) {
        stamp(&mut fact, self.stamp_of(self.facts.len()));
        self.session.apply(&fact);
        self.facts.push(fact);
    }

    fn stamp_of(&self, index: usize) -> Stamp {
        Stamp::from_micros(self.first + index as i64)
    }

    /// Makes the status events of what was said since the last time: running goes before it, the rest after.
    pub(crate) fn settle(&mut self) {
        let board = status::board(&self.session);
        let Announcement { before, after } = status::announce(&self.board, &board, self.flash.take());
        let Some(primary) = self.session.primary().map(|thread| thread.id) else { return };

        self.go_before(before, primary);
        for (thread, change) in after {
            if thread.is_none() && change.printed.stop_reason().is_some() {
                // At the moment of the idle event that follows, so that both say the same.
                let usage: Usage = self.session.usage(self.stamp_of(self.facts.len() + 1));
                self.say(primary, Body::SessionUsage { usage, budget: None });
            }
            self.say(thread.unwrap_or(primary), change.body(thread));
        }
        self.open = self.facts.len();
        self.board = board;
    }

    /// Puts the running events before what has been said since the last time, which moves that on.
    fn go_before(&mut self, before: Vec<(Option<ThreadId>, Change)>, primary: ThreadId) {
        if before.is_empty() {
            return;
        }
        let said = self.facts.split_off(self.open);
        self.session = self.base.clone();
        self.session.apply_all(&self.facts);
        for (thread, change) in before {
            self.say(thread.unwrap_or(primary), change.body(thread));
        }
        for fact in said {
            self.push(fact);
        }
    }

    /// The facts.
    pub(crate) fn finish(mut self) -> Vec<Fact> {
        self.settle();
        self.facts
    }
}

fn stamp(fact: &mut Fact, stamp: Stamp) {
    match &mut fact.what {
        What::Event { event, .. } => event.processed_at = Some(stamp),
        What::Note { at, .. } => *at = stamp,
    }
}
