//! What this host can give a jail, for `heddle doctor`: tried for real, not guessed.

use std::fs;
use std::os::unix::fs::FileTypeExt;
use std::path::{Path, PathBuf};

use super::claim::UserClaim;
use super::{cgroup, counted, quota};
use crate::fault::{JailFault, StartStep};
use crate::folder::SessionFolders;
use crate::plan::{Isolation, JailLimits, JailPlan};
use crate::report::{HostCheck, HostReport, bash, good, missing};
use crate::start;
use crate::user_source::UserSource;
use crate::users::JailUsers;
use crate::word::HostFindings;

/// Starts a jail in a folder of its own and ends it: blocks for about 12 s at most. `users` and
/// `readonly` are the server's.
pub fn probe(users: &JailUsers, readonly: &[PathBuf]) -> HostReport {
    let tried = attempt(users, readonly);
    let failed_at = tried.as_ref().err();
    let stages = [
        ("user namespace", StartStep::UserNamespace, "unprivileged user namespaces work"),
        ("namespaces", StartStep::Namespaces, "mount, network, ipc, uts and cgroup namespaces work"),
        ("file system", StartStep::Mounts, "its own root can be built"),
        ("proc", StartStep::Proc, "its own /proc can be mounted"),
        ("inner user", StartStep::InnerUser, "nobody is root inside"),
        ("limits", StartStep::Limits, "limits can be set"),
        ("privileges", StartStep::Privileges, "capabilities are dropped for good"),
        ("system calls", StartStep::Filter, "the filter of system calls is set"),
    ];
    let (mut checks, mut later): (Vec<HostCheck>, Vec<&str>) = (Vec::new(), Vec::new());
    for (name, step, works) in stages {
        match failed_at {
            Some(fault) if step == fault.step => checks.push(bad(name, fault)),
            Some(fault) if step > fault.step => later.push(name),
            Some(_) | None => checks.push(good(name, works)),
        }
    }
    if let Some(fault) = failed_at
        && !stages.iter().any(|(_, step, _)| *step == fault.step)
    {
        checks.insert(0, bad("start", fault));
    }
    if !later.is_empty() {
        let found = format!("not tried, because an earlier step failed: {}", later.join(", "));
        checks.push(missing("further steps", &found, ""));
    }
    if let Ok(found) = &tried {
        checks.push(if found.loopback {
            good("loopback", "programs inside reach each other on 127.0.0.1, and nothing else")
        } else {
            optional("loopback", "127.0.0.1 is down inside: agents cannot test servers they write")
        });
    }
    checks.push(bash());
    checks.push(at_once(users));
    checks.push(whose(users));
    if let Ok(found) = &tried {
        checks.push(inodes(&found.shared, readonly));
    }
    checks.push(cgroups());
    HostReport { checks }
}

fn cgroups() -> HostCheck {
    let whole = "memory, processes and CPU are bounded for each sandbox as a whole";
    match cgroup::found() {
        Some(found) => optional_good("cgroups", &format!("{found}: {whole}")),
        None => HostCheck {
            fix: "Optional: a systemd unit with `Delegate=yes` (it alone is enough), a container whose \
                  /sys/fs/cgroup can be written, or a server that is root"
                .to_owned(),
            ..optional(
                "cgroups",
                "none are ours to divide. Only what a process has for itself is bounded; shared memory is not, and \
                 a program that opens many sessions gets many shares of CPU. When the host's memory runs short the \
                 server ends the sandbox that holds most",
            )
        },
    }
}

