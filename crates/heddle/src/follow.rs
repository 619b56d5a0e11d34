//! Following a whole session: the own stream of each thread, put together. A stream that is cut goes on where
//! it was, also when the server was killed and is back.

use std::collections::{BTreeMap, VecDeque};

use serde_json::Value;
use tokio::task::JoinSet;

use crate::client::{ApiClient, CallError, EventStream, there};

/// An event, and the thread whose own it is.
#[derive(Debug)]
pub(crate) struct FollowedEvent {
    pub(crate) thread: String,
    pub(crate) event: Value,
}

/// A session being followed.
#[derive(Debug)]
pub(crate) struct SessionFollower {
    caller: ApiClient,
    session: String,
    /// What is known and not told yet.
    ready: VecDeque<FollowedEvent>,
    streams: JoinSet<Result<Heard, CallError>>,
    /// The last event of each thread that was told or is ready.
    last: BTreeMap<String, String>,
}

/// What a thread's stream brought; without an event it has ended.
#[derive(Debug)]
struct Heard {
    thread: String,
    stream: EventStream,
    event: Option<Value>,
}

impl SessionFollower {
    /// Everything that the session holds, in the order in which it happened; then what comes. Goes on where
    /// it was as often as a patient caller finds the server back.
    pub(crate) async fn open(caller: &ApiClient, session: &str) -> Result<Self, CallError> {
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
    pub(crate) async fn next(&mut self) -> Result<Option<FollowedEvent>, CallError> {
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
    pub(crate) fn known(&mut self) -> Option<FollowedEvent> {
        self.ready.pop_front()
    }

    /// A thread that begins is followed from its beginning.
    async fn meet(&mut self, told: &FollowedEvent) -> Result<(), CallError> {
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
            self.ready.push_back(FollowedEvent { thread, event });
        }
        Ok(())
    }

    /// The thread's events so far; its stream is opened behind them.
    async fn begin(&mut self, thread: &str) -> Result<Vec<FollowedEvent>, CallError> {
        let path = format!("/v1/sessions/{}/threads/{thread}/events?limit=1000", self.session);
        let mut told = Vec::new();
        for event in pages(&self.caller, &path).await? {
            if event["processed_at"].is_string() {
                self.note(thread, &event);
                told.push(FollowedEvent { thread: thread.to_owned(), event });
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

    fn wait(&mut self, thread: String, mut stream: EventStream) {
        self.streams.spawn(async move {
            let event = stream.next().await?;
            Ok(Heard { thread, stream, event })
        });
    }

    /// A stream has ended: the thread is over, or the server went away and comes back.
    async fn resume(&mut self, thread: String) -> Result<(), CallError> {
        let path = format!("/v1/sessions/{}/threads/{thread}", self.session);
        match there(self.caller.get(&path).await)? {
            // It may go away between the two.
            Some(state) if state["status"] != "terminated" => there(self.listen(thread).await).map(drop),
            Some(_) | None => Ok(()),
        }
    }
}

fn ends(event: &Value) -> bool {
    matches!(event["type"].as_str(), Some("session.thread_status_terminated" | "session.status_terminated"))
}

fn when(told: &FollowedEvent) -> &str {
    told.event["processed_at"].as_str().unwrap_or_default()
}

/// The session's threads, the primary first.
pub(crate) async fn threads(caller: &ApiClient, session: &str) -> Result<Vec<Value>, CallError> {
    pages(caller, &format!("/v1/sessions/{session}/threads?limit=1000")).await
}

/// All of a list.
pub(crate) async fn pages(caller: &ApiClient, path: &str) -> Result<Vec<Value>, CallError> {
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

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;
    use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
    use tokio::net::TcpListener;

    /// What comes of one request; the connection is closed behind it.
    #[derive(Clone)]
    enum Answer {
        Nothing,
        Half,
        Stopping,
        Json(Value),
        Stream(Vec<Value>),
    }

    impl Answer {
        fn bytes(&self) -> String {
            let head = |status: &str, length: usize| {
                format!("HTTP/1.1 {status}\r\nconnection: close\r\ncontent-length: {length}\r\n\r\n")
            };
            match self {
                Self::Nothing => String::new(),
                Self::Half => head("200 OK", 100) + "{\"data\": [",
                Self::Stopping => head("503 Service Unavailable", 0),
                Self::Json(body) => head("200 OK", body.to_string().len()) + &body.to_string(),
                Self::Stream(events) => {
                    let event = |event: &Value| format!("data: {event}\n\n");
                    let events: String = events.iter().map(event).collect();
                    format!("HTTP/1.1 200 OK\r\nconnection: close\r\n\r\n{events}")
                }
            }
        }
    }

    type Step = (&'static str, Answer);

    /// A session whose stream is cut twice, and which begins a child.
    fn script() -> Vec<Step> {
        let began = json!({"id": "1", "type": "session.thread_created", "session_thread_id": "b", "processed_at": "1"});
        let ended = json!({"id": "2", "type": "session.thread_status_terminated", "processed_at": "2"});
        vec![
            ("threads?limit=1000", Answer::Json(json!({"data": [{"id": "a"}]}))),
            ("threads/a/events?limit=1000", Answer::Json(json!({"data": []}))),
            ("threads/a/stream", Answer::Stream(vec![])),
            ("threads/a", Answer::Json(json!({"status": "running"}))),
            ("threads/a/stream", Answer::Stream(vec![began])),
            ("threads/b/events?limit=1000", Answer::Json(json!({"data": [ended]}))),
            ("threads/a", Answer::Json(json!({"status": "terminated"}))),
        ]
    }

    /// Follows a server that answers so.
    async fn follow(steps: Vec<Step>, patient: bool) -> Result<Vec<String>, CallError> {
        let listener = TcpListener::bind("127.0.0.1:0").await.expect("a port");
        let url = format!("http://{}", listener.local_addr().expect("an address"));
        // Another test may have.
        drop(rustls::crypto::ring::default_provider().install_default());
        let caller = ApiClient::new(&url, "key").expect("a client");
        let caller = if patient { caller.patient() } else { caller };
        let serves = async {
            for (path, answer) in steps {
                let (mut socket, _) = listener.accept().await.expect("it comes");
                let mut head = Vec::new();
                while !head.ends_with(b"\r\n\r\n") {
                    head.push(socket.read_u8().await.expect("a request"));
                }
                let head = String::from_utf8(head).expect("text");
                assert!(head.starts_with(&format!("GET /v1/sessions/s/{path} HTTP")), "{path}: {head}");
                socket.write_all(answer.bytes().as_bytes()).await.expect("it reads");
            }
            std::future::pending().await
        };
        let follows = async {
            let mut told = Vec::new();
            let mut follow = SessionFollower::open(&caller, "s").await?;
            while let Some(FollowedEvent { thread, event }) = follow.next().await? {
                told.push(format!("{thread} {}", event["id"]));
            }
            Ok(told)
        };
        tokio::select! {
            told = follows => told,
            never = serves => never,
        }
    }

    #[tokio::test]
    async fn a_server_that_is_lost_at_any_request_is_waited_for_and_nothing_is_missed() {
        let told = ["a \"1\"", "b \"2\""];
        assert_eq!(follow(script(), true).await.expect("it is there"), told);
        for at in 0..script().len() {
            for lost in [Answer::Nothing, Answer::Stopping, Answer::Half] {
                let mut steps = script();
                let (path, answer) = steps[at].clone();
                if matches!((&lost, &answer), (Answer::Half, Answer::Stream(_))) {
                    // The end of a stream that was open is what is tried anyway.
                    continue;
                }
                steps.insert(at, (path, lost));
                let followed = follow(steps, true).await;
                assert_eq!(followed.unwrap_or_else(|wrong| panic!("{at}: {wrong}")), told, "{at}");
            }
        }
    }

    #[tokio::test]
    async fn who_is_not_patient_is_told_at_once() {
        let steps = vec![(script()[0].0, Answer::Nothing)];
        let wrong = follow(steps, false).await.expect_err("it is away").to_string();
        assert!(wrong.starts_with("cannot reach http://127.0.0.1:"), "{wrong}");
    }
}
