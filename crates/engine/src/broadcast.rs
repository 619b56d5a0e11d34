//! What a live session tells its watchers: commits and previews, in a ring that is bounded in bytes. Who is
//! too slow for it reads the log instead.

use std::collections::VecDeque;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use protocol::{EventId, limits, prompt::DeltaKind};
use tokio::{sync::Notify, time::Instant};

use crate::{lock::lock, published::PublishedCommit};

/// What a live session tells.
#[derive(Debug, Clone)]
pub(crate) enum BroadcastItem {
    /// A commit has become durable.
    Commit(Arc<PublishedCommit>),
    /// A commit has become durable that is too large to be told: the log tells.
    Moved,
    /// A commit failed and may have become durable all the same: the log tells.
    Doubt,
    /// A block of the answer to `request` began.
    Start { request: EventId, event: EventId, kind: DeltaKind },
    /// More text of it.
    Delta { request: EventId, event: EventId, index: usize, text: Arc<str> },
}

impl BroadcastItem {
    fn bytes(&self) -> usize {
        let more = match self {
            Self::Commit(commit) => commit.bytes,
            Self::Delta { text, .. } => text.len(),
            Self::Moved | Self::Doubt | Self::Start { .. } => 0,
        };
        size_of::<Told>() + more
    }
}

/// The ring of one session, for all its watchers together.
#[derive(Debug, Default)]
pub(crate) struct Broadcast {
    ring: Mutex<Ring>,
    told: Notify,
}

#[derive(Debug, Default)]
struct Ring {
    kept: VecDeque<Told>,
    /// The number of the oldest that is kept.
    first: u64,
    bytes: usize,
    listeners: usize,
}

#[derive(Debug)]
struct Told {
    flow: BroadcastItem,
    bytes: usize,
    at: Instant,
    /// How many have yet to hear it.
    unheard: usize,
}

/// What a listener hears next.
#[derive(Debug)]
pub(crate) enum BroadcastHeard {
    /// This.
    Flow(BroadcastItem),
    /// It was too slow: some of the flow is gone.
    Lagged,
}

impl Broadcast {
    /// Bytes of it that may wait for long: half of what readers may hold, the other half is their own.
    const BYTES: usize = limits::STALLED_READER_BYTES / 2;
    /// Who has not heard a thing for as long has stalled.
    const PROMPT: Duration = Duration::from_millis(250);
    /// Bytes of the largest commit that is told and not left to the log.
    pub(crate) const LARGEST: usize = Self::BYTES / 2;

    /// Whether anybody listens.
    pub(crate) fn is_heard(&self) -> bool {
        lock(&self.ring).listeners > 0
    }

    /// Tells all who listen now. Nobody waits for the slowest of them.
    pub(crate) fn tell(&self, flow: BroadcastItem) {
        {
            let mut ring = lock(&self.ring);
            if ring.listeners == 0 {
                return;
            }
            let (bytes, unheard) = (flow.bytes(), ring.listeners);
            ring.bytes += bytes;
            ring.kept.push_back(Told { flow, bytes, at: Instant::now(), unheard });
            while ring.bytes > limits::FLOW_BURST_BYTES && ring.pop() {}
            ring.age();
        }
        self.told.notify_waiters();
    }

    /// From now on; gives the number of the next that will be told.
    pub(crate) fn listen(&self) -> u64 {
        let mut ring = lock(&self.ring);
        ring.listeners += 1;
        ring.first + ring.kept.len() as u64
    }

    /// What comes at `next`, which then is the number behind it. Dropping the future loses nothing.
    pub(crate) async fn hear(&self, next: &mut u64) -> BroadcastHeard {
        loop {
            // Most often there is something: who hears has just been woken.
            if let Some(heard) = lock(&self.ring).hear(next) {
                return heard;
            }
            let told = self.told.notified();
            let mut told = std::pin::pin!(told);
            // Before the next look, so that nothing is told between the two.
            told.as_mut().enable();
            if let Some(heard) = lock(&self.ring).hear(next) {
                return heard;
            }
            told.await;
        }
    }

    /// Who would have heard all from `next` on listens no more.
    pub(crate) fn leave(&self, next: u64) {
        let mut ring = lock(&self.ring);
        ring.listeners -= 1;
        let unheard = next.saturating_sub(ring.first) as usize;
        for told in ring.kept.iter_mut().skip(unheard) {
            told.unheard -= 1;
        }
        ring.trim();
    }

    /// Lets go of what has waited for long and is too much.
    pub(crate) fn age(&self) {
        lock(&self.ring).age();
    }

    /// Bytes that it keeps.
    pub(crate) fn bytes(&self) -> usize {
        lock(&self.ring).bytes
    }
}

