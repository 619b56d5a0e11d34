//! What a model is asked and what it answers, in no provider's words.
//!
//! `kernel::transcript` writes a [`Prompt`]; `models` turns it into one provider's request and that
//! provider's stream into [`AnswerDelta`]s and one [`ModelAnswer`] or [`ModelFailure`].

use alloc::{string::String, sync::Arc, vec::Vec};
use core::{fmt, time::Duration};

use serde::{Deserialize, Serialize};
use serde_json::Value;

use crate::{
    Object,
    content::ContentBlock,
    event::RefusalDetails,
    routes::{Route, RouteProvider},
    tool::BuiltinName,
    usage::RequestTokens,
};

/// One request to a model: everything it needs to see, nothing else.
#[derive(Debug, Clone, PartialEq)]
pub struct Prompt {
    /// The model's id, as the agent names it.
    pub model: String,
    /// The system prompt, if any: the agent's, nothing added (docs/rules.md 9).
    pub system: Option<String>,
    /// The tools on offer, in the agent's order.
    pub tools: Vec<Arc<ToolSpec>>,
    /// The history. Roles alternate, the first and the last are the user's, every tool use is
    /// answered in the very next message.
    pub messages: Vec<Arc<PromptMessage>>,
    /// How long the history was when it was last counted; `None` if no provider has told.
    pub counted: Option<CountedTokens>,
}

/// The length of a history, as a provider counted it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct CountedTokens {
    /// Tokens that the provider read.
    pub tokens: u64,
    /// How many messages of the history it was given.
    pub messages: usize,
}

/// Where a part of a history stands, as far as a provider can name it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub struct HistorySpot {
    /// The place of its message in [`Prompt::messages`].
    pub message: usize,
    /// Its place in that message.
    pub part: usize,
    /// Of a tool's result, the place of one block in it; `None`: the whole part.
    pub block: Option<usize>,
}

/// A tool as the model sees it.
#[derive(Debug, Clone, PartialEq)]
pub struct ToolSpec {
    /// Its name.
    pub name: String,
    /// What it does and when to use it.
    pub description: String,
    /// The JSON Schema of its input.
    pub input_schema: Object,
}

/// What models are told of the built-in tools. Prompts share it.
#[derive(Debug, Clone, PartialEq)]
pub struct Toolbox(Vec<(BuiltinName, Arc<ToolSpec>)>);

impl Toolbox {
    /// What `told` says of each; nobody is offered a tool of which nothing is said.
    pub fn new(told: impl Fn(BuiltinName) -> Option<ToolSpec>) -> Self {
        let spec = |tool| told(tool).map(|spec| (tool, Arc::new(spec)));
        Self(BuiltinName::ALL.into_iter().filter_map(spec).collect())
    }

    /// The tools that are served, by their names alone: for models that read no more.
    pub fn plain() -> Self {
        let spec = |tool: BuiltinName| ToolSpec {
            name: tool.name().into(),
            description: String::new(),
            input_schema: Object::new(),
        };
        Self::new(|tool| tool.served().then(|| spec(tool)))
    }

    /// What they are told of `tool`.
    pub fn of(&self, tool: BuiltinName) -> Option<&Arc<ToolSpec>> {
        self.0.iter().find_map(|(own, spec)| (*own == tool).then_some(spec))
    }
}

/// Who speaks.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum MessageRole {
    /// The person, or a tool's answer.
    User,
    /// The model.
    Assistant,
}

/// One message of the history.
#[derive(Debug, Clone, PartialEq)]
pub struct PromptMessage {
    /// Who speaks.
    pub role: MessageRole,
    /// What they say; never empty.
    pub parts: Vec<MessagePart>,
}

/// One part of a message.
#[derive(Debug, Clone, PartialEq)]
pub enum MessagePart {
    /// Ordinary content.
    Content(ContentBlock),
    /// A thinking block.
    Thinking(ThinkingPart),
    /// What stands beside the message or a call of it, in front of its other parts.
    Beside {
        /// Who put it there, and is given it back.
        from: Arc<AnswerOrigin>,
        /// It; its call by the id that the message has it by.
        beside: ProviderMember<String>,
    },
    /// The model asked for a tool.
    ToolUse {
        /// The provider's own id of the call.
        id: String,
        /// The tool.
        name: String,
        /// Its input.
        input: Object,
    },
    /// What the tool gave.
    ToolResult {
        /// The provider's own id of the call.
        id: String,
        /// The result; may be empty.
        content: Vec<ContentBlock>,
        /// Whether the tool failed.
        is_error: bool,
    },
}

/// A thinking block as the provider gave it, to be given back unchanged.
#[derive(Debug, Clone, PartialEq)]
pub struct ThinkingPart {
    /// The block.
    pub raw: Value,
    /// Who gave it; `None` where that was not written down, as in the logs of earlier versions.
    pub from: Option<Arc<AnswerOrigin>>,
}

/// The road that an answer came by: its provider's own state goes back by this one and by no other.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct AnswerOrigin {
    /// The wire.
    pub wire: RouteProvider,
    /// The route's pattern.
    pub route: String,
}

impl AnswerOrigin {
    /// An answer's that came over this route.
    pub fn of(route: &Route) -> Self {
        Self { wire: route.provider, route: route.pattern.clone() }
    }

    /// Whether it is this route.
    pub fn is(&self, route: &Route) -> bool {
        self.wire == route.provider && self.route == route.pattern
    }
}

