//! After `session.status_terminated` comes nothing but `session.deleted`, and after that nothing.

use super::watch::Referee;
use crate::law::law;
use crate::line::Line;

/// See the file.
#[derive(Debug, Default)]
pub(super) struct Ends {
    begun: bool,
    terminated: bool,
    deleted: bool,
}

impl Referee for Ends {
    fn name(&self) -> &'static str {
        "ends"
    }

    fn see(&mut self, line: &Line) -> Result<(), String> {
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

    fn log(kinds: &[&str]) -> Vec<Line> {
        std::iter::once(&"note.opened").chain(kinds).map(|kind| event(1, kind)).collect()
    }

    #[test]
    fn whatever_follows_the_end_is_objected_to() {
        let fine = log(&["session.status_terminated", "session.deleted"]);
        assert_eq!(heard(Ends::default(), &[&fine]), Ok(()));
        assert!(heard(Ends::default(), &[&log(&["session.status_terminated", "user.message"])]).is_err());
        assert!(heard(Ends::default(), &[&log(&["session.deleted", "session.deleted"])]).is_err());
        assert!(heard(Ends::default(), &[&[event(1, "user.message")]]).is_err());
        assert!(heard(Ends::default(), &[&log(&["note.opened"])]).is_err());
    }
}
