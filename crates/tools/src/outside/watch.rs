//! The watch, one for all jails and while one lives: whoever takes the last of the server's disk or memory is
//! ended, and nobody else.
//!
//! It looks on a clock, since the kernel tells nobody that a disk fills, and of memory only that it is short
//! already. The disk: processes of the session that grew most are ended and what grew is taken back. Memory:
//! the jail that holds most is ended before the kernel must choose.

use std::sync::Arc;
use std::time::Duration;

use futures_util::future::join_all;
use sandbox::{Memory, Room};
use tokio::time::{sleep, timeout};

use super::{
    Post, Shop,
    ending::Ending,
    line::{Line, lock},
};
use crate::wire::{Low, Wanted, Weight};

/// Between two looks, and where there is little left.
const PAUSE: Duration = Duration::from_millis(250);
const SHORT: Duration = Duration::from_millis(50);
/// There is little left when it is less than so many times what there must be.
const LITTLE: u64 = 4;
/// How long a jail has to say what it holds.
const WEIGHING: Duration = Duration::from_secs(1);
/// How long it has to end its processes and take back what grew.
const CUTTING: Duration = Duration::from_secs(10);
/// How long a jail that was ended may take to go before the next look.
const GOING: Duration = Duration::from_secs(3);
/// Files and folders that must be free for commands to make some, on file systems with a fixed number; a
/// tenth of it where there are few.
const ENTRIES: u64 = 20_000;
/// Who has grown by less than this has not.
const GROWN_BYTES: u64 = 1024 * 1024;
const GROWN_ENTRIES: u64 = 100;
/// Who holds less memory than this holds little.
const HELD_BYTES: u64 = 64 * 1024 * 1024;

/// What there is.
#[derive(Debug, Clone, Copy)]
struct Sight {
    room: Option<Room>,
    memory: Option<Memory>,
}

impl Shop {
    /// Starts the watch unless it runs. To be called when a jail comes.
    pub(super) fn watch(self: &Arc<Self>) {
        let mut watching = lock(&self.watching);
        if !*watching {
            *watching = true;
            self.tasks.spawn(Arc::clone(self).look_on());
        }
    }

    async fn look_on(self: Arc<Self>) {
        let mut pause = PAUSE;
        let mut before = None;
        loop {
            tokio::select! {
                () = self.stop.cancelled() => return,
                () = sleep(pause) => {}
            }
            if self.may_rest() {
                return;
            }
            let shop = Arc::clone(&self);
            let looked = self
                .tasks
                .spawn_blocking(move || Sight { room: shop.folders.room().ok(), memory: sandbox::memory() });
            let Ok(sight) = looked.await else { continue };
            pause = if self.is_little(sight) { SHORT } else { PAUSE };
            let fell = sight.room.zip(before).is_some_and(|(now, before): (Room, Room)| {
                now.bytes.saturating_add(GROWN_BYTES) <= before.bytes || now.entries < before.entries
            });
            before = sight.room;
            if let Some(room) = sight.room.filter(|room| self.disk_is_full(*room)) {
                self.cut_back(room, fell).await;
            } else if sight.memory.is_some_and(|memory| memory.available_bytes < self.memory_least(memory)) {
                self.end_the_heaviest().await;
            }
        }
    }

    /// Ends the watch when no jail is left.
    fn may_rest(&self) -> bool {
        let posts = lock(&self.posts);
        let none = !posts.values().any(|post| matches!(post, Post::Jail(_)));
        if none {
            *lock(&self.watching) = false;
        }
        none
    }

    /// What is low on the disk, for a call that begins; `None`: nothing.
    pub(super) fn low(&self, room: Room) -> Option<Low> {
        let least = self.settings.limits.free_bytes;
        // On a disk without room for files there is none for bytes either.
        let free = if room.entries < entries_least(room) { 0 } else { room.bytes };
        (free < least).then_some(Low { free_mib: free >> 20, least_mib: least >> 20 })
    }

    fn disk_is_full(&self, room: Room) -> bool {
        room.bytes < self.settings.limits.free_bytes / 2 || room.entries < entries_least(room) / 2
    }

    fn memory_least(&self, memory: Memory) -> u64 {
        self.settings.limits.memory_least(memory.total_bytes)
    }

    fn is_little(&self, sight: Sight) -> bool {
        let disk = sight.room.is_some_and(|room| {
            room.bytes / LITTLE < self.settings.limits.free_bytes
                || room.entries / LITTLE < entries_least(room)
        });
        let memory = sight.memory.is_some_and(|now| now.available_bytes / LITTLE < self.memory_least(now));
        disk || memory
    }

    fn lines(&self) -> Vec<Arc<Line>> {
        let posts = lock(&self.posts);
        let lines = posts.values().filter_map(|post| match post {
            Post::Jail(line) => Some(Arc::clone(line)),
            Post::Removing(_) => None,
        });
        lines.filter(|line| !line.closed.is_cancelled()).collect()
    }

