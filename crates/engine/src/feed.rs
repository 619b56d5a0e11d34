//! Following a session: history, then live, then (when it lagged) history again. One loop serves
//! streams and resumes, and nothing is lost between the two (docs/rules.md 7).

use std::collections::{BTreeSet, VecDeque};
use std::pin::Pin;
use std::sync::Arc;

use kernel::view::Viewer;
use protocol::{
    EventId, SessionId, ThreadId, WorkspaceId,
    event::{Body, Event},
    prompt::DeltaKind,
};
use tokio_util::sync::WaitForCancellationFutureOwned;

use crate::{
    Engine, blobs,
    broadcast::{BroadcastHeard, BroadcastItem},
    counters::WatchedStream,
    fault::{EngineFault, FollowError},
    log,
    published::{LoggedEvent, PublishedCommit, written},
    sessions::WatchedSession,
    summary::SessionSummary,
};

/// Bytes of history read at once, and of frames that wait behind the one being written: what a reader who has
/// stopped reading may hold. The other half is what all of a session's readers have not heard.
const CHUNK: usize = protocol::limits::STALLED_READER_BYTES / 2;

/// Which previews a reader wants (docs/rules.md 7).
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Previews {
    /// Of `agent.message`.
    pub message: bool,
    /// Of `agent.thinking`.
    pub thinking: bool,
}

/// One thing a reader is shown.
#[derive(Debug, Clone, PartialEq)]
pub enum FeedFrame {
    /// A processed event; the reader's cursor moves to it.
    Event(Arc<Event>),
    /// An event that waits in the queue; no cursor moves.
    Queued(Arc<Event>),
    /// An event is being written.
    Start {
        /// The id it will have.
        event: EventId,
        /// What it will be.
        kind: PreviewKind,
    },
    /// More text of an event that is being written.
    Delta {
        /// The id it will have.
        event: EventId,
        /// Which entry of its content.
        index: usize,
        /// The further text.
        text: Arc<str>,
    },
}

/// What is previewed.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum PreviewKind {
    /// An `agent.message`.
    Message,
    /// An `agent.thinking`; it has no deltas.
    Thinking,
}

/// A reader of one session or thread.
#[derive(Debug)]
pub struct Feed {
    engine: Engine,
    ear: Ear,
    /// Ready when the engine stops.
    stop: Pin<Box<WaitForCancellationFutureOwned>>,
    /// What it shows; a thread's stream ends with the thread.
    viewer: Viewer,
    previews: Previews,
    /// The next position to show.
    next: u64,
    /// Whether `flow` cannot be trusted to begin at `next`.
    behind: bool,
    waiting: VecDeque<Waiting>,
    /// Where the event stands that was handed out last; `None`: that was none.
    told: Option<At>,
    /// The beginning of the commit that `next` stands in the middle of: the rest of it was too much to keep.
    within: Option<u64>,
    ended: bool,
    /// The viewer's request that is open at the position `followed`, and the starts forwarded of it.
    request: Option<EventId>,
    followed: u64,
    started: BTreeSet<EventId>,
    _watching: WatchedStream,
}

/// A frame that waits to be taken, and where its event stands in the log.
#[derive(Debug)]
struct Waiting {
    frame: FeedFrame,
    at: Option<At>,
}

/// A place in a session's log.
#[derive(Debug, Clone, Copy)]
struct At {
    position: u64,
    /// Where its commit begins.
    first: u64,
    /// Whether its commit is large.
    large: bool,
}

/// The place in a session's flow.
#[derive(Debug)]
struct Ear {
    live: WatchedSession,
    next: u64,
}

impl Drop for Ear {
    fn drop(&mut self) {
        self.live.flow.leave(self.next);
    }
}

