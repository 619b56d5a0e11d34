//! Which users of this host the server may have its jails run as.

use std::fs;
use std::os::unix::fs::PermissionsExt;
use std::path::Path;

use rustix::process::geteuid;

use super::keeper;
use super::uidmap::tool_at;
use crate::user_source::{UserSource, WantedUsers};

/// Users that are taken of the sub-users of the server's user: the last ones, which rootless containers use
/// seldom.
const SUB_USERS: u32 = 4_096;
/// The first that is nobody.
const NOBODY: u32 = 65_534;

/// Where jails' users come from on this host. Tries it.
pub(crate) fn source(program: &Path, wanted: WantedUsers) -> UserSource {
    if wanted == WantedUsers::Own {
        return UserSource::Own("the settings say so".to_owned());
    }
    if geteuid().is_root() {
        return of_root(wanted, &read("/proc/self/uid_map"), &read("/proc/self/gid_map"));
    }
    match sub(program) {
        Ok(source) => source,
        Err(why) => UserSource::Own(why),
    }
}

fn read(path: &str) -> String {
    fs::read_to_string(path).unwrap_or_default()
}

/// A server that is root only of a user namespace, as in a rootless container, has the users of its map.
fn of_root(wanted: WantedUsers, users: &str, groups: &str) -> UserSource {
    let both = |first, count| holds(users, first, count) && holds(groups, first, count);
    let (first, count) = match wanted {
        WantedUsers::One(user) => (user, 1),
        WantedUsers::Range { first, count } => (first, count),
        WantedUsers::Own => (0, 0),
    };
    if both(first, count) {
        return UserSource::Root { first, count };
    }
    let last = ranges(users).map(|(first, count)| first.saturating_add(count)).max().unwrap_or_default();
    let end = last.min(NOBODY);
    let first = end.saturating_sub(SUB_USERS).max(1);
    if end > first && both(first, end - first) {
        return UserSource::Root { first, count: end - first };
    }
    UserSource::Own("this container has no other user than its root".to_owned())
}

/// Whether the map of a user namespace has all of these. Its lines are "inside outside how-many".
fn holds(map: &str, first: u32, count: u32) -> bool {
    ranges(map).any(|(start, many)| {
        first >= start && u64::from(first) + u64::from(count) <= u64::from(start) + u64::from(many)
    })
}

fn ranges(map: &str) -> impl Iterator<Item = (u32, u32)> {
    map.lines().filter_map(|line| {
        let mut numbers = line.split_whitespace().map(str::parse);
        match (numbers.next(), numbers.next(), numbers.next()) {
            (Some(Ok(first)), Some(Ok(_)), Some(Ok(many))) => Some((first, many)),
            (_, _, _) => None::<(u32, u32)>,
        }
    })
}

/// Sub-users of a server that is not root; `Err`: why there are none.
fn sub(program: &Path) -> Result<UserSource, String> {
    let user = geteuid().as_raw();
    for tool in ["newuidmap", "newgidmap"] {
        tool_at(tool).ok_or_else(|| format!("{tool} is not installed (package uidmap)"))?;
    }
    let name = name_of(user, &read("/etc/passwd"));
    let sub = |file: &str| {
        sub_range(user, name.as_deref(), &read(file))
            .ok_or_else(|| format!("{file} has no line for the server's user ({user})"))
    };
    let (users, groups) = (sub("/etc/subuid")?, sub("/etc/subgid")?);
    let mode = fs::metadata(program).map(|found| found.permissions().mode()).unwrap_or_default();
    if mode & 0o005 != 0o005 {
        return Err("the heddle program may not be read and executed by everybody (chmod 755)".to_owned());
    }
    let count = users.1.min(groups.1).min(SUB_USERS);
    let last = |(first, many): (u32, u32)| first + (many - count);
    let source = UserSource::Sub { users: last(users), groups: last(groups), count };
    match keeper::nothing(program, &source) {
        Ok(()) => Ok(source),
        Err(fault) => Err(format!("sub-users cannot be mapped: {}", fault.cause)),
    }
}

fn name_of(user: u32, passwd: &str) -> Option<String> {
    passwd.lines().find_map(|line| {
        let mut fields = line.split(':');
        let name = fields.next()?;
        (fields.nth(1)?.parse() == Ok(user)).then(|| name.to_owned())
    })
}

/// The largest range of the user in /etc/subuid or /etc/subgid: lines "name-or-number:first:how-many".
fn sub_range(user: u32, name: Option<&str>, file: &str) -> Option<(u32, u32)> {
    let number = user.to_string();
    let of_user = file.lines().filter_map(|line| {
        let mut fields = line.trim().split(':');
        let whose = fields.next()?;
        let (first, many): (u32, u32) = (fields.next()?.parse().ok()?, fields.next()?.parse().ok()?);
        let own = whose == number || Some(whose) == name;
        (own && first > 0 && many > 0 && first.checked_add(many).is_some()).then_some((first, many))
    });
    of_user.max_by_key(|(_, many)| *many)
}

#[cfg(test)]
mod tests {
    use super::*;

    const ALL: &str = "         0          0 4294967295\n";

    #[test]
    fn a_server_that_is_root_takes_what_its_map_has() {
        let of = |map| of_root(WantedUsers::DEFAULT, map, map);
        assert_eq!(of(ALL), UserSource::Root { first: 2_000_000_000, count: 4_096 });
        // Rootless containers: their own users, and none.
        assert_eq!(of("0 1000 1\n1 100000 65536\n"), UserSource::Root { first: 61_438, count: 4_096 });
        assert_eq!(of("0 1000 1\n1 100000 100\n"), UserSource::Root { first: 1, count: 100 });
        assert!(matches!(of("0 1000 1\n"), UserSource::Own(_)));
        assert!(matches!(
            of_root(WantedUsers::DEFAULT, "0 1000 1\n1 100000 65536\n", "0 1000 1\n"),
            UserSource::Own(_)
        ));
        assert_eq!(of_root(WantedUsers::One(65_534), ALL, ALL), UserSource::Root { first: 65_534, count: 1 });
    }

    #[test]
    fn sub_users_are_found_by_name_and_by_number() {
        let passwd = "root:x:0:0:root:/root:/bin/bash\nana:x:1001:1001::/home/ana:/bin/sh\n";
        assert_eq!(name_of(1001, passwd).as_deref(), Some("ana"));
        assert_eq!(name_of(1002, passwd), None);
        let file = "ben:100000:65536\nana:165536:65536\n1001:300000:70000\nana:x:y\nana:0:5\n";
        assert_eq!(sub_range(1001, Some("ana"), file), Some((300_000, 70_000)));
        assert_eq!(sub_range(1002, None, file), None);
    }
}
