//! All judges of a session's log, whether one thread stands in it or several.

use std::sync::Arc;

use protocol::{EventId, ThreadId};

use super::errands::Errands;
use super::judge::Judge;
use super::line::Line;
use super::mail::Mail;
use super::reading::Reading;
use super::roster::{Team, WEAVER};
use super::single::Single;
use super::status::Status;
use super::waits::Waits;
use crate::referee::Script;

/// See the file.
pub(crate) struct Bench {
    single: Single,
    errands: Errands,
    status: Status,
    mail: Mail,
    waits: Waits,
}

impl Bench {
    /// A bench that has seen nothing of this team's log.
    pub(crate) fn new(team: Arc<Team>) -> Self {
        Self {
            single: Single::new(),
            errands: Errands::new(team),
            status: Status::default(),
            mail: Mail::default(),
            waits: Waits::default(),
        }
    }

    /// Shows the lines of one commit to all, and to the reading that they look into.
    ///
    /// # Errors
    /// The first objection, with the judge's name.
    pub(crate) fn see(&mut self, lines: &[Line], reading: &mut Reading) -> Result<(), String> {
        for line in lines {
            for judge in self.judges() {
                let name = judge.name();
                judge.see(line, reading).map_err(|why| format!("{name}: {why}, at:\n{line}"))?;
            }
            reading.see(line, WEAVER);
        }
        for judge in self.judges() {
            let name = judge.name();
            judge.rest(reading).map_err(|why| format!("{name}: {why}, after the commit"))?;
        }
        Ok(())
    }

    fn judges(&mut self) -> [&mut dyn Judge; 5] {
        [&mut self.mail, &mut self.waits, &mut self.errands, &mut self.single, &mut self.status]
    }

    /// What must stand in the history of a thread.
    pub(crate) fn script(&self, thread: ThreadId) -> Option<&Script> {
        self.single.script(thread)
    }

    /// The delegation calls of the last commit that were told they have no input, and how.
    pub(crate) fn unread(&self) -> &[(EventId, String)] {
        self.errands.unread()
    }
}
