//! Which user of the host each running jail is: one that no other running jail is, where the host has them.
//!
//! The kernel counts much by user: epoll watches, inotify instances, files under way, pending signals, pipes.
//! Jails of one user could use these up for each other, and for the server if it is its user. A user belongs
//! to the *running* jail, whichever server of this host started it; a session's files outlive it and are
//! given to the next jail's user when it starts.

use std::collections::BTreeMap;
use std::os::fd::OwnedFd;
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, MutexGuard, OnceLock, PoisonError, Weak};

use rustix::process::{getegid, geteuid};

use crate::fault::{JailFault, StartStep};
use crate::host::{self, UserClaim};
use crate::plan::Isolation;
use crate::user_source::{UserSource, WantedUsers};

/// The users of one server's jails. Clones share them.
#[derive(Debug, Clone)]
pub struct JailUsers(Arc<Shared>);

#[derive(Debug)]
struct Shared {
    program: PathBuf,
    wanted: WantedUsers,
    jails: u32,
    source: OnceLock<UserSource>,
    /// By the user's place in the source: whose jail has it, as long as the claim lives.
    taken: Mutex<BTreeMap<u32, Taken>>,
}

#[derive(Debug)]
struct Taken {
    folder: PathBuf,
    claim: Weak<UserClaim>,
}

impl JailUsers {
    /// `program` is what jails are started of, see [`crate::start`]; `jails` is how many run at once at most.
    /// Nothing is tried before the first jail or removal.
    pub fn new(program: PathBuf, wanted: WantedUsers, jails: u32) -> Self {
        let (source, taken) = (OnceLock::new(), Mutex::default());
        Self(Arc::new(Shared { program, wanted, jails: jails.max(1), source, taken }))
    }

    /// How many jails run at once at most: as many as was said, but no more than there are users. Tries where
    /// these come from, which blocks for a moment.
    pub fn at_once(&self) -> u32 {
        match self.source() {
            UserSource::Root { .. } if self.are_one() => self.0.jails,
            UserSource::Root { count, .. } | UserSource::Sub { count, .. } => self.0.jails.min(*count),
            UserSource::Own(_) => self.0.jails,
        }
    }

    /// How many jails the kernel counts together with one of these, at most: 1 where each has its own user
    /// in every respect.
    pub(crate) fn neighbours(&self) -> u32 {
        match self.source() {
            UserSource::Root { .. } if !self.are_one() => 1,
            // Sub-users are counted together where the kernel counts by who made the namespace.
            UserSource::Root { .. } | UserSource::Sub { .. } | UserSource::Own(_) => self.at_once(),
        }
    }

    /// Whether all jails are one user, because the settings say so.
    pub(crate) fn are_one(&self) -> bool {
        matches!((self.0.wanted, self.source()), (WantedUsers::One(_), UserSource::Root { count: 1, .. }))
    }

    pub(crate) fn source(&self) -> &UserSource {
        self.0.source.get_or_init(|| host::source(&self.0.program, self.0.wanted))
    }

    /// A user for the jail of this folder that no other running jail of this host is: whoever owns the
    /// folder's files, if possible.
    ///
    /// # Errors
    /// The settings would have agents run as root, or all users are taken.
    pub(crate) fn lease(
        &self,
        isolation: Isolation,
        path: &Path,
        folder: &OwnedFd,
    ) -> Result<UserLease, JailFault> {
        let lease =
            |user: u32, group: u32, kind, claim| UserLease { user, group, kind, claim, users: self.clone() };
        let own = || lease(geteuid().as_raw(), getegid().as_raw(), UserKind::Own, None);
        if isolation == Isolation::Off {
            return Ok(own());
        }
        let (users, groups, count, kind) = match self.source() {
            UserSource::Own(_) if self.0.wanted == WantedUsers::Own && geteuid().is_root() => {
                (0, 0, 0, UserKind::Root)
            }
            UserSource::Own(_) => return Ok(own()),
            UserSource::Root { first, count } => (*first, *first, *count, UserKind::Root),
            UserSource::Sub { users, groups, count } => (*users, *groups, *count, UserKind::Sub),
        };
        if users == 0 || count == 0 {
            return Err(JailFault::new(
                StartStep::User,
                "a server that runs as root must not run agents as root",
            ));
        }
        if self.are_one() {
            return Ok(lease(users, groups, kind, None));
        }
        let before = host::owner(folder).and_then(|owner| owner.checked_sub(users)).filter(|at| *at < count);
        let first = before.unwrap_or_else(|| scattered(path, count));
        match self.take(path, users, (first..count).chain(0..first)) {
            Some((place, claim)) => Ok(lease(users + place, groups + place, kind, Some(claim))),
            None => Err(JailFault::new(
                StartStep::Taken,
                format!(
                    "running sandboxes of this host have all of the users {users} to {}",
                    users + (count - 1)
                ),
            )),
        }
    }

    /// The first of these places that is free, or is the folder's already: its next jail waits for the end of
    /// the one that has it.
    fn take(
        &self,
        folder: &Path,
        users: u32,
        places: impl Iterator<Item = u32>,
    ) -> Option<(u32, Arc<UserClaim>)> {
        let mut taken = self.lock();
        taken.retain(|_, taken| taken.claim.strong_count() > 0);
        let claim = Arc::new(UserClaim::open());
        for place in places {
            if let Some(taken) = taken.get(&place) {
                if let Some(claim) = taken.claim.upgrade().filter(|_| taken.folder == folder) {
                    return Some((place, claim));
                }
            } else if claim.lay(users + place) {
                taken.insert(place, Taken { folder: folder.to_owned(), claim: Arc::downgrade(&claim) });
                return Some((place, claim));
            }
        }
        None
    }

