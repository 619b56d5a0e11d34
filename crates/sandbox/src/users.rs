//! Which user of the host each running jail is: one that no other running jail is, where the host has them.
//!
//! The kernel counts much by user: epoll watches, inotify instances, files under way, pending signals, pipes.
//! Jails of one user could use these up for each other, and for the server if it is its user. A user belongs
//! to the *running* jail; a session's files outlive it and are given to the next jail's user when it starts.

use std::collections::BTreeMap;
use std::os::fd::OwnedFd;
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, MutexGuard, OnceLock, PoisonError};

use rustix::process::{getegid, geteuid};

use crate::fault::{Fault, Step};
use crate::host;
use crate::plan::Isolation;

/// What a server is to take its jails' users from. One that is not root takes its sub-users, unless it is to
/// take its own.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Wanted {
    /// `count` users from `first` on, none of whom anybody else on this host is.
    Range { first: u32, count: u32 },
    /// This one for all jails: they share what the kernel counts by user.
    One(u32),
    /// The server's own, which must not be root, as if the host had no other.
    Own,
}

impl Wanted {
    /// Far from the users that people, services and containers have.
    pub const DEFAULT: Self = Self::Range { first: 2_000_000_000, count: 4_096 };
}

/// The users of one server's jails. Clones share them.
#[derive(Debug, Clone)]
pub struct Users(Arc<Shared>);

#[derive(Debug)]
struct Shared {
    program: PathBuf,
    wanted: Wanted,
    jails: u32,
    source: OnceLock<Source>,
    /// The folders whose jails have a user, by the user's place in the source.
    taken: Mutex<BTreeMap<u32, Vec<PathBuf>>>,
}

/// Where users come from.
#[cfg_attr(
    not(all(target_os = "linux", not(heddle_portable))),
    expect(dead_code, reason = "elsewhere there is but the server's own")
)]
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Source {
    /// The server is root and may become these.
    Root { first: u32, count: u32 },
    /// Sub-users and sub-groups of the server's user, which `newuidmap` and `newgidmap` map.
    Sub { users: u32, groups: u32, count: u32 },
    /// None but the server's own; why, as a sentence without a full stop.
    Own(String),
}

impl Users {
    /// `program` is what jails are started of, see [`crate::start`]; `jails` is how many run at once at most.
    /// Nothing is tried before the first jail or removal.
    pub fn new(program: PathBuf, wanted: Wanted, jails: u32) -> Self {
        let (source, taken) = (OnceLock::new(), Mutex::default());
        Self(Arc::new(Shared { program, wanted, jails: jails.max(1), source, taken }))
    }

    /// How many jails the kernel counts together with one of these, at most: 1 where each has its own user
    /// in every respect.
    pub(crate) fn neighbours(&self) -> u32 {
        match self.source() {
            Source::Root { count, .. } if *count >= self.0.jails => 1,
            // Sub-users are counted together where the kernel counts by who made the namespace.
            Source::Root { .. } | Source::Sub { .. } | Source::Own(_) => self.0.jails,
        }
    }

    pub(crate) fn source(&self) -> &Source {
        self.0.source.get_or_init(|| host::source(&self.0.program, self.0.wanted))
    }

