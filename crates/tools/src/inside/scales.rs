//! Answers the server's watch: what the jail holds, and cutting it back when the server's disk is nearly
//! full.

use std::sync::Arc;
use std::sync::mpsc::Receiver;
use std::time::Duration;

use sandbox::{Isolation, JailLayout};

use super::{
    ambient, calls::UnansweredCalls, held::FoldersHeld, host, seats::ThreadShells, sweep::DiskSweep,
};
use crate::wire::{DiskCut, FromJail, JailWeight, WantedSpace};

/// A question of the watch.
#[derive(Debug)]
pub(super) enum WatchQuestion {
    Weigh { ask: u64, within_ms: u64 },
    CutBack { ask: u64, room: WantedSpace },
}

/// What weighs.
#[derive(Debug)]
pub(super) struct JailScales {
    pub(super) layout: JailLayout,
    pub(super) isolation: Isolation,
    pub(super) sweep: Arc<DiskSweep>,
    pub(super) seats: Arc<ThreadShells>,
    pub(super) calls: Arc<UnansweredCalls>,
}

impl JailScales {
    /// Answers, until nobody asks any more.
    pub(super) fn run(&self, questions: &Receiver<WatchQuestion>) {
        while let Ok(question) = questions.recv() {
            self.calls.say(&match question {
                WatchQuestion::Weigh { ask, within_ms } => {
                    FromJail::Weighs { ask, weight: self.weigh(Duration::from_millis(within_ms)) }
                }
                WatchQuestion::CutBack { ask, room } => FromJail::CutBack { ask, cut: self.cut(room) },
            });
        }
    }

    fn weigh(&self, within: Duration) -> JailWeight {
        let memory_bytes = host::memory_bytes(&self.layout, self.isolation);
        let unseen = host::unseen();
        // The rest of the time is for the way of the answer.
        let until = ambient::now() + within.mul_f32(0.7);
        let (grown, grown_for_ms) = self.sweep.grown(until);
        let FoldersHeld { bytes: grown_bytes, entries: grown_entries } = grown;
        let grown_more = ambient::now() > until;
        JailWeight { grown_bytes, grown_entries, grown_for_ms, grown_more, memory_bytes, unseen }
    }

    fn cut(&self, wanted: WantedSpace) -> DiskCut {
        let room = || sandbox::room(&self.layout.workspace).ok();
        let left = room().map_or(0, |room| room.bytes >> 20);
        let why = format!(
            "[the server's disk is nearly full: it had {left} MiB left, and this session's files grew most, so that every \
             process of it was ended; "
        );
        let mut cut = DiskCut::default();
        self.seats.kill(&why, || {
            // What the processes alone had held is free again by now.
            let short = room().map_or(FoldersHeld::default(), |room| FoldersHeld {
                bytes: wanted.bytes.saturating_sub(room.bytes).min(wanted.bytes_most),
                entries: wanted.entries.saturating_sub(room.entries).min(wanted.entries_most),
            });
            let taken = self.sweep.cut(short);
            cut = taken.cut;
            format!("{}. Go on with less; delete what is not needed]", taken.told())
        });
        cut
    }
}
