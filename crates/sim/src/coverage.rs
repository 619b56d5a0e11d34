//! The table of states and inputs: how often each input was accepted and refused in each state.

use std::fmt::Write as _;

use crate::act::{Act, Law, State, Verdict};

/// How often each act was accepted and refused in each state.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Coverage(Vec<[u64; 2]>);

impl Coverage {
    /// A table of which every cell is dark.
    pub fn new() -> Self {
        Self(vec![[0; 2]; State::ALL.len() * Act::ALL.len()])
    }

    fn place(state: State, act: Act) -> usize {
        state as usize * Act::ALL.len() + act as usize
    }

    fn cell(&self, state: State, act: Act) -> [u64; 2] {
        self.0.get(Self::place(state, act)).copied().unwrap_or_default()
    }

    /// Counts one act.
    pub fn count(&mut self, state: State, act: Act, verdict: Verdict) {
        if let Some([accepted, refused]) = self.0.get_mut(Self::place(state, act)) {
            match verdict {
                Verdict::Accepted => *accepted += 1,
                Verdict::Refused => *refused += 1,
            }
        }
    }

    /// Adds another table's counts.
    pub fn add(&mut self, other: &Self) {
        for (cell, more) in self.0.iter_mut().zip(&other.0) {
            cell[0] += more[0];
            cell[1] += more[1];
        }
    }

    /// The cells that should have been lit and are dark.
    pub fn dark(&self) -> Vec<(State, Act)> {
        let cells = State::ALL.iter().flat_map(|state| Act::ALL.iter().map(|act| (*state, *act)));
        let possible = cells.filter(|(state, act)| act.law(*state) != Law::Impossible);
        possible.filter(|(state, act)| self.cell(*state, *act) == [0, 0]).collect()
    }

    /// The table as text: a row an act, a column a state; `12+` accepted, `12-` refused, `·` impossible.
    pub fn table(&self) -> String {
        let mut text = format!("{:<20}", "");
        for state in State::ALL {
            let _infallible = write!(text, "{:>17}", state.name());
        }
        for act in Act::ALL {
            let _infallible = write!(text, "\n{:<20}", act.name());
            for state in State::ALL {
                let cell = match (self.cell(*state, *act), act.law(*state)) {
                    ([0, 0], Law::Impossible) => "·".into(),
                    ([0, 0], _) => "DARK".into(),
                    ([accepted, 0], _) => format!("{accepted}+"),
                    ([0, refused], _) => format!("{refused}-"),
                    ([accepted, refused], _) => format!("{accepted}+ {refused}-"),
                };
                let _infallible = write!(text, "{cell:>17}");
            }
        }
        text
    }
}

impl Default for Coverage {
    fn default() -> Self {
        Self::new()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_cell_is_dark_until_it_is_counted_and_an_impossible_one_never_is() {
        let mut coverage = Coverage::new();
        assert!(coverage.dark().contains(&(State::Idle, Act::Message)));
        assert!(!coverage.dark().contains(&(State::Idle, Act::Text)));
        let mut other = Coverage::new();
        other.count(State::Idle, Act::Message, Verdict::Accepted);
        coverage.add(&other);
        coverage.add(&other);
        coverage.count(State::Idle, Act::Message, Verdict::Refused);
        assert!(!coverage.dark().contains(&(State::Idle, Act::Message)));
        assert!(coverage.table().contains("2+ 1-"));
    }
}
