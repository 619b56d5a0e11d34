//! Which calls run, against the desk: only what may, in the order given; what does more than read alone,
//! what only reads together with its neighbours, and nothing stands still that may run (docs/rules.md 2).

use std::collections::BTreeSet;

use protocol::EventId;

use crate::call_ledger::{CallLedger, LedgerCall};
use crate::law::law;

/// Judges the calls that run `now`, when those of `before` ran and this commit changed what it changed.
///
/// # Errors
/// The law that is broken.
pub(crate) fn judge(
    desk: &CallLedger,
    before: &BTreeSet<EventId>,
    now: &BTreeSet<EventId>,
) -> Result<(), String> {
    let open = desk.open();
    let Some((first, last)) = together(desk, now)? else {
        let waits = open.iter().find(|call| desk.may_run(call));
        law!(waits.is_none(), "runs: nothing runs, and {waits:?} may");
        return Ok(());
    };
    if let (Some(tail), Some(next)) = (open.get(last), open.get(last + 1)) {
        let alone = tail.reads() && next.reads() && desk.may_run(next);
        law!(!alone, "runs: {next:?} only reads and waits for its neighbour");
    }
    let kept = open.iter().position(|call| now.contains(&call.id) && before.contains(&call.id));
    // What could run later than a call that has started waits for it.
    let begun = kept.is_none_or(|kept| first == kept);
    law!(begun, "runs: {:?} began in front of what has started", open.get(first));
    let passed = open.iter().take(first).find(|call| kept.is_none() && desk.may_run(call));
    law!(passed.is_none(), "runs: {:?} overtakes {passed:?}", open.get(first));
    Ok(())
}

/// Judges whether these calls may run, and side by side; says the first and the last of their places among
/// the open ones.
///
/// # Errors
/// The law that is broken.
pub(crate) fn together(desk: &CallLedger, now: &BTreeSet<EventId>) -> Result<Option<(usize, usize)>, String> {
    let open = desk.open();
    for id in now {
        let Some(call) = open.iter().find(|call| call.id == *id) else {
            return Err(format!("runs: {id} is not an open call"));
        };
        let pending = desk.pending();
        law!(desk.may_run(call), "runs: {} {id} may not run; {pending:?} need the client", call.name);
    }
    let running: Vec<(usize, &&LedgerCall)> =
        open.iter().enumerate().filter(|(_, call)| now.contains(&call.id)).collect();
    let (Some((first, _)), Some((last, _))) = (running.first(), running.last()) else { return Ok(None) };
    let reads = running.iter().all(|(_, call)| call.reads());
    law!(reads || running.len() == 1, "runs: {running:?} run together");
    law!(last - first + 1 == running.len(), "runs: {running:?} run together and are no neighbours");
    Ok(Some((*first, *last)))
}

/// Judges whether these calls may run side by side, when others of their group may not have begun yet.
///
/// # Errors
/// The law that is broken.
pub(crate) fn beside(desk: &CallLedger, now: &BTreeSet<EventId>) -> Result<(), String> {
    let open = desk.open();
    let places =
        || open.iter().enumerate().filter(|(_, call)| now.contains(&call.id)).map(|(place, _)| place);
    let (first, last) = (places().min().unwrap_or(0), places().max().unwrap_or(0));
    let between = open.iter().enumerate().filter(|(place, _)| (first..=last).contains(place));
    let group = between.map(|(_, call)| call.id).chain(now.iter().copied()).collect();
    together(desk, &group).map(drop)
}

#[cfg(test)]
mod tests {
    use super::super::testing::{called, confirmed, id};
    use super::*;
    use crate::line::LogLine;

    fn judged(lines: &[LogLine], before: &[u128], now: &[u128]) -> Result<(), String> {
        let mut desk = CallLedger::default();
        for line in lines {
            desk.see(line);
        }
        let set = |of: &[u128]| of.iter().map(|number| id(*number)).collect();
        judge(&desk, &set(before), &set(now))
    }

    fn allowed(names: &[&str]) -> Vec<LogLine> {
        (1..).zip(names).map(|(number, name)| called(number, name, "allow")).collect()
    }

    #[test]
    fn the_first_runs_alone_and_what_only_reads_with_its_neighbours() {
        let calls = allowed(&["bash", "read", "glob", "write"]);
        assert_eq!(judged(&calls, &[], &[1]), Ok(()));
        for wrong in [&[][..], &[2], &[4], &[1, 2], &[1, 4]] {
            assert!(judged(&calls, &[], wrong).is_err(), "{wrong:?}");
        }
        let reading = allowed(&["read", "glob", "write", "grep"]);
        assert_eq!(judged(&reading, &[], &[1, 2]), Ok(()));
        for wrong in [&[1][..], &[2], &[1, 2, 3], &[1, 2, 4]] {
            assert!(judged(&reading, &[], wrong).is_err(), "{wrong:?}");
        }
    }

    #[test]
    fn beside_what_is_asked_nothing_runs_and_then_all_in_order() {
        let calls = [called(1, "bash", "allow"), called(2, "bash", "ask"), called(3, "bash", "allow")];
        assert_eq!(judged(&calls, &[], &[]), Ok(()));
        for early in [1, 2, 3] {
            assert!(judged(&calls, &[], &[early]).is_err(), "{early}");
        }
        let let_in = [calls.to_vec(), vec![confirmed(2, "allow")]].concat();
        assert_eq!(judged(&let_in, &[], &[1]), Ok(()));
        assert!(judged(&let_in, &[], &[]).is_err());
        assert!(judged(&let_in, &[], &[2]).is_err());
        let reads = [called(1, "read", "ask"), called(2, "read", "allow"), confirmed(1, "allow")];
        assert_eq!(judged(&reads, &[], &[1, 2]), Ok(()));
        assert!(judged(&reads, &[2], &[1, 2]).is_err());
    }

    #[test]
    fn a_group_may_begin_one_after_the_other_and_nothing_else_beside_it() {
        let beside = |calls: &[LogLine], now: &[u128]| {
            let mut desk = CallLedger::default();
            for line in calls {
                desk.see(line);
            }
            super::beside(&desk, &now.iter().map(|number| id(*number)).collect())
        };
        let reads = allowed(&["read", "glob", "read", "bash", "read"]);
        assert_eq!(beside(&reads, &[1, 3]), Ok(()));
        assert!(beside(&reads, &[3, 4]).is_err());
        assert!(beside(&reads, &[3, 5]).is_err());
        assert!(beside(&[called(1, "read", "ask")], &[1]).is_err());
        assert!(beside(&reads, &[9]).is_err());
    }
}
