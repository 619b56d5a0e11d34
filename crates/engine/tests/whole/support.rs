//! What the engine's tests share: a model that answers what it is told, and an engine around it.

use std::collections::VecDeque;
use std::sync::{
    Arc, Mutex,
    atomic::{AtomicBool, Ordering},
};

use engine::{
    Clock, Engine, EngineParts, EventQuery, Feed, FeedFrame, ListOrder, NewSession, Previews, SeededEntropy,
    TimeRange,
};
use futures_util::future::BoxFuture;
use kernel::Input;
use models::ModelClient;
use protocol::{
    Object, SessionId, Timestamp, WorkspaceId,
    agent::{AgentDefinition, ExecutionIdentity, SessionAgent},
    content::ContentBlock,
    event::Event,
    input::ClientEvent,
    model::ModelConfig,
    prompt::{
        AnswerBlock, AnswerDelta, AnswerOrigin, AnswerStop, DeltaKind, FailureClass, ModelAnswer,
        ModelFailure, OpaqueState, Prompt, ProviderMember, Toolbox,
    },
    routes::RouteProvider,
    routes::{Route, Routes},
    tool::{AgentTool, BuiltinName, CustomTool, PermissionPolicy, ToolConfig, ToolDefault, Toolset},
    usage::RequestTokens,
};
use store::Store;
use tokio::sync::Notify;
use tools::{BeginCall, ToolCall, ToolOutcome, ToolRunner};

pub(crate) const HOME: WorkspaceId = WorkspaceId::from_bits(1);
pub(crate) const BEGAN: Timestamp = Timestamp::from_micros(1_800_000_000_000_000);

/// One thing the model does when it is asked.
#[derive(Debug)]
pub(crate) enum Act {
    Say(&'static [&'static str]),
    /// Says the first piece, and the rest once it is told to go on.
    Halt(&'static [&'static str]),
    /// Says the first text, and once it is told to go on, thinks and says the second.
    Mused(&'static str, &'static str),
    Call(&'static str),
    /// Calls several tools in one answer.
    Calls(&'static [&'static str]),
    /// The same, once it is told to go on.
    Held(&'static str),
    /// Calls a tool, and puts this beside the call and beside the message.
    Signed(&'static str, &'static str),
    Fail(FailureClass),
    Hang,
    Panic,
}

/// A model that does one act after the other, and says "ok" when it has none left.
#[derive(Debug, Default)]
pub(crate) struct Puppet {
    pub(crate) acts: Mutex<VecDeque<Act>>,
    pub(crate) prompts: Mutex<Vec<Prompt>>,
    /// Told whenever it is asked.
    pub(crate) asked: Notify,
    /// Lets a held answer go.
    pub(crate) go: Notify,
    /// Told when an ask that hung is cut.
    pub(crate) cut: Arc<Notify>,
}

struct Cut(Arc<Notify>);

impl Drop for Cut {
    fn drop(&mut self) {
        self.0.notify_one();
    }
}

/// Two texts with a thought between them.
fn mused(first: &str, second: &str) -> Vec<AnswerBlock> {
    let said = |text: &str| AnswerBlock::Text { text: text.into() };
    let thought = AnswerBlock::Thinking { raw: serde_json::json!({"type": "thinking"}) };
    vec![said(first), thought, said(second)]
}

