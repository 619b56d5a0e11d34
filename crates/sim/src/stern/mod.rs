//! The storm of a provider that refuses: by content, by size and by order. From any state that is reached
//! there is a next message that is answered, or an error that says the one thing to do; each request keeps
//! the laws of the wire; and the power going at any point changes no request.

mod provider;

use std::collections::BTreeMap;
use std::fmt::Write as _;
use std::io::{self, Write};

use kernel::Input;
use protocol::EventId;
use protocol::content::ContentBlock;
use protocol::input::ClientEvent;
use protocol::limits;
use protocol::prompt::Prompt;

use self::provider::SternProvider;
use crate::act::{Act, InputVerdict};
use crate::dice::Dice;
use crate::law::law;
use crate::life::{BrokenLife, LivedLife, input};
use crate::size::LifeSize;
use crate::state::State;
use crate::storm::{self, LifeKind, Storm, Table};
use crate::team::line::TeamLine;
use crate::world::{PRIMARY, StormWorld};

/// Steps of one life.
const STEPS: u64 = 80;
/// Steps that a session is given to come to rest.
const PATIENCE: u32 = 400;
/// Plain messages of which one is answered at the latest.
const MESSAGES: u32 = 4;
/// What an error says beyond which no message helps.
const NEW_SESSION: &str = "begin a new session";
/// What must have happened in a storm.
const HAPPENED: [&str; 9] = [
    "answered",
    "begin a new session",
    "content, named",
    "content, unnamed",
    "order",
    "power cut",
    "size",
    "way on after 1",
    "way on after 4",
];
/// Lives from which on all of it must have.
const TELLING: u64 = 2_000;

/// What a storm is to live through.
#[derive(Debug, Clone, Copy)]
pub struct SternStorm {
    /// The first life's seed; each life's is one more.
    pub seed: u64,
    /// How many lives.
    pub lives: u64,
}

/// Lives them all, says what happened to `out`, the sum last. True when every law was kept.
///
/// # Errors
/// `out` cannot be written.
pub fn run(SternStorm { seed, lives }: SternStorm, out: &mut dyn Write) -> io::Result<bool> {
    storm::run(Storm { size: Stern, seed, lives }, out)
}

/// Lives one life and prints its whole log. True when every law was kept.
///
/// # Errors
/// `out` cannot be written.
pub fn tell(seed: u64, out: &mut dyn Write) -> io::Result<bool> {
    storm::tell(seed, Stern, out)
}

/// A life with such a provider.
#[derive(Debug, Clone, Copy)]
struct Stern;

/// How often each thing happened.
#[derive(Debug, Default)]
struct Counts(BTreeMap<String, u64>);

impl Counts {
    fn count(&mut self, what: &str) {
        *self.0.entry(what.to_owned()).or_default() += 1;
    }
}

impl Table for Counts {
    fn add(&mut self, other: &Self) {
        for (what, count) in &other.0 {
            *self.0.entry(what.clone()).or_default() += count;
        }
    }

    fn text(&self) -> String {
        let mut text = String::new();
        for (what, count) in &self.0 {
            let _infallible = writeln!(text, "{what:<24} {count:>8}");
        }
        text
    }

    fn unlit(&self) -> Vec<String> {
        HAPPENED.iter().filter(|what| !self.0.contains_key(**what)).map(|what| (*what).to_owned()).collect()
    }
}

impl LifeKind for Stern {
    type Line = TeamLine;
    type Table = Counts;

    fn table(self) -> Counts {
        Counts::default()
    }

    fn told(self, line: &TeamLine) -> String {
        line.plain.to_string()
    }

    fn live(self, seed: u64, table: &mut Counts) -> Result<LivedLife, Box<BrokenLife>> {
        let mut dice = Dice::new(seed);
        let provider = SternProvider::throw(&mut dice);
        let world = StormWorld::open(dice, LifeSize::Small, 1)
            .map_err(|why| Box::new(BrokenLife { why, log: Vec::new() }))?;
        let mut life = Life { world, provider, counts: Counts::default() };
        let lived = life.live();
        table.add(&life.counts);
        let (provider, world) = (life.provider, life.world);
        match lived {
            Ok(()) => Ok(LivedLife { bodies: world.bodies().to_vec(), log: world.log }),
            Err(why) => {
                Err(Box::new(BrokenLife { why: format!("{why}, with {provider:?}"), log: world.log }))
            }
        }
    }

    fn telling(self) -> u64 {
        TELLING
    }
}

struct Life {
    world: StormWorld,
    provider: SternProvider,
    counts: Counts,
}

impl Life {
    fn live(&mut self) -> Result<(), String> {
        for _ in 0..STEPS {
            self.world.tick();
            let state = self.state();
            let act = self.world.dice.weighted(&weights(state));
            self.step(act.unwrap_or(Act::Message))?;
        }
        self.settle()?;
        self.goes_on()
    }

