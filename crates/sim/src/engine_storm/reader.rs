//! A reader: follows a session, drops, comes back behind any event, lags. What it is shown must be what the
//! store holds, in order, without a gap, and nothing before it is durable.

use std::time::Duration;

use engine::{Feed, FeedFrame, FollowError, Previews};
use protocol::EventId;
use protocol::event::Event;

use super::place::ActorPlace;
use super::previews::PreviewsReferee;
use super::run_record::{HOME, StreamReader};
use super::session_log::SessionLog;
use crate::dice::Dice;
use crate::law::law;

/// Follows the session for as long as the engine lives.
pub(super) async fn run(place: ActorPlace, mut dice: Dice) {
    let slot = place.book.reader();
    let mut first = true;
    loop {
        match connect(&place, &mut dice, slot, first).await {
            Ok(true) => {}
            Ok(false) => return,
            Err(why) => return place.book.object(place.session, why),
        }
        first = false;
        let pause = if place.book.calm() { 100 } else { dice.below(4_000) };
        tokio::time::sleep(Duration::from_millis(pause)).await;
    }
}

/// One connection, until it is dropped or over. False: there is nothing more to read.
async fn connect(place: &ActorPlace, dice: &mut Dice, slot: usize, first: bool) -> Result<bool, String> {
    place.book.refresh(place.session).await;
    let Some(id) = place.book.id(place.session) else {
        place.book.reads(slot, StreamReader::Nowhere);
        return Ok(true);
    };
    place.book.reads(slot, StreamReader::Away(place.session));
    let after = if first && dice.once_in(2) { None } else { cursor(place, dice) };
    let bogus = after.is_none() && dice.once_in(20);
    let asked =
        if bogus { Some(EventId::minted(u128::from(dice.bits()) << 40, dice.below(40))) } else { after };
    let previews = Previews { message: !dice.once_in(8), thinking: dice.once_in(2) };
    let before = start(place, after);
    let feed = place.engine.follow(HOME, id, None, asked, previews).await;
    place.book.refresh(place.session).await;
    let until = start(place, after);
    let deleted =
        place.book.tale(place.session, |tale| tale.session.deleted_at.is_some()).unwrap_or_default();
    match feed {
        Ok(_) if bogus => Err("cursor: an unknown one is taken".into()),
        Err(FollowError::UnknownCursor) if bogus => Ok(true),
        Ok(feed) => {
            place.book.count(if after.is_some() { "resume" } else { "follow" });
            place.book.reads(slot, StreamReader::At(place.session, before, until));
            let mut stream = Stream { previewed: PreviewsReferee::default(), slot, last: None };
            stream.watch(place, dice, feed).await
        }
        Err(FollowError::NotFound) if deleted => {
            place.book.reads(slot, StreamReader::Done);
            Ok(false)
        }
        Err(why) => Err(format!("cursor: {asked:?} was not taken: {why}")),
    }
}

/// Where a stream behind `after` begins.
fn start(place: &ActorPlace, after: Option<EventId>) -> usize {
    let begin = |tale: &SessionLog| match after {
        Some(event) => tale.behind(event).unwrap_or(usize::MAX),
        None => tale.closed(tale.posts.len()),
    };
    place.book.tale(place.session, begin).unwrap_or(0)
}

/// Where to go on: behind any event, mostly a late one, or from now.
fn cursor(place: &ActorPlace, dice: &mut Dice) -> Option<EventId> {
    if dice.once_in(5) {
        return None;
    }
    let late = dice.once_in(2);
    place.book.tale(place.session, |tale| {
        let first = if late { tale.posts.len().saturating_sub(6) } else { 0 };
        dice.pick(tale.posts.get(first..).unwrap_or_default()).map(|post| post.event.id)
    })?
}

/// One connection.
struct Stream {
    previewed: PreviewsReferee,
    slot: usize,
    last: Option<EventId>,
}

impl Stream {
    async fn watch(&mut self, place: &ActorPlace, dice: &mut Dice, mut feed: Feed) -> Result<bool, String> {
        let slow = dice.once_in(4);
        let mut left = if dice.once_in(3) { dice.below(60) } else { u64::MAX };
        loop {
            if !place.book.calm() {
                if left == 0 {
                    place.book.reads(self.slot, StreamReader::Away(place.session));
                    return Ok(true);
                }
                left -= 1;
                if slow && dice.once_in(10) {
                    place.book.count("slow reader");
                    let span = dice.pick(&[50, 1_000, 30_000, 100_000]).copied().unwrap_or(50);
                    tokio::time::sleep(Duration::from_millis(dice.below(span))).await;
                }
            }
            let frame = if dice.once_in(8) {
                // Dropping the future loses nothing.
                let patience = Duration::from_millis(dice.below(20));
                match tokio::time::timeout(patience, feed.next()).await {
                    Ok(frame) => frame,
                    Err(_) => continue,
                }
            } else {
                feed.next().await
            };
            match frame {
                Ok(Some(frame)) => self.see(place, &frame).await?,
                Ok(None) => return self.end(place).await,
                Err(why) => return Err(format!("stream: {why}")),
            }
        }
    }

    async fn end(&mut self, place: &ActorPlace) -> Result<bool, String> {
        place.book.refresh(place.session).await;
        let closed = place.book.tale(place.session, |tale| {
            tale.posts.iter().any(|post| Some(post.event.id) == self.last && SessionLog::closes(&post.event))
        });
        place.book.reads(self.slot, StreamReader::Done);
        let purged = match place.book.id(place.session) {
            Some(id) => place.book.store().head_of(id).await.is_ok_and(|head| head.is_none()),
            None => false,
        };
        let ended = closed == Some(true) || purged || place.engine.stopping();
        law!(ended, "stream: it ended and the session did not");
        place.book.count("stream ended");
        Ok(false)
    }

    async fn see(&mut self, place: &ActorPlace, frame: &FeedFrame) -> Result<(), String> {
        self.previewed.see(frame)?;
        let (event, queued) = match frame {
            FeedFrame::Event(event) => (event, false),
            FeedFrame::Queued(event) => (event, true),
            FeedFrame::Start { .. } => return Ok(()),
            FeedFrame::Delta { .. } => {
                place.book.count("delta");
                return Ok(());
            }
        };
        self.last = Some(event.id);
        place.book.refresh(place.session).await;
        let StreamReader::At(_, from, to) = place.book.read(self.slot) else {
            return Err("stream: an event after its end".into());
        };
        let found = place.book.tale(place.session, |tale| expected(tale, event, queued, from, to));
        let found = found.unwrap_or_else(|| Err("stream: of no session".into()))?;
        place.book.reads(self.slot, StreamReader::At(place.session, found + 1, found + 1));
        Ok(())
    }
}

/// Where in the tale the event stands, which must be between these places.
fn expected(tale: &SessionLog, event: &Event, queued: bool, from: usize, to: usize) -> Result<usize, String> {
    for place in from..=to.min(tale.posts.len()) {
        if tale.posts.get(place).is_some_and(|post| post.queued == queued && post.event == *event) {
            return Ok(place);
        }
    }
    let due = tale.posts.get(from).map(|post| (post.position, post.event.body.name(), post.event.id));
    let stands = tale.posts.iter().find(|post| post.event.id == event.id && post.queued == queued);
    let why = match stands {
        None => "is not in the log",
        Some(post) if post.event != *event => "is not what the log holds",
        Some(_) => "is out of order",
    };
    Err(format!("stream: {} {} {why}; due was {due:?}", event.body.name(), event.id))
}
