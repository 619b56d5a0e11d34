//! Following a whole session: the own stream of each thread, put together. A stream that is cut goes on where
//! it was, also when the server was killed and is back.

use std::collections::{BTreeMap, VecDeque};
use std::time::Duration;

use serde_json::Value;
use tokio::task::JoinSet;

use crate::{
    client::{CallError, Caller, Stream, there},
    tree,
};

/// Between two attempts to reach a server that is away, and how often it is tried: for a minute, since one
/// that ends in order and is started again may take longer than half of it.
const PAUSE: Duration = Duration::from_millis(200);
const ATTEMPTS: u32 = 300;

/// An event, and the thread whose own it is.
#[derive(Debug)]
pub(crate) struct Told {
    pub(crate) thread: String,
    pub(crate) event: Value,
}

/// A session being followed.
#[derive(Debug)]
pub(crate) struct Follow {
    caller: Caller,
    session: String,
    /// What is known and not told yet.
    ready: VecDeque<Told>,
    streams: JoinSet<Result<Heard, CallError>>,
    /// The last event of each thread that was told or is ready.
    last: BTreeMap<String, String>,
}

/// What a thread's stream brought; without an event it has ended.
#[derive(Debug)]
struct Heard {
    thread: String,
    stream: Stream,
    event: Option<Value>,
}

impl Follow {
    /// Everything that the session holds, in the order in which it happened; then what comes.
    pub(crate) async fn open(caller: &Caller, session: &str) -> Result<Self, CallError> {
        let mut follow = Self {
            caller: caller.clone(),
            session: session.to_owned(),
            ready: VecDeque::new(),
            streams: JoinSet::new(),
            last: BTreeMap::new(),
        };
        let mut told = Vec::new();
        for thread in threads(caller, session).await? {
            if let Some(id) = thread["id"].as_str() {
                told.extend(follow.begin(id).await?);
            }
        }
        told.sort_by(|one, other| when(one).cmp(when(other)));
        follow.ready.extend(told);
        Ok(follow)
    }

    /// The next event; `None` when every thread is over.
    pub(crate) async fn next(&mut self) -> Result<Option<Told>, CallError> {
        loop {
            if let Some(told) = self.ready.pop_front() {
                self.meet(&told).await?;
                return Ok(Some(told));
            }
            let Some(heard) = self.streams.join_next().await else { return Ok(None) };
            let heard = heard.map_err(|wrong| CallError::Unreadable(wrong.to_string()))??;
            self.hear(heard).await?;
        }
    }

    /// What is there to be told without waiting.
    pub(crate) fn known(&mut self) -> Option<Told> {
        self.ready.pop_front()
    }

    /// A thread that begins is followed from its beginning.
    async fn meet(&mut self, told: &Told) -> Result<(), CallError> {
        let child = told.event["session_thread_id"]
            .as_str()
            .filter(|_| told.event["type"] == "session.thread_created");
        if let Some(child) = child.filter(|child| !self.last.contains_key(*child)) {
            // A session that is deleted meanwhile says so on the streams that are open.
            let told = there(self.begin(child).await)?;
            self.ready.extend(told.into_iter().flatten());
        }
        Ok(())
    }

    async fn hear(&mut self, heard: Heard) -> Result<(), CallError> {
        let Heard { thread, stream, event } = heard;
        let Some(event) = event else { return self.resume(thread).await };
        self.wait(thread.clone(), stream);
        // A copy of what waits in a queue has no time yet.
        if event["processed_at"].is_string() {
            self.note(&thread, &event);
            self.ready.push_back(Told { thread, event });
        }
        Ok(())
    }

    /// The thread's events so far; its stream is opened behind them.
    async fn begin(&mut self, thread: &str) -> Result<Vec<Told>, CallError> {
        let path = format!("/v1/sessions/{}/threads/{thread}/events?limit=1000", self.session);
        let mut told = Vec::new();
        for event in pages(&self.caller, &path).await? {
            if event["processed_at"].is_string() {
                self.note(thread, &event);
                told.push(Told { thread: thread.to_owned(), event });
            }
        }
        self.last.entry(thread.to_owned()).or_default();
        if !told.last().is_some_and(|told| ends(&told.event)) {
            self.listen(thread.to_owned()).await?;
        }
        Ok(told)
    }

    fn note(&mut self, thread: &str, event: &Value) {
        if let Some(id) = event["id"].as_str() {
            self.last.insert(thread.to_owned(), id.to_owned());
        }
    }

    async fn listen(&mut self, thread: String) -> Result<(), CallError> {
        let path = format!("/v1/sessions/{}/threads/{thread}/stream", self.session);
        let last = self.last.get(&thread).filter(|last| !last.is_empty()).map(String::as_str);
        let stream = self.caller.stream(&path, last).await?;
        self.wait(thread, stream);
        Ok(())
    }

    fn wait(&mut self, thread: String, mut stream: Stream) {
        self.streams.spawn(async move {
            let event = stream.next().await?;
            Ok(Heard { thread, stream, event })
        });
    }

    /// A stream has ended: the thread is over, or the server went away and comes back.
    async fn resume(&mut self, thread: String) -> Result<(), CallError> {
        let path = format!("/v1/sessions/{}/threads/{thread}", self.session);
        for attempt in 0..ATTEMPTS {
            let state = match self.caller.get(&path).await {
                Err(CallError::Refused { status: 503, .. } | CallError::Unreachable { .. }) => {
                    if attempt == 0 {
                        tree::remark("the server is gone; trying again for a minute");
                    }
                    tokio::time::sleep(PAUSE).await;
                    continue;
                }
                state => state,
            };
            if attempt > 0 {
                tree::remark("the server is back; the session goes on after the last event you saw");
            }
            return match there(state)? {
                Some(state) if state["status"] != "terminated" => there(self.listen(thread).await).map(drop),
                Some(_) | None => Ok(()),
            };
        }
        self.caller.get(&path).await.map(drop)
    }
}

fn ends(event: &Value) -> bool {
    matches!(event["type"].as_str(), Some("session.thread_status_terminated" | "session.status_terminated"))
}

fn when(told: &Told) -> &str {
    told.event["processed_at"].as_str().unwrap_or_default()
}

/// The session's threads, the primary first.
pub(crate) async fn threads(caller: &Caller, session: &str) -> Result<Vec<Value>, CallError> {
    pages(caller, &format!("/v1/sessions/{session}/threads?limit=1000")).await
}

/// All of a list.
pub(crate) async fn pages(caller: &Caller, path: &str) -> Result<Vec<Value>, CallError> {
    let mut found = Vec::new();
    let mut page = String::new();
    loop {
        let mut list = caller.get(&format!("{path}{page}")).await?;
        if let Some(Value::Array(data)) = list.get_mut("data").map(Value::take) {
            found.extend(data);
        }
        let Some(next) = list["next_page"].as_str() else { return Ok(found) };
        page = format!("&page={next}");
    }
}
