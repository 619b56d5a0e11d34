//! The models of a storm of threads: every text they say is told apart from every other.

use protocol::ThreadId;
use protocol::event::RefusalDetails;
use protocol::prompt::{AnswerBlock, AnswerStop, ModelAnswer};
use protocol::tool::BuiltinName;
use serde_json::{Value, json};

use crate::act::Act;
use crate::model;
use crate::world::StormWorld;

/// What answers for one act of this thread; `None` for an act that is no answer, or that it cannot do.
#[expect(clippy::wildcard_enum_match_arm, reason = "picks a few of fifty acts")]
pub(crate) fn answer(world: &mut StormWorld, thread: ThreadId, act: Act) -> Option<ModelAnswer> {
    let leads = world.team.errands(&world.reading, thread).contains(&"Agent");
    let reports = world.reading.thread(thread)?.parent.is_some();
    let mut stop = AnswerStop::ToolUse;
    let said = if world.dice.once_in(3) { texts(world) } else { Vec::new() };
    let blocks = match act {
        Act::Create | Act::Agent | Act::Send | Act::List if !leads => return None,
        Act::Report if !reports => return None,
        Act::Text => return Some(done(world, AnswerStop::EndTurn)),
        Act::MaxTokens => return Some(done(world, AnswerStop::MaxTokens)),
        Act::Texts => {
            stop = AnswerStop::EndTurn;
            texts(world)
        }
        Act::Nothing => {
            stop = AnswerStop::EndTurn;
            model::nothing(&mut world.dice)
        }
        Act::Customs => several(world, thread, 2, custom),
        Act::Builtins => several(world, thread, 3, builtin),
        Act::Unknown => several(world, thread, 1, unknown),
        Act::Cut => {
            stop = AnswerStop::MaxTokens;
            let call = if world.dice.once_in(2) { custom(world, thread) } else { builtin(world, thread) };
            vec![model::cut(call)]
        }
        Act::Create => several(world, thread, 2, |world, _| spawn(world, "create_agent", thread)),
        Act::Agent => several(world, thread, 2, |world, _| spawn(world, "Agent", thread)),
        Act::Send => several(world, thread, 2, |world, _| letter(world, thread)),
        Act::List => vec![call(world, "list_agents", json!({}))],
        Act::Report => several(world, thread, 2, |world, _| report(world)),
        Act::Wrong => several(world, thread, 2, wrong),
        Act::CutErrand => {
            stop = AnswerStop::MaxTokens;
            let name = world.dice.pick(&["create_agent", "Agent", "send_to_agent", "send_to_parent"]);
            let name = name.copied().unwrap_or_default();
            vec![model::cut(call(world, name, json!({})))]
        }
        Act::Mixed => {
            let mut blocks = several(world, thread, 4, any);
            blocks.push(any(world, thread));
            blocks
        }
        Act::Refusal => {
            stop = AnswerStop::Refusal(RefusalDetails { category: Some("bio".into()), explanation: None });
            if world.dice.once_in(3) { vec![any(world, thread)] } else { Vec::new() }
        }
        Act::Pause => {
            stop = AnswerStop::PauseTurn;
            if world.dice.once_in(4) { vec![any(world, thread)] } else { vec![text(world)] }
        }
        _ => return None,
    };
    Some(model::whole(&mut world.dice, [said, blocks].concat(), stop))
}

fn done(world: &mut StormWorld, stop: AnswerStop) -> ModelAnswer {
    let blocks = vec![text(world)];
    model::whole(&mut world.dice, blocks, stop)
}

fn several(
    world: &mut StormWorld,
    thread: ThreadId,
    most: u64,
    one: impl Fn(&mut StormWorld, ThreadId) -> AnswerBlock,
) -> Vec<AnswerBlock> {
    (0..=world.dice.below(most)).map(|_| one(world, thread)).collect()
}

fn any(world: &mut StormWorld, thread: ThreadId) -> AnswerBlock {
    let offered = world.team.errands(&world.reading, thread);
    let errand = if world.dice.once_in(2) { world.dice.pick(&offered).copied() } else { None };
    match errand {
        Some(name @ ("create_agent" | "Agent")) => spawn(world, name, thread),
        Some("send_to_agent") => letter(world, thread),
        Some("send_to_parent") => report(world),
        Some(name) => call(world, name, json!({})),
        None => match world.dice.below(7) {
            0 => text(world),
            1 => wrong(world, thread),
            2 => unknown(world, thread),
            3 => model::cut(custom(world, thread)),
            4 | 5 => custom(world, thread),
            _ => builtin(world, thread),
        },
    }
}

