//! Answers the server's watch: what the jail holds, and cutting it back when the server's disk is nearly
//! full.

use std::sync::Arc;
use std::sync::mpsc::Receiver;
use std::time::Duration;

use sandbox::{Isolation, Layout};

use super::{ambient, calls::Calls, disk::Held, growth, host, seats::Seats, sweep::Sweep};
use crate::wire::{Cut, FromJail, Wanted, Weight};

/// How long weighing may take; then what was seen by then is said.
const WEIGHING: Duration = Duration::from_millis(700);

/// A question of the watch.
#[derive(Debug)]
pub(super) enum Question {
    Weigh { ask: u64 },
    CutBack { ask: u64, room: Wanted },
}

/// What weighs.
#[derive(Debug)]
pub(super) struct Scales {
    pub(super) layout: Layout,
    pub(super) isolation: Isolation,
    pub(super) sweep: Arc<Sweep>,
    pub(super) seats: Arc<Seats>,
    pub(super) calls: Arc<Calls>,
}

impl Scales {
    /// Answers, until nobody asks any more.
    pub(super) fn run(&self, questions: &Receiver<Question>) {
        while let Ok(question) = questions.recv() {
            self.calls.say(&match question {
                Question::Weigh { ask } => FromJail::Weighs { ask, weight: self.weigh() },
                Question::CutBack { ask, room } => FromJail::CutBack { ask, cut: self.cut(room) },
            });
        }
    }

    fn weigh(&self) -> Weight {
        let memory_bytes = host::memory_bytes(&self.layout, self.isolation);
        let unseen = host::unseen();
        let Held { bytes: grown_bytes, entries: grown_entries } = self.sweep.grown(ambient::now() + WEIGHING);
        Weight { grown_bytes, grown_entries, memory_bytes, unseen }
    }

    fn cut(&self, wanted: Wanted) -> Cut {
        let room = || growth::room(&self.layout.workspace);
        let left = room().map_or(0, |room| room.bytes >> 20);
        let why = format!(
            "[the server's disk is nearly full: it had {left} MiB left, and this session's files grew most, so that every \
             process of it was ended; "
        );
        let mut cut = Cut::default();
        self.seats.kill(&why, || {
            // What the processes alone had held is free again by now.
            let short = room().map_or(Held::default(), |room| Held {
                bytes: wanted.bytes.saturating_sub(room.bytes),
                entries: wanted.entries.saturating_sub(room.entries),
            });
            let taken = self.sweep.cut(short);
            cut = taken.cut;
            format!("{}. Go on with less; delete what is not needed]", taken.told())
        });
        cut
    }
}
