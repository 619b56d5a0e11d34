//! Answers that nobody has read yet: a request waits for room for its answer before it is worked on, and what
//! it is answered with has room until the last byte is on the wire or thrown away.
//!
//! Small answers have a lane of their own, so that they never wait behind pages; and while pages that nobody
//! reads are in the way, further ones are made as short as small answers.

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, PoisonError, Weak};
use std::time::Duration;

use bytes::Bytes;
use protocol::{event::Event, limits};

use crate::{
    auth::CallerKey,
    error::ApiProblem,
    lane::{ByteLane, InTheWay, LaneRoom},
};

/// How long a request waits for room for its answer.
const WAIT: Duration = Duration::from_secs(limits::ANSWER_WAIT_S);

/// All answers that are made or unread.
#[derive(Debug)]
pub(crate) struct UnreadAnswers {
    large: Arc<ByteLane>,
    small: Arc<ByteLane>,
    lent: Arc<Lent>,
}

/// Large records that are unread, by key and length: a stream whose next record is one of them lends that.
type Lent = Mutex<BTreeMap<(CallerKey, usize), (Weak<Event>, Weak<Counted>)>>;

/// What an endpoint answers with.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum AnswerShape {
    /// A page of a list, or the like: as large as a page may be.
    Page,
    /// One thing, which is small most of the time.
    Thing,
}

/// Room for an answer that is being made.
#[derive(Debug)]
pub(crate) struct AnswerPlace {
    large: Arc<ByteLane>,
    caller: CallerKey,
    turn: LaneRoom,
    /// Bytes that a page may have, if it is one.
    pub(crate) page_bytes: usize,
}

/// Room for the records of one stream. Small ones need none: a stream has one at a time.
#[derive(Debug, Clone)]
pub(crate) struct StreamRoom {
    large: Arc<ByteLane>,
    lent: Arc<Lent>,
    caller: CallerKey,
}

/// A record of several streams.
struct Loan(Arc<Counted>);

impl AsRef<[u8]> for Loan {
    fn as_ref(&self) -> &[u8] {
        &self.0.bytes
    }
}

/// Bytes that have their room.
#[derive(Debug)]
struct Counted {
    bytes: Bytes,
    _room: Room,
}

/// A turn of this lane, and one of the bodies' in its stead.
type Room = (Option<LaneRoom>, Option<LaneRoom>);

impl AsRef<[u8]> for Counted {
    fn as_ref(&self) -> &[u8] {
        &self.bytes
    }
}

impl Default for UnreadAnswers {
    fn default() -> Self {
        Self {
            large: ByteLane::new(limits::ANSWERS_LARGE_BYTES, limits::ANSWERS_LARGE_BYTES_PER_KEY),
            small: ByteLane::new(limits::ANSWERS_SMALL_BYTES, limits::ANSWERS_SMALL_BYTES_PER_KEY),
            lent: Arc::default(),
        }
    }
}

impl UnreadAnswers {
    /// Waits until an answer of this shape may be made.
    ///
    /// # Errors
    /// 429 when what the key itself has not read is in the way for too long, 529 when others' answers are.
    pub(crate) async fn place(
        &self,
        caller: CallerKey,
        shape: AnswerShape,
    ) -> Result<AnswerPlace, ApiProblem> {
        let place =
            |turn, page_bytes| AnswerPlace { large: Arc::clone(&self.large), caller, turn, page_bytes };
        let short = limits::ANSWER_SMALL_BYTES;
        // While a page is made, its items lie beside it.
        let bytes = match shape {
            AnswerShape::Page => match self.large.now(caller, 2 * limits::PAGE_BYTES) {
                Ok(turn) => return Ok(place(turn, limits::PAGE_BYTES)),
                Err(_) => 2 * short,
            },
            AnswerShape::Thing => short,
        };
        Ok(place(self.small.turn(caller, bytes, WAIT).await.map_err(full)?, short))
    }

    /// Room for the records of a stream of this key.
    pub(crate) fn records(&self, caller: CallerKey) -> StreamRoom {
        StreamRoom { large: Arc::clone(&self.large), lent: Arc::clone(&self.lent), caller }
    }
}

impl AnswerPlace {
    /// The answer, which keeps so much of the place as it needs.
    ///
    /// # Errors
    /// 429 and 529 where it is larger than the place, and there is no room for it.
    pub(crate) fn read(self, answer: Bytes) -> Result<Bytes, ApiProblem> {
        let Self { large, caller, mut turn, .. } = self;
        if answer.len() > turn.bytes() {
            // One event may be larger than a page. Its own place must not be what is in its way.
            drop(turn);
            turn = large.now(caller, answer.len()).map_err(full)?;
        }
        turn.keep(answer.len());
        Ok(counted(answer, (Some(turn), None)))
    }