/// Whether what sessions keep on the disk can be bounded by the kernel. `data` is where their folders are, or
/// will be.
pub fn probe_disk(data: &Path) -> HostCheck {
    match data.ancestors().find(|place| place.exists()).map_or(Err("it does not exist"), quota::found) {
        Ok(()) => optional_good("disk quota", "the kernel bounds what each session's files take"),
        Err(why) => HostCheck {
            fix: "Optional: a file system of its own for the data directory, ext4 or xfs, mounted with `prjquota`, and \
                  a server that is root"
                .to_owned(),
            ..optional(
                "disk quota",
                &format!(
                    "{why}. The server looks every few seconds instead; files that are deleted and sent from one \
                     process to another, or held by one that hides, are bounded only by the room it keeps free"
                ),
            )
        },
    }
}

fn attempt(users: &JailUsers, readonly: &[PathBuf]) -> Result<HostFindings, JailFault> {
    let failed = |error: std::io::Error| JailFault::new(StartStep::Folder, error.to_string());
    let place = tempfile::tempdir().map_err(failed)?;
    let folders = SessionFolders::new(place.path().join("sandboxes"), users.clone());
    let folder = folders.make("probe").map_err(failed)?;
    let (readonly, limits) = (readonly.to_owned(), JailLimits::default());
    let plan = JailPlan { isolation: Isolation::Local, folder, readonly, limits };
    let (jail, found) = start::begin(users.program(), &plan, users)?;
    jail.end();
    // What the sub-user owns, the place's own removal could not take away.
    folders.remove("probe").map_err(failed)?;
    Ok(found)
}

fn bad(name: &'static str, fault: &JailFault) -> HostCheck {
    HostCheck {
        name,
        ok: false,
        found: format!("{}: {}", fault.step, fault.cause),
        fix: fault.fix(),
        needed: true,
    }
}

fn optional(name: &'static str, found: &str) -> HostCheck {
    HostCheck { needed: false, ..missing(name, found, "") }
}

fn optional_good(name: &'static str, found: &str) -> HostCheck {
    HostCheck { needed: false, ..good(name, found) }
}

/// Memory of one jail in MiB, before anything runs in it, and of a usual command.
const JAIL_MIB: u64 = 2;
const COMMAND_MIB: u64 = 50;

/// Whether the host has the users and the memory that so many jails take.
fn at_once(users: &JailUsers) -> HostCheck {
    const NAME: &str = "at once";
    let (jails, wanted) = (users.at_once(), users.jails());
    if jails < wanted {
        return HostCheck {
            fix: format!(
                "Give the server's user {wanted} sub-users and sub-groups, or lower `[sandbox] jails` to {jails}"
            ),
            ..optional(
                NAME,
                &format!(
                    "{jails} sandboxes run at once instead of {wanted}: there are no more users for them"
                ),
            )
        };
    }
    let many = u64::from(jails);
    let memory = fs::read_to_string("/proc/meminfo").unwrap_or_default();
    let kib = memory
        .lines()
        .find_map(|line| line.strip_prefix("MemTotal:")?.trim().strip_suffix(" kB")?.parse().ok());
    let (all, used) = (kib.unwrap_or(u64::MAX) / 1024, many * (JAIL_MIB + COMMAND_MIB));
    if all < used {
        return HostCheck {
            fix: format!("Lower `[sandbox] jails` to {}", (all / (JAIL_MIB + COMMAND_MIB)).max(1)),
            ..optional(
                NAME,
                &format!("{jails} sandboxes may run at once, and this machine has {all} MiB of memory"),
            )
        };
    }
    optional_good(NAME, &format!("{jails} sandboxes run at once; further sessions wait their turn"))
}

