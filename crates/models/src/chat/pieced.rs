//! A text that comes in pieces: one behind the other or, as some send it, each with all before it.

use crate::blank::says_something;

/// Bytes from which on a piece that is all before it, or begins with the only one before it, is no accident.
const TELLING_BYTES: usize = 8;

/// The pieces so far.
#[derive(Debug, Default)]
pub(super) struct PiecedMembers {
    text: String,
    /// Bytes of the first piece, and where the last one begins.
    first: usize,
    last: usize,
    pieces: usize,
    /// How many pieces were more than the one before, which they began with.
    growths: usize,
    way: Way,
}

/// How the pieces come.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
enum Way {
    /// Each has begun with the one before, or there is but one: the text is all of them, for now.
    #[default]
    Unsure,
    /// One behind the other.
    Steps,
    /// Each with all before it: the text is the last.
    Wholes,
}

impl PiecedMembers {
    /// What has come in one piece.
    pub(super) fn of(text: String) -> Self {
        Self { first: text.len(), pieces: usize::from(!text.is_empty()), text, ..Self::default() }
    }

    /// Takes the next piece; gives the bytes that it adds.
    pub(super) fn push(&mut self, more: &str) -> usize {
        if more.is_empty() {
            return 0;
        }
        let before = self.text.len();
        let is_all = self.pieces > 1 && more == self.text && self.is_telling(more);
        match self.way {
            _ if is_all => {}
            Way::Wholes if more.starts_with(&self.text) => more.clone_into(&mut self.text),
            Way::Unsure if self.pieces == 0 => *self = Self::of(more.to_owned()),
            Way::Unsure => self.compare(more),
            Way::Wholes | Way::Steps => self.text.push_str(more),
        }
        self.text.len().saturating_sub(before)
    }

    fn compare(&mut self, more: &str) {
        let one = self.text.get(self.last..).unwrap_or_default();
        let grows = more.len() > one.len();
        if !more.starts_with(one) || !says_something(one) {
            self.way = Way::Steps;
        }
        self.growths += usize::from(grows);
        self.pieces += 1;
        if self.way == Way::Unsure && self.growths > 1 && self.is_telling(more) {
            self.way = Way::Wholes;
            more.clone_into(&mut self.text);
        } else {
            self.last = self.text.len();
            self.text.push_str(more);
        }
    }

    /// Whether a piece cannot well be one that only goes on: what is the first over and over can.
    fn is_telling(&self, piece: &str) -> bool {
        let first = self.text.as_bytes().get(..self.first).unwrap_or_default();
        piece.len() >= TELLING_BYTES && piece.bytes().zip(first.iter().cycle()).any(|(one, own)| one != *own)
    }

    /// The text so far.
    pub(super) fn text(&self) -> &str {
        let last = self.text.get(self.last..).unwrap_or_default();
        let grew = self.way == Way::Unsure && self.growths > 0 && self.first >= TELLING_BYTES;
        if grew && self.is_telling(last) { last } else { &self.text }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn whole(pieces: &[&str]) -> String {
        let mut pieced = PiecedMembers::default();
        for piece in pieces {
            pieced.push(piece);
        }
        pieced.text().to_owned()
    }

    #[test]
    fn pieces_that_each_hold_all_before_them_are_not_doubled() {
        for (pieces, text) in [
            (&["Let", "Let me", "Let me see"][..], "Let me see"),
            (&["Let", "Let me", "", "Let me see", "Let me see", "Let me see now"], "Let me see now"),
            (&["Let me see", "Let me see now"], "Let me see now"),
            (&["Let", " me", " see", "Let me see"], "Let me see"),
            (&["Let", "Let me", "Let me see", ". Now"], "Let me see. Now"),
        ] {
            assert_eq!(whole(pieces), text, "{pieces:?}");
        }
    }

    #[test]
    fn pieces_that_repeat_as_words_do_are_all_kept() {
        for pieces in [
            &["ha", "ha"][..],
            &["ha", "ha", "ha", "haha"],
            &["1", "11"],
            &["1", "11", "111", "1111", "11111111", "111111111"],
            &["=", "==", "====", "========", "========"],
            &["\n", "\n\n", "\n\nHello there"],
            &["I", "I am", " here"],
            &["The cat", " The cat sat"],
            &["a", "b", "ab"],
            &["a", "ab", "abc"],
            &["no", "not", "nothing"],
        ] {
            assert_eq!(whole(pieces), pieces.concat(), "{pieces:?}");
        }
    }

    #[test]
    fn what_comes_whole_again_each_time_takes_no_more_than_itself() {
        let all = "one two three four ".repeat(500);
        let mut pieced = PiecedMembers::default();
        let bytes: usize = (1..=all.len()).step_by(19).map(|end| pieced.push(&all[..end])).sum();
        assert!(bytes <= 2 * all.len() && pieced.text().len() > all.len() - 19, "{bytes}");
    }
}
