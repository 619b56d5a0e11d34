//! Lines on their way to a reader who may be slow, stopped or gone: to put one never waits and never fails.
//!
//! They wait in memory up to a bound in bytes; one thread writes them. What finds no room, or cannot be
//! written, is counted, and the count is told in a line of its own as soon as one can be written again.

use std::io::{self, Write};
use std::os::fd::BorrowedFd;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use protocol::limits::LOG_WAITING_BYTES;
use rustix::event::{PollFd, PollFlags, poll};
use rustix::io::Errno;

/// What the kernel takes into a pipe as one piece, so that no other program's line lands in the middle of
/// ours.
const PIECE: usize = 4_096;
/// How long [`OutputLines::settle`] waits for a reader that takes nothing, and how long for one that does.
const STILL: Duration = Duration::from_secs(1);
/// How long lines are gathered behind those that were written.
const GATHERED: Duration = Duration::from_millis(10);
const SETTLED: u32 = 5;

/// Makes the line that tells how many lines are missing, and why.
pub(crate) type MissingLines = fn(lines: u64, why: &str) -> String;

/// Where lines are put. Clones share it.
#[derive(Debug, Clone)]
pub(crate) struct OutputLines(Arc<Shared>);

#[derive(Debug)]
struct Shared {
    queue: Mutex<Queue>,
    /// Something waits to be written.
    some: Condvar,
    /// Nothing waits any more.
    none: Condvar,
}

#[derive(Debug, Default)]
struct Queue {
    waiting: Vec<u8>,
    /// Bytes waiting or being written.
    held: usize,
    /// Bytes that are done with, written or not.
    done: u64,
    /// Lines that found no room behind what is waiting.
    refused: u64,
    /// Whether the thread sleeps until something is put here.
    asleep: bool,
    /// Whether nothing more is gathered: somebody waits until everything is written.
    hurry: bool,
    /// Whether the thread is to panic, for a test.
    #[cfg(debug_assertions)]
    ends: bool,
}

impl OutputLines {
    /// Starts the thread of this name that writes to `out`. It ends with the process.
    #[expect(
        clippy::disallowed_methods,
        reason = "a write that blocks for as long as a reader likes may hold no thread of anybody else's"
    )]
    pub(crate) fn begin(
        name: &str,
        out: impl Write + Send + 'static,
        missing: MissingLines,
    ) -> io::Result<Self> {
        let shared = Arc::new(Shared { queue: Mutex::default(), some: Condvar::new(), none: Condvar::new() });
        let ours = Arc::clone(&shared);
        let mut writer = Writer { out, missing, unwritten: 0, why: String::new(), torn: false };
        std::thread::Builder::new().name(name.into()).spawn(move || {
            // It holds no lock when it panics, and begins again with what waits.
            while catch_unwind(AssertUnwindSafe(|| writer.work(&ours))).is_err() {
                writer.unwritten += ours.begin_again();
                "the thread that writes it panicked".clone_into(&mut writer.why);
            }
        })?;
        Ok(Self(shared))
    }

    /// Puts a line, or several, with their end. Never waits for the reader.
    pub(crate) fn put(&self, lines: &[u8]) {
        let mut queue = self.0.lock();
        if queue.held + lines.len() > LOG_WAITING_BYTES {
            queue.refused += ends(lines);
            return;
        }
        queue.held += lines.len();
        queue.waiting.extend_from_slice(lines);
        if std::mem::take(&mut queue.asleep) {
            self.0.some.notify_one();
        }
    }

    /// Waits until everything is written; not for a reader that takes nothing for a second, and not for ever.
    /// Whether it is.
    pub(crate) fn settle(&self) -> bool {
        let mut queue = self.0.lock();
        queue.hurry = true;
        self.0.some.notify_one();
        for _ in 0..SETTLED {
            let done = queue.done;
            let waited = self.0.none.wait_timeout_while(queue, STILL, |queue| queue.held > 0);
            queue = waited.unwrap_or_else(PoisonError::into_inner).0;
            if queue.held == 0 || queue.done == done {
                break;
            }
        }
        queue.held == 0
    }

    /// Lets the thread panic, so that a test sees what becomes of that.
    #[cfg(debug_assertions)]
    pub(crate) fn end(&self) {
        let mut queue = self.0.lock();
        (queue.ends, queue.hurry) = (true, true);
        queue.asleep = false;
        self.0.some.notify_one();
    }
}

