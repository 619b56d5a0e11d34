//! How long a stream is waited for: what its route says, by how far the answer is.

use core::time::Duration;

use protocol::{
    limits,
    prompt::{FailureClass, ModelFailure},
    routes::Route,
    usage::RequestTokens,
};
use tokio::time::Instant;

/// Nothing of the answer for so long, whatever else came: the stream is cut, unless its route waits longer.
pub(crate) const EMPTY: Duration = Duration::from_secs(limits::MODEL_EMPTY_S);

/// The wait for an answer.
pub(crate) struct AnswerWait<'a> {
    route: &'a Route,
    /// Bytes of the answer so far, and since when.
    said: usize,
    said_at: Instant,
    /// When the last frame came that said something.
    framed_at: Instant,
}

impl<'a> AnswerWait<'a> {
    /// Begins to wait for an answer over this route.
    pub(crate) fn begin(route: &'a Route) -> Self {
        let now = Instant::now();
        Self { route, said: 0, said_at: now, framed_at: now }
    }

    /// A frame came that said something.
    pub(crate) fn framed(&mut self) {
        self.framed_at = Instant::now();
    }

    /// So many bytes of the answer have come.
    pub(crate) fn heard(&mut self, said: usize) {
        if said > self.said {
            (self.said, self.said_at) = (said, Instant::now());
        }
    }

    /// How long the next byte may take; none is too late for no time at all. `ending`: the answer has said
    /// why it ends, and bytes that say nothing do not keep it up.
    pub(crate) fn next(&self, ending: bool) -> Duration {
        let silence = self.silence();
        let silence = if ending { silence.saturating_sub(self.framed_at.elapsed()) } else { silence };
        silence.min(self.empty().saturating_sub(self.said_at.elapsed()))
    }

    /// What it means that nothing came within `waited`, which [`AnswerWait::next`] said.
    pub(crate) fn over(&self, waited: Duration, tokens: RequestTokens) -> ModelFailure {
        if waited < self.silence() {
            empty(self.empty(), tokens)
        } else if self.said > 0 {
            silent(waited, tokens)
        } else {
            unbegun(self.route, tokens)
        }
    }

    fn silence(&self) -> Duration {
        let patience = self.route.patience;
        if self.said > 0 { patience.silence } else { patience.first_byte }
    }

    fn empty(&self) -> Duration {
        EMPTY.max(self.silence())
    }
}

/// The failure of a request to which nothing of an answer came.
pub(crate) fn unbegun(route: &Route, tokens: RequestTokens) -> ModelFailure {
    let silent = silent(route.patience.first_byte, tokens);
    let message = format!(
        "{} If the model is loaded first, say how long that may take with `first_byte` in the route {}.",
        silent.message, route.pattern
    );
    ModelFailure { message, ..silent }
}

fn silent(waited: Duration, tokens: RequestTokens) -> ModelFailure {
    cut(format!("The model provider sent nothing for {} seconds.", waited.as_secs()), tokens)
}

fn empty(waited: Duration, tokens: RequestTokens) -> ModelFailure {
    let seconds = waited.as_secs();
    cut(
        format!("The model provider sent nothing of an answer for {seconds} seconds, only signs of life."),
        tokens,
    )
}

fn cut(message: String, tokens: RequestTokens) -> ModelFailure {
    ModelFailure {
        class: FailureClass::Cut,
        status: None,
        message,
        retry_after: None,
        tokens,
        spots: Vec::new(),
    }
}
