//! Why a jail could not start: the step that failed, what the system said, and what to do about it.

use std::fmt;
use std::io;

use serde::{Deserialize, Serialize};

/// A jail could not start. Its text names the step, the cause and the fix; it holds no secret and no file
/// content.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, thiserror::Error)]
#[error("the sandbox cannot start: {step}: {cause}. {}", self.fix())]
pub struct JailFault {
    pub step: StartStep,
    /// What the system said, in words.
    pub cause: String,
    /// Its number, where there is one.
    pub errno: Option<i32>,
}

/// The steps of a start, in the order in which they are taken.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum StartStep {
    /// Asking whether this system has jails at all.
    System,
    /// The plan itself is not usable.
    Plan,
    /// The session's folder.
    Folder,
    /// The user the jail runs as.
    User,
    /// Finding one that no other running jail is.
    Taken,
    /// Giving the session's files to that user.
    Own,
    /// Starting the program.
    Spawn,
    /// Taking the folder's lock.
    Lock,
    /// Leaving the host's user and pid namespaces.
    UserNamespace,
    /// Leaving its mount, net, ipc, uts and cgroup namespaces.
    Namespaces,
    /// Building the jail's root.
    Mounts,
    /// Mounting the jail's own /proc.
    Proc,
    /// Showing a tree of `JailPlan::readonly`.
    Readonly,
    /// The second user namespace, in which nobody is root.
    InnerUser,
    Limits,
    /// Dropping capabilities for good.
    Privileges,
    /// The filter of system calls.
    Filter,
    /// The answer that the jail is ready.
    Ready,
}

impl fmt::Display for StartStep {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::System => "asking for a jail",
            Self::Plan => "reading its plan",
            Self::Folder => "opening the session's folder",
            Self::User => "choosing its user",
            Self::Taken => "finding a user that no other sandbox is",
            Self::Own => "giving the session's files to its user",
            Self::Spawn => "starting its process",
            Self::Lock => "locking the session's folder",
            Self::UserNamespace => "making a user namespace",
            Self::Namespaces => "making mount and network namespaces",
            Self::Mounts => "building its file system",
            Self::Proc => "mounting its own /proc",
            Self::Readonly => "showing a read-only tree",
            Self::InnerUser => "making the inner user namespace",
            Self::Limits => "setting its limits",
            Self::Privileges => "dropping privileges",
            Self::Filter => "setting the filter of system calls",
            Self::Ready => "waiting until it is ready",
        })
    }
}

const CONTAINER: &str = "Inside Docker or Podman, run the container with `--security-opt seccomp=unconfined \
                         --security-opt apparmor=unconfined --security-opt systempaths=unconfined`";

impl JailFault {
    pub(crate) fn new(step: StartStep, cause: impl Into<String>) -> Self {
        Self { step, cause: cause.into(), errno: None }
    }

    /// What the reader can do about it, as one or two sentences.
    pub fn fix(&self) -> String {
        match self.step {
            StartStep::System => {
                "--sandbox=off runs commands as your own user, with nothing in between".to_owned()
            }
            StartStep::Plan | StartStep::Readonly => {
                "Correct `[sandbox] readonly` in the configuration: absolute paths that exist, that the sandbox's \
                 user may read, and that hold neither the data directory nor a place of the sandbox's own"
                    .to_owned()
            }
            StartStep::Folder => "Check that the data directory exists and that the server may write to it".to_owned(),
            StartStep::User => {
                "Run the server as an ordinary user, or give it users other than root for its sandboxes with `[sandbox] \
                 uids`. A server that is not root needs newuidmap and newgidmap (package uidmap) and lines for its user \
                 in /etc/subuid and /etc/subgid"
                    .to_owned()
            }
            StartStep::Taken => {
                "Give each server of this host a range of its own with `[sandbox] uids`, of at least as many users as it \
                 has `jails`; to one that is not root, more sub-users in /etc/subuid and /etc/subgid"
                    .to_owned()
            }
            StartStep::Own => {
                "Try again: what is done is kept. If they belong to users that the server no longer has, give it back \
                 what it had: being root, or its lines in /etc/subuid and /etc/subgid"
                    .to_owned()
            }
            StartStep::Spawn => {
                "Check that the heddle program may be executed by everybody (mode 755) and that the machine has \
                 processes and memory left"
                    .to_owned()
            }
            StartStep::Lock => "The session's previous sandbox is still ending; try again".to_owned(),
            StartStep::UserNamespace | StartStep::InnerUser => format!(
                "Unprivileged user namespaces must be allowed. On Ubuntu: `sysctl -w \
                 kernel.apparmor_restrict_unprivileged_userns=0`; elsewhere `sysctl -w user.max_user_namespaces=15000`, \
                 and on old Debian `sysctl -w kernel.unprivileged_userns_clone=1`. {CONTAINER}"
            ),
            StartStep::Namespaces | StartStep::Mounts => format!(
                "The host forbids mounts in a user namespace. On Ubuntu: `sysctl -w \
                 kernel.apparmor_restrict_unprivileged_userns=0`. {CONTAINER}"
            ),
            StartStep::Proc => format!("The host hides parts of /proc. {CONTAINER} (`systempaths=unconfined` is what counts here)"),
            StartStep::Filter => "The kernel must be built with CONFIG_SECCOMP_FILTER".to_owned(),
            StartStep::Limits | StartStep::Privileges | StartStep::Ready => "See the server's log; `heddle doctor` tries each step".to_owned(),
        }
    }
}

/// `.at(StartStep::…)`: names the step at which a call of the system failed.
pub(crate) trait AtStep<T> {
    fn at(self, step: StartStep) -> Result<T, JailFault>;

    /// The same, naming also what the call was about.
    fn of(self, step: StartStep, what: &str) -> Result<T, JailFault>;
}

impl<T, E: Into<io::Error>> AtStep<T> for Result<T, E> {
    fn at(self, step: StartStep) -> Result<T, JailFault> {
        self.of(step, "")
    }

    fn of(self, step: StartStep, what: &str) -> Result<T, JailFault> {
        self.map_err(|error| {
            let error: io::Error = error.into();
            let cause = if what.is_empty() { error.to_string() } else { format!("{what}: {error}") };
            JailFault { step, cause, errno: error.raw_os_error() }
        })
    }
}