impl ModelClient for Puppet {
    fn ask<'a>(
        &'a self,
        prompt: &'a Prompt,
        deltas: &'a mut (dyn FnMut(AnswerDelta) + Send),
    ) -> BoxFuture<'a, Result<ModelAnswer, ModelFailure>> {
        self.prompts.lock().unwrap().push(prompt.clone());
        self.asked.notify_one();
        let act = self.acts.lock().unwrap().pop_front().unwrap_or(Act::Say(&["ok"]));
        Box::pin(async move {
            let tokens = RequestTokens { input: 10, output: 2, ..RequestTokens::default() };
            let answer = |blocks, stop| Ok(ModelAnswer { blocks, stop, tokens, opaque: None });
            match act {
                Act::Say(pieces) | Act::Halt(pieces) => {
                    deltas(AnswerDelta::Start { index: 0, kind: DeltaKind::Text });
                    for (place, piece) in pieces.iter().enumerate() {
                        if place == 1 && matches!(act, Act::Halt(_)) {
                            self.go.notified().await;
                        }
                        deltas(AnswerDelta::Text { index: 0, text: (*piece).into() });
                        tokio::task::yield_now().await;
                    }
                    answer(vec![AnswerBlock::Text { text: pieces.concat() }], AnswerStop::EndTurn)
                }
                Act::Mused(first, second) => {
                    for (index, text) in [(0, first), (2, second)] {
                        if index > 0 {
                            self.go.notified().await;
                            deltas(AnswerDelta::Start { index: 1, kind: DeltaKind::Thinking });
                        }
                        deltas(AnswerDelta::Start { index, kind: DeltaKind::Text });
                        deltas(AnswerDelta::Text { index, text: text.into() });
                    }
                    answer(mused(first, second), AnswerStop::EndTurn)
                }
                Act::Calls(names) => {
                    let call = |(index, name): (usize, &&str)| AnswerBlock::ToolUse {
                        id: format!("toolu_{index}"),
                        name: (*name).into(),
                        input: Some(Object::new()),
                    };
                    answer(names.iter().enumerate().map(call).collect(), AnswerStop::ToolUse)
                }
                Act::Call(name) | Act::Held(name) => {
                    if matches!(act, Act::Held(_)) {
                        self.go.notified().await;
                    }
                    let input = Some(Object::new());
                    let block = AnswerBlock::ToolUse { id: "toolu_1".into(), name: name.into(), input };
                    answer(vec![block], AnswerStop::ToolUse)
                }
                Act::Signed(name, json) => {
                    let (id, input) = ("toolu_1".into(), Some(Object::new()));
                    let blocks = vec![AnswerBlock::ToolUse { id, name: name.into(), input }];
                    let member = |call| ProviderMember { call, name: "n".into(), json: json.into() };
                    let beside = [None, Some(0)].map(member);
                    let from = AnswerOrigin { wire: RouteProvider::ChatCompletions, route: "m".into() };
                    let opaque = Some(OpaqueState { from, beside: beside.into() });
                    Ok(ModelAnswer { blocks, stop: AnswerStop::ToolUse, tokens, opaque })
                }
                Act::Fail(class) => Err(ModelFailure {
                    class,
                    status: None,
                    message: "no".into(),
                    retry_after: None,
                    tokens: RequestTokens::default(),
                    spots: Vec::new(),
                }),
                Act::Hang => {
                    let _cut = Cut(Arc::clone(&self.cut));
                    std::future::pending().await
                }
                Act::Panic => panic!("planted"),
            }
        })
    }
}

/// What the hands do with one call.
#[derive(Debug)]
pub(crate) enum Touch {
    Give(Vec<ContentBlock>),
    /// The same, once they are told to go on.
    Hold(&'static str),
    /// Gives "ok", once there is a place for it.
    Wait,
    Panic,
}

/// Hands that do one touch after the other, and give "ok" when none is left.
#[derive(Debug, Default)]
pub(crate) struct Glove {
    pub(crate) touches: Mutex<VecDeque<Touch>>,
    pub(crate) calls: Mutex<Vec<ToolCall>>,
    /// Sessions that were ended or removed.
    pub(crate) parted: Mutex<Vec<(&'static str, SessionId)>>,
    /// Told whenever a call waits for a place.
    pub(crate) waits: Notify,
    /// Gives a call that waits its place.
    pub(crate) place: Notify,
    /// Told when a call may not begin.
    pub(crate) refused: Notify,
    /// Told whenever a call begins.
    pub(crate) began: Notify,
    /// Lets a held call go.
    pub(crate) go: Notify,
    /// Told when a call that was held is cancelled.
    pub(crate) cut: Arc<Notify>,
    /// Told when a session is parted with.
    pub(crate) part: Notify,
    /// Whether the machine has little memory left.
    pub(crate) memory_is_short: AtomicBool,
}

impl ToolRunner for Glove {
    fn has_memory(&self) -> bool {
        !self.memory_is_short.load(Ordering::Relaxed)
    }

