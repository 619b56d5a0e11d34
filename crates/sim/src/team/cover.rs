//! The table of the storm of threads: how often each act was accepted and refused, by what the thread that it
//! was done to was doing.

use std::fmt::Write as _;

use super::act::{Act, Cell, Role, State};
use crate::act::Verdict;

/// How often each act was accepted and refused of a thread of each role in each state.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Cover(Vec<[u64; 2]>);

impl Cover {
    /// A table of which every cell is dark.
    pub(super) fn new() -> Self {
        Self(vec![[0; 2]; Role::ALL.len() * State::ALL.len() * Act::ALL.len()])
    }

    const fn place(role: Role, state: State, act: Act) -> usize {
        (role as usize * State::ALL.len() + state as usize) * Act::ALL.len() + act as usize
    }

    fn cell(&self, role: Role, state: State, act: Act) -> [u64; 2] {
        self.0.get(Self::place(role, state, act)).copied().unwrap_or_default()
    }

    /// Counts one act.
    pub(super) fn count(&mut self, role: Role, state: State, act: Act, verdict: Verdict) {
        if let Some([accepted, refused]) = self.0.get_mut(Self::place(role, state, act)) {
            match verdict {
                Verdict::Accepted => *accepted += 1,
                Verdict::Refused => *refused += 1,
            }
        }
    }

    /// Adds another table's counts.
    pub(super) fn add(&mut self, other: &Self) {
        for (cell, more) in self.0.iter_mut().zip(&other.0) {
            cell[0] += more[0];
            cell[1] += more[1];
        }
    }

    /// The cells that must be lit and are dark.
    pub(super) fn dark(&self) -> Vec<(Role, State, Act)> {
        let mut dark = Vec::new();
        for role in Role::ALL.iter().copied() {
            for state in State::ALL.iter().copied() {
                let acts = Act::ALL.iter().copied().filter(|act| act.cell(role, state) == Cell::Must);
                let unlit = acts.filter(|act| self.cell(role, state, *act) == [0, 0]);
                dark.extend(unlit.map(|act| (role, state, act)));
            }
        }
        dark
    }

    /// The table as text: for each role a row an act, a column a state; `12+` accepted, `12-` refused, `·`
    /// impossible.
    pub(super) fn table(&self) -> String {
        let mut text = String::new();
        for role in Role::ALL.iter().copied() {
            let _infallible = write!(text, "{:<18}", role.name());
            for state in State::ALL {
                let _infallible = write!(text, "{:>14}", state.name());
            }
            for act in Act::ALL.iter().copied() {
                let _infallible = write!(text, "\n{:<18}", act.name());
                for state in State::ALL.iter().copied() {
                    let cell = match (self.cell(role, state, act), act.cell(role, state)) {
                        ([0, 0], Cell::Never | Cell::May) => "·".into(),
                        ([0, 0], Cell::Must) => "DARK".into(),
                        ([accepted, 0], _) => format!("{accepted}+"),
                        ([0, refused], _) => format!("{refused}-"),
                        ([accepted, refused], _) => format!("{accepted}+{refused}-"),
                    };
                    let _infallible = write!(text, "{cell:>14}");
                }
            }
            text.push('\n');
        }
        text
    }
}

impl Default for Cover {
    fn default() -> Self {
        Self::new()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_cell_is_dark_until_it_is_counted_and_an_impossible_one_never_is() {
        let mut cover = Cover::new();
        let (child, blocked) = (Role::Child, State::Blocked);
        assert!(cover.dark().contains(&(child, blocked, Act::Archive)));
        assert!(!cover.dark().contains(&(child, blocked, Act::Text)));
        let mut other = Cover::new();
        other.count(child, blocked, Act::Archive, Verdict::Accepted);
        cover.add(&other);
        cover.add(&other);
        cover.count(child, blocked, Act::Archive, Verdict::Refused);
        assert!(!cover.dark().contains(&(child, blocked, Act::Archive)));
        assert!(cover.table().contains("2+1-"));
    }
}