    /// The same of what was done and cannot be refused any more. Where it is larger than the place and there
    /// is no room for it, it keeps that of the body that it answers, which is the larger one most often.
    pub(crate) fn done(self, answer: Bytes, body: Option<LaneRoom>) -> Bytes {
        let Self { large, caller, mut turn, .. } = self;
        let mut instead = None;
        if answer.len() > turn.bytes() {
            match large.now(caller, answer.len()) {
                Ok(room) => turn = room,
                Err(_) => instead = body,
            }
        }
        turn.keep(answer.len());
        counted(answer, (Some(turn), instead))
    }
}

impl StreamRoom {
    /// The record of this very event, if another stream of the key has it unread.
    pub(crate) fn lent(&self, event: &Arc<Event>) -> Option<Bytes> {
        let lent = self.lent.lock().unwrap_or_else(PoisonError::into_inner);
        let mut own = lent.range((self.caller, 0)..=(self.caller, usize::MAX));
        // It is there as long as its place is remembered: no other event can be at the same.
        let (_, (_, counted)) = own.find(|(_, (of, _))| std::ptr::eq(of.as_ptr(), Arc::as_ptr(event)))?;
        counted.upgrade().map(|counted| Bytes::from_owner(Loan(counted)))
    }

    /// The record of an event, with its room where it needs any: that of the same record of another stream of
    /// the key, or this one, or what there is now.
    ///
    /// # Errors
    /// The bytes that there is no room for. Nothing is kept of the record.
    pub(crate) fn counted(
        &self,
        event: Option<&Arc<Event>>,
        record: Bytes,
        room: Option<LaneRoom>,
    ) -> Result<Bytes, usize> {
        let bytes = record.len();
        if bytes <= limits::ANSWER_SMALL_BYTES {
            return Ok(record);
        }
        let place = (self.caller, bytes);
        let lent = || self.lent.lock().unwrap_or_else(PoisonError::into_inner);
        let same = lent().get(&place).and_then(|(_, counted)| counted.upgrade());
        if let Some(same) = same.filter(|same| same.bytes == record) {
            return Ok(Bytes::from_owner(Loan(same)));
        }
        let of_a_key = limits::ANSWERS_LARGE_BYTES_PER_KEY;
        let mut turn = match room.filter(|room| room.bytes() >= bytes.min(of_a_key)) {
            Some(room) => room,
            None => self.large.now(self.caller, bytes).map_err(|_| bytes)?,
        };
        turn.keep(bytes);
        let counted = Arc::new(Counted { bytes: record, _room: (Some(turn), None) });
        let event = event.map(Arc::downgrade).unwrap_or_default();
        let mut lent = lent();
        lent.retain(|_, (_, counted)| counted.strong_count() > 0);
        lent.insert(place, (event, Arc::downgrade(&counted)));
        drop(lent);
        Ok(Bytes::from_owner(Loan(counted)))
    }

    /// Waits for room for so many bytes.
    pub(crate) async fn room(&self, bytes: usize) -> Option<LaneRoom> {
        self.large.turn(self.caller, bytes, Duration::MAX).await.ok()
    }
}

fn counted(bytes: Bytes, room: Room) -> Bytes {
    Bytes::from_owner(Counted { bytes, _room: room })
}

fn full(who: InTheWay) -> ApiProblem {
    who.problem(
        "this key has as many bytes of answers unread as one key may; read them, then try again",
        "as many bytes of answers as the server keeps are unread; try again in a moment",
        limits::ANSWER_WAIT_S,
    )
}

#[cfg(test)]
mod tests {
    use super::*;
    use futures_util::FutureExt;

    const KEY: CallerKey = CallerKey([1; 32]);
    const PAGES: usize = limits::ANSWERS_LARGE_BYTES_PER_KEY / limits::PAGE_BYTES;

    fn page() -> Bytes {
        Bytes::from(vec![b'x'; limits::PAGE_BYTES])
    }

    #[tokio::test(start_paused = true)]
    async fn behind_unread_pages_further_ones_are_short_and_nothing_waits() {
        let unread = UnreadAnswers::default();
        let place =
            async |caller, shape| unread.place(caller, shape).now_or_never().expect("at once").expect("room");
        let mut pages = Vec::new();
        while let whole = place(KEY, AnswerShape::Page).await
            && whole.page_bytes == limits::PAGE_BYTES
        {
            pages.push(whole.read(page()).expect("it fits"));
        }
        // While the last one is made there must be room for two.
        assert_eq!(pages.len(), PAGES - 1);
        let short = place(KEY, AnswerShape::Page).await;
        let bytes = short.page_bytes;
        assert_eq!(bytes, limits::ANSWER_SMALL_BYTES);
        let _short = short.read(Bytes::from(vec![b'x'; 2 * bytes])).expect("its items may lie beside it");
        // One thing that is larger than a short page needs the room that is not there.
        let mut things = Vec::new();
        let told = loop {
            match place(KEY, AnswerShape::Page).await.read(page()) {
                Ok(thing) => things.push(thing),
                Err(told) => break told,
            }
        };
        assert_eq!((told.status.as_u16(), told.wait_s), (429, Some(limits::ANSWER_WAIT_S)));
        drop(place(KEY, AnswerShape::Thing).await.read(Bytes::from_static(b"small")));
        let others = place(CallerKey([2; 32]), AnswerShape::Page).await;
        assert_eq!(others.page_bytes, limits::PAGE_BYTES, "others have theirs");
        // A piece of a page holds all of it.
        things.extend(pages.pop().map(|page| page.slice(..1)));
        assert_eq!(place(KEY, AnswerShape::Page).await.page_bytes, bytes);
        things.clear();
        assert_eq!(place(KEY, AnswerShape::Page).await.page_bytes, limits::PAGE_BYTES);
    }

