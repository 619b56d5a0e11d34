//! The counters of the outside: how often each call was begun, over all crashes. A crash ends what runs and
//! takes no count back.

use std::collections::{BTreeMap, BTreeSet};

use protocol::EventId;

use crate::call_ledger::reads;
use crate::law::law;

/// See the file.
#[derive(Debug, Default)]
pub(crate) struct CountersReferee {
    begun: BTreeMap<EventId, u64>,
    runs: BTreeSet<EventId>,
}

impl CountersReferee {
    /// A call begins to run.
    ///
    /// # Errors
    /// It may not begin again.
    pub(crate) fn begin(&mut self, call: EventId, tool: &str) -> Result<(), String> {
        law!(self.runs.insert(call), "counters: {tool} {call} runs already");
        let times = self.begun.entry(call).or_default();
        *times += 1;
        law!(*times == 1 || reads(tool), "counters: {tool} {call} was begun {times} times");
        Ok(())
    }

    /// Whether a call runs.
    pub(crate) fn runs(&self, call: EventId) -> bool {
        self.runs.contains(&call)
    }

    /// How often a call began.
    pub(crate) fn begun(&self, call: EventId) -> u64 {
        self.begun.get(&call).copied().unwrap_or(0)
    }

    /// The calls that run.
    pub(crate) const fn running(&self) -> &BTreeSet<EventId> {
        &self.runs
    }

    /// A call runs no more.
    pub(crate) fn end(&mut self, call: EventId) {
        self.runs.remove(&call);
    }

    /// The power goes.
    pub(crate) fn crash(&mut self) {
        self.runs.clear();
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::referee::testing::id;

    #[test]
    fn a_second_beginning_is_objected_to_unless_it_only_reads() {
        let mut counters = CountersReferee::default();
        assert_eq!(counters.begin(id(1), "bash"), Ok(()));
        assert_eq!(counters.begin(id(2), "read"), Ok(()));
        assert!(counters.begin(id(2), "read").is_err());
        counters.crash();
        assert_eq!(counters.begin(id(2), "read"), Ok(()));
        assert!(counters.begin(id(1), "bash").is_err());
    }
}
