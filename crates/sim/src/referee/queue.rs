//! What is queued is taken once, in order, as it was sent; nobody overtakes; none is left when the session
//! rests.

use std::collections::{BTreeSet, VecDeque};

use protocol::EventId;
use serde_json::Value;

use super::watch::Referee;
use crate::law::law;
use crate::line::Line;

/// See the file.
#[derive(Debug, Default)]
pub(super) struct Queue {
    waiting: VecDeque<(Option<EventId>, Option<Value>)>,
    taken: BTreeSet<EventId>,
    resting: bool,
}

impl Referee for Queue {
    fn name(&self) -> &'static str {
        "queue"
    }

    fn see(&mut self, line: &Line) -> Result<(), String> {
        match line.kind.as_str() {
            "note.queued" => self.waiting.push_back((line.id, line.content.clone())),
            "user.message" => {
                law!(line.id.is_some_and(|id| self.taken.insert(id)), "taken twice");
                if let Some((id, content)) = self.waiting.pop_front() {
                    law!(id == line.id, "it overtakes a message that was queued before it");
                    law!(content == line.content, "it is not what was queued");
                }
            }
            "session.status_idle" => self.resting = line.stop != "requires_action",
            "session.status_running" | "session.status_terminated" => self.resting = false,
            _ => {}
        }
        Ok(())
    }

    fn rest(&mut self) -> Result<(), String> {
        law!(!self.resting || self.waiting.is_empty(), "{} queued and the session rests", self.waiting.len());
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::super::testing::{event, heard, stopped};
    use super::*;

    fn queued(number: u128) -> Line {
        event(number, "note.queued")
    }

    fn taken(number: u128) -> Line {
        event(number, "user.message")
    }

    #[test]
    fn a_message_taken_twice_or_out_of_order_is_objected_to() {
        let fine = [queued(1), queued(2), taken(1), taken(2), taken(3)];
        assert_eq!(heard(Queue::default(), &[&fine]), Ok(()));
        assert!(heard(Queue::default(), &[&[queued(1), taken(1), taken(1)]]).is_err());
        assert!(heard(Queue::default(), &[&[queued(1), queued(2), taken(2)]]).is_err());
        assert!(heard(Queue::default(), &[&[queued(1), taken(3)]]).is_err());
    }

    #[test]
    fn a_message_that_changed_on_the_way_is_objected_to() {
        let other = Line { content: Some(Value::from("other")), ..taken(1) };
        assert!(heard(Queue::default(), &[&[queued(1), other]]).is_err());
    }

    #[test]
    fn a_message_left_behind_when_the_session_rests_is_objected_to() {
        let idle = |stop| stopped("session.status_idle", stop, &[]);
        assert!(heard(Queue::default(), &[&[queued(1), idle("end_turn")]]).is_err());
        assert_eq!(heard(Queue::default(), &[&[queued(1), idle("requires_action")]]), Ok(()));
    }
}