    /// What every jail says it holds; nothing from those that do not answer in time.
    async fn weigh(&self) -> Vec<(Arc<Line>, Option<Weight>)> {
        let lines = self.lines();
        let weights = join_all(lines.iter().map(|line| timeout(WEIGHING, line.weigh()))).await;
        lines.into_iter().zip(weights.into_iter().map(|weight| weight.ok().flatten())).collect()
    }

    async fn cut_back(&self, room: Room, fell: bool) {
        let weights = self.weigh().await;
        // Room that went to what no folder shows went to somebody who hides it.
        let hiding = || fell.then(|| hiding(&weights)).flatten();
        let Some(line) = grown(&weights).or_else(hiding) else { return };
        let wanted = Wanted { bytes: self.settings.limits.free_bytes, entries: entries_least(room) };
        let session = line.session;
        match timeout(CUTTING, line.cut_back(wanted)).await {
            Ok(Some(cut)) => {
                let mib = cut.bytes >> 20;
                tracing::warn!(%session, files = cut.files, mib, "the disk is nearly full: the session that grew most was cut back");
            }
            // It went away meanwhile, and its processes with it.
            Ok(None) => {}
            Err(_late) => {
                tracing::warn!(%session, "the disk is nearly full: the sandbox that grew most did not answer and is ended");
                line.close(Ending::Stuck);
                gone(line).await;
            }
        }
    }

    async fn end_the_heaviest(&self) {
        let weights = self.weigh().await;
        let gauges: Vec<_> = weights
            .iter()
            .map(|(line, weight)| (line.gauge(), weight.map_or(0, |weight| weight.memory_bytes)))
            .collect();
        let weighed = self.tasks.spawn_blocking(move || {
            let weigh = |(gauge, said): (Option<sandbox::Gauge>, u64)| {
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
        line.close(Ending::Memory { mib });
        gone(line).await;
    }
}

fn entries_least(room: Room) -> u64 {
    ENTRIES.min(room.entries_all / 10)
}

async fn gone(line: &Line) {
    // Whether in time or not, the next look sees what there is.
    let _in_time = timeout(GOING, line.gone.cancelled()).await;
}

/// Who grew most, if anybody did.
fn grown(weights: &[(Arc<Line>, Option<Weight>)]) -> Option<&Arc<Line>> {
    let grown = |weight: &Weight| weight.grown_bytes.max(weight.grown_entries * 4096);
    let grew = weights.iter().filter_map(|(line, weight)| Some((line, weight.as_ref()?)));
    let grew =
        grew.filter(|(_, weight)| weight.grown_bytes >= GROWN_BYTES || weight.grown_entries >= GROWN_ENTRIES);
    grew.max_by_key(|(_, weight)| grown(weight)).map(|(line, _)| line)
}

/// Who hides most; else who did not even answer.
fn hiding(weights: &[(Arc<Line>, Option<Weight>)]) -> Option<&Arc<Line>> {
    let hides = weights.iter().filter_map(|(line, weight)| Some((line, weight.as_ref()?.unseen)));
    let most =
        hides.filter(|(_, unseen)| *unseen > 0).max_by_key(|(_, unseen)| *unseen).map(|(line, _)| line);
    most.or_else(|| weights.iter().find(|(_, weight)| weight.is_none()).map(|(line, _)| line))
}

#[cfg(test)]
mod tests {
    use protocol::SessionId;

    use super::*;

    #[test]
    fn who_grew_most_is_chosen_else_who_hides_and_nobody_who_did_neither() {
        let weigh = |weights: &[Option<(u64, u64, u64)>]| -> Vec<(Arc<Line>, Option<Weight>)> {
            let line = |number| Arc::new(Line::new(SessionId::from_bits(number as u128), Duration::ZERO));
            let weight = |&(grown_bytes, grown_entries, unseen)| Weight {
                grown_bytes,
                grown_entries,
                memory_bytes: 0,
                unseen,
            };
            weights.iter().enumerate().map(|(at, given)| (line(at), given.as_ref().map(weight))).collect()
        };
        let number = |line: Option<&Arc<Line>>| line.map(|line| line.session);
        let session = |number: u128| Some(SessionId::from_bits(number));
        let all = weigh(&[Some((GROWN_BYTES, 0, 9)), Some((9 * GROWN_BYTES, 0, 0)), None, Some((0, 0, 0))]);
        assert_eq!((number(grown(&all)), number(hiding(&all))), (session(1), session(0)));
        let many = weigh(&[Some((GROWN_BYTES, 0, 0)), Some((0, 100_000, 0))]);
        assert_eq!((number(grown(&many)), number(hiding(&many))), (session(1), None));
        let none = weigh(&[Some((GROWN_BYTES - 1, 1, 0)), None]);
        assert_eq!((number(grown(&none)), number(hiding(&none))), (None, session(1)));
    }
}
