//! How a storm words what its clients say. The texts of a team are all told apart, so that a letter is known
//! wherever it turns up; a thread alone is also told the same twice. The dice of the two fall differently:
//! each seed keeps its log.

use kernel::SessionChange;
use protocol::EventId;
use protocol::content::ContentBlock;
use protocol::event::ConfirmationVerdict;
use protocol::input::ClientEvent;
use protocol::parse::GivenField;

use crate::dice::Dice;

/// See the file.
#[derive(Debug)]
pub(crate) struct ClientVoice {
    alone: bool,
    words: u64,
}

impl ClientVoice {
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
        let mut content = vec![ContentBlock::text(&text)];
        if dice.once_in(8) {
            content.push(ContentBlock::text(if self.alone { format!("and {text}") } else { self.word("m") }));
        }
        ClientEvent::Message { content }
    }

    /// A client's answer to a call.
    pub(crate) fn result(&mut self, dice: &mut Dice, call: EventId) -> ClientEvent {
        let content = match dice.below(6) {
            0 => None,
            1 => Some(Vec::new()),
            2 if self.alone => Some(vec![ContentBlock::text("")]),
            _ if self.alone => Some(vec![ContentBlock::text(format!("r{}", dice.below(100)))]),
            _ => Some(vec![ContentBlock::text(self.word("r"))]),
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
        ClientEvent::Confirmation { call, verdict: ConfirmationVerdict::Deny, deny_message }
    }

    /// A new title, and for a thread alone other metadata.
    pub(crate) fn rename(&mut self, dice: &mut Dice) -> SessionChange {
        if !self.alone {
            let title = if dice.once_in(3) { GivenField::Null } else { GivenField::Value(self.word("n")) };
            return SessionChange { title, metadata: GivenField::Absent, tools: GivenField::Absent };
        }
        let title = match dice.below(3) {
            0 => GivenField::Null,
            1 => GivenField::Absent,
            _ => GivenField::Value(format!("t{}", dice.below(3))),
        };
        let value = if dice.once_in(2) { Some("v".into()) } else { None };
        SessionChange {
            title,
            metadata: GivenField::Value([("k".to_owned(), value)].into()),
            tools: GivenField::Absent,
        }
    }
}

/// A person lets a call run.
pub(crate) const fn allow(call: EventId) -> ClientEvent {
    ClientEvent::Confirmation { call, verdict: ConfirmationVerdict::Allow, deny_message: None }
}
