//! Finds the processes of a shell, or all of the jail, and ends them.

use std::collections::BTreeSet;
use std::fs;

use rustix::process::{
    Pid, PidfdFlags, Signal, getpid, kill_process, kill_process_group, pidfd_open, pidfd_send_signal,
};
use sandbox::Isolation;

use crate::inside::{
    ambient,
    processes::{GOING, ProcessOwner},
};

/// The processes that were started here.
#[derive(Debug)]
pub(in crate::inside) struct StartedProcesses {
    isolation: Isolation,
}

impl StartedProcesses {
    /// Those of a jail, or of none.
    pub(in crate::inside) fn new(isolation: Isolation) -> Self {
        Self { isolation }
    }

    /// A shell began. It is found by whose child it is.
    #[expect(clippy::unused_self, reason = "elsewhere than on Linux its group must be kept")]
    pub(in crate::inside) fn began(&self, _shell: Pid) {}

    /// Kills them, and returns when they are gone or two seconds have passed.
    pub(in crate::inside) fn end(&self, whose: ProcessOwner<'_>) {
        let until = ambient::now() + GOING;
        let mut stopped = BTreeSet::new();
        loop {
            if whose == ProcessOwner::All && self.isolation == Isolation::Local && getpid() == Pid::INIT {
                // Pid 1's kill(-1): all but pid 1 at one stroke, however fast they fork. Elsewhere than in a
                // pid namespace of our own this would end the whole machine.
                kill_process_group(Pid::INIT, Signal::KILL).ok();
            }
            let found = find(whose, &stopped);
            if found.is_empty() || ambient::now() > until {
                return;
            }
            // What is stopped cannot fork: first stop until nobody new is found, and only then kill.
            let new: Vec<_> = found.iter().filter(|process| !stopped.contains(&process.name())).collect();
            if new.is_empty() {
                for process in &found {
                    process.send(Signal::KILL);
                }
            }
            for process in new {
                process.send(Signal::STOP);
                stopped.insert(process.name());
            }
        }
    }
}

/// One line of `/proc`.
#[derive(Debug)]
struct Process {
    pid: Pid,
    parent: i32,
    group: i32,
    /// Clock ticks after boot; tells it from a later one of the same pid.
    start: u64,
    zombie: bool,
}

impl Process {
    fn read(pid: i32) -> Option<Self> {
        let stat = fs::read(format!("/proc/{pid}/stat")).ok()?;
        Self::told(pid, &String::from_utf8_lossy(&stat))
    }

    fn told(pid: i32, stat: &str) -> Option<Self> {
        // The name before it may hold anything, blanks and parentheses included.
        let (_, rest) = stat.rsplit_once(") ")?;
        let fields: Vec<_> = rest.split(' ').collect();
        let number = |index: usize| fields.get(index).and_then(|field| field.parse().ok());
        Some(Self {
            pid: Pid::from_raw(pid)?,
            parent: number(1)?,
            group: number(2)?,
            start: fields.get(19)?.parse().ok()?,
            // With more threads than one only the first has ended, and the others run on.
            zombie: matches!(*fields.first()?, "Z" | "X") && number(17)? <= 1,
        })
    }

    fn name(&self) -> (i32, u64) {
        (self.pid.as_raw_nonzero().get(), self.start)
    }

    /// Sends a signal to this process and to no later one that got its pid. It may be gone.
    fn send(&self, signal: Signal) {
        let raw = self.pid.as_raw_nonzero().get();
        let Ok(handle) = pidfd_open(self.pid, PidfdFlags::empty()) else {
            // Out of files, perhaps: the narrow race is the smaller evil.
            kill_process(self.pid, signal).ok();
            return;
        };
        if Self::read(raw).is_some_and(|now| now.start == self.start) {
            pidfd_send_signal(&handle, signal).ok();
        }
    }
}

/// The pids of all that were started here and live.
pub(super) fn ours() -> Vec<i32> {
    find(ProcessOwner::All, &BTreeSet::new()).iter().map(|process| process.name().0).collect()
}

