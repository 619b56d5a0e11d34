//! How the sandboxes are: where, with what bounds, and how many.

use std::path::PathBuf;
use std::time::Duration;

use protocol::limits;
use sandbox::{Isolation, JailLimits, WantedUsers};

/// How the sandboxes are.
#[derive(Debug, Clone)]
pub struct JailSettings {
    /// Where their folders are: one a session, named by its id.
    pub root: PathBuf,
    /// The program that `jail` is asked of; normally [`sandbox::program`].
    pub program: PathBuf,
    /// How they are kept from the host.
    pub isolation: Isolation,
    /// Further trees that they see, read-only; those that are not there are left out.
    pub readonly: Vec<PathBuf>,
    /// What each may use.
    pub limits: JailLimits,
    /// Which users they run as.
    pub users: WantedUsers,
    /// After how long without a call a jail is ended; its files are kept.
    pub idle: Duration,
    /// Days after which the files of a session that does not use them are removed.
    pub keep_days: u32,
    /// Jails alive at once. Beyond it the one that has been idle longest is ended, and sessions wait
    /// their turn.
    pub jails_max: usize,
    /// How long a call waits for its session's turn.
    pub wait: Duration,
    /// After how long a session's next call stands behind those of sessions that wait for a jail.
    pub turn: Duration,
    /// How much longer than its own bound a call is waited for before its jail is ended.
    pub margin: Duration,
}

impl JailSettings {
    /// What docs/rules.md 10 says, for folders in `root` and jails of `program`.
    pub fn new(root: PathBuf, program: PathBuf) -> Self {
        Self {
            root,
            program,
            isolation: Isolation::Local,
            readonly: Vec::new(),
            limits: JailLimits::default(),
            users: WantedUsers::DEFAULT,
            idle: Duration::from_mins(10),
            keep_days: 30,
            jails_max: limits::SANDBOXES,
            wait: Duration::from_secs(limits::SANDBOX_WAIT_S),
            turn: Duration::from_secs(limits::SANDBOX_TURN_S),
            margin: Duration::from_secs(15),
        }
    }
}
