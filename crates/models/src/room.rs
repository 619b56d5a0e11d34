//! How long an answer may be: what the model's window leaves beside the conversation.

use protocol::{
    content::{ContentBlock, MediaSource},
    limits::ANSWER_TOKENS_MIN,
    prompt::{FailureClass, MessagePart, ModelFailure, Prompt, PromptMessage},
    routes::Route,
};

use crate::{failure::failure, problem::ProviderProblem};

/// Bytes of text to a token: few tokenizers take less of one, so that what was not counted is not overrated.
const BYTES_PER_TOKEN: usize = 4;
/// Tokens of a picture or a page, about.
const PICTURE_TOKENS: usize = 1_500;

/// Tokens that the next answer may take: the route's most, or what is left of its window if that is less.
/// Less than a useful rest, by the provider's own count, is a failure. Where nobody said how large the
/// window is, and where an answer came at a count that is larger, the provider itself refuses what does not
/// fit, and is asked for less then: a count that is wrong could never be corrected by one who is not asked
/// again.
pub(crate) fn bound(prompt: &Prompt, route: &Route) -> Result<u64, ModelFailure> {
    let useful = useful(route.max_output);
    let (counted, seen) = prompt.counted.map_or((0, 0), |counted| (counted.tokens, counted.messages));
    if !route.window_known || counted > route.window {
        return Ok(route.max_output);
    }
    if counted > 0 && counted.saturating_add(useful) > route.window {
        let message = format!(
            "The conversation takes {counted} of the {} tokens of the model's window, which leaves no room \
             for an answer. Begin a new session; if the model reads more, say so with `window` in the route {}.",
            route.window, route.pattern
        );
        return Err(failure(FailureClass::Full, message));
    }
    let since: usize = prompt.messages.iter().skip(seen).map(|message| tokens(message)).sum();
    let about = if seen == 0 { since + opening(prompt) } else { since };
    let rest = route.window.saturating_sub(counted).saturating_sub(about as u64);
    Ok(route.max_output.min(rest.max(useful)))
}

/// A shorter bound to ask once more with, after a refusal that says `asked` is too long beside the
/// conversation.
pub(crate) fn shorter(problem: &ProviderProblem, asked: u64) -> Option<u64> {
    let useful = useful(asked);
    let numbers = numbers(problem.message());
    let overflow = problem.is_overflow();
    // What is read and the window stand among the numbers, in whatever words.
    let rests = numbers.iter().flat_map(|used| numbers.iter().map(move |window| (*used, *window)));
    let rests = rests.filter(|(used, window)| used < window && *window < used.saturating_add(asked));
    let rest = rests.map(|(used, window)| window - used).filter(|rest| *rest >= useful).min();
    let most = || numbers.iter().copied().filter(|number| (useful..asked).contains(number)).max();
    let names = ["max_tokens", "max_completion_tokens"].iter().any(|name| problem.names(name));
    let bound = match (overflow, names) {
        (true, _) => rest.unwrap_or(useful),
        (false, true) => most()?,
        (false, false) => return None,
    };
    (bound < asked).then_some(bound)
}

fn useful(max_output: u64) -> u64 {
    ANSWER_TOKENS_MIN.min(max_output)
}

/// The whole numbers that a text names.
fn numbers(text: &str) -> Vec<u64> {
    text.split(|letter: char| !letter.is_ascii_digit()).filter_map(|digits| digits.parse().ok()).collect()
}

/// What stands before the history.
fn opening(prompt: &Prompt) -> usize {
    let tools: usize = prompt.tools.iter().map(|tool| tool.name.len() + tool.description.len()).sum();
    (prompt.system.as_deref().map_or(0, str::len) + tools) / BYTES_PER_TOKEN
}

fn tokens(message: &PromptMessage) -> usize {
    message.parts.iter().map(part).sum()
}

fn part(part: &MessagePart) -> usize {
    match part {
        MessagePart::Content(block) => block_tokens(block),
        // It may not be sent at all.
        MessagePart::Thinking(_) | MessagePart::Beside { .. } => 0,
        MessagePart::ToolUse { name, input, .. } => {
            (name.len() + protocol::memory::object(input) / 4) / BYTES_PER_TOKEN
        }
        MessagePart::ToolResult { content, .. } => content.iter().map(block_tokens).sum(),
    }
}

