//! The oracle of a storm: answers, deltas, failures and silence, by dice. It is a referee too: what it
//! is asked must be what the log says, once for each request, and without delay.

use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use engine::Clock;
use futures_util::future::BoxFuture;
use models::ModelClient;
use protocol::limits;
use protocol::prompt::{
    AnswerBlock, AnswerDelta, DeltaKind, FailureClass, ModelAnswer, ModelFailure, Prompt,
};
use protocol::usage::RequestTokens;

use super::run_record::RunRecord;
use crate::act::Act;
use crate::dice::Dice;
use crate::law::law;
use crate::model;
use crate::referee::ExpectedHistory;

/// How long a request may wait to be asked when nothing is wrong.
const PROMPT: Duration = Duration::from_secs(1);

/// See the file.
#[derive(Debug)]
pub(super) struct FakeModel {
    book: Arc<RunRecord>,
    clock: Clock,
    dice: Mutex<Dice>,
    /// How often the route lets a request be made.
    attempts: u32,
}

/// What it does about one prompt.
enum Plan {
    Answer(ModelAnswer, Dice),
    Fail(ModelFailure, Duration),
    /// Silence, until the stream counts as cut.
    Hang,
}

impl FakeModel {
    /// A seer for the sessions of `book`.
    pub(super) fn new(book: Arc<RunRecord>, clock: Clock, dice: Dice, attempts: u32) -> Self {
        Self { book, clock, dice: Mutex::new(dice), attempts }
    }

    fn plan(&self, prompt: &Prompt) -> Plan {
        let mut dice = self.dice.lock().unwrap_or_else(PoisonError::into_inner);
        let acts = [
            (Act::Text, 30),
            (Act::Texts, 20),
            (Act::Customs, 14),
            (Act::Builtins, 24),
            (Act::Unknown, 3),
            (Act::Cut, 3),
            (Act::Mixed, 10),
            (Act::Refusal, 3),
            (Act::MaxTokens, 3),
            (Act::Pause, 4),
            (Act::Nothing, 3),
            (Act::FailAgain, 14),
            (Act::FailForever, 3),
            (Act::Wake, 5),
        ];
        let act = if self.book.calm() { Act::Text } else { dice.weighted(&acts).unwrap_or(Act::Text) };
        let kit = self.book.kit(session(prompt));
        let failed = matches!(act, Act::FailAgain | Act::FailForever);
        match model::answer(&mut dice, act, &kit) {
            Some(answer) => Plan::Answer(long(answer, &mut dice), Dice::new(dice.bits())),
            None if failed => {
                let failure = model::failure(&mut dice, act == Act::FailForever);
                Plan::Fail(failure, Duration::from_millis(dice.below(500)))
            }
            None => Plan::Hang,
        }
    }

    /// Judges what it is asked.
    async fn judge(&self, prompt: &Prompt) -> Result<(), String> {
        let session = session(prompt);
        if self.book.id(session).is_none() {
            self.book.refresh_all().await;
        }
        self.book.refresh(session).await;
        let now = self.clock.now();
        let judged = self.book.tale(session, |tale| {
            let Some((request, began)) = tale.asking() else {
                return Err("asked: no request is open".to_owned());
            };
            let offered: Vec<&str> = prompt.tools.iter().map(|tool| tool.name.as_str()).collect();
            let held = self.book.kit(session).offered();
            law!(offered == held, "offered: {offered:?}, and the agent holds {held:?}");
            let mut script = ExpectedHistory::default();
            tale.lines.iter().for_each(|line| script.see(line));
            script.judge(&prompt.messages).map_err(|why| format!("asked: {why}"))?;
            Ok((request, began))
        });
        let (request, began) = judged.unwrap_or_else(|| Err("asked: in no session".into()))?;
        law!(self.book.first_asked(request), "asked: {request} twice");
        let late = self.book.late(began, now);
        law!(late < PROMPT, "asked: {request} {late:?} late");
        Ok(())
    }

