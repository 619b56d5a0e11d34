//! The model of a storm: answers and failures of every kind.

use std::sync::Arc;
use std::time::Duration;

use protocol::Object;
use protocol::content::ContentBlock;
use protocol::event::RefusalDetails;
use protocol::prompt::{
    AnswerBlock, AnswerOrigin, AnswerStop, FailureClass, HistorySpot, ModelAnswer, ModelFailure, OpaqueState,
    PromptMessage, ProviderMember,
};
use protocol::routes::RouteProvider;
use protocol::tool::BuiltinName;
use protocol::usage::RequestTokens;

use crate::act::Act;
use crate::agent_tools::{AgentTools, CallOffer};
use crate::dice::Dice;
use crate::words::OUT;

/// Names that no agent's tool has; some that no provider would take back.
const ODD: [&str; 4] = ["no_such_tool", "functions.look_up", "", "weigh it, please"];

/// What answers for one act; `None` for an act that is no answer.
#[expect(clippy::wildcard_enum_match_arm, reason = "picks a few of fifty acts")]
pub(crate) fn answer(dice: &mut Dice, act: Act, kit: &AgentTools) -> Option<ModelAnswer> {
    let customs = kit.customs();
    let call = |dice: &mut Dice| {
        let name = dice.pick(&customs).cloned().unwrap_or_default();
        tool(dice, &name)
    };
    let (blocks, stop) = match act {
        Act::Text => (vec![text(dice)], AnswerStop::EndTurn),
        Act::Texts => (texts(dice), AnswerStop::EndTurn),
        Act::Nothing => (nothing(dice), AnswerStop::EndTurn),
        Act::Customs => {
            let mut blocks = if dice.once_in(2) { texts(dice) } else { Vec::new() };
            blocks.extend((0..=dice.below(3)).map(|_| call(dice)));
            (blocks, AnswerStop::ToolUse)
        }
        Act::Unknown => {
            let unknown = if dice.once_in(2) { odd(dice) } else { off(dice, kit) };
            (vec![unknown], AnswerStop::ToolUse)
        }
        Act::Builtins => {
            let mut blocks = if dice.once_in(3) { texts(dice) } else { Vec::new() };
            blocks.extend((0..=dice.below(5)).map(|_| builtin(dice, kit)));
            (blocks, AnswerStop::ToolUse)
        }
        Act::Cut => {
            let cut_off = if dice.once_in(2) { call(dice) } else { builtin(dice, kit) };
            let before = if dice.once_in(3) { cut(call(dice)) } else { text(dice) };
            (vec![before, cut(cut_off)], AnswerStop::MaxTokens)
        }
        Act::Mixed => {
            let any = |dice: &mut Dice| match dice.below(8) {
                0 | 1 => call(dice),
                2 => cut(call(dice)),
                3 => cut(builtin(dice, kit)),
                4 if dice.once_in(2) => text(dice),
                4 => odd(dice),
                _ => builtin(dice, kit),
            };
            let mut blocks: Vec<_> = (0..2 + dice.below(6)).map(|_| any(dice)).collect();
            blocks.push(builtin(dice, kit));
            (blocks, AnswerStop::ToolUse)
        }
        Act::Refusal => {
            let said = match dice.below(4) {
                0 => vec![text(dice), call(dice)],
                1 => vec![text(dice), builtin(dice, kit)],
                _ => Vec::new(),
            };
            let details = RefusalDetails { category: Some("bio".into()), explanation: None };
            (said, AnswerStop::Refusal(details))
        }
        Act::MaxTokens => (vec![text(dice)], AnswerStop::MaxTokens),
        Act::Pause => {
            let said = if dice.once_in(3) { nothing(dice) } else { vec![text(dice)] };
            let called = match dice.below(8) {
                0 => vec![call(dice)],
                1 => vec![builtin(dice, kit)],
                _ => Vec::new(),
            };
            ([said, called].concat(), AnswerStop::PauseTurn)
        }
        _ => return None,
    };
    Some(whole(dice, blocks, stop))
}

