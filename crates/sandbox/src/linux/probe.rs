//! What this host can give a jail, for `heddle doctor`: tried for real, not guessed.

use std::path::Path;

use super::{cgroup, quota};
use crate::fault::{Fault, Step};
use crate::folder::Folders;
use crate::plan::{Isolation, Limits, Plan};
use crate::report::{Check, Report, bash, good, missing};
use crate::start;

/// The user that agents run as when the server is root and the configuration names no other. rules.md 10.
const NOBODY: u32 = 65_534;

/// Starts a jail in a folder of its own and ends it: blocks for at most 12 s. `program` as in
/// [`crate::start`].
pub fn probe(program: &Path) -> Report {
    let tried = attempt(program);
    let failed_at = tried.as_ref().err();
    let stages = [
        ("user namespace", Step::UserNamespace, "unprivileged user namespaces work"),
        ("namespaces", Step::Namespaces, "mount, network, ipc, uts and cgroup namespaces work"),
        ("file system", Step::Mounts, "its own root can be built"),
        ("proc", Step::Proc, "its own /proc can be mounted"),
        ("inner user", Step::InnerUser, "nobody is root inside"),
        ("limits", Step::Limits, "limits can be set"),
        ("privileges", Step::Privileges, "capabilities are dropped for good"),
        ("system calls", Step::Filter, "the filter of system calls is set"),
    ];
    let mut checks: Vec<Check> = stages
        .into_iter()
        .map(|(name, step, works)| match failed_at {
            None => good(name, works),
            Some(fault) if step < fault.step => good(name, works),
            Some(fault) if step == fault.step => bad(name, fault),
            Some(_) => missing(name, "not tried, because an earlier step failed", ""),
        })
        .collect();
    if let Some(fault) = failed_at
        && !stages.iter().any(|(_, step, _)| *step == fault.step)
    {
        checks.insert(0, bad("start", fault));
    }
    checks.push(match &tried {
        Ok(true) => good("loopback", "programs inside reach each other on 127.0.0.1, and nothing else"),
        Ok(false) => optional("loopback", "127.0.0.1 is down inside: agents cannot test servers they write"),
        Err(_) => optional("loopback", "not tried"),
    });
    checks.push(bash());
    checks.push(cgroups());
    Report { checks }
}

fn cgroups() -> Check {
    let whole = "memory, processes and CPU are bounded for each sandbox as a whole";
    match cgroup::found() {
        Some(found) => optional_good("cgroups", &format!("{found}: {whole}")),
        None => Check {
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
pub fn probe_disk(data: &Path) -> Check {
    match data.ancestors().find(|place| place.exists()).map_or(Err("it does not exist"), quota::found) {
        Ok(()) => optional_good("disk quota", "the kernel bounds what each session's files take"),
        Err(why) => Check {
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

fn attempt(program: &Path) -> Result<bool, Fault> {
    let failed = |error: std::io::Error| Fault::new(Step::Folder, error.to_string());
    let place = tempfile::tempdir().map_err(failed)?;
    let folders = Folders::new(place.path().join("sandboxes"), Some(NOBODY));
    let folder = folders.make("probe").map_err(failed)?;
    let plan = Plan { isolation: Isolation::Local, folder, readonly: Vec::new(), limits: Limits::default() };
    let (jail, loopback) = start::begin(program, &plan, Some(NOBODY))?;
    jail.end();
    Ok(loopback)
}

fn bad(name: &'static str, fault: &Fault) -> Check {
    Check {
        name,
        ok: false,
        found: format!("{}: {}", fault.step, fault.cause),
        fix: fault.fix(),
        needed: true,
    }
}

fn optional(name: &'static str, found: &str) -> Check {
    Check { needed: false, ..missing(name, found, "") }
}

fn optional_good(name: &'static str, found: &str) -> Check {
    Check { needed: false, ..good(name, found) }
}
