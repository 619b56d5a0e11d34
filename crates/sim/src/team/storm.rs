//! A storm of threads: what its lives are, for the storm that lives them.

use std::io::{self, Write};

use super::act::{Act, Role, State};
use super::cover::Cover;
use super::life::live;
use super::line::Line;
use crate::life::{Broken, Lived};
use crate::storm::{self, Kind, Storm, Table};

/// What to live through.
#[derive(Debug, Clone, Copy)]
pub struct TeamStorm {
    /// The first life's seed; each life's is one more.
    pub seed: u64,
    /// How many lives.
    pub lives: u64,
}

/// A session with a coordinator and its children.
#[derive(Debug, Clone, Copy)]
struct Team;

impl Kind for Team {
    type Line = Line;
    type Table = Cover;

    fn live(self, seed: u64, table: &mut Cover) -> Result<Lived<Line>, Box<Broken<Line>>> {
        live(seed, table)
    }

    fn telling(self) -> u64 {
        5_000
    }
}

impl Table for Cover {
    fn add(&mut self, other: &Self) {
        self.add(other);
    }

    fn text(&self) -> String {
        self.table()
    }

    fn unlit(&self) -> Vec<String> {
        let words = |(role, state, act): &(Role, State, Act)| {
            format!("{} of a {} that is {}", act.name(), role.name(), state.name())
        };
        self.dark().iter().map(words).collect()
    }
}

/// Lives them all, says what happened to `out`, the sum last. True when every law was kept.
///
/// # Errors
/// `out` cannot be written.
pub fn run(storm: TeamStorm, out: &mut dyn Write) -> io::Result<bool> {
    let TeamStorm { seed, lives } = storm;
    storm::run(Storm { size: Team, seed, lives }, out)
}

/// Lives one life and prints its whole log. True when every law was kept.
///
/// # Errors
/// `out` cannot be written.
pub fn tell(seed: u64, out: &mut dyn Write) -> io::Result<bool> {
    storm::tell(seed, Team, out)
}
