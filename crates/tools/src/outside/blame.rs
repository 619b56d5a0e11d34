//! Who took the room that the disk lacks: whose files grew while it went, and as much as it went.
//!
//! Programs of the host fill disks too. What they take is nobody's here, and nobody's files go for it.

use std::collections::{BTreeMap, VecDeque};
use std::time::Duration;

use protocol::SessionId;
use sandbox::DiskRoom;
use tokio::time::Instant;

/// How long it is remembered what there was: longer than the growth that a jail tells of goes back.
const REMEMBERED: Duration = Duration::from_mins(5);
/// Between two times that are remembered.
const STEP: Duration = Duration::from_millis(250);
/// Who has grown by less than this has not.
const GROWN_BYTES: u64 = 1024 * 1024;
const GROWN_ENTRIES: u64 = 100;
/// It is judged who took the room when at least one part in so many of what is left has gone.
const JUDGED: u64 = 8;
/// What a file or a folder takes, though it holds nothing.
const ENTRY_BYTES: u64 = 4096;
/// How often in a row a jail that is asked must be silent, before it counts as one that hides something.
const SILENT: u32 = 3;

/// What a jail says of itself.
#[derive(Debug, Clone, Copy)]
pub(super) struct JailSaid {
    /// By how much its files have grown, and for how long that goes back.
    pub(super) grown: DiskAmount,
    pub(super) since: Duration,
    /// Whether they are so many that it had no time to look at all: they may have grown by any amount.
    pub(super) more: bool,
    /// Processes that let nobody see what they hold.
    pub(super) unseen: u64,
}

/// Bytes, and files and folders.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub(super) struct DiskAmount {
    pub(super) bytes: u64,
    pub(super) entries: u64,
}

/// What the disk lacks.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum DiskLack {
    Bytes,
    Entries,
}

/// What is to be done about a disk that is nearly full.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum DiskVerdict {
    /// This session's files grew most, and what they took explains what is missing: at most so much goes.
    Grew(SessionId, DiskAmount),
    /// What is missing went to no file that is seen, and this one hides what it holds: its processes end, and
    /// all its files stay.
    Hides(SessionId),
    /// Nobody's growth explains it, or the room does not shrink.
    Nobody,
}

/// What is remembered from one look to the next.
#[derive(Debug, Default)]
pub(super) struct BlameLedger {
    past: VecDeque<(Instant, DiskAmount)>,
    /// When somebody else was last found to have taken the room, what there was, and by how much sessions had
    /// grown until then: that is not theirs to answer for.
    cleared: Option<(Instant, DiskAmount, BTreeMap<SessionId, DiskAmount>)>,
    silent: BTreeMap<SessionId, u32>,
}

impl BlameLedger {
    /// Remembers what there is now.
    pub(super) fn see(&mut self, now: Instant, room: DiskRoom) {
        if let Some((_, was, _)) = &mut self.cleared {
            was.bytes = was.bytes.max(room.bytes);
            was.entries = was.entries.max(room.entries);
        }
        if self.past.back().is_some_and(|(last, _)| now - *last < STEP) {
            return;
        }
        while self.past.front().is_some_and(|(first, _)| now - *first > REMEMBERED) {
            self.past.pop_front();
        }
        self.past.push_back((now, amount(room)));
    }

    /// When no file can be made any more, at the pace of the last moment; `None`: hardly any is made. Files
    /// are made one at a time, so that their pace tells something; room for bytes may be taken at once.
    pub(super) fn entries_last(&self, now: Instant, room: DiskRoom) -> Option<Duration> {
        let (at, was) = self.past.iter().rev().find(|(at, _)| now - *at >= STEP)?;
        let gone = was.entries.checked_sub(room.entries).filter(|gone| *gone >= GROWN_ENTRIES)?;
        let passed_ms = u64::try_from((now - *at).as_millis()).unwrap_or(u64::MAX);
        Some(Duration::from_millis(passed_ms.saturating_mul(room.entries) / gone))
    }