    fn state(&self) -> State {
        let primary = self.world.reading.thread(PRIMARY);
        primary.map_or(State::Idle, |primary| State::of(&self.world.reading, primary))
    }

    fn step(&mut self, act: Act) -> Result<(), String> {
        if act == Act::Crash {
            return self.cut();
        }
        let state = self.state();
        let answers = state.asks() && is_answer(act);
        if answers && let Some(input) = self.refused() {
            return self.commit(input);
        }
        let Some((input, at)) = input(&mut self.world, PRIMARY, act)? else { return Ok(()) };
        if answers {
            self.counts.count("answered");
        }
        // A message while calls wait is refused, and that is all.
        self.world.commit(input, at).map(drop)
    }

    /// The refusal of what the model is asked now, if the provider refuses it.
    fn refused(&mut self) -> Option<Input> {
        let request = self.asked()?;
        let prompt = self.world.prompt(PRIMARY)?;
        let (word, failure, spots) = self.provider.refuses(&prompt, &mut self.world.dice)?;
        self.counts.count(word);
        let named = self.world.pieces(PRIMARY, &spots);
        Some(Input::Failed { thread: PRIMARY, request, failure, named, attempts: limits::ATTEMPTS })
    }

    fn commit(&mut self, input: Input) -> Result<(), String> {
        let at = self.world.now;
        match self.world.commit(input.clone(), at)? {
            InputVerdict::Accepted => Ok(()),
            InputVerdict::Refused => Err(format!("refused: {input:?}")),
        }
    }

    /// The power goes; what was asked is asked again, word for word.
    fn cut(&mut self) -> Result<(), String> {
        self.counts.count("power cut");
        let before = self.asking();
        self.world.crash()?;
        self.commit(Input::Recovered)?;
        law!(before.is_none() || before == self.asking(), "another request after the power went");
        Ok(())
    }

    /// The request that is open.
    fn asked(&self) -> Option<EventId> {
        self.world.reading.thread(PRIMARY)?.asking
    }

    fn asking(&self) -> Option<Prompt> {
        self.asked().and_then(|_| self.world.prompt(PRIMARY))
    }

    /// Nobody disturbs the session: it comes to rest, answered or not.
    fn settle(&mut self) -> Result<(), String> {
        for _ in 0..PATIENCE {
            let state = self.state();
            let act = if state.asks() {
                Act::Text
            } else if state.retries() {
                Act::Wake
            } else if state.runs() {
                Act::Ran
            } else if state.blocked() {
                Act::AllResults
            } else {
                return Ok(());
            };
            self.step(act)?;
        }
        Err("it never comes to rest".into())
    }

    /// A person goes on with plain messages: one of them is answered, or they are told what to do.
    fn goes_on(&mut self) -> Result<(), String> {
        let mut told = String::new();
        for times in 1..=MESSAGES {
            let content = vec![ContentBlock::text(self.world.voice.word("fine "))];
            let before = self.world.log.len();
            self.commit(Input::Client {
                events: vec![ClientEvent::Message { content }],
                made: BTreeMap::new(),
            })?;
            if self.world.dice.once_in(3) {
                self.cut()?;
            }
            self.settle()?;
            let lines = self.world.log.get(before..).unwrap_or_default();
            if lines.iter().any(|line| line.plain.how == "answered") {
                self.counts.count(&format!("way on after {times}"));
                return Ok(());
            }
            let error = lines.iter().rev().find(|line| line.plain.error[1] == "exhausted");
            told = error.map(|line| line.plain.error[2].clone()).ok_or("no answer, and no error")?;
        }
        law!(self.provider.is_small(), "{MESSAGES} plain messages are refused: {told}");
        law!(told.contains(NEW_SESSION), "no word of what to do: {told}");
        self.counts.count(NEW_SESSION);
        Ok(())
    }
}

/// Whether a model says it.
const fn is_answer(act: Act) -> bool {
    matches!(
        act,
        Act::Text | Act::Texts | Act::Customs | Act::Builtins | Act::Cut | Act::Refusal | Act::Pause
    )
}

/// What may happen in a state, and how likely.
fn weights(state: State) -> Vec<(Act, u64)> {
    let asking: &[(Act, u64)] = &[
        (Act::Text, 30),
        (Act::Texts, 20),
        (Act::Customs, 25),
        (Act::Builtins, 15),
        (Act::Cut, 6),
        (Act::Pause, 6),
        (Act::Refusal, 3),
        (Act::FailAgain, 4),
        (Act::Message, 10),
        (Act::InterruptAll, 3),
        (Act::Crash, 6),
    ];
    let others: &[(Act, u64)] = &[
        (Act::Message, 20),
        (Act::Wake, 40),
        (Act::Ran, 40),
        (Act::Result, 15),
        (Act::AllResults, 30),
        (Act::InterruptAll, 2),
        (Act::Crash, 4),
    ];
    if state.asks() { asking.to_vec() } else { others.to_vec() }
}