    #[tokio::test(start_paused = true)]
    async fn one_event_that_is_larger_than_what_a_key_may_have_unread_is_shown_where_nothing_else_is() {
        let unread = UnreadAnswers::default();
        let event = || Bytes::from(vec![b'x'; limits::ANSWERS_LARGE_BYTES_PER_KEY + 1]);
        let place = async || unread.place(KEY, AnswerShape::Page).await.expect("room");
        let shown = place().await.read(event()).expect("nothing is in the way");
        assert!(place().await.read(event()).is_err(), "the first is unread");
        drop(shown);
        assert!(place().await.read(event()).is_ok());
    }

    #[tokio::test(start_paused = true)]
    async fn a_large_thing_needs_the_room_of_a_page_and_what_was_done_is_answered_all_the_same() {
        let unread = UnreadAnswers::default();
        let place = async || unread.place(KEY, AnswerShape::Thing).await.expect("room");
        let mut things = Vec::new();
        while let Ok(thing) = place().await.read(page()) {
            things.push(thing);
        }
        assert_eq!(things.len(), PAGES);
        let body = ByteLane::new(10, 10).now(KEY, 10).expect("a turn");
        let done = place().await.done(page(), Some(body));
        assert_eq!(done.len(), limits::PAGE_BYTES);
        let mut small = Vec::new();
        while let Ok(place) = unread.place(KEY, AnswerShape::Thing).await {
            small.push(place.done(Bytes::from(vec![b'x'; limits::ANSWER_SMALL_BYTES]), None));
        }
        let places = limits::ANSWERS_SMALL_BYTES_PER_KEY / limits::ANSWER_SMALL_BYTES;
        assert_eq!(small.len(), places - 1, "what has no room of its own keeps its place");
    }

    #[tokio::test(start_paused = true)]
    async fn a_large_record_needs_room_and_a_small_one_does_not() {
        let unread = UnreadAnswers::default();
        let records = unread.records(KEY);
        let record = |number: usize| {
            let bytes = [vec![b'x'; limits::PAGE_BYTES - 1], vec![number as u8]].concat();
            Bytes::from(bytes)
        };
        let mut held = Vec::new();
        while let Ok(record) = records.counted(None, record(held.len()), None) {
            held.push(record);
        }
        assert_eq!(held.len(), PAGES);
        assert_eq!(records.counted(None, record(PAGES), None), Err(limits::PAGE_BYTES));
        assert!(records.counted(None, Bytes::from_static(b"small"), None).is_ok());
        let room = records.room(limits::PAGE_BYTES);
        let (room, ()) = tokio::join!(room, async { drop(held.pop()) });
        assert_eq!(
            records.counted(None, record(PAGES), None),
            Err(limits::PAGE_BYTES),
            "it is for one who waited"
        );
        assert_eq!(records.counted(None, record(PAGES), room), Ok(record(PAGES)));
    }

    #[tokio::test(start_paused = true)]
    async fn one_record_of_many_streams_has_room_once_for_each_key() {
        let unread = UnreadAnswers::default();
        let free = || unread.large.now(CallerKey([9; 32]), 1).map(drop);
        let count = |key: u8| {
            let records = unread.records(CallerKey([key; 32]));
            let told = (0..3).map(move |_| records.counted(None, page(), None).expect("room"));
            told.collect::<Vec<_>>()
        };
        let mut held: Vec<_> = (0..24).map(count).collect();
        let places: std::collections::BTreeSet<_> =
            held.iter().flatten().map(|record| record.as_ptr()).collect();
        assert_eq!(places.len(), 24);
        assert!(free().is_err(), "each of 24 keys has a record of 8 MiB, and there is room for 192");
        let kept = held.pop().and_then(|mut records| records.pop());
        assert!(free().is_err(), "the last one that is lent holds it");
        drop(kept);
        assert!(free().is_ok());
        held.clear();
        assert!(count(1).len() == 3 && unread.lent.lock().expect("no panic").len() == 1);
    }
}