    /// Judges by what every jail said, nothing from those that were silent, and what there was afterwards.
    pub(super) fn judge(
        &mut self,
        now: Instant,
        room: DiskRoom,
        lack: DiskLack,
        said: &BTreeMap<SessionId, Option<JailSaid>>,
    ) -> DiskVerdict {
        let told = said.iter().filter_map(|(session, said)| Some(self.grown(now, *session, said.as_ref()?)));
        let (grown, others): (Vec<Grown>, Vec<Grown>) = told.partition(|grown| grown.of(lack) >= least(lack));
        self.silent.retain(|session, _| matches!(said.get(session), Some(None)));
        for (session, _) in said.iter().filter(|(_, said)| said.is_none()) {
            *self.silent.entry(*session).or_default() += 1;
        }
        let most = grown.iter().max_by_key(|grown| grown.of(lack));
        // Where nobody grew: what went since all of them have begun to look.
        let since = most.or_else(|| others.iter().max_by_key(|other| other.since)).map(|one| one.since);
        let lost = self.lost(since, room, lack);
        // As long as that is little of what is left, it may be anybody's.
        if lost < least(lack).max(amount(room).get(lack) / JUDGED) {
            return DiskVerdict::Nobody;
        }
        let all = grown.iter().map(|grown| grown.of(lack)).fold(0, u64::saturating_add);
        if let Some(most) = most.filter(|most| all >= lost / 2 || most.more) {
            let amount = if most.more { lost } else { most.of(lack).min(lost) };
            return DiskVerdict::Grew(most.session, DiskAmount::of(lack, amount));
        }
        let grown = said.iter().filter_map(|(session, said)| Some((*session, said.as_ref()?.grown)));
        self.cleared = Some((now, amount(room), grown.collect()));
        self.hiding(said).map_or(DiskVerdict::Nobody, DiskVerdict::Hides)
    }

    /// What this session has to answer for.
    fn grown(&self, now: Instant, session: SessionId, said: &JailSaid) -> Grown {
        let since = now.checked_sub(said.since).unwrap_or(now);
        match &self.cleared {
            Some((at, _, before)) if *at > since => {
                let before = before.get(&session).copied().unwrap_or_default();
                Grown { session, amount: said.grown.beyond(before), since: *at, more: said.more }
            }
            Some(_) | None => Grown { session, amount: said.grown, since, more: said.more },
        }
    }

    /// What has gone since then, or in all the time that is remembered and nobody was found in.
    fn lost(&self, since: Option<Instant>, room: DiskRoom, lack: DiskLack) -> u64 {
        let past = |since: Instant| self.past.iter().rev().find(|(at, _)| *at <= since);
        let before = match (&self.cleared, since) {
            (Some((at, was, _)), Some(since)) if *at >= since => Some(*was),
            (Some((_, was, _)), None) => Some(*was),
            (_, Some(since)) => past(since).or_else(|| self.past.front()).map(|(_, was)| *was),
            (None, None) => self.past.front().map(|(_, was)| *was),
        };
        before.map_or(0, |before| before.get(lack)).saturating_sub(amount(room).get(lack))
    }

    /// Who hides most; else who is silent again and again.
    fn hiding(&self, said: &BTreeMap<SessionId, Option<JailSaid>>) -> Option<SessionId> {
        let hides = said.iter().filter_map(|(session, said)| Some((*session, said.as_ref()?.unseen)));
        let most = hides.filter(|(_, unseen)| *unseen > 0).max_by_key(|(_, unseen)| *unseen);
        let silent = || self.silent.iter().find(|(_, times)| **times >= SILENT).map(|(session, _)| *session);
        most.map(|(session, _)| session).or_else(silent)
    }
}

/// By how much a session's files have grown, and since when.
#[derive(Debug, Clone, Copy)]
struct Grown {
    session: SessionId,
    amount: DiskAmount,
    since: Instant,
    more: bool,
}

impl Grown {
    fn of(&self, lack: DiskLack) -> u64 {
        match lack {
            DiskLack::Bytes => self.amount.bytes.max(self.amount.entries.saturating_mul(ENTRY_BYTES)),
            DiskLack::Entries => self.amount.entries,
        }
    }
}