    fn run<'a>(&'a self, call: ToolCall, begin: BeginCall<'a>) -> BoxFuture<'a, Option<ToolOutcome>> {
        let given = |content| Some(ToolOutcome { content, is_error: false });
        let touch =
            self.touches.lock().unwrap().pop_front().unwrap_or(Touch::Give(vec![ContentBlock::text("ok")]));
        Box::pin(async move {
            if matches!(touch, Touch::Wait) {
                self.waits.notify_one();
                self.place.notified().await;
            }
            if !begin.await {
                self.refused.notify_one();
                return None;
            }
            self.calls.lock().unwrap().push(call);
            self.began.notify_one();
            match touch {
                Touch::Wait => given(vec![ContentBlock::text("ok")]),
                Touch::Give(content) => given(content),
                Touch::Hold(text) => {
                    let cut = Cut(Arc::clone(&self.cut));
                    self.go.notified().await;
                    std::mem::forget(cut);
                    given(vec![ContentBlock::text(text)])
                }
                Touch::Panic => panic!("planted"),
            }
        })
    }

    fn toolbox(&self, _session: SessionId) -> Arc<Toolbox> {
        Arc::new(Toolbox::plain())
    }

    fn end(&self, session: SessionId) -> BoxFuture<'_, ()> {
        self.parted.lock().unwrap().push(("end", session));
        self.part.notify_one();
        Box::pin(async {})
    }

    fn remove(&self, session: SessionId) -> BoxFuture<'_, ()> {
        self.parted.lock().unwrap().push(("remove", session));
        self.part.notify_one();
        Box::pin(async {})
    }

    fn stop(&self) -> BoxFuture<'_, ()> {
        Box::pin(async {})
    }
}

/// An engine, and the model and the hands behind it.
pub(crate) struct World {
    pub(crate) engine: Engine,
    pub(crate) puppet: Arc<Puppet>,
    pub(crate) glove: Arc<Glove>,
    pub(crate) store: Store,
}

pub(crate) async fn world(store: Store, acts: Vec<Act>) -> World {
    world_with_hands(store, acts, Vec::new()).await
}

pub(crate) async fn world_with_hands(store: Store, acts: Vec<Act>, touches: Vec<Touch>) -> World {
    built(store, acts, touches, protocol::limits::SESSION_CACHE_BYTES, clock(), route()).await
}

fn route() -> Route {
    Route::script("m")
}

/// A world whose model's requests are made so often in all.
pub(crate) async fn world_with_attempts(acts: Vec<Act>, attempts: u32) -> World {
    built(Store::memory(), acts, Vec::new(), 0, clock(), Route { attempts, ..route() }).await
}

fn clock() -> Clock {
    Clock::from(BEGAN)
}

pub(crate) async fn world_with_cache(store: Store, acts: Vec<Act>, cache_bytes: usize) -> World {
    built(store, acts, Vec::new(), cache_bytes, clock(), route()).await
}

pub(crate) async fn world_with_clock(acts: Vec<Act>, clock: Clock) -> World {
    world_over(Store::memory(), acts, clock).await
}

pub(crate) async fn world_over(store: Store, acts: Vec<Act>, clock: Clock) -> World {
    built(store, acts, Vec::new(), 0, clock, route()).await
}

async fn built(
    store: Store,
    acts: Vec<Act>,
    touches: Vec<Touch>,
    cache_bytes: usize,
    clock: Clock,
    route: Route,
) -> World {
    let glove = Arc::new(Glove { touches: Mutex::new(touches.into()), ..Glove::default() });
    let puppet = Arc::new(Puppet { acts: Mutex::new(acts.into()), ..Puppet::default() });
    let parts = EngineParts {
        tree: kernel::ThreadLimits::default(),
        store: store.clone(),
        oracle: Arc::clone(&puppet) as Arc<dyn ModelClient>,
        hands: Arc::clone(&glove) as Arc<dyn ToolRunner>,
        routes: Routes(vec![route]),
        clock,
        dice: SeededEntropy::system().unwrap(),
        cache_bytes,
    };
    World { engine: Engine::start(parts).await.unwrap(), puppet, glove, store }
}