impl Ring {
    fn hear(&mut self, next: &mut u64) -> Option<BroadcastHeard> {
        let Some(place) = next.checked_sub(self.first) else {
            *next = self.first;
            return Some(BroadcastHeard::Lagged);
        };
        let told = self.kept.get_mut(place as usize)?;
        told.unheard -= 1;
        let flow = told.flow.clone();
        *next += 1;
        self.trim();
        Some(BroadcastHeard::Flow(flow))
    }

    /// Lets go of what all have heard.
    fn trim(&mut self) {
        while self.kept.front().is_some_and(|told| told.unheard == 0) && self.pop() {}
    }

    fn age(&mut self) {
        let stalled = |told: &Told| told.at.elapsed() > Broadcast::PROMPT;
        while self.bytes > Broadcast::BYTES && self.kept.front().is_some_and(stalled) && self.pop() {}
    }

    fn pop(&mut self) -> bool {
        let Some(oldest) = self.kept.pop_front() else { return false };
        self.bytes -= oldest.bytes;
        self.first += 1;
        true
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn delta(bytes: usize) -> BroadcastItem {
        let id = EventId::from_bits(1);
        BroadcastItem::Delta { request: id, event: id, index: 0, text: "x".repeat(bytes).into() }
    }

    async fn hears(broadcast: &Broadcast, next: &mut u64) -> Option<usize> {
        match broadcast.hear(next).await {
            BroadcastHeard::Flow(BroadcastItem::Delta { text, .. }) => Some(text.len()),
            BroadcastHeard::Flow(other) => panic!("{other:?}"),
            BroadcastHeard::Lagged => None,
        }
    }

    #[tokio::test]
    async fn what_all_have_heard_is_kept_no_more() {
        let broadcast = Broadcast::default();
        broadcast.tell(delta(1));
        assert!(!broadcast.is_heard());
        let (mut one, mut other) = (broadcast.listen(), broadcast.listen());
        for bytes in [10, 20, 30] {
            broadcast.tell(delta(bytes));
        }
        assert_eq!(
            (hears(&broadcast, &mut one).await, hears(&broadcast, &mut one).await),
            (Some(10), Some(20))
        );
        assert!(broadcast.bytes() > 60, "the other has not heard it");
        assert_eq!(hears(&broadcast, &mut other).await, Some(10));
        broadcast.leave(other);
        assert_eq!(hears(&broadcast, &mut one).await, Some(30));
        assert_eq!(broadcast.bytes(), 0);
        broadcast.leave(one);
        assert!(!broadcast.is_heard());
    }

    #[tokio::test(start_paused = true)]
    async fn a_burst_is_kept_for_a_moment_and_what_waits_longer_is_bounded() {
        let broadcast = Broadcast::default();
        let mut next = broadcast.listen();
        for _ in 0..7 {
            broadcast.tell(delta(30_000));
        }
        assert!(broadcast.bytes() > 210_000);
        broadcast.tell(delta(300_000));
        assert!(broadcast.bytes() <= limits::FLOW_BURST_BYTES, "one that is larger than a burst is not told");
        for _ in 0..7 {
            broadcast.tell(delta(30_000));
        }
        tokio::time::advance(Broadcast::PROMPT * 2).await;
        broadcast.age();
        assert!(broadcast.bytes() <= Broadcast::BYTES);
        assert_eq!(hears(&broadcast, &mut next).await, None);
        assert_eq!(hears(&broadcast, &mut next).await, Some(30_000));
    }

    #[tokio::test(start_paused = true)]
    async fn the_ring_is_bounded_in_bytes_and_who_is_too_slow_is_told() {
        let broadcast = Broadcast::default();
        let mut next = broadcast.listen();
        for bytes in 1_000..1_100 {
            tokio::time::advance(Broadcast::PROMPT).await;
            broadcast.tell(delta(bytes));
            assert!(broadcast.bytes() <= Broadcast::BYTES + 1_200);
        }
        assert_eq!(hears(&broadcast, &mut next).await, None);
        let mut heard = Vec::new();
        while heard.last() != Some(&1_099) {
            heard.extend(hears(&broadcast, &mut next).await);
        }
        assert!(heard.len() > 20 && heard.is_sorted(), "{heard:?}");
        broadcast.tell(delta(limits::FLOW_BURST_BYTES));
        assert_eq!((broadcast.bytes(), hears(&broadcast, &mut next).await), (0, None));
    }

    #[tokio::test]
    async fn who_waits_is_woken() {
        let broadcast = Broadcast::default();
        let mut next = broadcast.listen();
        let (heard, ()) = tokio::join!(hears(&broadcast, &mut next), async {
            tokio::task::yield_now().await;
            broadcast.tell(delta(7));
        });
        assert_eq!(heard, Some(7));
    }
}