const fn least(lack: DiskLack) -> u64 {
    match lack {
        DiskLack::Bytes => GROWN_BYTES,
        DiskLack::Entries => GROWN_ENTRIES,
    }
}

impl DiskAmount {
    fn of(lack: DiskLack, much: u64) -> Self {
        match lack {
            DiskLack::Bytes => Self { bytes: much, entries: 0 },
            DiskLack::Entries => Self { bytes: 0, entries: much },
        }
    }

    const fn get(self, lack: DiskLack) -> u64 {
        match lack {
            DiskLack::Bytes => self.bytes,
            DiskLack::Entries => self.entries,
        }
    }

    fn beyond(self, other: Self) -> Self {
        Self {
            bytes: self.bytes.saturating_sub(other.bytes),
            entries: self.entries.saturating_sub(other.entries),
        }
    }
}

fn amount(room: DiskRoom) -> DiskAmount {
    DiskAmount { bytes: room.bytes, entries: room.entries }
}

#[cfg(test)]
mod tests {
    use super::*;

    const MIB: u64 = 1 << 20;

    fn session(number: u128) -> SessionId {
        SessionId::from_bits(number)
    }

    fn room(mib: u64) -> DiskRoom {
        DiskRoom { bytes: mib * MIB, entries: 1_000_000, entries_all: 1_000_000, bytes_all: 10_000 * MIB }
    }

    #[expect(clippy::unnecessary_wraps, reason = "said beside jails that are silent")]
    fn grew(mib: u64, seconds: u64) -> Option<JailSaid> {
        let grown = DiskAmount { bytes: mib * MIB, entries: 1 };
        Some(JailSaid { grown, since: Duration::from_secs(seconds), more: false, unseen: 0 })
    }

    fn cut(number: u128, mib: u64) -> DiskVerdict {
        DiskVerdict::Grew(session(number), DiskAmount { bytes: mib * MIB, entries: 0 })
    }

    /// A disk, a second at a time.
    struct Disk {
        ledger: BlameLedger,
        now: Instant,
    }

    impl Disk {
        /// With so much room for a minute.
        fn new(mib: u64) -> Self {
            let mut disk = Self { ledger: BlameLedger::default(), now: Instant::now() };
            (0..60).for_each(|_| disk.passes(mib));
            disk
        }

        fn passes(&mut self, mib: u64) {
            self.now += Duration::from_secs(1);
            self.ledger.see(self.now, room(mib));
        }

        fn judge(&mut self, mib: u64, said: &[Option<JailSaid>]) -> DiskVerdict {
            self.passes(mib);
            let said = (0..).zip(said).map(|(number, said)| (session(number), *said)).collect();
            self.ledger.judge(self.now, room(mib), DiskLack::Bytes, &said)
        }
    }

    #[test]
    fn who_grew_most_is_cut_back_by_as_much_as_is_missing() {
        assert_eq!(Disk::new(2_000).judge(500, &[grew(30, 10), grew(1_470, 10)]), cut(1, 1_470));
        // Two together, and neither alone.
        assert_eq!(Disk::new(2_000).judge(500, &[grew(700, 10), grew(710, 10)]), cut(1, 710));
        // More than it had time to look for.
        let more = |said: Option<JailSaid>| said.map(|said| JailSaid { more: true, ..said });
        assert_eq!(Disk::new(2_000).judge(500, &[more(grew(100, 10)), grew(90, 10)]), cut(0, 1_500));
        // What others have deleted meanwhile is not to be made up for.
        assert_eq!(Disk::new(800).judge(500, &[grew(900, 10)]), cut(0, 300));
    }

    #[test]
    fn what_another_program_takes_nobody_goes_for() {
        let mut disk = Disk::new(2_000);
        assert_eq!(disk.judge(400, &[grew(200, 30), grew(5, 30), None]), DiskVerdict::Nobody);
        // It goes on taking, and they have grown before.
        assert_eq!(disk.judge(300, &[grew(201, 31), grew(5, 31), grew(0, 1)]), DiskVerdict::Nobody);
        // It has stopped, and nobody takes anything.
        assert_eq!(disk.judge(300, &[grew(201, 32), grew(5, 32), grew(0, 2)]), DiskVerdict::Nobody);
        // A little is anybody's.
        assert_eq!(disk.judge(290, &[grew(212, 33), grew(5, 33), grew(0, 3)]), DiskVerdict::Nobody);
        // Now somebody takes more, and only that goes.
        assert_eq!(disk.judge(250, &[grew(212, 34), grew(53, 34), grew(0, 3)]), cut(1, 48));
    }