pub(crate) fn agent() -> SessionAgent {
    let tool = CustomTool { name: "look_up".into(), description: "d".into(), input_schema: Object::new() };
    let ask = ToolConfig {
        name: BuiltinName::Write,
        enabled: true,
        permission_policy: PermissionPolicy::AlwaysAsk,
        web: None,
    };
    let toolset = Toolset { default_config: ToolDefault::BARE, configs: vec![ask] };
    let definition = AgentDefinition {
        id: protocol::AgentId::from_bits(3),
        version: 1,
        name: "tester".into(),
        description: None,
        model: ModelConfig::plain("m"),
        system: None,
        tools: vec![AgentTool::Custom(tool), AgentTool::Toolset(toolset)],
        mcp_servers: Vec::new(),
        skills: Vec::new(),
    };
    SessionAgent { definition, multiagent: None, execution_identity: ExecutionIdentity::ServiceAccount }
}

pub(crate) fn message(text: &str) -> ClientEvent {
    ClientEvent::Message { content: vec![ContentBlock::text(text)] }
}

pub(crate) fn client(events: Vec<ClientEvent>) -> Input {
    Input::Client { events, made: std::collections::BTreeMap::new() }
}

/// A counter of the engine's.
pub(crate) fn counted(world: &World, name: &str) -> u64 {
    let text = world.engine.counters().encode();
    let line = text.lines().find(|line| line.split(' ').next() == Some(name)).unwrap();
    line.rsplit(' ').next().unwrap().parse().unwrap()
}

impl World {
    pub(crate) async fn open(&self, events: Vec<ClientEvent>) -> SessionId {
        self.open_with(agent(), events).await
    }

    pub(crate) async fn open_with(&self, agent: SessionAgent, events: Vec<ClientEvent>) -> SessionId {
        let new = NewSession {
            agent,
            environment: protocol::EnvironmentId::from_bits(4),
            title: None,
            metadata: protocol::parse::Metadata::new(),
            events,
        };
        self.engine.open(HOME, new, Vec::new(), None).await.unwrap().id
    }

    pub(crate) async fn send(&self, session: SessionId, events: Vec<ClientEvent>) -> Vec<Event> {
        self.engine.commit(HOME, session, client(events)).await.unwrap().accepted
    }

    pub(crate) async fn follow(&self, session: SessionId) -> Feed {
        let previews = Previews { message: true, thinking: true };
        self.engine.follow(HOME, session, None, None, previews).await.unwrap()
    }

    /// Everything in the log, oldest first.
    pub(crate) async fn list(&self, session: SessionId) -> Vec<Arc<Event>> {
        let query = EventQuery {
            thread: None,
            order: ListOrder::Ascending,
            after: None,
            limit: 1_000,
            bytes: usize::MAX,
            types: std::collections::BTreeSet::new(),
            created: TimeRange::default(),
        };
        self.engine.events(HOME, session, query).await.unwrap().unwrap().events
    }
}

/// Reads frames up to the first event of this type, that one included.
pub(crate) async fn until(feed: &mut Feed, name: &str) -> Vec<FeedFrame> {
    let mut frames = Vec::new();
    while let Some(frame) = feed.next().await.unwrap() {
        let last = matches!(&frame, FeedFrame::Event(event) if event.body.name() == name);
        frames.push(frame);
        if last {
            break;
        }
    }
    frames
}

pub(crate) fn names(frames: &[FeedFrame]) -> Vec<&'static str> {
    frames
        .iter()
        .map(|frame| match frame {
            FeedFrame::Event(event) => event.body.name(),
            FeedFrame::Queued(_) => "queued",
            FeedFrame::Start { .. } => "start",
            FeedFrame::Delta { .. } => "delta",
        })
        .collect()
}

pub(crate) fn events(frames: &[FeedFrame]) -> Vec<Arc<Event>> {
    frames
        .iter()
        .filter_map(|frame| match frame {
            FeedFrame::Event(event) => Some(Arc::clone(event)),
            FeedFrame::Queued(_) | FeedFrame::Start { .. } | FeedFrame::Delta { .. } => None,
        })
        .collect()
}
