//! Retried POSTs: a client that did not hear the first answer gets it again (rules.md 4).
//!
//! Kept in memory for ten minutes, within bounds of bytes; after a restart a retry is a new request.

use std::collections::{BTreeMap, VecDeque};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use bytes::Bytes;
use protocol::limits;
use sha2::{Digest, Sha256};
use tokio::{sync::watch, time::Instant};

use crate::auth::Caller;

/// What an answer takes beside its bytes.
const ENTRY: usize = 256;
/// How long an answer is kept.
const KEPT: Duration = Duration::from_secs(limits::RETRIED_POST_S);

/// What makes two POSTs the same: key, path and body.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) struct Mark([u8; 32]);

impl Mark {
    /// The mark of one POST.
    pub(crate) fn of(caller: Caller, path: &str, body: &[u8]) -> Self {
        let mut hash = Sha256::new();
        hash.update(caller.0);
        hash.update((path.len() as u64).to_be_bytes());
        hash.update(path);
        hash.update(body);
        Self(hash.finalize().into())
    }
}

/// The POSTs of the last ten minutes.
#[derive(Debug, Clone, Default)]
pub(crate) struct Retried(Arc<Mutex<Kept>>);

#[derive(Debug, Default)]
struct Kept {
    first: BTreeMap<Mark, First>,
    /// Oldest first; an entry may have been replaced since.
    order: VecDeque<(Mark, u64)>,
    bytes: usize,
    turn: u64,
}

#[derive(Debug)]
struct First {
    turn: u64,
    at: Instant,
    size: usize,
    stage: Stage,
}

#[derive(Debug, Clone)]
enum Stage {
    /// It is being worked on: empty until it is answered, closed without an answer when it failed.
    Working(watch::Receiver<Option<Bytes>>),
    Answered(Bytes),
}

/// What a POST is.
#[derive(Debug)]
pub(crate) enum Entry {
    /// A retry of one that was answered: that answer.
    First(Bytes),
    /// One to be worked on.
    Fresh(Slot),
}

/// The place of a POST that is being worked on; given back when it fails.
#[derive(Debug)]
pub(crate) struct Slot {
    kept: Retried,
    mark: Mark,
    turn: u64,
    answer: watch::Sender<Option<Bytes>>,
}

impl Retried {
    /// Lets a POST in; `again`: the client says that it has sent it before. Waits while the first is
    /// still being worked on.
    pub(crate) async fn enter(&self, mark: Mark, again: bool) -> Entry {
        loop {
            let mut first = match self.find(mark, again) {
                Ok(Stage::Answered(answer)) => return Entry::First(answer),
                Ok(Stage::Working(first)) => first,
                Err(slot) => return Entry::Fresh(slot),
            };
            // An error: the first failed, and this one is looked up again.
            if let Ok(answer) = first.wait_for(Option::is_some).await
                && let Some(answer) = answer.clone()
            {
                return Entry::First(answer);
            }
        }
    }

    fn find(&self, mark: Mark, again: bool) -> Result<Stage, Slot> {
        let mut kept = self.lock();
        kept.forget();
        if again
            && let Some(first) = kept.first.get(&mark)
            && first.stage.holds()
        {
            return Ok(first.stage.clone());
        }
        let (answer, receiver) = watch::channel(None);
        kept.turn += 1;
        let turn = kept.turn;
        kept.drop_first(mark);
        kept.bytes += ENTRY;
        let stage = Stage::Working(receiver);
        kept.first.insert(mark, First { turn, at: Instant::now(), size: ENTRY, stage });
        kept.order.push_back((mark, turn));
        Err(Slot { kept: self.clone(), mark, turn, answer })
    }

    fn lock(&self) -> MutexGuard<'_, Kept> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Kept {
    fn drop_first(&mut self, mark: Mark) {
        if let Some(first) = self.first.remove(&mark) {
            self.bytes -= first.size;
        }
    }

    fn forget(&mut self) {
        let mut working = 0;
        while let Some((mark, turn)) = self.order.get(working).copied() {
            let current = self.first.get(&mark).filter(|first| first.turn == turn);
            let old = current.is_none_or(|first| first.at.elapsed() >= KEPT);
            if !old && self.bytes <= limits::RETRIED_POST_BYTES {
                return;
            }
            // What is being worked on is not done twice for want of room.
            if !old && current.is_some_and(|first| matches!(first.stage, Stage::Working(_))) {
                working += 1;
                continue;
            }
            if current.is_some() {
                self.drop_first(mark);
            }
            self.order.remove(working);
        }
    }
}

impl Stage {
    /// Whether there is an answer, or one to come.
    fn holds(&self) -> bool {
        match self {
            Self::Answered(_) => true,
            Self::Working(answer) => answer.borrow().is_some() || answer.has_changed().is_ok(),
        }
    }
}