    #[test]
    fn a_disk_that_does_not_shrink_is_nobodys_doing() {
        assert_eq!(Disk::new(500).judge(500, &[grew(90, 30)]), DiskVerdict::Nobody);
        assert_eq!(Disk::new(400).judge(500, &[grew(90, 30)]), DiskVerdict::Nobody);
    }

    #[test]
    fn what_went_to_no_file_is_looked_for_with_those_who_hide_and_with_the_silent_at_last() {
        let hides = |unseen| Some(JailSaid { unseen, ..grew(0, 5).unwrap() });
        let mut disk = Disk::new(2_000);
        assert_eq!(disk.judge(500, &[hides(0), hides(1), hides(2)]), DiskVerdict::Hides(session(2)));
        assert_eq!(
            disk.judge(500, &[hides(0), hides(1), hides(2)]),
            DiskVerdict::Nobody,
            "nothing goes any more"
        );
        let mut disk = Disk::new(2_000);
        let all = [500, 400, 300].map(|mib| disk.judge(mib, &[hides(0), None]));
        assert_eq!(all, [DiskVerdict::Nobody, DiskVerdict::Nobody, DiskVerdict::Hides(session(1))]);
        let mut disk = Disk::new(2_000);
        assert_eq!(disk.judge(500, &[None]), DiskVerdict::Nobody);
        assert_eq!(disk.judge(400, &[hides(0)]), DiskVerdict::Nobody);
        assert_eq!(disk.judge(300, &[None]), DiskVerdict::Nobody, "it has answered meanwhile");
    }

    #[test]
    fn the_pace_at_which_files_are_made_tells_when_there_is_room_for_none() {
        let mut disk = Disk::new(2_000);
        let mut after = |seconds, entries| {
            disk.now += Duration::from_secs(seconds);
            let room = DiskRoom { entries, ..room(2_000) };
            let last = disk.ledger.entries_last(disk.now, room);
            disk.ledger.see(disk.now, room);
            last
        };
        assert_eq!(after(1, 999_950), None);
        assert_eq!(after(1, 969_950), Some(Duration::from_millis(32_331)));
        assert_eq!(after(2, 0), Some(Duration::ZERO));
        assert_eq!(after(1, 500_000), None, "there are more than before");
    }

    #[test]
    fn files_count_where_files_are_lacking_and_bytes_where_bytes_are() {
        let files = |entries| DiskAmount { bytes: 0, entries };
        let said = |grown| Some(JailSaid { grown, since: Duration::from_secs(5), more: false, unseen: 0 });
        let judge = |lack, left: DiskAmount, grown: &[DiskAmount]| {
            let mut disk = Disk::new(2_000);
            let left = DiskRoom { bytes: left.bytes, entries: left.entries, ..room(0) };
            let said = (0..).zip(grown).map(|(number, grown)| (session(number), said(*grown))).collect();
            disk.ledger.judge(disk.now, left, lack, &said)
        };
        let (few, many) = (files(300), files(900_000));
        let left = DiskAmount { bytes: 1_900 * MIB, entries: 90_000 };
        assert_eq!(
            judge(DiskLack::Entries, left, &[few, many]),
            DiskVerdict::Grew(session(1), files(900_000))
        );
        // Another program took the bytes; that a session made the only files does not matter.
        let left = DiskAmount { bytes: 100 * MIB, entries: 999_700 };
        assert_eq!(judge(DiskLack::Bytes, left, &[few]), DiskVerdict::Nobody);
        // Folders hold nothing and take room.
        let left = DiskAmount { bytes: 400 * MIB, entries: 500_000 };
        assert!(matches!(judge(DiskLack::Bytes, left, &[files(400_000)]), DiskVerdict::Grew(..)));
    }
}