/// An answer with its cost, and with what the model put beside it.
pub(crate) fn whole(dice: &mut Dice, blocks: Vec<AnswerBlock>, stop: AnswerStop) -> ModelAnswer {
    let tokens = tokens(dice);
    let opaque = beside(tokens.input, tokens.output).map(|(from, json)| {
        let calls = blocks.iter().rposition(|block| matches!(block, AnswerBlock::ToolUse { .. }));
        let at = |call, name: &str| ProviderMember { call, name: name.into(), json: json.clone() };
        let call = calls.map(|call| at(Some(call), "extra_content"));
        OpaqueState { from, beside: call.into_iter().chain([at(None, "reasoning")]).collect() }
    });
    ModelAnswer { blocks, stop, tokens, opaque }
}

/// What stands beside an answer of that cost and beside its last call, and the route that it came over: a
/// referee knows it from what the log shows to everybody.
pub(crate) fn beside(input: u64, output: u64) -> Option<(AnswerOrigin, String)> {
    let route = if output.is_multiple_of(2) { "a" } else { "b" };
    let from = AnswerOrigin { wire: RouteProvider::ChatCompletions, route: route.into() };
    (!input.is_multiple_of(3)).then(|| (from, format!("{{\"n\": {input}.0 ,\"of\":{output}}}")))
}

/// A failure, hopeless or not. Its message begins with its class, for the referees.
pub fn failure(dice: &mut Dice, hopeless: bool) -> ModelFailure {
    let classes: &[(FailureClass, &str)] = if hopeless {
        &[
            (FailureClass::Invalid, "invalid"),
            (FailureClass::Overflow, "overflow"),
            (FailureClass::Full, "full"),
            (FailureClass::Unusable, "unusable"),
            (FailureClass::Denied, "denied"),
            (FailureClass::Billing, "billing"),
            (FailureClass::NoRoute, "no_route"),
        ]
    } else {
        &[
            (FailureClass::Overloaded, "overloaded"),
            (FailureClass::RateLimited, "rate_limited"),
            (FailureClass::Unavailable, "unavailable"),
            (FailureClass::Cut, "cut"),
        ]
    };
    let (class, name) = dice.pick(classes).copied().unwrap_or((FailureClass::Cut, "cut"));
    let retry_after = dice.once_in(4).then(|| Duration::from_secs(dice.below(200)));
    let message = format!("{name}: the model said so");
    ModelFailure { class, status: None, message, retry_after, tokens: tokens(dice), spots: Vec::new() }
}

/// A refusal of what is named beside it.
pub(crate) fn refusal(dice: &mut Dice) -> ModelFailure {
    let message = "invalid: the model said so".to_owned();
    let (class, tokens) = (FailureClass::Invalid, tokens(dice));
    ModelFailure { class, status: None, message, retry_after: None, tokens, spots: Vec::new() }
}

/// A few places of a history, mostly of its end; some where nothing stands.
pub(crate) fn spots(dice: &mut Dice, messages: &[Arc<PromptMessage>]) -> Vec<HistorySpot> {
    let mut spot = || {
        let far = if dice.once_in(3) { messages.len() as u64 } else { 2 };
        let message = messages.len().saturating_sub(1 + dice.below(far.max(1)) as usize);
        let parts = messages.get(message).map_or(0, |message| message.parts.len());
        let part = dice.below(parts as u64 + 1) as usize;
        let block = if dice.once_in(2) { Some(dice.below(2) as usize) } else { None };
        HistorySpot { message, part, block }
    };
    let first = spot();
    let more: Vec<HistorySpot> = (0..2).map(|_| spot()).collect();
    let many = dice.below(3) as usize;
    core::iter::once(first).chain(more.into_iter().take(many)).collect()
}

/// How often a route lets a request be made that failed so; told at the end of the message, for the referees.
pub(crate) fn attempts(mut failure: ModelFailure) -> (ModelFailure, u32) {
    let attempts = [1, 2, 8, 8, 8, 8, 8, 20][(failure.tokens.input % 8) as usize];
    told(&mut failure, attempts);
    (failure, attempts)
}