impl Slot {
    /// Keeps the answer for a retry.
    pub(crate) fn keep(self, answer: Bytes) {
        // What was written piece by piece lies in more memory than it fills.
        let answer = Bytes::copy_from_slice(&answer);
        let mut kept = self.kept.lock();
        if let Some(first) = kept.first.get_mut(&self.mark).filter(|first| first.turn == self.turn) {
            first.size += answer.len();
            first.stage = Stage::Answered(answer.clone());
            kept.bytes += answer.len();
        }
        drop(kept);
        self.answer.send_replace(Some(answer));
    }
}

impl Drop for Slot {
    fn drop(&mut self) {
        if self.answer.borrow().is_some() {
            return;
        }
        let mut kept = self.kept.lock();
        if kept.first.get(&self.mark).is_some_and(|first| first.turn == self.turn) {
            kept.drop_first(self.mark);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn mark(path: &str) -> Mark {
        Mark::of(Caller([1; 32]), path, b"{}")
    }

    async fn fresh(retried: &Retried, path: &str, again: bool) -> Slot {
        match retried.enter(mark(path), again).await {
            Entry::Fresh(slot) => slot,
            Entry::First(answer) => panic!("an answer: {answer:?}"),
        }
    }

    async fn first(retried: &Retried, path: &str) -> Bytes {
        match retried.enter(mark(path), true).await {
            Entry::First(answer) => answer,
            Entry::Fresh(_) => panic!("no answer"),
        }
    }

    #[test]
    fn key_path_and_body_make_a_mark() {
        let other = [
            Mark::of(Caller([2; 32]), "/a", b"{}"),
            Mark::of(Caller([1; 32]), "/b", b"{}"),
            Mark::of(Caller([1; 32]), "/a", b"{ }"),
            Mark::of(Caller([1; 32]), "/a{", b"}"),
        ];
        assert!(!other.contains(&mark("/a")) && mark("/a") == mark("/a"));
    }

    #[tokio::test]
    async fn a_retry_gets_the_first_answer_and_a_new_request_does_not() {
        let retried = Retried::default();
        fresh(&retried, "/a", false).await.keep("one".into());
        assert_eq!(first(&retried, "/a").await, "one");
        fresh(&retried, "/a", false).await.keep("two".into());
        assert_eq!(first(&retried, "/a").await, "two");
        drop(fresh(&retried, "/b", true).await);
    }

    #[tokio::test]
    async fn a_retry_waits_for_the_first_and_takes_over_when_it_fails() {
        let retried = Retried::default();
        let slot = fresh(&retried, "/a", false).await;
        let (answer, ()) = tokio::join!(first(&retried, "/a"), async { slot.keep("one".into()) });
        assert_eq!(answer, "one");
        let slot = fresh(&retried, "/b", false).await;
        let (second, ()) = tokio::join!(fresh(&retried, "/b", true), async { drop(slot) });
        second.keep("two".into());
        assert_eq!(first(&retried, "/b").await, "two");
    }

    #[tokio::test(start_paused = true)]
    async fn an_answer_is_kept_for_ten_minutes() {
        let retried = Retried::default();
        fresh(&retried, "/a", false).await.keep("one".into());
        tokio::time::advance(KEPT / 2).await;
        assert_eq!(first(&retried, "/a").await, "one");
        tokio::time::advance(KEPT / 2).await;
        drop(fresh(&retried, "/a", true).await);
    }

    #[tokio::test]
    async fn many_small_answers_of_the_last_ten_minutes_are_all_kept() {
        let retried = Retried::default();
        for n in 0..20_000 {
            fresh(&retried, &n.to_string(), false).await.keep("x".into());
        }
        for n in (0..20_000).step_by(1_000) {
            assert_eq!(first(&retried, &n.to_string()).await, "x");
        }
    }

    #[tokio::test]
    async fn answers_are_bounded_in_bytes_and_what_is_worked_on_stays() {
        let retried = Retried::default();
        let working = fresh(&retried, "working", false).await;
        for n in 0..4 {
            let big = Bytes::from(vec![0; limits::RETRIED_POST_BYTES / 2]);
            fresh(&retried, &n.to_string(), false).await.keep(big);
        }
        drop(fresh(&retried, "last", false).await);
        let kept = retried.lock();
        assert!(kept.bytes <= limits::RETRIED_POST_BYTES, "{}", kept.bytes);
        assert_eq!(kept.bytes, kept.first.values().map(|first| first.size).sum::<usize>());
        assert!(kept.first.contains_key(&mark("working")));
        drop(kept);
        drop(working);
    }
}

#[cfg(test)]
#[path = "retried_tests.rs"]
mod doors;
