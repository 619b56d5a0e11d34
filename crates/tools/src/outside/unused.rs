//! Which sandboxes were found unused for long enough: a clock that is wrong has a day to be noticed.
//!
//! Files are old by the clock on the wall, which may be set to anything. So they are removed only when they
//! were found too old over a whole day in which the server ran, by a clock that nobody sets; a small file
//! remembers how much of that day is over, for a server that is started anew every day. When the wall's clock
//! moves against the other one, or lies before the last sweep, the day begins anew.

use std::collections::BTreeMap;
use std::fs::{self, OpenOptions};
use std::io::{self, Write as _};
use std::os::unix::fs::OpenOptionsExt as _;
use std::path::Path;
use std::time::Duration;

use protocol::{SessionId, Timestamp};
use serde::{Deserialize, Serialize};

/// The file, beside the sessions' folders.
const FILE: &str = "unused.json";
/// How long files are found too old before they are removed.
const NOTICE: Duration = Duration::from_hours(24);
/// How far the clocks may differ between two sweeps: more than a clock that is slowly set right does.
const DRIFT: Duration = Duration::from_mins(10);
/// Sandboxes remembered; of more the rest waits until these are gone.
const REMEMBERED: usize = 10_000;

/// Two clocks, read together.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct PairedClocks {
    /// The clock on the wall, which is set by people and by other clocks.
    pub wall: Timestamp,
    /// One that nobody sets and that goes on while the machine sleeps; from any beginning.
    pub steady: Duration,
}

/// What is remembered of the sweeps so far.
#[derive(Debug, Default)]
pub(super) struct UnusedSessions {
    /// The last sweep of this process.
    last: Option<PairedClocks>,
    kept: Kept,
}

#[derive(Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
struct Kept {
    swept_at: Option<Timestamp>,
    /// By session, for how many seconds it has been found unused too long.
    seconds: BTreeMap<String, u64>,
}

/// What becomes of files that are too old.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum UnusedVerdict {
    /// They are seen to be so for the first time.
    New,
    Wait,
    Remove,
}

impl UnusedSessions {
    /// What the file in `root` remembers; one that cannot be read remembers nothing.
    pub(super) fn read(root: &Path) -> Self {
        let kept = match fs::read(root.join(FILE)) {
            Ok(bytes) => serde_json::from_slice(&bytes).map_err(io::Error::from),
            Err(wrong) => Err(wrong),
        };
        let kept = kept.unwrap_or_else(|wrong| {
            if wrong.kind() != io::ErrorKind::NotFound {
                tracing::warn!(%wrong, "which sandboxes were found unused is not known any more");
            }
            Kept::default()
        });
        Self { last: None, kept }
    }

    /// Begins a sweep.
    pub(super) fn sweep(&mut self, now: PairedClocks) -> UnusedSweep<'_> {
        let ran = self.last.map_or(Duration::ZERO, |last| now.steady.saturating_sub(last.steady));
        let moved = match (self.last, self.kept.swept_at) {
            (Some(last), _) => wall_since(last.wall, now.wall).abs_diff(ran.as_micros().cast_signed()),
            // Of a restart it is not known how long it took, but not less than nothing.
            (None, Some(before)) => wall_since(before, now.wall).min(0).unsigned_abs(),
            (None, None) => 0,
        };
        let moved = Duration::from_micros(u64::try_from(moved).unwrap_or(u64::MAX));
        if moved > DRIFT && !self.kept.seconds.is_empty() {
            tracing::warn!(
                seconds = moved.as_secs(),
                "the clock has moved since the last sweep: the day after which unused sandboxes' files are \
                 removed begins anew"
            );
        }
        let before = std::mem::take(&mut self.kept.seconds);
        let before = if moved > DRIFT { BTreeMap::new() } else { before };
        self.last = Some(now);
        self.kept.swept_at = Some(now.wall);
        UnusedSweep { unused: self, before, ran }
    }

    /// Writes the file, if there is anything to remember or to forget.
    pub(super) fn write(&self, root: &Path) -> io::Result<()> {
        let path = root.join(FILE);
        if self.kept.seconds.is_empty() {
            return match fs::remove_file(path) {
                Err(wrong) if wrong.kind() != io::ErrorKind::NotFound => Err(wrong),
                Ok(()) | Err(_) => Ok(()),
            };
        }
        let unfinished = root.join(format!("{FILE}.new"));
        let file = OpenOptions::new().create(true).truncate(true).write(true).mode(0o600).open(&unfinished);
        file.and_then(|mut file| file.write_all(&serde_json::to_vec(&self.kept)?))?;
        fs::rename(unfinished, path)
    }
}

/// One sweep: what is not asked about in it is forgotten.
#[derive(Debug)]
pub(super) struct UnusedSweep<'a> {
    unused: &'a mut UnusedSessions,
    before: BTreeMap<String, u64>,
    ran: Duration,
}

impl UnusedSweep<'_> {
    /// What becomes of this session's files, which are too old by the wall's clock.
    pub(super) fn judge(&mut self, session: SessionId) -> UnusedVerdict {
        let session = session.to_string();
        let (seconds, verdict) = match self.before.get(&session) {
            None => (0, UnusedVerdict::New),
            Some(before) => {
                let seconds = before.saturating_add(self.ran.as_secs());
                (
                    seconds,
                    if seconds >= NOTICE.as_secs() { UnusedVerdict::Remove } else { UnusedVerdict::Wait },
                )
            }
        };
        let seen = &mut self.unused.kept.seconds;
        if seen.len() >= REMEMBERED {
            return UnusedVerdict::Wait;
        }
        seen.insert(session, seconds);
        verdict
    }
}

