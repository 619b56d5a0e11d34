//! What is kept of what providers put beside their answers for their own use: the members, and until when
//! each is given back.
//!
//! The wire's own papers know none of it, and providers that do not know a member may refuse it. So each
//! member that is kept stands in one of two tables, after a public place that says it must be given back;
//! whatever else stands beside an answer is left alone. A request to any other route leaves it out.

use protocol::prompt;

/// Until when a member is given back.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum GivenUntil {
    /// As long as the conversation goes on.
    Always,
    /// As long as its turn goes on, and always if tools were called in it: of other turns it is ignored, and
    /// refused by some.
    TurnWithoutCalls,
}

/// How the pieces of a member become one.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Pieces {
    /// A text: one behind the other.
    Text,
    /// A list of objects, each of which may come in pieces itself.
    List,
}

/// What stands beside a message.
///
/// - `reasoning_content`: DeepSeek refuses a turn with calls without it and ignores it of others
///   (<https://api-docs.deepseek.com/guides/thinking_mode>), where the model before that refused it
///   (<https://api-docs.deepseek.com/guides/reasoning_model>); Moonshot wants it beside calls
///   (<https://github.com/continuedev/continue/pull/11806>).
/// - `reasoning`: vLLM's name of the same (<https://github.com/vllm-project/vllm/issues/27755>), and Groq's
///   (<https://github.com/vercel/ai/pull/8057>).
/// - `reasoning_details`: OpenRouter
///   (<https://openrouter.ai/docs/guides/best-practices/reasoning-tokens>).
/// - `thinking_blocks`: LiteLLM before Anthropic's models (<https://docs.litellm.ai/docs/reasoning_content>).
pub(crate) const MESSAGE: [(&str, Pieces, GivenUntil); 4] = [
    ("reasoning_content", Pieces::Text, GivenUntil::TurnWithoutCalls),
    ("reasoning", Pieces::Text, GivenUntil::TurnWithoutCalls),
    ("reasoning_details", Pieces::List, GivenUntil::Always),
    ("thinking_blocks", Pieces::List, GivenUntil::Always),
];

/// What stands beside a call, always whole, and is always given back.
///
/// - `extra_content`: Gemini refuses a call without its signature
///   (<https://ai.google.dev/gemini-api/docs/thought-signatures>).
/// - `provider_specific_fields`: where LiteLLM puts the same (<https://docs.litellm.ai/blog/gemini_3>).
pub(crate) const CALL: [&str; 2] = ["extra_content", "provider_specific_fields"];
/// The same where it stands within the function that is called, and the names it is kept under then.
pub(crate) const FUNCTION: [(&str, &str); 2] = [
    ("extra_content", "function.extra_content"),
    ("provider_specific_fields", "function.provider_specific_fields"),
];

/// The id of a call that is more than an id, as LiteLLM's are that hold a signature
/// (<https://github.com/BerriAI/litellm/pull/16895>): the history names its calls in letters that every
/// provider takes.
pub(crate) const ID: &str = "id";

/// Until when a member of that name is given back; never what is not in the tables.
pub(crate) fn until(beside: &prompt::ProviderMember<String>) -> Option<GivenUntil> {
    match &beside.call {
        Some(_) => {
            let name = beside.name.as_str();
            let is_known = name == ID || CALL.contains(&name) || in_function(name).is_some();
            is_known.then_some(GivenUntil::Always)
        }
        None => MESSAGE.iter().find(|(name, ..)| *name == beside.name).map(|(.., until)| *until),
    }
}

/// The name of a member that stands within the function that is called.
pub(crate) fn in_function(name: &str) -> Option<&'static str> {
    FUNCTION.iter().find(|(_, kept)| *kept == name).map(|(own, _)| *own)
}

/// The names of all, for a refusal that names one.
pub(crate) fn names() -> impl Iterator<Item = &'static str> {
    MESSAGE.iter().map(|(name, ..)| *name).chain(CALL)
}

/// Whether a frame holds what must be kept as it was written.
pub(crate) fn is_opaque(frame: &str) -> bool {
    let lists = MESSAGE.iter().filter(|(_, pieces, _)| *pieces == Pieces::List).map(|(name, ..)| *name);
    lists.chain(CALL).any(|name| frame.contains(name))
}
