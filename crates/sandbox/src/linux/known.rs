//! Users of this host that somebody is already, and where there is room for others.

use std::fs;

use crate::user_source::WantedUsers;

/// Whose a user of a range is, and where a range of that size is nobody's.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct KnownUsers {
    /// As "user 1000 (ana, /etc/passwd)".
    pub whose: String,
    pub free: u32,
}

/// The first of what this host's files say of a range that a server that is root is to have; `None` when it
/// is nobody's. Groups count like users.
pub fn taken_by_others(first: u32, count: u32) -> Option<KnownUsers> {
    let read = |path| fs::read_to_string(path).unwrap_or_default();
    let mut held = Vec::new();
    for file in ["/etc/passwd", "/etc/group"] {
        held.extend(singles(&read(file), file));
    }
    for file in ["/etc/subuid", "/etc/subgid"] {
        held.extend(ranges(&read(file), file));
    }
    judge(&held, first, count)
}

/// Users that belong to somebody.
#[derive(Debug, Clone, PartialEq, Eq)]
struct Held {
    first: u64,
    end: u64,
    whose: String,
}

/// Lines "name:x:number…".
fn singles(text: &str, file: &str) -> Vec<Held> {
    let what = if file.ends_with("group") { "group" } else { "user" };
    let one = |line: &str| {
        let mut fields = line.split(':');
        let name = fields.next()?;
        let number: u32 = fields.nth(1)?.parse().ok()?;
        let (first, whose) = (u64::from(number), format!("{what} {number} ({name}, {file})"));
        Some(Held { first, end: first + 1, whose })
    };
    text.lines().filter_map(one).collect()
}

/// Lines "name:first:how-many". What root has is whoever's root gives it to.
fn ranges(text: &str, file: &str) -> Vec<Held> {
    let one = |line: &str| {
        let mut fields = line.trim().split(':');
        let name = fields.next()?;
        let (first, many): (u32, u32) = (fields.next()?.parse().ok()?, fields.next()?.parse().ok()?);
        let (first, many) = (u64::from(first), u64::from(many));
        let whose = format!("sub-users {first} to {} of {name} ({file})", first + many.max(1) - 1);
        (name != "root" && name != "0" && many > 0).then_some(Held { first, end: first + many, whose })
    };
    text.lines().filter_map(one).collect()
}

fn judge(held: &[Held], first: u32, count: u32) -> Option<KnownUsers> {
    let clash = |first: u64| {
        let end = first + u64::from(count);
        held.iter().find(move |held| held.first < end && first < held.end)
    };
    let whose = clash(first.into())?.whose.clone();
    let WantedUsers::Range { first: mut free, .. } = WantedUsers::DEFAULT else { return None };
    while let Some(other) = clash(free.into()) {
        // Beyond the last user there is none: whoever said so many may choose.
        free = u32::try_from(other.end).ok().filter(|end| end.checked_add(count).is_some())?;
    }
    Some(KnownUsers { whose, free })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn whose_a_range_is_and_where_another_would_be_nobodys() {
        let passwd = singles("root:x:0:0::/:\nana:x:1001:1001::/:\nbad\nx:x:y\n", "/etc/passwd");
        let sub = ranges("ben:100000:65536\nroot:300000:9\nana:2000000000:65536\n", "/etc/subuid");
        let held = [passwd, sub].concat();
        let judge = |first, count| judge(&held, first, count).map(|known| (known.whose, known.free));
        assert_eq!(judge(1_900_000_000, 4_096), None);
        assert_eq!(judge(300_000, 4_096), None);
        assert_eq!(judge(1_000, 2), Some(("user 1001 (ana, /etc/passwd)".into(), 2_000_065_536)));
        let sub = Some(("sub-users 100000 to 165535 of ben (/etc/subuid)".to_owned(), 2_000_065_536));
        assert_eq!([judge(90_000, 10_001), judge(165_535, 1)], [sub.clone(), sub]);
        assert_eq!([judge(90_000, 10_000), judge(165_536, 1)], [None, None]);
    }
}
