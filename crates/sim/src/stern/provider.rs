//! A provider that refuses what it is told: by its content, by its size and by its order. What it has read
//! once it reads again, also with more behind it, unless that is wrong itself.

use protocol::content::ContentBlock;
use protocol::prompt::{FailureClass, HistorySpot, MessagePart, ModelFailure, Prompt, PromptMessage};

use crate::dice::Dice;
use crate::model;

/// How it says what it refuses.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Naming {
    /// Every place.
    All,
    /// The first place.
    First,
    /// A place where nothing is wrong.
    Wrong,
    /// No place.
    Nothing,
}

/// Which orders it refuses.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Order {
    /// Anything behind the results of tools.
    BehindResults,
    /// Calls and their results.
    Calls,
}

/// See the file.
#[derive(Debug)]
pub(super) struct SternProvider {
    salt: u64,
    /// One text in so many is refused; `None`: no text is.
    content: Option<u64>,
    naming: Naming,
    /// Most bytes of text.
    size: Option<usize>,
    order: Option<Order>,
}

impl SternProvider {
    /// A provider by the dice: it refuses something.
    pub(super) fn throw(dice: &mut Dice) -> Self {
        let laws = 1 + dice.below(7);
        let namings = [Naming::All, Naming::First, Naming::Wrong, Naming::Nothing];
        let orders = [Order::BehindResults, Order::Calls];
        let (salt, rarity, bytes) = (dice.bits(), 2 + dice.below(8), 20 + dice.below(400) as usize);
        Self {
            salt,
            content: (laws & 1 != 0).then_some(rarity),
            naming: dice.pick(&namings).copied().unwrap_or(Naming::Nothing),
            size: (laws & 2 != 0).then_some(bytes),
            order: if laws & 4 != 0 { dice.pick(&orders).copied() } else { None },
        }
    }

    /// Whether a conversation may have grown so far that nothing short of a new one helps.
    pub(super) const fn is_small(&self) -> bool {
        self.size.is_some()
    }

    /// Why it refuses this, in a word for the table, and what it names.
    pub(super) fn refuses(
        &self,
        prompt: &Prompt,
        dice: &mut Dice,
    ) -> Option<(&'static str, ModelFailure, Vec<HistorySpot>)> {
        let bad: Vec<HistorySpot> =
            prompt.messages.iter().enumerate().flat_map(|(at, message)| self.bad(at, message)).collect();
        if !bad.is_empty() {
            let last = prompt.messages.len().saturating_sub(1);
            let named = match self.naming {
                Naming::All => bad,
                Naming::First => bad.into_iter().take(1).collect(),
                Naming::Wrong => vec![HistorySpot { message: last, part: 0, block: None }],
                Naming::Nothing => Vec::new(),
            };
            let word = if named.is_empty() { "content, unnamed" } else { "content, named" };
            return Some((word, model::refusal(dice), named));
        }
        if self.order.is_some_and(|order| prompt.messages.iter().any(|message| order.refuses(message))) {
            return Some(("order", model::refusal(dice), Vec::new()));
        }
        let bytes: usize =
            prompt.messages.iter().flat_map(|message| texts(message)).map(|(_, text)| text.len()).sum();
        self.size.filter(|most| bytes > *most).map(|_| {
            let failure = if dice.once_in(2) {
                model::refusal(dice)
            } else {
                let message = "overflow: the model said so".into();
                ModelFailure { class: FailureClass::Overflow, message, ..model::refusal(dice) }
            };
            ("size", failure, Vec::new())
        })
    }

    /// The places in a message that it does not take.
    fn bad(&self, at: usize, message: &PromptMessage) -> Vec<HistorySpot> {
        let Some(rarity) = self.content else { return Vec::new() };
        let bad = |text: &str| {
            let ours = text.starts_with("[removed: ") || text.starts_with("fine ") || text == "Continue.";
            !ours && self.hash(text).is_multiple_of(rarity)
        };
        let found = texts(message).into_iter().filter(|(_, text)| bad(text));
        found.map(|((part, block), _)| HistorySpot { message: at, part, block }).collect()
    }

    fn hash(&self, text: &str) -> u64 {
        let mix = |hash: u64, byte: u8| (hash ^ u64::from(byte)).wrapping_mul(0x0100_0000_01b3);
        text.bytes().fold(self.salt, mix) >> 16
    }
}

impl Order {
    fn refuses(self, message: &PromptMessage) -> bool {
        let (mut results, mut calls, mut others) = (false, false, false);
        for part in &message.parts {
            match part {
                MessagePart::ToolResult { .. } => results = true,
                MessagePart::ToolUse { .. } => calls = true,
                MessagePart::Content(_) | MessagePart::Thinking(_) => others = true,
                MessagePart::Beside { .. } => {}
            }
        }
        match self {
            Self::BehindResults => results && others,
            Self::Calls => results || calls,
        }
    }
}

/// Where each text of a message stands, and what it says; a thought says its signature.
fn texts(message: &PromptMessage) -> Vec<((usize, Option<usize>), String)> {
    let said = |block: &ContentBlock| match block {
        ContentBlock::Text { text } => text.clone(),
        ContentBlock::Image { .. }
        | ContentBlock::Document { .. }
        | ContentBlock::SearchResult { .. }
        | ContentBlock::Redacted => String::new(),
    };
    let mut found = Vec::new();
    for (place, part) in message.parts.iter().enumerate() {
        match part {
            MessagePart::Content(block) => found.push(((place, None), said(block))),
            MessagePart::Thinking(thought) => found.push(((place, None), thought.raw.to_string())),
            MessagePart::ToolUse { .. } | MessagePart::Beside { .. } => {}
            MessagePart::ToolResult { content, .. } => {
                found.extend(content.iter().enumerate().map(|(at, block)| ((place, Some(at)), said(block))));
            }
        }
    }
    found
}
