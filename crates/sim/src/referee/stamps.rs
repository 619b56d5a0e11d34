//! Stamps rise by a microsecond at least, ids are used once, and no id is younger than its place.

use std::collections::{BTreeMap, BTreeSet};

use protocol::{EventId, Timestamp};

use super::watch::Referee;
use crate::law::law;
use crate::line::LogLine;

/// See the file.
#[derive(Debug, Default)]
pub(super) struct StampsReferee {
    last: Option<Timestamp>,
    next: u64,
    said: BTreeSet<EventId>,
    queued: BTreeMap<EventId, u64>,
}

impl Referee for StampsReferee {
    fn name(&self) -> &'static str {
        "stamps"
    }

    fn see(&mut self, line: &LogLine) -> Result<(), String> {
        law!(line.position == self.next, "the log goes on at {}", self.next);
        self.next += 1;
        law!(self.last.is_none_or(|last| last < line.at), "not later than the line before");
        self.last = Some(line.at);
        if let Some(id) = line.id {
            law!(id.minted_at() <= line.position, "minted at {}, after its place", id.minted_at());
            if line.kind == "note.queued" {
                let twice = self.queued.insert(id, line.position).is_some() || self.said.contains(&id);
                law!(!twice, "{id} is used twice");
            } else {
                law!(self.said.insert(id), "{id} is used twice");
            }
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::super::testing::{event, heard};
    use super::*;

    fn at(position: u64, micros: i64, line: LogLine) -> LogLine {
        LogLine { position, at: Timestamp::from_micros(micros), ..line }
    }

    #[test]
    fn a_stamp_that_does_not_rise_is_objected_to() {
        let fine = [at(0, 5, event(1, "a")), at(1, 6, event(2, "b"))];
        assert_eq!(heard(StampsReferee::default(), &[&fine]), Ok(()));
        let same = [at(0, 5, event(1, "a")), at(1, 5, event(2, "b"))];
        assert!(heard(StampsReferee::default(), &[&same]).is_err());
    }

    #[test]
    fn an_id_twice_is_objected_to_unless_it_was_queued() {
        let twice = [at(0, 5, event(1, "a")), at(1, 6, event(1, "b"))];
        assert!(heard(StampsReferee::default(), &[&twice]).is_err());
        let queued = [at(0, 5, event(1, "note.queued")), at(1, 6, event(1, "user.message"))];
        assert_eq!(heard(StampsReferee::default(), &[&queued]), Ok(()));
    }

    #[test]
    fn an_id_from_the_future_and_a_gap_are_objected_to() {
        let young = LogLine { id: Some(EventId::minted(0, 3)), ..at(0, 5, event(1, "a")) };
        assert!(heard(StampsReferee::default(), &[&[young]]).is_err());
        assert!(heard(StampsReferee::default(), &[&[at(1, 5, event(1, "a"))]]).is_err());
    }
}
