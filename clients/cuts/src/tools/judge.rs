//! The judge of a session whose agent ran commands: its list, and the ledger of its numbers.

use std::fmt;

use super::client::{RestingTools, ToolsClient};
use crate::kind::{CutsEvidence, CutsJudge};
use crate::ledger::{self, CommandCounts};
use crate::list;

/// The judge of the tool cuts, with the sums of all sessions.
#[derive(Debug, Default)]
pub(crate) struct ToolsJudge(CommandCounts);

impl CutsJudge for ToolsJudge {
    type Client = ToolsClient;

    fn session(&mut self, session: &str, settled: &RestingTools, evidence: &CutsEvidence) -> Vec<String> {
        let mut wrong = list::wrong(&settled.events);
        wrong.extend(list::lost(&settled.events, &settled.kept));
        wrong.extend(ledger::compare(&settled.events, &evidence.counter(session), &mut self.0));
        wrong
    }

    fn is_telling(&self) -> bool {
        self.0.is_telling()
    }
}

impl fmt::Display for ToolsJudge {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.fmt(f)
    }
}