pub(crate) fn text(world: &mut StormWorld) -> AnswerBlock {
    AnswerBlock::Text { text: world.voice.word("a") }
}

fn texts(world: &mut StormWorld) -> Vec<AnswerBlock> {
    let thought =
        AnswerBlock::Thinking { raw: json!({"type": "thinking", "signature": world.dice.below(99)}) };
    let mut blocks = vec![thought, text(world)];
    if world.dice.once_in(3) {
        blocks.push(text(world));
    }
    blocks
}

fn call(world: &mut StormWorld, name: &str, input: Value) -> AnswerBlock {
    let Value::Object(input) = input else { return model::tool(&mut world.dice, name) };
    match model::tool(&mut world.dice, name) {
        AnswerBlock::ToolUse { id, name, .. } => AnswerBlock::ToolUse { id, name, input: Some(input) },
        other @ (AnswerBlock::Text { .. } | AnswerBlock::Thinking { .. }) => other,
    }
}

/// A child of the roster.
fn spawn(world: &mut StormWorld, name: &str, thread: ThreadId) -> AnswerBlock {
    let roster = world.team.roster(&world.reading, thread);
    let mut names: Vec<String> = roster.iter().map(|member| member.agent.definition.name.clone()).collect();
    if world.team.named(&world.reading, thread, "self").is_some() {
        names.push("self".into());
    }
    let agent = world.dice.pick(&names).cloned().unwrap_or_default();
    let task = world.voice.word("t");
    call(world, name, json!({"agent": agent, "task": task}))
}

/// A letter to a child that lives, mostly.
fn letter(world: &mut StormWorld, thread: ThreadId) -> AnswerBlock {
    let live = |ended: bool| {
        let children = world.reading.children(thread).filter(|child| child.ended == ended);
        children.map(|child| child.id).collect::<Vec<ThreadId>>()
    };
    let (live, ended) = (live(false), live(true));
    let whose = if world.dice.once_in(5) { ended } else { live };
    let child = world.dice.pick(&whose).copied();
    let child = child.unwrap_or(ThreadId::from_bits(8));
    let message = world.voice.word("l");
    call(world, "send_to_agent", json!({"thread_id": child, "message": message}))
}

fn report(world: &mut StormWorld) -> AnswerBlock {
    let message = world.voice.word("p");
    call(world, "send_to_parent", json!({"message": message}))
}

/// A delegation call that cannot be carried out, or a tool that this thread does not have.
fn wrong(world: &mut StormWorld, thread: ThreadId) -> AnswerBlock {
    let task = world.voice.word("t");
    let roster = world.team.roster(&world.reading, thread);
    let agent = roster.first().map(|member| member.agent.definition.name.clone()).unwrap_or_default();
    let others: Vec<ThreadId> = world.reading.threads.iter().map(|thread| thread.id).collect();
    let other = world.dice.pick(&others).copied();
    let wrongs = [
        ("create_agent", json!({"agent": "nobody", "task": task})),
        ("Agent", json!({"agent": "self", "task": " \n"})),
        ("Agent", json!({"agent": agent})),
        ("create_agent", json!({"task": task})),
        ("create_agent", json!({"agent": 3, "task": task})),
        ("send_to_agent", json!({"thread_id": "sthr_1", "message": task})),
        ("send_to_agent", json!({"thread_id": other, "message": task})),
        ("send_to_agent", json!({"thread_id": other})),
        ("send_to_parent", json!({"message": ""})),
        ("send_to_parent", json!({})),
        ("send_to_parent", json!({"message": task})),
        ("create_agent", json!({"agent": "helper", "task": task})),
    ];
    let (name, input) = world.dice.pick(&wrongs).cloned().unwrap_or_default();
    call(world, name, input)
}

fn custom(world: &mut StormWorld, thread: ThreadId) -> AnswerBlock {
    let customs = world.kit_of(thread).customs();
    let name = world.dice.pick(&customs).cloned().unwrap_or_default();
    model::tool(&mut world.dice, &name)
}

fn builtin(world: &mut StormWorld, thread: ThreadId) -> AnswerBlock {
    let kit = world.kit_of(thread);
    model::builtin(&mut world.dice, &kit)
}

fn unknown(world: &mut StormWorld, _: ThreadId) -> AnswerBlock {
    let name = world.dice.pick(BuiltinName::NAMES).copied().filter(|name| name.starts_with("web"));
    model::tool(&mut world.dice, name.unwrap_or("no_such_tool"))
}
