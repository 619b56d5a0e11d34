//! What goes back to a provider of what it put beside its answers: to the route that gave it, to no other.

use std::{borrow::Cow, collections::BTreeMap};

use protocol::{
    prompt::{MessagePart, MessageRole, Prompt, PromptMessage, ProviderMember},
    routes::Route,
};
use serde_json::value::RawValue;

use super::short;
use crate::{
    kept::{self, GivenUntil},
    learned::{OmittedExtras, RequestExtra},
};

/// Members of an object, word for word.
pub(super) type RawMembers<'a> = BTreeMap<&'a str, &'a RawValue>;

/// What goes back, by where it stood.
#[derive(Debug, Default)]
pub(super) struct GivenBack<'a> {
    /// By the place of the message.
    messages: BTreeMap<usize, RawMembers<'a>>,
    /// By the id that the history has of the call.
    calls: BTreeMap<&'a str, RawMembers<'a>>,
    /// What stood within the functions of the calls.
    functions: BTreeMap<&'a str, RawMembers<'a>>,
    ids: BTreeMap<&'a str, String>,
    is_short: bool,
}

impl<'a> GivenBack<'a> {
    /// What goes back of this conversation over this route.
    pub(super) fn of(prompt: &'a Prompt, route: &Route, omitted: OmittedExtras) -> Self {
        let is_short = omitted.has(RequestExtra::CallIds);
        let mut back = Self { is_short, ..Self::default() };
        let lasts = lasting(prompt);
        for ((at, message), lasts) in prompt.messages.iter().enumerate().zip(lasts) {
            for beside in message.parts.iter().filter_map(|part| own(part, route)) {
                let is_due = match kept::until(beside) {
                    Some(GivenUntil::Always) => true,
                    Some(GivenUntil::TurnWithoutCalls) => lasts,
                    None => false,
                };
                if is_due {
                    back.put(at, beside, omitted.has(RequestExtra::Beside));
                }
            }
        }
        back
    }

    fn put(&mut self, at: usize, beside: &'a ProviderMember<String>, is_refused: bool) {
        let ProviderMember { call, name, json } = beside;
        match call {
            Some(call) if name == kept::ID => {
                self.ids.extend(serde_json::from_str(json).ok().map(|id| (call.as_str(), id)));
            }
            _ if is_refused => {}
            call => {
                let (members, name) = match (call, kept::in_function(name)) {
                    (Some(call), Some(name)) => (self.functions.entry(call.as_str()).or_default(), name),
                    (Some(call), None) => (self.calls.entry(call.as_str()).or_default(), name.as_str()),
                    (None, _) => (self.messages.entry(at).or_default(), name.as_str()),
                };
                members.extend(serde_json::from_str(json).ok().map(|json| (name, json)));
            }
        }
    }

    /// What stood beside the message at this place of the history.
    pub(super) fn message(&self, at: usize) -> RawMembers<'a> {
        self.messages.get(&at).cloned().unwrap_or_default()
    }

    /// What stood beside a call.
    pub(super) fn call(&self, id: &str) -> RawMembers<'a> {
        self.calls.get(id).cloned().unwrap_or_default()
    }

    /// What stood within the function of a call.
    pub(super) fn function(&self, id: &str) -> RawMembers<'a> {
        self.functions.get(id).cloned().unwrap_or_default()
    }

    /// The id of a call as this provider is told it: the one it gave if that is more than an id, else the
    /// history's, as it is or as one of nine letters and digits.
    pub(super) fn id(&self, id: &'a str) -> Cow<'a, str> {
        match self.ids.get(id) {
            _ if self.is_short => short::id(id),
            Some(given) => given.clone().into(),
            None => id.into(),
        }
    }
}

fn own<'a>(part: &'a MessagePart, route: &Route) -> Option<&'a ProviderMember<String>> {
    match part {
        MessagePart::Beside { from, beside } => from.is(route).then_some(beside),
        MessagePart::Content(_)
        | MessagePart::Thinking(_)
        | MessagePart::ToolUse { .. }
        | MessagePart::ToolResult { .. } => None,
    }
}

/// Of each message whether its turn goes on or had calls. A turn begins with what a person says.
fn lasting(prompt: &Prompt) -> Vec<bool> {
    let mut turns: Vec<(usize, bool)> = Vec::new();
    for message in &prompt.messages {
        let calls = message.parts.iter().any(|part| matches!(part, MessagePart::ToolUse { .. }));
        match turns.last_mut() {
            Some((messages, called)) if !begins(message) => {
                (*messages, *called) = (*messages + 1, *called || calls);
            }
            _ => turns.push((1, calls)),
        }
    }
    let last = turns.len().saturating_sub(1);
    let each = turns.into_iter().enumerate();
    each.flat_map(|(at, (messages, called))| std::iter::repeat_n(called || at == last, messages)).collect()
}

fn begins(message: &PromptMessage) -> bool {
    message.role == MessageRole::User
        && message.parts.iter().any(|part| matches!(part, MessagePart::Content(_)))
}
