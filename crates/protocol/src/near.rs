//! Names that somebody has misspelt: which of the known ones is meant.

use alloc::{vec, vec::Vec};
use core::mem;

/// Characters of the longest name that is looked at: to compare two takes the product of their lengths.
const CHARS_MAX: usize = 64;

/// Of the known names the one that is fewest edits away, if it is near at all: fewer than half of it, and a
/// third and one more of the name.
pub fn nearest<'a>(name: &str, known: impl IntoIterator<Item = &'a str>) -> Option<&'a str> {
    let chars = name.chars().count();
    if chars > CHARS_MAX {
        return None;
    }
    let far = known.into_iter().map(|known| (edits(name, known), known));
    let near = far.filter(|(edits, known)| *edits <= 1 + chars / 3 && 2 * edits < chars.max(known.len()));
    near.min().map(|(_, known)| known)
}

/// Whether one name is the other with more words in front of it or behind it: `agent_id` and `agent`.
pub fn is_longer(one: &str, other: &str) -> bool {
    let (long, short) = if one.len() > other.len() { (one, other) } else { (other, one) };
    let behind = long.strip_prefix(short).is_some_and(|more| more.starts_with('_'));
    behind || long.strip_suffix(short).is_some_and(|more| more.ends_with('_'))
}

/// How many letters are put in, left out, changed, or swapped with the next, to make one name of the other.
pub fn edits(one: &str, other: &str) -> usize {
    let (one, other): (Vec<char>, Vec<char>) = (one.chars().collect(), other.chars().collect());
    // For so many letters of `one`, how far each beginning of `other` is; and the same for one letter less.
    let mut row: Vec<usize> = (0..=other.len()).collect();
    let mut before = Vec::new();
    for (at, letter) in one.iter().enumerate() {
        let mut next = vec![at + 1];
        for (place, wanted) in other.iter().enumerate() {
            let changed = row[place] + usize::from(letter != wanted);
            let mut least = changed.min(row[place + 1] + 1).min(next[place] + 1);
            if at > 0 && place > 0 && one[at - 1] == *wanted && *letter == other[place - 1] {
                least = least.min(before[place - 1] + 1);
            }
            next.push(least);
        }
        before = mem::replace(&mut row, next);
    }
    row[other.len()]
}

#[cfg(test)]
mod tests {
    use super::*;
    use alloc::string::String;

    #[test]
    fn each_kind_of_edit_counts_as_one() {
        for (one, other, wanted) in [
            ("", "", 0),
            ("", "ab", 2),
            ("model", "model", 0),
            ("modle", "model", 1),
            ("mode", "model", 1),
            ("sytem", "system", 1),
            ("sistem", "system", 1),
            ("ca", "abc", 3),
            ("kitten", "sitting", 3),
            ("über", "uber", 1),
        ] {
            assert_eq!((edits(one, other), edits(other, one)), (wanted, wanted), "{one} {other}");
        }
    }

    #[test]
    fn the_nearest_name_is_found_and_none_that_is_another_word() {
        let known = ["type", "name", "model", "system", "permission_policy", "environment_id", "id"];
        for (name, wanted) in [
            ("modle", Some("model")),
            ("permision_policy", Some("permission_policy")),
            ("permissionPolicy", Some("permission_policy")),
            ("environmentId", Some("environment_id")),
            ("names", Some("name")),
            ("ids", Some("id")),
            ("text", None),
            ("kind", None),
            ("x", None),
            ("", None),
            ("temperature", None),
        ] {
            assert_eq!(nearest(name, known), wanted, "{name}");
        }
        assert_eq!(nearest(&"é".repeat(CHARS_MAX + 1), [&*"é".repeat(CHARS_MAX)]), None::<&str>);
        assert_eq!(nearest(&"é".repeat(CHARS_MAX), [&*"e".repeat(CHARS_MAX)]), None::<&str>);
        let long: String = "é".repeat(CHARS_MAX);
        assert_eq!(nearest(&long[2..], [&*long]), Some(&*long));
    }

    #[test]
    fn a_name_with_more_words_is_a_longer_one() {
        for (one, other) in [
            ("agent", "agent_id"),
            ("system_prompt", "system"),
            ("file_path", "path"),
            ("display_name", "name"),
        ] {
            assert!(is_longer(one, other) && is_longer(other, one), "{one} {other}");
        }
        for (one, other) in [("agent", "agents"), ("agent", "agent"), ("a", ""), ("metadata", "data")] {
            assert!(!is_longer(one, other) && !is_longer(other, one), "{one} {other}");
        }
    }
}
