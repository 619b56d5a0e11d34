//! Where the users of jails come from: what a server is to take, and what its host lets it have.

/// What a server is to take its jails' users from. One that is not root takes its sub-users, unless it is to
/// take its own.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum WantedUsers {
    /// `count` users from `first` on, none of whom anybody else on this host is.
    Range { first: u32, count: u32 },
    /// This one for all jails: they share what the kernel counts by user.
    One(u32),
    /// The server's own, which must not be root, as if the host had no other.
    Own,
}

impl WantedUsers {
    /// Far from the users that people, services and containers have.
    pub const DEFAULT: Self = Self::Range { first: 2_000_000_000, count: 4_096 };
}

/// Where users come from.
#[cfg_attr(
    not(all(target_os = "linux", not(heddle_portable))),
    expect(dead_code, reason = "elsewhere there is but the server's own")
)]
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum UserSource {
    /// The server is root and may become these.
    Root { first: u32, count: u32 },
    /// Sub-users and sub-groups of the server's user, which `newuidmap` and `newgidmap` map.
    Sub { users: u32, groups: u32, count: u32 },
    /// None but the server's own; why, as a sentence without a full stop.
    Own(String),
}
