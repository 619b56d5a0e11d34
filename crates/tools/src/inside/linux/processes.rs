//! Finds the processes of a shell, or all of the jail, and ends them.

use std::collections::BTreeSet;
use std::fs;

use rustix::process::{
    Pid, PidfdFlags, Signal, getpid, kill_process, kill_process_group, pidfd_open, pidfd_send_signal,
};
use sandbox::Isolation;

use crate::inside::{
    ambient,
    processes::{GOING, Whose},
};

/// The processes that were started here.
#[derive(Debug)]
pub(in crate::inside) struct Processes {
    isolation: Isolation,
}

impl Processes {
    /// Those of a jail, or of none.
    pub(in crate::inside) fn new(isolation: Isolation) -> Self {
        Self { isolation }
    }

    /// A shell began. It is found by whose child it is.
    #[expect(clippy::unused_self, reason = "elsewhere than on Linux its group must be kept")]
    pub(in crate::inside) fn began(&self, _shell: Pid) {}

    /// Kills them, and returns when they are gone or two seconds have passed.
    pub(in crate::inside) fn end(&self, whose: Whose) {
        let until = ambient::now() + GOING;
        let mut stopped = BTreeSet::new();
        loop {
            if whose == Whose::All && self.isolation == Isolation::Local && getpid() == Pid::INIT {
                // Pid 1's kill(-1): all but pid 1 at one stroke, however fast they fork. Elsewhere than in a
                // pid namespace of our own this would end the whole machine.
                kill_process_group(Pid::INIT, Signal::KILL).ok();
            }
            let found = find(whose);
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
    find(Whose::All).iter().map(|process| process.name().0).collect()
}

fn find(whose: Whose) -> Vec<Process> {
    let Ok(entries) = fs::read_dir("/proc") else { return Vec::new() };
    let all: Vec<_> = entries
        .filter_map(|entry| entry.ok()?.file_name().to_str()?.parse().ok())
        .filter_map(Process::read)
        .collect();
    // Orphans come to us, so that everything that was started here descends from us.
    let ours = below(&all, BTreeSet::from([getpid().as_raw_nonzero().get()]));
    let wanted = match whose {
        Whose::All => ours.clone(),
        Whose::Shell(shell) => {
            let shell = shell.as_raw_nonzero().get();
            let group = all.iter().filter(|process| process.group == shell).map(|process| process.name().0);
            below(&all, group.chain([shell]).collect())
        }
    };
    all.into_iter()
        .filter(|process| {
            let raw = process.name().0;
            !process.zombie && process.pid != getpid() && wanted.contains(&raw) && ours.contains(&raw)
        })
        .collect()
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