/// A member that a provider put beside its answer, or beside a call of it: opaque, and private.
#[derive(Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct ProviderMember<C> {
    /// The call that it stands beside; `None`: the message.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub call: Option<C>,
    /// Its name.
    pub name: String,
    /// Its value: JSON, word for word as the provider wrote it.
    pub json: String,
}

impl<C> ProviderMember<C> {
    /// The same with its call named another way; `None` if that call is no more.
    pub fn of<D>(self, name: impl FnOnce(C) -> Option<D>) -> Option<ProviderMember<D>> {
        let call = match self.call {
            Some(call) => Some(name(call)?),
            None => None,
        };
        Some(ProviderMember { call, name: self.name, json: self.json })
    }
}

/// Does not show the value: it is the provider's own affair.
impl<C: fmt::Debug> fmt::Debug for ProviderMember<C> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { call, name, json } = self;
        f.debug_struct("Beside").field("call", call).field("name", name).field("bytes", &json.len()).finish()
    }
}

/// What only the provider of an answer can read.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct OpaqueState<C> {
    /// The provider.
    pub from: AnswerOrigin,
    /// What it put beside the answer; at most [`crate::limits::BESIDE_BYTES`].
    #[serde(default = "Vec::new", skip_serializing_if = "Vec::is_empty")]
    pub beside: Vec<ProviderMember<C>>,
}

/// A complete answer of a model.
#[derive(Debug, Clone, PartialEq)]
pub struct ModelAnswer {
    /// The blocks in the order the model gave them.
    pub blocks: Vec<AnswerBlock>,
    /// Why it stopped.
    pub stop: AnswerStop,
    /// What it cost.
    pub tokens: RequestTokens,
    /// Whose thinking is among the blocks, and what else only the provider can read; a call by the index of
    /// its block. `None` if there is neither.
    pub opaque: Option<OpaqueState<usize>>,
}

/// One block of an answer; its place in [`ModelAnswer::blocks`] is the block index of the previews.
#[derive(Debug, Clone, PartialEq)]
pub enum AnswerBlock {
    /// Text.
    Text {
        /// What it says.
        text: String,
    },
    /// Thinking: opaque, kept word for word with its signature.
    Thinking {
        /// The provider's block.
        raw: Value,
    },
    /// A call of a tool.
    ToolUse {
        /// The provider's own id of the call.
        id: String,
        /// The tool.
        name: String,
        /// Its input; `None` when the model's JSON was cut off, is no object, or lies too deep.
        input: Option<Object>,
    },
}

/// Why a model stopped.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum AnswerStop {
    /// It had said all.
    EndTurn,
    /// It wants its tools run.
    ToolUse,
    /// It met the output limit.
    MaxTokens,
    /// It declined.
    Refusal(RefusalDetails),
    /// It paused a long turn and wants to be asked again.
    PauseTurn,
}

/// A piece of an answer while it is being written.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum AnswerDelta {
    /// A block began.
    Start {
        /// Its place in the answer.
        index: usize,
        /// What it is.
        kind: DeltaKind,
    },
    /// More text of a text block.
    Text {
        /// Its place in the answer.
        index: usize,
        /// The further text.
        text: String,
    },
}

/// What kind of block began.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum DeltaKind {
    /// Text.
    Text,
    /// Thinking.
    Thinking,
    /// A call of a tool.
    ToolUse,
}

/// A request to a model that came to nothing.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{message}")]
pub struct ModelFailure {
    /// What kind of failure it is; the kernel says what that means.
    pub class: FailureClass,
    /// The status of HTTP by which the provider refused it, if it was refused so.
    pub status: Option<u16>,
    /// One sentence for the person who runs the agent; never holds a secret.
    pub message: String,
    /// How long the provider asked us to wait.
    pub retry_after: Option<Duration>,
    /// What the failed request cost, as far as the provider said.
    pub tokens: RequestTokens,
    /// The parts of the history that the provider names as what it refuses; empty if it names none.
    pub spots: Vec<HistorySpot>,
}

/// The kinds of failure of a model request.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum FailureClass {
    /// 529: the provider is overloaded.
    Overloaded,
    /// 429: too many requests.
    RateLimited,
    /// 408, any other 5xx, no connection.
    Unavailable,
    /// The stream ended or fell silent in the middle.
    Cut,
    /// An answer came, and there was nothing in it.
    Empty,
    /// 400, 413 and the like: the provider refuses what it was asked, and will again.
    Invalid,
    /// The conversation does not fit the model's window, as its provider says.
    Overflow,
    /// The conversation leaves no room for an answer in the model's window, so that nothing was asked.
    Full,
    /// An answer came that cannot be taken: it is too large, or in no form that is known.
    Unusable,
    /// 401, 403, or no key is set.
    Denied,
    /// 402, or a 400 that says the account cannot pay.
    Billing,
    /// No route leads to the model, or it ends where there is no such model.
    NoRoute,
}

impl FailureClass {
    /// The class as the log says it.
    pub const fn name(self) -> &'static str {
        match self {
            Self::Overloaded => "overloaded",
            Self::RateLimited => "rate_limited",
            Self::Unavailable => "unavailable",
            Self::Cut => "cut",
            Self::Empty => "empty",
            Self::Invalid => "invalid",
            Self::Overflow => "overflow",
            Self::Full => "full",
            Self::Unusable => "unusable",
            Self::Denied => "denied",
            Self::Billing => "billing",
            Self::NoRoute => "no_route",
        }
    }
}
