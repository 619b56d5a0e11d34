//! What the word means with which an answer ends, whatever the wire: gateways mix the words of all.

use protocol::prompt::FailureClass;

/// Why an answer ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum AnswerReason {
    /// It was said to its end, or calls a tool; also words that we do not know.
    Ended,
    /// At the output limit.
    Length,
    /// The model declined.
    Declined,
    /// Somebody else stopped it for what it says.
    Filtered,
    /// The provider wants to be asked again with what there is.
    Paused,
    /// The model's window is full.
    Overflow,
    /// It was not said to its end.
    Failed(FailureClass),
}

impl AnswerReason {
    /// The meaning of a provider's word; of several behind each other (`a filter: ITS REASON`) the last.
    pub(crate) fn of(word: &str) -> Self {
        let last = word.rsplit(':').next().unwrap_or(word).trim();
        match last.to_ascii_lowercase().replace(['-', ' '], "_").as_str() {
            "max_tokens" | "length" | "model_length" | "max_output_tokens" => Self::Length,
            "refusal" => Self::Declined,
            "pause_turn" => Self::Paused,
            "model_context_window_exceeded" | "context_length_exceeded" => Self::Overflow,
            "content_filter"
            | "content_filtered"
            | "sensitive"
            | "safety"
            | "recitation"
            | "blocklist"
            | "prohibited_content"
            | "spii"
            | "guardrail_intervened" => Self::Filtered,
            "error"
            | "abort"
            | "aborted"
            | "cancelled"
            | "canceled"
            | "timeout"
            | "network_error"
            | "malformed_function_call"
            | "unexpected_tool_call"
            | "malformed_tool_use"
            | "malformed_model_output" => Self::Failed(FailureClass::Cut),
            "insufficient_system_resource" | "overloaded" | "engine_overloaded" => {
                Self::Failed(FailureClass::Overloaded)
            }
            _ => Self::Ended,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn words_that_stand_for_a_failure_are_one() {
        let cut = AnswerReason::Failed(FailureClass::Cut);
        for word in ["error", "abort", "network_error", "function_call_filter: MALFORMED_FUNCTION_CALL"] {
            assert_eq!(AnswerReason::of(word), cut, "{word}");
        }
        assert_eq!(AnswerReason::of("content_filter: SAFETY"), AnswerReason::Filtered);
        assert_eq!(AnswerReason::of("content-filter"), AnswerReason::Filtered);
        for word in ["stop", "end_turn", "tool_calls", "tool_use", "STOP", "a_new_word", ""] {
            assert_eq!(AnswerReason::of(word), AnswerReason::Ended, "{word}");
        }
    }
}