fn wall_since(then: Timestamp, now: Timestamp) -> i128 {
    i128::from(now.micros()) - i128::from(then.micros())
}

#[cfg(test)]
mod tests {
    use super::*;

    const ONE: SessionId = SessionId::from_bits(1);
    const HOUR: u64 = 3_600;

    /// The clocks this many hours after some beginning, with the wall's set forward by `ahead` hours.
    fn at(hours: u64, ahead: i64) -> PairedClocks {
        let wall = Timestamp::from_micros((hours as i64 + ahead) * 3_600_000_000 + 1_700_000_000_000_000);
        PairedClocks { wall, steady: Duration::from_secs(hours * HOUR) }
    }

    fn swept(unused: &mut UnusedSessions, now: PairedClocks) -> UnusedVerdict {
        unused.sweep(now).judge(ONE)
    }

    /// A restart in which the steady clock begins at nothing.
    fn again(unused: &UnusedSessions, root: &Path) -> UnusedSessions {
        unused.write(root).unwrap();
        UnusedSessions::read(root)
    }

    #[test]
    fn files_are_removed_after_a_day_of_being_found_too_old() {
        let mut unused = UnusedSessions::default();
        assert_eq!(swept(&mut unused, at(0, 0)), UnusedVerdict::New);
        for hour in 1..24 {
            assert_eq!(swept(&mut unused, at(hour, 0)), UnusedVerdict::Wait, "hour {hour}");
        }
        assert_eq!(swept(&mut unused, at(24, 0)), UnusedVerdict::Remove);
    }

    #[test]
    fn a_clock_that_moves_begins_the_day_anew_either_way() {
        for ahead in [24 * 40, -24 * 40, 1, -1] {
            let mut unused = UnusedSessions::default();
            for hour in 0..24 {
                swept(&mut unused, at(hour, 0));
            }
            assert_eq!(swept(&mut unused, at(24, ahead)), UnusedVerdict::New, "{ahead}");
            for hour in 25..48 {
                assert_eq!(swept(&mut unused, at(hour, ahead)), UnusedVerdict::Wait);
            }
            assert_eq!(swept(&mut unused, at(48, ahead)), UnusedVerdict::Remove);
        }
    }

    #[test]
    fn what_was_used_again_or_is_gone_begins_anew() {
        let mut unused = UnusedSessions::default();
        for hour in 0..24 {
            swept(&mut unused, at(hour, 0));
        }
        drop(unused.sweep(at(24, 0)));
        assert_eq!(swept(&mut unused, at(25, 0)), UnusedVerdict::New);
    }

    #[test]
    fn a_server_that_is_started_every_day_remembers_and_one_with_a_wrong_clock_waits() {
        let root = tempfile::tempdir().unwrap();
        let mut unused = UnusedSessions::read(root.path());
        assert_eq!(swept(&mut unused, at(0, 0)), UnusedVerdict::New);
        assert_eq!(swept(&mut unused, at(13, 0)), UnusedVerdict::Wait);
        // Two hours without a server; of them it is not known that it ran.
        let mut unused = again(&unused, root.path());
        let after =
            |hours: u64| PairedClocks { steady: Duration::from_secs(hours * HOUR), ..at(15 + hours, 0) };
        assert_eq!(swept(&mut unused, after(0)), UnusedVerdict::Wait);
        assert_eq!(swept(&mut unused, after(10)), UnusedVerdict::Wait);
        assert_eq!(swept(&mut unused, after(11)), UnusedVerdict::Remove);
        // A start with a clock 40 days ahead, and the next one with a right one.
        let mut unused = UnusedSessions::default();
        assert_eq!(swept(&mut unused, at(0, 24 * 40)), UnusedVerdict::New);
        assert_eq!(swept(&mut unused, at(20, 24 * 40)), UnusedVerdict::Wait);
        let mut unused = again(&unused, root.path());
        assert_eq!(swept(&mut unused, at(21, 0)), UnusedVerdict::New);
    }

    #[test]
    fn a_file_that_cannot_be_read_remembers_nothing_and_none_is_left_when_nothing_is_old() {
        let root = tempfile::tempdir().unwrap();
        fs::write(root.path().join(FILE), "{").unwrap();
        let mut unused = UnusedSessions::read(root.path());
        assert_eq!(swept(&mut unused, at(0, 0)), UnusedVerdict::New);
        unused.write(root.path()).unwrap();
        drop(unused.sweep(at(1, 0)));
        unused.write(root.path()).unwrap();
        assert_eq!(fs::read_dir(root.path()).unwrap().count(), 0);
    }

    #[test]
    fn what_is_remembered_has_a_bound() {
        let mut unused = UnusedSessions::default();
        let mut sweep = unused.sweep(at(0, 0));
        for session in 0..=REMEMBERED as u128 {
            sweep.judge(SessionId::from_bits(session));
        }
        assert_eq!(unused.kept.seconds.len(), REMEMBERED);
    }
}