/// Whom jails run as, and what they share if that is one user.
fn whose(users: &JailUsers) -> HostCheck {
    let shared = "epoll watches, inotify instances, pipes and pending signals";
    let unseen =
        "; servers elsewhere on this host cannot tell which are taken, so give each a range of its own";
    let seen = if UserClaim::open().is_seen() { "" } else { unseen };
    match users.source() {
        UserSource::Root { first, .. } if users.are_one() => HostCheck {
            fix: "Remove `[sandbox] user`, or name a range with `[sandbox] uids`".to_owned(),
            ..optional("users", &format!("all sandboxes run as user {first} and share {shared}"))
        },
        UserSource::Root { first, count } => {
            let last = first + (count - 1);
            optional_good("users", &format!("each sandbox runs as a user of its own, {first} to {last}{seen}"))
        }
        UserSource::Sub { users: first, count, .. } => {
            let last = first + (count - 1);
            let instances = counted::host("fs/inotify/max_user_instances").unwrap_or_default();
            optional_good(
                "users",
                &format!(
                    "each sandbox runs as a sub-user of its own, {first} to {last}; they share the {instances} inotify \
                     instances of the server's user (fs.inotify.max_user_instances), of which each has its part{seen}"
                ),
            )
        }
        UserSource::Own(why) => HostCheck {
            fix: "Optional: install newuidmap and newgidmap (package uidmap) and give the server's user lines in \
                  /etc/subuid and /etc/subgid, as `USER:100000:65536`; or run the server as root"
                .to_owned(),
            ..optional(
                "users",
                &format!("all sandboxes run as the server's own user and share {shared} with it: {why}"),
            )
        },
    }
}

/// Whether a jail sees the host's files through inodes of its own; if not, what that opens.
fn inodes(shared: &[String], readonly: &[PathBuf]) -> HostCheck {
    const NAME: &str = "own inodes";
    if shared.is_empty() {
        return optional_good(
            NAME,
            "locks, watches and sockets in the host's trees do not reach into sandboxes (but for the files of /dev)",
        );
    }
    let mut found = format!(
        "{} shown as on the host: agents can see what others open and run there (inotify) and lock those files (flock)",
        listed(shared)
    );
    let open = readonly.iter().filter(|tree| shared.iter().any(|shared| Path::new(shared).starts_with(tree)));
    let sockets: Vec<String> = open.flat_map(|tree| sockets(tree)).collect();
    if !sockets.is_empty() {
        found.extend([", and speak to the programs behind these sockets: ", &listed(&sockets)]);
    }
    let fix = "Optional: a kernel from 5.11 on and file systems that an overlay can be made of".to_owned();
    HostCheck { fix, ..optional(NAME, &found) }
}

/// Names that are shown of many.
const LISTED: usize = 8;
/// Entries of a tree that are looked at.
const ENTRIES: usize = 20_000;

fn listed(names: &[String]) -> String {
    let shown = names.iter().take(LISTED).cloned().collect::<Vec<_>>().join(", ");
    match names.len().saturating_sub(LISTED) {
        0 => shown,
        more => format!("{shown} and {more} more"),
    }
}

/// The sockets in a tree, as far as a bounded walk finds them.
fn sockets(tree: &Path) -> Vec<String> {
    let (mut found, mut below, mut seen) = (Vec::new(), vec![tree.to_owned()], 0);
    while let Some(folder) = below.pop() {
        for entry in fs::read_dir(folder).into_iter().flatten().flatten() {
            seen += 1;
            if seen > ENTRIES {
                return found;
            }
            let Ok(kind) = entry.file_type() else { continue };
            if kind.is_socket() {
                found.push(entry.path().to_string_lossy().into_owned());
            } else if kind.is_dir() {
                below.push(entry.path());
            }
        }
    }
    found
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn sockets_in_a_tree_that_is_shown_as_it_is_are_named() {
        let tree = tempfile::tempdir().unwrap();
        fs::create_dir(tree.path().join("below")).unwrap();
        let socket = tree.path().join("below/socket");
        let _listens = std::os::unix::net::UnixListener::bind(&socket).unwrap();
        let (name, trees) = (tree.path().to_string_lossy().into_owned(), [tree.path().to_owned()]);
        let check = inodes(&[name], &trees);
        assert!(!check.ok && !check.needed);
        assert!(check.found.ends_with(&format!("these sockets: {}", socket.display())), "{}", check.found);
        assert!(inodes(&[], &trees).ok);
    }
}
