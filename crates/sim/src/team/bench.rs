//! All judges of a session's log, whether one thread stands in it or several.

use std::sync::Arc;

use protocol::{EventId, ThreadId};

use super::errands::DelegationJudge;
use super::judge::Judge;
use super::line::TeamLine;
use super::mail::MailJudge;
use super::reading::TeamReading;
use super::roster::{TeamRoster, WEAVER};
use super::single::SingleJudge;
use super::status::StatusJudge;
use super::waits::WaitsJudge;
use crate::referee::ExpectedHistory;

/// See the file.
pub(crate) struct Bench {
    single: SingleJudge,
    errands: DelegationJudge,
    status: StatusJudge,
    mail: MailJudge,
    waits: WaitsJudge,
}

impl Bench {
    /// A bench that has seen nothing of this team's log.
    pub(crate) fn new(team: Arc<TeamRoster>) -> Self {
        Self {
            single: SingleJudge::new(),
            errands: DelegationJudge::new(team),
            status: StatusJudge::default(),
            mail: MailJudge::default(),
            waits: WaitsJudge::default(),
        }
    }

    /// Shows the lines of one commit to all, and to the reading that they look into.
    ///
    /// # Errors
    /// The first objection, with the judge's name.
    pub(crate) fn see(&mut self, lines: &[TeamLine], reading: &mut TeamReading) -> Result<(), String> {
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
    pub(crate) fn script(&self, thread: ThreadId) -> Option<&ExpectedHistory> {
        self.single.script(thread)
    }

    /// The delegation calls of the last commit that were told they have no input, and how.
    pub(crate) fn unread(&self) -> &[(EventId, String)] {
        self.errands.unread()
    }
}