fn block_tokens(block: &ContentBlock) -> usize {
    match block {
        ContentBlock::Text { text } => text.len() / BYTES_PER_TOKEN,
        ContentBlock::SearchResult { content, .. } => {
            content.iter().map(|part| part.text.len()).sum::<usize>() / BYTES_PER_TOKEN
        }
        ContentBlock::Document { source: MediaSource::Text { data, .. }, .. } => data.len() / BYTES_PER_TOKEN,
        ContentBlock::Document { .. } | ContentBlock::Image { .. } => PICTURE_TOKENS,
        ContentBlock::Redacted => 0,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use protocol::prompt::{CountedTokens, MessageRole};
    use serde_json::json;
    use std::sync::Arc;

    fn prompt(counted: Option<(u64, usize)>, said: &[usize]) -> Prompt {
        let message = |bytes: &usize| {
            let parts = vec![MessagePart::Content(ContentBlock::text("x".repeat(*bytes)))];
            Arc::new(PromptMessage { role: MessageRole::User, parts })
        };
        let counted = counted.map(|(tokens, messages)| CountedTokens { tokens, messages });
        let messages = said.iter().map(message).collect();
        Prompt { model: "m".into(), system: None, tools: vec![], messages, counted }
    }

    fn route() -> Route {
        Route { window: 32_768, window_known: true, max_output: 8_192, ..Route::script("m") }
    }

    #[test]
    fn an_answer_may_be_as_long_as_the_window_leaves_room_for() {
        let bound = |counted, said: &[usize]| bound(&prompt(counted, said), &route());
        assert_eq!(bound(None, &[4]), Ok(8_192), "never counted");
        assert_eq!(bound(Some((24_000, 1)), &[4, 400]), Ok(8_192));
        assert_eq!(bound(Some((27_000, 1)), &[4, 400]), Ok(32_768 - 27_000 - 100));
        assert_eq!(bound(None, &[4 * 30_000]), Ok(2_768));
        assert_eq!(bound(Some((27_000, 1)), &[4, 4 * 9_000]), Ok(1_024), "a guess alone refuses nothing");
        let full = bound(Some((31_800, 1)), &[4]).expect_err("a failure");
        assert_eq!(full.class, FailureClass::Full);
        let unsaid = super::bound(&prompt(Some((1_000_000, 1)), &[4]), &Route::script("m"));
        assert_eq!(unsaid, Ok(8_192), "nobody said how much the model reads");
        for nearly in [prompt(Some((127_500, 1)), &[4]), prompt(None, &[4 * 127_500])] {
            let unsaid = super::bound(&nearly, &Route::script("m"));
            assert_eq!(unsaid, Ok(8_192), "what is guessed shortens nothing");
        }
        assert!(
            full.message.contains("31800 of the 32768 tokens") && full.message.contains("`window`"),
            "{full}"
        );
        let said = Route { window_known: true, ..Route::script("m") };
        let full = super::bound(&prompt(Some((127_500, 1)), &[4]), &said).expect_err("a failure");
        assert!(full.message.contains("127500 of the 128000 tokens"), "what is said is meant: {full}");
    }

    #[test]
    fn a_count_beyond_the_window_keeps_nobody_from_asking_again() {
        for tokens in [32_769, 40_000, u64::MAX] {
            assert_eq!(bound(&prompt(Some((tokens, 1)), &[400]), &route()), Ok(8_192), "{tokens}");
        }
        assert!(bound(&prompt(Some((32_768, 1)), &[400]), &route()).is_err());
    }

    #[test]
    fn a_refusal_of_the_length_says_how_much_less_it_must_be() {
        let shorter =
            |message: &str| shorter(&ProviderProblem::of(&json!({"error": {"message": message}})), 8_192);
        for (message, bound) in [
            ("maximum context length is 32768 tokens, you requested 27000 + 8192", Some(5_768)),
            ("input length and `max_tokens` exceed context limit: 195000 + 8192 > 200000", Some(5_000)),
            ("This model's maximum context length is 32768 tokens.", Some(1_024)),
            (
                "max_tokens is too large: 8192. This model supports at most 4096 completion tokens",
                Some(4_096),
            ),
            ("'max_tokens' or 'max_completion_tokens' is too large: 8192.", None),
            ("bad", None),
        ] {
            assert_eq!(shorter(message), bound, "{message}");
        }
    }
}