    fn lock(&self) -> MutexGuard<'_, BTreeMap<u32, Taken>> {
        self.0.taken.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// What only a host with jails asks.
#[cfg(all(target_os = "linux", not(heddle_portable)))]
impl JailUsers {
    pub(crate) fn jails(&self) -> u32 {
        self.0.jails
    }

    pub(crate) fn program(&self) -> &Path {
        &self.0.program
    }
}

/// Where the search for a free user begins for a new folder, so that sessions seldom meet each other's.
fn scattered(path: &Path, count: u32) -> u32 {
    let name = path.file_name().unwrap_or_default();
    let mixed = name
        .as_encoded_bytes()
        .iter()
        .fold(0x811c_9dc5_u32, |hash, byte| (hash ^ u32::from(*byte)).wrapping_mul(0x0100_0193));
    mixed % count.max(1)
}

/// How a jail comes to be its user.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum UserKind {
    /// It is started as that.
    Root,
    /// It is mapped to it.
    Sub,
    /// It is the server's.
    Own,
}

/// A user that belongs to one running jail, until this is dropped.
#[cfg_attr(
    not(all(target_os = "linux", not(heddle_portable))),
    expect(dead_code, reason = "elsewhere there is but the server's own")
)]
#[derive(Debug)]
pub(crate) struct UserLease {
    pub(crate) user: u32,
    pub(crate) group: u32,
    pub(crate) kind: UserKind,
    /// What keeps others from being it. `None` where all are one.
    pub(crate) claim: Option<Arc<UserClaim>>,
    pub(crate) users: JailUsers,
}

#[cfg(test)]
mod tests {
    use super::*;

    fn users(source: UserSource) -> JailUsers {
        let users = JailUsers::new("/nowhere".into(), WantedUsers::DEFAULT, 4);
        users.0.source.set(source).unwrap();
        users
    }

    #[test]
    fn a_user_belongs_to_one_running_jail_and_is_free_again_after_it() {
        let users = users(UserSource::Root { first: 10, count: 2 });
        let place = tempfile::tempdir().unwrap();
        let folder = crate::session_folder::open(place.path()).unwrap();
        let lease = |name: &str| users.lease(Isolation::Local, Path::new(name), &folder).unwrap();
        let (a, b) = (lease("/x/a"), lease("/x/b"));
        assert_ne!(a.user, b.user);
        assert!([a.user, b.user].iter().all(|user| (10..12).contains(user)));
        // The same folder's next jail waits for the end of this one, and may have its user.
        assert_eq!(lease("/x/a").user, a.user);
        let freed = b.user;
        drop(b);
        assert_eq!(lease("/x/c").user, freed);
    }

    #[test]
    fn two_servers_of_one_range_share_no_user_and_the_last_is_told_what_to_set() {
        let source = UserSource::Root { first: 20, count: 2 };
        let (one, other) = (users(source.clone()), users(source));
        let place = tempfile::tempdir().unwrap();
        let folder = crate::session_folder::open(place.path()).unwrap();
        let lease = |users: &JailUsers, name| users.lease(Isolation::Local, Path::new(name), &folder);
        // Of one name, so that both begin their search at the same user.
        let (a, b) = (lease(&one, "/x/a").unwrap(), lease(&other, "/y/a").unwrap());
        assert_ne!(a.user, b.user);
        let fault = lease(&one, "/x/b").unwrap_err();
        assert_eq!(fault.step, StartStep::Taken);
        assert!(fault.to_string().contains("users 20 to 21") && fault.fix().contains("`[sandbox] uids`"));
        drop(b);
        assert!(lease(&one, "/x/b").is_ok());
    }

    #[test]
    fn no_more_jails_run_at_once_than_there_are_users() {
        let of = |source| users(source).at_once();
        assert_eq!(of(UserSource::Root { first: 10, count: 3 }), 3);
        assert_eq!(of(UserSource::Sub { users: 10, groups: 10, count: 1 }), 1);
        assert_eq!(
            [of(UserSource::Root { first: 10, count: 9 }), of(UserSource::Own(String::new()))],
            [4, 4]
        );
        let one = JailUsers::new("/nowhere".into(), WantedUsers::One(10), 4);
        one.0.source.set(UserSource::Root { first: 10, count: 1 }).unwrap();
        assert_eq!((one.at_once(), one.neighbours()), (4, 4));
    }

    #[test]
    fn nobody_is_root_and_off_is_the_servers_own() {
        let root = users(UserSource::Root { first: 0, count: 5 });
        let place = tempfile::tempdir().unwrap();
        let folder = crate::session_folder::open(place.path()).unwrap();
        let fault = root.lease(Isolation::Local, Path::new("/x/a"), &folder).unwrap_err();
        assert_eq!(fault.step, StartStep::User);
        let own = root.lease(Isolation::Off, Path::new("/x/a"), &folder).unwrap();
        assert_eq!((own.user, own.kind), (geteuid().as_raw(), UserKind::Own));
    }
}
