//! Which user a jail runs as.

use std::fs;

use rustix::process::geteuid;

/// The user to change to; `None`: the server's own.
///
/// A server that is not root cannot change it. One that is root only of a user namespace in which `owner`
/// does not exist, as in a rootless container, need not: the host does not take it for root.
pub(crate) fn to_change_to(owner: Option<u32>) -> Option<u32> {
    let owner = owner.filter(|_| geteuid().is_root())?;
    let map = fs::read_to_string("/proc/self/uid_map").unwrap_or_default();
    exists(owner, &map).then_some(owner)
}

/// Whether the map of a user namespace has this user. Its lines are "inside outside how-many".
fn exists(user: u32, map: &str) -> bool {
    map.lines().any(|line| {
        let mut numbers = line.split_whitespace().map(|number| number.parse().unwrap_or(0u64));
        let (Some(first), Some(_), Some(many)) = (numbers.next(), numbers.next(), numbers.next()) else {
            return false;
        };
        (first..first.saturating_add(many)).contains(&u64::from(user))
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_user_exists_where_the_map_says_so() {
        assert!(exists(65_534, "         0          0 4294967295\n"));
        assert!(!exists(65_534, "         0       1000          1\n"));
        assert!(exists(65_534, "0 1000 1\n1 100000 65536\n"));
        assert!(!exists(65_537, "0 1000 1\n1 100000 65536\n"));
    }
}