    /// A user for the jail of this folder: whoever owns its files, if that is nobody else's user now.
    ///
    /// # Errors
    /// The settings would have agents run as root.
    pub(crate) fn lease(&self, isolation: Isolation, path: &Path, folder: &OwnedFd) -> Result<Lease, Fault> {
        let own = || Lease {
            user: geteuid().as_raw(),
            group: getegid().as_raw(),
            kind: Kind::Own,
            place: None,
            users: self.clone(),
        };
        if isolation == Isolation::Off {
            return Ok(own());
        }
        let (users, groups, count, kind) = match self.source() {
            Source::Own(_) if self.0.wanted == Wanted::Own && geteuid().is_root() => (0, 0, 0, Kind::Root),
            Source::Own(_) => return Ok(own()),
            Source::Root { first, count } => (*first, *first, *count, Kind::Root),
            Source::Sub { users, groups, count } => (*users, *groups, *count, Kind::Sub),
        };
        if users == 0 || count == 0 {
            return Err(Fault::new(Step::User, "a server that runs as root must not run agents as root"));
        }
        let before = host::owner(folder).and_then(|owner| owner.checked_sub(users)).filter(|at| *at < count);
        let first = before.unwrap_or_else(|| scattered(path, count));
        let mut taken = self.lock();
        let alone =
            |at: &u32| taken.get(at).is_none_or(|holders| holders.iter().all(|holder| holder == path));
        let mut all = (first..count).chain(0..first);
        let place = all.find(alone).or_else(|| {
            // Fewer users than jails.
            (0..count).min_by_key(|at| taken.get(at).map_or(0, Vec::len))
        });
        let place = place.unwrap_or_default();
        taken.entry(place).or_default().push(path.to_owned());
        drop(taken);
        Ok(Lease {
            user: users + place,
            group: groups + place,
            kind,
            place: Some((place, path.to_owned())),
            users: self.clone(),
        })
    }

    fn lock(&self) -> MutexGuard<'_, BTreeMap<u32, Vec<PathBuf>>> {
        self.0.taken.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// What only a host with jails asks.
#[cfg(all(target_os = "linux", not(heddle_portable)))]
impl Users {
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
pub(crate) enum Kind {
    /// It is started as that.
    Root,
    /// It is mapped to it.
    Sub,
    /// It is the server's.
    Own,
}

/// A user that belongs to one running jail, until this is dropped.
#[derive(Debug)]
pub(crate) struct Lease {
    pub(crate) user: u32,
    pub(crate) group: u32,
    pub(crate) kind: Kind,
    place: Option<(u32, PathBuf)>,
    pub(crate) users: Users,
}

impl Drop for Lease {
    fn drop(&mut self) {
        let Some((place, path)) = &self.place else { return };
        let mut taken = self.users.lock();
        if let Some(holders) = taken.get_mut(place) {
            if let Some(at) = holders.iter().position(|holder| holder == path) {
                holders.swap_remove(at);
            }
            if holders.is_empty() {
                taken.remove(place);
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn users(source: Source) -> Users {
        let users = Users::new("/nowhere".into(), Wanted::DEFAULT, 4);
        users.0.source.set(source).unwrap();
        users
    }

    #[test]
    fn a_user_belongs_to_one_running_jail_and_is_free_again_after_it() {
        let users = users(Source::Root { first: 10, count: 2 });
        let place = tempfile::tempdir().unwrap();
        let folder = crate::folder::open(place.path()).unwrap();
        let lease = |name: &str| users.lease(Isolation::Local, Path::new(name), &folder).unwrap();
        let (a, b) = (lease("/x/a"), lease("/x/b"));
        assert_ne!(a.user, b.user);
        assert!([a.user, b.user].iter().all(|user| (10..12).contains(user)));
        // The same folder's next jail waits for the end of this one, and may have its user.
        assert_eq!(lease("/x/a").user, a.user);
        let freed = b.user;
        drop(b);
        assert_eq!(lease("/x/c").user, freed);
        // More jails than users: shared, rather than refused.
        let more: Vec<Lease> = ["/x/d", "/x/e", "/x/f"].map(lease).into();
        assert_eq!(more.len(), 3);
        drop((a, more));
        assert!(users.lock().is_empty());
    }

    #[test]
    fn nobody_is_root_and_off_is_the_servers_own() {
        let root = users(Source::Root { first: 0, count: 5 });
        let place = tempfile::tempdir().unwrap();
        let folder = crate::folder::open(place.path()).unwrap();
        let fault = root.lease(Isolation::Local, Path::new("/x/a"), &folder).unwrap_err();
        assert_eq!(fault.step, Step::User);
        let own = root.lease(Isolation::Off, Path::new("/x/a"), &folder).unwrap();
        assert_eq!((own.user, own.kind), (geteuid().as_raw(), Kind::Own));
    }
}