/// Those that live. Whatever is `known` is still theirs, whoever its parent is by now.
fn find(whose: ProcessOwner<'_>, known: &BTreeSet<(i32, u64)>) -> Vec<Process> {
    let Ok(entries) = fs::read_dir("/proc") else { return Vec::new() };
    let mut all: Vec<_> = entries
        .filter_map(|entry| entry.ok()?.file_name().to_str()?.parse().ok())
        .filter_map(Process::read)
        .collect();
    adopt(&mut all, Process::read);
    let known = all.iter().filter(|process| known.contains(&process.name()));
    let known: BTreeSet<i32> = known.map(|process| process.name().0).collect();
    // Orphans come to us, so that everything that was started here descends from us.
    let own = getpid().as_raw_nonzero().get();
    let ours = below(&all, known.iter().copied().chain([own]).collect());
    let wanted = match whose {
        ProcessOwner::All => ours.clone(),
        ProcessOwner::Shells(shells) => {
            let shells: BTreeSet<i32> = shells.iter().map(|shell| shell.as_raw_nonzero().get()).collect();
            let group = all.iter().filter(|process| shells.contains(&process.group));
            let group = group.map(|process| process.name().0);
            below(&all, group.chain(known).chain(shells.iter().copied()).collect())
        }
    };
    all.into_iter()
        .filter(|process| {
            let raw = process.name().0;
            !process.zombie && process.pid != getpid() && wanted.contains(&raw) && ours.contains(&raw)
        })
        .collect()
}

/// Looks once more at those whose parent is not listed: it ended behind their line, and they have another,
/// without whom they would seem to be nobody's.
fn adopt(all: &mut [Process], now: impl Fn(i32) -> Option<Process>) {
    let listed: BTreeSet<i32> = all.iter().map(|process| process.name().0).collect();
    for child in all.iter_mut().filter(|process| !listed.contains(&process.parent)) {
        if let Some(now) = now(child.name().0).filter(|now| now.name() == child.name()) {
            *child = now;
        }
    }
}

/// These and all that descend from them.
fn below(all: &[Process], mut found: BTreeSet<i32>) -> BTreeSet<i32> {
    loop {
        let before = found.len();
        for process in all {
            if found.contains(&process.parent) {
                found.insert(process.name().0);
            }
        }
        if found.len() == before {
            return found;
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_child_whose_parent_ended_behind_its_line_is_its_next_parents() {
        let process = |pid: i32, parent: i32| Process {
            pid: Pid::from_raw(pid).expect("a pid"),
            parent,
            group: pid,
            start: 7,
            zombie: false,
        };
        let parents = |mut all: Vec<Process>, now: fn(i32) -> Option<i32>| {
            adopt(&mut all, |pid| now(pid).map(|parent| process(pid, parent)));
            below(&all, BTreeSet::from([2])).into_iter().collect::<Vec<_>>()
        };
        // 5 began below 4, which is not listed any more; 9 is somebody else's.
        let all = || vec![process(2, 1), process(3, 2), process(5, 4), process(9, 1)];
        assert_eq!(parents(all(), |pid| (pid == 5).then_some(2)), [2, 3, 5]);
        assert_eq!(parents(all(), |_| None), [2, 3]);
    }

    #[test]
    fn a_process_whose_first_thread_alone_has_ended_is_none_that_has() {
        let told = |state: &str, threads: u32| {
            let stat = format!(
                "18 (a) Z 1) {state} 16 15 0 0 -1 4227084 1124 0 3 0 1 0 0 0 20 0 {threads} 0 2337195 0 0\n"
            );
            let process = Process::told(18, &stat).expect("a process");
            assert_eq!((process.name(), process.parent, process.group), ((18, 2_337_195), 16, 15));
            process.zombie
        };
        assert!(told("Z", 1) && told("X", 0));
        assert!(!told("Z", 2) && !told("S", 1) && !told("R", 9));
    }
}
