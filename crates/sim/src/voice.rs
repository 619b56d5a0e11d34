//! How a storm words what its clients say. The texts of a team are all told apart, so that a letter is known
//! wherever it turns up; a thread alone is also told the same twice. The dice of the two fall differently:
//! each seed keeps its log.

use kernel::Change;
use protocol::EventId;
use protocol::content::Block;
use protocol::event::Verdict;
use protocol::input::ClientEvent;
use protocol::parse::Given;

use crate::dice::Dice;

/// See the file.
#[derive(Debug)]
pub(crate) struct Voice {
    alone: bool,
    words: u64,
}

impl Voice {
    /// A voice that has said nothing.
    pub(crate) const fn new(alone: bool) -> Self {
        Self { alone, words: 0 }
    }

    /// A text that nobody else says.
    pub(crate) fn word(&mut self, kind: &str) -> String {
        self.words += 1;
        format!("{kind}{}", self.words)
    }

    /// A message with a text that no other message has.
    pub(crate) fn message(&mut self, dice: &mut Dice) -> ClientEvent {
        let text = self.word("m");
        let mut content = vec![Block::text(&text)];
        if dice.once_in(8) {
            content.push(Block::text(if self.alone { format!("and {text}") } else { self.word("m") }));
        }
        ClientEvent::Message { content }
    }

    /// A client's answer to a call.
    pub(crate) fn result(&mut self, dice: &mut Dice, call: EventId) -> ClientEvent {
        let content = match dice.below(6) {
            0 => None,
            1 => Some(Vec::new()),
            2 if self.alone => Some(vec![Block::text("")]),
            _ if self.alone => Some(vec![Block::text(format!("r{}", dice.below(100)))]),
            _ => Some(vec![Block::text(self.word("r"))]),
        };
        let is_error = dice.once_in(3).then_some(true);
        ClientEvent::CustomResult { call, content, is_error }
    }

    /// A person's word on a call, whichever.
    pub(crate) fn verdict(&mut self, dice: &mut Dice, call: EventId) -> ClientEvent {
        if dice.once_in(3) { self.deny(dice, call) } else { allow(call) }
    }

    /// A person refuses a call, with or without a reason.
    pub(crate) fn deny(&mut self, dice: &mut Dice, call: EventId) -> ClientEvent {
        let deny_message = if self.alone {
            match dice.below(5) {
                0 => None,
                1 => Some(String::new()),
                2 => Some(" \n".into()),
                3 => Some(format!(" not {} ", dice.below(100))),
                _ => Some(format!("because {}", dice.below(100))),
            }
        } else if dice.once_in(3) {
            None
        } else {
            Some(self.word("d"))
        };
        ClientEvent::Confirmation { call, verdict: Verdict::Deny, deny_message }
    }

    /// A new title, and for a thread alone other metadata.
    pub(crate) fn rename(&mut self, dice: &mut Dice) -> Change {
        if !self.alone {
            let title = if dice.once_in(3) { Given::Null } else { Given::Value(self.word("n")) };
            return Change { title, metadata: Given::Absent, tools: Given::Absent };
        }
        let title = match dice.below(3) {
            0 => Given::Null,
            1 => Given::Absent,
            _ => Given::Value(format!("t{}", dice.below(3))),
        };
        let value = if dice.once_in(2) { Some("v".into()) } else { None };
        Change { title, metadata: Given::Value([("k".to_owned(), value)].into()), tools: Given::Absent }
    }
}

/// A person lets a call run.
pub(crate) const fn allow(call: EventId) -> ClientEvent {
    ClientEvent::Confirmation { call, verdict: Verdict::Allow, deny_message: None }
}
