//! Server-sent events, byte for byte (docs/rules.md 7).

use std::io::Write as _;
use std::pin::Pin;
use std::task::{Context, Poll};
use std::time::Duration;

use axum::BoxError;
use bytes::Bytes;
use engine::{EngineFault, Feed, FeedFrame, PreviewKind};
use futures_util::{
    Stream, StreamExt,
    stream::{self, BoxStream},
};
use protocol::{event::Event, limits};
use serde_json::json;
use tokio::time::{Instant, Sleep, sleep};
use tokio_util::sync::{CancellationToken, WaitForCancellationFutureOwned};

use crate::unread::StreamRoom;

/// What a stream says when there is nothing to say.
const HEARTBEAT: &[u8] = b": keep-alive\n\n";

/// How long a reader that sends no more is left alone before it is tried again, at first.
const TRIED: Duration = Duration::from_millis(100);
const BEAT: Duration = Duration::from_secs(limits::HEARTBEAT_S);
/// Room for most records, so that they need not grow.
const RECORD_BYTES: usize = 512;

/// A feed as the records of an answer. One is made when the one before it was taken, and there is room.
pub(crate) fn told(feed: Feed, records: StreamRoom) -> StreamRecords {
    let told = stream::unfold(Some((feed, records)), |told| async {
        let (mut feed, records) = told?;
        match next(&mut feed, &records).await {
            Ok(record) => record.map(|record| (record.map_err(Into::into), Some((feed, records)))),
            Err(fault) => {
                tracing::error!(%fault, "a stream ended early");
                None
            }
        }
    });
    told.boxed()
}

/// The next record, once there is room for it. An event that has to wait for that does not lie about
/// meanwhile, neither as it was read nor as it was written.
async fn next(
    feed: &mut Feed,
    records: &StreamRoom,
) -> Result<Option<Result<Bytes, serde_json::Error>>, EngineFault> {
    let mut room = None;
    loop {
        let Some(mut frame) = feed.next().await?.map(Some) else { return Ok(None) };
        while let Some(shown) = &frame {
            let event = match shown {
                FeedFrame::Event(event) | FeedFrame::Queued(event) => {
                    Some(event).filter(|_| feed.told_of_much())
                }
                FeedFrame::Start { .. } | FeedFrame::Delta { .. } => None,
            };
            if let Some(record) = event.and_then(|event| records.lent(event)) {
                return Ok(Some(Ok(record)));
            }
            let bytes = match record(shown).map(|record| records.counted(event, record, room.take())) {
                Ok(Ok(record)) => return Ok(Some(Ok(record))),
                Ok(Err(bytes)) => bytes,
                Err(wrong) => return Ok(Some(Err(wrong))),
            };
            if feed.take_back() {
                frame = None;
            }
            room = records.room(bytes).await;
        }
    }
}

/// The records of a stream.
pub(crate) type StreamRecords = BoxStream<'static, Result<Bytes, BoxError>>;

/// The records, with a heartbeat whenever there was none for a while, and when their reader sends no more:
/// one that is only done with asking reads on, and one that is gone is noticed by the second. Of these the
/// first comes at once, and the others ever more seldom.
pub(crate) struct BeatingRecords {
    told: StreamRecords,
    /// Ready when the reader sends no more; `None`: it was.
    left: Option<Pin<Box<WaitForCancellationFutureOwned>>>,
    /// How long it may be silent.
    pause: Duration,
    /// When something came last.
    last: Instant,
    /// Goes off no later than the next heartbeat is due.
    alarm: Pin<Box<Sleep>>,
}

impl BeatingRecords {
    pub(crate) fn new(told: StreamRecords, left: CancellationToken) -> Self {
        let left = Some(Box::pin(left.cancelled_owned()));
        Self { told, left, pause: BEAT, last: Instant::now(), alarm: Box::pin(sleep(BEAT)) }
    }

    fn beat(&mut self, pause: Duration) -> Poll<Option<Result<Bytes, BoxError>>> {
        (self.pause, self.last) = (pause, Instant::now());
        self.alarm.as_mut().reset(self.last + pause);
        Poll::Ready(Some(Ok(Bytes::from_static(HEARTBEAT))))
    }
}

impl Stream for BeatingRecords {
    type Item = Result<Bytes, BoxError>;