/// Tells in the message how often the route lets the request be made.
pub(crate) fn told(failure: &mut ModelFailure, attempts: u32) {
    failure.message = format!("{} (of {attempts})", failure.message);
}

pub(crate) fn tokens(dice: &mut Dice) -> RequestTokens {
    RequestTokens {
        input: dice.below(1_000),
        output: dice.below(100),
        cache_read: dice.below(50),
        cache_write_5m: dice.below(3),
        cache_write_1h: dice.below(2),
    }
}

fn text(dice: &mut Dice) -> AnswerBlock {
    AnswerBlock::Text { text: format!("a{}", dice.below(1_000_000)) }
}

fn thought(dice: &mut Dice) -> AnswerBlock {
    AnswerBlock::Thinking { raw: serde_json::json!({"type": "thinking", "signature": dice.below(1_000)}) }
}

fn texts(dice: &mut Dice) -> Vec<AnswerBlock> {
    let mut blocks = vec![thought(dice), text(dice), text(dice)];
    if dice.once_in(2) {
        blocks.extend([thought(dice), text(dice)]);
    }
    blocks
}

/// Answers that say nothing: no blocks, blank text, bare thinking.
pub(crate) fn nothing(dice: &mut Dice) -> Vec<AnswerBlock> {
    match dice.below(4) {
        0 => Vec::new(),
        1 => vec![AnswerBlock::Text { text: String::new() }],
        2 => vec![AnswerBlock::Text { text: " \n".into() }],
        _ => vec![thought(dice)],
    }
}

/// A call. Some providers number their calls anew in each answer, and some give odd ids or none.
pub(crate) fn tool(dice: &mut Dice, name: &str) -> AnswerBlock {
    let id = match dice.below(8) {
        0 => String::new(),
        1 => "call.1/odd id".into(),
        2..=4 => format!("call_{}", dice.below(3)),
        _ => format!("toolu_{}", dice.bits()),
    };
    let mut input = Object::new();
    input.insert("n".into(), dice.below(9).into());
    AnswerBlock::ToolUse { id, name: name.into(), input: Some(input) }
}

/// A call of a built-in tool, mostly one that is on.
pub(crate) fn builtin(dice: &mut Dice, kit: &AgentTools) -> AnswerBlock {
    let offered = kit.builtins();
    let name = dice.pick(&offered).cloned().filter(|_| !dice.once_in(8));
    let name = name.or_else(|| dice.pick(BuiltinName::NAMES).map(|name| (*name).to_owned()));
    tool(dice, &name.unwrap_or_default())
}

/// A call of a tool that no agent has.
fn odd(dice: &mut Dice) -> AnswerBlock {
    let name = dice.pick(&ODD).copied().unwrap_or_default();
    tool(dice, name)
}

/// A call of a built-in tool that is off.
fn off(dice: &mut Dice, kit: &AgentTools) -> AnswerBlock {
    let off: Vec<&str> =
        BuiltinName::NAMES.iter().copied().filter(|name| kit.offer(name) == CallOffer::Nothing).collect();
    let name = dice.pick(&off).copied().unwrap_or_default();
    tool(dice, name)
}

pub(crate) fn cut(call: AnswerBlock) -> AnswerBlock {
    match call {
        AnswerBlock::ToolUse { id, name, .. } => AnswerBlock::ToolUse { id, name, input: None },
        AnswerBlock::Text { .. } | AnswerBlock::Thinking { .. } => call,
    }
}

/// What a tool gives: text that no other gives, mostly; sometimes nothing, sometimes blank text behind it.
pub(crate) fn out(dice: &mut Dice) -> Vec<ContentBlock> {
    let mut content = vec![ContentBlock::text(format!("{OUT}{}", dice.below(1_000_000)))];
    match dice.below(8) {
        0 => content.clear(),
        1 => content.push(ContentBlock::text("")),
        2 => content.push(ContentBlock::text("and more")),
        _ => {}
    }
    content
}