impl Engine {
    /// Follows a session's stream, or with `thread` that thread's own, from behind `after` or from now.
    pub async fn follow(
        &self,
        workspace: WorkspaceId,
        session: SessionId,
        thread: Option<ThreadId>,
        after: Option<EventId>,
        previews: Previews,
    ) -> Result<Feed, FollowError> {
        // Watch first, look second: what is committed in between is seen twice and skipped once.
        let live = self.watch(session);
        let ear = Ear { next: live.flow.listen(), live };
        let head = self.store().head(workspace, session).await?.filter(|head| head.deleted_at.is_none());
        let head = head.ok_or(FollowError::NotFound)?;
        let summary = SessionSummary::read(&head.body)?;
        let primary = summary.primary().ok_or(FollowError::NotFound)?;
        if thread.is_some_and(|thread| !summary.has(thread)) {
            return Err(FollowError::NotFound);
        }
        let viewer = thread.map_or(Viewer::Session { primary }, Viewer::Thread);
        // Of a request that is open already, what begins from now on is shown. Who has it open works on the
        // session in this process, and may be ahead or behind of the head that was read.
        let state = ear.live.current();
        let followed = state.as_ref().map_or(0, |state| state.session.head);
        let request = state.and_then(|state| state.session.thread(thread.unwrap_or(primary))?.request());
        let next = match after {
            None => head.position,
            Some(event) => match log::find(self, session, event).await? {
                Some(post) if post.seen(viewer).is_some() => post.position + 1,
                Some(_) | None => return Err(FollowError::UnknownCursor),
            },
        };
        let over = head.archived_at.is_some() || thread.is_some_and(|thread| summary.is_over(thread));
        let last_word = |post: &LoggedEvent| post.seen(viewer).is_some() && closes(&post.event.body, viewer);
        let closing = if over { log::last(self, session, head.position, last_word).await? } else { None };
        let next = closing.map_or(next, |closing| next.min(closing));
        Ok(Feed {
            engine: self.clone(),
            ear,
            stop: Box::pin(self.stop_token().cancelled_owned()),
            viewer,
            previews,
            next,
            behind: next < head.position,
            waiting: VecDeque::new(),
            told: None,
            within: None,
            ended: false,
            request: request.map(|request| request.id),
            followed,
            started: BTreeSet::new(),
            _watching: self.counters().watching(),
        })
    }
}

/// Whether a request begins or ends with this event.
fn bounds(body: &Body) -> bool {
    matches!(body, Body::SpanModelRequestStart | Body::SpanModelRequestEnd { .. })
}

/// Whether a stream ends with this event.
fn closes(body: &Body, viewer: Viewer) -> bool {
    let own = match viewer {
        Viewer::Session { .. } => None,
        Viewer::Thread(thread) => Some(thread),
    };
    let thread_over = matches!(
        body,
        Body::SessionThreadStatusTerminated { session_thread_id, .. } if Some(*session_thread_id) == own
    );
    thread_over || matches!(body, Body::SessionStatusTerminated | Body::SessionDeleted)
}

impl Feed {
    /// The next frame; waits for it. `None`: the stream is over.
    ///
    /// Dropping the future loses nothing.
    ///
    /// # Errors
    /// The log cannot be read. The reader may come back with its cursor.
    pub async fn next(&mut self) -> Result<Option<FeedFrame>, EngineFault> {
        loop {
            if let Some(Waiting { frame, at }) = self.waiting.front() {
                // Read before it is taken: dropping the future must lose nothing.
                let frame = match frame {
                    FeedFrame::Event(event) if blobs::extra_bytes(event) > 0 => {
                        let _turn = self.engine.reading().turn().await;
                        FeedFrame::Event(
                            blobs::shown(&self.engine, self.ear.live.id, Arc::clone(event)).await,
                        )
                    }
                    FeedFrame::Event(_)
                    | FeedFrame::Queued(_)
                    | FeedFrame::Start { .. }
                    | FeedFrame::Delta { .. } => frame.clone(),
                };
                self.told = *at;
                self.waiting.pop_front();
                return Ok(Some(frame));
            }
            self.told = None;
            if self.ended {
                return Ok(None);
            }
            if self.behind {
                self.catch_up().await?;
                continue;
            }
            let Self { stop, ear: Ear { live, next }, .. } = self;
            let heard = tokio::select! {
                biased;
                heard = live.flow.hear(next) => heard,
                () = stop => {
                    self.ended = true;
                    continue;
                }
            };
            match heard {
                BroadcastHeard::Flow(BroadcastItem::Commit(commit)) if commit.first > self.next => {
                    self.fall_behind();
                }
                BroadcastHeard::Flow(BroadcastItem::Commit(commit)) => self.show(&commit),
                // Nothing is missed: the log has it, and what is told after it stands behind it.
                BroadcastHeard::Flow(BroadcastItem::Moved) => self.behind = true,
                BroadcastHeard::Flow(BroadcastItem::Start { request, event, kind }) => {
                    self.start(request, event, kind);
                }
                BroadcastHeard::Flow(BroadcastItem::Delta { request, event, index, text }) => {
                    if self.request == Some(request) && self.started.contains(&event) {
                        let frame = FeedFrame::Delta { event, index, text };
                        self.waiting.push_back(Waiting { frame, at: None });
                    }
                }
                BroadcastHeard::Flow(BroadcastItem::Doubt) | BroadcastHeard::Lagged => self.fall_behind(),
            }
        }
    }

    /// Takes the event back that was handed out last: it comes again with the next call, and until then
    /// nothing is kept of it. For a reader who has no room for it. False: that was no event, and does not
    /// come again.
    pub fn take_back(&mut self) -> bool {
        let Some(At { position, first, .. }) = self.told.take() else { return false };
        // What waits behind it is of the log as well, and is read again with it.
        self.waiting.clear();
        (self.next, self.within, self.behind, self.ended) = (position, Some(first), true, false);
        true
    }