    fn poll_next(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Option<Self::Item>> {
        let this = self.get_mut();
        if let Poll::Ready(record) = this.told.as_mut().poll_next(cx) {
            this.last = Instant::now();
            return Poll::Ready(record);
        }
        if this.left.as_mut().is_some_and(|left| left.as_mut().poll(cx).is_ready()) {
            this.left = None;
            return this.beat(TRIED);
        }
        while this.alarm.as_mut().poll(cx).is_ready() {
            let due = this.last + this.pause;
            if due <= Instant::now() {
                return this.beat((this.pause * 2).min(BEAT));
            }
            this.alarm.as_mut().reset(due);
        }
        Poll::Pending
    }
}

/// One frame as a record. Only what moves the reader's cursor has an `id:` line.
fn record(frame: &FeedFrame) -> Result<Bytes, serde_json::Error> {
    let mut record = Vec::with_capacity(RECORD_BYTES);
    record.extend_from_slice(b"event: message\n");
    match frame {
        FeedFrame::Event(event) => {
            writeln!(record, "id: {}", event.id).map_err(serde_json::Error::io)?;
            data::<Event>(&mut record, event)?;
        }
        FeedFrame::Queued(event) => data::<Event>(&mut record, event)?,
        FeedFrame::Start { event, kind } => {
            let kind = match kind {
                PreviewKind::Message => "agent.message",
                PreviewKind::Thinking => "agent.thinking",
            };
            data(&mut record, &json!({"type": "event_start", "event": {"type": kind, "id": event}}))?;
        }
        FeedFrame::Delta { event, index, text } => {
            let content = json!({"type": "text", "text": &**text});
            let delta = json!({"type": "content_delta", "index": index, "content": content});
            data(&mut record, &json!({"type": "event_delta", "event_id": event, "delta": delta}))?;
        }
    }
    Ok(record.into())
}

/// JSON has no line break of its own, so one `data:` line holds it.
fn data<T: serde::Serialize>(record: &mut Vec<u8>, value: &T) -> Result<(), serde_json::Error> {
    record.extend_from_slice(b"data: ");
    serde_json::to_writer(&mut *record, value)?;
    record.extend_from_slice(b"\n\n");
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;
    use protocol::{EventId, Timestamp, content::ContentBlock, event::Body as Said};
    use std::sync::Arc;
    use tokio::time::Instant;

    fn text(frame: &FeedFrame) -> String {
        String::from_utf8(record(frame).unwrap().to_vec()).unwrap()
    }

    fn message(processed_at: Option<Timestamp>) -> Arc<Event> {
        let body = Said::UserMessage { content: vec![ContentBlock::text("a\nb")] };
        Arc::new(Event { id: EventId::from_bits(0), processed_at, body })
    }

    #[test]
    fn a_processed_event_has_an_id_line_and_a_queued_one_has_none() {
        let said = r#""type":"user.message","content":[{"type":"text","text":"a\nb"}]"#;
        assert_eq!(
            text(&FeedFrame::Event(message(Some(Timestamp::from_micros(1))))),
            format!(
                "event: message\nid: sevt_1111111111111111111111\ndata: {{\"id\":\"sevt_1111111111111111111111\",\
                 \"processed_at\":\"1970-01-01T00:00:00.000001Z\",{said}}}\n\n"
            )
        );
        assert_eq!(
            text(&FeedFrame::Queued(message(None))),
            format!(
                "event: message\ndata: {{\"id\":\"sevt_1111111111111111111111\",\"processed_at\":null,{said}}}\n\n"
            )
        );
    }

    #[test]
    fn previews_have_the_published_shape() {
        let event = EventId::from_bits(0);
        assert_eq!(
            text(&FeedFrame::Start { event, kind: PreviewKind::Thinking }),
            "event: message\ndata: {\"type\":\"event_start\",\"event\":{\"type\":\"agent.thinking\",\
             \"id\":\"sevt_1111111111111111111111\"}}\n\n"
        );
        assert_eq!(
            text(&FeedFrame::Delta { event, index: 1, text: "hi".into() }),
            "event: message\ndata: {\"type\":\"event_delta\",\"event_id\":\"sevt_1111111111111111111111\",\
             \"delta\":{\"type\":\"content_delta\",\"index\":1,\"content\":{\"type\":\"text\",\"text\":\"hi\"}}}\n\n"
        );
    }

    /// Milliseconds between what comes and what came before it.
    async fn pause(told: &mut BeatingRecords, what: &[u8]) -> u128 {
        let before = Instant::now();
        assert_eq!(told.next().await.unwrap().unwrap(), what);
        before.elapsed().as_millis()
    }

    #[tokio::test(start_paused = true)]
    async fn a_reader_that_sends_no_more_is_tried_at_once_and_ever_more_seldom() {
        let left = CancellationToken::new();
        let (said, says) = tokio::sync::mpsc::channel(1);
        let records = stream::unfold(says, |mut says| async move { Some((says.recv().await?, says)) });
        let mut told = BeatingRecords::new(records.boxed(), left.clone());
        for _ in 0..3 {
            assert_eq!(pause(&mut told, HEARTBEAT).await, 10_000, "who may ask on is not tried");
        }
        left.cancel();
        let mut pauses = Vec::new();
        for _ in 0..10 {
            pauses.push(pause(&mut told, HEARTBEAT).await);
        }
        assert_eq!(pauses, [0, 100, 200, 400, 800, 1_600, 3_200, 6_400, 10_000, 10_000]);
        said.send(Ok(Bytes::from_static(b"record"))).await.unwrap();
        assert_eq!(pause(&mut told, b"record").await, 0);
        drop(said);
        assert!(told.next().await.is_none());
    }

    #[tokio::test(start_paused = true)]
    async fn silence_beats_and_no_record_is_lost_to_a_beat() {
        let records = stream::unfold(0, |n| async move {
            tokio::time::sleep(Duration::from_secs(25)).await;
            (n < 2).then(|| (Ok(Bytes::from(n.to_string())), n + 1))
        });
        let beating = BeatingRecords::new(records.boxed(), CancellationToken::new());
        let told: Vec<_> = beating.map(Result::unwrap).collect().await;
        let beat = Bytes::from_static(HEARTBEAT);
        let expected = [&beat, &beat, &Bytes::from("0"), &beat, &beat, &Bytes::from("1"), &beat, &beat];
        assert_eq!(told.iter().collect::<Vec<_>>(), expected);
    }
}