    fn failed(&self, mut failure: ModelFailure) -> ModelFailure {
        model::told(&mut failure, self.attempts);
        self.book.count("model failure");
        if failure.class == FailureClass::RateLimited {
            let least = Duration::from_millis(limits::BACKOFF_MS_MIN);
            let pause = failure.retry_after.unwrap_or(least);
            let most = Duration::from_secs(limits::RETRY_AFTER_S_MAX);
            self.book.pause(self.clock.now().after(pause.min(most)));
        }
        failure
    }
}

fn session(prompt: &Prompt) -> usize {
    prompt.system.as_ref().and_then(|system| system.parse().ok()).unwrap_or(usize::MAX)
}

impl ModelClient for FakeModel {
    fn ask<'a>(
        &'a self,
        prompt: &'a Prompt,
        deltas: &'a mut (dyn FnMut(AnswerDelta) + Send),
    ) -> BoxFuture<'a, Result<ModelAnswer, ModelFailure>> {
        let plan = self.plan(prompt);
        Box::pin(async move {
            if let Err(why) = self.judge(prompt).await {
                // A job that nobody wants any more is cut before the clock moves on; then nothing was wrong.
                tokio::time::sleep(Duration::from_millis(5)).await;
                // Nor is it if the answer of the commit was lost that would have told the engine so.
                let now = self.clock.now();
                if !self.book.lost(now, now) {
                    self.book.object(session(prompt), why);
                }
            }
            match plan {
                Plan::Answer(answer, mut dice) => {
                    write(&answer, &mut dice, deltas).await;
                    Ok(answer)
                }
                Plan::Fail(failure, pause) => {
                    tokio::time::sleep(pause).await;
                    Err(self.failed(failure))
                }
                Plan::Hang => {
                    self.book.count("silence");
                    tokio::time::sleep(Duration::from_secs(limits::MODEL_SILENCE_S)).await;
                    Err(self.failed(ModelFailure {
                        class: FailureClass::Cut,
                        status: None,
                        message: "cut: it fell silent".into(),
                        retry_after: None,
                        tokens: RequestTokens::default(),
                        spots: Vec::new(),
                    }))
                }
            }
        })
    }
}

/// Now and then says much, so that readers lag.
fn long(mut answer: ModelAnswer, dice: &mut Dice) -> ModelAnswer {
    if dice.once_in(6)
        && let Some(AnswerBlock::Text { text }) = answer.blocks.first_mut()
        && !text.trim().is_empty()
    {
        let words = (0..100).map(|word| format!(" {word}"));
        text.extend(words);
    }
    answer
}

/// Says the answer piece by piece.
async fn write(answer: &ModelAnswer, dice: &mut Dice, deltas: &mut (dyn FnMut(AnswerDelta) + Send)) {
    // Piece by piece, in gusts that a reader cannot follow, or all at once.
    let gust = dice.pick(&[1, 60, u64::MAX]).copied().unwrap_or(1);
    for (index, block) in answer.blocks.iter().enumerate() {
        let (kind, text) = match block {
            AnswerBlock::Text { text } => (DeltaKind::Text, text.as_str()),
            AnswerBlock::Thinking { .. } => (DeltaKind::Thinking, ""),
            AnswerBlock::ToolUse { .. } => (DeltaKind::ToolUse, ""),
        };
        deltas(AnswerDelta::Start { index, kind });
        let mut left = text;
        while !left.is_empty() {
            let (piece, rest) = left.split_at_checked(1 + dice.below(3) as usize).unwrap_or((left, ""));
            deltas(AnswerDelta::Text { index, text: piece.to_owned() });
            left = rest;
            if dice.once_in(gust) {
                pause(dice).await;
            }
        }
        pause(dice).await;
    }
}

async fn pause(dice: &mut Dice) {
    match dice.below(8) {
        0 => tokio::time::sleep(Duration::from_millis(dice.below(400))).await,
        1..=3 => tokio::task::yield_now().await,
        _ => {}
    }
}
