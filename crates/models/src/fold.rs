//! The fold of a stream into an answer, whatever the wire: what each must tell, and how it fails.

use protocol::{
    prompt::{AnswerDelta, FailureClass, ModelAnswer, ModelFailure},
    usage::RequestTokens,
};
use serde_json::Value;

use crate::{loose::LooseValue, secret::ProviderSecret};

/// How far a streamed answer is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum StreamStage {
    /// More must come.
    Open,
    /// It may end here, and something may still follow.
    Ending,
    /// Nothing more can come.
    Whole,
}

/// How a stream ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum StreamEnd {
    /// By itself: with its last frame, or with the end of the body.
    Whole,
    /// The connection broke, or nothing came any more.
    Torn,
}

/// The fold of one wire's frames into an answer.
pub(crate) trait AnswerFold: Sized {
    /// Takes an object of the stream, whose event has this name if it has one; tells `deltas` what is new.
    fn take(
        &mut self,
        name: &[u8],
        read: LooseValue,
        deltas: &mut (dyn FnMut(AnswerDelta) + Send),
    ) -> Result<(), ModelFailure>;

    /// The word came that says that all is sent.
    fn done(&mut self);

    /// Whether an object is one of the wire's own.
    fn is_piece(&self, name: &[u8], value: &Value) -> bool;

    /// Whether it was said why the answer ends.
    fn is_reasoned(&self) -> bool;

    /// How far the answer is.
    fn stage(&self) -> StreamStage;

    /// Bytes of the answer's content so far, whatever it is.
    fn said(&self) -> usize;

    /// What the provider has said about the cost so far.
    fn tokens(&self) -> RequestTokens;

    /// What is cut out of what the provider says.
    fn secret(&self) -> &ProviderSecret;

    /// The whole answer, or why it is none. Called when the stream has ended.
    fn finish(self, end: StreamEnd) -> Result<ModelAnswer, ModelFailure>;

    /// A failure in the middle of the answer, with what it has cost.
    fn failed(&self, class: FailureClass, message: impl Into<String>) -> ModelFailure {
        ModelFailure {
            class,
            status: None,
            message: message.into(),
            retry_after: None,
            tokens: self.tokens(),
            spots: Vec::new(),
        }
    }

    /// The failure of an answer that ended with a word that stands for one.
    fn stopped(&self, class: FailureClass, word: &str) -> ModelFailure {
        let word = self.secret().shown(word);
        self.failed(class, format!("The model provider broke the answer off: it says `{word}`."))
    }

    /// The failure of a conversation that is too long, as the answer says.
    fn overflowed(&self) -> ModelFailure {
        self.failed(FailureClass::Overflow, "The conversation no longer fits the model's context window.")
    }

    /// The failure of a stream that ended too early.
    fn broken(&self) -> ModelFailure {
        self.failed(FailureClass::Cut, "The model's stream ended in the middle.")
    }
}
