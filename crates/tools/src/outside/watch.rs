//! The watch, one for all jails: whoever takes the last of the server's disk or memory is ended, and nobody
//! else.
//!
//! It looks on a clock, since the kernel tells nobody that a disk fills, and of memory only that it is short
//! already; seldom while no jail lives. The disk: processes of the session whose files took the room are
//! ended and what grew is taken back. Memory: the jail that holds most is ended before the kernel must
//! choose.

use std::sync::Arc;
use std::time::Duration;

use futures_util::future::join_all;
use sandbox::{DiskRoom, MachineMemory};
use tokio::time::{Instant, sleep, timeout};

use super::{
    blame::{BlameLedger, DiskAmount, DiskLack, DiskVerdict, JailSaid},
    ending::JailEnding,
    line::JailLink,
    lock::lock,
    shop::{JailSlot, Jails},
};
use crate::wire::{JailWeight, WantedSpace};

/// Between two looks, and where there is little left.
const PAUSE: Duration = Duration::from_millis(250);
const SHORT: Duration = Duration::from_millis(50);
/// The same while no jail lives.
const SELDOM: Duration = Duration::from_secs(10);
/// There is little left when it is less than so many times what there must be.
const LITTLE: u64 = 4;
/// How long a jail has to say what memory it holds, and what its files have grown by, which it looks for.
const WEIGHING: Duration = Duration::from_secs(1);
const GROWING: Duration = Duration::from_secs(3);
/// Where few files can be made, and none in this time, somebody is looked for already: no later than the
/// looking takes.
const SOON: Duration = Duration::from_secs(2);
/// How long it has to end its processes and take back what grew.
const CUTTING: Duration = Duration::from_secs(10);
/// How long a jail that was ended may take to go before the next look.
const GOING: Duration = Duration::from_secs(3);
/// So much more than what is to stay free there must be before the disk counts as having room again: one part
/// in so many.
const AGAIN: u64 = 16;
/// Who holds less memory than this holds little.
const HELD_BYTES: u64 = 64 * 1024 * 1024;

/// What there is.
#[derive(Debug, Clone, Copy)]
struct Sight {
    room: Option<DiskRoom>,
    memory: Option<MachineMemory>,
}

impl Jails {
    /// See `LocalToolRunner::watch`.
    pub(super) async fn watch(self: &Arc<Self>) {
        let (mut pause, mut low) = (Duration::ZERO, false);
        let mut ledger = BlameLedger::default();
        loop {
            tokio::select! {
                // Whoever stops the hands ends this, too.
                () = self.stop.cancelled() => std::future::pending().await,
                () = self.came.notified() => {}
                () = sleep(pause) => {}
            }
            let Ok(sight) = self.tasks.spawn_blocking(self.looking()).await else { continue };
            if let Some(room) = sight.room {
                ledger.see(Instant::now(), room);
                self.tell_of(room, &mut low);
            }
            if self.lines().is_empty() {
                pause = SELDOM;
                continue;
            }
            pause = if self.is_little(sight) { SHORT } else { PAUSE };
            if let Some(lack) = sight.room.and_then(|room| self.lack(room, &ledger)) {
                self.cut_back(lack, &mut ledger).await;
            } else if sight.memory.is_some_and(|memory| memory.available_bytes < self.memory_least(memory)) {
                self.end_the_heaviest().await;
            }
        }
    }

    fn looking(self: &Arc<Self>) -> impl FnOnce() -> Sight + use<> {
        let shop = Arc::clone(self);
        move || Sight { room: shop.folders.room().ok(), memory: sandbox::memory() }
    }

    /// Says once when the disk comes to have less than is to stay free, and once when it has more again.
    fn tell_of(&self, room: DiskRoom, low: &mut bool) {
        let least = self.settings.limits.free_bytes;
        let least_mib = least >> 20;
        if let Some(now) = self.low(room).filter(|_| !*low) {
            *low = true;
            let free_mib = now.free_mib;
            tracing::warn!(
                free_mib,
                least_mib,
                "the disk has less free than `[sandbox] disk_free_mib`: commands can make no file longer until there is more"
            );
        } else if *low && self.low(room).is_none() && room.bytes >= least.saturating_add(least / AGAIN) {
            *low = false;
            let free_mib = room.bytes >> 20;
            tracing::info!(
                free_mib,
                least_mib,
                "the disk has as much free as `[sandbox] disk_free_mib` again: commands can make files longer"
            );
        }
    }

    /// What is so little that somebody may have to be stopped.
    fn lack(&self, room: DiskRoom, ledger: &BlameLedger) -> Option<DiskLack> {
        if room.bytes < self.settings.limits.free_bytes / 2 {
            return Some(DiskLack::Bytes);
        }
        let soon = || ledger.entries_last(Instant::now(), room).is_some_and(|last| last < SOON);
        let lack = room.entries < room.entries_least() / 2 || (has_few_entries(room) && soon());
        lack.then_some(DiskLack::Entries)
    }

