//! What steps that run at once print: the lines of each in one piece, and those of one of them as they come.

use std::collections::BTreeMap;
use std::sync::{Mutex, PoisonError};

/// Takes lines for the reader.
pub(crate) type Tell<'a> = dyn Fn(&str) + Sync + 'a;

/// Passes on one step's lines at once and holds those of the others back until it has ended.
pub(crate) struct Output<'a> {
    tell: &'a Tell<'a>,
    held: Mutex<Held>,
}

#[derive(Debug, Default)]
struct Held {
    /// The step whose lines are passed on.
    speaks: Option<usize>,
    /// What the others have said, and whether they have ended.
    others: BTreeMap<usize, (Vec<String>, bool)>,
}

impl<'a> Output<'a> {
    pub(crate) fn new(tell: &'a Tell<'a>) -> Self {
        Self { tell, held: Mutex::default() }
    }

    /// A line of a step.
    pub(crate) fn line(&self, step: usize, line: &str) {
        let mut held = self.held.lock().unwrap_or_else(PoisonError::into_inner);
        if *held.speaks.get_or_insert(step) == step {
            (self.tell)(line);
        } else {
            held.others.entry(step).or_default().0.push(line.to_owned());
        }
    }

    /// A step has said everything.
    pub(crate) fn end(&self, step: usize) {
        let mut held = self.held.lock().unwrap_or_else(PoisonError::into_inner);
        if held.speaks.is_some_and(|speaks| speaks != step) {
            held.others.entry(step).or_default().1 = true;
            return;
        }
        let ended = held.others.extract_if(.., |_, (_, ended)| *ended);
        let mut lines: Vec<String> = ended.flat_map(|(_, (lines, _))| lines).collect();
        let next = held.others.pop_first();
        held.speaks = next.as_ref().map(|(step, _)| *step);
        lines.extend(next.into_iter().flat_map(|(_, (lines, _))| lines));
        for line in &lines {
            (self.tell)(line);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn one_step_is_heard_at_once_and_the_others_in_one_piece_when_it_has_ended() {
        let told = Mutex::new(Vec::new());
        let tell = |line: &str| told.lock().unwrap().push(line.to_owned());
        let output = Output::new(&tell);
        let so_far = |expected: &[&str]| assert_eq!(*told.lock().unwrap(), expected);
        output.line(0, "a1");
        output.line(1, "b1");
        output.line(2, "c1");
        so_far(&["a1"]);
        output.line(2, "c2");
        output.end(2);
        output.line(0, "a2");
        so_far(&["a1", "a2"]);
        output.end(0);
        so_far(&["a1", "a2", "c1", "c2", "b1"]);
        output.line(3, "d1");
        output.line(1, "b2");
        so_far(&["a1", "a2", "c1", "c2", "b1", "b2"]);
        output.end(1);
        output.end(3);
        so_far(&["a1", "a2", "c1", "c2", "b1", "b2", "d1"]);
    }
}
