//! What a reader may be shown of an answer that is being written (docs/rules.md 7): a delta only after its
//! start, none after the request's end, and what was shown begins the final message, under its own id.

use std::collections::{BTreeMap, BTreeSet};

use engine::{FeedFrame, PreviewKind};
use protocol::EventId;
use protocol::content::ContentBlock;
use protocol::event::{Body, Event};

use crate::law::law;

/// What one connection knows of its thread's request.
#[derive(Debug, Default, Clone, Copy, PartialEq, Eq)]
enum Request {
    /// It has seen neither a beginning nor an end: one may have been open when it came.
    #[default]
    Unseen,
    Open,
    Over,
}

/// Watches the previews of one connection.
#[derive(Debug, Default)]
pub(super) struct PreviewsReferee {
    request: Request,
    started: BTreeMap<EventId, PreviewKind>,
    /// By entry of an event's content: the text so far.
    texts: BTreeMap<(EventId, usize), String>,
    said: BTreeSet<EventId>,
}

impl PreviewsReferee {
    /// Sees the next frame.
    ///
    /// # Errors
    /// The law it breaks.
    pub(super) fn see(&mut self, frame: &FeedFrame) -> Result<(), String> {
        match frame {
            FeedFrame::Queued(_) => Ok(()),
            FeedFrame::Event(event) => self.event(event),
            FeedFrame::Start { event, kind } => {
                law!(self.request != Request::Over, "previews: {event} starts outside of any request");
                law!(self.started.insert(*event, *kind).is_none(), "previews: {event} starts twice");
                Ok(())
            }
            FeedFrame::Delta { event, index, text } => {
                law!(self.request != Request::Over, "previews: more of {event} after its request ended");
                let started = self.started.get(event) == Some(&PreviewKind::Message);
                law!(started, "previews: more of {event}, which has not started");
                law!(!self.said.contains(event), "previews: more of {event}, which has been said");
                self.texts.entry((*event, *index)).or_default().push_str(text);
                Ok(())
            }
        }
    }

    #[expect(clippy::wildcard_enum_match_arm, reason = "picks a few of forty kinds")]
    fn event(&mut self, event: &Event) -> Result<(), String> {
        self.said.insert(event.id);
        match &event.body {
            Body::SpanModelRequestStart => {
                *self = Self { request: Request::Open, ..Self::default() };
                Ok(())
            }
            Body::SpanModelRequestEnd { is_error, .. } => {
                let lost = self.started.keys().find(|started| !self.said.contains(started));
                let well = *is_error == Some(false);
                law!(!well || lost.is_none(), "previews: {lost:?} was started and never said");
                *self = Self { request: Request::Over, ..Self::default() };
                Ok(())
            }
            Body::AgentMessage { content } => {
                let kind = self.started.get(&event.id);
                law!(kind != Some(&PreviewKind::Thinking), "previews: {} was started as thinking", event.id);
                let all = (event.id, 0)..=(event.id, usize::MAX);
                for ((_, index), text) in self.texts.range(all) {
                    let begins = match content.get(*index) {
                        Some(ContentBlock::Text { text: whole }) => whole.starts_with(text.as_str()),
                        _ => false,
                    };
                    law!(begins, "previews: {text:?} is not how entry {index} of {} begins", event.id);
                }
                Ok(())
            }
            Body::AgentThinking => {
                let kind = self.started.get(&event.id);
                law!(kind != Some(&PreviewKind::Message), "previews: {} was started as a message", event.id);
                Ok(())
            }
            _ => {
                law!(!self.started.contains_key(&event.id), "previews: {} came as another event", event.id);
                Ok(())
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::sync::Arc;

    const REQUEST: EventId = EventId::from_bits(1);
    const MESSAGE: EventId = EventId::from_bits(2);

    fn event(id: EventId, body: Body) -> FeedFrame {
        FeedFrame::Event(Arc::new(Event { id, processed_at: None, body }))
    }

    fn begin() -> FeedFrame {
        event(REQUEST, Body::SpanModelRequestStart)
    }

    fn end() -> FeedFrame {
        let model_usage = protocol::usage::RequestTokens::default().into();
        let body =
            Body::SpanModelRequestEnd { model_request_start_id: REQUEST, is_error: Some(false), model_usage };
        event(EventId::from_bits(3), body)
    }

    fn start() -> FeedFrame {
        FeedFrame::Start { event: MESSAGE, kind: PreviewKind::Message }
    }

    fn delta(text: &str) -> FeedFrame {
        FeedFrame::Delta { event: MESSAGE, index: 0, text: text.into() }
    }

    fn said(text: &str) -> FeedFrame {
        event(MESSAGE, Body::AgentMessage { content: vec![ContentBlock::text(text)] })
    }

    fn judged(frames: &[FeedFrame]) -> bool {
        let mut previewed = PreviewsReferee::default();
        frames.iter().all(|frame| previewed.see(frame).is_ok())
    }

    #[test]
    fn a_preview_that_begins_its_message_is_lawful_whole_or_shed() {
        assert!(judged(&[begin(), start(), delta("ab"), delta("c"), said("abc"), end()]));
        assert!(judged(&[begin(), start(), delta("a"), said("abc"), end()]));
        assert!(judged(&[begin(), said("abc"), end()]));
        assert!(judged(&[start(), delta("ab"), said("abc"), end()]), "of a request that was open already");
    }

    #[test]
    fn previews_out_of_place_are_objected_to() {
        assert!(!judged(&[end(), start()]), "outside of a request");
        assert!(!judged(&[begin(), delta("a")]), "before its start");
        assert!(!judged(&[begin(), start(), start()]), "twice");
        assert!(!judged(&[begin(), start(), end()]), "never said");
        assert!(!judged(&[begin(), start(), said("a"), end(), delta("a")]), "after the end");
        assert!(!judged(&[begin(), start(), delta("a"), delta("c"), said("abc")]), "with a hole");
    }
}