    fn memory_least(&self, memory: MachineMemory) -> u64 {
        self.settings.limits.memory_least(memory.total_bytes)
    }

    fn is_little(&self, sight: Sight) -> bool {
        let disk = sight.room.is_some_and(|room| {
            room.bytes / LITTLE < self.settings.limits.free_bytes || has_few_entries(room)
        });
        let memory = sight.memory.is_some_and(|now| now.available_bytes / LITTLE < self.memory_least(now));
        disk || memory
    }

    fn lines(&self) -> Vec<Arc<JailLink>> {
        let posts = lock(&self.posts);
        let lines = posts.values().filter_map(|post| match post {
            JailSlot::Jail(line) => Some(Arc::clone(line)),
            JailSlot::Removing(_) => None,
        });
        lines.filter(|line| !line.closed.is_cancelled()).collect()
    }

    /// What every jail says it holds; nothing from those that do not answer in time.
    async fn weigh(&self, within: Duration) -> Vec<(Arc<JailLink>, Option<JailWeight>)> {
        let lines = self.lines();
        let weights = join_all(lines.iter().map(|line| line.weigh(within))).await;
        lines.into_iter().zip(weights).collect()
    }

    async fn cut_back(self: &Arc<Self>, lack: DiskLack, ledger: &mut BlameLedger) {
        let weights = self.weigh(GROWING).await;
        // Looked at once more, so that nobody grew after it by what is not missing yet.
        let Ok(Sight { room: Some(room), .. }) = self.tasks.spawn_blocking(self.looking()).await else {
            return;
        };
        let all = weights.iter().map(|(line, weight)| (line.session, weight.map(said))).collect();
        let verdict = ledger.judge(Instant::now(), room, lack, &all);
        let (session, most) = match verdict {
            DiskVerdict::Grew(session, most) => (session, most),
            DiskVerdict::Hides(session) => (session, DiskAmount::default()),
            DiskVerdict::Nobody => return,
        };
        let Some((line, _)) = weights.into_iter().find(|(line, _)| line.session == session) else { return };
        let wanted = WantedSpace {
            bytes: self.settings.limits.free_bytes,
            entries: room.entries_least(),
            bytes_most: most.bytes,
            entries_most: most.entries,
        };
        match timeout(CUTTING, line.cut_back(wanted)).await {
            Ok(Some(cut)) => {
                let mib = cut.bytes >> 20;
                tracing::warn!(%session, files = cut.files, mib, "the disk is nearly full: the session that took the room was cut back");
            }
            // It went away meanwhile, and its processes with it.
            Ok(None) => {}
            Err(_late) => {
                tracing::warn!(%session, "the disk is nearly full: the sandbox that took the room did not answer and is ended");
                line.close(JailEnding::Stuck);
                gone(&line).await;
            }
        }
    }

    async fn end_the_heaviest(&self) {
        let weights = self.weigh(WEIGHING).await;
        let gauges: Vec<_> = weights
            .iter()
            .map(|(line, weight)| (line.gauge(), weight.map_or(0, |weight| weight.memory_bytes)))
            .collect();
        let weighed = self.tasks.spawn_blocking(move || {
            let weigh = |(gauge, said): (Option<sandbox::JailGauge>, u64)| {
                // A jail that has no time to answer, or hides something, is seen from outside.
                said.max(gauge.map_or(0, |gauge| gauge.memory_bytes()))
            };
            gauges.into_iter().map(weigh).collect::<Vec<_>>()
        });
        let Ok(weighed) = weighed.await else { return };
        let heaviest = weights.iter().zip(weighed).max_by_key(|(_, bytes)| *bytes);
        // Ending one that holds little would help nobody.
        let heaviest = heaviest.filter(|(_, bytes)| *bytes >= HELD_BYTES);
        let Some(((line, _), bytes)) = heaviest else { return };
        let (session, mib) = (line.session, bytes >> 20);
        tracing::warn!(%session, mib, "memory runs short: the sandbox that holds most of it is ended");
        line.close(JailEnding::Memory { mib });
        gone(line).await;
    }
}

fn has_few_entries(room: DiskRoom) -> bool {
    room.entries / LITTLE < room.entries_least()
}

async fn gone(line: &JailLink) {
    // Whether in time or not, the next look sees what there is.
    let _in_time = timeout(GOING, line.gone.cancelled()).await;
}

fn said(weight: JailWeight) -> JailSaid {
    JailSaid {
        grown: DiskAmount { bytes: weight.grown_bytes, entries: weight.grown_entries },
        since: Duration::from_millis(weight.grown_for_ms),
        more: weight.grown_more,
        unseen: weight.unseen,
    }
}
