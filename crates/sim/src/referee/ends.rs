//! After `session.status_terminated` comes nothing but `session.deleted`, and after that nothing.

use super::watch::Referee;
use crate::law::law;
use crate::line::LogLine;

/// See the file.
#[derive(Debug, Default)]
pub(super) struct EndsReferee {
    begun: bool,
    terminated: bool,
    deleted: bool,
}

impl Referee for EndsReferee {
    fn name(&self) -> &'static str {
        "ends"
    }

    fn see(&mut self, line: &LogLine) -> Result<(), String> {
        law!(!self.deleted, "the session is deleted");
        law!(!self.terminated || line.kind == "session.deleted", "the session is terminated");
        law!(self.begun != (line.kind == "note.opened"), "a log begins with note.opened, and only there");
        self.begun = true;
        self.terminated |= line.kind == "session.status_terminated";
        self.deleted |= line.kind == "session.deleted";
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::super::testing::{event, heard};
    use super::*;

    fn log(kinds: &[&str]) -> Vec<LogLine> {
        std::iter::once(&"note.opened").chain(kinds).map(|kind| event(1, kind)).collect()
    }

    #[test]
    fn whatever_follows_the_end_is_objected_to() {
        let fine = log(&["session.status_terminated", "session.deleted"]);
        assert_eq!(heard(EndsReferee::default(), &[&fine]), Ok(()));
        assert!(
            heard(EndsReferee::default(), &[&log(&["session.status_terminated", "user.message"])]).is_err()
        );
        assert!(heard(EndsReferee::default(), &[&log(&["session.deleted", "session.deleted"])]).is_err());
        assert!(heard(EndsReferee::default(), &[&[event(1, "user.message")]]).is_err());
        assert!(heard(EndsReferee::default(), &[&log(&["note.opened"])]).is_err());
    }
}
