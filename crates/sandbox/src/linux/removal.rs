//! How control groups end: what is in one is killed and waited for, and it is removed, now or once the kernel
//! has let go of the last process.

use std::collections::BTreeSet;
use std::fs;
use std::io;
use std::path::{Path, PathBuf};
use std::sync::{Mutex, MutexGuard, PoisonError};

use rustix::event::{PollFd, PollFlags, poll};

use super::leftover::{GOING, end_all, is_gone, server};
use crate::clock::Deadline;

/// How the name of a server's jails begins; the server's name follows, by which a dead one's are known.
const JAILS: &str = "heddle-jails-";
/// Directories that a look for what others left goes through, of each hierarchy.
const LOOKED_AT: usize = 20_000;
/// Making and removing are one at a time, so that the last jail's end takes no parent from the next start.
/// Holds what could not be removed yet, because the kernel had not let go of the last process.
static TURN: Mutex<BTreeSet<PathBuf>> = Mutex::new(BTreeSet::new());

/// The name of the cgroup of this server's jails.
pub(super) fn name_of_jails() -> String {
    format!("{JAILS}{}", server())
}

/// The turn to make or remove, and with it what is still to be removed.
pub(super) fn turn() -> MutexGuard<'static, BTreeSet<PathBuf>> {
    TURN.lock().unwrap_or_else(PoisonError::into_inner)
}

/// Removes what can be removed by now, without any wait.
pub(super) fn tidy(left: &mut BTreeSet<PathBuf>) {
    left.retain(|place| !removed(place));
}

/// Kills what is in a cgroup, waits until it is empty, and removes it. False if it is still there.
pub(super) fn discard(place: &Path) -> bool {
    let deadline = Deadline::after(GOING);
    // Version 1 has no such file.
    if fs::write(place.join("cgroup.kill"), "1").is_err() {
        end_all(|| members(place), deadline);
    }
    if let Ok(events) = fs::File::open(place.join("cgroup.events")) {
        // The kernel tells of a change to this file as something exceptional.
        while fs::read_to_string(place.join("cgroup.events")).is_ok_and(|said| said.contains("populated 1"))
            && deadline.left().is_some()
        {
            let mut fds = [PollFd::new(&events, PollFlags::PRI)];
            if poll(&mut fds, Some(&deadline.timespec())).is_err() {
                break;
            }
        }
    }
    removed(place)
}

/// Removes an empty cgroup, and the one that held the jails with its last. False if it is still there.
fn removed(place: &Path) -> bool {
    let gone = match fs::remove_dir(place) {
        Ok(()) => true,
        Err(error) => error.kind() == io::ErrorKind::NotFound,
    };
    let parent = place.parent().filter(|parent| name_of(parent).is_some_and(|name| name.starts_with(JAILS)));
    if let Some(parent) = parent.filter(|_| gone) {
        // The next start makes it anew.
        fs::remove_dir(parent).ok();
    }
    gone
}

fn name_of(place: &Path) -> Option<&str> {
    place.file_name()?.to_str()
}

fn members(place: &Path) -> BTreeSet<u32> {
    let listed = fs::read_to_string(place.join("cgroup.procs")).unwrap_or_default();
    // Those of another pid namespace have no number here.
    listed.lines().filter_map(|pid| pid.parse().ok()).filter(|pid| *pid != 0).collect()
}

/// Ends what is left below these mounts of the jails of servers that were killed, and removes what was not to
/// be removed before.
pub(super) fn sweep(mounts: impl Iterator<Item = PathBuf>) {
    let left: Vec<PathBuf> = mounts.flat_map(|mount| left_in(&mount)).collect();
    let mut kept = Vec::new();
    for jails in left {
        let inner = fs::read_dir(&jails).into_iter().flatten().flatten();
        let inner = inner.filter(|entry| entry.file_type().is_ok_and(|kind| kind.is_dir()));
        let all: Vec<PathBuf> = inner.map(|entry| entry.path()).chain([jails.clone()]).collect();
        // All at once, so that one that goes slowly does not hold up the others.
        for place in &all {
            fs::write(place.join("cgroup.kill"), "1").ok();
        }
        kept.extend(all.into_iter().filter(|place| !discard(place)));
    }
    let mut left = turn();
    left.extend(kept);
    tidy(&mut left);
}

/// The cgroups below a place that hold the jails of servers that are gone.
fn left_in(mount: &Path) -> Vec<PathBuf> {
    let (mut found, mut below, mut looked) = (Vec::new(), vec![mount.to_owned()], 0);
    while let Some(place) = below.pop() {
        for entry in fs::read_dir(place).into_iter().flatten().flatten() {
            if !entry.file_type().is_ok_and(|kind| kind.is_dir()) {
                continue;
            }
            looked += 1;
            if looked > LOOKED_AT {
                return found;
            }
            match entry.file_name().to_str().and_then(|name| name.strip_prefix(JAILS)) {
                Some(server) if is_gone(server) => found.push(entry.path()),
                Some(_) => {}
                None => below.push(entry.path()),
            }
        }
    }
    found
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_a_killed_server_left_is_found_wherever_it_ran_and_no_other() {
        let mount = tempfile::tempdir().unwrap();
        let gone = format!("{JAILS}{}-1", std::process::id());
        let left = mount.path().join("a.slice/b.scope").join(&gone);
        for folder in [
            &left,
            &mount.path().join(name_of_jails()),
            &mount.path().join("heddle-server"),
            &mount.path().join(JAILS),
        ] {
            fs::create_dir_all(folder.join("jail-7")).unwrap();
        }
        assert_eq!(left_in(mount.path()), [left]);
    }

    #[test]
    fn what_cannot_be_removed_yet_is_removed_later_and_its_parent_with_it() {
        let mount = tempfile::tempdir().unwrap();
        let jails = mount.path().join(name_of_jails());
        let place = jails.join("jail-7");
        fs::create_dir_all(place.join("busy")).unwrap();
        let mut left = BTreeSet::from([place.clone()]);
        tidy(&mut left);
        assert_eq!(left, BTreeSet::from([place.clone()]));
        fs::remove_dir(place.join("busy")).unwrap();
        tidy(&mut left);
        assert!(left.is_empty() && !jails.exists() && mount.path().exists());
    }
}