impl Write for OutputLines {
    fn write(&mut self, lines: &[u8]) -> io::Result<usize> {
        self.put(lines);
        Ok(lines.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

impl Shared {
    fn lock(&self) -> MutexGuard<'_, Queue> {
        self.queue.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// What waits, and how many lines found no room behind it.
    fn next(&self) -> (Vec<u8>, u64) {
        // A line that comes alone is written at once, and of many that come together not each wakes somebody:
        // nobody rings while this is awake but whoever waits for the last line.
        let gathered = self.some.wait_timeout_while(self.lock(), GATHERED, |queue| !queue.hurry);
        let mut queue = gathered.unwrap_or_else(PoisonError::into_inner).0;
        loop {
            #[cfg(debug_assertions)]
            if std::mem::take(&mut queue.ends) {
                drop(queue);
                panic!("ended by a test");
            }
            queue.hurry = false;
            if !queue.waiting.is_empty() {
                return (std::mem::take(&mut queue.waiting), std::mem::take(&mut queue.refused));
            }
            queue.asleep = true;
            queue = self.some.wait(queue).unwrap_or_else(PoisonError::into_inner);
        }
    }

    fn done(&self, bytes: usize) {
        let mut queue = self.lock();
        queue.held = queue.held.saturating_sub(bytes);
        queue.done += bytes as u64;
        if queue.held == 0 {
            self.none.notify_all();
        }
    }

    /// After a panic: what was being written is neither held nor known to be written. At least how many
    /// lines.
    fn begin_again(&self) -> u64 {
        let mut queue = self.lock();
        let waiting = queue.waiting.len();
        u64::from(std::mem::replace(&mut queue.held, waiting) > waiting)
    }
}

/// A stream of this process without the lock of the standard library, which another may hold for as long as a
/// reader sleeps.
pub(crate) struct UnlockedOutput(pub(crate) BorrowedFd<'static>);

impl Write for UnlockedOutput {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        loop {
            match rustix::io::write(self.0, bytes) {
                // Whoever shares it has made it so; then it is waited for.
                Err(Errno::AGAIN) => {
                    poll(&mut [PollFd::new(&self.0, PollFlags::OUT)], None)?;
                }
                written => return Ok(written?),
            }
        }
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

/// The thread's own.
struct Writer<W> {
    out: W,
    missing: MissingLines,
    /// Lines that could not be written and are not told yet, and the last reason.
    unwritten: u64,
    why: String,
    /// Whether the last line that came out lacks its end.
    torn: bool,
}

impl<W: Write> Writer<W> {
    fn work(&mut self, shared: &Shared) {
        loop {
            let (waiting, refused) = shared.next();
            let mut rest = waiting.as_slice();
            while !rest.is_empty() {
                let (piece, more) = rest.split_at(piece(rest));
                rest = more;
                self.write(piece);
                shared.done(piece.len());
            }
            if refused > 0 {
                let told = (self.missing)(refused, "the reader of the log was too slow");
                self.bring(told.as_bytes());
            }
        }
    }

    /// Writes a piece; if the one before could not be written and this can, tells of it first.
    fn write(&mut self, piece: &[u8]) {
        if self.unwritten > 0 {
            let told = (self.missing)(self.unwritten, &self.why);
            let untold = std::mem::take(&mut self.unwritten);
            if !self.bring(told.as_bytes()) {
                // The line that would have told of them is not missed.
                self.unwritten = untold;
            }
        }
        self.bring(piece);
    }

    fn bring(&mut self, lines: &[u8]) -> bool {
        let mut left = lines;
        if self.torn && self.out.write(b"\n").is_ok_and(|written| written == 1) {
            self.torn = false;
        }
        while !left.is_empty() {
            match self.out.write(left) {
                Ok(written) if written > 0 => {
                    self.torn = left.get(written - 1) != Some(&b'\n');
                    left = left.get(written..).unwrap_or_default();
                }
                Ok(_) => return self.failed(left, "nothing more can be written"),
                Err(wrong) if wrong.kind() == io::ErrorKind::Interrupted => {}
                Err(wrong) => return self.failed(left, &wrong.to_string()),
            }
        }
        true
    }

    fn failed(&mut self, left: &[u8], why: &str) -> bool {
        self.unwritten += ends(left);
        why.clone_into(&mut self.why);
        false
    }
}

/// How much of it is written at once: whole lines, one at least.
fn piece(lines: &[u8]) -> usize {
    let end = |lines: &[u8]| lines.iter().rposition(|byte| *byte == b'\n');
    let first = || lines.iter().position(|byte| *byte == b'\n').unwrap_or(lines.len() - 1);
    match lines.get(..PIECE) {
        None => lines.len(),
        Some(many) => end(many).unwrap_or_else(first) + 1,
    }
}

fn ends(lines: &[u8]) -> u64 {
    lines.split_inclusive(|byte| *byte == b'\n').count() as u64
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::sync::mpsc::{Receiver, SyncSender, sync_channel};

    /// A reader that takes a piece whenever the test lets it: what it answers to each write.
    struct Reader {
        told: SyncSender<String>,
        lets: Receiver<io::Result<usize>>,
    }

    impl Write for Reader {
        fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
            let Ok(answer) = self.lets.recv() else { return Ok(bytes.len()) };
            let taken = answer?.min(bytes.len());
            drop(self.told.send(String::from_utf8_lossy(&bytes[..taken]).into_owned()));
            Ok(taken)
        }

        fn flush(&mut self) -> io::Result<()> {
            Ok(())
        }
    }

    fn missing(lines: u64, why: &str) -> String {
        format!("{lines} missing: {why}\n")
    }

    fn lines() -> (OutputLines, Receiver<String>, SyncSender<io::Result<usize>>) {
        let ((told, hears), (lets, waits)) = (sync_channel(1_000), sync_channel(1_000));
        (OutputLines::begin("lines", Reader { told, lets: waits }, missing).expect("a thread"), hears, lets)
    }

    const ALL: usize = usize::MAX;

    #[test]
    fn what_a_stopped_reader_does_not_take_is_held_up_to_a_bound_and_counted_beyond_it() {
        let (lines, hears, lets) = lines();
        lines.put(b"first\n");
        lets.send(Ok(ALL)).expect("it waits");
        assert_eq!(hears.recv().expect("a line"), "first\n");
        let line = format!("{}\n", "x".repeat(1_023));
        // Nobody reads; putting does not wait.
        for _ in 0..LOG_WAITING_BYTES / 1_024 + 7 {
            lines.put(line.as_bytes());
        }
        {
            let queue = lines.0.lock();
            assert!(
                queue.held <= LOG_WAITING_BYTES && queue.refused >= 7,
                "{} {}",
                queue.held,
                queue.refused
            );
        }
        let refused = lines.0.lock().refused;
        drop(lets);
        assert!(lines.settle());
        lines.put(b"last\n");
        assert!(lines.settle());
        assert!(refused >= 7);
        let queue = lines.0.lock();
        assert_eq!((queue.held, queue.refused), (0, 0));
    }

    #[test]
    fn a_reader_that_reads_again_is_told_what_is_missing_behind_what_was_held() {
        let (lines, hears, lets) = lines();
        lines.put(b"held\n");
        {
            let mut queue = lines.0.lock();
            queue.waiting.extend_from_slice(b"more\n");
            queue.held += 5;
            queue.refused = 3;
        }
        for _ in 0..4 {
            lets.send(Ok(ALL)).expect("it waits");
        }
        lines.put(b"");
        let mut told = String::new();
        while !told.contains("missing") {
            told.push_str(&hears.recv().expect("a line"));
        }
        assert_eq!(told, "held\nmore\n3 missing: the reader of the log was too slow\n");
    }

    #[test]
    fn a_line_that_fails_is_counted_and_told_when_one_can_be_written_again() {
        let (lines, hears, lets) = lines();
        let full = || Err(io::Error::other("the disk is full"));
        let say = |line: &str, answers: Vec<io::Result<usize>>| {
            for answer in answers {
                lets.send(answer).expect("it waits");
            }
            lines.put(line.as_bytes());
            lines.settle();
        };
        say("one\n", vec![full()]);
        // Of two lines a part comes out.
        say("two\nthree\n", vec![full(), Ok(6), full()]);
        say("four\n", vec![Ok(1), Ok(ALL), Ok(ALL)]);
        say("five\n", vec![Ok(ALL)]);
        let told: String = hears.try_iter().collect();
        assert_eq!(told, "two\nth\n2 missing: the disk is full\nfour\nfive\n");
    }

    #[test]
    fn lines_are_gathered_again_once_nobody_waits_for_the_last_one() {
        let (lines, hears, lets) = lines();
        drop(lets);
        lines.put(b"first\n");
        lines.settle();
        assert!(!lines.0.lock().hurry, "each line would wake the thread from now on");
        drop(hears);
    }

    #[test]
    fn a_writer_that_panics_begins_again() {
        let (lines, hears, lets) = lines();
        lines.end();
        lets.send(Ok(ALL)).expect("it waits");
        lines.put(b"after\n");
        assert_eq!(hears.recv().expect("a line"), "after\n");
    }

    #[test]
    fn pieces_are_whole_lines() {
        assert_eq!(piece(b"a\nb\n"), 4);
        let long = format!("{}\n", "x".repeat(PIECE - 10));
        assert_eq!(piece(format!("{long}{long}").as_bytes()), long.len());
        let longer = format!("{}\n", "x".repeat(2 * PIECE));
        assert_eq!(piece(format!("{longer}{long}").as_bytes()), longer.len());
    }
}
