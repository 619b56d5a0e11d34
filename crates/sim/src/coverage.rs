//! The table of states and acts: how often each act was accepted and refused, by what the thread that it was
//! done to was doing.

use std::fmt::Write as _;

use crate::act::{Act, InputVerdict, TableCell};
use crate::size::LifeSize;
use crate::state::{Role, State};

/// How often each act was accepted and refused of a thread of each role in each state.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ActCoverage {
    size: LifeSize,
    cells: Vec<[u64; 2]>,
}

impl ActCoverage {
    /// A table of lives of this size, of which every cell is dark.
    pub fn new(size: LifeSize) -> Self {
        Self { size, cells: vec![[0; 2]; Role::ALL.len() * State::ALL.len() * Act::ALL.len()] }
    }

    const fn place(role: Role, state: State, act: Act) -> usize {
        (role as usize * State::ALL.len() + state as usize) * Act::ALL.len() + act as usize
    }

    fn cell(&self, role: Role, state: State, act: Act) -> [u64; 2] {
        self.cells.get(Self::place(role, state, act)).copied().unwrap_or_default()
    }

    /// Counts one act.
    pub fn count(&mut self, role: Role, state: State, act: Act, verdict: InputVerdict) {
        if let Some([accepted, refused]) = self.cells.get_mut(Self::place(role, state, act)) {
            match verdict {
                InputVerdict::Accepted => *accepted += 1,
                InputVerdict::Refused => *refused += 1,
            }
        }
    }

    /// Adds another table's counts.
    pub fn add(&mut self, other: &Self) {
        for (cell, more) in self.cells.iter_mut().zip(&other.cells) {
            cell[0] += more[0];
            cell[1] += more[1];
        }
    }

    /// The cells that must be lit and are dark.
    pub fn dark(&self) -> Vec<(Role, State, Act)> {
        let mut dark = Vec::new();
        for role in Role::ALL.iter().copied() {
            for state in State::ALL.iter().copied() {
                let must = |act: &Act| act.cell(self.size, role, state) == TableCell::Must;
                let unlit = Act::ALL
                    .iter()
                    .copied()
                    .filter(must)
                    .filter(|act| self.cell(role, state, *act) == [0, 0]);
                dark.extend(unlit.map(|act| (role, state, act)));
            }
        }
        dark
    }

    /// The table as text: for each role a row an act, a column a state; `12+` accepted, `12-` refused, `·`
    /// impossible. Roles, states and acts that such lives do not know are left out.
    pub fn table(&self) -> String {
        let mut text = String::new();
        for role in Role::ALL.iter().copied() {
            let known = |state: State, act: Act| act.cell(self.size, role, state) != TableCell::Never;
            let states: Vec<State> = State::ALL
                .iter()
                .copied()
                .filter(|state| Act::ALL.iter().any(|act| known(*state, *act)))
                .collect();
            if states.is_empty() {
                continue;
            }
            let _infallible = write!(text, "{:<20}", role.name());
            for state in &states {
                let _infallible = write!(text, "{:>17}", state.name());
            }
            for act in Act::ALL.iter().copied().filter(|act| states.iter().any(|state| known(*state, *act))) {
                let _infallible = write!(text, "\n{:<20}", act.name());
                for state in states.iter().copied() {
                    let _infallible = write!(text, "{:>17}", self.shown(role, state, act));
                }
            }
            text.push('\n');
        }
        text
    }

    fn shown(&self, role: Role, state: State, act: Act) -> String {
        match (self.cell(role, state, act), act.cell(self.size, role, state)) {
            ([0, 0], TableCell::Never | TableCell::May) => "·".into(),
            ([0, 0], TableCell::Must) => "DARK".into(),
            ([accepted, 0], _) => format!("{accepted}+"),
            ([0, refused], _) => format!("{refused}-"),
            ([accepted, refused], _) => format!("{accepted}+ {refused}-"),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_cell_is_dark_until_it_is_counted_and_an_impossible_one_never_is() {
        for (size, role, act) in
            [(LifeSize::Small, Role::Primary, Act::Interrupt), (LifeSize::Team, Role::Child, Act::Archive)]
        {
            let cell = |act| (role, State::Calling, act);
            let mut coverage = ActCoverage::new(size);
            assert!(coverage.dark().contains(&cell(act)));
            assert!(!coverage.dark().contains(&cell(Act::Text)));
            let mut other = ActCoverage::new(size);
            other.count(role, State::Calling, act, InputVerdict::Accepted);
            coverage.add(&other);
            coverage.add(&other);
            coverage.count(role, State::Calling, act, InputVerdict::Refused);
            assert!(!coverage.dark().contains(&cell(act)));
            assert!(coverage.table().contains("2+ 1-"));
        }
    }

    #[test]
    fn what_such_a_life_does_not_know_is_in_no_table() {
        let table = ActCoverage::new(LifeSize::Wide).table();
        assert!(!table.contains("child") && !table.contains("send_to_agent") && !table.contains("waits"));
        assert!(ActCoverage::new(LifeSize::Team).table().contains("\nsend_to_parent "));
    }
}