    /// Whether the event that was handed out last may be large, and is shared then with others who read it.
    pub fn told_of_much(&self) -> bool {
        self.told.is_some_and(|at| at.large)
    }

    /// Some of the flow was missed: the log tells the rest, and no delta follows one that was shed.
    fn fall_behind(&mut self) {
        self.behind = true;
        self.started.clear();
    }

    async fn catch_up(&mut self) -> Result<(), EngineFault> {
        let session = self.ear.live.id;
        let engine = self.engine.clone();
        let (reading, first) = (engine.reading(), self.within.unwrap_or(self.next));
        if let Some(commit) = reading.find(session, first) {
            self.show(&commit);
            return Ok(());
        }
        let _turn = reading.turn().await;
        // Many come at once for a large one, and one of them was the first.
        if let Some(commit) = reading.find(session, first) {
            self.show(&commit);
            return Ok(());
        }
        let rows = self.engine.store().read(session, self.next, CHUNK).await?;
        if rows.is_empty() {
            self.behind = false;
            // Deleted as it was, or purged, while this reader lagged: nobody will ever tell it more.
            let head = self.engine.store().head_of(session).await?;
            self.ended = head.is_none_or(|head| head.deleted_at.is_some());
        }
        for row in &rows {
            let large = row.body.len() > CHUNK;
            // Also by those who have their turn beside this one.
            let shared = large.then(|| reading.find(session, row.first)).flatten();
            let commit = match &shared {
                Some(commit) => Arc::clone(commit),
                None => Arc::new(PublishedCommit::read(row)?),
            };
            self.show(&commit);
            if large && shared.is_none() {
                engine.counters().read_large();
                reading.share(&engine, session, commit);
            }
            if self.within.is_some() {
                break;
            }
        }
        Ok(())
    }

    /// Shows what a commit holds from `next` on, or as much of it as may wait.
    fn show(&mut self, commit: &PublishedCommit) {
        self.within = None;
        let mut waiting = 0;
        for post in &commit.posts {
            // What was there before this reader came may be told after, and what it came for may lie far
            // back: which requests were open is followed once, and in order.
            let (is_known, is_followed) = (post.position < self.next, post.position < self.followed);
            if self.ended || (is_known && (is_followed || !bounds(&post.event.body))) {
                continue;
            }
            let Some(event) = post.seen(self.viewer) else { continue };
            if is_known {
                self.follow(&event);
                continue;
            }
            if commit.bytes > CHUNK {
                waiting += post.written();
                if waiting > CHUNK && !self.waiting.is_empty() {
                    self.next = post.position;
                    self.followed = self.followed.max(post.position);
                    self.within = Some(commit.first);
                    self.behind = true;
                    return;
                }
            }
            let at = Some(At { position: post.position, first: commit.first, large: commit.bytes > CHUNK });
            if post.queued {
                self.waiting.push_back(Waiting { frame: FeedFrame::Queued(event), at });
                continue;
            }
            if !is_followed {
                self.follow(&event);
            }
            self.ended = closes(&event.body, self.viewer);
            self.waiting.push_back(Waiting { frame: FeedFrame::Event(event), at });
        }
        self.next = self.next.max(commit.end);
        self.followed = self.followed.max(commit.end);
    }

    /// Follows which request is open.
    fn follow(&mut self, event: &Event) {
        if event.body == Body::SpanModelRequestStart {
            self.request = Some(event.id);
        } else if matches!(event.body, Body::SpanModelRequestEnd { .. }) {
            self.request = None;
            self.started.clear();
        }
    }

    /// Bytes of the frames that wait to be taken.
    pub fn waiting_bytes(&self) -> usize {
        let bytes = |waiting: &Waiting| match &waiting.frame {
            FeedFrame::Event(event) | FeedFrame::Queued(event) => written(event),
            FeedFrame::Start { .. } => 0,
            FeedFrame::Delta { text, .. } => text.len(),
        };
        self.waiting.iter().map(bytes).sum()
    }

    fn start(&mut self, request: EventId, event: EventId, kind: DeltaKind) {
        let wanted = match kind {
            DeltaKind::Text if self.previews.message => Some(PreviewKind::Message),
            DeltaKind::Thinking if self.previews.thinking => Some(PreviewKind::Thinking),
            DeltaKind::Text | DeltaKind::Thinking | DeltaKind::ToolUse => None,
        };
        if let Some(kind) = wanted
            && self.request == Some(request)
            && self.started.insert(event)
        {
            self.waiting.push_back(Waiting { frame: FeedFrame::Start { event, kind }, at: None });
        }
    }
}
